"""Under strain an Airflow is called more slowly, within its settings, and it comes back by itself."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.easing import Dial, Easing, Ended, Strain, strain_of
from bridge.words.outcomes import AlreadyThere, Later, Misconfigured, Never, Outcome, Started, TargetDown
from bridge.words.reasons import Reason

_triggers = itertools.count()
QUICK, LONG = 0.02, 2.0


def call(
    seconds: float = QUICK,
    *,
    at_once: int = 4,
    strain: Strain | None = None,
    dag: str = "a",
    trigger: str | None = None,
    is_start: bool = True,
) -> Ended:
    """Return one call of a trigger of its own."""
    return Ended(trigger or f"trg_{next(_triggers)}", dag, seconds, at_once, strain, is_start)


def let(easing: Easing, amount: int, what: dict[str, object], now: float) -> bool:
    """Let so many calls end at an instant; whether any of them lowered the pace."""
    return sum(easing.ended(call(**what), now) for _ in range(amount)) > 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "strain"),
    [
        (Started(), None),
        (AlreadyThere(), None),
        (Never(Reason.CONF_REFUSED), None),
        (Misconfigured(Reason.AIRFLOW_UNAUTHORIZED), None),
        (Later(Reason.DAG_NOT_FOUND), None),
        (Later(Reason.CALL_BLOCKED), None),
        (TargetDown(), None),  # nobody listens
        (TargetDown(http_status=503), Strain.ERRORS),
        (TargetDown(Reason.THROTTLED, http_status=429), Strain.THROTTLED),
        (Later(Reason.THROTTLED), Strain.THROTTLED),
        (Later(Reason.AIRFLOW_ERROR), Strain.ERRORS),
        (Later(Reason.ANSWER_LOST), Strain.ERRORS),
    ],
)
def test_what_an_outcome_shows(outcome: Outcome, strain: Strain | None) -> None:
    """Only what a slower pace could mend."""
    assert strain_of(outcome) is strain


def test_without_strain_the_settings_hold() -> None:
    """However many calls end, and however sparse they are."""
    easing = Easing(4, 10.0)
    assert not any(easing.ended(call(), now) for now in range(200))
    assert (easing.concurrency(200.0), easing.rate(200.0), easing.is_eased(200.0)) == (4, 10.0, False)
    assert easing.facts(200.0) == {"concurrency": 4, "rate": 10.0, "is_eased": False, "strain": None}


def test_two_calls_that_are_asked_to_wait_halve_the_rate() -> None:
    """And leave the calls at once as they are; one alone is no verdict."""
    easing = Easing(4, 10.0)
    assert not easing.ended(call(strain=Strain.THROTTLED), 1.0)
    assert easing.ended(call(strain=Strain.THROTTLED), 1.0)
    assert (easing.concurrency(1.0), easing.rate(1.0)) == (4, 5.0)
    assert easing.facts(1.0) == {"concurrency": 4, "rate": 5.0, "is_eased": True, "strain": "throttled"}
    assert easing.facts(8.5)["rate"] == 7.89  # of 7.890625


@pytest.mark.parametrize(("strain", "enough"), [(Strain.THROTTLED, 2), (Strain.ERRORS, 3)])
@pytest.mark.parametrize(("between", "is_lowered"), [(8, True), (9, False)])
def test_the_last_ten_calls_decide(strain: Strain, enough: int, between: int, *, is_lowered: bool) -> None:
    """One fewer than it takes is no verdict, and what came ten calls ago is forgotten."""
    easing = Easing(4, 10.0)
    assert not let(easing, enough - 1, {"strain": strain}, 1.0)
    assert not let(easing, between - enough + 2, {}, 2.0)
    assert let(easing, 1, {"strain": strain}, 3.0) is is_lowered


@pytest.mark.parametrize(("last", "is_lowered"), [(60.0, True), (60.5, False)])
def test_the_last_minute_decides(last: float, *, is_lowered: bool) -> None:
    """To its exact end."""
    easing = Easing(4, 10.0)
    assert [let(easing, 1, {"strain": Strain.ERRORS}, now) for now in (0.0, 30.0, last)] == [False, False, is_lowered]


def test_three_errors_halve_the_calls_at_once_and_at_one_the_rate() -> None:
    """4, 2, 1; then it is not the number at once."""
    easing = Easing(4, 10.0)
    seen = []
    for now in range(1, 5):
        assert let(easing, 3, {"strain": Strain.ERRORS}, float(now))
        seen.append((easing.concurrency(now), easing.rate(now)))
    assert seen == [(2, 10.0), (1, 10.0), (1, 5.0), (1, pytest.approx(2.5, rel=0.15))]


def test_one_call_at_least_is_under_way_for_whoever_took_the_time_a_little_earlier() -> None:
    """Another thread lowered it meanwhile."""
    easing = Easing(2, 10.0)
    assert let(easing, 3, {"strain": Strain.ERRORS}, 1.0)
    assert easing.concurrency(0.9) == 1


def test_the_least_is_one_call_at_a_time_and_one_in_two_seconds() -> None:
    """However long it goes on; something always goes, or nobody would notice that it is over."""
    easing = Easing(4, 10.0)
    for step in range(400):
        let(easing, 3, {"strain": Strain.ERRORS}, step / 10)
    assert (easing.concurrency(40.0), easing.rate(40.0)) == (1, 0.5)
    slow = Easing(1, 0.1)
    assert not let(slow, 9, {"strain": Strain.THROTTLED}, 1.0)
    assert slow.rate(1.0) == 0.1


def test_what_one_trigger_meets_again_and_again_is_its_own() -> None:
    """A poisoned one is tried often."""
    easing = Easing(4, 10.0)
    assert not any(easing.ended(call(strain=Strain.ERRORS, trigger="trg_poison"), now) for now in range(50))


def test_what_one_of_two_dags_meets_is_its_own() -> None:
    """The other one is served well, so the place bears the pace."""
    easing = Easing(4, 10.0)
    for now in range(50):
        assert not easing.ended(call(dag="good"), float(now))
        assert not easing.ended(call(dag="bad", strain=Strain.ERRORS), float(now))
        assert not easing.ended(call(dag="bad", strain=Strain.THROTTLED), float(now))


def test_errors_of_long_ago_say_nothing() -> None:
    """Three in three minutes are not three of the last calls."""
    easing = Easing(4, 10.0)
    assert not any(easing.ended(call(strain=Strain.ERRORS), now) for now in (0.0, 61.0, 122.0, 183.0))


def test_calls_that_began_before_the_step_down_do_not_lower_it_again() -> None:
    """What was under way fails together."""
    easing = Easing(8, 10.0)
    assert let(easing, 3, {"strain": Strain.ERRORS, "seconds": 5.0}, 10.0)
    assert not let(easing, 5, {"strain": Strain.ERRORS, "seconds": 5.0}, 11.0)
    assert easing.concurrency(11.0) == 4
    assert let(easing, 3, {"strain": Strain.ERRORS, "seconds": 1.0}, 11.0)  # these began when it was lowered


def test_one_worker_that_serves_calls_in_turn_is_not_slow() -> None:
    """Eight at once take eight times as long as one: nothing is lost by it, so nothing is lowered."""
    easing = Easing(8, 1000.0)
    for now, at_once in enumerate([1, 2, 4, 8] * 20):
        assert not easing.ended(call(0.5 * at_once, at_once=at_once), float(now))


def test_calls_that_get_in_each_others_way_are_made_fewer() -> None:
    """One takes 0.1 s, four take 1.6 s each: fewer than half as many end in a second. Two are borne."""
    easing = Easing(4, 10.0)
    let(easing, 6, {"seconds": 0.1, "at_once": 1}, 0.0)
    assert not let(easing, 4, {"seconds": 1.6, "at_once": 4}, 10.0)
    assert let(easing, 1, {"seconds": 1.6, "at_once": 4}, 10.0)
    assert (easing.concurrency(10.0), easing.rate(10.0), easing.strain) == (2, 10.0, Strain.SLOW)


def test_a_place_that_is_as_quick_as_the_settings_need_is_not_slow() -> None:
    """0.4 s for 4 calls at once are 10 a second, however quick it once was."""
    easing = Easing(4, 10.0)
    let(easing, 5, {"seconds": 0.001, "at_once": 1}, 0.0)
    assert not let(easing, 50, {"seconds": 0.4, "at_once": 4}, 10.0)


@pytest.mark.parametrize(("seconds", "is_slow"), [(0.25, False), (0.26, True)])
def test_a_quarter_of_a_second_is_never_slow(seconds: float, *, is_slow: bool) -> None:
    """A busy Airflow takes it."""
    easing = Easing(4, 1000.0)
    let(easing, 5, {"seconds": 0.01}, 0.0)
    assert let(easing, 10, {"seconds": seconds}, 10.0) is is_slow


@pytest.mark.parametrize(("seconds", "is_slow"), [(2.0, False), (2.1, True)])
def test_a_call_that_takes_twice_as_long_is_borne(seconds: float, *, is_slow: bool) -> None:
    """What takes longer than that is slow, if most of the DAGs meet it."""
    easing = Easing(4, 10.0)
    for dag in "abcdefghij":
        assert not let(easing, 1, {"seconds": 1.0, "at_once": 1, "dag": dag}, 0.0)
    lowered = [let(easing, 1, {"seconds": seconds, "at_once": 1, "dag": dag}, 10.0) for dag in "abcdef"]
    assert lowered == [False] * 5 + [is_slow]


@pytest.mark.parametrize(("calls", "is_slow"), [(34, True), (35, False)])
def test_what_a_call_costs_is_believed_half_way_after_35_calls(calls: int, *, is_slow: bool) -> None:
    """They took 1 s and take 1.9 s now: by then 2.9 s are no more than twice as long."""
    easing = Easing(4, 10.0)
    for seconds in (1.0, *[1.9] * calls):
        for dag in "abcde":
            assert not let(easing, 1, {"seconds": seconds, "at_once": 1, "dag": dag}, 0.0)
    lowered = [let(easing, 1, {"seconds": 2.9, "at_once": 1, "dag": dag}, 10.0) for dag in "abcde"]
    assert lowered == [False] * 4 + [is_slow]


@pytest.mark.parametrize(("seconds", "is_slow"), [(3.1, False), (3.7, True)])
def test_a_first_call_that_took_long_is_forgotten_within_a_few(seconds: float, *, is_slow: bool) -> None:
    """An Airflow that has just started takes 4 s for it; after four of half a second that measure is a third of it."""
    easing = Easing(4, 10.0)
    for first in (4.0, 0.5, 0.5, 0.5, 0.5):
        assert not let(easing, 1, {"seconds": first, "at_once": 1}, 0.0)
    assert let(easing, 5, {"seconds": seconds, "at_once": 1}, 10.0) is is_slow


def test_slow_calls_one_at_a_time_lower_nothing() -> None:
    """They are in nobody's way."""
    easing = Easing(1, 10.0)
    let(easing, 10, {"seconds": 0.1, "at_once": 1}, 0.0)
    assert not let(easing, 20, {"seconds": 9.0, "at_once": 1}, 10.0)
    assert (easing.is_eased(10.0), easing.strain) == (False, None)


