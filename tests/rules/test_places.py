"""Who may begin how many calls: routes by their limit, DAGs by what they leave to others."""

import itertools

import pytest

from bridge.rules.places import Places
from bridge.rules.retrying.backoff import longest_wait
from bridge.words.model import Call, Limits
from bridge.words.reasons import Reason

_keys = itertools.count()


def call(route: str = "orders", dag: str = "load_orders", *, limit: int | None = None) -> Call:
    """Return a call of one route at one DAG."""
    return Call(route, "default", dag, "run", {}, None, Limits(concurrency=limit))


def taken(places: Places, amount: int, what: Call, now: float = 0.0) -> list[int]:
    """Try to take so many places; returns the keys of those that could be had."""
    keys = [next(_keys) for _ in range(amount)]
    return [key for key in keys if places.take(key, what, now)]


def answer(places: Places, what: Call, now: float, *, seconds: float = 0.1, wait: float | None = None) -> None:
    """Let one call of a DAG begin and end."""
    places.ended(what, now, seconds=seconds)
    if wait is None:
        places.answered(what.dag_id)
    else:
        places.asked_to_wait(what.dag_id, now, seconds=wait)


def test_a_dag_that_nobody_knows_leaves_a_place() -> None:
    """Three of four; the fourth is for any other DAG, also for one that comes later."""
    places = Places(4)
    assert places.room(0.0) == 3
    assert len(taken(places, 4, call())) == 3
    assert (places.full_routes(0.0), places.room(0.0)) == ({"orders"}, 1)
    assert taken(places, 1, call("marts", "refresh_marts"))
    assert places.room(0.0) == 0


def test_a_quick_dag_holds_every_place() -> None:
    """Nobody waits longer for it than for one call."""
    places = Places(4)
    answer(places, call(), 0.0, seconds=1.0)
    assert len(taken(places, 4, call())) == 4


@pytest.mark.parametrize(("seconds", "held"), [(1.0, 4), (1.1, 3)])
def test_a_dag_whose_call_is_under_way_for_long_is_not_quick(seconds: float, held: int) -> None:
    """A quick DAG that begins to hang gets no further place than the last but one."""
    places = Places(4)
    answer(places, call(), 0.0)
    taken(places, 3, call(), 10.0)
    assert 3 + len(taken(places, 1, call(), 10.0 + seconds)) == held
    assert places.full_routes(10.0 + seconds) == {"orders"}


def test_a_dag_whose_last_call_took_long_is_not_quick() -> None:
    """Until one of its calls is quick again."""
    places = Places(2)
    answer(places, call(), 0.0, seconds=20.0)
    assert len(taken(places, 2, call(), 90.0)) == 1
    answer(places, call(), 90.0)
    assert len(taken(places, 1, call(), 90.0)) == 1


def test_the_only_place_is_for_any_dag() -> None:
    """With one place there is no other to leave."""
    places = Places(1)
    assert (places.room(0.0), len(taken(places, 2, call()))) == (1, 1)


def test_what_one_dag_holds_counts_for_all_its_routes() -> None:
    """Two routes of one DAG hold no more than one would, and both are closed together."""
    places = Places(3)
    assert taken(places, 1, call("first"))
    assert taken(places, 1, call("second"))
    assert not taken(places, 1, call("third"))
    assert places.full_routes(0.0) == {"first", "second", "third"}


def test_no_more_is_claimed_than_any_dag_may_hold() -> None:
    """Two of three are held: one more may begin before it is known which DAG it is of."""
    places = Places(4)
    taken(places, 2, call())
    assert places.room(0.0) == 1


def test_a_place_that_is_free_again_may_be_taken() -> None:
    """By the same DAG and route; what is given back twice is free once."""
    places = Places(2)
    (key,) = taken(places, 2, call(limit=1))
    places.free(key)
    places.free(key)
    assert (places.full_routes(0.0), len(taken(places, 2, call(limit=1)))) == (set(), 1)


