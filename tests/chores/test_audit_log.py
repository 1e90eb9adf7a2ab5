"""Sign-ins and a changed mapping reach the audit log, a flood of wrong tokens does not fill it, and nothing is lost."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bridge.chores.audit_log import AuditLog
from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from bridge.words.errors import InboxUnavailable
from tests.support.store import Store

_NOW = datetime(2026, 3, 27, 14, tzinfo=UTC)


class World:
    """A log whose clock and mapping the test sets."""

    def __init__(self, inbox: Inbox, metrics: Metrics) -> None:
        self.seconds = 1000.0
        self.digest = "first"
        self.log = AuditLog(
            inbox=inbox,
            metrics=metrics,
            mapping=lambda: (self.digest, 2, _NOW),
            clock=lambda: _NOW,
            monotonic=lambda: self.seconds,
        )


@pytest.fixture
def world(inbox: Inbox, metrics: Metrics) -> Iterator[World]:
    """One that has not begun."""
    item = World(inbox, metrics)
    yield item
    item.log.loop.stop(5)


def lines(store: Store) -> list[tuple[str, str, str, str | None]]:
    """Return actor, action, subject and reason of every line, oldest first."""
    return [tuple(row) for row in store.rows("SELECT actor, action, subject, reason FROM audit ORDER BY id")]


def test_a_mapping_that_changed_is_told(world: World, store: Store) -> None:
    """Once each, with its digest."""
    for digest in ("first", "first", "second"):
        world.digest = digest
        world.log.step()
    assert lines(store) == [
        ("mapping file", "mapping_loaded", "first", "2 routes"),
        ("mapping file", "mapping_loaded", "second", "2 routes"),
    ]


def test_a_token_signs_in_once_a_day_and_address(world: World, store: Store) -> None:
    """A script that asks every second does not fill the log."""
    for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2"):
        world.log.let_in("token:viewer", address)
        world.log.step()
    world.seconds += 86_400
    world.log.let_in("token:viewer", "10.0.0.1")
    world.log.step()
    told = [line for line in lines(store) if line[1] == "signed_in"]
    assert told == [("token:viewer", "signed_in", f"10.0.0.{last}", None) for last in (1, 2, 1)]


def test_an_address_with_wrong_tokens_has_one_line_a_minute(world: World, store: Store) -> None:
    """The first at once, the others with their number; none is left out of the count."""
    world.log.refuse("10.0.0.9")
    world.log.step()
    for _ in range(500):
        world.log.refuse("10.0.0.9")
        world.log.step()
    world.seconds += 60
    world.log.step()
    told = [line[2:] for line in lines(store) if line[1] == "sign_in_failed"]
    assert told == [("10.0.0.9", "a wrong token"), ("10.0.0.9", "a wrong token, 500 times")]


def test_any_number_of_addresses_has_a_bounded_number_of_lines(world: World, store: Store) -> None:
    """Those that are too many to remember share one line."""
    for number in range(1000):
        world.log.refuse(f"2001:db8:{number:x}::")
    world.log.step()
    told = [line[2:] for line in lines(store) if line[1] == "sign_in_failed"]
    assert len(told) == 65
    assert told[-1] == ("other addresses", "a wrong token, 936 times")


def test_what_cannot_be_written_is_kept(world: World, store: Store, inbox: Inbox, metrics: Metrics) -> None:
    """Until the store is back."""
    world.log.step()
    world.log.let_in("token:admin", "10.0.0.1")
    world.log.refuse("10.0.0.9")
    store.rows("ALTER TABLE audit RENAME TO audit_away")
    with pytest.raises(InboxUnavailable):
        world.log.step()
    store.rows("ALTER TABLE audit_away RENAME TO audit")
    world.log.refuse("10.0.0.9")
    world.log.step()
    assert [line[1:] for line in lines(store)[1:]] == [
        ("signed_in", "10.0.0.1", None),
        ("sign_in_failed", "10.0.0.9", "a wrong token, 2 times"),
    ]


def test_what_is_remembered_is_written_at_the_end(world: World, store: Store) -> None:
    """A restart forgets no failure, also within the minute."""
    world.log.refuse("10.0.0.9")
    world.log.step()
    world.log.refuse("10.0.0.9")
    world.log.loop.stop(5)
    assert len([line for line in lines(store) if line[1] == "sign_in_failed"]) == 2


def test_ways_to_fail_are_lines_of_their_own(world: World, store: Store) -> None:
    """Each with its number, and with the person where the provider named one."""
    world.log.refuse("10.0.0.1")
    world.log.refuse("10.0.0.1", "OpenID Connect: expired")
    world.log.refuse("10.0.0.1", "OpenID Connect: expired")
    world.log.refuse("10.0.0.1", "OpenID Connect: no group", actor="person:nils")
    world.log.step()
    assert [line for line in lines(store) if line[1] == "sign_in_failed"] == [
        ("unknown", "sign_in_failed", "10.0.0.1", "a wrong token"),
        ("unknown", "sign_in_failed", "10.0.0.1", "OpenID Connect: expired, 2 times"),
        ("person:nils", "sign_in_failed", "10.0.0.1", "OpenID Connect: no group"),
    ]


def test_a_person_has_a_line_for_each_sign_in(world: World, store: Store) -> None:
    """And none for each page that is looked at afterwards, unless it is from elsewhere."""
    for address in ("10.0.0.1", "10.0.0.1"):
        world.log.sign_in("person:anna", address)
        world.log.let_in("person:anna", address)
    world.log.let_in("person:anna", "10.0.0.2")
    world.log.step()
    assert [line[2] for line in lines(store) if line[0] == "person:anna"] == ["10.0.0.1", "10.0.0.1", "10.0.0.2"]