def test_a_dag_that_is_slow_by_itself_lowers_nothing() -> None:
    """Each DAG is compared with itself."""
    easing = Easing(4, 10.0)
    let(easing, 20, {"seconds": QUICK, "dag": "quick"}, 0.0)
    assert not let(easing, 50, {"seconds": LONG, "dag": "slow"}, 10.0)


def test_a_dag_that_becomes_slow_beside_a_quick_one_lowers_nothing() -> None:
    """Its calls take 3 s and were 0.1 s; the other one is served as ever, so the place bears the pace."""
    easing = Easing(4, 10.0)
    for now in range(10):
        let(easing, 1, {"seconds": 0.1, "dag": "a"}, float(now))
        let(easing, 1, {"seconds": 0.1, "dag": "b"}, float(now))
    for now in range(10, 50):
        assert not easing.ended(call(0.1, dag="a"), float(now))
        assert not easing.ended(call(3.0, dag="b"), float(now))
    assert not easing.is_eased(50.0)


@pytest.mark.parametrize(
    "other", [{"seconds": 3.0}, {"seconds": QUICK, "is_start": False}], ids=["slow as well", "refused"]
)
def test_slow_calls_lower_the_pace_if_no_other_dag_is_served_well(other: dict[str, object]) -> None:
    """Both DAGs are slow; or the other one is refused quickly, which says nothing of what calls cost."""
    easing = Easing(4, 10.0)
    for now in range(10):
        let(easing, 1, {"seconds": 0.1, "dag": "a"}, float(now))
        let(easing, 1, {"dag": "b", **other, "seconds": 0.1}, float(now))
    lowered = [
        let(easing, 1, {"seconds": 3.0, "dag": "a"}, float(now)) or let(easing, 1, {"dag": "b", **other}, float(now))
        for now in range(20, 60)
    ]
    assert any(lowered)
    assert easing.strain is Strain.SLOW


