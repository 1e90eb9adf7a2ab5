"""Erasing removes what an event said and keeps that it came; nothing that is still to happen is lost by mistake."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, browsing, deliveries, erasing, replays, triggers, vault, waits
from bridge.edges.inbox.deliveries import Routing
from bridge.edges.inbox.engine.ids import number
from bridge.edges.inbox.replays import Replayed
from bridge.edges.inbox.rows import microseconds
from bridge.rules.completion import Completion, Kind
from bridge.rules.sealing import Ring
from bridge.words.errors import BadFilter, NotThere
from bridge.words.model import Attempt, Delivery, DeliveryState, TriggerState
from bridge.words.reasons import Reason
from tests.support.store import LATER, NOW, Store, accept, add, claim, settlement, stored, wait_for

CANARY = "canary-7f3a"


def find(inbox: Inbox, event_id: str = "evt_1", source: str = "planasonix") -> erasing.Found:
    """Look for an event."""
    return inbox.read(erasing.find, source=source, event_id=event_id)


def erase(inbox: Inbox, delivery_id: str, *, is_cancelling: bool = False) -> erasing.Found:
    """Erase as the command line does."""
    return inbox.write(
        erasing.erase,
        source="planasonix",
        event_id=delivery_id,
        rows=inbox.read(erasing.rows_of, source="planasonix", event_id=delivery_id),
        actor="test",
        reason="asked to",
        is_cancelling=is_cancelling,
        now=NOW + LATER,
    )


def fired(inbox: Inbox, event_id: str = "evt_1", state: TriggerState = TriggerState.FIRED) -> tuple[str, str]:
    """Store an event whose trigger has ended, with the canary wherever a payload value can be."""
    delivery_id = stored(
        inbox, event_id, body=f'{{"id":"{event_id}","x":"{CANARY}"}}'.encode(), headers=f'{{"user-agent":"{CANARY}"}}'
    )
    trigger_id = add(inbox, delivery_id, conf={"x": CANARY}, note=CANARY, detail=CANARY)
    (claimed,) = claim(inbox)
    ended = Attempt(1, NOW, 0.1, "never", None, CANARY, 422)
    inbox.write(triggers.settle, claimed, settlement(state, detail=CANARY), ended)
    return delivery_id, trigger_id


def test_what_it_said_goes_and_that_it_came_stays(inbox: Inbox, store: Store) -> None:
    """No column holds a value any more; ids, states and the DAG run id do; the audit log says who and why."""
    delivery_id, trigger_id = fired(inbox)
    run_id = store.one("SELECT dag_run_id FROM triggers")
    assert find(inbox) == erasing.Found((delivery_id,), triggers=1, attempts=1, waiting=0, firing=0, is_erased=False)
    erase(inbox, delivery_id)
    rows = [row for table in ("deliveries", "triggers", "attempts") for row in store.rows(f"SELECT * FROM {table}")]  # noqa: S608
    assert [row for row in rows if CANARY in repr([bytes(v) if isinstance(v, memoryview) else v for v in row])] == []
    delivery, trigger = inbox.read(deliveries.get, delivery_id), inbox.read(triggers.get, trigger_id)
    assert delivery is not None
    assert trigger is not None
    assert (delivery.body, delivery.event_id, delivery.state) == (b"", "evt_1", DeliveryState.ROUTED)
    assert delivery.erased_at == NOW + LATER
    assert (trigger.call.conf, trigger.state, trigger.call.dag_run_id) == ({}, TriggerState.FIRED, run_id)
    assert store.rows("SELECT actor, action, subject, reason FROM audit") == [
        ("test", "erased", delivery_id, "asked to")
    ]
    assert find(inbox).is_erased


def test_a_copy_is_still_a_duplicate(inbox: Inbox) -> None:
    """It starts nothing, although nothing is known of the first one any more."""
    delivery_id, _ = fired(inbox)
    erase(inbox, delivery_id)
    (again,) = accept(inbox, "evt_1")
    assert (again.delivery_id, again.is_new) == (delivery_id, False)


@pytest.mark.parametrize("state", [TriggerState.FIRED, TriggerState.FAILED])
def test_nothing_erased_is_replayed(inbox: Inbox, state: TriggerState) -> None:
    """Neither the delivery nor its trigger nor a new run of it: there is nothing left to send."""
    delivery_id, trigger_id = fired(inbox, state=state)
    erase(inbox, delivery_id)
    for id_, new_id in ((delivery_id, None), (trigger_id, None), (trigger_id, inbox.new_trigger_id())):
        outcome = inbox.write(replays.replay, id_, actor="test", reason=None, new_id=new_id, now=NOW)
        assert outcome is Replayed.ERASED
    assert [item.state for item in inbox.read(browsing.triggers, wanted=browsing.Filter(), limit=9)] == [state]
    assert inbox.read(deliveries.due, now=NOW, limit=9) == []


def test_a_delivery_that_is_still_to_be_routed_waits_too(inbox: Inbox) -> None:
    """It counts beside what an earlier routing has left pending."""
    delivery_id = stored(inbox)
    assert find(inbox).waiting == 1
    add(inbox, delivery_id)
    inbox.write(deliveries.reopen, delivery_id, now=NOW)
    assert find(inbox).waiting == 2


def test_what_waits_is_refused_or_cancelled(inbox: Inbox) -> None:
    """A DAG run that is still to be started is given up only when that was asked for."""
    delivery_id = stored(inbox)
    trigger_id = add(inbox, delivery_id, conf={"x": CANARY})
    assert find(inbox).waiting == 1
    with pytest.raises(BadFilter, match="--cancel"):
        erase(inbox, delivery_id)
    found = inbox.read(triggers.get, trigger_id)
    assert found is not None
    assert (found.state, found.call.conf) == (TriggerState.PENDING, {"x": CANARY})
    erase(inbox, delivery_id, is_cancelling=True)
    found = inbox.read(triggers.get, trigger_id)
    assert found is not None
    assert (found.state, found.reason, found.call.conf) == (TriggerState.CANCELLED, Reason.BY_OPERATOR, {})
    assert claim(inbox) == []


def test_what_was_not_routed_yet_never_is(inbox: Inbox) -> None:
    """It is refused like a waiting trigger; cancelled, it is `ignored` with the reason."""
    delivery_id = stored(inbox)
    assert find(inbox).waiting == 1
    with pytest.raises(BadFilter, match="still has DAG runs to start"):
        erase(inbox, delivery_id)
    erase(inbox, delivery_id, is_cancelling=True)
    found = inbox.read(deliveries.get, delivery_id)
    assert found is not None
    assert (found.state, found.reason, found.body) == (DeliveryState.IGNORED, Reason.ERASED, b"")
    assert add(inbox, delivery_id)
    assert inbox.read(browsing.triggers, wanted=browsing.Filter(), limit=9) == []


def test_a_call_under_way_is_never_cancelled(inbox: Inbox) -> None:
    """Its DAG run may exist already, and its end is still to be written."""
    delivery_id = stored(inbox)
    add(inbox, delivery_id)
    claim(inbox)
    with pytest.raises(BadFilter, match="being fired at this moment"):
        erase(inbox, delivery_id, is_cancelling=True)


@pytest.mark.parametrize("is_folded", [False, True])
def test_an_event_is_found_by_its_id_and_source(inbox: Inbox, store: Store, is_folded: bool) -> None:
    """Fresh or long ago; another source's event of the same id is another one; one without an id has its delivery's."""
    mine, other = stored(inbox, "evt_1"), stored(inbox, "evt_1", source="other")
    nameless = stored(inbox, None, body=b"{}")
    if is_folded:
        wait_for(store.has_folded)
    assert (find(inbox).deliveries, find(inbox, source="other").deliveries) == ((mine,), (other,))
    assert find(inbox, nameless).deliveries == (nameless,)
    assert find(inbox, mine).deliveries == (mine,)
    for event_id, source in (("evt_2", "planasonix"), ("evt_1", "none"), (nameless, "other")):
        with pytest.raises(NotThere):
            find(inbox, event_id, source)
    with pytest.raises(NotThere, match=f"^no event '{'x' * 128}' of the source 'planasonix'$"):
        find(inbox, "x" * 129)


@pytest.mark.parametrize("is_folded", [False, True])
@pytest.mark.parametrize("event_id", ["evt_1", None])
def test_an_event_goes_with_its_stale_copies(inbox: Inbox, store: Store, event_id: str | None, is_folded: bool) -> None:
    """Whichever of its deliveries names it; events beside it stay."""
    body = f'{{"x":"{CANARY}"}}'.encode()
    stale = stored(inbox, event_id, body=body, is_stale=True)
    fresh = stored(inbox, event_id, body=body)
    beside = stored(inbox, "evt_2", body=body + b" ", is_stale=True)
    if is_folded:
        wait_for(store.has_folded)
    for name in (event_id, fresh, stale) if event_id else (fresh,):
        assert find(inbox, name).deliveries == (fresh, stale)
    erase(inbox, fresh, is_cancelling=True)
    bodies = {id_: (inbox.read(deliveries.get, id_) or pytest.fail("gone")).body for id_ in (fresh, stale, beside)}
    assert bodies == {fresh: b"", stale: b"", beside: body + b" "}
    assert store.rows("SELECT subject FROM audit ORDER BY id") == [(fresh,), (stale,)]


@pytest.mark.parametrize("is_folded", [False, True])
def test_an_event_goes_with_the_other_bodies_under_its_id(inbox: Inbox, store: Store, is_folded: bool) -> None:
    """Also with a stale copy of one of them."""
    mine = stored(inbox, body=b'{"status":"running"}')
    beside = stored(inbox, body=CANARY.encode(), is_beside=True)
    late = stored(inbox, body=b'{"status":"late"}', is_beside=True, is_stale=True)
    if is_folded:
        wait_for(store.has_folded)
    for name in ("evt_1", mine, beside, late):
        assert find(inbox, name).deliveries == (mine, beside, late)
    assert [each.id for each in _shown(inbox, "evt_1")] == [late, beside, mine]
    erase(inbox, "evt_1", is_cancelling=True)
    assert {bytes(row[0]) for row in store.rows("SELECT body FROM deliveries")} == {b""}


def _shown(inbox: Inbox, event_id: str) -> list[Any]:
    wanted = browsing.Filter(event_id=event_id, among=("planasonix",))
    return list(inbox.read(browsing.deliveries, wanted=wanted, limit=9))


@pytest.mark.parametrize("is_folded", [False, True])
def test_a_later_webhook_with_the_same_bytes_is_another_event(inbox: Inbox, store: Store, is_folded: bool) -> None:
    """Without an id nothing else tells them apart; each goes alone."""
    first = stored(inbox, None, body=b"{}")
    if is_folded:
        wait_for(store.has_folded)
    second = stored(inbox, None, body=b"{}", after=number(first, "dlv"))
    assert first != second
    for item in (first, second):
        assert find(inbox, item).deliveries == (item,)
    erase(inbox, first, is_cancelling=True)
    for item in (first, second):
        assert find(inbox, item).deliveries == (item,)
    assert [find(inbox, item).is_erased for item in (first, second)] == [True, False]


def test_a_signed_message_without_an_event_goes_with_its_other_bodies(inbox: Inbox) -> None:
    """Its id is the message's; whichever of its deliveries names it."""
    mine, beside = (
        stored(inbox, None, body=body, message_id="msg_1", is_beside=is_beside)
        for body, is_beside in ((b"{}", False), (CANARY.encode(), True))
    )
    assert find(inbox, mine).deliveries == (mine, beside)
    assert find(inbox, beside).deliveries == (beside, mine)


