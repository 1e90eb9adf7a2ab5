"""Pages of bodies: each delivery is in one page or counted, on both databases and whatever is encrypted."""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, received
from bridge.edges.inbox.deliveries import Postponed, Routing, postpone, settle_routing
from bridge.edges.inbox.engine.ids import delivery_text
from bridge.edges.inbox.received import Page
from bridge.edges.inbox.rows import first_since
from bridge.rules.mentions import mentions
from bridge.rules.sealing import Ring
from bridge.words.model import DeliveryState
from bridge.words.reasons import Reason
from tests.support.store import NOW, ON_SQLITE, Store, accept, stored

Open = Callable[..., Inbox]
_RING = Ring({"old": bytes(range(32))}, os.urandom)


def body(pipeline: str, **more: Any) -> bytes:
    """Return a body that names a pipeline."""
    return json.dumps({"pipeline_id": pipeline} | more).encode()


def everything(inbox: Inbox, **asked: Any) -> list[Page]:
    """Return all pages."""
    pages: list[Page] = []
    after: str | None = None
    while True:
        page = inbox.read(received.bodies, **{"since": None, "until": None, "limit": 3} | asked, after=after)
        pages.append(page)
        after = page.last
        if after is None:
            return pages


def look_up(inbox: Inbox, delivery_id: str, answer: dict[str, Any]) -> None:
    """Store what the API answered of a delivery's job."""
    inbox.write(postpone, [Postponed(delivery_id, NOW, Reason.LOOKUP_FAILED, "slow", True)])
    inbox.write(
        settle_routing, [Routing(delivery_id, DeliveryState.UNROUTED, Reason.NO_ROUTE, None, answer, [])], now=NOW
    )


def fill(inbox: Inbox) -> None:
    """Store bodies that name pl_a in each place where it may stand, and others between them."""
    for number in range(4):
        accept(inbox, f"evt_other_{number}", body=body(f"pl_b{number}"))
        accept(inbox, f"evt_{number}", body=body(f"pl_a{number}"))
    accept(inbox, "evt_url", body=body("", about="none"), path_pipeline_id="pl_a_url")
    accept(inbox, "evt_escape", body=b'{"pipeline_id": "\\u0070l_a"}')
    look_up(inbox, stored(inbox, "evt_looked_up", body=body("")), {"pipeline_id": "pl_a"})
    look_up(inbox, stored(inbox, "evt_other_answer", body=body("")), {"pipeline_id": "pl_b"})


@pytest.mark.parametrize("is_sealed", [False, True])
@pytest.mark.parametrize("limit", [2, 100])
def test_what_may_name_a_pipeline_is_given_and_the_rest_is_counted(
    open_inbox: Open, is_sealed: bool, limit: int
) -> None:
    """As `mentions` says it of the same bytes; plain rows stand beside encrypted ones."""
    fill(open_inbox())
    inbox = open_inbox(ring=_RING) if is_sealed else open_inbox()
    if is_sealed:
        accept(inbox, "evt_sealed", body=body("pl_a"))
        accept(inbox, "evt_sealed_other", body=body("pl_b"))
    whole = [item for page in everything(inbox) for item in page.found]
    pages = everything(inbox, naming=("pl_a", "pl_zz"), limit=limit)
    wanted = [
        item
        for item in whole
        if item.body is not None
        and mentions(
            frozenset({"pl_a", "pl_zz"}),
            body=item.body,
            url_pipeline=item.path_pipeline_id,
            lookup=None if item.lookup is None else json.dumps(item.lookup),
        )
    ]
    assert [item for page in pages for item in page.found] == wanted
    assert len(wanted) == 7 + is_sealed
    assert sum(page.passed + len(page.found) for page in pages) == len(whole)
    assert all(len(page.found) <= limit for page in pages)


def test_what_no_key_opens_is_given(open_inbox: Open) -> None:
    """Nobody knows what it names."""
    accept(open_inbox(ring=_RING), "evt_1", body=body("pl_b"))
    (page, _) = everything(open_inbox(), naming=("pl_a",))
    assert ([item.body for item in page.found], page.passed) == ([None], 0)


