"""Parked tasks are woken, each once, against a stand-in for Airflow and on a real store."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox, waits
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.edges.metrics import Metrics
from bridge.flows.waking import Waking
from bridge.rules import completion
from bridge.rules import event as events
from bridge.words.model import DeliveryState
from bridge.words.targets import AirflowAuth, AirflowTarget, Secret
from tests.support.parked import ParkedTasks
from tests.support.service import body
from tests.support.standin import Standin
from tests.support.store import Store, stored

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
    awake.waking._not_before = 0.0
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


def test_one_process_asks_and_the_other_goes_on_where_it_stopped(awake: Awake) -> None:
    """A lease; what the first has seen is in the store."""
    awake.tasks.park("load", subject())
    awake.step()
    other = awake.another()
    asked = len(awake.standin.asked)
    awake.told("evt_1")
    awake.step(other)
    assert len(awake.standin.asked) == asked
    awake.waking._let_go(0.0)
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
