"""Tasks of the stand-in for Airflow that wait for input: listed, looked at, answered, as Airflow 3.3 does it."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.words.waits import TaskKey
from tests.support.standin import Answer, Standin

START = datetime(2026, 1, 1, tzinfo=UTC)


class ParkedTasks:
    """The tasks; every one may be changed while it waits."""

    def __init__(self, standin: Standin) -> None:
        """Answer through the stand-in."""
        self._lock = threading.Lock()
        self._tasks: dict[tuple[str, ...], dict[str, Any]] = {}
        self.answers: list[tuple[str, str, dict[str, Any]]] = []  # task, option, what was told; only what was taken
        self.refused: list[tuple[str, int]] = []
        standin.more = self._answer

    def park(self, name: str, subject: str, **more: Any) -> TaskKey:
        """Park the task `name` of the DAG `loads`, now or `at`."""
        key = TaskKey("loads", f"run {name}/1", name, -1)
        usual = {
            "subject": subject,
            "state": "awaiting_input",
            "try_number": 1,
            "answered": False,
            "xcom": {},
            "tries": {},
        }
        with self._lock:
            at = more.pop("at", START + timedelta(seconds=len(self._tasks)))
            self._tasks[_name(key)] = usual | {"key": key, "at": at, "options": ["succeeded", "failed", "look"]} | more
        return key

    def change(self, key: TaskKey, **more: Any) -> None:
        """Let a task be in another state, or try."""
        with self._lock:
            self._tasks[_name(key)] |= more

    def clear(self, key: TaskKey) -> None:
        """Let a person clear a task: its request stays, and its old try becomes history."""
        with self._lock:
            task = self._tasks[_name(key)]
            task["tries"][task["try_number"]] = task["answered"]
            task["state"] = None

    def begin(self, key: TaskKey, run: str | None = None, **more: Any) -> None:
        """Let the next try begin; with `run` it is parked again, for that run."""
        with self._lock:
            task = self._tasks[_name(key)]
            task |= {"try_number": task["try_number"] + 1, "state": "running", "xcom": {}, "answered": False}
            if run is not None:
                task |= {"state": "awaiting_input", "xcom": {"planasonix_run_id": run}}
            task |= more

    def remove(self, key: TaskKey) -> None:
        """Let its DAG run be deleted."""
        with self._lock:
            del self._tasks[_name(key)]

    def _answer(self, method: str, parts: list[str], body: dict[str, Any], query: dict[str, str]) -> Answer | None:
        # The stand-in unquotes the path before it is split, so a run id with a slash has two parts.
        joined = "/".join(parts)
        with self._lock:
            if joined == "dags/~/dagRuns/~/hitlDetails":
                return self._listed(query)
            for task in self._tasks.values():
                key: TaskKey = task["key"]
                place = f"dags/{key.dag_id}/dagRuns/{key.dag_run_id}/taskInstances/{key.task_id}"
                if joined == f"{place}/{key.map_index}/hitlDetails":
                    return (200, _shown(task)) if method == "GET" else self._answered(task, body)
                if joined.startswith(f"{place}/{key.map_index}/hitlDetails/tries/"):
                    number = int(parts[-1])
                    if number in task["tries"]:
                        return 200, _shown(task | {"try_number": number, "answered": task["tries"][number]})
                    return 404, {"detail": "The Task Instance was not found"}
                if joined.startswith(f"{place}/xcomEntries/"):
                    value = task["xcom"].get(parts[-1])
                    return (404, {"detail": "XCom entry not found"}) if value is None else (200, {"value": value})
            return 404, {"detail": "The Task Instance was not found"}

    def _listed(self, query: dict[str, str]) -> Answer:
        assert (query["response_received"], query["state"], query["order_by"]) == (
            "false",
            "awaiting_input",
            "-created_at",
        )
        found = [
            task
            for task in self._tasks.values()
            if query["subject_search"] in task["subject"] and task["state"] == query["state"] and not task["answered"]
        ]
        found.sort(key=lambda task: task["at"], reverse=True)
        begin, most = int(query["offset"]), min(100, int(query["limit"]))
        page = [_shown(task) for task in found[begin : begin + most]]
        return 200, {"hitl_details": page, "total_entries": len(found)}

    def _answered(self, task: dict[str, Any], body: dict[str, Any]) -> Answer:
        (option,) = body["chosen_options"]
        name = task["key"].task_id
        if task["answered"] or option not in task["options"]:
            self.refused.append((name, 409 if task["answered"] else 400))
            return self.refused[-1][1], {"detail": "as Airflow says it"}
        task["answered"] = True
        if task["state"] == "awaiting_input":
            task["state"] = "scheduled"
        self.answers.append((name, option, body["params_input"]))
        return 200, {"chosen_options": [option], "params_input": body["params_input"]}


def _name(key: TaskKey) -> tuple[str, ...]:
    return tuple(map(str, key))


def _shown(task: dict[str, Any]) -> dict[str, Any]:
    key: TaskKey = task["key"]
    shown = {**key._asdict(), "state": task["state"], "try_number": task["try_number"]}
    return {
        "subject": task["subject"],
        "created_at": task["at"].isoformat(),
        "response_received": task["answered"],
        "task_instance": shown,
    }