def test_a_route_has_the_limit_of_its_newest_trigger() -> None:
    """A limit that was raised or removed in the mapping binds no longer."""
    places = Places(9)
    assert len(taken(places, 3, call(limit=1))) == 1
    assert len(taken(places, 3, call(limit=2))) == 1
    assert len(taken(places, 3, call())) == 3
    assert places.full_routes(0.0) == set()


def test_a_dag_whose_call_took_long_has_its_turn_after_the_others() -> None:
    """For as long as the call took; a quick call costs no turn."""
    places = Places(2)
    (key,) = taken(places, 1, call(), 100.0)
    places.free(key)
    for seconds, after in ((1.0, set()), (20.0, {"orders"})):
        answer(places, call(), 100.0, seconds=seconds)
        assert places.routes_after_others(119.0) == after
    assert (places.full_routes(119.0), places.routes_after_others(120.0)) == (set(), set())


def test_a_dag_that_asks_to_wait_is_left_alone_until_then() -> None:
    """Then one call at a time may ask again, ever more rarely, until one is answered otherwise."""
    places = Places(4)
    (key,) = taken(places, 1, call())
    places.free(key)
    answer(places, call(), 0.0, wait=17.0)
    assert (places.full_routes(16.9), places.full_routes(17.0)) == ({"orders"}, set())
    (key,) = taken(places, 3, call(), 17.0)
    assert taken(places, 1, call("marts", "refresh_marts"), 17.0)
    places.free(key)
    answer(places, call(), 17.0, wait=0.0)
    assert (places.full_routes(18.9), places.full_routes(19.0)) == ({"orders"}, set())
    answer(places, call(), 19.0)
    assert len(taken(places, 3, call(), 19.0)) == 3


def test_a_dag_that_asks_to_wait_closes_no_route_to_another_dag() -> None:
    """Only those of which nobody has seen that they call another one, and those whose DAGs all wait."""
    places, both = Places(4), [call("both", "refresh"), call("both", "publish")]
    taken(places, 1, both[0])
    taken(places, 1, call("alone", "refresh"))
    answer(places, both[0], 0.0, wait=17.0)
    assert places.full_routes(1.0) == {"both", "alone"}
    keys = taken(places, 2, both[1])
    assert places.full_routes(1.0) == {"alone"}
    for key in keys:
        places.free(key)
    answer(places, both[1], 1.0, wait=17.0)
    assert places.full_routes(2.0) == {"both", "alone"}


def test_a_dag_that_is_forbidden_closes_no_route() -> None:
    """What waits for it says why, and is claimed after all others but for the one call that asks again."""
    places = Places(4)
    (key,) = taken(places, 1, call("alone", "refresh"))
    places.free(key)
    assert taken(places, 1, call("both", "publish"))
    places.asked_to_wait("refresh", 0.0, seconds=0.0, reason=Reason.AIRFLOW_FORBIDDEN)
    assert (places.full_routes(0.9), places.routes_after_others(0.9)) == (set(), {"alone"})
    assert (places.seconds_until_turn(call("alone", "refresh"), 0.5), places.reason_to_wait("refresh")) == (
        1.0,
        Reason.AIRFLOW_FORBIDDEN,
    )
    assert places.routes_after_others(1.0) == set()
    assert len(taken(places, 2, call("both", "refresh"), 1.0)) == 1
    assert places.routes_after_others(1.0) == {"alone"}  # and not the route that calls another DAG too
    places.asked_to_wait("refresh", 1.0, seconds=17.0)
    assert (places.full_routes(1.0), places.routes_after_others(1.0)) == ({"alone"}, set())
    assert places.reason_to_wait("refresh") is Reason.THROTTLED


def test_a_dag_at_which_a_call_was_held_lets_the_others_go_first() -> None:
    """For five seconds, or for as long as a long call has cost it."""
    places = Places(4)
    taken(places, 1, call())
    places.others_first("load_orders", 0.0)
    assert (places.routes_after_others(4.9), places.routes_after_others(5.0)) == ({"orders"}, set())
    answer(places, call(), 10.0, seconds=20.0)
    places.others_first("load_orders", 10.0)
    assert (places.routes_after_others(29.9), places.routes_after_others(30.0)) == ({"orders"}, set())


