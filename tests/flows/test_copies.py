"""What comes under a key that is taken: a copy, another body of the event, or the same body again.

The rule (bridge/rules/copies.py): a webhook that starts nothing is a copy of one that is named, and whatever is no copy
is stored and judged by routing. Only signed values count.
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.chores.refusal_ring import RefusalRing
from bridge.edges.inbox import Inbox, browsing, deliveries, prepare, refusals
from bridge.edges.inbox.deliveries import settle_routing
from bridge.edges.metrics import Metrics
from bridge.flows import attending
from bridge.flows.receiving import Receipt, Receiving
from bridge.flows.routing import drafts
from bridge.rules import attention
from bridge.rules.mapping import read
from bridge.rules.planning import Subject, plan
from bridge.rules.sealing import Ring
from bridge.rules.signature import PRESETS, Key, make_verifier, sign
from bridge.rules.sources import Source
from bridge.words.model import Delivery, DeliveryState
from bridge.words.reasons import Reason
from tests.support.jobs_api import received
from tests.support.store import Store, empty_store, wait_for

SECRET = Key("current", b"0123456789abcdef0123456789")
NOW = 1_785_000_000
DAY = 86_400


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store with today's schema."""
    if request.param == "sqlite":
        return f"sqlite:///{empty_store(tmp_path / 'bridge.db')}"
    postgres = str(request.getfixturevalue("postgres"))
    prepare(postgres)
    return postgres


@pytest.fixture
def inbox(url: str) -> Iterator[Inbox]:
    """One inbox over the test's store."""
    item = Inbox(url)
    yield item
    item.close()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """The store itself, as another program sees it."""
    item = Store(url)
    yield item
    item.close()


class Door:
    """Receiving in front of a store."""

    def __init__(self, inbox: Inbox, metrics: Metrics, preset: str = "planasonix") -> None:
        self.preset = PRESETS[preset]
        self.woken = 0
        self.metrics = metrics
        self.inbox = inbox
        self.ring = RefusalRing(inbox=inbox, metrics=metrics)
        self.receiving = Receiving(
            sources={"planasonix": Source("planasonix", make_verifier(self.preset, [SECRET]))},
            inbox=inbox,
            metrics=metrics,
            on_accepted=self._wake,
            remember=self.ring.note,
            clock=lambda: float(NOW),
        )

    def _wake(self) -> None:
        self.woken += 1

    def post(self, body: bytes, *, at: int = NOW, pipeline: str | None = None, message: str = "msg_0") -> Receipt:
        """Sign and hand in."""
        signed = sign(self.preset, SECRET, body, at, message_id=message)
        headers = [(name.lower().encode(), value.encode()) for name, value in signed.items()]
        return received(self.receiving, headers, body, pipeline, peer="198.51.100.7")

    def listed(self) -> list[tuple[str, str | None, str | None]]:
        """Return what a person finds of the copies: reason, sender, and the delivery."""
        self.ring.step()
        wanted = refusals.RefusalFilter()
        found = self.inbox.read(refusals.page, wanted=wanted, limit=100)
        return [(each.reason, each.sender, each.delivery_id) for each in found]

    def counted(self, kind: str) -> float:
        """Return how many copies of a kind were counted."""
        return self.metrics.copies.labels("planasonix", kind)._value.get()  # type: ignore[no-any-return]


@pytest.fixture
def door(inbox: Inbox, metrics: Metrics) -> Iterator[Door]:
    """One door."""
    item = Door(inbox, metrics)
    yield item
    item.receiving.close()


def event(status: str = "success", **more: Any) -> bytes:
    """Return the body of a Webhook Action with an id of its own."""
    return json.dumps({"event_id": "orders-2025-03-27", "pipeline_id": "pl_1", "status": status} | more).encode()


NAMELESS = b'{"pipeline_id": "pl_x", "status": "success"}'


ORDERS = read(
    "routes:\n  - {name: orders, event: '*', dag: load_orders}\n",
    file="mapping.yaml",
    airflows=["default"],
    sources=["planasonix"],
)
NO_EVENT_ID = {"type": "job.succeeded", "job_id": "job_1", "pipeline_id": "pl_1"}


