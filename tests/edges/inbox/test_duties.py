"""What is claimed for one question leaves nothing behind, however it ends."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.edges.inbox import Inbox, duties
from tests.support.store import Store

_NOW = datetime(2026, 8, 1, 10, tzinfo=UTC)
_NAME = f"{duties.LOOKUP}planasonix:job_1"


def test_a_look_up_that_ended_leaves_no_row_and_a_lost_claim_ends_nobody_elses(inbox: Inbox, store: Store) -> None:
    """Only whoever has it may end it."""
    assert inbox.write(duties.take, _NAME, token="a", now=_NOW, seconds=30)
    assert not inbox.write(duties.take, _NAME, token="b", now=_NOW, seconds=30)
    inbox.write(duties.end, _NAME, token="b")
    assert store.one("SELECT COUNT(*) FROM duties") == 1
    inbox.write(duties.end, _NAME, token="a")
    assert store.one("SELECT COUNT(*) FROM duties") == 0


def test_look_ups_of_dead_processes_are_forgotten_and_other_duties_stay(inbox: Inbox, store: Store) -> None:
    """What lapsed before the instant goes; what was taken since stays."""
    later = _NOW + timedelta(hours=1)
    for name, at in ((_NAME, _NOW), (f"{_NAME}2", later), ("reconciling:planasonix", _NOW)):
        inbox.write(duties.take, name, token="dead", now=at, seconds=30)
    lapsed = inbox.read(duties.lapsed, duties.LOOKUP, before=later, limit=9)
    assert lapsed == [_NAME]
    inbox.write(duties.forget, [*lapsed, f"{_NAME}2"], before=later)
    assert store.one("SELECT COUNT(*) FROM duties") == 2


_INSTANT = timedelta(microseconds=1)
_LEASE = timedelta(seconds=30)


@pytest.mark.parametrize(
    ("after", "is_taken"),
    [
        (timedelta(0), False),
        (_LEASE - _INSTANT, False),
        (_LEASE, True),
        (-_LEASE, False),  # the clocks of replicas differ a little
        (-_LEASE - _INSTANT, True),
    ],
)
def test_a_duty_passes_on_once_its_lease_is_over(inbox: Inbox, after: timedelta, is_taken: bool) -> None:
    """Or ends later than twice a lease from now: a clock that ran ahead wrote that."""
    assert inbox.write(duties.take, _NAME, token="a", now=_NOW, seconds=30)
    assert inbox.write(duties.take, _NAME, token="b", now=_NOW + after, seconds=30) is is_taken


def test_whoever_takes_a_duty_again_has_it_for_longer(inbox: Inbox) -> None:
    """And whoever took it over has it for a whole lease."""
    for token, after, is_taken in (
        ("a", 0, True),
        ("a", 20, True),
        ("b", 49, False),
        ("b", 50, True),
        ("a", 79, False),
    ):
        moment = _NOW + timedelta(seconds=after)
        assert inbox.write(duties.take, _NAME, token=token, now=moment, seconds=30) is is_taken


def test_what_is_given_back_is_free_at_once(inbox: Inbox) -> None:
    """Every duty under that token, and none under another."""
    for name, token in (("one", "a"), ("two", "a"), ("three", "b")):
        assert inbox.write(duties.take, name, token=token, now=_NOW, seconds=30)
    inbox.write(duties.give_back, token="a")
    assert [inbox.write(duties.take, name, token="c", now=_NOW, seconds=30) for name in ("one", "two", "three")] == [
        True,
        True,
        False,
    ]
    assert inbox.write(duties.free_all) == 3
    assert inbox.write(duties.free_all) == 0
    assert inbox.write(duties.take, "three", token="d", now=_NOW, seconds=30)


def test_a_duty_that_lapses_at_the_instant_has_not_lapsed_before_it(inbox: Inbox) -> None:
    """One instant later it has."""
    inbox.write(duties.take, _NAME, token="dead", now=_NOW, seconds=30)
    for before, lapsed in ((_NOW + _LEASE, []), (_NOW + _LEASE + _INSTANT, [_NAME])):
        assert inbox.read(duties.lapsed, duties.LOOKUP, before=before, limit=9) == lapsed
