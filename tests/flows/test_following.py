"""DAG runs are watched to their end, against a stand-in for Airflow, by lists alone."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox, browsing, runs, triggers
from bridge.edges.inbox.replays import replay
from bridge.edges.metrics import Metrics
from bridge.flows.following import Following
from bridge.flows.following.ending import report
from bridge.words.errors import BadFilter
from bridge.words.model import Trigger, TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import OpenRun, Progress, Run, RunState
from bridge.words.targets import AirflowAuth, AirflowTarget, Secret
from tests.support.standin import Answer, Standin
from tests.support.store import add, attempt, claim, settlement, stored, wait_for

AUTH = AirflowAuth(Secret("bridge"), Secret("bridge-password"))
START = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Watching:
    """Following in front of a stand-in, with a clock that the test moves; `step` is one look."""

    def __init__(self, inbox: Inbox, metrics: Metrics, standin: Standin, **options: Any) -> None:
        self.inbox = inbox
        self.metrics = metrics
        self.standin = standin
        self.now = START
        standin.now = lambda: self.now
        self.airflow = Airflow(AirflowTarget("default", standin.url, AUTH, connect_seconds=5.0))
        usual: dict[str, Any] = {"interval_seconds": 5.0, "give_up": timedelta(days=7)}
        self.following = Following(
            inbox=inbox, airflows={"default": self.airflow}, metrics=metrics, clock=lambda: self.now, **usual | options
        )

    def fire(
        self,
        name: str = "run-1",
        *,
        dag_id: str = "load_orders",
        is_made: bool = True,
        is_told: bool = True,
        reason: Reason | None = None,
        **more: Any,
    ) -> str:
        """Fire a trigger now; its DAG run is there, and `is_told`: Airflow's answer said when it was made."""
        delivery_id = stored(self.inbox, name)
        trigger_id = add(self.inbox, delivery_id, now=self.now, dag_run_id=name, dag_id=dag_id, **more)
        (claimed,) = claim(self.inbox, now=self.now, airflow=more.get("airflow", "default"))
        run_after = None
        if is_made:
            self.standin.dags.setdefault(dag_id, {"is_paused": False})
            conf = {"planasonix": {"trigger_id": trigger_id}}
            body = {"dag_run_id": name, "conf": conf, "logical_date": None, "run_after": None}
            run_after = datetime.fromisoformat(self.standin.make_run(dag_id, body)[1]["run_after"])
        told = settlement(run_after=run_after if is_told else None, reason=reason)
        self.inbox.write(triggers.settle, claimed, told, replace(attempt(), started_at=self.now, seconds=0.0))
        return trigger_id

    def step(self, *, later: float = 0.0) -> None:
        """Take one step, so many seconds later."""
        self.now += timedelta(seconds=later)
        self.following.step()

    def trigger(self, trigger_id: str) -> Trigger:
        """Return a trigger as it stands."""
        found = self.inbox.read(triggers.get, trigger_id)
        assert found is not None
        return found

    def run(self, trigger_id: str) -> Run:
        """Return what is known of its run."""
        run = self.trigger(trigger_id).run
        assert run is not None
        return run

    def state(self, trigger_id: str) -> RunState:
        """Return the state of its run."""
        return self.run(trigger_id).state

    def value(self, name: str, **labels: str) -> float:
        """Return a sample of the exposition."""
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        for line in self.metrics.exposition().decode().splitlines():
            if line.partition(" ")[0].partition("{")[0] == name and all(label in line for label in wanted):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"no {name} {labels}")


Make = Callable[..., Watching]


@pytest.fixture
def make(inbox: Inbox, metrics: Metrics, standin: Standin) -> Iterator[Make]:
    """Make following in front of the stand-in."""
    made: list[Watching] = []

    def build(**options: Any) -> Watching:
        made.append(Watching(inbox, metrics, standin, **options))
        return made[-1]

    metrics.observe_mapping(digest="d", routes=["orders"], loaded_at=START)
    yield build
    for item in made:
        item.airflow.close()