def stands(inbox: Inbox, delivery_id: str) -> Delivery:
    """Return a delivery as it stands."""
    found = inbox.read(deliveries.get, delivery_id)
    assert found is not None
    return found


def route(inbox: Inbox, delivery_id: str) -> tuple[str, str | None, str | None]:
    """Route a delivery; returns its state, why, and the detail."""
    found = stands(inbox, delivery_id)
    made = plan(Subject.of(found), ORDERS, new_trigger_id=inbox.new_trigger_id, max_hops=3)
    inbox.write(settle_routing, [drafts.routing(found, made, None, {})], now=datetime.now(UTC))
    found = stands(inbox, delivery_id)
    return found.state, found.reason, found.detail


def stored(store: Store) -> int:
    """Return how many deliveries there are."""
    return int(store.one("SELECT COUNT(*) FROM deliveries"))


def age(store: Store, seconds: float) -> None:
    """Let what is stored have come so long ago."""
    store.rows(f"UPDATE deliveries SET received_at = received_at - {int(seconds * 1_000_000)}")  # noqa: S608


def has_folded(store: Store) -> bool:
    """Whether every key has left the writer's memory; PostgreSQL keeps none there."""
    return store.is_postgresql or store.one("SELECT upto FROM folded") == store.one("SELECT MAX(id) FROM deliveries")


def test_the_same_event_id_with_another_body_is_stored_beside(door: Door, store: Store) -> None:
    """`running`, then `success` under one id of a Webhook Action: 202, and a copy of each is a duplicate of its own."""
    first = door.post(event("running"))
    with capture_logs() as logs:
        second = door.post(event("success"))
    assert (first.status, second.status) == ("accepted", "accepted")
    assert first.delivery_id != second.delivery_id
    assert [(line["log_level"], line["stands_beside"]) for line in logs] == [("warning", first.delivery_id)]
    assert door.post(event("running")) == Receipt(first.delivery_id, "duplicate")
    assert door.post(event("success"), at=NOW - 9) == Receipt(second.delivery_id, "duplicate")
    assert door.post(event("failed")).status == "accepted"
    assert (stored(store), door.woken, door.counted("another_body")) == (3, 3, 2)


def test_what_stands_beside_is_found_under_its_event_id(door: Door, inbox: Inbox) -> None:
    """Search and erase know every key of an event."""
    ids = {door.post(event(status)).delivery_id for status in ("running", "success", "failed")}
    wanted = browsing.Filter(event_id="orders-2025-03-27", among=("planasonix",))
    assert {found.id for found in inbox.read(browsing.deliveries, wanted=wanted, limit=10)} == ids


@pytest.mark.parametrize("state", ["unrouted", "invalid", "routed", "ignored", "stale"])
def test_a_resend_routes_again_what_nothing_matched(door: Door, inbox: Inbox, store: Store, state: str) -> None:
    """So "resend" works once the mapping is mended; what was decided otherwise is not touched."""
    first = door.post(event())
    store.rows(f"UPDATE deliveries SET state = '{state}', reason = 'no_route'")  # noqa: S608
    assert door.post(event()) == Receipt(first.delivery_id, "duplicate")
    found = inbox.read(deliveries.get, first.delivery_id)
    assert found is not None
    is_again = state in ("unrouted", "invalid")
    assert found.state == (DeliveryState.RECEIVED if is_again else state)
    assert door.woken == (2 if is_again else 1)
    assert door.counted("routed_again") == is_again
    assert door.listed() == [("routed_again" if is_again else "duplicate", "198.51.100.7", first.delivery_id)]


@pytest.mark.parametrize("state", ["unrouted", "routed"])
def test_a_resend_with_an_old_timestamp_routes_nothing_again_and_says_so(
    door: Door, inbox: Inbox, store: Store, state: str
) -> None:
    """Whoever caught it could send it too. What it would have been routed for is a person's to replay."""
    first = door.post(event())
    store.rows(f"UPDATE deliveries SET state = '{state}', reason = 'no_route'")  # noqa: S608
    with capture_logs() as logs:
        assert door.post(event(), at=NOW - DAY) == Receipt(first.delivery_id, "duplicate")
    found = inbox.read(deliveries.get, first.delivery_id)
    assert found is not None
    assert (found.state, door.woken) == (state, 1)
    (line,) = logs
    steps = f"Its timestamp is too old to route it again: planasonix-bridge replay {first.delivery_id}"
    expected = ("warning", steps) if state == "unrouted" else ("info", None)
    assert (line["log_level"], line["next_step"]) == expected


