"""What is held for a DAG that is paused or gone: what its route wants, and what it waits for."""

from enum import StrEnum

from bridge.words.reasons import Reason

DEFAULT_HOLD_SECONDS = 14 * 86_400.0
FOR_A_DAG = frozenset({Reason.DAG_PAUSED, Reason.DAG_NOT_FOUND, Reason.DAG_REFUSES_RUNS})


class IfPaused(StrEnum):
    """What a route does while its DAG is paused."""

    TRIGGER = "trigger"  # leave the run to Airflow's own queue
    HOLD = "hold"  # keep the trigger here until the DAG is back
    FAIL = "fail"


class Release(StrEnum):
    """What a route fires of what was held, when the DAG is back."""

    ALL = "all"
    LATEST = "latest"  # of each DAG, pipeline and environment


class Awaits(StrEnum):
    """What a held trigger waits for."""

    THERE = "there"  # the DAG exists and takes runs, paused or not
    UNPAUSED = "unpaused"
    NEWER = "newer"  # the DAG is back; whether a newer trigger takes its place is still open