@pytest.mark.parametrize("end", ["success", "failed"])
def test_a_run_is_watched_to_its_end(make: Make, standin: Standin, end: str) -> None:
    """Queued, running, ended, with Airflow's own instants; then nobody asks any more."""
    watching = make()
    trigger_id = watching.fire()
    assert watching.run(trigger_id) == Run(RunState.QUEUED)
    watching.step(later=1)
    assert watching.run(trigger_id) == Run(RunState.QUEUED)
    standin.move_run("running", "run-1")
    started_at = watching.now
    watching.step(later=5)
    assert watching.run(trigger_id) == Run(RunState.RUNNING, started_at)
    standin.move_run(end, "run-1")
    ended_at = watching.now
    watching.step(later=5)
    assert watching.run(trigger_id) == Run(RunState(end), started_at, ended_at)
    before = len(standin.asked)
    watching.step(later=1000)
    assert len(standin.asked) == before


def test_nothing_is_asked_while_nothing_is_due(make: Make, standin: Standin) -> None:
    """Not before the run's own time comes."""
    watching = make()
    watching.step()
    assert standin.asked == []
    watching.fire()
    watching.step()
    assert standin.lists() == 1
    watching.step(later=4.9)
    assert standin.lists() == 1
    watching.step(later=0.2)
    assert standin.lists() == 2


def test_one_list_a_step_however_many_runs_and_dags_are_open(make: Make, standin: Standin) -> None:
    """A hundred runs of twenty DAGs are one request, and none of them is asked for by itself."""
    watching = make()
    ids = [watching.fire(f"run-{number}", dag_id=f"dag-{number % 20}") for number in range(100)]
    for number in range(100):
        standin.move_run("success", f"run-{number}", f"dag-{number % 20}")
    watching.step()
    assert [asked for asked in standin.asked if "dagRuns" in asked] == ["POST /api/v2/dags/~/dagRuns/list"]
    assert {watching.state(id_) for id_ in ids} == {RunState.SUCCESS}


def test_more_runs_than_a_list_holds_take_more_steps(make: Make, standin: Standin) -> None:
    """Each step asks once; the longest due come first, and none is forgotten."""
    watching = make()
    ids = []
    for number in range(620):
        watching.now += timedelta(seconds=0.1)
        ids.append(watching.fire(f"run-{number}"))
        standin.move_run("success", f"run-{number}")
    for _ in range(2):
        watching.step()
    assert standin.lists() == 2
    assert {watching.state(id_) for id_ in ids} == {RunState.SUCCESS}


def test_runs_among_many_of_others_are_found(make: Make, standin: Standin) -> None:
    """A list that has no room for ours is asked for a shorter time, and the first is asked for by itself meanwhile."""
    watching = make()
    standin.dags["busy"] = {"is_paused": False}
    for number in range(3000):
        body = {"dag_run_id": f"theirs-{number}", "conf": {}, "logical_date": None, "run_after": None}
        standin.make_run("busy", body)
    ids = [watching.fire(f"run-{number}", dag_id="busy") for number in range(3)]
    watching.step()
    watching.step(later=5)
    assert {watching.run(id_).state for id_ in ids} == {RunState.QUEUED}
    for number in range(3):
        standin.move_run("success", f"run-{number}", "busy")
    watching.step(later=5)
    assert {watching.state(id_) for id_ in ids} == {RunState.SUCCESS}


def test_a_run_that_is_gone_is_deleted(make: Make, standin: Standin) -> None:
    """Airflow's word on this very run decides, and the runs beside it are not touched."""
    watching = make()
    gone, kept = watching.fire("run-1"), watching.fire("run-2")
    standin.delete_run("run-1")
    watching.step()
    assert (watching.state(gone), watching.state(kept)) == (RunState.DELETED, RunState.QUEUED)
    assert watching.value("bridge_runs_total", route="orders", state="deleted") == 1


