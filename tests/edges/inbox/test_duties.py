"""What is claimed for one question leaves nothing behind, however it ends."""

from datetime import UTC, datetime, timedelta

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
