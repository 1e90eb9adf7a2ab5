"""Pages for people: newest first, every filter alone and together, page after page without gap or repeat."""

import random
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from bridge.edges.inbox import Inbox, browsing, triggers
from bridge.edges.inbox.browsing import Filter
from bridge.edges.inbox.engine.ids import made_at
from bridge.edges.inbox.engine.ids import number as row_of
from bridge.edges.inbox.filtering import REASONS_OF_BOTH, TRIGGER_REASONS
from bridge.edges.metrics import labels
from bridge.words.errors import BadFilter, BridgeError, NotThere
from bridge.words.model import DeliveryState, TriggerState
from bridge.words.reasons import Reason
from tests.support.store import NOW, ON_SQLITE, Store, accept, add, claim, stored, wait_for


@pytest.fixture
def deliveries(inbox: Inbox, store: Store) -> list[str]:
    """Ten deliveries, oldest first: five each of two sources, one unrouted."""
    ids = [stored(inbox, f"evt_{n}", source=("first", "second")[n % 2]) for n in range(10)]
    store.rows("UPDATE deliveries SET state = 'unrouted', reason = 'no_route' WHERE event_id = 'evt_3'")
    return ids


def found(inbox: Inbox, *, limit: int = 100, **wanted: Any) -> list[str]:
    """Return the ids of the deliveries that a filter means."""
    return [item.id for item in inbox.read(browsing.deliveries, wanted=Filter(**wanted), limit=limit)]


def test_newest_come_first_and_pages_join(inbox: Inbox, deliveries: list[str]) -> None:
    """`after` the last row of a page begins the next one."""
    pages: list[str] = []
    after = None
    while page := found(inbox, limit=3, after=after):
        pages += page
        after = page[-1]
    assert pages == deliveries[::-1]


@pytest.mark.parametrize("read", [browsing.deliveries, browsing.triggers])
def test_a_list_reads_no_payloads(inbox: Inbox, read: Callable[..., list[Any]]) -> None:
    """A page of the largest bodies, or calls, costs no more memory than one of small ones."""
    mib = 1_048_576
    for number in range(30):
        large = "x" * mib
        add(inbox, stored(inbox, f"evt_{number}", body=large.encode()), conf={"all": large}, note=large)
    tracemalloc.start()
    try:
        assert len(inbox.read(read, wanted=Filter(), limit=30)) == 30
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * mib


def test_a_list_shows_of_a_trigger_what_it_shows_alone(inbox: Inbox, store: Store) -> None:
    """Whichever way a trigger is read, what both ways tell is the same."""
    add(inbox, stored(inbox, "evt_1"), note="why", rerun=2)
    failed: dict[str, Any] = {"state": TriggerState.FAILED, "reason": Reason.TEMPLATE, "detail": "conf.x"}
    add(inbox, stored(inbox, "evt_2"), dag_run_id="", **failed)
    fired = add(inbox, stored(inbox, "evt_3"))
    store.rows(
        "UPDATE triggers SET state = 'fired', attempts = 3, settled_at = 1, run_state = 'success', run_started_at = 2,"
        " run_ended_at = 3 WHERE id = (SELECT MAX(id) FROM triggers)"
    )
    listed = inbox.read(browsing.triggers, wanted=Filter(), limit=9)
    assert listed[0].id == fired
    alone = [inbox.read(triggers.get, entry.id) for entry in listed]
    assert listed == [item.entry for item in alone if item is not None]


def test_filters_alone_and_together(inbox: Inbox, deliveries: list[str]) -> None:
    """All conditions must hold."""
    assert found(inbox, source="first") == deliveries[::2][::-1]
    assert found(inbox, state="unrouted") == [deliveries[3]]
    assert found(inbox, event_id="evt_4") == [deliveries[4]]
    assert found(inbox, source="first", state="unrouted") == []
    assert found(inbox, source="second", state="received", after=deliveries[7], limit=1) == [deliveries[5]]