@pytest.mark.parametrize("conf", [{"rows": 1}, {"planasonix": {"trigger_id": "trg_0000000000000001"}}])
def test_a_run_that_a_person_started_under_its_id_is_not_taken_for_it(
    make: Make, standin: Standin, conf: dict[str, Any]
) -> None:
    """The own one is `deleted`; that of a copy has the conf of another trigger from the beginning."""
    watching = make()
    own, of_a_copy = watching.fire("run-1"), watching.fire("run-2", reason=Reason.SAME_COMPLETION)
    for name in ("run-1", "run-2"):
        standin.delete_run(name)
        standin.make_run("load_orders", {"dag_run_id": name, "conf": conf, "logical_date": None, "run_after": None})
        standin.move_run("success", name)
    watching.step()
    assert (watching.state(own), watching.state(of_a_copy)) == (RunState.DELETED, RunState.SUCCESS)


def test_a_paused_dag_is_named_while_the_run_waits_in_airflow_alone(make: Make, standin: Standin) -> None:
    """Not beside a run that is gone, or that nobody watches any more."""
    watching = make()
    waiting, gone = (watching.fire(name, reason=Reason.DAG_PAUSED) for name in ("run-1", "run-2"))
    standin.delete_run("run-2")
    watching.step()
    assert (watching.state(waiting), watching.trigger(waiting).reason) == (RunState.QUEUED, Reason.DAG_PAUSED)
    assert (watching.state(gone), watching.trigger(gone).reason) == (RunState.DELETED, None)
    watching.step(later=8 * 86_400.0)
    assert (watching.state(waiting), watching.trigger(waiting).reason) == (RunState.UNKNOWN, None)


@pytest.mark.parametrize("answer", [(404, {"detail": "Not Found"}), (403, {"detail": "Forbidden"}), (500, "oops")])
def test_a_run_is_deleted_only_if_airflow_says_so(make: Make, standin: Standin, answer: Answer) -> None:
    """A wrong path, a missing right or an error says nothing about the run."""
    watching = make()
    trigger_id = watching.fire(is_made=False)
    standin.before_read = lambda _: answer
    watching.step()
    assert watching.state(trigger_id) is RunState.QUEUED


def test_many_deleted_runs_are_asked_for_a_few_at_a_time(make: Make, standin: Standin) -> None:
    """Not to flood Airflow after `airflow db clean`; in the end each is `deleted`."""
    watching = make()
    ids = [watching.fire(f"run-{number}", is_made=False) for number in range(12)]
    watching.step()
    assert sum("GET" in asked and "run-" in asked for asked in standin.asked) == 5
    for _ in range(2):
        watching.step(later=5)
    assert {watching.state(id_) for id_ in ids} == {RunState.DELETED}


def test_many_deleted_runs_do_not_hold_up_the_others(make: Make, standin: Standin) -> None:
    """What had no turn to be asked for stays due, behind all others: the end of a run of today is known at once."""
    watching = make()
    gone = [watching.fire(f"gone-{number}", is_made=False) for number in range(100)]
    watching.now += timedelta(days=1)
    kept = watching.fire("run-1")
    standin.move_run("success", "run-1")
    for _ in range(2):
        watching.step(later=5)
    assert watching.state(kept) is RunState.SUCCESS
    for _ in range(19):
        watching.step(later=5)
    assert {watching.state(id_) for id_ in gone} == {RunState.DELETED}


def test_an_open_run_is_unknown_after_its_time(make: Make, standin: Standin) -> None:
    """Or after twice that, where Airflow does not answer at all."""
    seconds = [1000.0]
    watching = make(give_up=timedelta(hours=1), monotonic=lambda: seconds[0])
    told = watching.fire("run-1")
    watching.step(later=3599)
    assert watching.state(told) is RunState.QUEUED
    watching.step(later=400)
    assert watching.state(told) is RunState.UNKNOWN
    standin.before_list = lambda _: (500, {"detail": {"reason": "Database error"}})
    silent = [watching.fire(f"silent-{number}") for number in range(3)]
    watching.step(later=7199)
    assert {watching.state(id_) for id_ in silent} == {RunState.QUEUED}
    for _ in range(3):  # after a failure fewer are asked for at once
        seconds[0] += 60
        watching.step(later=60)
    assert {watching.state(id_) for id_ in silent} == {RunState.UNKNOWN}


