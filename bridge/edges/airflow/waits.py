"""What is asked of Airflow about tasks that wait for input, and how one is answered. Airflow 3.3 and newer.

The list holds those that are parked, unanswered and have the marker in their subject. What a task is parked for is its
request's subject; Airflow keeps that over the tries, so the run of a later try is read from XCom.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from bridge.edges.airflow import answers
from bridge.edges.airflow.wire import Answer, Failure, instant
from bridge.words.outcomes import Misconfigured, TargetDown
from bridge.words.reasons import Reason
from bridge.words.waits import Parked, ParkedPage, TaskKey

if TYPE_CHECKING:
    from bridge.edges.airflow.session import Session

Problem = TargetDown | Misconfigured
_LIST = ("dags", "~", "dagRuns", "~", "hitlDetails")
_WAITING = "awaiting_input"
_SECONDS = 10.0


class Waits:
    """The tasks of one Airflow that wait; thread-safe as its session is."""

    def __init__(self, session: Callable[[], "Session"]) -> None:
        """`session` opens it at the first use."""
        self._session = session

    def page(self, marker: str, *, offset: int, limit: int) -> ParkedPage | Problem:
        """Return some of the tasks that wait, newest request first, by one request."""
        asked = {
            "response_received": "false",
            "state": _WAITING,
            "subject_search": marker,
            "order_by": "-created_at",
            "limit": limit,
            "offset": offset,
        }
        answer = self._ask("GET", *_LIST, query=f"?{urlencode(asked)}")
        if not isinstance(answer, Answer):
            return answer
        if answer.is_cut and answer.status == 200:
            return ParkedPage((), 0, 0, is_cut=True)
        if (problem := answers.after_question(answer)) is not None:
            return problem
        listed, total = (answer.object().get(name) for name in ("hitl_details", "total_entries"))
        if not isinstance(listed, list) or not isinstance(total, int):
            return _no_answer(answer, "which lists no tasks that wait")
        return ParkedPage(tuple(task for item in listed if (task := parked(item)) is not None), len(listed), total)

    def look(self, task: TaskKey, *, try_number: int | None = None) -> Parked | Problem | None:
        """Return one task's request of now, or of one try; None if Airflow has none."""
        tries = () if try_number is None else ("tries", str(try_number))
        answer = self._ask("GET", *_steps(task), *tries)
        if not isinstance(answer, Answer):
            return answer
        if answer.status == 404 and answer.is_json:
            return None
        found = parked(answer.object())
        return answers.after_question(answer) or found or _no_answer(answer, "which is no request for input")

    def answer(self, task: TaskKey, option: str, facts: Mapping[str, Any]) -> bool | Problem:
        """Answer a task's request; False: it was answered before, is gone, or knows no such option. Never doubles."""
        body = {"chosen_options": [option], "params_input": dict(facts)}
        answer = self._ask("PATCH", *_steps(task), body=body)
        if not isinstance(answer, Answer):
            return answer
        if answer.status in (400, 404, 409, 422) and answer.is_json:
            return False
        return answers.after_question(answer) or True

    def run_of(self, task: TaskKey, key: str) -> str | Problem | None:
        """Return a text that the task has left in XCom; None if there is none."""
        query = f"?{urlencode({'map_index': task.map_index})}"
        steps = ("dags", task.dag_id, "dagRuns", task.dag_run_id, "taskInstances", task.task_id, "xcomEntries", key)
        answer = self._ask("GET", *steps, query=query)
        if not isinstance(answer, Answer):
            return answer
        if answer.status == 404 and answer.is_json:
            return None
        value = answer.object().get("value")
        return answers.after_question(answer) or (value if isinstance(value, str) and value else None)

    def _ask(self, method: str, *steps: str, query: str = "", body: Any = None) -> Answer | Problem:
        answer = self._session().call(method, *steps, query=query, body=body, seconds=_SECONDS)
        return answers.after_failure(answer) if isinstance(answer, Failure) else answer


def parked(item: Any) -> Parked | None:
    """Read one request leniently; None if it names no task."""
    task = item.get("task_instance") if isinstance(item, Mapping) else None
    if not isinstance(task, Mapping):
        return None
    names = [task.get(name) for name in ("dag_id", "dag_run_id", "task_id")]
    index, number, since = task.get("map_index"), task.get("try_number"), instant(item.get("created_at"))
    if not all(isinstance(name, str) for name in names) or not isinstance(index, int) or since is None:
        return None
    return Parked(
        task=TaskKey(str(names[0]), str(names[1]), str(names[2]), index),
        try_number=number if isinstance(number, int) else 1,
        subject=str(item.get("subject")),
        since=since,
        is_waiting=task.get("state") == _WAITING,
        is_answered=item.get("response_received") is True,
        state=state if isinstance(state := task.get("state"), str) else None,
    )


def _steps(task: TaskKey) -> tuple[str, ...]:
    place = ("dags", task.dag_id, "dagRuns", task.dag_run_id, "taskInstances", task.task_id)
    return (*place, str(task.map_index), "hitlDetails")


def _no_answer(answer: Answer, what: str) -> Misconfigured:
    detail = f"{answers.message(answer)}, {what}: parked tasks need Airflow 3.3 or newer"
    return Misconfigured(Reason.AIRFLOW_MISCONFIGURED, detail, is_whole_target=False, http_status=answer.status)