def test_refusals_are_no_measure_of_a_call() -> None:
    """A DAG that is missing refuses quickly: when it is back, its calls are not slow for what they really cost."""
    easing = Easing(4, 10.0)
    assert not let(easing, 20, {"seconds": QUICK, "is_start": False}, 0.0)
    assert not let(easing, 10, {"seconds": 1.0}, 10.0)
    assert not let(easing, 10, {"seconds": 9.0, "is_start": False}, 20.0)


def test_a_place_that_is_slower_for_good_is_believed_in_the_end() -> None:
    """As behind a longer wire: after a while its calls are not slow any more, and the pace is back."""
    easing, now = Easing(4, 10.0), 0.0
    let(easing, 20, {"seconds": QUICK, "at_once": 1}, now)
    paces = []
    for _ in range(600):
        now += 1.0
        easing.ended(call(1.0, at_once=easing.concurrency(now)), now)
        paces.append(easing.concurrency(now))
    assert min(paces) == 1
    assert paces[-1] == 4


def test_it_comes_back_quickly_at_first_and_slowly_near_where_the_strain_was() -> None:
    """Half at once, all but an eighth of the rest after half of the time, the whole after it, never more."""
    dial = Dial(10.0, 0.5)
    dial.lower(100.0)
    assert dial.value(100.0) == 5.0
    assert dial.value(115.0) == pytest.approx(10 - 5 / 8)
    assert dial.value(130.0) == 10.0
    assert dial.value(1000.0) == 10.0


