"""Parked tasks are woken, each once, against a stand-in for Airflow and on a real store."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox, waits
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.edges.inbox.engine.ids import made_at
from bridge.edges.inbox.rows import instant
from bridge.edges.metrics import Metrics
from bridge.flows.waking import Waking
from bridge.flows.waking.answering import Answering
from bridge.flows.waking.listing import Listing
from bridge.flows.waking.place import Place
from bridge.rules import completion
from bridge.rules import event as events
from bridge.rules.retrying.turns import Turns
from bridge.words.model import DeliveryState
from bridge.words.targets import AirflowAuth, AirflowTarget, Secret
from bridge.words.waits import TaskKey, Wait
from tests.support.parked import ParkedTasks
from tests.support.service import body
from tests.support.standin import Answer, Standin
from tests.support.store import NOW, Store, stored

AUTH = AirflowAuth(Secret("bridge"), Secret("bridge-password"))


class Awake:
    """Waking in front of a stand-in. A step follows at once, however soon; a list is due at each."""

    def __init__(self, inbox: Inbox, metrics: Metrics, standin: Standin) -> None:
        self.inbox, self.metrics, self.standin = inbox, metrics, standin
        self.tasks = ParkedTasks(standin)
        self.may_call = True
        self.turns = math.inf  # that the pace still gives
        self.airflow = Airflow(AirflowTarget("default", standin.url, AUTH, connect_seconds=5.0))
        self.waking = self.another()

    def another(self, step_seconds: float = 0.0) -> Waking:
        """Return what another process, or this one after a restart, would have."""
        return Waking(
            "default",
            self.airflow.waits,
            inbox=self.inbox,
            sources={},
            metrics=self.metrics,
            take_turn=self.take_turn,
            step_seconds=step_seconds,
        )

    def take_turn(self) -> bool:
        """Take one call's share of the pace."""
        if not self.may_call or self.turns < 1:
            return False
        self.turns -= 1
        return True

    def step(self, waking: Waking | None = None) -> None:
        """Take one step."""
        item = waking or self.waking
        item._stepped_at = 0.0
        item.step()

    def later(self) -> None:
        """Let so much time go by that everything has its next turn."""
        self.waking._not_before = 0.0
        for turns in (self.waking._answering._turns, self.waking._listing._turns):
            rest(turns)

    def fails(self, part: str, answer: Answer | Callable[[dict[str, Any]], Answer | None]) -> None:
        """Answer so whatever has this in its method and path; all the rest as always."""
        usual = self.tasks._answer

        def more(method: str, parts: list[str], body: dict[str, Any], query: dict[str, str]) -> Answer | None:
            found = None
            if part in f"{method} {'/'.join(parts)}":
                found = answer(body) if callable(answer) else answer
            return found or usual(method, parts, body, query)

        self.standin.more = more

    def told(self, name: str, **more: Any) -> str:
        """Store and route a webhook; `more` are fields of its body, and `source`."""
        source = more.pop("source", "planasonix")
        payload = more.pop("payload", None) or run_event(name, **more)
        delivery_id = stored(self.inbox, name, source=source, body=payload)
        event = events.read(payload, path_pipeline_id=None)
        about = completion.of(event, source=source, delivery_id=delivery_id)
        routing = Routing(
            delivery_id, DeliveryState.UNROUTED, None, None, None, [], about, also_names=about.others(event)
        )
        self.inbox.write(settle_routing, [routing], now=datetime.now(UTC))
        return delivery_id

    def known(self) -> set[str]:
        """Return which tasks the store knows to wait."""
        return {key.task_id for key in self.inbox.read(waits.known, airflow="default")}

    def requests(self, part: str) -> int:
        """Return how many requests had this in their method and path."""
        return sum(part in asked for asked in self.standin.asked)


def rest(turns: Turns) -> None:
    """Let everything of these be due."""
    turns._rests_until = 0.0
    turns._missed = {key: replace(missed, due_at=0.0) for key, missed in turns._missed.items()}


