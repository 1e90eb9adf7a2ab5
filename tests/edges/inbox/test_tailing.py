"""What somebody who looks on is shown of deliveries: the newest, what changes about them, and what they tell of."""

from datetime import timedelta

import pytest

from bridge.edges.inbox import Inbox, tailing
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.edges.inbox.engine.ids import made_at, number
from bridge.edges.inbox.rows import instant
from bridge.edges.inbox.tailing import Mark
from bridge.rules.completion import Completion, Kind
from bridge.words.errors import NotThere
from bridge.words.model import DeliveryState
from tests.support.store import NOW, ON_SQLITE, Store, new_trigger, stored


def route(inbox: Inbox, event: str, completion: Completion | None, triggers: int = 0) -> tuple[str, list[str]]:
    """Store an event, what it tells of, and triggers; returns its id and theirs."""
    id_ = stored(inbox, event)
    new = [new_trigger(inbox, id_, route=f"route_{n}", dag_run_id=f"run_{n}_of_{event}") for n in range(triggers)]
    state = DeliveryState.ROUTED if triggers else DeliveryState.IGNORED
    inbox.write(settle_routing, [Routing(id_, state, None, None, None, new, completion)], now=NOW)
    return id_, [each.id for each in new]


def test_the_newest_since_an_instant_are_shown(inbox: Inbox) -> None:
    """Not what came before, and no more than were asked for."""
    ids = [stored(inbox, f"evt_{n}") for n in range(3)]
    begin = tailing.received_at(ids[0])
    assert begin == instant(made_at(ids[0]))
    assert inbox.read(tailing.newest, since=begin, limit=2) == ids[:0:-1]
    assert inbox.read(tailing.newest, since=begin, limit=9) == ids[::-1]
    assert inbox.read(tailing.newest, since=begin + timedelta(hours=1), limit=9) == []
    with pytest.raises(NotThere):
        tailing.received_at("trg_0000000000000001")


def test_what_changes_about_a_delivery_is_its_mark(inbox: Inbox) -> None:
    """Its own state, and those of its triggers in the order in which they were made; what is gone is left out."""
    id_, triggers = route(inbox, "evt_1", None, 2)
    other, _ = route(inbox, "evt_2", None)
    found = inbox.read(tailing.marks, [other, id_, "dlv_0000000000000001"])
    waits = ("pending", None, 0, None)
    assert found == {
        id_: Mark("routed", None, tuple((*waits, number(each, "trg"), None) for each in triggers)),
        other: Mark("ignored", None, ()),
    }


def test_what_a_delivery_tells_of_is_shown_with_it(inbox: Inbox) -> None:
    """Oldest first, whatever the order in which they were asked for; an event of neither has neither id."""
    about = {
        Kind.JOB: ("the_id", None),
        Kind.RUN: (None, "the_id"),
        Kind.EVENT: (None, None),
    }
    ids = [route(inbox, kind, Completion("planasonix", kind, "the_id", "failed", "pl_1"))[0] for kind in about]
    silent, triggers = route(inbox, "evt_none", None, 2)
    found = inbox.read(tailing.whole, [silent, *ids[::-1]])
    assert [each.delivery.id for each in found] == [*ids, silent]
    assert [(each.job_id, each.run_id) for each in found] == [*about.values(), (None, None)]
    assert [(each.pipeline_id, each.status) for each in found] == [*[("pl_1", "failed")] * 3, (None, None)]
    assert [[trigger.id for trigger in each.triggers] for each in found] == [[], [], [], triggers]


@ON_SQLITE
def test_five_thousand_triggers_are_read_in_a_look(inbox: Inbox, store: Store) -> None:
    """The oldest; who has started more sees the rest in the list."""
    id_, _ = route(inbox, "evt_1", None, 1)
    names = [row[1] for row in store.rows("PRAGMA table_info(triggers)") if row[1] not in ("id", "dag_run_id", "rerun")]
    columns = ", ".join(names)
    store.rows(
        f"INSERT INTO triggers (id, dag_run_id, rerun, {columns})"  # noqa: S608 - our own names
        " WITH RECURSIVE each(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM each WHERE n < 5000)"
        f" SELECT triggers.id + n, n, n, {columns} FROM each, triggers"
    )
    row = store.one("SELECT MIN(id) FROM triggers")
    assert [each[4] for each in inbox.read(tailing.marks, [id_])[id_].triggers] == [row + n for n in range(5000)]
    (seen,) = inbox.read(tailing.whole, [id_])
    assert len(seen.triggers) == 5000