def test_a_list_that_fails_after_a_long_stop_ends_no_run(make: Make, standin: Standin) -> None:
    """The bridge was stopped for eight days, and all have succeeded: nobody has heard of them before the next list."""
    seconds = [1000.0]
    watching = make(monotonic=lambda: seconds[0])
    ids = [watching.fire(f"run-{number}") for number in range(3)]
    for number in range(3):
        standin.move_run("success", f"run-{number}")
    standin.before_list = lambda _: (503, {"detail": "down"})
    watching.step(later=8 * 86_400.0)
    assert {watching.state(id_) for id_ in ids} == {RunState.QUEUED}
    standin.before_list = lambda _: None
    for _ in range(4):  # after a failure fewer are asked for at once
        seconds[0] += 60
        watching.step(later=60)
    assert {watching.state(id_) for id_ in ids} == {RunState.SUCCESS}


def test_many_runs_that_no_list_shows_after_a_long_stop_are_asked_for(make: Make, standin: Standin) -> None:
    """A few at a time, and none is given up before its turn."""
    watching = make()
    ids = [watching.fire(f"run-{number}", is_made=False) for number in range(12)]
    watching.now += timedelta(days=8)
    for _ in range(3):
        watching.step(later=5)
    assert {watching.state(id_) for id_ in ids} == {RunState.DELETED}


def test_an_airflow_that_does_not_answer_is_asked_more_rarely_and_nothing_is_lost(make: Make, standin: Standin) -> None:
    """Its runs stay open, and their ends are found when it is back."""
    watching = make(interval_seconds=0.2)
    ids = [watching.fire(f"run-{number}") for number in range(3)]
    standin.before_list = lambda _: (503, {"detail": "down"})
    watching.step()
    watching.step()
    assert standin.lists() == 1
    assert watching.value("bridge_follow_requests_total", airflow="default", outcome="failed") == 1
    standin.before_list = lambda _: None
    for number in range(3):
        standin.move_run("success", f"run-{number}")
    wait_for(lambda: watching.step(later=60) or all(watching.state(id_) is RunState.SUCCESS for id_ in ids))


def test_an_airflow_that_asks_to_wait_is_left_alone_for_so_long(make: Make, standin: Standin) -> None:
    """However often a look was due meanwhile, and then all runs are asked for at once, as before."""
    seconds = [1000.0]
    watching = make(monotonic=lambda: seconds[0])
    ids = [watching.fire(f"run-{number}") for number in range(3)]
    standin.before_list, standin.retry_after = lambda _: (429, {"detail": "slow down"}), "300"
    watching.step()
    standin.before_list = lambda _: None
    for number in range(3):
        standin.move_run("success", f"run-{number}")
    seconds[0] += 299
    watching.step(later=299)
    assert standin.lists() == 1
    seconds[0] += 1
    watching.step(later=1)
    assert standin.lists() == 2
    assert {watching.state(id_) for id_ in ids} == {RunState.SUCCESS}


def test_one_question_that_is_told_to_wait_makes_no_list_shorter(make: Make, standin: Standin) -> None:
    """It was about one run; the next list is about all that are due."""
    seconds = [1000.0]
    watching = make(monotonic=lambda: seconds[0])
    watching.fire("run-0")
    standin.delete_run("run-0")
    standin.before_read, standin.retry_after = lambda _: (429, {"detail": "slow down"}), "30"
    watching.step()
    ids = [watching.fire(f"run-{number}") for number in range(1, 6)]
    for number in range(1, 6):
        standin.move_run("success", f"run-{number}")
    standin.before_read = lambda _: None
    seconds[0] += 30
    watching.step(later=30)
    assert standin.lists() == 2
    assert {watching.state(id_) for id_ in ids} == {RunState.SUCCESS}


def test_one_run_for_which_every_list_is_told_to_wait_does_not_hold_up_the_others(make: Make, standin: Standin) -> None:
    """A gateway that calls every slow list too much: fewer are asked for at once, if that goes on."""
    seconds = [1000.0]
    watching = make(interval_seconds=0.1, monotonic=lambda: seconds[0])
    poison = standin.now().isoformat()
    watching.fire("run-0")
    watching.now += timedelta(seconds=30)
    ids = [watching.fire(f"run-{number}") for number in range(1, 6)]
    for number in range(1, 6):
        standin.move_run("success", f"run-{number}")
    standin.retry_after = "1"
    standin.before_list = lambda body: (503, "busy") if body["run_after_gte"] <= poison else None
    for _ in range(20):
        seconds[0] += 60
        watching.step(later=60)
    assert {watching.state(id_) for id_ in ids} == {RunState.SUCCESS}


