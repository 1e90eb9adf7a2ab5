"""Facts as plain JSON values: one form for the API, the command line's --json and the pages. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from bridge.rules.awaiting import Judgement
from bridge.rules.hops import Chain
from bridge.rules.mapping import Route, Verdict, event_fields
from bridge.rules.planning import Plan, Planned
from bridge.rules.verifying import Report, Result
from bridge.words.dags import DagParams, KnownDag
from bridge.words.model import Attempt, Call, Delivery, DeliveryEntry, Trigger, TriggerEntry, TriggerState
from bridge.words.orders import Order
from bridge.words.pauses import Pause
from bridge.words.reasons import Reason
from bridge.words.runs import Run
from bridge.words.via import Via

Json = dict[str, Any]


def instant(value: datetime | None) -> str | None:
    """Spell an aware instant as RFC 3339 in UTC with milliseconds."""
    return None if value is None else value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def reason(value: Reason | None, detail: str | None) -> Json:
    """Return a reason with the sentences that explain it."""
    if value is None:
        return {"reason": None, "detail": detail}
    return {"reason": str(value), "detail": detail, "why": value.why, "next_step": value.next_step}


def delivery_entry(value: Delivery | DeliveryEntry) -> Json:
    """Return a delivery as a list shows it."""
    return {
        "id": value.id,
        "source": value.source,
        "event_id": value.event_id,
        "state": str(value.state),
        **reason(value.reason, value.detail),
        "received_at": instant(value.received_at),
        "via": str(value.via),
        "key_id": value.key_id if value.via is Via.WEBHOOK else None,
    }


def delivery(value: Delivery) -> Json:
    """Return a delivery whole, with body, headers and look-up."""
    return delivery_entry(value) | {
        "signed_at": instant(value.signed_at),
        "path_pipeline_id": value.path_pipeline_id,
        "headers": dict(value.headers),
        "body": None if value.locked else value.body.decode("utf-8", "backslashreplace"),
        "lookup": value.lookup,
        "lookups": value.lookups,
        "is_answered": is_answered(value),
        "locked": value.locked,
        "erased_at": instant(value.erased_at),
        "caused_by": value.caused_by,
    }


def is_answered(value: Delivery) -> bool | None:
    """Whether the API told of a delivery's job; None: that can be read no more. A look-up given up is `{}`."""
    return None if value.locked is not None or value.erased_at is not None else bool(value.lookup)


def trigger_entry(value: TriggerEntry) -> Json:
    """Return a trigger as a list shows it."""
    return {
        "id": value.id,
        "delivery_id": value.delivery_id,
        "route": value.route,
        "airflow": value.airflow,
        "dag_id": value.dag_id,
        "dag_run_id": value.dag_run_id or None,
        "state": str(value.state),
        **reason(value.reason, value.detail),
        "attempts": value.attempts,
        "created_at": instant(value.created_at),
        "due_at": instant(value.due_at),
        "settled_at": instant(value.settled_at),
        **run(value.run),
    }


def trigger(value: Trigger) -> Json:
    """Return a trigger whole, with conf, note and limits."""
    return trigger_entry(value.entry) | {
        "conf": None if value.locked else value.call.conf,
        "note": value.call.note,
        "locked": value.locked,
        "limits": asdict(value.call.limits),
    }


_PAYLOADS = frozenset({"body", "conf", "detail", "headers", "lookup", "note"})  # whose values a sender can choose
_WITHHELD = "payloads and details are shown to operators"


def without_payloads(shown: Json) -> Json:
    """Return what is shown of deliveries, triggers and attempts without any value that a stored payload has.

    Ids, names and states stay. Details go, too: some quote a value.
    """
    return {name: _withheld(name, value) for name, value in shown.items()} | {"withheld": _WITHHELD}


def _withheld(name: str, value: Any) -> Any:
    if name in _PAYLOADS:
        return None
    if isinstance(value, Mapping):
        return {inner: _withheld(inner, each) for inner, each in value.items()}
    return [_withheld("", each) for each in value] if isinstance(value, list) else value


def run(value: Run | None) -> Json:
    """Return what became of a trigger's DAG run; without one nobody follows it, or there is none yet."""
    return {
        "run_state": None if value is None else str(value.state),
        "run_started_at": None if value is None else instant(value.started_at),
        "run_ended_at": None if value is None else instant(value.ended_at),
    }


def attempt(value: Attempt) -> Json:
    """Return an attempt."""
    return {
        "number": value.number,
        "started_at": instant(value.started_at),
        "seconds": round(value.seconds, 4),
        "outcome": value.outcome,
        **reason(value.reason, value.detail),
        "http_status": value.http_status,
    }


def pause(value: Pause, *, is_gone: bool) -> Json:
    """Return a pause; `is_gone`: what it names is configured no more."""
    return {
        "kind": str(value.kind),
        "name": value.name,
        "is_gone": is_gone,
        "paused_at": instant(value.paused_at),
        "ends_at": instant(value.ends_at),
        "actor": value.actor,
        "reason": value.reason,
    }


