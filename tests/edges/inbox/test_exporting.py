"""Pages of everything: each thing once, whatever the page's size, and no page walks far."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from bridge.edges.inbox import Inbox, exporting, triggers
from bridge.edges.inbox.browsing import Filter
from bridge.edges.inbox.engine.ids import delivery_text
from bridge.edges.inbox.exporting import Bounds
from bridge.edges.inbox.rows import first_since
from bridge.words.errors import NotThere
from bridge.words.model import TriggerState
from tests.support.store import NOW, Store, accept, add, attempt, claim, settlement, stored


def everything(inbox: Inbox, what: Callable[..., Any], bounds: Bounds = Bounds(), **more: Any) -> list[list[Any]]:  # noqa: B008 - frozen
    """Return all pages."""
    pages: list[list[Any]] = []
    after: str | None = None
    while True:
        page, after = inbox.read(what, wanted=Filter(after=after, **more), limit=3, bounds=bounds)
        pages.append(page)
        if after is None:
            return pages


def test_each_delivery_is_in_one_page(inbox: Inbox) -> None:
    """The oldest first."""
    ids = [each.delivery_id for each in accept(inbox, *[f"evt_{number}" for number in range(8)])]
    pages = everything(inbox, exporting.deliveries)
    assert [each.id for page in pages for each in page] == sorted(ids)
    assert [len(page) for page in pages] == [3, 3, 2]


def test_a_filter_leaves_out_and_goes_on(inbox: Inbox, store: Store) -> None:
    """A page that walked far and found nothing is empty, and has a next one."""
    ids = [each.delivery_id for each in accept(inbox, *[f"evt_{number}" for number in range(6)])]
    store.rows("UPDATE deliveries SET state = 'unrouted' WHERE event_id = 'evt_5'")
    pages = everything(inbox, exporting.deliveries, Bounds(walked=2), state="unrouted")
    assert [each.id for page in pages for each in page] == [ids[5]]
    assert [len(page) for page in pages] == [0, 0, 1, 0]


def test_a_page_is_cut_by_its_bytes(inbox: Inbox) -> None:
    """One payload more at most."""
    accept(inbox, "evt_1", "evt_2")
    assert [len(page) for page in everything(inbox, exporting.deliveries, Bounds(most_bytes=10))] == [1, 1, 0]


def test_a_page_holds_eight_mebibytes_and_one_payload_more(inbox: Inbox) -> None:
    """What it holds is in memory at once; exactly so much is not too much yet."""
    accept(inbox, "evt_1", "evt_2", body=bytes(4 * 1_048_576))
    accept(inbox, "evt_3", "evt_4", body=b"{}")
    found, after = inbox.read(exporting.deliveries, wanted=Filter(), limit=9)
    assert (len(found), after) == (3, found[-1].id)
    assert len(inbox.read(exporting.deliveries, wanted=Filter(after=after), limit=9)[0]) == 1


def test_attempts_come_with_their_triggers(inbox: Inbox) -> None:
    """By the filters of triggers."""
    ids = [add(inbox, stored(inbox, f"evt_{number}"), dag_run_id=f"run-{number}") for number in range(2)]
    for claimed in claim(inbox):
        inbox.write(triggers.settle, claimed, settlement(TriggerState.FIRED), attempt())
    found = [each for page in everything(inbox, exporting.attempts, state="fired") for each in page]
    assert [each.trigger_id for each in found] == sorted(ids)
    assert [each.id for page in everything(inbox, exporting.triggers) for each in page] == sorted(ids)
    assert everything(inbox, exporting.attempts, state="failed") == [[]]


def test_a_time_is_kept_to(inbox: Inbox) -> None:
    """Nothing is walked beyond it."""
    stored(inbox)
    assert everything(inbox, exporting.deliveries, Bounds(walked=1), until=NOW.replace(year=2020)) == [[]]
    assert everything(inbox, exporting.deliveries, Bounds(walked=1), since=NOW.replace(year=2040)) == [[]]


def test_a_time_begins_with_its_first_millisecond_and_ends_before_its_last(inbox: Inbox, store: Store) -> None:
    """Also where a page begins within it."""
    begin, end = NOW, NOW.replace(year=2031)
    ids = [first_since(begin) - 1, first_since(begin), first_since(begin) + 1, first_since(end) - 1, first_since(end)]
    for number, id_ in enumerate(ids):
        stored(inbox, f"evt_{number}")
        store.rows("UPDATE deliveries SET id = ? WHERE event_id = ?", id_, f"evt_{number}")
    names = [delivery_text(id_) for id_ in ids]
    for wanted, first, last in ((Filter(since=begin, until=end), 1, 4), (Filter(since=begin), 1, 5), (Filter(), 0, 5)):
        found, _ = inbox.read(exporting.deliveries, wanted=wanted, limit=9)
        assert [each.id for each in found] == names[first:last]
    for after, first in ((names[2], 3), (delivery_text(1), 1)):
        found, _ = inbox.read(exporting.deliveries, wanted=Filter(since=begin, until=end, after=after), limit=9)
        assert [each.id for each in found] == names[first:4]


def test_what_is_no_id_is_not_there(inbox: Inbox) -> None:
    """Nor is the id of something else."""

    def read(connection: Connection) -> object:
        return exporting.deliveries(connection, wanted=Filter(after="trg_0000000000000001"), limit=1)

    with pytest.raises(NotThere):
        inbox.read(read)