def run_event(name: str, *, run: str = "run_1", status: str = "succeeded", **more: Any) -> bytes:
    """Return the webhook of a pipeline run that has ended."""
    values = {"id": name, "type": f"pipeline.run.{status}", "run_id": run, "status": status, "rows_loaded": 7} | more
    return repr({name: value for name, value in values.items() if value is not None}).replace("'", '"').encode()


def subject(run: str = "run_1", *, pipeline: str | None = "pl_1", source: str | None = None) -> str:
    """Return the subject of a request for input."""
    more = (f" pipeline {pipeline}" if pipeline else "") + (f" source {source}" if source else "")
    return f"Planasonix bridge: run {run}{more}"


@pytest.fixture
def awake(inbox: Inbox, metrics: Metrics, standin: Standin) -> Iterator[Awake]:
    """Waking, and a stand-in whose tasks the test parks."""
    item = Awake(inbox, metrics, standin)
    yield item
    item.airflow.close()


@pytest.mark.parametrize("is_before", [True, False], ids=["before it is parked", "while it is"])
def test_a_webhook_wakes_the_task_that_waits_for_its_run(awake: Awake, is_before: bool) -> None:
    """With status, rows, ids and delivery; and once."""
    delivery = awake.told("evt_1") if is_before else ""
    awake.tasks.park("load", subject())
    awake.step()
    delivery = delivery or awake.told("evt_1")
    awake.step()
    awake.step()
    told = {"run_id": "run_1", "delivery_id": delivery, "rows_loaded": 7}
    assert awake.tasks.answers == [("load", "succeeded", told)]
    assert awake.known() == set()


def test_a_wait_is_forgotten_alone(inbox: Inbox) -> None:
    """Not that of another Airflow, DAG, DAG run, task, or mapped one of the same."""
    task = TaskKey("loads", "run_a", "load", -1)
    others = {"dag_id": "marts", "dag_run_id": "run_b", "task_id": "check", "map_index": 0}
    keys = [task, *(task._replace(**{name: value}) for name, value in others.items())]
    found = [Wait("default", key, 1, "run_1", None, None, NOW) for key in keys]
    inbox.write(waits.add, [*found, replace(found[0], airflow="far")])
    inbox.write(waits.forget, airflow="default", tasks=[task])
    assert set(inbox.read(waits.known, airflow="default")) == set(keys[1:])
    assert set(inbox.read(waits.known, airflow="far")) == {task}


@pytest.mark.parametrize(("seconds", "amount"), [(299, 1), (301, 0)])
def test_a_task_is_not_told_of_what_its_pipeline_did_long_before(inbox: Inbox, seconds: int, amount: int) -> None:
    """Of what names no run; five minutes are for two clocks that differ."""
    id_ = stored(inbox, "evt_1", body=b"{}")
    about = completion.Completion("planasonix", completion.Kind.EVENT, "evt_1", "succeeded", "pl_1")
    routing = Routing(id_, DeliveryState.UNROUTED, None, None, None, [], about)
    inbox.write(settle_routing, [routing], now=NOW)
    since = instant(made_at(id_)) + timedelta(seconds=seconds)
    inbox.write(waits.add, [Wait("default", TaskKey("d", "r", "t", -1), 1, "run_1", "pl_1", None, since)])
    assert len(inbox.read(waits.facts, airflow="default")) == amount


def test_a_task_without_a_fact_goes_on_waiting(awake: Awake) -> None:
    """And one of another run, of other people, or of no request of ours."""
    awake.tasks.park("load", subject())
    awake.tasks.park("approve", "Release the figures?")
    awake.tasks.park("odd", "About Planasonix bridge: run run_2")
    awake.told("evt_1", run="run_2")
    awake.step()
    awake.step()
    assert (awake.tasks.answers, awake.known()) == ([], {"load"})


@pytest.mark.parametrize(
    ("about", "event"),
    [
        ({"source": "planasonix"}, {"source": "elsewhere"}),
        ({"pipeline": "pl_1"}, {"pipeline_id": "pl_2"}),
    ],
    ids=["source", "pipeline"],
)
def test_a_fact_of_another_source_or_pipeline_wakes_nobody(
    awake: Awake, about: dict[str, Any], event: dict[str, Any]
) -> None:
    """The same run id there is another run."""
    awake.tasks.park("load", subject(**about))
    awake.told("evt_1", **event)
    awake.step()
    assert awake.tasks.answers == []