def test_one_run_that_makes_every_list_fail_does_not_hold_up_the_others(make: Make, standin: Standin) -> None:
    """Fewer are asked for at once until it is alone, and then the others have their turn."""
    watching = make(interval_seconds=0.1)
    poison = standin.now().isoformat()
    watching.fire("run-0")
    watching.now += timedelta(seconds=30)
    ids = [watching.fire(f"run-{number}") for number in range(1, 6)]
    for number in range(1, 6):
        standin.move_run("success", f"run-{number}")
    standin.before_list = lambda body: (500, "oops") if body["run_after_gte"] <= poison else None
    wait_for(lambda: watching.step(later=10) or all(watching.state(id_) is RunState.SUCCESS for id_ in ids))


def test_a_list_that_is_too_long_is_asked_for_in_parts(make: Make, standin: Standin) -> None:
    """Airflow echoes every conf: twelve runs with 200 kB each are more than is read of one answer."""
    watching = make()
    ids = [watching.fire(f"run-{number}") for number in range(12)]
    for run in standin.runs():
        run["conf"] = {**run["conf"], "rows": "x" * 200_000}
    for number in range(12):
        standin.move_run("success", f"run-{number}")
    for _ in range(20):
        watching.step(later=1)
    assert {watching.state(id_) for id_ in ids} == {RunState.SUCCESS}


def test_a_run_whose_own_answer_is_long_is_followed(make: Make, standin: Standin) -> None:
    """Airflow 2 spells a conf of 231 kB as 1.2 MB; a conf may be larger than 1 MiB, too."""
    watching = make()
    trigger_id = watching.fire()
    standin.runs()[0]["conf"]["rows"] = "x" * 1_500_000
    standin.move_run("success", "run-1")
    for _ in range(15):
        watching.step(later=5)
    assert watching.state(trigger_id) is RunState.SUCCESS


@pytest.mark.parametrize("answer", [(403, {"detail": "Forbidden"}), (200, {"hello": 1})])
def test_a_run_that_cannot_be_read_is_said_once(make: Make, standin: Standin, answer: Answer) -> None:
    """For each DAG and reason, with what Airflow says and the next step."""
    watching = make()
    for number in range(2):
        watching.fire(f"run-{number}", is_made=False)
    standin.before_read = lambda _: answer
    with capture_logs() as logs:
        for _ in range(3):
            watching.step(later=60)
    (line,) = [line for line in logs if line["event"] == "run_not_read"]
    assert (line["log_level"], line["dag_id"], line["detail"][:3]) == ("warning", "load_orders", str(answer[0]))
    assert line["next_step"]


def test_runs_are_asked_for_one_by_one_where_no_list_may_be_read(make: Make, standin: Standin) -> None:
    """FAB lets a user with the right for single DAGs read their runs, and no list. That is said once."""
    watching = make()
    ids = [watching.fire(f"run-{number}") for number in range(7)]
    for number in range(7):
        standin.move_run("success", f"run-{number}")
    standin.before_list = lambda _: (403, {"detail": "Forbidden"})
    with capture_logs() as logs:
        for _ in range(2):
            watching.step(later=5)
    assert {watching.state(id_) for id_ in ids} == {RunState.SUCCESS}
    (line,) = [line for line in logs if line["event"] == "runs_not_listed"]
    assert "the right to read the DAG runs of all DAGs" in line["next_step"]
    assert watching.value("bridge_follow_requests_total", airflow="default", outcome="failed") == 0