def test_an_event_that_was_only_ever_stale_is_erased(inbox: Inbox) -> None:
    """It is found by its id, though nothing fresh of it is stored."""
    stale = stored(inbox, "evt_1", body=CANARY.encode(), is_stale=True)
    assert find(inbox).deliveries == (stale,)
    erase(inbox, "evt_1")
    found = inbox.read(deliveries.get, stale)
    assert found is not None
    assert (found.body, found.state) == (b"", DeliveryState.STALE)


def test_an_event_whose_id_looks_like_a_delivery_is_an_event(inbox: Inbox) -> None:
    """A sender may spell its ids as it likes."""
    for event_id in ("dlv_", "dlv_0000000000000001", "dlv_orders"):
        assert find(inbox, event_id=stored(inbox, event_id) and event_id).deliveries


def test_the_files_hold_nothing_of_it(path: Path) -> None:
    """Neither the database file nor its log nor its index, with other events around it, while it is being served."""
    inbox = Inbox(f"sqlite:///{path}")
    stored(inbox, "evt_0", body=b"kept" * 3000)
    delivery_id, _ = fired(inbox)
    big = stored(inbox, "evt_big", body=CANARY.encode() * 5000)
    stored(inbox, "evt_2", body=b"kept" * 3000)
    files = list(path.parent.iterdir())
    assert [file.name for file in files if CANARY.encode() in file.read_bytes()] != []
    erase(inbox, delivery_id)
    erase(inbox, big, is_cancelling=True)
    assert inbox.scrub()
    assert {file.name for file in files} == {"bridge.db", "bridge.db-wal", "bridge.db-shm"}
    assert [file.name for file in files if CANARY.encode() in file.read_bytes()] == []
    assert inbox.read(deliveries.get, big) is not None
    inbox.close()


