"""What was asked for, what the store says and what Airflow has are compared, and exactly what differs is found."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox
from bridge.flows.verifying import verify
from bridge.rules.verifying import Report
from bridge.words.errors import InboxUnavailable
from bridge.words.model import TriggerState
from bridge.words.reasons import Reason
from tests.support.firing import Firing, Make
from tests.support.standin import Answer, Standin
from tests.support.store import Store, add, stored

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def firing(make: Make) -> Firing:
    """A dispatcher that fires."""
    return make().start()


def fire(firing: Firing, *events: str, **more: Any) -> list[str]:
    """Fire a trigger for each event, and return them once they are fired."""
    ids = [firing.add(event, **more) for event in events]
    firing.dispatcher.wake()
    for id_ in ids:
        firing.wait(id_)
    return ids


def compare(firing: Firing, *, since: datetime = LONG_AGO, dags: Any = None, **more: Any) -> Report:
    """Compare everything."""
    now = datetime.now(UTC)
    return verify(firing.inbox, {"default": firing.airflow}, since=since, now=now, dags=dags or {}, **more)


def found(report: Report) -> list[tuple[str, str | None]]:
    """Return what is off, and which run it is about."""
    return [(str(item.result), item.dag_run_id) for item in report.findings]


def by_hand(standin: Standin, run_id: str, **conf: Any) -> None:
    """Make a run past the bridge."""
    standin.make_run("load_orders", {"dag_run_id": run_id, "logical_date": None, "conf": conf})


def _lose_triggers(store: Store) -> None:
    store.rows("DELETE FROM attempts")
    store.rows("DELETE FROM triggers")


def test_nothing_is_off_when_every_run_is_there(firing: Firing) -> None:
    """And what starts nothing is fine, as the mapping was then."""
    fire(firing, "evt_1", "evt_2", "evt_3")
    stored(firing.inbox, "evt_unrouted")
    report = compare(firing)
    assert (report.is_well, report.findings, report.unasked) == (True, [], {})
    assert report.results == {"ok": 3, "waiting": 1}
    assert report.waiting == {"received": 1}
    assert report.deliveries == {"routed": 3, "received": 1}


def test_a_run_that_was_deleted_is_found(firing: Firing, standin: Standin) -> None:
    """Airflow's own word on this very run decides."""
    fire(firing, "evt_1", "evt_2")
    standin.delete_run("run-evt_1")
    report = compare(firing)
    assert found(report) == [("deleted", "run-evt_1")]
    assert report.results == {"ok": 1, "deleted": 1}


def test_a_run_with_another_conf_is_found(firing: Firing, standin: Standin) -> None:
    """Also one under a trigger's id that no trigger made."""
    first, _ = fire(firing, "evt_1", "evt_2")
    for event, conf in (("evt_1", {"rows": 1, "planasonix": {"trigger_id": first}}), ("evt_2", {})):
        standin.delete_run(f"run-{event}")
        by_hand(standin, f"run-{event}", **conf)
    assert found(compare(firing)) == [("changed", "run-evt_1"), ("changed", "run-evt_2")]


def test_a_run_with_another_id_is_found_once(firing: Firing, standin: Standin) -> None:
    """It is no second trouble that the run under the right id is gone."""
    (first,) = fire(firing, "evt_1")
    standin.delete_run("run-evt_1")
    by_hand(standin, "another", planasonix={"trigger_id": first})
    report = compare(firing)
    assert [(str(item.result), item.trigger_id, item.detail) for item in report.findings] == [
        ("changed", first, "its run is called another")
    ]


def test_a_run_that_nobody_asked_for_is_found(firing: Firing, standin: Standin) -> None:
    """By the beginning of its id, or by its conf; runs of others are none of the bridge's business."""
    (first,) = fire(firing, "evt_1")
    by_hand(standin, "planasonix__by_hand")
    by_hand(standin, "a_copy_of_it", planasonix={"trigger_id": first})
    by_hand(standin, "manual__1", rows=1)
    report = compare(firing)
    assert found(report) == [("extra", "a_copy_of_it"), ("extra", "planasonix__by_hand")]
    assert report.results["ok"] == 1


def test_a_lost_row_is_found_from_both_sides(firing: Firing, store: Store) -> None:
    """The delivery has no trigger, and the run no owner."""
    first, _ = fire(firing, "evt_1", "evt_2")
    number = int(first.removeprefix("trg_"), 16)
    store.rows("DELETE FROM attempts WHERE trigger_id = ?", number)
    store.rows("DELETE FROM triggers WHERE id = ?", number)
    report = compare(firing)
    assert found(report) == [("extra", "run-evt_1"), ("missing", None)]
    assert report.findings[1].delivery_id is not None


