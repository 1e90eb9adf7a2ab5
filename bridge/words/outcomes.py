"""What one try of firing ended in: the contract between `airflow` and `firing`."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from bridge.words.holds import Awaits
from bridge.words.reasons import Reason


@dataclass(frozen=True, slots=True)
class Started:
    """Airflow created the DAG run. `is_paused`: its DAG is paused, so the run waits in Airflow.

    `run_after`: when it was made, by Airflow's clock.
    """

    is_paused: bool = False
    http_status: int = 200
    run_after: datetime | None = field(default=None, compare=False)  # beside the point of what happened


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """The DAG run existed and was read back: ours (`already_there`) or a copy's (`same_completion`)."""

    reason: Reason = Reason.ALREADY_THERE
    http_status: int = 409
    run_after: datetime | None = field(default=None, compare=False)  # beside the point of what happened


@dataclass(frozen=True, slots=True)
class Later:
    """Try this trigger again. `wait_seconds`: at least so long, if the other side said so or it must be slow.

    `attempts_allowed`: give up after so many attempts that ended for this reason, for answers that may be poison.
    `is_hold`: shown as `held`, since something other than waiting has to happen first.
    `is_free`: uses no attempt of the route's `max_attempts`.
    `awaits`: held for its DAG, for this to change. It uses no attempt and no age.
    `is_look`: this try cannot have started its DAG run: it was not sent, or Airflow refused it.
    """

    reason: Reason
    detail: str = ""
    wait_seconds: float = 0.0
    attempts_allowed: int | None = None
    is_hold: bool = False
    is_free: bool = False
    http_status: int | None = None
    awaits: Awaits | None = None
    is_look: bool = False


@dataclass(frozen=True, slots=True)
class Never:
    """Trying again cannot help: the trigger becomes `failed` and a person must act.

    `is_certain`: Airflow has told that no call of the trigger has started its DAG run, so an earlier doubt is over.
    """

    reason: Reason
    detail: str = ""
    http_status: int | None = None
    is_certain: bool = field(default=False, compare=False)  # beside the point of why


@dataclass(frozen=True, slots=True)
class TargetDown:
    """The place says itself that it is down or busy: the breaker opens, no attempt is used.

    `is_suspect`: it went down under this very call, which may be why. `is_look` as in Later.
    """

    reason: Reason = Reason.AIRFLOW_DOWN
    detail: str = ""
    wait_seconds: float = 0.0
    http_status: int | None = None
    is_suspect: bool = False
    is_look: bool = False


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """Sign-in, permission or URL is wrong: parked with an alert, never dead-lettered, no attempt used.

    `is_whole_target`: nothing can be fired there (the breaker opens); else only this trigger is held. `is_look` as in
    Later. `is_dag_forbidden`: Airflow refused to start the run, and would refuse every other run of its DAG. Not set
    where it refused a question.
    """

    reason: Reason
    detail: str = ""
    is_whole_target: bool = True
    http_status: int | None = None
    is_look: bool = False
    is_dag_forbidden: bool = False


@dataclass(frozen=True, slots=True)
class TooLate:
    """The deadline has passed, and no DAG run was started: nothing is started any more."""

    reason: Reason = Reason.TOO_LATE
    detail: str = ""
    http_status: int | None = None


@dataclass(frozen=True, slots=True)
class Superseded:
    """It was held, its DAG is back, and a newer one was fired, which is all that its route wants: it is `cancelled`."""

    detail: str
    reason: Reason = Reason.SUPERSEDED
    http_status: int | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """Under the route's own DAG run id another trigger's run is there, and the route wants one: it is `cancelled`."""

    detail: str
    reason: Reason = Reason.DUPLICATE_RUN
    http_status: int | None = 409


@dataclass(frozen=True, slots=True)
class Renamed:
    """Another completion's DAG run has the name, and no call of the trigger has started one: it takes its spare."""

    dag_run_id: str
    detail: str
    reason: Reason = Reason.RUN_ID_CONFLICT
    http_status: int | None = 409


Outcome = Started | AlreadyThere | Later | Never | TargetDown | Misconfigured | TooLate | Superseded | Taken | Renamed


def as_look(outcome: Outcome) -> Outcome:
    """Return an outcome that says: this try cannot have started the DAG run."""
    return replace(outcome, is_look=True) if isinstance(outcome, Later | TargetDown | Misconfigured) else outcome


def step_to_read(problem: TargetDown | Misconfigured) -> str:
    """Return what a person has to do where DAG runs cannot be read; the reason's own words are about starting them."""
    if problem.reason is Reason.AIRFLOW_FORBIDDEN:
        return (
            "Give the bridge's Airflow user the right to read the DAG runs of all DAGs (in FAB: can read on DAG Runs)."
        )
    return problem.reason.next_step
