"""What is asked of Airflow about DAGs, and what its answers mean.

A page of the list has 100 DAGs, stale ones too. A DAG that the list lacks is asked for by itself before anybody says
that it is missing: a page may move under whoever turns it.
"""

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bridge.edges.airflow import answers
from bridge.edges.airflow.versions import VERSIONS
from bridge.edges.airflow.wire import Answer, Failure
from bridge.words.dags import DagFacts, DagPage, DagState
from bridge.words.holds import Awaits, IfPaused
from bridge.words.outcomes import Later, Misconfigured, Never
from bridge.words.reasons import Reason

if TYPE_CHECKING:
    from bridge.edges.airflow.session import Session

PAGE = 100  # the most that any version gives unless it is told otherwise
_PAUSED_SECONDS = 30.0
_PAUSED_WITHIN_SECONDS = 5.0  # it only colours the outcome, so it may not hold it up


def page(session: "Session", offset: int, limit: int) -> DagPage | answers.TargetProblem:
    """Return a page of the DAGs that the user may see, by id, or what keeps Airflow from telling."""
    version = session.version()
    if not isinstance(version, str):
        return version
    query = f"?limit={limit}&offset={offset}&order_by=dag_id&{VERSIONS[version].stale_too}"
    answer = session.call("GET", "dags", query=query)
    if not isinstance(answer, Answer):
        return answers.after_failure(answer) if isinstance(answer, Failure) else answer
    if answer.is_cut and answer.status == 200:
        return DagPage({}, 0, is_cut=True)
    if (problem := answers.after_question(answer)) is not None:
        return problem
    listed, total = (answer.object().get(name) for name in ("dags", "total_entries"))
    if not isinstance(listed, list) or not isinstance(total, int):
        return _no_answer(answer, "which lists no DAGs")
    dags = {str(item.get("dag_id")): facts(item) for item in listed if isinstance(item, Mapping)}
    return DagPage(dags, total)


def single(session: "Session", dag_id: str, *steps: str, **options: Any) -> DagFacts | answers.TargetProblem:
    """Return what Airflow says of one DAG, or what keeps it from telling. With the step `details`: its params too."""
    answer = session.call("GET", "dags", dag_id, *steps, **options)
    if not isinstance(answer, Answer):
        return answers.after_failure(answer) if isinstance(answer, Failure) else answer
    if answers.knows_no_dag(answer):
        return DagFacts(exists=False)
    if (problem := answers.after_question(answer)) is not None:
        return problem
    if "is_paused" not in answer.object():
        return _no_answer(answer, "which is no DAG")
    return facts(answer.object())


def before(facts: DagFacts, if_paused: IfPaused) -> Later | Never | None:
    """Return what keeps a trigger from being fired at a DAG, by the route's will; None: nothing does."""
    match facts.state:
        case DagState.MISSING:
            return _away(Reason.DAG_NOT_FOUND, "Airflow has no such DAG")
        case DagState.STALE:
            return _away(Reason.DAG_NOT_FOUND, "the DAG is no longer in its file")
        case DagState.BROKEN:
            return _away(Reason.DAG_REFUSES_RUNS, "the DAG's file has an import error")
        case DagState.PAUSED if if_paused is IfPaused.HOLD:
            return _away(Reason.DAG_PAUSED, "held here until it is unpaused, as the route says")
        case DagState.PAUSED if if_paused is IfPaused.FAIL:
            return Never(Reason.DAG_PAUSED, "the route says `if_paused: fail`")
        case _:
            return None


def _away(reason: Reason, detail: str) -> Later:
    return Later(reason, detail, is_hold=True, awaits=Awaits.THERE, is_look=True)


def _no_answer(answer: Answer, what: str) -> Misconfigured:
    detail = f"{answers.message(answer)}, {what}"
    return Misconfigured(Reason.AIRFLOW_MISCONFIGURED, detail, is_whole_target=False, http_status=answer.status)


def facts(details: Mapping[str, Any]) -> DagFacts:
    """Read what Airflow tells of a DAG; Airflow 2 says `is_active` where 3 says `is_stale`."""
    params = details.get("params")
    schemas = {str(name): _schema(param) for name, param in params.items()} if isinstance(params, Mapping) else {}
    required = [name for name, param in params.items() if _is_required(param)] if isinstance(params, Mapping) else []
    return DagFacts(
        exists=True,
        is_paused=details.get("is_paused") is True,
        is_stale=details.get("is_stale") is True or details.get("is_active") is False,
        has_import_errors=details.get("has_import_errors") is True,
        params=schemas,
        required=tuple(required),
    )


def _schema(param: Any) -> Mapping[str, Any]:
    schema = param.get("schema") if isinstance(param, Mapping) else None
    return schema if isinstance(schema, Mapping) else {}


def _is_required(param: Any) -> bool:
    """Tell whether a param has neither a value nor the leave to be null."""
    if not isinstance(param, Mapping) or param.get("value") is not None:
        return False
    types = _schema(param).get("type", "null")
    return "null" not in (types if isinstance(types, list) else [types])


class Paused:
    """Whether a DAG is paused, as of at most 30 s ago; thread-safe."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, bool]] = {}

    def note(self, dag_id: str, *, is_paused: bool) -> None:
        """Remember what Airflow said."""
        with self._lock:
            self._known[dag_id] = (time.monotonic() + _PAUSED_SECONDS, is_paused)

    def ask(self, session: "Session", dag_id: str) -> bool:
        """Return it from memory, or ask; no when Airflow does not tell."""
        with self._lock:
            until, is_paused = self._known.get(dag_id, (0.0, False))
        if time.monotonic() < until:
            return is_paused
        answer = session.call("GET", "dags", dag_id, seconds=_PAUSED_WITHIN_SECONDS)
        is_paused = isinstance(answer, Answer) and answer.object().get("is_paused") is True
        self.note(dag_id, is_paused=is_paused)
        return is_paused


def may_start(session: "Session", dag_id: str) -> bool | None:
    """Return whether the user may start runs of a DAG, None where that is not known. Starts none.

    What is posted can never be a run: neither its date nor its conf can be read. Airflow 3 looks at the right first
    (403) and then at the body (422). Airflow 2 looks at the body first, so it does not tell.
    """
    answer = session.call("POST", "dags", dag_id, "dagRuns", body={"logical_date": "never", "conf": "none"})
    return {403: False, 422: True}.get(answer.status) if isinstance(answer, Answer) else None