def test_triggers_are_filtered_by_the_source_of_their_delivery(inbox: Inbox, deliveries: list[str]) -> None:
    """Alone, and with what triggers have themselves; as a list, as ids, and counted."""
    held = [add(inbox, id_, state=TriggerState.HELD) for id_ in (*deliveries[:3], deliveries[5])]
    waits = add(inbox, deliveries[4])
    for wanted, ids in (
        (Filter(source="first"), [waits, held[2], held[0]]),
        (Filter(source="second", state="held"), [held[3], held[1]]),
        (Filter(source="first", delivery_id=deliveries[1]), []),
        (Filter(source="gone"), []),
    ):
        assert [item.id for item in inbox.read(browsing.triggers, wanted=wanted, limit=9)] == ids, wanted
        assert inbox.read(browsing.ids, table="triggers", wanted=wanted, limit=9) == ids, wanted
        assert inbox.read(browsing.count, table="triggers", wanted=wanted) == len(ids), wanted


def test_lists_are_filtered_by_the_status_that_was_told(inbox: Inbox, store: Store, deliveries: list[str]) -> None:
    """What routing has not read yet has none; a word that is none is refused."""
    told = (
        "INSERT INTO completions (delivery_id, source, kind, about_id, status, nth) VALUES (?, 'first', 'job', ?, ?, 0)"
    )
    for place, status in ((0, "failed"), (1, "succeeded"), (2, "failed")):
        store.rows(told, row_of(deliveries[place], "dlv"), f"job_{place}", status)
    failed = [add(inbox, deliveries[place]) for place in (0, 2)]
    other = add(inbox, deliveries[1])
    assert found(inbox, status="failed") == [deliveries[2], deliveries[0]]
    assert found(inbox, status="failed", job_id="job_2") == [deliveries[2]]
    assert found(inbox, status="failed", source="second") == found(inbox, status="skipped") == []
    for status, ids in (("failed", failed[::-1]), ("succeeded", [other]), ("cancelled", [])):
        wanted = Filter(status=status, state="pending")
        assert [item.id for item in inbox.read(browsing.triggers, wanted=wanted, limit=9)] == ids
    with pytest.raises(BadFilter, match="no such status of an event: success; there is succeeded, failed"):
        found(inbox, status="success")


def test_event_is_found_by_its_key(inbox: Inbox, deliveries: list[str], store: Store) -> None:
    """The same as without a key, whether SQLite's key is in memory or in its table, and of every source that has it."""
    again = stored(inbox, "evt_4", source="second")
    sources = ("first", "second", "gone")
    for _ in range(2):
        assert found(inbox, event_id="evt_4", among=sources) == [again, deliveries[4]]
        assert found(inbox, event_id="evt_4", source="first", among=("first",)) == [deliveries[4]]
        assert found(inbox, event_id="evt_11", among=sources) == []
        if not store.is_postgresql:
            wait_for(lambda: store.one("SELECT COUNT(*) FROM dedup") == 11)


@pytest.mark.parametrize("is_folded", [False, True])
def test_a_search_for_an_event_hides_none_of_its_deliveries(inbox: Inbox, store: Store, is_folded: bool) -> None:
    """A copy that came too late is shown as well, also where nothing else came."""
    late, fresh = stored(inbox, "evt_1", is_stale=True), stored(inbox, "evt_1")
    alone = stored(inbox, "evt_2", is_stale=True)
    if is_folded:
        wait_for(store.has_folded)
    assert found(inbox, event_id="evt_1", among=("planasonix", "gone")) == [fresh, late]
    assert found(inbox, event_id="evt_2", among=("planasonix",)) == [alone]
    assert found(inbox, event_id="evt_1", among=("planasonix",), state="stale") == [late]


def test_event_is_found_without_reading_every_delivery(inbox: Inbox, deliveries: list[str]) -> None:
    """Neither database plans to look at all of them."""
    wanted = Filter(event_id="evt_4", among=("first", "second"))

    def plan(connection: Connection) -> str:
        explain = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        if explain == "EXPLAIN":
            connection.exec_driver_sql("SET enable_seqscan = off")  # ten rows are read quicker than any index
        statement, values = browsing.statement(connection, wanted=wanted, limit=20)
        prefixed = text(f"{explain} {statement.text}").bindparams(*statement._bindparams.values())
        return str(connection.execute(prefixed, values).all())

    assert "deliveries_once" in (told := inbox.read(plan)) or "SEARCH deliveries USING INTEGER PRIMARY KEY" in told
    assert "SCAN deliveries" not in told


@pytest.mark.parametrize("year", [1, 1999, 2019])
def test_since_the_dawn_of_time(inbox: Inbox, deliveries: list[str], year: int) -> None:
    """An instant before there was any bridge means everything, and `until` it nothing."""
    assert found(inbox, since=datetime(year, 1, 1, tzinfo=UTC)) == deliveries[::-1]
    assert found(inbox, until=datetime(year, 1, 1, tzinfo=UTC)) == []