def order(value: Order) -> Json:
    """Return an order: what was asked for, and how far it is."""
    return {
        "id": value.id,
        "action": value.action,
        "state": str(value.state),
        "actor": value.actor,
        "reason": value.reason,
        "count": value.count,
        "done": value.done,
        "outcomes": dict(value.outcomes),
        "placed_at": instant(value.placed_at),
        "ended_at": instant(value.ended_at),
    }


def chain(value: Chain) -> Json:
    """Return the triggers of which the DAG runs led to a delivery, oldest first; empty if none is known."""
    return {"chain": [asdict(link) for link in reversed(value.links)]}


def rivals(value: TriggerEntry, of_its_delivery: Iterable[TriggerEntry]) -> Json:
    """Return the other routes that start the same DAG for the same delivery: two runs that look alike in Airflow."""
    place = (value.airflow, value.dag_id)
    others = (item for item in of_its_delivery if (item.airflow, item.dag_id) == place)
    names = {item.route for item in others if item.state is not TriggerState.CANCELLED}
    return {"also_started_by": sorted(names - {value.route})}


def dag(value: KnownDag, params: DagParams | None = None, routes: Iterable[Route] = ()) -> Json:
    """Return what Airflow says about a DAG; `lacks_params`: what routes leave out that it wants in conf."""
    shown = {
        "airflow": value.airflow,
        "dag_id": value.dag_id,
        "state": str(value.state),
        "since": instant(value.since),
        "read_at": instant(value.read_at),
    }
    if params is None:
        return shown
    mine = [item for item in routes if item.airflow == value.airflow and value.dag_id in item.dags and item.enabled]
    lacking = {item.name: item.lacks(params.required) for item in mine}
    return shown | {
        "params": dict(params.schemas),
        "required_params": list(params.required),
        "lacks_params": {name: names for name, names in lacking.items() if names},
    }


def route(value: Route) -> Json:
    """Return a route of the mapping in use."""
    return {
        "name": value.name,
        "is_named": value.is_named,
        "owner": value.owner,
        "file": value.file,
        "line": value.line,
        "enabled": value.enabled,
        "airflow": value.airflow,
        "dags": list(value.dags),
        "matches": {test.key: list(test.wanted) for test in value.tests},
        "has_condition": value.condition is not None,
        "limits": asdict(value.limits),
        "follow": value.follow,
        "if_paused": str(value.if_paused),
        "release": str(value.release),
    }


def call(value: Call) -> Json:
    """Return the exact call: what is posted to which Airflow."""
    return {
        "airflow": value.airflow,
        "dag_id": value.dag_id,
        "dag_run_id": value.dag_run_id,
        "conf": value.conf,
        "note": value.note,
    }


def plan(value: Plan) -> Json:
    """Return what `explain` shows: the event, every route's verdict, and the calls."""
    return {
        "state": str(value.state),
        **reason(value.reason, value.detail),
        "event": None if value.event is None else event_fields(value.event),
        "found_at": {} if value.event is None else dict(value.event.origins),
        "notes": [] if value.event is None else list(value.event.notes),
        "routes": [_verdict(verdict) for verdict in value.verdicts],
        "triggers": [_planned(planned, value) for planned in value.triggers],
        "wants_lookup": value.wants_lookup,
    }


def judgement(value: Judgement) -> Json:
    """Return how what somebody waits for stands."""
    return {"outcome": str(value.outcome), "why": value.why}


def report(value: Report) -> Json:
    """Return what was compared with Airflow, and all that is off."""
    return {
        "since": instant(value.since),
        "until": instant(value.until),
        "is_well": value.is_well,
        "deliveries": dict(value.deliveries),
        "results": {str(result): value.results[result] for result in Result},
        "waiting": dict(value.waiting),
        "findings": [asdict(finding) for finding in value.findings],
        "unasked": dict(value.unasked),
        "unread": [asdict(unread) for unread in value.unread.values()],
        "requests": value.requests,
    }


def _verdict(verdict: Verdict) -> Json:
    error = None if verdict.error is None else str(verdict.error)
    said = {"matches": verdict.matches, "why_not": verdict.why_not, "error": error, "because": verdict.because}
    return {"route": verdict.route.name} | said


def _planned(planned: Planned, among: Plan) -> Json:
    return {
        "route": planned.route.name,
        "airflow": planned.route.airflow,
        "dag_id": planned.dag_id,
        "state": str(planned.state),
        **reason(planned.reason, planned.detail),
        "also_started_by": list(among.rivals(planned)),
        "call": None if planned.call is None else call(planned.call),
    }


def dump(value: Any) -> bytes:
    """Encode as JSON for HTTP. Any Mapping becomes an object.

    Half a surrogate pair, which an API may send, is written as its escape again.
    """
    text = json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
