"""What is asked of Airflow about DAGs, and what its answers mean.

A page of the list has 100 DAGs, stale ones too. A DAG that the list lacks is asked for by itself before anybody says
that it is missing: a page may move under whoever turns it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bridge.edges.airflow import answers
from bridge.edges.airflow.versions import VERSIONS
from bridge.edges.airflow.wire import Answer, Failure
from bridge.words.dags import DagFacts, DagPage
from bridge.words.outcomes import Misconfigured
from bridge.words.reasons import Reason

if TYPE_CHECKING:
    from bridge.edges.airflow.session import Session

PAGE = 100  # the most that any version gives unless it is told otherwise


def page(session: "Session", offset: int) -> DagPage | answers.TargetProblem:
    """Return a page of the DAGs that the user may see, by id, or what keeps Airflow from telling."""
    version = session.version()
    if not isinstance(version, str):
        return version
    query = f"?limit={PAGE}&offset={offset}&order_by=dag_id&{VERSIONS[version].stale_too}"
    answer = session.call("GET", "dags", query=query)
    if not isinstance(answer, Answer):
        return answers.after_failure(answer) if isinstance(answer, Failure) else answer
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
    if answer.status == 404 and answer.is_json:
        return DagFacts(exists=False)
    if (problem := answers.after_question(answer)) is not None:
        return problem
    if "is_paused" not in answer.object():
        return _no_answer(answer, "which is no DAG")
    return facts(answer.object())


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