@pytest.mark.parametrize("year", [2100, 9999])
def test_until_the_end_of_time(inbox: Inbox, deliveries: list[str], year: int) -> None:
    """An instant in the far future means everything for `until`, and nothing for `since`."""
    assert found(inbox, until=datetime(year, 1, 1, tzinfo=UTC)) == deliveries[::-1]
    assert found(inbox, since=datetime(year, 1, 1, tzinfo=UTC)) == []


def test_time_cuts_between_deliveries(inbox: Inbox) -> None:
    """What was received before the instant is on one side, the rest on the other."""
    old = stored(inbox, "evt_old")
    cut = datetime.now(UTC) + timedelta(milliseconds=2)  # an id knows no microseconds
    while datetime.now(UTC) < cut + timedelta(milliseconds=2):
        pass
    new = stored(inbox, "evt_new")
    assert found(inbox, until=cut) == [old]
    assert found(inbox, since=cut) == [new]


def test_triggers_have_filters_of_their_own(inbox: Inbox) -> None:
    """State, route, DAG and delivery."""
    first, second = stored(inbox, "evt_1"), stored(inbox, "evt_2")
    item = add(inbox, first, route="orders", dag_id="a")
    other = add(inbox, second, route="stock", dag_id="b", state=TriggerState.HELD)

    def ids(**wanted: Any) -> list[str]:
        return [t.id for t in inbox.read(browsing.triggers, wanted=Filter(**wanted), limit=9)]

    assert ids() == [other, item]
    assert ids(route="orders") == ids(dag_id="a") == ids(delivery_id=first) == ids(state="pending") == [item]
    assert ids(state="held", route="orders") == []
    assert ids(after=other) == [item]


@pytest.mark.parametrize("wanted", [{"route": "x"}, {"dag_id": "x"}])
def test_a_filter_that_cannot_be_is_told(inbox: Inbox, wanted: dict[str, str]) -> None:
    """Deliveries have no route; asking for it is an error that names the filter, not an empty page."""
    with pytest.raises(BridgeError, match=next(iter(wanted))):
        found(inbox, **wanted)


@pytest.mark.parametrize("after", ["x", "trg_0000000000000001", "dlv_1"])
def test_a_page_after_nothing_is_not_there(inbox: Inbox, after: str) -> None:
    """What is no id of a delivery cannot be where a page begins."""
    with pytest.raises(NotThere):
        found(inbox, after=after)


def test_counts_are_of_what_the_filter_means(inbox: Inbox, deliveries: list[str]) -> None:
    """Counting and listing agree."""
    add(inbox, deliveries[0])
    assert inbox.read(browsing.count, table="deliveries", wanted=Filter(source="first")) == 5
    assert inbox.read(browsing.count, table="triggers", wanted=Filter(delivery_id=deliveries[0])) == 1


def test_what_waits_is_counted_with_its_age(inbox: Inbox, store: Store) -> None:
    """Every state that waits has its count and its oldest; what has ended is not in it."""
    ids = [item.delivery_id for item in accept(inbox, "evt_1", "evt_2", "evt_3", "evt_4")]
    add(inbox, ids[0])
    add(inbox, ids[1], state=TriggerState.HELD, now=NOW - timedelta(days=1))
    add(inbox, ids[2], state=TriggerState.FAILED)
    waiting = inbox.read(browsing.waiting)
    assert {state: count for state, (count, _) in waiting.items()} == {
        "received": 1,
        "pending": 1,
        "held": 1,
        "firing": 0,
    }
    assert waiting["held"][1] == NOW - timedelta(days=1)
    assert waiting["firing"][1] is None
    store.rows("UPDATE deliveries SET state = 'stale' WHERE state = 'received'")
    assert inbox.read(browsing.odd, limit=9) == {"stale": 1, "failed": 1}
    store.rows("UPDATE deliveries SET state = 'unrouted'")
    assert inbox.read(browsing.odd, limit=2) == {"unrouted": 2, "failed": 1}


