"""The pace: a burst at once, then the rate, and never more than either allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.pacing import Pacer, Quota, Quotas


def test_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    """4 at once, then one each 0.1 s."""
    pacer = Pacer(rate=10.0, burst=4, now=50.0)
    assert pacer.available(50.0) == 4
    pacer.take(4, 50.0)
    assert pacer.available(50.0) == 0
    assert pacer.seconds_until(50.0) == pytest.approx(0.1)
    assert pacer.available(50.1) == 1
    assert pacer.seconds_until(50.1) == 0.0
    assert pacer.available(1_000.0) == 4


def test_rate_below_one_per_second() -> None:
    """One DAG run a minute is a rate as well."""
    pacer = Pacer(rate=1 / 60, burst=1, now=0.0)
    pacer.take(1, 0.0)
    assert pacer.seconds_until(0.0) == pytest.approx(60.0)
    assert pacer.available(59.0) == 0
    assert pacer.available(60.0) == 1


def test_another_rate_counts_from_then_on() -> None:
    """What was refilled before stays."""
    pacer = Pacer(rate=10.0, burst=4, now=0.0)
    pacer.take(4, 0.0)
    pacer.refill_at(1.0, 0.2)
    assert pacer.available(0.2) == 2
    pacer.take(2, 0.2)
    assert pacer.seconds_until(0.2) == pytest.approx(1.0)


def test_taking_more_than_there_is_makes_the_next_wait() -> None:
    """A debt is paid off before anything else goes."""
    pacer = Pacer(rate=1.0, burst=1, now=0.0)
    pacer.take(3, 0.0)
    assert pacer.available(0.0) == 0
    assert pacer.seconds_until(0.0) == pytest.approx(3.0)


def test_clock_that_steps_back_gives_nothing_away() -> None:
    """Another thread's slightly older `now` neither refills nor counts twice."""
    pacer = Pacer(rate=1.0, burst=2, now=10.0)
    pacer.take(2, 10.0)
    assert pacer.available(9.0) == 0
    assert pacer.available(11.0) == 1


@given(
    rate=st.floats(min_value=0.01, max_value=1000),
    burst=st.integers(min_value=1, max_value=64),
    steps=st.lists(st.floats(min_value=0, max_value=10), max_size=50),
)
def test_whoever_waits_as_told_may_go_and_the_rate_holds(rate: float, burst: int, steps: list[float]) -> None:
    """After `seconds_until` there is one; and over any time at most burst + rate * seconds went."""
    pacer, now, went = Pacer(rate=rate, burst=burst, now=0.0), 0.0, 0
    for step in steps:
        now += step
        now += pacer.seconds_until(now)
        amount = pacer.available(now)
        assert amount >= 1
        pacer.take(amount, now)
        went += amount
    assert went <= burst + rate * now + 0.01


def test_a_quota_is_a_minute_at_once_and_then_its_rate() -> None:
    """60 in a minute: 60 at once, then one a second; what has to wait is not counted."""
    quotas = Quotas(Quota(deliveries_per_minute=60))
    assert [quotas.take_delivery(5.0) for _ in range(60)] == [0.0] * 60
    assert [quotas.take_delivery(5.0) for _ in range(3)] == [pytest.approx(1.0)] * 3
    assert quotas.take_delivery(6.0) == 0.0
    assert quotas.take_delivery(6.5) == pytest.approx(0.5)


def test_no_quota_is_no_limit() -> None:
    """0 means any number, and nobody is remembered."""
    quotas = Quotas(Quota())
    assert not any(quotas.take_delivery(0.0) or quotas.take_refusal("192.0.2.1", 0.0) for _ in range(10_000))
    assert not quotas._refusals


def test_every_address_has_its_own_refusals() -> None:
    """One that earns too many takes nothing from another."""
    quotas = Quotas(Quota(refusals_per_minute=2))
    assert [bool(quotas.take_refusal("192.0.2.1", 0.0)) for _ in range(3)] == [False, False, True]
    assert quotas.take_refusal("192.0.2.2", 0.0) == 0.0
    assert quotas.take_refusal("192.0.2.1", 30.0) == 0.0


def test_the_table_of_addresses_is_bounded() -> None:
    """The latest ones are remembered; the others are forgotten, and who comes often is not."""
    quotas = Quotas(Quota(refusals_per_minute=1), limit=100)
    quotas.take_refusal("often", 0.0)
    for number in range(10_000):
        quotas.take_refusal(f"once {number}", 0.0)
        assert quotas.take_refusal("often", 0.0)
    assert len(quotas._refusals) == 100


def test_a_newcomer_is_limited_however_many_addresses_came_before() -> None:
    """The table is full: the address that was silent the longest makes room, never the one that came just now."""
    quotas = Quotas(Quota(refusals_per_minute=1), limit=64)
    for number in range(64):
        assert quotas.take_refusal(f"old {number}", 0.0) == 0.0
    assert quotas.take_refusal("new", 0.0) == 0.0
    assert quotas.take_refusal("new", 0.0) > 0
    assert quotas.take_refusal("old 63", 0.0) > 0
    assert quotas.take_refusal("old 0", 0.0) == 0.0


def test_4096_addresses_are_remembered_unless_told_otherwise() -> None:
    """Fewer would be pushed out by few strangers."""
    quotas = Quotas(Quota(refusals_per_minute=1))
    for number in range(4096):
        quotas.take_refusal(str(number), 0.0)
    assert quotas.take_refusal("0", 0.0) > 0
    quotas.take_refusal("one more", 0.0)
    assert quotas.take_refusal("1", 0.0) == 0.0