def test_a_job_that_names_the_run_makes_its_task_look(awake: Awake) -> None:
    """One job of a run has ended, perhaps not the last: the task asks Planasonix, once for each webhook."""
    awake.tasks.park("load", subject("run_1"))
    awake.told("evt_1", payload=body(event="evt_1", pipeline="pl_1").replace(b'"data"', b'"run_id": "run_1", "data"'))
    awake.step()
    assert [(name, option) for name, option, _ in awake.tasks.answers] == [("load", "look")]
    awake.tasks.park("load", subject("run_1"))  # it looked, and the run goes on
    awake.step()
    assert len(awake.tasks.answers) == 1
    awake.told("evt_2")
    awake.step()
    assert [option for _, option, _ in awake.tasks.answers] == ["look", "succeeded"]


def test_an_event_of_the_pipeline_that_names_no_run_makes_its_task_look(awake: Awake) -> None:
    """The documented webhook names a job, and the documented start answers a run; no id is the same."""
    now = datetime.now(UTC)
    awake.tasks.park("mine", subject("run_1", pipeline="pl_1"), at=now)
    awake.tasks.park("other", subject("run_2", pipeline="pl_2"), at=now)
    awake.tasks.park("later", subject("run_3", pipeline="pl_1"), at=now + timedelta(hours=1))
    awake.told("evt_1", payload=body(event="evt_1", pipeline="pl_1"))
    awake.step()
    assert [(name, option) for name, option, _ in awake.tasks.answers] == [("mine", "look")]


def test_an_event_about_another_run_of_the_pipeline_makes_nobody_look(awake: Awake) -> None:
    """A thousand tasks that wait for one pipeline are not all woken by each of its runs."""
    awake.tasks.park("load", subject("run_1"), at=datetime.now(UTC))
    awake.told("evt_1", run="run_2", pipeline_id="pl_1")
    awake.told("evt_2", payload=body(event="evt_2", pipeline="pl_1").replace(b'"data"', b'"run_id": "run_2", "data"'))
    awake.step()
    assert awake.tasks.answers == []


def test_a_task_that_waits_no_longer_is_not_touched(awake: Awake) -> None:
    """Marked, cleared, in another try, deleted, answered by a person: whatever was listed a moment ago."""
    keys = {name: awake.tasks.park(name, subject(f"run_{name}")) for name in ("failed", "retried", "deleted", "asked")}
    awake.step()
    awake.tasks.change(keys["failed"], state="failed")
    awake.tasks.change(keys["retried"], try_number=2, xcom={"planasonix_run_id": "run_new"})
    awake.tasks.change(keys["asked"], answered=True)
    awake.tasks.remove(keys["deleted"])
    for name in keys:
        awake.told(f"evt_{name}", run=f"run_{name}")
    awake.step()
    assert (awake.tasks.answers, awake.requests("PATCH")) == ([], 0)
    awake.told("evt_new", run="run_new")
    awake.step()
    assert [(name, told["run_id"]) for name, _, told in awake.tasks.answers] == [("retried", "run_new")]


def test_what_ended_elsewhere_is_forgotten(awake: Awake) -> None:
    """Airflow counts fewer than we do: all are listed, and the one that is gone is asked for."""
    keys = [awake.tasks.park(f"load_{number}", subject(f"run_{number}")) for number in range(3)]
    awake.step()
    assert awake.known() == {"load_0", "load_1", "load_2"}
    awake.tasks.change(keys[0], state="success")
    awake.step()
    awake.waking._listing._all_at = 0.0  # the minute between two whole lists is over
    awake.step()
    assert awake.known() == {"load_1", "load_2"}


def test_an_answer_that_is_lost_is_given_again_and_counts_once(awake: Awake) -> None:
    """Airflow took it, and the bridge was told of a broken gateway: what Airflow shows next decides."""
    key = awake.tasks.park("load", subject())
    awake.told("evt_1")
    taken = awake.tasks._answer

    def lost(method: str, parts: list[str], *more: Any) -> Any:
        answer = taken(method, parts, *more)
        return (502, "Bad Gateway") if method == "PATCH" else answer

    awake.standin.more = lost
    awake.step()
    assert len(awake.tasks.answers) == 1
    awake.standin.more = taken
    awake.later()
    awake.step()
    assert (len(awake.tasks.answers), awake.known()) == (1, set())
    awake.tasks.change(key, state="success")


