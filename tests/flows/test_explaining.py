"""Why: what came and has no completion yet is found all the same, and what cannot be read is said."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, deliveries, refusals, unsettled
from bridge.edges.inbox.deliveries import Postponed, Routing, postpone, settle_routing
from bridge.flows import explaining
from bridge.flows.explaining import Around, Time
from bridge.flows.explaining.searching import MOST_OPENED, aside
from bridge.rules import planning, stories
from bridge.rules.completion import Completion, Kind
from bridge.rules.event import USUAL
from bridge.rules.mapping import read
from bridge.rules.planning import Plan, Subject
from bridge.rules.sealing import Ring
from bridge.words.model import Delivery, DeliveryState
from bridge.words.reasons import Reason
from bridge.words.refusals import Refusal, RefusalKind
from tests.support.store import NOW, accept, stored

MAPPING = read(
    "routes:\n  - {pipeline: pl_orders, dag: load_orders}\n", file="m", airflows=["default"], sources=["planasonix"]
)


def plan(delivery: Delivery) -> Plan:
    """Return what the mapping makes of a delivery."""
    return planning.plan(Subject.of(delivery), MAPPING, new_trigger_id=lambda: "trg_0000000000000001", max_hops=5)


AROUND = Around(["planasonix"], plan, lambda *_: None, lambda _: USUAL)


@pytest.fixture
def opened(url: str) -> Iterator[Inbox]:
    """A store of each kind."""
    item = Inbox(url)
    yield item
    item.close()


def send(inbox: Inbox, event: str, *, path: str | None = None, **fields: Any) -> str:
    """Store a webhook, of `pl_orders` unless said otherwise."""
    fields = {"id": event, "type": "job.completed", "job_id": f"job_{event}", "pipeline_id": "pl_orders"} | fields
    return stored(inbox, event, body=json.dumps(fields).encode(), path_pipeline_id=path)


def set_aside(inbox: Inbox, id_: str, state: DeliveryState, reason: Reason) -> str:
    """Store what routing decided, without a completion."""
    inbox.write(settle_routing, [Routing(id_, state, reason, None, None, [], None)], now=NOW)
    return id_


def told(inbox: Inbox, id_: str, **time: Any) -> list[tuple[str, str | None]]:
    """Return the deliveries of the stories, with their reasons."""
    answer = explaining.why(inbox, id_, around=AROUND, time=Time(**time))
    assert (answer["silence"] is None) is bool(answer["stories"])
    return [(each["delivery"]["id"], each["delivery"]["reason"]) for each in answer["stories"]]


def test_what_waits_is_found(opened: Inbox) -> None:
    """By its pipeline, job and event, whatever it waits for; another pipeline that begins alike is not meant."""
    send(opened, "evt_0", pipeline_id="pl_orders_eu")
    id_ = send(opened, "evt_1")
    opened.write(postpone, [Postponed(id_, NOW, Reason.PAUSED_BY_PERSON, None, is_lookup=False)])
    since = datetime.now(UTC) - timedelta(minutes=5)
    for name in ("pl_orders", "job_evt_1", "evt_1"):
        assert told(opened, name, since=since) == [(id_, "paused_by_person")], name
    assert told(opened, "pl_orders", since=since + timedelta(hours=1)) == []
    assert told(opened, "pl_order") == []


@pytest.mark.parametrize(
    ("state", "reason", "fields"),
    [
        (DeliveryState.IGNORED, Reason.STATUS_UNKNOWN, {"status": "odd"}),
        (DeliveryState.IGNORED, Reason.STATUS_RUNNING, {"status": "running"}),
        (DeliveryState.STALE, Reason.TIMESTAMP_TOO_OLD, {}),
        (DeliveryState.INVALID, Reason.CONTRADICTION, {"pipeline": {"id": "pl_2"}}),
        (DeliveryState.INVALID, Reason.CONTRADICTION, {"path": "pl_url"}),
    ],
)
def test_what_was_set_aside_is_found(
    opened: Inbox, state: DeliveryState, reason: Reason, fields: dict[str, Any]
) -> None:
    """Also what contradicts itself, by any of its ids."""
    id_ = set_aside(opened, send(opened, "evt_1", **fields), state, reason)
    assert told(opened, "pl_orders") == [(id_, reason)]
    assert "path" not in fields or told(opened, "pl_url") == [(id_, reason)]


def test_what_cannot_be_read_at_all_is_found_by_its_words(opened: Inbox) -> None:
    """A person who looks for the pipeline sees that something of it came."""
    id_ = stored(opened, "evt_1", body=b'{"pipeline_id": "pl_orders", broken')
    set_aside(opened, id_, DeliveryState.INVALID, Reason.UNREADABLE_JSON)
    assert told(opened, "pl_orders") == [(id_, "unreadable_json")]
    assert told(opened, "pl_order") == []


def test_an_escaped_id_is_found(opened: Inbox) -> None:
    """JSON may spell a letter as an escape."""
    id_ = stored(opened, "evt_1", body=b'{"id": "evt_1", "type": "job.completed", "pipeline_id": "pl\\u005forders"}')
    assert told(opened, "pl_orders") == [(id_, None)]


def test_what_waits_is_part_of_the_history_of_a_pipeline(opened: Inbox) -> None:
    """Else the newest that a person sees is the one before; jobs that only began, and other news, are left out."""
    first = send(opened, "evt_1")
    completion = Completion("planasonix", Kind.JOB, "job_evt_1", "succeeded", "pl_orders")
    routing = Routing(first, DeliveryState.UNROUTED, Reason.NO_ROUTE, None, None, [], completion)
    opened.write(settle_routing, [routing], now=NOW)
    second = send(opened, "evt_2")
    set_aside(opened, send(opened, "evt_3", status="running"), DeliveryState.IGNORED, Reason.STATUS_RUNNING)
    set_aside(opened, send(opened, "evt_4", status=""), DeliveryState.IGNORED, Reason.NO_COMPLETION)
    assert [id_ for id_, _ in told(opened, "pl_orders")] == [second, first]


def test_what_cannot_be_opened_is_named(url: str) -> None:
    """Nobody can say whether it is the one; the pipeline of its URL is known without a key."""
    with_key = Inbox(url, ring=Ring({"old": bytes(32)}, os.urandom))
    id_ = send(with_key, "evt_1", path="pl_url")
    with_key.close()
    without = Inbox(url)
    answer = explaining.why(without, "pl_orders", around=AROUND)
    assert answer["stories"] == []
    assert answer["unread"]["count"] == 1
    assert answer["unread"]["deliveries"][0]["id"] == id_
    assert "the encryption key 'old' is not configured" in answer["unread"]["deliveries"][0]["why"]
    assert "cannot be read" in answer["silence"]["next_step"]
    assert told(without, "pl_url") == [(id_, None)]
    without.close()


def test_that_older_ones_were_not_looked_at_is_said(opened: Inbox) -> None:
    """A no is never given on a part as if it were the whole; and the next step is that of what is known."""
    send(opened, "evt_first")
    accept(opened, *(f"evt_{n}" for n in range(unsettled.LOOKED_AT)))
    answer = explaining.why(opened, "pl_orders", around=AROUND)
    assert (answer["stories"], answer["unread"]) == ([], {"count": 0, "deliveries": [], "is_cut": True})
    assert "narrow down the time" in stories.says_unread(answer["unread"])
    assert "no such id" in answer["silence"]["next_step"]
    refused = Refusal(datetime.now(UTC), RefusalKind.REFUSED, "planasonix", "signature_mismatch")
    opened.write(refusals.append, [refused])
    assert "`refusals`" in explaining.why(opened, "pl_orders", around=AROUND)["silence"]["next_step"]


def silence(inbox: Inbox, id_: str, **time: datetime) -> dict[str, Any]:
    """Return what is said where nothing came."""
    found: dict[str, Any] = explaining.why(inbox, id_, around=AROUND, time=Time(**time))["silence"]
    return found


def _span(found: dict[str, Any]) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(found["since"]), datetime.fromisoformat(found["until"])


def test_a_silence_is_about_the_time_that_was_asked_for(opened: Inbox) -> None:
    """A day before its end if its beginning is not said; until now if its end is not said, or is yet to come."""
    begun = datetime.now(UTC).replace(microsecond=0)
    day, past = timedelta(days=1), begun - timedelta(days=9)
    for time, since in (
        ({}, None),
        ({"since": begun - 5 * day}, begun - 5 * day),
        ({"until": begun + day}, None),
        ({"since": begun - day, "until": begun + day}, begun - day),
    ):
        begin, end = _span(silence(opened, "pl_never", **time))
        assert (begin == (since or end - day), end >= begun) == (True, True), time
    assert _span(silence(opened, "pl_never", until=past)) == (past - day, past)
    assert _span(silence(opened, "pl_never", since=past - 2 * day, until=past)) == (past - 2 * day, past)


def test_what_was_refused_hours_after_the_beginning_is_said(opened: Inbox) -> None:
    """Asked at 03:00 for what should have come since 22:00."""
    now = datetime.now(UTC)
    at = now - timedelta(minutes=13)
    opened.write(refusals.append, [Refusal(at, RefusalKind.REFUSED, "planasonix", "signature_mismatch")])
    accept(opened, "evt_1")
    found = silence(opened, "pl_never", since=now - timedelta(hours=5))
    assert ([each["reason"] for each in found["refusals"]], "`refusals`" in found["next_step"]) == (
        ["signature_mismatch"],
        True,
    )


@pytest.mark.parametrize(("id_", "step"), [("pl_orders", "none of this one"), ("job_evt_1", "at another time")])
def test_what_came_at_another_time_is_known(opened: Inbox, id_: str, step: str) -> None:
    """After the time that was asked for as well, and whether or not it was routed. A job comes no second time."""
    mine = send(opened, "evt_1")
    begun = datetime.now(UTC)
    hour = timedelta(hours=1)
    found = silence(opened, id_, since=begun - 2 * hour, until=begun - hour)
    assert found["at_another_time"]["id"] == mine
    assert "no such id" not in found["next_step"]
    completion = Completion("planasonix", Kind.JOB, "job_evt_1", "succeeded", "pl_orders")
    opened.write(
        settle_routing,
        [Routing(mine, DeliveryState.UNROUTED, Reason.NO_ROUTE, None, None, [], completion)],
        now=NOW,
    )
    accept(opened, "evt_2")
    for time in ({"until": begun - hour}, {"since": datetime.now(UTC) + timedelta(milliseconds=2)}):
        assert silence(opened, id_, **time)["at_another_time"]["id"] == mine
    assert silence(opened, "pl_never", until=begun - hour)["at_another_time"] is None


def test_what_anybody_can_send_overrules_no_next_step(opened: Inbox) -> None:
    """However much of it came since: it is listed after what was refused for a secret, which counts."""
    accept(opened, "evt_1")
    now = datetime.now(UTC)
    scan = Refusal(now, RefusalKind.REFUSED, "planasonix", "signature_missing")
    opened.write(refusals.append, [scan] * 30)
    found = silence(opened, "pl_never")
    assert ({each["reason"] for each in found["refusals"]}, "no such id" in found["next_step"]) == (
        {"signature_missing"},
        True,
    )
    ours = Refusal(now - timedelta(minutes=1), RefusalKind.REFUSED, "planasonix", "signature_mismatch")
    opened.write(refusals.append, [ours])
    found = silence(opened, "pl_never")
    assert ([each["reason"] for each in found["refusals"]][:2], "`refusals`" in found["next_step"]) == (
        ["signature_mismatch", "signature_missing"],
        True,
    )


def test_what_is_set_aside_as_meant_hides_nothing(opened: Inbox) -> None:
    """However much of it names the pipeline: what cannot be read, and is older, is found."""
    body = b'{"pipeline_id": "pl_orders", broken'
    old = set_aside(opened, stored(opened, "evt_old", body=body), DeliveryState.INVALID, Reason.UNREADABLE_JSON)
    accept(opened, *(f"evt_{n}" for n in range(MOST_OPENED + 1)), body=b'{"pipeline_id": "pl_orders"}')
    running = [
        Routing(each.id, DeliveryState.IGNORED, Reason.STATUS_RUNNING, None, None, [], None)
        for each in opened.read(deliveries.due, now=datetime.now(UTC) + timedelta(minutes=1), limit=MOST_OPENED + 1)
    ]
    opened.write(settle_routing, running, now=NOW)
    found = aside(opened, "pl_orders", spelling_of=lambda _: USUAL, skipped=[Reason.STATUS_RUNNING])
    assert ([each.id for each in found.deliveries], found.unread()) == ([old], None)


@pytest.mark.parametrize("text", ["Anna Example", "Nobody Example"])
def test_who_sees_no_payload_learns_nothing_of_their_words(opened: Inbox, text: str) -> None:
    """Not even whether many have a text: what is said of older ones does not depend on it."""
    body = b'{"name": "Anna Example", broken'
    accept(opened, *(f"evt_{n}" for n in range(MOST_OPENED + 1)), body=body)
    found = aside(opened, text, spelling_of=lambda _: USUAL, sees_payloads=False)
    assert (list(found.deliveries), found.unread()) == ([], {"count": 0, "deliveries": [], "is_cut": True})


def test_more_stories_than_are_told_are_said(opened: Inbox) -> None:
    """Five are, of six."""
    for n in range(5):
        send(opened, f"evt_{n}")
    assert explaining.why(opened, "pl_orders", around=AROUND)["is_cut"] is False
    send(opened, "evt_5")
    answer = explaining.why(opened, "pl_orders", around=AROUND)
    assert (len(answer["stories"]), answer["is_cut"]) == (5, True)