def test_who_still_reads_the_log_keeps_it_for_a_moment(path: Path) -> None:
    """Cleaning says that it could not, without keeping webhooks waiting; afterwards it can."""
    inbox, reader = Inbox(f"sqlite:///{path}"), Store(path)
    delivery_id, _ = fired(inbox)
    reader.rows("BEGIN")
    reader.rows("SELECT * FROM deliveries")
    erase(inbox, delivery_id)
    assert not inbox.scrub()
    stored(inbox, "evt_2")
    reader.rows("COMMIT")
    assert inbox.scrub()
    assert [file.name for file in path.parent.iterdir() if CANARY.encode() in file.read_bytes()] == []
    reader.close()
    inbox.close()


def test_nothing_that_routing_read_or_the_api_answered_stays(open_inbox: Callable[..., Inbox], store: Store) -> None:
    """Nor does a row need the key that its values were encrypted with."""
    old = open_inbox(ring=Ring({"old": bytes(32)}, os.urandom))
    delivery_id, _ = fired(old)
    store.rows("UPDATE deliveries SET lookup = '{}', detail = ?", CANARY)
    new = open_inbox(ring=Ring({"new": bytes(range(32)), "old": bytes(32)}, os.urandom))
    erase(new, delivery_id)
    assert store.rows("SELECT lookup, detail, headers FROM deliveries") == [(None, None, "{}")]
    assert store.rows("SELECT note, detail FROM triggers") == [(None, None)]
    assert new.read(vault.count) == {table: {"new": 1} for table in vault.TABLES}


