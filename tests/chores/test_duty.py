"""One replica at a time has a duty, and whoever stops lets another one have it at once."""

from datetime import UTC, datetime, timedelta

from bridge.chores.duty import Duty
from bridge.edges.inbox import Inbox

_AT = datetime(2026, 8, 1, 10, tzinfo=UTC)


def test_a_duty_is_kept_until_it_is_given_back(inbox: Inbox) -> None:
    """Taken again it is renewed; all that a loop has taken goes back, and nobody else's."""
    mine, other = (Duty(inbox, lambda: _AT) for _ in range(2))
    assert all(mine.take(name, 30) for name in ("waking:a", "waking:b", "waking:a"))
    assert other.take("waking:c", 30)
    assert not other.take("waking:a", 30)
    mine.give_back()
    assert other.take("waking:a", 30)
    assert other.take("waking:b", 30)
    assert not mine.take("waking:c", 30)


def test_a_duty_that_nobody_gave_back_lapses(inbox: Inbox) -> None:
    """As after a crash."""
    assert Duty(inbox, lambda: _AT).take("waking:a", 30)
    assert not Duty(inbox, lambda: _AT + timedelta(seconds=29)).take("waking:a", 30)
    assert Duty(inbox, lambda: _AT + timedelta(seconds=30)).take("waking:a", 30)


def test_a_store_that_is_away_keeps_no_loop_from_stopping(inbox: Inbox) -> None:
    """What cannot be given back lapses."""
    mine = Duty(inbox, lambda: _AT)
    assert mine.take("waking:a", 30)
    inbox.close()
    mine.give_back()