def test_a_lost_delivery_is_found_by_its_run(firing: Firing, store: Store) -> None:
    """Its trigger is stored; what asked for it is not."""
    fire(firing, "evt_1")
    store.rows("DELETE FROM deliveries")
    (finding,) = compare(firing, dags={"default": ["load_orders"]}).findings
    assert (str(finding.result), finding.dag_run_id) == ("extra", "run-evt_1")


def test_a_lost_store_is_found_by_the_dags_of_the_mapping(firing: Firing, store: Store) -> None:
    """The store names no DAG any more."""
    fire(firing, "evt_1")
    _lose_triggers(store)
    store.rows("DELETE FROM deliveries")
    assert found(compare(firing)) == []
    assert found(compare(firing, dags={"default": ["load_orders"]})) == [("extra", "run-evt_1")]


def test_a_failed_trigger_is_missing_and_a_waiting_one_is_not(firing: Firing, standin: Standin) -> None:
    """What waits is said by state and reason."""
    standin.dags["needs"] = {"required": ["day"]}
    (failed, held) = (firing.add("evt_1", dag_id="needs"), firing.add("evt_2", dag_id="nowhere"))
    firing.dispatcher.wake()
    firing.wait(failed, TriggerState.FAILED)
    firing.wait(held, TriggerState.HELD)
    report = compare(firing)
    assert [(str(item.result), item.trigger_id) for item in report.findings] == [("missing", failed)]
    assert report.waiting == {"held (dag_not_found)": 1}


def test_a_cancelled_trigger_whose_run_is_there_is_extra(firing: Firing, standin: Standin, store: Store) -> None:
    """A person gave it up, and nobody else asks for the run."""
    fire(firing, "evt_1")
    store.rows("UPDATE triggers SET state = 'cancelled', reason = ?", str(Reason.BY_OPERATOR))
    assert found(compare(firing)) == [("extra", "run-evt_1")]


def test_a_failed_trigger_whose_run_is_there_is_fine(firing: Firing, store: Store) -> None:
    """The answer to its call was lost, again and again."""
    fire(firing, "evt_1")
    store.rows("UPDATE triggers SET state = 'failed', reason = ?", str(Reason.EXPIRED))
    assert compare(firing).is_well


def test_a_copys_owner_may_be_of_another_time(firing: Firing, inbox: Inbox) -> None:
    """A delivery from before that owns the run is no mistake, and neither is its run."""
    fire(firing, "evt_1")
    since = datetime.now(UTC)
    copy = stored(inbox, "evt_copy")
    add(inbox, copy, dag_run_id="run-evt_1")  # the DAG run id is taken, so it is a copy
    report = compare(firing, since=since)
    assert (report.is_well, report.results) == (True, {"ok": 1})
    assert report.deliveries == {"routed": 1}


def test_runs_of_deliveries_from_before_are_left_alone(firing: Firing, store: Store, standin: Standin) -> None:
    """Retention may have removed them; a run made by hand just before is found all the same."""
    fire(firing, "evt_1")
    _lose_triggers(store)
    old = "dlv_0000000000000001"
    standin.delete_run("run-evt_1")
    by_hand(standin, "planasonix__old", planasonix={"trigger_id": "trg_0000000000000001", "delivery_id": old})
    by_hand(standin, "planasonix__odd", planasonix={"trigger_id": 7, "delivery_id": "x"})
    report = compare(firing, since=datetime.now(UTC) - timedelta(hours=1), dags={"default": ["load_orders"]})
    assert [item for item in found(report) if item[1]] == [("extra", "planasonix__odd")]


def test_what_starts_meanwhile_is_no_mistake(firing: Firing, standin: Standin) -> None:
    """A delivery that came after the store was read has its run before the lists end."""
    fire(firing, "evt_1")
    started: list[str] = []

    def start_another(_: dict[str, Any]) -> Answer | None:
        if not started:
            started.extend(fire(firing, "evt_2"))
        return None

    standin.before_list = start_another
    report = compare(firing)
    assert started
    assert (report.is_well, report.results) == (True, {"ok": 1})


def test_a_run_that_the_lists_leave_out_is_asked_for_singly(firing: Firing, standin: Standin) -> None:
    """Rows that vanish while pages are read hide others; and clocks may be far apart."""
    fire(firing, "evt_1", "evt_2")
    standin.before_list = lambda _: (200, {"dag_runs": [], "total_entries": 0})
    report = compare(firing)
    assert (report.is_well, report.results) == (True, {"ok": 2})