def test_a_dag_at_which_a_call_was_held_lets_the_others_go_before_all_its_routes() -> None:
    """Also before one that calls another DAG: thousands that are held there would take the pace from all the rest."""
    places = Places(4)
    (key,) = taken(places, 1, call("both", "gone"))
    places.free(key)
    taken(places, 1, call("both", "well"))
    taken(places, 1, call("alone", "gone"))
    places.others_first("gone", 0.0)
    assert places.routes_after_others(1.0) == {"alone", "both"}
    assert places.routes_after_others(5.0) == set()


def test_a_wait_that_was_asked_for_keeps_its_reason_until_it_is_over() -> None:
    """A call that was under way is refused meanwhile: no trigger waits for an hour for want of a right."""
    places = Places(4)
    taken(places, 2, call())
    places.asked_to_wait("load_orders", 0.0, seconds=3600.0)
    places.asked_to_wait("load_orders", 1.0, seconds=0.0, reason=Reason.AIRFLOW_FORBIDDEN)
    assert (places.seconds_until_turn(call(), 1.0), places.reason_to_wait("load_orders")) == (3599.0, Reason.THROTTLED)
    places.asked_to_wait("load_orders", 3600.0, seconds=0.0, reason=Reason.AIRFLOW_FORBIDDEN)
    assert places.reason_to_wait("load_orders") is Reason.AIRFLOW_FORBIDDEN
    turn = places.seconds_until_turn(call(), 3600.0)
    assert turn is not None
    assert turn <= longest_wait(Reason.AIRFLOW_FORBIDDEN)


def test_what_waits_with_its_dag_has_turns_of_its_own() -> None:
    """The first when the DAG may be asked again, the others a little later each, and none in over five minutes."""
    places = Places(4)
    assert places.seconds_until_turn(call(), 0.0) is None
    answer(places, call(), 0.0, wait=17.0)
    turns = [places.seconds_until_turn(call(), 1.0) for _ in range(3)]
    assert turns == [16.0, 16.25, 16.5]
    assert places.seconds_until_turn(call("marts", "refresh_marts"), 1.0) is None
    many = [places.seconds_until_turn(call(), 1.0) for _ in range(1135)]
    assert many[-2:] == [300.0, 16.0]
    assert places.seconds_until_turn(call(), 17.0) is None  # it may begin


def test_what_waits_while_one_call_asks_again_has_its_turn_after_it() -> None:
    """In a second at the soonest; once the DAG is answered otherwise there is no waiting."""
    places = Places(4)
    answer(places, call(), 0.0, wait=17.0)
    (key,) = taken(places, 1, call(), 17.0)
    assert places.seconds_until_turn(call(), 17.0) == 1.0
    places.free(key)
    answer(places, call(), 17.5)
    assert places.seconds_until_turn(call(), 17.5) is None


def test_a_dag_is_well_again_once() -> None:
    """For each of its routes: when it is answered for the first time, and after each wait that was asked for."""
    places = Places(4)
    taken(places, 1, call())
    assert [places.answered("load_orders") for _ in range(2)] == [["orders"], []]
    taken(places, 1, call("marts"))
    assert [places.answered("load_orders") for _ in range(2)] == [["marts"], []]
    for _ in range(2):
        places.asked_to_wait("load_orders", 0.0, seconds=17.0)
    assert places.answered("other") == []
    assert [places.answered("load_orders") for _ in range(2)] == [["marts", "orders"], []]


def test_no_more_calls_of_a_dag_may_begin_than_there_are_places_for_it() -> None:
    """One of them is for the others, and one that was asked to wait has none."""
    places = Places(4)
    assert places.room_of("load_orders", "orders", 0.0) == 3
    taken(places, 2, call())
    assert (places.room_of("load_orders", "orders", 0.0), places.room_of("other", "orders", 0.0)) == (1, 1)
    places.asked_to_wait("load_orders", 0.0, seconds=17.0)
    assert places.room_of("load_orders", "orders", 1.0) == 0


