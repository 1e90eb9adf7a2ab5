"""A filter that no index knows is looked for in stretches: all is found in the end, and no part costs more than one."""

from dataclasses import replace

import pytest

from bridge.edges.inbox import Inbox, browsing, walking
from bridge.edges.inbox.browsing import Filter
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
        after = inbox.read(walking.edge, table=table, wanted=wanted, stretch=10)
        parts.append(len(inbox.read(page, wanted=replace(wanted, edge=after), limit=50)))
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
    store.rows(
        "INSERT INTO completions (delivery_id, source, kind, about_id, status, pipeline_id, nth)"
        " SELECT id, source, 'job', 'job_' || id, 'succeeded', 'pl_busy', 0 FROM deliveries"
    )
    assert _parts(inbox, table, Filter(pipeline_id="pl_busy", reason="x")) == [1, 0, 1]
    assert _parts(inbox, table, Filter(pipeline_id="pl_busy")) == [10, 10, 5]
    store.rows("UPDATE completions SET pipeline_id = 'pl_quiet' WHERE delivery_id = (SELECT MIN(id) FROM deliveries)")
    assert _parts(inbox, table, Filter(pipeline_id="pl_quiet")) == [1]


def test_runs_that_ended_well_are_walked(inbox: Inbox, delivery_ids: list[str]) -> None:
    """No index has them: where no run is followed, none ended so, and all would be read for that."""
    assert inbox.read(walking.edge, table="triggers", wanted=Filter(run_state="success"), stretch=1) is not None


@pytest.mark.parametrize(
    ("wanted", "is_walked"),
    [
        (Filter(reason="x"), True),
        (Filter(reason="x", state="routed"), True),
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
    edge = inbox.read(walking.edge, table="deliveries", wanted=wanted, stretch=10)
    assert edge == (delivery_ids[9] if is_walked else None)


def test_a_stretch_begins_where_a_time_ends(inbox: Inbox, delivery_ids: list[str]) -> None:
    """`after` and the times count before the stretch does; triggers have their own filters."""
    edge = inbox.read(walking.edge, table="deliveries", wanted=Filter(reason="x", after=delivery_ids[4]), stretch=10)
    assert edge == delivery_ids[14]
    assert (
        inbox.read(walking.edge, table="triggers", wanted=Filter(route="orders", run_state="failed"), stretch=1) is None
    )
    for wanted in (Filter(route="orders"), Filter(source="first"), Filter(status="failed")):
        assert inbox.read(walking.edge, table="triggers", wanted=wanted, stretch=1) is not None