def test_an_airflow_that_lets_no_run_be_read_is_said(make: Make, standin: Standin) -> None:
    """Neither a list nor a single one: nothing is followed, and nothing is lost once the right is there."""
    seconds = [1000.0]
    watching = make(monotonic=lambda: seconds[0])
    ids = [watching.fire(f"run-{number}") for number in range(7)]
    for number in range(7):
        standin.move_run("success", f"run-{number}")
    standin.before_list = standin.before_read = lambda _: (403, {"detail": "Forbidden"})
    with capture_logs() as logs:
        for _ in range(3):
            seconds[0] += 60
            watching.step(later=60)
    assert [line["event"] for line in logs if "followed" in line["event"]] == ["runs_not_followed"]
    assert watching.value("bridge_follow_requests_total", airflow="default", outcome="failed") == 3
    standin.before_list = standin.before_read = lambda _: None
    seconds[0] += 300
    watching.step(later=300)
    assert {watching.state(id_) for id_ in ids} == {RunState.SUCCESS}


def test_what_a_single_question_is_asked_to_wait_is_kept(make: Make, standin: Standin) -> None:
    """Where no list may be read: no shorter wait for the list follows it, and it is said once."""
    seconds = [1000.0]
    watching = make(monotonic=lambda: seconds[0])
    watching.fire("run-1")
    standin.before_list = lambda _: (403, {"detail": "Forbidden"})
    standin.before_read = lambda _: (429, {})
    standin.retry_after = "600"
    with capture_logs() as logs:
        for _ in range(4):
            seconds[0] += 60
            watching.step(later=60)
    assert len([request for request in standin.asked if request.endswith("/list")]) == 1
    assert [line["reason"] for line in logs if line["event"] == "runs_not_followed"] == ["throttled"]


def test_a_route_that_does_not_follow_asks_nothing(make: Make, standin: Standin) -> None:
    """Its trigger is fired, and has no run state."""
    watching = make()
    trigger_id = watching.fire(follow=False)
    watching.step(later=1)
    assert standin.asked == []
    found = watching.trigger(trigger_id)
    assert (found.state, found.run) == (TriggerState.FIRED, None)


def test_a_run_that_is_made_by_a_clock_two_days_off_is_followed(make: Make, standin: Standin) -> None:
    """Airflow's clock says when its runs were made: found once by its id, then by that instant."""
    watching = make()
    standin.now = lambda: watching.now + timedelta(days=2)
    trigger_id = watching.fire(is_told=False)
    watching.step()
    before = len(standin.asked)
    standin.move_run("success", "run-1")
    watching.step(later=5)
    assert standin.asked[before:] == ["POST /api/v2/dags/~/dagRuns/list"]
    assert watching.state(trigger_id) is RunState.SUCCESS


def test_a_restart_goes_on_where_the_last_process_stopped(make: Make, standin: Standin) -> None:
    """Everything is in the store, and a duty that was given back is taken at once."""
    first = make()
    trigger_id = first.fire()
    first.step()
    first.following.loop.stop(1)
    standin.move_run("success", "run-1")
    second = make()
    second.step(later=5)
    assert second.state(trigger_id) is RunState.SUCCESS


def test_an_airflow_that_makes_a_step_fail_does_not_stop_the_others(
    inbox: Inbox, metrics: Metrics, standin: Standin
) -> None:
    """An error of the bridge's own at one of two: the other one has its turn in the next step."""
    watching = Watching(inbox, metrics, standin)
    watching.fire("run-1", airflow="broken")
    trigger_id = watching.fire("run-2")
    standin.move_run("success", "run-2")
    broken = Airflow(AirflowTarget("broken", cast("str", None), AUTH))  # whatever else may go wrong
    watching.following = Following(
        inbox=inbox,
        airflows={"broken": broken, "default": watching.airflow},
        metrics=metrics,
        interval_seconds=5.0,
        give_up=timedelta(days=7),
        clock=lambda: watching.now,
    )
    watching.now += timedelta(seconds=1)
    for _ in range(2):
        watching.following.loop.turn()
    assert watching.state(trigger_id) is RunState.SUCCESS
    watching.airflow.close()
    broken.close()


def test_two_replicas_do_not_double_the_requests(make: Make, standin: Standin) -> None:
    """One of them asks; when it is dead, the other one does after the lease."""
    first, second = make(), make()
    trigger_id = first.fire()
    for _ in range(4):
        first.step(later=6)
        second.now = first.now
        second.step()
    assert standin.lists() == 4
    standin.move_run("success", "run-1")
    second.step(later=29)
    assert second.state(trigger_id) is RunState.QUEUED
    second.step(later=2)
    assert second.state(trigger_id) is RunState.SUCCESS


