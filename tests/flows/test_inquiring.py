"""A task that waits long has its run looked at, slowly. Stand-ins for Airflow and Planasonix, and a real store."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from bridge.edges.planasonix import PlanasonixClient
from bridge.edges.planasonix.gate import Gate
from bridge.flows.waking import Waking
from bridge.flows.waking.inquiring import Inquiring
from bridge.words.targets import PlanasonixApi, Secret
from tests.flows.test_waking import Awake
from tests.support.runs_api import KEY, Fault, RunsApi
from tests.support.standin import Standin

HALF = timedelta(minutes=30)
HOUR = timedelta(hours=1)


class Waiting(Awake):
    """Waking and inquiring in front of both stand-ins; `run_1` and so on go on in Planasonix."""

    def __init__(self, inbox: Inbox, metrics: Metrics, standin: Standin, api: RunsApi) -> None:
        super().__init__(inbox, metrics, standin)
        self.api, self.now = api, datetime.now(UTC)
        self.client = PlanasonixClient(PlanasonixApi(api.url, Secret(KEY)))
        self.inquiring = self.asking(self.waking)
        for number in (1, 2, 3):
            api.add(f"run_{number}", "pl_1", ["running"])

    def asking(self, waking: Waking, only_source: str | None = "planasonix") -> Inquiring:
        """Return what another process, or this one after a restart, would have."""
        return Inquiring(
            "default",
            inbox=self.inbox,
            metrics=self.metrics,
            apis={"planasonix": self.client},
            only_source=only_source,
            is_ours=waking.keeps_waits,
            tell=waking.tell_of,
            clock=lambda: self.now,
            monotonic=self.seconds,
        )

    def seconds(self) -> float:
        """Return what a clock shows that only goes on."""
        return self.now.timestamp()

    def parked(self, run: str = "run_1", *, source: str | None = None) -> None:
        """Park a task, and let it be seen."""
        words = f" source {source}" if source else ""
        self.tasks.park(f"load_{run}", f"Planasonix bridge: run {run} pipeline pl_1{words}", at=self.now)
        self.step()

    def ask(self, later: timedelta, by: Inquiring | None = None) -> None:
        """Let so much time go by, look at what is due, and let the tasks hear of it."""
        self.now += later
        (by or self.inquiring).step()
        self.step()

    def ended(self, run: str = "run_1") -> None:
        """The run ends, and no webhook says so."""
        self.api.runs[run]["story"] = ["succeeded"]

    @property
    def looks(self) -> list[str]:
        """The runs that were looked at, in order."""
        return [call.rpartition("/")[2] for call in self.api.calls if call.startswith("GET /api/runs/")]


@pytest.fixture
def waiting(inbox: Inbox, metrics: Metrics, standin: Standin) -> Iterator[Waiting]:
    """Both loops, and stand-ins for what they ask."""
    with RunsApi() as api:
        item = Waiting(inbox, metrics, standin, api)
        yield item
        item.airflow.close()
        item.client.close()


def answers(waiting: Waiting) -> list[tuple[str, dict[str, Any]]]:
    """Return what tasks were answered, and what they were told."""
    return [(option, told) for _, option, told in waiting.tasks.answers]


def test_a_run_that_ended_without_a_webhook_makes_its_task_look(waiting: Waiting) -> None:
    """After half an hour, once; the task asks for the rest itself."""
    waiting.parked()
    waiting.ended()
    waiting.ask(HALF - timedelta(minutes=1))
    assert (waiting.looks, answers(waiting)) == ([], [])
    waiting.ask(timedelta(minutes=2))
    assert answers(waiting) == [("look", {"run_id": "run_1"})]
    waiting.ask(10 * HOUR)
    assert (waiting.looks, len(answers(waiting)), waiting.known()) == (["run_1"], 1, set())


def test_a_run_that_goes_on_is_looked_at_more_and_more_rarely(waiting: Waiting) -> None:
    """After half an hour, one, two, four, and then every four; nobody is told."""
    waiting.parked()
    minutes = []
    for minute in range(0, 16 * 60, 10):
        before = len(waiting.looks)
        waiting.ask(timedelta(minutes=10))
        if len(waiting.looks) > before:
            minutes.append(minute + 10)
    gaps = [later - sooner for sooner, later in pairwise(minutes)]
    assert 30 <= minutes[0] <= 40
    assert gaps == [60, 120, 240, 240, 240]
    assert answers(waiting) == []
    waiting.ended()
    waiting.ask(4 * HOUR)
    assert len(answers(waiting)) == 1


def test_one_run_is_looked_at_in_a_step_the_one_that_is_due_longest(waiting: Waiting) -> None:
    """However many tasks wait, Planasonix gets six requests a minute at most."""
    for run in ("run_2", "run_1", "run_3"):
        waiting.parked(run)
    for _ in range(4):
        waiting.ask(HALF if not waiting.looks else timedelta(seconds=10))
    assert sorted(waiting.looks) == ["run_1", "run_2", "run_3"]


def test_the_process_that_keeps_the_waits_asks_and_no_other(waiting: Waiting) -> None:
    """And goes on with what the other one left."""
    waiting.parked()
    other = waiting.another()
    waiting.step(other)
    by_other = waiting.asking(other)
    waiting.ask(HOUR, by_other)
    assert waiting.looks == []
    waiting.waking._duty.give_back()
    waiting.step(other)
    waiting.ask(timedelta(), by_other)
    assert waiting.looks == ["run_1"]


@pytest.mark.parametrize(("source", "is_asked"), [("planasonix", True), ("crm", False), (None, False)])
def test_only_the_api_of_the_waits_own_source_is_asked(waiting: Waiting, source: str | None, is_asked: bool) -> None:
    """With several sources a wait that names none could be anybody's."""
    waiting.parked(source=source)
    waiting.ask(HOUR, waiting.asking(waiting.waking, only_source=None))
    assert waiting.looks == ["run_1"] * is_asked


