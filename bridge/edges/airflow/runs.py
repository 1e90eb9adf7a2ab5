"""What is asked of Airflow for a trigger, and whose a DAG run is that was read back. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

from bridge.edges.airflow.versions import VERSIONS
from bridge.edges.airflow.wire import made_at, shown
from bridge.rules import completion, run_names
from bridge.words.holds import Awaits
from bridge.words.model import Trigger
from bridge.words.outcomes import AlreadyThere, Later, Misconfigured, Never, Renamed, Taken
from bridge.words.reasons import Reason

_MOST_NOTE = 1000  # Airflow's limit; longer ones are a 500 or a 422
_DAG_ID = re.compile(r"[\w.-]+")  # Airflow's own rule
_HELD_SECONDS = 300.0
_INDENT = 4


def unsendable(trigger: Trigger, max_conf_bytes: int) -> Never | Later | Misconfigured | None:
    """Tell why a trigger is not worth a call: Airflow (or the path to it) would take it for something else."""
    if trigger.locked is not None:
        return Misconfigured(Reason.KEY_MISSING, trigger.locked, is_whole_target=False, is_look=True)
    try:
        conf = json.dumps(trigger.call.conf, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        length = len(conf.encode("utf-8"))
    except ValueError:
        # NaN, Infinity or half a surrogate pair: a 500 from Airflow 3.0 to 3.2, which would look like its own fault.
        return Never(Reason.CONF_REFUSED, "the conf holds a number or a character that JSON cannot carry")
    if length > max_conf_bytes:
        return Never(Reason.CONF_TOO_LARGE, f"{length} bytes, and max_conf_bytes is {max_conf_bytes}")
    if not _DAG_ID.fullmatch(trigger.call.dag_id) or not trigger.call.dag_id.strip("."):
        # A slash in it would hit another path, whose 405 would look like a wrong URL of the whole Airflow.
        detail = "no DAG can have this id: letters, digits, dots, dashes and underscores only"
        return Later(
            Reason.DAG_NOT_FOUND,
            detail,
            wait_seconds=_HELD_SECONDS,
            is_hold=True,
            awaits=Awaits.THERE,
            is_look=True,
        )
    return None


def body(trigger: Trigger, version: str) -> dict[str, Any]:
    """Return the body of the POST: always with our own id, without which a repeated call would make a second run."""
    body: dict[str, Any] = {"dag_run_id": trigger.call.dag_run_id, "conf": dict(trigger.call.conf)}
    body |= VERSIONS[version].run_needs
    if trigger.call.note:
        body["note"] = trigger.call.note[:_MOST_NOTE]
    return body


def echo_bytes(trigger: Trigger) -> int:
    """Return how long Airflow's answer may spell the conf that it repeats: indented, and escaped where it is not ASCII.

    Airflow 2.11 made 1.34 MB of 40 kB.
    """
    return len(json.dumps({"dag_runs": [{"conf": dict(trigger.call.conf)}]}, indent=_INDENT))


def judge_existing(run: Mapping[str, Any], trigger: Trigger) -> AlreadyThere | Never | Taken:
    """Tell who made a DAG run under our id: this trigger, one of the same completion, one of its route, or a stranger.

    Another's ends every doubt: Airflow takes an id once, so ours is not there, and no call on its way can make it.
    """
    conf = run.get("conf")
    theirs = conf.get("planasonix") if isinstance(conf, Mapping) else None
    if not isinstance(theirs, Mapping):
        return _strange("its conf has no `planasonix`: not made by a bridge")
    if theirs.get("trigger_id") == trigger.id:
        return AlreadyThere(Reason.ALREADY_THERE, run_after=made_at(run))
    ours = trigger.call.conf.get("planasonix")
    if isinstance(ours, Mapping) and completion.is_same_run(ours, theirs, run_id=trigger.call.dag_run_id):
        return AlreadyThere(Reason.SAME_COMPLETION, run_after=made_at(run))
    made_by = shown(f"it was made by trigger {theirs.get('trigger_id')} of route {theirs.get('route')}")
    if not trigger.rerun and isinstance(ours, Mapping):
        is_of_the_route = run_names.is_of_the_route(ours, theirs, dag_run_id=trigger.call.dag_run_id)
        return Taken(f"the run of this `dag_run_id` is there: {made_by}") if is_of_the_route else _strange(made_by)
    return _strange(made_by)


def _strange(detail: str) -> Never:
    return Never(Reason.RUN_ID_CONFLICT, detail, http_status=409, is_certain=True)


def judge_taken(run: Mapping[str, Any], trigger: Trigger) -> AlreadyThere | Never | Renamed | Taken:
    """As `judge_existing`, after Airflow refused the id: this call, at least, has started nothing.

    If an earlier call may have, a person looks before it takes another name.
    """
    outcome = judge_existing(run, trigger)
    if not isinstance(outcome, Never) or trigger.doubted_at is not None:
        return outcome
    conf, ours = run.get("conf"), trigger.call.conf.get("planasonix")
    theirs = conf.get("planasonix") if isinstance(conf, Mapping) else None
    if not isinstance(ours, Mapping) or not isinstance(theirs, Mapping):
        return outcome
    spare = run_names.spare_beside(ours, theirs, dag_run_id=trigger.call.dag_run_id)
    return outcome if spare is None else Renamed(spare, f"{outcome.detail}; it goes on as {spare}")
