"""A filter that no index knows is looked for in stretches: all is found in the end, and no part costs more than one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, browsing, exporting, grouping, walking
from bridge.edges.inbox.browsing import TRIGGER_FILTERS, Filter
from bridge.edges.inbox.filtering import where
from bridge.flows import ordering
from tests.support.store import Store, add, stored


@pytest.fixture
def delivery_ids(inbox: Inbox, store: Store) -> list[str]:
    """25 deliveries, newest first, each with a trigger; two have a reason: the 2nd and the 24th."""
    ids = [stored(inbox, f"evt_{number}", source="first") for number in range(25)]
    for id_ in ids:
        add(inbox, id_)
    for table in ("deliveries", "triggers"):
        numbers = [row[0] for row in store.rows(f"SELECT id FROM {table} ORDER BY id DESC")]  # noqa: S608
        for place in (1, 23):
            change = f"UPDATE {table} SET state = ?, reason = 'x' WHERE id = ?"  # noqa: S608
            store.rows(change, _usual(table), numbers[place])
    return ids[::-1]


_BUSY = (
    "INSERT INTO completions (delivery_id, source, kind, about_id, status, pipeline_id, nth)"
    " SELECT id, source, 'job', 'job_' || id, 'succeeded', 'pl_busy', 0 FROM deliveries"
)


_MANY = (
    "INSERT INTO completions (delivery_id, source, kind, about_id, status, pipeline_id, nth)"
    " WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20000)"
    " SELECT n, 'first', 'job', 'job_' || n, 'succeeded', 'pl_busy', 0 FROM c"
)


def _usual(table: str) -> str:
    return "routed" if table == "deliveries" else "fired"


@pytest.mark.parametrize("table", ["deliveries", "triggers"])
def test_stretches_join(inbox: Inbox, delivery_ids: list[str], table: str) -> None:
    """Each part looks at ten rows; the last one, which has fewer, has no edge. Nothing is found twice or missed."""
    assert _parts(inbox, table, Filter(reason="x")) == [1, 0, 1]


def _parts(inbox: Inbox, table: str, wanted: Filter) -> list[int]:
    """Return how many are found in each stretch of ten rows, until there is no more."""
    page = browsing.deliveries if table == "deliveries" else browsing.triggers
    after, parts = None, []
    while True:
        wanted = replace(wanted, after=after)
        part = inbox.read(walking.part, table=table, wanted=wanted, stretch=10)
        parts.append(len(inbox.read(page, wanted=part, limit=50)))
        after = part.edge
        if after is None:
            return parts


def test_unrouted_by_source_is_looked_for_in_stretches(inbox: Inbox, store: Store, delivery_ids: list[str]) -> None:
    """For most pipelines it is meant that no route wants them: that state may be most of history."""
    store.rows("UPDATE deliveries SET state = 'unrouted'")
    store.rows("UPDATE deliveries SET source = 'quiet' WHERE reason = 'x'")
    for number in range(3):
        stored(inbox, f"evt_of_another_state_{number}", source="quiet")
    assert _parts(inbox, "deliveries", Filter(state="unrouted", source="quiet")) == [1, 0, 1]
    assert _parts(inbox, "deliveries", Filter(state="unrouted", reason="x")) == [1, 0, 1]
    assert _parts(inbox, "deliveries", Filter(state="ignored", reason="x")) == [0]


@pytest.mark.parametrize("table", ["deliveries", "triggers"])
def test_a_pipeline_is_looked_through_in_stretches(
    inbox: Inbox, store: Store, delivery_ids: list[str], table: str
) -> None:
    """One may have most of history; one that has less than a stretch is found at once."""
    store.rows(_BUSY)
    assert _parts(inbox, table, Filter(pipeline_id="pl_busy", reason="x")) == [1, 0, 1]
    assert _parts(inbox, table, Filter(pipeline_id="pl_busy")) == [10, 10, 5]
    store.rows("UPDATE completions SET pipeline_id = 'pl_quiet' WHERE delivery_id = (SELECT MIN(id) FROM deliveries)")
    assert _parts(inbox, table, Filter(pipeline_id="pl_quiet")) == [1]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(state="failed"), 3),
        (Filter(state="pending"), 21),
        (Filter(state="pending", job_id="job_1"), 0),
        (Filter(after="trg_0000000000000001"), 0),
    ],
)
def test_the_last_part_of_a_busy_pipeline_reads_no_more_than_a_stretch(
    inbox: Inbox, store: Store, delivery_ids: list[str], wanted: Filter, found: int
) -> None:
    """Where few triggers are left to look at, each is looked up: all completions of the pipeline may be millions."""
    store.rows(_BUSY)
    store.rows("UPDATE triggers SET state = 'failed' WHERE id IN (SELECT id FROM triggers ORDER BY id LIMIT 3)")
    part = inbox.read(walking.part, table="triggers", wanted=replace(wanted, pipeline_id="pl_busy"), stretch=10)
    clause, _ = where(part, TRIGGER_FILTERS, "trg")
    assert (part.edge, "EXISTS" in clause, "pipeline_id = :pipeline_id)" in clause) == (None, True, True)
    assert "IN (SELECT delivery_id FROM completions WHERE pipeline_id" not in clause
    assert len(inbox.read(browsing.triggers, wanted=part, limit=50)) == found


def test_what_waits_of_a_busy_pipeline_is_looked_up(inbox: Inbox, store: Store, delivery_ids: list[str]) -> None:
    """Deliveries, too; those of one that is quiet are read from its completions."""
    store.rows(_BUSY)
    store.rows("UPDATE deliveries SET state = 'received'")
    wanted = Filter(state="received", pipeline_id="pl_busy")
    part = inbox.read(walking.part, table="deliveries", wanted=wanted, stretch=10)
    assert (part.is_busy, len(inbox.read(browsing.deliveries, wanted=part, limit=50))) == (True, 25)
    assert not inbox.read(walking.part, table="triggers", wanted=Filter(pipeline_id="pl_quiet"), stretch=1).is_busy


@pytest.mark.parametrize(
    "work",
    [
        (exporting.triggers, {"wanted": Filter(pipeline_id="pl_busy"), "limit": 9}),
        (exporting.deliveries, {"wanted": Filter(pipeline_id="pl_busy"), "limit": 9}),
        (grouping.causes, {"wanted": Filter(pipeline_id="pl_busy")}),
        (ordering.select, {"wanted": Filter(state="failed", pipeline_id="pl_busy")}),
    ],
)
def test_whatever_is_read_of_a_busy_pipeline_is_looked_up(
    inbox: Inbox, store: Store, delivery_ids: list[str], told: list[str], work: tuple[Callable[..., Any], Any]
) -> None:
    """An export, an order and the causes: no page reads all its completions."""
    store.rows(_MANY)
    what, values = work
    what(inbox, **values) if what is ordering.select else inbox.read(what, **values)
    assert any("EXISTS (SELECT 1 FROM completions" in statement for statement in told)
    assert not any("IN (SELECT delivery_id FROM completions" in statement for statement in told)


def test_runs_that_ended_well_are_walked(inbox: Inbox, delivery_ids: list[str]) -> None:
    """No index has them: where no run is followed, none ended so, and all would be read for that."""
    assert inbox.read(walking.part, table="triggers", wanted=Filter(run_state="success"), stretch=1).edge is not None


@pytest.mark.parametrize(
    ("wanted", "is_walked"),
    [
        (Filter(reason="x"), True),
        (Filter(reason="x", state="routed"), True),
        (Filter(state="routed"), True),
        (Filter(state="unrouted"), False),
        (Filter(source="first"), True),
        (Filter(status="failed"), True),
        (Filter(status="failed", job_id="job_1"), False),
        (Filter(), False),
        (Filter(state="received", reason="x"), False),
        (Filter(reason="x", pipeline_id="pl"), False),
        (Filter(source="first", event_id="evt_1"), False),
    ],
)
def test_what_an_index_finds_is_not_walked(
    inbox: Inbox, delivery_ids: list[str], wanted: Filter, is_walked: bool
) -> None:
    """Nor is what has no filter: there every row fits."""
    edge = inbox.read(walking.part, table="deliveries", wanted=wanted, stretch=10).edge
    assert edge == (delivery_ids[9] if is_walked else None)


def test_a_stretch_begins_where_a_time_ends(inbox: Inbox, delivery_ids: list[str]) -> None:
    """`after` and the times count before the stretch does; triggers have their own filters."""
    part = inbox.read(walking.part, table="deliveries", wanted=Filter(reason="x", after=delivery_ids[4]), stretch=10)
    assert part.edge == delivery_ids[14]
    part = inbox.read(walking.part, table="triggers", wanted=Filter(route="orders", run_state="failed"), stretch=1)
    assert part.edge is None
    for wanted in (Filter(route="orders"), Filter(source="first"), Filter(status="failed")):
        assert inbox.read(walking.part, table="triggers", wanted=wanted, stretch=1).edge is not None
