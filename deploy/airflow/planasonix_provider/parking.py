"""A wait that the bridge ends: the task is parked, with no worker slot, no pool slot, no triggerer, and no polling.

Airflow 3.3 parks a task that waits for input (`awaiting_input`). The bridge lists the waits whose subject has our
marker, and answers one when a webhook told how its run ended. A person may answer, too, under "Required actions".

    1. ask     leave a request for input: the subject names run, pipeline and source, the options are the ends of a run
               and `look`
    2. park    leave the worker; Airflow answers `look` by itself when the time is up (the request's default)
    3. resume  an end: it is the run's. `look`: the task asks Planasonix once, and parks again while the run goes on

An answer is for one run. Airflow keeps the request over the tries of a task with the subject of the first, so an answer
that names another run is taken for `look` (and the bridge reads the run of a later try from XCom).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any, NoReturn
from urllib.parse import quote

from planasonix_provider.pacing import Over, Patience
from planasonix_provider.runs import OUTCOMES, Outcome, Run

MARKER = "Planasonix bridge: run "
LOOK = "look"
_ENDS = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED, Outcome.SKIPPED)
_FIRST_LOOK_SECONDS = 60.0  # after a look that was asked for and found the run going on
_LOOK_SECONDS = 21_600.0  # a webhook that never comes costs six hours, and a thousand waits three requests a minute
_LEAST_SECONDS = 1.0
_MAX_DOUBLINGS = 9
_BODY = (
    "The task waits until Planasonix tells the bridge how its run ended, and the bridge answers here by itself."
    " A person may answer as well: `look` makes the task ask Planasonix at once; any other word is taken as the end of"
    " the run, which is not asked for."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What ended the wait: the run as it ended, or None to look. `by` is who answered, for the log."""

    run: Run | None
    by: str


@dataclass(frozen=True, slots=True)
class Stay:
    """One wait: its two ends (Unix seconds, or None for never), and how many looks in a row found the run going on."""

    timeout_at: float | None = None
    deadline_at: float | None = None
    looks: int = 0

    def over(self, now: float) -> Over | None:
        """Return whether the time is up."""
        return Patience(_LEAST_SECONDS, self.timeout_at, self.deadline_at).over(now)

    def longer(self) -> "Stay":
        """Return the same wait after a look that found the run going on."""
        return replace(self, looks=self.looks + 1)

    def seconds(self, now: float) -> float:
        """Return how long to stay parked: until the next look, or the first end."""
        seconds = _LOOK_SECONDS
        if self.looks:
            seconds = min(seconds, _FIRST_LOOK_SECONDS * 2.0 ** min(self.looks - 1, _MAX_DOUBLINGS))
        ends = [at - now for at in (self.timeout_at, self.deadline_at) if at is not None]
        return max(_LEAST_SECONDS, min([seconds, *ends]))


def is_possible() -> bool:
    """Whether this Airflow can park a task: 3.3 and newer."""
    try:
        from airflow.sdk.exceptions import TaskAwaitingInput  # noqa: F401, PLC0415 - older ones have none
    except ImportError:
        return False
    return True


def subject(run_id: str, pipeline_id: str | None, source: str | None, *, is_ours: bool) -> str:
    """Return what the bridge finds and reads, and people see; ids are quoted as in a URL.

    `is_ours`: the task has started the run, so the bridge may cancel it when the task is given up.
    """
    named = (("pipeline", pipeline_id), ("source", source), ("started", "yes" if is_ours else None))
    return (
        MARKER + quote(run_id, safe="") + "".join(f" {name} {quote(value, safe='')}" for name, value in named if value)
    )


def park(instance: Any, about: str, stay: Stay, *, method_name: str, now: float) -> NoReturn:
    """Leave the request, and park: raises Airflow's signal. The method gets `event` and the fields of `stay`."""
    from airflow.sdk.exceptions import TaskAwaitingInput  # noqa: PLC0415 - Airflow 3.3 and newer
    from airflow.sdk.execution_time.hitl import upsert_hitl_detail  # noqa: PLC0415

    upsert_hitl_detail(
        ti_id=instance.id,
        options=[*map(str, _ENDS), LOOK],
        subject=about,
        body=_BODY,
        defaults=[LOOK],  # at the end of the time: the request counts as answered, and not as given up
        params={},
    )
    timeout = timedelta(seconds=stay.seconds(now))
    raise TaskAwaitingInput(method_name=method_name, kwargs=asdict(stay), timeout=timeout)


def read(event: Mapping[str, Any], run_id: str) -> Answer:
    """Read what Airflow hands over when the task goes on."""
    chosen = [str(option) for option in event.get("chosen_options") or []]
    given = event.get("params_input")
    facts: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    person = event.get("responded_by_user") or {}
    by = "the time is up" if event.get("timedout") else str(facts.get("delivery_id") or person.get("name") or "Airflow")
    if len(chosen) != 1 or chosen[0] not in OUTCOMES:
        return Answer(None, by)
    if facts.get("run_id") not in (None, run_id):
        return Answer(None, f"{by}, about the run {facts['run_id']}")
    rows = facts.get("rows_loaded")
    run = Run(
        id=run_id,
        status=chosen[0],
        pipeline_id=_text(facts, "pipeline_id"),
        started_at=_text(facts, "started_at"),
        finished_at=_text(facts, "finished_at"),
        duration_seconds=_number(facts, "duration_seconds"),
        metrics={} if rows is None else {"rowsWritten": rows},
        error=_text(facts, "error"),
    )
    return Answer(run, by)


def _text(facts: Mapping[str, Any], name: str) -> str | None:
    value = facts.get(name)
    return value if isinstance(value, str) and value else None


def _number(facts: Mapping[str, Any], name: str) -> float | None:
    value = facts.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