def test_ten_thousand_would_be_a_hundred_requests(firing: Firing) -> None:
    """A page has a hundred runs, and nothing is asked for singly that a list has shown."""
    fire(firing, *(f"evt_{number}" for number in range(230)))
    steps: list[tuple[str, int, int]] = []
    report = compare(firing, tell=lambda *step: steps.append(step))
    assert (report.is_well, report.results, report.requests) == (True, {"ok": 230}, 3)
    assert ("reading the store", 230, 230) in steps
    assert ("listing the runs of default", 230, 230) in steps


def test_pages_that_are_too_long_are_asked_for_in_smaller_ones(firing: Firing, standin: Standin) -> None:
    """A page of the longest confs is more than is read."""
    fire(firing, "evt_1", "evt_2", "evt_3")
    asked: list[int] = []

    def too_long(body: dict[str, Any]) -> Answer | None:
        asked.append(body["page_limit"])
        return (200, {"dag_runs": [], "padding": "x" * 20_000_000}) if body["page_limit"] > 2 else None

    standin.before_list = too_long
    assert compare(firing).results == {"ok": 3}
    assert asked[:7] == [100, 50, 25, 12, 6, 3, 1]


@pytest.mark.parametrize(
    ("where", "answer"), [("list", (403, {"detail": "Forbidden"})), ("read", (401, {"detail": "Who are you"}))]
)
def test_an_airflow_that_does_not_answer_is_told_of(
    firing: Firing, standin: Standin, where: str, answer: Answer
) -> None:
    """Nothing is said of its runs, which may well be there; what waits is told all the same."""
    fire(firing, "evt_1")
    firing.wait(_held(firing), TriggerState.HELD)
    standin.delete_run("run-evt_1")
    setattr(standin, f"before_{where}", lambda _: answer)
    report = compare(firing)
    assert (report.is_well, report.findings, report.unread) == (False, [], {})
    assert list(report.unasked) == ["default"]
    assert report.unasked["default"].startswith(f"{answer[0]}: ")
    assert ("the right to read the DAG runs of all DAGs" in report.unasked["default"]) == (where == "list")
    assert report.results == {"waiting": 1}


@pytest.mark.parametrize("status", [403, 500])
def test_one_run_that_cannot_be_read_hides_no_doubled_run(firing: Firing, standin: Standin, status: int) -> None:
    """It is said which one, and all the others are compared: doubled, deleted and failed ones."""
    standin.dags |= {"needs": {"required": ["day"]}, "closed": {}}
    first, *_ = fire(firing, "evt_1", "evt_3")
    fire(firing, "evt_2", dag_id="closed")
    failed = firing.add("evt_4", dag_id="needs")
    firing.dispatcher.wake()
    firing.wait(failed, TriggerState.FAILED)
    by_hand(standin, "doubled", planasonix={"trigger_id": first})
    standin.delete_run("run-evt_3")
    standin.delete_run("run-evt_2", "closed")
    standin.before_read = lambda run: (status, {"detail": "no"}) if run["dag_run_id"] == "run-evt_2" else None
    report = compare(firing)
    assert found(report) == [("deleted", "run-evt_3"), ("extra", "doubled"), ("missing", "run-evt_4")]
    (unread,) = report.unread.values()
    assert (unread.dag_id, unread.dag_run_id, unread.why, unread.runs) == ("closed", "run-evt_2", f"{status}: no", 1)
    assert (report.is_well, report.unasked, report.results["ok"]) == (False, {}, 1)


def test_a_dag_that_may_not_be_read_is_asked_for_once(firing: Firing, standin: Standin) -> None:
    """However many runs it has."""
    events = [f"evt_{number}" for number in range(5)]
    fire(firing, *events)
    for event in events:
        standin.delete_run(f"run-{event}")
    standin.before_read = lambda _: (403, {"detail": "Forbidden"})
    report = compare(firing)
    assert [unread.runs for unread in report.unread.values()] == [5]
    assert (report.findings, report.requests) == ([], 2)


