"""What a group of failed, held or failed-run triggers says to a person: why, the next step, and what can be done. Pure.

`filter` means what was counted, up to the newest of the group. What was made before and fails later is meant, too: so
whoever acts on it counts first, and sends what that expects (`flows/ordering.hold_to`).
"""

from datetime import timedelta

from bridge.rules import views
from bridge.words.causes import Causes, Group
from bridge.words.dags import DagState
from bridge.words.model import TriggerState
from bridge.words.orders import Action
from bridge.words.runs import RunState

MOST_SHOWN = 200
_MILLISECOND = timedelta(milliseconds=1)  # ids tell the time of their making to it
RUNS = {
    RunState.FAILED: (
        "The DAG run was started, and it failed in Airflow.",
        "Open the DAG run in Airflow and mend what failed; clear it there, or start a new one with"
        " `replay --run-again`.",
    ),
    RunState.DELETED: (
        "The DAG run was started, and Airflow has it no more: somebody deleted it.",
        "Start a new one with `replay --run-again` if it is still needed.",
    ),
    RunState.UNKNOWN: (
        "The DAG run was still open when the time for following it (`BRIDGE_FOLLOW_DAYS`) was over.",
        "Look at it in Airflow; start a new one with `replay --run-again` if it is needed.",
    ),
}
DAGS = {
    DagState.MISSING: ("Airflow does not know it", "Correct the route, or look why Airflow has not parsed it."),
    DagState.STALE: ("it is no longer in its file", "Put it back, or take it out of the mapping."),
    DagState.BROKEN: ("its file has an import error", "Mend the file; Airflow shows the error."),
    DagState.PAUSED: ("it is paused: Airflow keeps its runs queued", "Unpause it in Airflow, or pause its route here."),
}
_ACTIONS = {
    TriggerState.FAILED: (Action.REPLAY, Action.RUN_AGAIN, Action.CANCEL),
    TriggerState.HELD: (Action.REPLAY, Action.CANCEL),
    TriggerState.FIRED: (Action.RUN_AGAIN,),
}


def words(group: Group) -> tuple[str, str]:
    """Return why a group stands still, and the next step."""
    if group.run_state is not None:
        return RUNS[group.run_state]
    return ("", "") if group.reason is None else (group.reason.why, group.reason.next_step)


def view(group: Group) -> views.Json:
    """Return a group as plain JSON values."""
    why, next_step = words(group)
    return {
        "state": str(group.state),
        "run_state": None if group.run_state is None else str(group.run_state),
        "reason": None if group.reason is None else str(group.reason),
        "why": why or None,
        "next_step": next_step or None,
        "route": group.route,
        "dag_id": group.dag_id,
        "airflow": group.airflow,
        "count": group.count,
        "oldest": views.instant(group.oldest_at),
        "newest": views.instant(group.newest_at),
        "example": group.example,
        "actions": [str(action) for action in _ACTIONS.get(group.state, ())],
        "filter": _filter(group),
    }


def view_all(found: Causes) -> views.Json:
    """Return the largest groups, and how much there is beside them."""
    return {
        "causes": [view(group) for group in found.groups[:MOST_SHOWN]],
        "count": sum(group.count for group in found.groups),
        "left_out": len(found.groups[MOST_SHOWN:]),
        "is_whole": found.is_whole,
    }


def _filter(group: Group) -> views.Json:
    state = {"state": str(group.state)} if group.run_state is None else {"run_state": str(group.run_state)}
    word = group.reason_word or group.reason
    reason = {} if word is None else {"reason": str(word)}
    place = {"route": group.route, "dag_id": group.dag_id, "airflow": group.airflow}
    until = views.instant(group.newest_at + _MILLISECOND)
    return state | reason | place | {"until": until, "is_latest": "true"}