def test_the_backlog_is_told_by_place_and_reason(inbox: Inbox) -> None:
    """Deliveries by source, triggers by Airflow and reason, each with its oldest; what has ended is not in it."""
    accept(inbox, "evt_0", source="other")
    ids = [item.delivery_id for item in accept(inbox, *(f"evt_{number}" for number in range(1, 8)))]
    add(inbox, ids[0])
    for at, days in ((1, 1), (2, 3)):
        held = {"state": TriggerState.HELD, "reason": Reason.LOOP_GUARD}
        add(inbox, ids[at], now=NOW - timedelta(days=days), **held)
    add(inbox, ids[3], airflow="far", state=TriggerState.FAILED)
    add(inbox, ids[4], airflow="far")
    claim(inbox, airflow="far")
    told = {(item.state, item.source, item.airflow, item.reason): item for item in inbox.read(browsing.backlog)}
    assert {place: item.amount for place, item in told.items()} == {
        (DeliveryState.RECEIVED, "other", "", None): 1,
        (DeliveryState.RECEIVED, "planasonix", "", None): 2,
        (TriggerState.PENDING, "", "default", None): 1,
        (TriggerState.HELD, "", "default", Reason.LOOP_GUARD): 2,
        (TriggerState.FIRING, "", "far", None): 1,
    }
    assert told[TriggerState.HELD, "", "default", Reason.LOOP_GUARD].oldest_at == NOW - timedelta(days=3)


def test_the_size_is_that_of_what_is_stored(inbox: Inbox, store: Store) -> None:
    """It grows with the bodies; the room of the volume is known for a file only."""
    before, disk = inbox.size()
    accept(inbox, "evt_1", body=random.Random(1).randbytes(3_000_000))
    after, _ = inbox.size()
    assert after - before > 2_500_000
    assert (disk is None) == store.is_postgresql


@ON_SQLITE
@pytest.mark.parametrize(
    ("statement", "index"),
    [
        *(
            (str(statement), index)
            for statement, index in zip(browsing._BACKLOG, ("_waiting", "_waiting", "_leased"), strict=True)
        ),
        ("SELECT COUNT(*), MIN(received_at) FROM deliveries WHERE state = 'received'", "deliveries_waiting"),
        ("SELECT id FROM deliveries WHERE state = 'received' AND due_at <= 1 ORDER BY due_at", "deliveries_waiting"),
        (
            "SELECT id FROM triggers WHERE airflow = 'x' AND state IN ('pending','held') AND due_at <= 1"
            " ORDER BY due_at",
            "triggers_waiting",
        ),
        ("SELECT id FROM triggers WHERE state = 'firing' AND lease_until <= 1", "triggers_leased"),
        ("SELECT 1 FROM triggers WHERE delivery_id = 1 AND state IN ('pending','held','firing')", "triggers_once"),
    ],
)
def test_what_is_asked_again_and_again_costs_history_nothing(store: Store, statement: str, index: str) -> None:
    """Each of the statements that run all the time uses its partial index."""
    plan = " ".join(row[3] for row in store.rows(f"EXPLAIN QUERY PLAN {statement}"))
    assert index in plan
    assert "SCAN deliveries USING INTEGER" not in plan


def test_the_keys_of_a_time_are_those_that_signed_in_it(inbox: Inbox) -> None:
    """From its first instant on, up to its last without it; of the newest so many."""
    ids = [stored(inbox, f"evt_{key}", key_id=key) for key in "abc"]
    years = [datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2021, 2120)]

    def used(since: datetime, until: datetime, limit: int = 9) -> str:
        return "".join(sorted(key for _, key in inbox.read(browsing.keys_used, since=since, until=until, limit=limit)))

    assert (used(years[0], years[2]), used(years[0], years[2], limit=2)) == ("abc", "bc")
    assert (used(years[0], years[1]), used(years[2], years[2])) == ("", "")
    moment = datetime.fromtimestamp(made_at(ids[0]) / 1_000_000, UTC)
    assert used(moment, years[2]) == "abc"
    assert used(years[0], moment) == ""


def test_each_reason_of_triggers_is_known_as_one() -> None:
    """A page asks by it for triggers: what stands in the part on triggers in `reasons`, or what one can be held for."""
    words = list(Reason)
    listed = set(words[words.index(Reason.AIRFLOW_DOWN) : words.index(Reason.UNKNOWN_REASON)])
    assert listed == TRIGGER_REASONS | {Reason.MAPPING_BROKEN, Reason.PAUSED_BY_PERSON}
    assert {*labels.HELD, *labels.FAILURES} <= TRIGGER_REASONS | REASONS_OF_BOTH
    assert not TRIGGER_REASONS & REASONS_OF_BOTH
