"""Lists of deliveries and triggers, and the way of one of them: what happened, what waits, and why."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from bridge.edges.inbox.browsing import DELIVERY_FILTERS, TRIGGER_FILTERS
from bridge.edges.inbox.engine.ids import prefix_of
from bridge.edges.inbox.filtering import REASONS_OF_BOTH, TRIGGER_REASONS
from bridge.edges.inbox.finding import MOST_ENDED
from bridge.rules import stories, views
from bridge.web.faces import Faces
from bridge.web.pages import finding
from bridge.web.pages.asking import Asked
from bridge.web.pages.drawing import Drawing, lead
from bridge.web.queries import MAX_LIMIT
from bridge.words.errors import BadFilter, BridgeError, NotThere
from bridge.words.model import DeliveryState, Status, TriggerState
from bridge.words.roles import Role
from bridge.words.runs import RunState

_OF_TRIGGERS = TRIGGER_FILTERS - DELIVERY_FILTERS  # whoever asks by one of these wants to see triggers
_NAMES = DELIVERY_FILTERS | TRIGGER_FILTERS | {"limit"}
_IDS = {"event": "event_id", "job": "job_id", "run": "run_id", "pipeline": "pipeline_id"}  # what lists filter by
_BESIDE = {"pipeline_id", "job_id", "run_id", "since", "until", "limit"}  # whoever asks by anything else knows more
_TIMES = ("since", "until")
_MOST_SHOWN = 20  # triggers of one delivery with all their attempts; more are listed
_PAGES = {"dlv": "/deliveries/", "trg": "/triggers/", "ord": "/orders/"}


class Deliveries:
    """Draws `/deliveries` and what is below it."""

    def __init__(self, drawing: Drawing, faces: Faces) -> None:
        """Asks the same as `GET /api/v1/deliveries` and `/api/v1/triggers`."""
        self._drawing = drawing
        self._faces = faces

    def show(self, asked: Asked) -> Response:
        """List what came, newest first, by state, source and time; a search takes any id."""
        query = dict(asked.query)
        if found := query.pop("find", None):
            return self._found(found, asked)
        are_triggers = _are_triggers(query)
        kind = "triggers" if are_triggers else "deliveries"
        wanted = finding.filters(query, _NAMES, now=datetime.now(UTC))
        if surplus := query.keys() - (TRIGGER_FILTERS if are_triggers else DELIVERY_FILTERS) - {"limit", "zone"}:
            raise BadFilter(f"{kind} cannot be filtered by {', '.join(sorted(surplus))}: leave that out")
        list_ = self._faces.looks.triggers if are_triggers else self._faces.looks.deliveries
        shown = list_(query=wanted, caller=asked.caller)
        beside = self._aside(asked, wanted, are_triggers=are_triggers, is_empty=not shown[kind])
        return self._drawing.page(
            "deliveries.html",
            asked,
            kind=kind,
            rows=shown[kind],
            query=query,
            alike=[] if are_triggers else _alike(query),
            **beside,
            silence=None if shown[kind] or beside["aside"] or are_triggers else self._silence(asked, wanted),
            states=[*DeliveryState, *TriggerState],
            run_states=list(RunState),
            statuses=list(Status),
            sources=self._faces.api.source_names,
            newest=finding.newest("/deliveries", query),
            older=finding.older("/deliveries", query, shown["next"]),
        )

    def _aside(self, asked: Asked, wanted: Mapping[str, str], *, are_triggers: bool, is_empty: bool) -> dict[str, Any]:
        """Return what names the pipeline, job or run of a list and is not in it: no end that the bridge knows."""
        id_ = _id_alone(wanted)
        if id_ is None or are_triggers:
            return {"aside": [], "unread": None}
        time = {each: wanted[each] for each in _TIMES if each in wanted}
        found = self._faces.looks.aside(id_, time, caller=asked.caller)
        unread = stories.says_unread(found["unread"]) if found["unread"] else None
        # That older ones were not looked at is news only to whoever finds nothing.
        is_said = is_empty or (found["unread"] or {}).get("count")
        return {"aside": found["deliveries"], "unread": unread if is_said else None}

    def _silence(self, asked: Asked, wanted: Mapping[str, str]) -> views.Json | None:
        """Return what `why` says where nothing came; not to a viewer, since it shows who was refused."""
        id_ = _id_alone(wanted)
        if id_ is None or not asked.caller.may(Role.OPERATOR):
            return None
        time = {each: wanted[each] for each in _TIMES if each in wanted}
        if "since" in time:  # refuses a time to come
            time.setdefault("until", datetime.now(UTC).isoformat())
        try:
            found = self._faces.why.why(path={"id": id_}, query=time)["silence"]
        except BridgeError:  # the filter has an id of our own, or a time to come: nothing can be said of it
            return None
        return None if found is None else found | {"id": id_, "all_refusals": _refused_then(found)}

    def delivery(self, asked: Asked) -> Response:
        """Show the way of one delivery: received, routed, every trigger with its attempts, its DAG runs, and why."""
        shown = self._faces.looks.delivery(path=asked.path, caller=asked.caller)
        ids = [each["id"] for each in shown["triggers"]]
        whole = [self._trigger(asked, id_) for id_ in ids[:_MOST_SHOWN]]
        plan, plan_problem = self._plan(asked, shown)
        return self._drawing.page(
            "delivery.html",
            asked,
            delivery=shown,
            triggers=whole,
            listed=_listed(shown),
            others=self._others(asked, shown),
            copies=self._copies(asked, shown),
            plan=plan,
            plan_problem=plan_problem,
        )

    def trigger(self, asked: Asked) -> Response:
        """Show one trigger: its call, its attempts, its DAG run, and what waits for what."""
        return self._drawing.page("trigger.html", asked, trigger=self._trigger(asked, asked.path["id"]))

    def _trigger(self, asked: Asked, id_: str) -> views.Json:
        shown = self._faces.looks.trigger(path={"id": id_}, caller=asked.caller)
        return shown | {"run_url": self._faces.links.run(shown["airflow"], shown["dag_id"], shown["dag_run_id"])}

    def _plan(self, asked: Asked, shown: views.Json) -> tuple[Any, str | None]:
        """Return what the mapping makes of it now; a viewer sees none, since it shows values."""
        if not asked.caller.sees_payloads or shown["locked"] or shown["erased_at"]:
            return None, None
        try:
            order = json.dumps({"delivery_id": shown["id"]}).encode()
            return self._faces.api.explain(body=order, caller=asked.caller), None
        except BridgeError as error:
            return None, str(error)

    def _copies(self, asked: Asked, shown: views.Json) -> list[views.Json]:
        """Return the newest copies of it, as far as they are kept; not to a viewer, since they show addresses."""
        if not asked.caller.may(Role.OPERATOR):
            return []
        found: list[views.Json] = self._faces.refusals.refusals(query={"copy_of": shown["id"], "limit": "20"})[
            "refusals"
        ]
        return found

    def _others(self, asked: Asked, shown: views.Json) -> list[views.Json]:
        """Return the other deliveries of the event, newest first."""
        if shown["event_id"] is None:
            return []
        query = {"event_id": shown["event_id"], "source": shown["source"]}
        found = self._faces.looks.deliveries(query=query, caller=asked.caller)["deliveries"]
        return [each for each in found if each["id"] != shown["id"]]

    def _found(self, text: str, asked: Asked) -> Response:
        """Lead to whatever has this id: one thing itself, or the list of what came of it."""
        if (prefix := prefix_of(text)) is not None:
            return lead(_PAGES[prefix] + text)
        searched = self._faces.looks.find(text, caller=asked.caller)
        found = searched.found
        if len(found.deliveries) > 1 and found.kind in _IDS:
            return lead(finding.address("/deliveries", {_IDS[found.kind]: text}))
        if found.deliveries:
            return lead(f"/deliveries/{found.deliveries[0]}")
        none = f"no event, job, run, backfill, pipeline or DAG run has the id {text[:100]}"
        ended = f"Of triggers that failed or were cancelled, the newest {MOST_ENDED:,} each were looked at for it."
        unread = [stories.says_unread(searched.unread)] if searched.unread else []
        raise NotThere(". ".join((none, *unread, ended)))


def _id_alone(wanted: Mapping[str, str]) -> str | None:
    """Return the pipeline, job or run that a list is asked for by, if by nothing else but a time."""
    if wanted.keys() - _BESIDE:
        return None
    return next((wanted[name] for name in ("pipeline_id", "job_id", "run_id") if name in wanted), None)


def _refused_then(silence: views.Json) -> str | None:
    """Return where the refusals of a silence are listed, None if there are none."""
    if not silence["refusals"]:
        return None
    return finding.address("/refusals", {"kind": "refused", "since": min(each["at"] for each in silence["refusals"])})


def _listed(shown: views.Json) -> views.Json | None:
    """Return where the triggers of a delivery are listed, all and by state, if its page has no room for all of them."""
    if len(shown["triggers"]) <= _MOST_SHOWN:
        return None
    amounts = Counter(each["state"] for each in shown["triggers"])
    mine = {"delivery_id": shown["id"]}
    states = [state for state in TriggerState if state in amounts]
    return {
        "all": finding.address("/deliveries", mine),
        "is_more": len(shown["triggers"]) == MAX_LIMIT,
        "states": [
            (state, amounts[state], finding.address("/deliveries", mine | {"state": state})) for state in states
        ],
    }


def _are_triggers(query: Mapping[str, str]) -> bool:
    """Whether triggers are meant: by their state, by a filter of theirs, or by a reason that no delivery has."""
    if "state" in query:
        return query["state"] in set(TriggerState) or not _OF_TRIGGERS.isdisjoint(query)
    return query.get("reason") in TRIGGER_REASONS or not _OF_TRIGGERS.isdisjoint(query)


def _alike(query: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return states of triggers that may have the reason that deliveries are asked for by, with the list of each."""
    if query.get("reason") not in REASONS_OF_BOTH or query.keys() & {"state", "event_id", "after"}:
        return []
    states = (TriggerState.HELD, TriggerState.PENDING)
    return [(str(state), finding.address("/deliveries", {**query, "state": str(state)})) for state in states]