@pytest.mark.parametrize("reason", ["status_unknown", "lookup_failed", "lookup_not_found", "status_running"])
def test_a_resend_routes_again_a_status_that_was_unknown(door: Door, inbox: Inbox, store: Store, reason: str) -> None:
    """So "resend" works once `body.statuses` has the word, or the API answers; what still ran is not touched."""
    first = door.post(event("OK"))
    store.rows(f"UPDATE deliveries SET state = 'ignored', reason = '{reason}'")  # noqa: S608
    assert door.post(event("OK")) == Receipt(first.delivery_id, "duplicate")
    found = inbox.read(deliveries.get, first.delivery_id)
    assert found is not None
    is_again = reason != "status_running"
    assert found.state == (DeliveryState.RECEIVED if is_again else DeliveryState.IGNORED)
    assert door.woken == (2 if is_again else 1)
    assert door.counted("routed_again") == is_again


def test_a_body_without_an_id_is_a_copy_for_a_while_only(door: Door, store: Store) -> None:
    """Every day the same bytes: every day a delivery. A repeated one within ten minutes is none."""
    first = door.post(NAMELESS)
    assert door.post(NAMELESS) == Receipt(first.delivery_id, "duplicate")
    days = [first.delivery_id]
    for _ in range(3):
        age(store, DAY)
        new = door.post(NAMELESS)
        assert new.status == "accepted"
        assert door.post(NAMELESS) == Receipt(new.delivery_id, "duplicate")
        days.append(new.delivery_id)
        wait_for(lambda: has_folded(store))
        assert door.post(NAMELESS) == Receipt(new.delivery_id, "duplicate")
    assert len(set(days)) == stored(store) == 4


def test_the_same_body_signed_at_another_time_is_said(door: Door) -> None:
    """It may be another event; without an id nothing else can tell."""
    first = door.post(NAMELESS)
    with capture_logs() as logs:
        assert door.post(NAMELESS, at=NOW - 5) == Receipt(first.delivery_id, "duplicate")
    assert [(line["log_level"], line["reason"], line["delivery_id"]) for line in logs] == [
        ("warning", "same_body", first.delivery_id)
    ]
    assert "replay --run-again" in logs[0]["next_step"]
    assert door.listed() == [("same_body", "198.51.100.7", first.delivery_id)]
    (need,) = attending.needs(door.inbox)
    assert (need.what, need.about, need.count, need.example) == ("same_body", "planasonix", 1, first.delivery_id)
    assert (need.says.count("taken for copies"), "replay --run-again" in need.next_step) == (1, True)
    assert attention.place(need.what, need.filter) == (
        "/refusals",
        {"kind": "doubtful", "source": "planasonix", "reason": "same_body"},
    )
    later = attending.needs(door.inbox, now=datetime.now(UTC) + timedelta(days=1, minutes=1))
    assert [need.what for need in later] == ["waiting"]


def test_two_signed_message_ids_are_two_deliveries(inbox: Inbox, metrics: Metrics) -> None:
    """Whatever the body; and the same message is a copy however late it comes again."""
    door = Door(inbox, metrics, "standard-webhooks")
    first, second = door.post(NAMELESS, message="msg_1"), door.post(NAMELESS, message="msg_2")
    assert (first.status, second.status) == ("accepted", "accepted")
    store = Store(str(inbox._store.writing.url.render_as_string(hide_password=False)).replace("+psycopg", ""))
    age(store, DAY)
    store.close()
    assert door.post(NAMELESS, message="msg_1") == Receipt(first.delivery_id, "duplicate")
    door.receiving.close()