def test_strain_that_comes_back_at_the_same_value_is_tried_more_rarely() -> None:
    """Each time it takes twice as long, up to eight minutes; elsewhere it begins anew."""
    dial, now, waits = Dial(10.0, 0.5), 0.0, []
    for _ in range(7):
        dial.lower(now)
        waits.append(next(seconds for seconds in range(1000) if dial.value(now + seconds) >= 10.0))
        now += waits[-1]
    assert waits == [30, 60, 120, 240, 480, 480, 480]
    dial.lower(now)
    dial.lower(now)
    assert dial.value(now + 30.0) == 5.0


def test_strain_at_almost_the_same_value_is_at_the_same() -> None:
    """A tenth below it or above it; from twice as much it comes back as quickly as at first."""
    dial = Dial(10.0, 9.0)
    for _ in range(2):
        dial.lower(0.0)  # at 10, then at 9
    assert dial.value(60.0) == 9.0
    dial.lower(1000.0)  # at 10
    assert (dial.value(1060.0), dial.value(1120.0)) == (9.375, 10.0)
    dial = Dial(10.0, 0.5)
    for _ in range(2):
        dial.lower(0.0)  # at 10, then at 5
    dial.lower(1000.0)  # at 10
    assert dial.value(1030.0) == 10.0


@pytest.mark.parametrize("strain", list(Strain))
def test_it_can_be_switched_off(strain: Strain) -> None:
    """Then the settings are the pace."""
    easing = Easing(4, 10.0, is_on=False)
    assert not let(easing, 50, {"strain": strain}, 1.0)
    assert not easing.is_eased(1.0)


@given(
    st.integers(1, 256),
    st.floats(0.01, 1000),
    st.lists(st.tuples(st.floats(0, 100), st.sampled_from([None, *Strain]), st.floats(0, 60))),
)
def test_the_pace_stays_within_its_bounds(
    concurrency: int, rate: float, calls: list[tuple[float, Strain | None, float]]
) -> None:
    """Never above the settings, never below one call and what always goes."""
    easing, now = Easing(concurrency, rate), 0.0
    for pause, strain, seconds in calls:
        now += pause
        easing.ended(call(seconds, strain=strain), now)
        assert 1 <= easing.concurrency(now) <= concurrency
        assert min(rate, 0.5) <= easing.rate(now) <= rate