def test_no_more_calls_of_a_route_may_begin_than_it_allows() -> None:
    """Whatever the DAG has places for; another route to it has its own limit."""
    places = Places(8)
    item = call("narrow", limit=2)
    assert places.take("first", item, 0.0)
    rooms = [places.room_of(item.dag_id, route, 0.0) for route in ("narrow", "other")]
    assert rooms == [1, 6]


def test_a_long_wait_that_was_asked_for_is_kept() -> None:
    """Nobody has a turn before it, nor after what a wait may last at most."""
    places = Places(4)
    answer(places, call(), 0.0, wait=3600.0)
    assert [places.seconds_until_turn(call(), 0.0) for _ in range(2)] == [3600.0, 3600.0]


def test_fewer_places_are_open_and_what_is_held_stays() -> None:
    """A pace that was lowered; it comes back as places are opened again."""
    places = Places(4)
    answer(places, call(), 0.0)
    keys = taken(places, 4, call(), 0.0)
    places.open(2)
    assert (places.room(0.0), places.held) == (-2, 4)
    for key in keys[:3]:
        places.free(key)
    assert places.room(0.0) == 1
    places.open(9)
    assert places.room(0.0) == 3
    places.open(0)
    places.free(keys[3])
    assert (places.held, places.room(0.0)) == (0, 1)


def test_a_quick_dag_that_begins_to_hang_at_all_places_leaves_one_more_to_the_others() -> None:
    """For one call at a time, of any other DAG; its own routes stay closed."""
    places = Places(4)
    answer(places, call(), 0.0)
    assert len(taken(places, 4, call(), 10.0)) == 4
    assert places.room(11.0) == 0
    assert (places.room(12.0), places.full_routes(12.0)) == (1, {"orders"})
    assert not taken(places, 1, call("anew"), 12.0)
    (key,) = taken(places, 1, call("marts", "refresh_marts"), 12.0)
    assert places.room(12.0) < 0
    places.free(key)
    assert places.room(12.0) == 1


def test_no_further_place_is_open_once_two_dags_hang() -> None:
    """The spare one is for the second DAG; a third one waits as behind any other calls."""
    places = Places(4)
    answer(places, call(), 0.0)
    taken(places, 4, call(), 10.0)
    taken(places, 1, call("marts", "refresh_marts"), 12.0)
    assert places.room(20.0) == -1
    places = Places(4)
    assert len(taken(places, 2, call())) + len(taken(places, 2, call("marts", "refresh_marts"))) == 4
    assert places.room(20.0) == 0


def test_of_two_places_one_more_is_open_beside_a_dag_that_hangs_at_both() -> None:
    """Two are enough to leave one."""
    places = Places(2)
    answer(places, call(), 0.0)
    assert len(taken(places, 2, call(), 10.0)) == 2
    assert (places.room(11.0), places.room(11.1)) == (0, 1)


@pytest.mark.parametrize("amount", [1, 2, 3, 4])
def test_a_dag_that_hangs_leaves_a_place_however_many_are_open(amount: int) -> None:
    """Once all that it holds take long, one more is open, for one call of another DAG. A setting of 1 stays 1."""
    places = Places(4)
    places.open(amount)
    answer(places, call(), 0.0)
    assert len(taken(places, amount, call(), 0.0)) == amount
    assert places.room(1.0) == 0
    assert places.room(1.1) == 1
    assert places.full_routes(1.1) == {"orders"}
    assert taken(places, 1, call("marts", "refresh_marts"), 1.1)
    assert places.room(9.0) <= 0
    only = Places(1)
    taken(only, 1, call(), 0.0)
    assert only.room(9.0) == 0


def test_a_route_at_its_limit_is_full() -> None:
    """At the limit and not above it, so that nothing is claimed that could not begin."""
    places = Places(4)
    answer(places, call(limit=2), 0.0)
    assert len(taken(places, 1, call(limit=2))) == 1
    assert places.full_routes(0.0) == set()
    assert len(taken(places, 2, call(limit=2))) == 1
    assert places.full_routes(0.0) == {"orders"}