@pytest.mark.parametrize("is_sealed", [False, True])
@pytest.mark.parametrize("is_late", [False, True])
def test_another_body_under_a_signed_message_id_repeats_what_was_routed(
    url: str, metrics: Metrics, is_sealed: bool, is_late: bool
) -> None:
    """The message is the event where the body names none: it starts nothing, names the first, and a person looks."""
    ring = Ring({"a": bytes(32)}, os.urandom) if is_sealed else Ring()
    inbox = Inbox(url, ring=ring)
    door = Door(inbox, metrics, "standard-webhooks")
    bodies = [json.dumps(NO_EVENT_ID | more).encode() for more in ({}, {"rows_loaded": 7})]
    first = door.post(bodies[0], message="msg_1")
    second = door.post(bodies[1], message="msg_1", at=NOW - 400 if is_late else NOW)
    door.receiving.close()
    assert route(inbox, first.delivery_id) == (DeliveryState.ROUTED, None, None)
    if is_late:
        inbox.write(deliveries.reopen, second.delivery_id, now=datetime.now(UTC))
    assert route(inbox, second.delivery_id) == (DeliveryState.IGNORED, Reason.SAME_EVENT, first.delivery_id)
    assert [need.what for need in attending.needs(inbox)] == ["same_event"]
    inbox.close()


def test_the_same_bytes_without_any_id_are_no_other_body(door: Door, inbox: Inbox, store: Store) -> None:
    """They came again after a while, so they may be another event: they are routed, and their completion decides."""
    body = json.dumps(NO_EVENT_ID).encode()
    first = door.post(body)
    route(inbox, first.delivery_id)
    age(store, DAY)
    second = door.post(body)
    assert second.delivery_id != first.delivery_id
    assert route(inbox, second.delivery_id) == (DeliveryState.ROUTED, None, None)


def test_what_the_release_before_stored_by_its_body_is_a_copy_of_the_message(inbox: Inbox, metrics: Metrics) -> None:
    """While replicas are exchanged a message may come to both releases."""
    by_body, by_message = Door(inbox, metrics), Door(inbox, metrics, "standard-webhooks")
    first = by_body.post(NAMELESS)
    assert by_message.post(NAMELESS, message="msg_1") == Receipt(first.delivery_id, "duplicate")
    for door in (by_body, by_message):
        door.receiving.close()


def test_one_body_at_two_urls_is_a_duplicate_and_said(door: Door) -> None:
    """The URL is not signed, so it decides nothing; a person is told."""
    first = door.post(NAMELESS, pipeline="pl_1")
    with capture_logs() as logs:
        assert door.post(NAMELESS, pipeline="pl_2") == Receipt(first.delivery_id, "duplicate")
    assert [(line["log_level"], line["reason"]) for line in logs] == [("warning", "url_conflict")]
    assert door.counted("url_conflict") == 1
    assert door.listed() == [("url_conflict", "198.51.100.7", first.delivery_id)]
    assert [need.what for need in attending.needs(door.inbox)] == ["url_conflict"]


def test_a_stale_body_under_a_taken_event_id_is_kept_aside_beside(door: Door, store: Store) -> None:
    """A late retry of another body is no copy, and starts nothing; its own copies are copies."""
    door.post(event("running"))
    late = door.post(event("success"), at=NOW - 301)
    assert late.status == "accepted"
    assert door.post(event("success"), at=NOW - 400) == Receipt(late.delivery_id, "duplicate")
    assert store.rows("SELECT state FROM deliveries ORDER BY id") == [("received",), ("stale",)]
    assert door.post(event("success")).status == "accepted"  # in time: not held up by the late one


def test_a_plain_copy_is_logged_with_what_it_is_a_copy_of(door: Door) -> None:
    """No answer is silent."""
    first = door.post(event())
    with capture_logs() as logs:
        door.post(event())
    assert [(line["log_level"], line["delivery_id"]) for line in logs] == [("info", first.delivery_id)]
    assert door.listed() == [("duplicate", "198.51.100.7", first.delivery_id)]
    assert attending.needs(door.inbox) == []


def test_what_was_erased_stays_a_duplicate(door: Door, store: Store) -> None:
    """Its body can be compared no more, and must not come back."""
    first = door.post(event())
    store.rows("UPDATE deliveries SET body = ?, erased_at = 1", b"")
    assert door.post(event()) == Receipt(first.delivery_id, "duplicate")
    assert stored(store) == 1