def test_a_planasonix_that_does_not_answer_is_asked_more_rarely(
    waiting: Waiting, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said once, and no look is used up."""
    waiting.parked()
    waiting.ended()
    waiting.api.faults.extend([Fault("GET", 503), Fault("GET", 503)])
    waiting.ask(HALF)
    waiting.ask(timedelta(seconds=10))
    assert len(waiting.looks) == 1
    for _ in range(2):
        waiting.inquiring._not_before.clear()
        waiting.ask(timedelta(seconds=10))
    assert (len(waiting.looks), len(answers(waiting))) == (3, 1)
    assert capsys.readouterr().out.count("runs_not_asked_for") == 1


def test_a_run_that_cannot_be_asked_for_lets_the_others_go_first(
    waiting: Waiting, capsys: pytest.CaptureFixture[str]
) -> None:
    """The API answers for the others, who wait for nothing; it is asked for ever more rarely, and that is said."""
    for run in ("run_1", "run_2"):
        waiting.parked(run)
        waiting.now += timedelta(seconds=1)
    waiting.api.failing = {"run_1"}
    waiting.ended("run_2")
    waiting.ask(HALF)
    waiting.ask(timedelta(seconds=10))
    assert (waiting.looks, answers(waiting)) == (["run_1", "run_2"], [("look", {"run_id": "run_2"})])
    for _ in range(40):
        waiting.ask(timedelta(minutes=1))
    assert 10 <= waiting.looks.count("run_1") <= 25
    assert capsys.readouterr().out.count("run_not_asked_for") == 1
    waiting.api.failing = set()
    waiting.ended("run_1")
    waiting.ask(timedelta(minutes=5))
    assert len(answers(waiting)) == 2, "no look was used up"


def test_a_whole_that_was_seen_at_one_run_lets_the_others_go_first(waiting: Waiting) -> None:
    """A gateway may answer 503 for one path: the source rests, and then another run is asked for."""
    for run in ("run_1", "run_2"):
        waiting.parked(run)
        waiting.now += timedelta(seconds=1)
    waiting.api.faults.append(Fault("GET", 503))
    waiting.ask(HALF)
    waiting.ask(timedelta(seconds=10))
    assert waiting.looks == ["run_1"]
    waiting.ask(timedelta(seconds=30))
    assert waiting.looks == ["run_1", "run_2"]


def test_three_runs_without_an_answer_let_their_source_rest(waiting: Waiting) -> None:
    """No verdict on the whole is taken from one; and a gate that is closed lets nobody ask."""
    for run in ("run_1", "run_2", "run_3"):
        waiting.parked(run)
    waiting.api.failing = {"run_1", "run_2", "run_3"}
    gate = Gate("planasonix", clock=waiting.seconds)
    waiting.client = PlanasonixClient(PlanasonixApi(waiting.api.url, Secret(KEY)), gate)
    inquiring = waiting.asking(waiting.waking)
    waiting.ask(HALF, inquiring)
    for _ in range(2):
        waiting.ask(timedelta(seconds=1), inquiring)
    assert sorted(waiting.looks) == ["run_1", "run_2", "run_3"]
    for _ in range(3):
        waiting.ask(timedelta(seconds=1), inquiring)
    assert len(waiting.looks) == 3
    gate.open_up()
    waiting.api.failing = set()
    for _ in range(3):
        waiting.ask(timedelta(minutes=5), inquiring)  # no rest is longer
    assert sorted(waiting.looks[3:]) == ["run_1", "run_2", "run_3"]


def test_a_run_that_is_not_known_is_no_end(waiting: Waiting) -> None:
    """The task finds that itself."""
    waiting.parked("run_9")
    waiting.ask(HALF)
    waiting.ask(HALF)
    assert (waiting.looks, answers(waiting)) == (["run_9"], [])


def test_a_webhook_that_comes_meanwhile_counts_and_the_task_hears_once(waiting: Waiting) -> None:
    """With the status that it told."""
    waiting.parked()
    waiting.ended()
    waiting.may_call = False
    waiting.ask(HALF)
    waiting.told("evt_1")
    waiting.may_call = True
    waiting.step()
    waiting.step()
    assert [option for option, _ in answers(waiting)] == ["succeeded"]
