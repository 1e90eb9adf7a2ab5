"""The breaker: closed, open, probing ever slower, closed again."""

from bridge.rules.retrying.breaker import Breaker
from bridge.words.reasons import Reason


def test_new_breaker_is_closed() -> None:
    """Nothing is wrong before something was seen to be wrong."""
    breaker = Breaker()
    assert (breaker.is_open, breaker.reason, breaker.detail) == (False, None, None)
    assert not breaker.may_probe(1e9)
    assert breaker.seconds_until_probe(0.0) == 0.0


def test_open_breaker_shows_why_and_probes_after_a_second() -> None:
    """The first probe is due 1 s after it opened."""
    breaker = Breaker()
    breaker.open(100.0, Reason.AIRFLOW_DOWN, "refused")
    assert (breaker.is_open, breaker.reason, breaker.detail) == (True, Reason.AIRFLOW_DOWN, "refused")
    assert not breaker.may_probe(100.9)
    assert breaker.may_probe(101.0)


def test_probes_that_fail_come_ever_slower() -> None:
    """1, 2, 4, 8, 16, 30, 30 s between probes."""
    breaker, now, intervals = Breaker(), 0.0, []
    for _ in range(7):
        breaker.open(now, Reason.AIRFLOW_DOWN, None)
        began = now
        while not breaker.may_probe(now):
            now += 0.5
        intervals.append(now - began)
    assert intervals == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_calls_that_fail_together_count_once() -> None:
    """Eight calls under way when an Airflow dies put the first probe off no further than one."""
    breaker = Breaker()
    for number in range(8):
        breaker.open(number / 10, Reason.AIRFLOW_DOWN, None)
    assert breaker.may_probe(1.0)


def test_asked_wait_puts_the_probe_off() -> None:
    """Retry-After is honoured beyond the cap, and later trouble without one does not shorten it."""
    breaker = Breaker()
    breaker.open(0.0, Reason.THROTTLED, None, wait_seconds=120.0)
    breaker.open(1.0, Reason.AIRFLOW_DOWN, None)
    assert not breaker.may_probe(119.0)
    assert breaker.may_probe(120.0)
    assert breaker.reason is Reason.AIRFLOW_DOWN


def test_closing_forgets_everything() -> None:
    """After a close the next trouble begins with a probe after 1 s again."""
    breaker = Breaker()
    breaker.open(0.0, Reason.THROTTLED, "slow", wait_seconds=120.0)
    breaker.close()
    assert (breaker.is_open, breaker.reason, breaker.detail) == (False, None, None)
    assert not breaker.may_probe(500.0)
    breaker.open(500.0, Reason.AIRFLOW_DOWN, None)
    assert breaker.may_probe(501.0)


def test_how_long_the_next_probe_is_away_is_known() -> None:
    """No longer than what was asked for, and nothing once it is due."""
    breaker = Breaker()
    breaker.open(10.0, Reason.THROTTLED, None, wait_seconds=5.0)
    assert [breaker.seconds_until_probe(now) for now in (10.0, 14.0, 15.0, 99.0)] == [5.0, 1.0, 0.0, 0.0]
