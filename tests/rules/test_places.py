"""Who may begin how many calls: routes by their limit, DAGs by what they leave to others."""

from bridge.rules.places import Places
from bridge.words.model import Call, Limits


def call(route: str = "orders", dag: str = "load_orders", *, limit: int | None = None) -> Call:
    """Return a call of one route at one DAG."""
    return Call(route, "default", dag, "run", {}, None, Limits(concurrency=limit))


def taken(places: Places, amount: int, what: Call, now: float = 0.0) -> int:
    """Try to take so many places; returns how many could be had."""
    return sum(places.take(what, now) for _ in range(amount))


def test_a_dag_never_holds_the_last_place() -> None:
    """Three of four; the fourth is for any other DAG, also for one that comes later."""
    places = Places(4)
    assert places.at_most(0.0) == 3
    assert taken(places, 4, call()) == 3
    assert (places.full_routes(0.0), places.at_most(0.0)) == ({"orders"}, 3)
    assert places.take(call("marts", "refresh_marts"), 0.0)


def test_the_only_place_is_for_any_dag() -> None:
    """With one place there is no other to leave."""
    places = Places(1)
    assert (places.at_most(0.0), taken(places, 2, call())) == (1, 1)


def test_what_one_dag_holds_counts_for_all_its_routes() -> None:
    """Two routes of one DAG hold no more than one would, and both are closed together."""
    places = Places(3)
    assert places.take(call("first"), 0.0)
    assert places.take(call("second"), 0.0)
    assert not places.take(call("third"), 0.0)
    assert places.full_routes(0.0) == {"first", "second", "third"}


def test_no_more_is_claimed_than_any_dag_may_hold() -> None:
    """Two of three are held: one more may begin before it is known which DAG it is of."""
    places = Places(4)
    taken(places, 2, call())
    assert places.at_most(0.0) == 1


def test_a_place_that_is_free_again_may_be_taken() -> None:
    """By the same DAG and route."""
    places = Places(2)
    assert taken(places, 2, call(limit=1)) == 1
    places.free(call(limit=1))
    assert (places.full_routes(0.0), places.take(call(limit=1), 0.0)) == (set(), True)


def test_a_route_has_the_limit_of_its_newest_trigger() -> None:
    """A limit that was raised or removed in the mapping binds no longer."""
    places = Places(9)
    assert taken(places, 3, call(limit=1)) == 1
    assert taken(places, 3, call(limit=2)) == 1
    assert taken(places, 3, call()) == 3
    assert places.full_routes(0.0) == set()


def test_a_dag_whose_call_took_long_has_its_turn_after_the_others() -> None:
    """For as long as the call took; a quick call costs no turn."""
    places = Places(2)
    for seconds, after in ((0.9, set()), (20.0, {"orders"})):
        assert places.take(call(), 100.0)
        places.free(call())
        places.answered(call(), 100.0, seconds=seconds, asked_to_wait=None)
        assert places.routes_after_others(119.0) == after
    assert (places.full_routes(119.0), places.routes_after_others(120.0)) == (set(), set())


def test_a_dag_that_asks_to_wait_is_left_alone_until_then() -> None:
    """Then one call at a time may ask again, ever more rarely, until one is answered otherwise."""
    places = Places(4)
    assert places.take(call(), 0.0)
    places.free(call())
    places.answered(call(), 0.0, seconds=0.1, asked_to_wait=17.0)
    assert (places.full_routes(16.9), places.full_routes(17.0)) == ({"orders"}, set())
    assert taken(places, 3, call(), 17.0) == 1
    assert places.take(call("marts", "refresh_marts"), 17.0)
    places.free(call())
    places.answered(call(), 17.0, seconds=0.1, asked_to_wait=0.0)
    assert (places.full_routes(18.9), places.full_routes(19.0)) == ({"orders"}, set())
    places.answered(call(), 19.0, seconds=0.1, asked_to_wait=None)
    assert taken(places, 4, call(), 19.0) == 3