def test_what_is_cancelled_has_ended_then(inbox: Inbox, store: Store) -> None:
    """For that reason; the count says what there was."""
    delivery_id = stored(inbox)
    add(inbox, delivery_id)
    found = erase(inbox, delivery_id, is_cancelling=True)
    assert (found.deliveries, found.triggers, found.attempts, found.waiting) == ((delivery_id,), 1, 0, 1)
    assert store.rows("SELECT state, reason, settled_at FROM triggers") == [
        ("cancelled", "by_operator", microseconds(NOW + LATER))
    ]


def test_what_is_gone_by_then_or_of_another_source_is_not_erased(inbox: Inbox) -> None:
    """The rows were looked for beside the writer."""
    other = stored(inbox, source="crm")
    more: dict[str, Any] = {"actor": "test", "reason": "x", "is_cancelling": True, "now": NOW}
    for rows in ([], [1], [number(other, "dlv")]):
        with pytest.raises(NotThere, match=r"^no event 'evt_1' of the source 'planasonix'$"):
            inbox.write(erasing.erase, source="planasonix", event_id="evt_1", rows=rows, **more)
    found = inbox.read(deliveries.get, other)
    assert found is not None
    assert found.erased_at is None


def test_the_refusal_says_how_many_calls_are_under_way(inbox: Inbox) -> None:
    """Of all deliveries of the event."""
    delivery_id = stored(inbox)
    add(inbox, delivery_id)
    claim(inbox)
    assert find(inbox).firing == 1
    said = "^1 of its triggers are being fired at this moment; try again in a minute$"
    with pytest.raises(BadFilter, match=said):
        erase(inbox, delivery_id)


