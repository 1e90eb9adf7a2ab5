"""POST /api/v1/outcomes: the door for an Airflow that reports by itself how its DAG runs end (a listener, say).

It has a token of its own, BRIDGE_OUTCOMES_TOKEN, that opens nothing else. A report is applied only to a run that the
bridge started and still follows, so the worst that a stolen token can do is to say that an open run has ended.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from bridge.flows.following import Following
from bridge.rules import views
from bridge.web.queries import json_object
from bridge.words.errors import BadFilter
from bridge.words.runs import RunSeen, RunState

_MAX_RUNS = 100
_MAX_TEXT = 250  # Airflow's limit for ids
_STATES = (RunState.RUNNING, RunState.SUCCESS, RunState.FAILED)
_KEYS = {"dag_id", "dag_run_id", "state", "started_at", "ended_at"}


class OutcomesApi:
    """Takes reports in."""

    def __init__(self, *, following: Following, airflows: Collection[str]) -> None:
        """`airflows` are the names of bridge.yaml."""
        self._following = following
        self._airflows = tuple(airflows)

    def outcomes(self, *, body: bytes, **_: Any) -> views.Json:
        """Take in `{"airflow": ..., "runs": [{"dag_id", "dag_run_id", "state", "started_at", "ended_at"}, ...]}`."""
        order = json_object(body, "airflow", "runs")
        airflow = order.get("airflow", self._airflows[0] if len(self._airflows) == 1 else None)
        runs = order.get("runs")
        if airflow not in self._airflows:
            raise BadFilter(f"no such Airflow; there is {', '.join(self._airflows)}")
        if not isinstance(runs, list) or not 1 <= len(runs) <= _MAX_RUNS:
            raise BadFilter(f'send {{"airflow": "...", "runs": [...]}} with 1 to {_MAX_RUNS} runs')
        seen = [_read(item) for item in runs]
        stored = self._following.take_in(airflow, seen)
        return {"taken": stored, "not_open": len(seen) - stored}


def _read(item: Any) -> RunSeen:
    if not isinstance(item, Mapping) or not item.keys() <= _KEYS:
        raise BadFilter(f"a run is an object with {', '.join(sorted(_KEYS))}")
    dag_id, run_id, state = _text(item, "dag_id"), _text(item, "dag_run_id"), item.get("state")
    if state not in _STATES:
        raise BadFilter(f"state must be one of {', '.join(_STATES)}")
    started_at, ended_at = (_instant(item, name) for name in ("started_at", "ended_at"))
    return RunSeen(dag_id, run_id, state, None, started_at, ended_at)


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    if isinstance(value, str) and 0 < len(value) <= _MAX_TEXT and value.isprintable():
        return value
    raise BadFilter(f"{name} must be text")


def _instant(item: Mapping[str, Any], name: str) -> datetime | None:
    value = item.get(name)
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise BadFilter(f"{name} must be an instant with an offset, like 2025-03-27T14:00:00Z")