def test_three_dags_that_may_not_be_read_hide_no_deleted_run(firing: Firing, standin: Standin) -> None:
    """Nor a fourth one: each is a matter of its own rights."""
    closed = ["a", "b", "c", "d"]
    standin.dags |= {dag_id: {} for dag_id in closed}
    for dag_id in closed:
        fire(firing, f"evt_{dag_id}", dag_id=dag_id)
    fire(firing, "evt_z")
    for dag_id in closed:
        standin.delete_run(f"run-evt_{dag_id}", dag_id)
    standin.delete_run("run-evt_z")
    standin.before_read = lambda run: None if run["dag_run_id"] == "run-evt_z" else (403, {"detail": "Forbidden"})
    report = compare(firing)
    assert found(report) == [("deleted", "run-evt_z")]
    assert sorted(unread.dag_id for unread in report.unread.values()) == closed
    assert report.unasked == {}


def test_three_runs_in_a_row_that_cannot_be_read_are_airflows_trouble(firing: Firing, standin: Standin) -> None:
    """It is asked no more, and what was found by then is told."""
    events = [f"evt_{number}" for number in range(6)]
    (first, *_) = fire(firing, *events)
    for event in events[1:]:
        standin.delete_run(f"run-{event}")
    by_hand(standin, "doubled", planasonix={"trigger_id": first})
    standin.before_read = lambda _: (500, {"detail": "no"})
    report = compare(firing)
    assert found(report) == [("extra", "doubled")]
    assert (report.unasked, report.requests) == ({"default": "500: no"}, 4)


def _held(firing: Firing) -> str:
    held = firing.add("evt_held", dag_id="nowhere")
    firing.dispatcher.wake()
    return held


def test_an_airflow_that_is_not_configured_is_told_of(firing: Firing) -> None:
    """Its triggers cannot be compared with anything."""
    fire(firing, "evt_1")
    report = verify(firing.inbox, {}, since=LONG_AGO, now=datetime.now(UTC), dags={})
    assert report.unasked == {"default": "there is no such Airflow in the configuration"}
    assert report.results == {}


SLOW_DOWN: Answer = (429, {"detail": "slow down"})


@pytest.mark.parametrize("where", ["list", "read"])
def test_an_airflow_that_asks_to_wait_is_asked_again(firing: Firing, standin: Standin, where: str) -> None:
    """After as long as it says, and everything is compared: a gateway that counts calls gives nothing up."""
    fire(firing, "evt_1", "evt_2")
    standin.retry_after = "3"
    answers = [SLOW_DOWN, SLOW_DOWN]
    if where == "read":
        standin.before_list = lambda _: (200, {"dag_runs": [], "total_entries": 0})
    setattr(standin, f"before_{where}", lambda _: answers.pop() if answers else None)
    slept: list[float] = []
    report = compare(firing, sleep=slept.append)
    assert (report.is_well, report.unasked, report.results) == (True, {}, {"ok": 2})
    assert slept == [1.0] * 6


def test_an_airflow_that_asks_to_wait_for_ever_is_told_of(firing: Firing, standin: Standin) -> None:
    """Five times in a row are enough; it is waited for longer and longer when it does not say how long."""
    fire(firing, "evt_1")
    standin.before_list = lambda _: SLOW_DOWN
    slept: list[float] = []
    report = compare(firing, sleep=slept.append)
    assert (report.is_well, report.findings, report.requests, standin.lists()) == (False, [], 5, 5)
    assert sum(slept) == 1 + 2 + 4 + 8
    assert report.unasked == {
        "default": "429: slow down; it asked to wait 5 times in a row; compare again when it is less busy"
    }


def test_an_airflow_that_asks_to_wait_for_long_is_left_alone(firing: Firing, standin: Standin) -> None:
    """Nobody sits before a command for an hour, and it is not asked earlier than it wants."""
    fire(firing, "evt_1")
    standin.before_list, standin.retry_after = lambda _: SLOW_DOWN, "1800"
    slept: list[float] = []
    report = compare(firing, sleep=slept.append)
    assert (standin.lists(), slept) == (1, [])
    assert report.unasked == {"default": "429: slow down; it asks to wait for 1800 s; compare again after that"}


def test_a_comparison_that_waits_ends_when_nobody_wants_it(firing: Firing, standin: Standin) -> None:
    """Each second of the wait is told, and whoever is told may end it."""
    fire(firing, "evt_1")
    standin.before_list, standin.retry_after = lambda _: SLOW_DOWN, "300"
    slept: list[float] = []

    def tell(step: str, done: int, total: int) -> None:
        if (step, done, total) == ("waiting, as default asks for it", 2, 300):
            raise InboxUnavailable("nobody waits")

    with pytest.raises(InboxUnavailable):
        compare(firing, tell=tell, sleep=slept.append)
    assert len(slept) == 2