@pytest.mark.parametrize(
    ("told", "digests"),
    [
        ((Kind.JOB, None, None), 1),
        ((Kind.RUN, None, None), 0),
        ((Kind.RUN, "job_2", None), 1),
        ((Kind.RUN, None, "job_3"), 1),
        ((Kind.JOB, "job_2", "job_3"), 3),
        ((Kind.JOB, None, "job_1"), 1),
    ],
)
def test_jobs_that_it_tells_of_are_never_made_up_for(
    inbox: Inbox, store: Store, told: tuple[Kind, str | None, str | None], digests: int
) -> None:
    """Its own, those beside a run, and the one that its body names; erased once more it names none."""
    id_ = stored(inbox)
    kind, also, named = told
    completion = Completion("planasonix", kind, "job_1", "failed", "pl_1")
    routing = Routing(id_, DeliveryState.UNROUTED, None, None, None, [], completion)
    inbox.write(deliveries.settle_routing, [routing], now=NOW)
    inbox.write(waits.tell_also, number(id_, "dlv"), [also] if also else [])
    asked: list[str] = []

    def job_of(delivery: Delivery) -> str | None:
        asked.append(delivery.id)
        return named

    rows = [number(id_, "dlv")]
    more: dict[str, Any] = {"actor": "test", "reason": "x", "is_cancelling": True, "now": NOW, "job_of": job_of}
    for _ in range(2):
        inbox.write(erasing.erase, source="planasonix", event_id="evt_1", rows=rows, **more)
    assert (store.one("SELECT COUNT(*) FROM erased_jobs"), asked) == (digests, [id_])


def test_a_body_that_no_key_opens_names_no_job(open_inbox: Callable[..., Inbox], store: Store) -> None:
    """It is erased all the same."""
    id_ = stored(open_inbox(ring=Ring({"old": bytes(32)}, os.urandom)))
    more: dict[str, Any] = {"actor": "test", "reason": "x", "is_cancelling": True, "now": NOW}
    more |= {"rows": [number(id_, "dlv")], "job_of": lambda _: "job_1"}
    open_inbox().write(erasing.erase, source="planasonix", event_id="evt_1", **more)
    assert (store.one("SELECT COUNT(*) FROM erased_jobs"), store.one("SELECT LENGTH(body) FROM deliveries")) == (0, 0)


@pytest.mark.parametrize("is_locked", [False, True])
def test_events_without_an_id_are_told_apart_by_what_is_known(
    open_inbox: Callable[..., Inbox], is_locked: bool
) -> None:
    """Other bytes are another event; and a body that no key opens is not known to be another one of this message."""
    with_key = open_inbox(ring=Ring({"old": bytes(32)}, os.urandom))
    first = stored(with_key if is_locked else open_inbox(), None, body=b"{}")
    inbox = open_inbox()
    second = stored(inbox, None, body=b"{}", after=number(first, "dlv"))
    other = stored(inbox, None, body=b"[]")
    for id_ in (first, second, other):
        assert find(inbox, id_).deliveries == (id_,)