def test_an_end_is_told_once_with_how_long_data_took(make: Make, standin: Standin) -> None:
    """By route: from the webhook to the end of the run, for those that succeeded."""
    watching = make()
    good, bad = watching.fire("run-1"), watching.fire("run-2")
    standin.move_run("success", "run-1")
    standin.move_run("failed", "run-2")
    for _ in range(3):
        watching.step(later=5)
    assert (watching.state(good), watching.state(bad)) == (RunState.SUCCESS, RunState.FAILED)
    assert watching.value("bridge_runs_total", route="orders", state="success") == 1
    assert watching.value("bridge_runs_total", route="orders", state="failed") == 1
    assert watching.value("bridge_data_ready_seconds_count", route="orders") == 1


@pytest.mark.parametrize(("ahead", "seconds"), [(0, 30.0), (-600, 5.0), (600, 60.0)])
def test_how_long_data_took_keeps_to_our_clock(make: Make, ahead: float, seconds: float) -> None:
    """However far Airflow's is ahead: no run ends before it was fired, nor after now."""
    watching = make()
    now, ended_at = START + timedelta(seconds=60), START + timedelta(seconds=30 + ahead)
    fired_at = START + timedelta(seconds=5)
    run = OpenRun("trg_1", "dlv_1", "orders", "d", "r", RunState.RUNNING, START, fired_at, fired_at, None)
    with capture_logs() as logs:
        report(Progress(run, RunState.SUCCESS, None, None, ended_at, None), "default", watching.metrics, now)
    assert logs[0]["seconds"] == seconds
    assert watching.value("bridge_data_ready_seconds_sum", route="orders") == seconds


def test_a_replay_follows_the_run_anew(make: Make, standin: Standin) -> None:
    """What was known of it is forgotten when it is fired again."""
    watching = make()
    trigger_id = watching.fire()
    standin.move_run("failed", "run-1")
    watching.step(later=1)
    watching.inbox.write(replay, trigger_id, actor="test", reason=None, new_id=None, now=watching.now)
    assert watching.trigger(trigger_id).run is None
    (claimed,) = claim(watching.inbox, now=watching.now)
    ended = replace(attempt(2), started_at=watching.now, seconds=0.0)
    watching.inbox.write(triggers.settle, claimed, settlement(), ended)
    assert watching.run(trigger_id) == Run(RunState.QUEUED)
    standin.move_run("success", "run-1")
    watching.step(later=5)
    assert watching.state(trigger_id) is RunState.SUCCESS


def test_lists_show_what_became_of_the_run(make: Make, standin: Standin) -> None:
    """A page of triggers has it beside the state."""
    watching = make()
    trigger_id = watching.fire()
    standin.move_run("failed", "run-1")
    watching.step(later=1)
    (found,) = watching.inbox.read(browsing.triggers, wanted=browsing.Filter(state="fired"), limit=10)
    assert (found.id, found.run and found.run.state) == (trigger_id, RunState.FAILED)
    open_id = watching.fire("run-2")
    for word, ids in (("failed", [trigger_id]), ("queued", [open_id]), ("success", [])):
        page = watching.inbox.read(browsing.triggers, wanted=browsing.Filter(run_state=word), limit=10)
        assert [item.id for item in page] == ids
    with pytest.raises(BadFilter, match="there is queued, running"):
        watching.inbox.read(browsing.triggers, wanted=browsing.Filter(run_state="fine"), limit=10)


def test_open_runs_are_counted(make: Make, standin: Standin) -> None:
    """By Airflow and state, with the age of the oldest, as of the store."""
    watching = make()
    watching.fire("run-1")
    watching.fire("run-2")
    standin.move_run("running", "run-1")
    watching.step(later=3)
    watching.metrics.runs.observe_open(watching.inbox.read(runs.count), watching.now)
    assert watching.value("bridge_open_runs", airflow="default", state="running") == 1
    assert watching.value("bridge_open_runs", airflow="default", state="queued") == 1
    assert watching.value("bridge_oldest_open_run_seconds", airflow="default", state="running") == 3