def test_pages_without_a_body_go_on(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page looks at so many deliveries and no more."""
    monkeypatch.setattr(received, "_LOOKED_AT", 3)
    for number in range(7):
        accept(inbox, f"evt_{number}", body=body("pl_b"))
    accept(inbox, "evt_last", body=body("pl_a"))
    pages = everything(inbox, naming=("pl_a",))
    assert [(len(page.found), page.passed) for page in pages] == [(0, 3), (0, 3), (1, 1), (0, 0)]
    reached = [page.reached_at for page in pages]
    assert reached[-1] is None
    assert reached[:-1] == sorted(at for at in reached if at is not None)


def test_large_bodies_are_looked_at_a_few_at_a_time(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no statement looks through gigabytes."""
    monkeypatch.setattr(received, "_LOOKED_THROUGH", 300)
    for number in range(4):
        accept(inbox, f"evt_{number}", body=body("pl_b", pad="x" * 100))
    accept(inbox, "evt_last", body=body("pl_a", pad="x" * 1000))
    pages = everything(inbox, naming=("pl_a",))
    assert sum(page.passed for page in pages) == 4
    assert [len(page.found) for page in pages if page.found] == [1]
    assert max(page.passed for page in pages) == 1


def test_a_small_body_before_a_large_one_is_looked_at_alone(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large that is: it is in a page of its own."""
    monkeypatch.setattr(received, "_LOOKED_THROUGH", 300)
    accept(inbox, "evt_small", body=body("pl_b"))
    accept(inbox, "evt_large", body=body("pl_a", pad="x" * 1000))
    pages = everything(inbox, naming=("pl_a",))
    assert [(len(page.found), page.passed) for page in pages] == [(0, 1), (1, 0), (0, 0)]


@ON_SQLITE
@pytest.mark.parametrize(("more", "passed"), [(0, [2, 1, 0]), (1, [1, 2, 0])])
def test_sixty_four_mebibytes_of_bodies_are_looked_through(
    inbox: Inbox, store: Store, more: int, passed: list[int]
) -> None:
    """And not a byte more: no statement looks through gigabytes."""
    for number in range(3):
        accept(inbox, f"evt_{number}", body=b"{}")
    for number in range(2):
        size = 32 * 1_048_576 + more * (number == 0)
        store.rows("UPDATE deliveries SET body = zeroblob(?) WHERE event_id = ?", size, f"evt_{number}")
    assert [page.passed for page in everything(inbox, naming=("pl_a",))] == passed


@pytest.mark.parametrize("naming", [(), ("pl",)])
def test_a_page_is_cut_by_its_bytes(inbox: Inbox, monkeypatch: pytest.MonkeyPatch, naming: tuple[str, ...]) -> None:
    """One body more at most."""
    monkeypatch.setattr(received, "_MOST_BYTES", 10)
    for number in range(2):
        accept(inbox, f"evt_{number}", body=body("pl_b"))
    pages = everything(inbox, naming=naming)
    assert [(len(page.found), page.passed) for page in pages] == [(1, 0), (1, 0), (0, 0)]


@pytest.mark.parametrize("naming", [(), ("pl",)])
def test_a_page_holds_eight_mebibytes_and_one_body_more(inbox: Inbox, naming: tuple[str, ...]) -> None:
    """What it holds is in memory at once; exactly so much is not too much yet."""
    for number in range(2):
        accept(inbox, f"evt_{number}", body=body("pl_b").ljust(4 * 1_048_576))
    accept(inbox, "evt_2", "evt_3", body=body("pl_b"))
    pages = everything(inbox, naming=naming, limit=9)
    assert [len(page.found) for page in pages if page.found] == [3, 1]


def test_a_time_is_kept_to(inbox: Inbox, store: Store) -> None:
    """From its first millisecond on, and not to its end; together with where the page before ended."""
    begin, end = NOW, NOW + timedelta(seconds=1)
    ids = [first_since(begin) - 1, first_since(begin), first_since(begin) + 1, first_since(end) - 1, first_since(end)]
    for number, id_ in enumerate(ids):
        accept(inbox, f"evt_{number}", body=body("pl_a"))
        store.rows("UPDATE deliveries SET id = ? WHERE event_id = ?", id_, f"evt_{number}")
    names = [delivery_text(id_) for id_ in ids]
    for naming in ((), ("pl_a",)):
        for wanted, first, last in (
            ({"since": begin, "until": end}, 1, 4),
            ({"since": begin}, 1, 5),
            ({"until": end}, 0, 4),
            ({}, 0, 5),
        ):
            found = [item.id for page in everything(inbox, naming=naming, **wanted) for item in page.found]
            assert found == names[first:last]
    asked = {"since": begin, "until": end, "limit": 9}
    page = inbox.read(received.bodies, **asked, after=names[2])
    assert [item.id for item in page.found] == names[3:4]
    assert inbox.read(received.bodies, **asked, after=delivery_text(1)).found[0].id == names[1]


def test_a_delivery_of_which_a_part_cannot_be_opened_is_given_without_any(open_inbox: Open) -> None:
    """What its body alone says might be another pipeline."""
    id_ = stored(open_inbox(), body=body(""))
    look_up(open_inbox(ring=_RING), id_, {"pipeline_id": "pl_a"})
    (page, _) = everything(open_inbox(), naming=("pl_a",))
    assert [(item.body, item.lookup) for item in page.found] == [(None, None)]


def test_what_no_route_saw_is_left_out(inbox: Inbox, store: Store) -> None:
    """Neither given nor counted."""
    accept(inbox, "evt_stale", body=body("pl_a"), is_stale=True)
    accept(inbox, "evt_gone", body=body("pl_a"))
    store.rows("UPDATE deliveries SET erased_at = 1 WHERE event_id = 'evt_gone'")
    for naming in ((), ("pl_a",)):
        (page,) = everything(inbox, naming=naming)
        assert (page.found, page.passed, page.last) == ((), 0, None)