def test_an_option_that_the_task_does_not_know_is_not_offered_for_ever(awake: Awake) -> None:
    """Another provider's request with our marker: said once, and left to people."""
    awake.tasks.park("load", subject(), options=["yes"])
    awake.told("evt_1")
    awake.step()
    assert awake.tasks.refused == [("load", 400)]
    assert 'bridge_waits_total{airflow="default",outcome="refused"} 1.0' in awake.metrics.exposition().decode()


def test_an_airflow_that_may_not_be_called_is_left_alone(awake: Awake) -> None:
    """Paused by a person, down, or out of its pace: nothing is asked, and nothing is forgotten."""
    awake.tasks.park("load", subject())
    awake.told("evt_1")
    awake.may_call = False
    awake.step()
    assert awake.standin.asked == []
    awake.may_call = True
    awake.step()
    assert len(awake.tasks.answers) == 1


@pytest.mark.parametrize(("status", "reason"), [(403, "airflow_forbidden"), (503, "airflow_down")])
def test_an_airflow_that_does_not_answer_is_asked_more_rarely(
    awake: Awake, status: int, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And said once, with the next step."""
    awake.standin.more = lambda *_: (status, {"detail": "Forbidden" if status == 403 else {"reason": "Database"}})
    awake.step()
    asked = len(awake.standin.asked)
    awake.step()
    assert len(awake.standin.asked) == asked
    awake.waking._not_before = 0.0
    awake.step()
    assert len(awake.standin.asked) == asked + 1
    assert capsys.readouterr().out.count("waits_not_read") == 1, reason


@pytest.mark.parametrize(
    "refusal",
    [
        (403, "Your request was blocked"),
        (200, "Your request was blocked"),
        (413, "Request Entity Too Large"),
        (500, {"detail": "Internal Server Error"}),
        (429, {"detail": "Slow down"}),
        (403, {"detail": "Forbidden"}),
    ],
    ids=["blocked", "a page", "too large", "500", "429", "one DAG"],
)
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_task_that_cannot_be_answered_stops_no_other_and_no_list(awake: Awake, method: str, refusal: Answer) -> None:
    """A firewall that dislikes the text of one event, or a DAG that the user may only see, is no verdict on Airflow."""
    awake.fails(f"{method} dags/loads/dagRuns/run bad/1", refusal)
    awake.tasks.park("good", subject("run_1"))
    awake.tasks.park("bad", subject("run_2"))
    awake.step()
    awake.told("evt_1", run="run_1")
    awake.told("evt_2", run="run_2")
    awake.tasks.park("late", subject("run_3"))
    awake.told("evt_3", run="run_3")
    awake.step()
    awake.step()
    assert sorted(name for name, _, _ in awake.tasks.answers) == ["good", "late"]
    assert awake.known() == {"bad"}
    assert 'bridge_overdue_waits{airflow="default"} 1.0' in awake.metrics.exposition().decode()
    awake.standin.more = awake.tasks._answer
    awake.later()
    awake.step()
    assert len(awake.tasks.answers) == 3


def test_what_a_firewall_dislikes_is_left_out_in_the_end(awake: Awake, capsys: pytest.CaptureFixture[str]) -> None:
    """The task is woken without the text of the error; until then that is said, once."""
    awake.fails("PATCH", lambda body: (403, "blocked") if "UNION" in str(body) else None)
    awake.tasks.park("load", subject())
    delivery = awake.told("evt_1", status="failed", error="near UNION SELECT")
    for _ in range(4):
        awake.later()
        awake.step()
    told = {"run_id": "run_1", "delivery_id": delivery, "rows_loaded": 7}
    assert awake.tasks.answers == [("load", "failed", told)]
    said = capsys.readouterr().out
    assert (said.count("wait_not_answered"), said.count("Required actions")) == (1, 1)


def test_three_tasks_that_cannot_be_answered_let_the_others_rest_and_the_list_go_on(
    awake: Awake, capsys: pytest.CaptureFixture[str]
) -> None:
    """The user may answer nothing: said once, with the next step."""
    awake.fails("PATCH", (403, {"detail": "Forbidden"}))
    for number in range(5):
        awake.tasks.park(f"load_{number}", subject(f"run_{number}"))
    awake.step()
    for number in range(5):
        awake.told(f"evt_{number}", run=f"run_{number}")
    awake.waking._answering.step()
    assert awake.requests("PATCH") == 3
    awake.tasks.park("load_5", subject("run_5"))
    awake.step()
    assert len(awake.known()) == 6
    said = capsys.readouterr().out
    assert (said.count("waits_not_answered"), said.count("waits_not_read")) == (1, 0)
    awake.standin.more = awake.tasks._answer
    awake.later()
    awake.step()
    assert len(awake.tasks.answers) == 5


def test_an_airflow_that_is_down_is_asked_for_one_task_and_one_list(awake: Awake) -> None:
    """However many could be answered; then for the list alone, and they are counted meanwhile."""
    for number in range(5):
        awake.tasks.park(f"load_{number}", subject(f"run_{number}"))
    awake.step()
    for number in range(4):
        awake.told(f"evt_{number}", run=f"run_{number}")
    awake.standin.more = lambda *_: (503, {"detail": {"reason": "Database"}})
    before = len(awake.standin.asked)
    awake.step()
    assert len(awake.standin.asked) == before + 2
    awake.told("evt_4", run="run_4")
    awake.later()
    awake.step()
    assert len(awake.standin.asked) == before + 3
    assert 'bridge_overdue_waits{airflow="default"} 5.0' in awake.metrics.exposition().decode()
    awake.standin.more = awake.tasks._answer
    awake.later()
    awake.step()
    assert len(awake.tasks.answers) == 5


@pytest.mark.parametrize(
    "refusal", [(403, {"detail": "Forbidden"}), (403, "blocked"), (500, "Oops")], ids=["one DAG", "blocked", "500"]
)
def test_a_later_try_whose_run_cannot_be_read_stops_no_other_and_no_list(
    awake: Awake, refusal: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is left for a later list, and said once."""
    awake.fails("run bad/1/taskInstances/bad/xcomEntries", refusal)
    awake.tasks.park("again", subject("old"), try_number=2, xcom={"planasonix_run_id": "run_1"})
    awake.tasks.park("bad", subject("old"), try_number=2, xcom={"planasonix_run_id": "run_2"})
    awake.step()
    assert awake.known() == {"again"}
    awake.told("evt_1", run="run_1")
    awake.tasks.park("load", subject("run_3"))
    awake.step()
    assert (len(awake.tasks.answers), awake.known()) == (1, {"load"})
    for _ in range(2):
        awake.later()
        awake.step()
    assert capsys.readouterr().out.count("wait_not_read") == 1
    awake.standin.more = awake.tasks._answer
    awake.later()
    awake.waking._listing._all_at = 0.0
    awake.step()
    assert awake.known() == {"bad", "load"}


def test_a_task_that_is_gone_and_cannot_be_asked_for_keeps_no_other(awake: Awake) -> None:
    """Perhaps it is not gone: it is kept, and the others are forgotten."""
    keys = [awake.tasks.park(name, subject(f"run_{name}")) for name in ("bad", "other", "third", "load")]
    awake.step()
    for key in keys[:3]:
        awake.tasks.change(key, state="success")
    awake.fails("GET dags/loads/dagRuns/run bad/1", (403, {"detail": "Forbidden"}))
    awake.waking._listing._all_at = 0.0
    awake.step()
    assert awake.known() == {"bad", "load"}
    assert awake.waking._listing._list is None, "the list has ended"
    awake.standin.more = awake.tasks._answer
    awake.later()
    awake.waking._listing._all_at = 0.0
    awake.step()
    assert awake.known() == {"load"}


def test_a_user_who_may_read_no_xcom_wakes_what_needs_none(awake: Awake, capsys: pytest.CaptureFixture[str]) -> None:
    """After three tasks none is asked for; lists and answers go on."""
    awake.fails("xcomEntries", (403, {"detail": "Forbidden"}))
    for number in range(9):
        awake.tasks.park(f"again_{number}", subject("old"), try_number=2, xcom={"planasonix_run_id": f"run_{number}"})
    awake.tasks.park("load", subject("run_x"))
    awake.told("evt_1", run="run_x")
    awake.step()
    assert [name for name, _, _ in awake.tasks.answers] == ["load"]
    assert awake.requests("xcomEntries") == 3
    assert capsys.readouterr().out.count("waits_not_read") == 1


def test_one_process_asks_and_the_other_goes_on_where_it_stopped(awake: Awake) -> None:
    """A lease; what the first has seen is in the store."""
    awake.tasks.park("load", subject())
    awake.step()
    other = awake.another()
    asked = len(awake.standin.asked)
    awake.told("evt_1")
    awake.step(other)
    assert len(awake.standin.asked) == asked
    awake.waking._duty.give_back()
    awake.step(other)
    assert len(awake.tasks.answers) == 1


def test_a_thousand_waits_cost_few_requests(awake: Awake) -> None:
    """All are listed once, by pages of 100; then one request a step, also while some are new."""
    for number in range(1000):
        awake.tasks.park(f"load_{number}", subject(f"run_{number}"))
    awake.step()
    assert awake.requests("hitlDetails") == 10
    assert len(awake.known()) == 1000
    for _ in range(5):
        awake.step()
    assert awake.requests("hitlDetails") == 15
    for number in range(1000, 1030):
        awake.tasks.park(f"load_{number}", subject(f"run_{number}"))
    awake.step()
    assert awake.requests("hitlDetails") == 17
    assert len(awake.known()) == 1030


def test_a_list_goes_on_where_the_pace_had_no_more_room(awake: Awake) -> None:
    """Four calls at once and ten pages: begun anew each time, it would never end, and take every turn of firing."""
    for number in range(1000):
        awake.tasks.park(f"load_{number}", subject(f"run_{number}"))
    for pages in (4, 8, 10):
        awake.turns = 4
        awake.step()
        assert awake.requests("hitlDetails") == pages
        assert len(awake.known()) == 100 * pages, "what was found can be answered"
    awake.turns = 4
    awake.step()
    assert awake.requests("hitlDetails") == 11, "and it has ended"


def test_tasks_that_are_parked_while_a_list_goes_on_are_found(awake: Awake) -> None:
    """They move what was not seen yet to a later page, behind some that were."""
    awake.tasks.park("load", subject("run_0"))
    awake.step()
    for number in range(1, 61):
        awake.tasks.park(f"load_{number}", subject(f"run_{number}"))
    awake.turns = 1
    awake.step()
    assert len(awake.known()) == 21
    for number in range(61, 71):
        awake.tasks.park(f"load_{number}", subject(f"run_{number}"))
    awake.turns = math.inf
    awake.step()
    awake.step()
    assert len(awake.known()) == 71


def test_a_list_that_nobody_went_on_with_is_begun_anew(awake: Awake) -> None:
    """The Airflow was paused for hours: what its first pages showed has ended."""
    keys = [awake.tasks.park(f"load_{number}", subject(f"run_{number}")) for number in range(150)]
    awake.turns = 1
    awake.step()
    assert len(awake.known()) == 100
    for key in keys[140:]:
        awake.tasks.remove(key)
    assert awake.waking._listing._list is not None
    awake.waking._listing._list.turned_at -= 60.0
    awake.turns = math.inf
    awake.step()
    awake.step()
    assert awake.known() == {f"load_{number}" for number in range(140)}


def test_the_runs_of_later_tries_are_asked_for_in_the_pace_of_firing(awake: Awake) -> None:
    """A thousand tasks that a person has cleared are no burst; those that need no question are known at once."""
    for number in range(10):
        awake.tasks.park(f"again_{number}", subject("old"), try_number=2, xcom={"planasonix_run_id": f"run_{number}"})
    awake.tasks.park("load", subject("run_x"))
    awake.turns = 4
    awake.step()
    assert awake.requests("xcomEntries") == 3
    assert len(awake.known()) == 4
    assert "load" in awake.known()
    for _ in range(2):
        awake.turns = 4
        awake.step()
    assert awake.requests("xcomEntries") == 10, "each once"
    assert len(awake.known()) == 11


def test_one_question_is_asked_between_two_beats(awake: Awake) -> None:
    """Of a task's later try, and of one that is answered, it takes two."""
    awake.step()
    asked, gaps = len(awake.standin.asked), list[int]()

    def go_on() -> bool:
        nonlocal asked
        gaps.append(len(awake.standin.asked) - asked)
        asked = len(awake.standin.asked)
        return True

    place = Place("default", awake.airflow.waits, awake.inbox, awake.metrics, lambda: True, go_on, lambda _: None)
    left = {"planasonix_run_id": "run_1", "planasonix_started_run_id": "run_1"}
    awake.tasks.park("again", subject("old"), try_number=2, xcom=left)
    assert Listing(place, step_seconds=0.0, is_own_asked=True).step() is None
    awake.told("evt_1")
    Answering(place, sources={}, clock=lambda: datetime.now(UTC)).step()
    go_on()
    assert len(awake.tasks.answers) == 1
    assert (max(gaps), sum(gaps)) == (1, 5), "a page, two texts, a look and an answer"


def test_a_request_that_is_too_long_to_be_read_hides_no_other(awake: Awake) -> None:
    """It is left to people."""
    for number in range(7):
        awake.tasks.park(f"load_{number}", subject(f"run_{number}"))
    awake.tasks.park("endless", subject("x" * 3_000_000))
    awake.tasks.park("load_7", subject("run_7"))
    for _ in range(3):
        awake.step()
    assert awake.known() == {f"load_{number}" for number in range(8)}


def test_a_webhook_brings_the_next_list_forward(awake: Awake) -> None:
    """Also where it comes just after a list: its task may have been parked since."""
    waking = awake.another(step_seconds=5.0)
    awake.tasks.park("load", subject("run_1"))
    awake.step(waking)
    waking.tell()
    awake.step(waking)
    assert awake.requests("hitlDetails") == 1
    waking._listing._listed_at -= 2.4
    awake.step(waking)
    assert awake.requests("hitlDetails") == 2


def test_lists_are_no_closer_than_25_a_minute(awake: Awake) -> None:
    """However many webhooks come; every five seconds while tasks wait, every minute else."""
    waking = awake.another(step_seconds=5.0)
    awake.step(waking)
    idle = waking._listing.pause_seconds(has_news=False)
    assert 55.0 < waking._listing._listed_at + 60.0 - waking._listing._listed_at <= 60.0
    assert idle == 5.0, "the lease is renewed meanwhile"
    assert 2.0 < waking._listing.pause_seconds(has_news=True) <= 2.4
    for _ in range(20):
        waking.tell()
        awake.step(waking)
    assert awake.requests("hitlDetails") == 1


def test_an_erased_payload_wakes_with_the_status_alone(awake: Awake, store: Store) -> None:
    """What was stored beside it is enough."""
    awake.tasks.park("load", subject())
    delivery = awake.told("evt_1", status="failed", error="secret")
    store.rows("UPDATE deliveries SET erased_at = 1, body = ?", b"{}")
    awake.step()
    assert awake.tasks.answers == [("load", "failed", {"run_id": "run_1", "delivery_id": delivery})]


def test_the_metrics_show_what_waits_and_how_long_it_took(awake: Awake) -> None:
    """Open, oldest, answered, and what could be answered and was not."""
    awake.tasks.park("load", subject())
    awake.tasks.park("other", subject("run_2"))
    awake.told("evt_1")
    awake.step()
    awake.metrics.waits.observe_open(awake.inbox.read(waits.count), datetime.now(UTC))
    shown = awake.metrics.exposition().decode()
    assert 'bridge_open_waits{airflow="default"} 1.0' in shown
    assert 'bridge_waits_total{airflow="default",outcome="answered"} 1.0' in shown
    assert 'bridge_overdue_waits{airflow="default"} 0.0' in shown
    assert "bridge_wait_answered_seconds_count 1.0" in shown
