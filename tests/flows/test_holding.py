"""DAGs are looked at off the hot path, in few requests, against a stand-in for Airflow."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.edges.inbox import Inbox, dags
from bridge.edges.metrics import Metrics
from bridge.rules.mapping import Mapping
from tests.support.holding import Looking, MakeLooking
from tests.support.standin import Standin
from tests.support.store import Store

ReadMapping = Callable[..., Mapping]
LIST = "GET /api/v2/dags"


def named(*dag_ids: str) -> str:
    """Return a mapping that names these DAGs."""
    return "routes:\n" + "".join(f"  - {{dag: {dag_id}, pipeline: p}}\n" for dag_id in dag_ids)


@pytest.fixture
def make(inbox: Inbox, metrics: Metrics, standin: Standin, mapping: ReadMapping) -> Iterator[MakeLooking]:
    """Make a replica that looks at the DAGs of a mapping."""
    made: list[Looking] = []

    def build(text: str = named("load_orders"), **options: Any) -> Looking:
        made.append(Looking(inbox, metrics, standin, mapping(text), **options))
        return made[-1]

    yield build
    for item in made:
        item.airflow.close()


def value(metrics: Metrics, name: str, *labels: str) -> float | None:
    """Return a sample of the exposition, None without one."""
    for line in metrics.exposition().decode().splitlines():
        if line.partition("{")[0] == name and all(label in line for label in labels):
            return float(line.rpartition(" ")[2])
    return None


STATES: dict[str, dict[str, Any]] = {
    "fine": {},
    "resting": {"is_paused": True},
    "left": {"is_stale": True},
    "wrong": {"has_import_errors": True, "is_stale": True},
}


def test_each_dag_of_the_mapping_is_known_by_one_word(make: MakeLooking, standin: Standin, metrics: Metrics) -> None:
    """In the store and in the metrics; a DAG that no route names is not looked at."""
    standin.dags = STATES | {"stranger": {}}
    looking = make(named(*STATES, "nowhere"))
    looking.step()
    wanted = {"fine": "ok", "resting": "paused", "left": "stale", "wrong": "broken", "nowhere": "missing"}
    assert looking.states() == wanted
    for dag_id, state in wanted.items():
        labels = ('airflow="default"', f'dag="{dag_id}"', f'state="{state}"')
        assert value(metrics, "bridge_dag_state", *labels) == 1


def test_a_thousand_dags_are_few_requests(make: MakeLooking, standin: Standin) -> None:
    """Ten pages of the list, and the params of five; not one for each DAG."""
    standin.dags = {f"dag_{number}": {"is_paused": number % 2 == 1} for number in range(1000)}
    looking = make(named(*standin.dags))
    asked = looking.step()
    assert asked.count(LIST) == 10
    assert len(asked) == 15
    assert len(looking.states()) == 1000


def test_a_few_dags_among_thousands_are_asked_for_by_themselves(make: MakeLooking, standin: Standin) -> None:
    """Turning the pages would take longer; with more of them than that, the first page tells."""
    standin.dags = {f"dag_{number}": {} for number in range(3000)}
    assert make(named("dag_1", "dag_2", "dag_3")).step().count(LIST) == 0
    looking = make(named(*(f"dag_{number}" for number in range(20))))
    asked = looking.step(later=60)
    assert asked.count(LIST) == 1
    assert len(looking.states()) == 20


def test_missing_dags_are_asked_for_a_few_at_a_time(make: MakeLooking, standin: Standin) -> None:
    """A list may lack one that is there; in the end each is known."""
    standin.dags = {}
    looking = make(named(*(f"dag_{number}" for number in range(50))))
    assert [len(looking.step(later=10)) for _ in range(3)] == [21, 21, 11]
    assert set(looking.states().values()) == {"missing"}
    assert len(looking.states()) == 50


def test_nothing_is_asked_before_its_time(make: MakeLooking, standin: Standin) -> None:
    """Once a minute; params once an hour."""
    looking = make()
    assert looking.step() == [f"{LIST}/load_orders", f"{LIST}/load_orders/details"]
    assert looking.step(later=30) == []
    assert looking.step(later=30) == [f"{LIST}/load_orders"]


def test_two_replicas_ask_as_one(make: MakeLooking, standin: Standin) -> None:
    """They share what is known, and when it was asked; both show it."""
    first, second = make(), make()
    first.step()
    for _ in range(6):
        first.step(later=10)
        second.now = first.now
        assert second.step() == []
    assert standin.asked.count(f"{LIST}/load_orders") == 2


def test_a_replica_that_is_gone_is_replaced(make: MakeLooking, standin: Standin) -> None:
    """At once if it stopped in order."""
    first = make()
    first.step()
    first.holding.loop.stop(1)
    second = make()
    assert second.step(later=61) == [f"{LIST}/load_orders"]


def test_a_change_is_said_once_and_shown(make: MakeLooking, standin: Standin, metrics: Metrics) -> None:
    """In the log with what it was, and the state before has no series any more."""
    looking = make()
    looking.step()
    standin.dags["load_orders"]["is_paused"] = True
    with capture_logs() as logs:
        for _ in range(3):
            looking.step(later=60)
    told = [line for line in logs if line["event"] == "dag_changed"]
    assert [(line["log_level"], line["was"], line["state"]) for line in told] == [("warning", "ok", "paused")]
    assert value(metrics, "bridge_dag_state", 'state="paused"') == 1
    assert value(metrics, "bridge_dag_state", 'state="ok"') is None


def test_a_dag_that_no_route_names_any_more_is_forgotten(
    make: MakeLooking, standin: Standin, mapping: ReadMapping
) -> None:
    """The table is as long as the mapping."""
    standin.dags = {"a": {}, "b": {}}
    looking = make(named("a", "b"))
    looking.step()
    looking.mapping = mapping(named("b"))
    looking.step(later=60)
    assert looking.states() == {"b": "ok"}


def test_the_params_of_many_dags_are_read_at_each_step(make: MakeLooking, standin: Standin, store: Store) -> None:
    """Thirty in the minute between two looks, so 1800 an hour, while nothing is held; by one of two replicas."""
    standin.dags = {f"dag_{number}": {} for number in range(30)}
    seconds = [1000.0]
    first, second = (make(named(*standin.dags), monotonic=lambda: seconds[0]) for _ in range(2))
    for _ in range(6):
        seconds[0] += 9
        first.step(later=9)
        second.now = first.now
        assert second.step() == []
        assert first.step() == []  # as while much is set free
    assert store.rows("SELECT COUNT(*) FROM dags WHERE params_at IS NOT NULL") == [(30,)]


def test_params_are_kept(make: MakeLooking, standin: Standin) -> None:
    """With those that conf must have."""
    standin.dags["load_orders"]["params"] = {"day": {"value": None, "schema": {"type": "string"}}}
    looking = make()
    looking.step()
    found = looking.inbox.read(dags.params, airflow="default")["load_orders"]
    assert (found.schemas, found.required) == ({"day": {"type": "string"}}, ("day",))


def without_params(store: Store) -> list[str]:
    """Return the DAGs whose params nobody has asked for."""
    return [dag_id for (dag_id,) in store.rows("SELECT dag_id FROM dags WHERE params_at IS NULL ORDER BY dag_id")]


def test_params_are_not_asked_for_while_airflow_asks_to_wait(make: MakeLooking, standin: Standin, store: Store) -> None:
    """What was not read is still to be read then, another DAG first."""
    standin.dags = {"a": {}, "b": {}, "c": {}}
    seconds = [1000.0]
    looking = make(named(*standin.dags), monotonic=lambda: seconds[0])
    standin.front = lambda _, path: (429, {"detail": "slow down"}) if path.endswith("/a/details") else None
    standin.retry_after = "600"
    asked = [path for path in looking.step() if "details" in path]
    for _ in range(9):
        seconds[0] += 60
        asked += [path for path in looking.step(later=60) if "details" in path]
    assert asked == [f"{LIST}/a/details"]
    assert without_params(store) == ["a", "b", "c"]
    seconds[0] += 60
    looking.step(later=60)
    assert without_params(store) == ["a"]


@pytest.mark.parametrize(("answer", "is_well"), [(403, True), (500, True), (500, False)])
def test_params_that_airflow_does_not_tell_count_as_asked_for_only_where_that_is_about_the_dag(
    make: MakeLooking, standin: Standin, store: Store, answer: int, is_well: bool
) -> None:
    """If Airflow itself is not well, all are still to be read when it is."""
    standin.dags = {"a": {}, "b": {}}
    looking = make(named(*standin.dags))

    def front(_: str, path: str) -> tuple[int, Any] | None:
        if "details" not in path:
            return None
        standin.is_healthy = is_well
        return answer, {"detail": "no"}

    standin.front = front
    looking.step()
    assert without_params(store) == (["b"] if is_well else ["a", "b"])


@pytest.mark.parametrize("answer", [(503, {"detail": "down"}), (401, {"detail": "no"}), (200, {"hello": 1})])
def test_an_airflow_that_does_not_tell_changes_nothing_that_is_known(
    make: MakeLooking, standin: Standin, answer: tuple[int, Any]
) -> None:
    """It is asked more rarely, said once, and counted."""
    looking = make(named("load_orders", *(f"dag_{number}" for number in range(9))))
    looking.step()
    before = looking.states()
    standin.front = lambda _, path: answer if "/dags" in path else None
    with capture_logs() as logs:
        looking.step(later=60)
        assert looking.step(later=1) == []
    assert looking.states() == before
    assert [line["event"] for line in logs if line["event"] == "dags_not_read"] == ["dags_not_read"]
    assert value(looking.metrics, "bridge_dag_requests_total", 'outcome="failed"') == 1


def test_one_dag_that_may_not_be_seen_does_not_hold_up_the_others(make: MakeLooking, standin: Standin) -> None:
    """It is left alone for a while."""
    standin.dags = {"secret": {}, "open": {}}
    looking = make(named("secret", "open"))
    standin.front = lambda _, path: (403, {"detail": "Forbidden"}) if path.endswith("/secret") else None
    looking.step()
    assert looking.states() == {"open": "ok"}
    assert looking.step(later=10) == []


@pytest.mark.parametrize("answer", [(500, "oops"), (503, {"detail": "slow down"}), (404, "a gateway's page")])
def test_one_dag_that_makes_airflow_fail_does_not_hold_up_the_others(
    make: MakeLooking, standin: Standin, answer: tuple[int, Any]
) -> None:
    """Airflow itself says that it is well: the others are known, their params as well, and the one is said once."""
    standin.dags = {"a_bad": {}, "b": {}, "c": {}}
    looking = make(named(*standin.dags))
    standin.front = lambda _, path: answer if path.endswith("/a_bad") else None
    with capture_logs() as logs:
        looking.step()
        assert looking.states() == {"b": "ok", "c": "ok"}
        looking.step(later=60)
    assert looking.inbox.read(dags.params, airflow="default").keys() == {"b", "c"}
    told = [(line["dag_id"], line["detail"][:3]) for line in logs if line["event"] == "dag_not_read"]
    assert told == [("a_bad", str(answer[0]))]
    assert value(looking.metrics, "bridge_dag_requests_total", 'outcome="failed"') == 0


def test_a_list_that_fails_at_an_airflow_that_is_well_is_done_without(make: MakeLooking, standin: Standin) -> None:
    """One DAG of a page may be why: each is asked for by itself, a few at a time, and the list is left alone."""
    standin.dags = {f"dag_{number}": {} for number in range(30)}
    looking = make(named(*standin.dags))
    failing = iter([(500, "oops")])
    standin.front = lambda _, path: next(failing, None) if path == "/api/v2/dags" else None
    with capture_logs() as logs:
        looking.step()
        assert len(looking.states()) == 20
        asked = looking.step(later=10)
    assert len(looking.states()) == 30
    assert LIST not in asked
    assert [line["airflow"] for line in logs if line["event"] == "dags_not_read"] == ["default"]


def test_pages_that_are_too_long_to_be_read_are_asked_for_in_smaller_ones(make: MakeLooking, standin: Standin) -> None:
    """A page of 100 DAGs would have 1.2 MB: every DAG that is due has a state all the same."""
    standin.dags = {f"dag_{number:03}": {"description": "x" * 12_000} for number in range(100)}
    looking = make(named(*sorted(standin.dags)[:4], *sorted(standin.dags)[-4:]))
    with capture_logs() as logs:
        asked = looking.step()
    assert set(looking.states().values()) == {"ok"}
    assert len(looking.states()) == 8
    assert asked.count(LIST) == 3
    assert logs == []


def test_a_dag_that_is_too_long_to_be_read_does_not_hold_up_the_others(make: MakeLooking, standin: Standin) -> None:
    """The list goes on behind it, and the DAG is said once."""
    standin.dags = {f"dag_{number:02}": {} for number in range(30)} | {"dag_00": {"description": "x" * 1_200_000}}
    looking = make(named(*standin.dags))
    with capture_logs() as logs:
        looking.step()
        looking.step(later=60)
    assert looking.states().keys() == standin.dags.keys() - {"dag_00"}
    assert [(line["event"], line.get("dag_id")) for line in logs] == [("dag_not_read", "dag_00")]


@pytest.mark.parametrize("answer", [(403, {"detail": "Forbidden"}), (200, {"hello": 1})])
def test_a_list_that_is_refused_is_done_without(make: MakeLooking, standin: Standin, answer: tuple[int, Any]) -> None:
    """It says nothing of a DAG: each is asked for by itself."""
    standin.dags = {f"dag_{number}": {} for number in range(8)}
    looking = make(named(*standin.dags))
    standin.front = lambda _, path: answer if path == "/api/v2/dags" else None
    with capture_logs() as logs:
        looking.step()
    assert set(looking.states().values()) == {"ok"}
    assert len(looking.states()) == 8
    assert [line["event"] for line in logs] == ["dags_not_read"]
    assert value(looking.metrics, "bridge_dag_requests_total", 'outcome="failed"') == 0


def test_an_airflow_that_tells_of_no_dag_is_asked_seldom(make: MakeLooking, standin: Standin) -> None:
    """The user may read none of 40: the list and 20 of them a minute, and one line in the log."""
    standin.dags = {f"dag_{number}": {} for number in range(40)}
    looking = make(named(*standin.dags))
    standin.front = lambda _, path: (403, {"detail": "Forbidden"}) if "/dags" in path else None
    with capture_logs() as logs:
        assert len(looking.step()) == 21
        assert looking.step(later=10) == []
    assert [line["event"] for line in logs] == ["dags_not_read"]
    assert value(looking.metrics, "bridge_dag_requests_total", 'outcome="failed"') == 1


def test_dags_that_may_not_be_seen_do_not_hold_up_one_that_is_missing(make: MakeLooking, standin: Standin) -> None:
    """The list has only what the user may read: each of the others is asked for by itself, in one look."""
    standin.dags = {f"dag_{number}": {} for number in range(10)}
    secret = {f"{LIST[4:]}/secret_{number:02}" for number in range(19)}
    looking = make(named(*standin.dags, *(path.rpartition("/")[2] for path in secret), "z_missing"))
    standin.front = lambda _, path: (403, {"detail": "Forbidden"}) if path in secret else None
    looking.step()
    assert looking.states() == dict.fromkeys(standin.dags, "ok") | {"z_missing": "missing"}


def test_dags_that_make_airflow_fail_are_asked_for_a_few_at_a_time(make: MakeLooking, standin: Standin) -> None:
    """Each may take a whole deadline. The others come first from then on."""
    standin.dags = {"good": {}}
    bad = [f"bad_{number}" for number in range(7)]
    looking = make(named("good", *bad))
    standin.front = lambda _, path: (500, "oops") if "bad" in path else None
    seen = [[asked[-5:] for asked in looking.step(later=10) if "bad" in asked] for _ in range(3)]
    assert seen == [bad[:3], bad[3:6], bad[6:]]
    assert looking.states() == {"good": "ok"}


def test_an_airflow_that_asks_to_wait_is_left_alone_for_so_long(make: MakeLooking, standin: Standin) -> None:
    """However often a look was due meanwhile; then all are known again."""
    seconds = [1000.0]
    looking = make(monotonic=lambda: seconds[0])
    standin.front = lambda _, path: (429, {"detail": "slow down"}) if "/dags" in path else None
    standin.retry_after = "300"
    assert looking.step() != []
    standin.front = lambda *_: None
    seconds[0] += 299
    assert looking.step(later=299) == []
    seconds[0] += 1
    assert looking.step(later=1) != []
    assert looking.states() == {"load_orders": "ok"}


def test_a_dag_of_which_a_gateway_asks_to_wait_is_left_alone_for_so_long(make: MakeLooking, standin: Standin) -> None:
    """Airflow itself is well, so the others are looked at all the same."""
    seconds = [1000.0]
    standin.dags = {"a_slow": {}, "b": {}}
    looking = make(named(*standin.dags), monotonic=lambda: seconds[0])
    standin.front = lambda _, path: (429, {"detail": "slow down"}) if path.endswith("/a_slow") else None
    standin.retry_after = "300"
    slow = f"{LIST}/a_slow"
    asked = [slow in looking.step()]
    for _ in range(5):
        seconds[0] += 60
        asked.append(slow in looking.step(later=60))
    assert asked == [True, False, False, False, False, True]
    assert looking.states() == {"b": "ok"}
