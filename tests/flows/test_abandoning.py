"""A run that nobody waits for is cancelled, once; any other is left alone. Stand-ins for Airflow and Planasonix."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, abandoned, auditing, waits
from bridge.edges.inbox.auditing import AuditFilter
from bridge.edges.metrics import Metrics
from bridge.edges.planasonix import PlanasonixClient
from bridge.flows.waking import Waking
from bridge.flows.waking.abandoning import Abandoning
from bridge.rules.abandoning import GRACE, MOST_LOOKS, pause
from bridge.words.targets import PlanasonixApi, Secret
from bridge.words.waits import TaskKey
from tests.flows.test_waking import Awake
from tests.support.runs_api import KEY, Fault, RunsApi
from tests.support.standin import Standin
from tests.support.store import Store


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


class Watch(Awake):
    """Waking and abandoning in front of both stand-ins; `run_1` and so on go on in Planasonix."""

    def __init__(self, inbox: Inbox, metrics: Metrics, standin: Standin, api: RunsApi) -> None:
        self.clock, self.api = Time(), api
        self.client = PlanasonixClient(PlanasonixApi(api.url, Secret(KEY)))
        self.only_source: str | None = "planasonix"
        super().__init__(inbox, metrics, standin)
        self.abandoning = self.judging()
        self.waking = self.another()
        for number in (1, 2, 3):
            api.add(f"run_{number}", "pl_1", ["running"])

    def judging(self) -> Abandoning:
        """Return what another process, or this one after a restart, would have."""
        return Abandoning(
            "default",
            self.airflow.waits,
            inbox=self.inbox,
            metrics=self.metrics,
            take_turn=self.take_turn,
            apis={"planasonix": self.client},
            only_source=self.only_source,
            clock=self.clock,
        )

    def another(self, step_seconds: float = 0.0) -> Waking:
        waking = super().another(step_seconds)
        if hasattr(self, "abandoning"):
            waking = Waking(
                "default",
                self.airflow.waits,
                inbox=self.inbox,
                sources={},
                metrics=self.metrics,
                take_turn=self.take_turn,
                abandoning=self.abandoning,
                step_seconds=step_seconds,
                clock=self.clock,
            )
        return waking

    def parked(self, name: str = "load", run: str = "run_1", *, words: str = " started yes", **more: Any) -> TaskKey:
        """Park a task that has started its run, and let it be seen."""
        key = self.tasks.park(name, f"Planasonix bridge: run {run} pipeline pl_1{words}", **more)
        self.step()
        return key

    def seen(self) -> None:
        """Let waking see what changed."""
        self.waking._listing._all_at = 0.0
        self.step()

    def judge(self, after: timedelta = GRACE, by: Abandoning | None = None) -> None:
        """Judge what is due by then."""
        self.clock.now += after
        (by or self.abandoning).step()

    @property
    def cancelled(self) -> list[str]:
        """The runs that Planasonix was asked to cancel."""
        return [call.rpartition("/")[2] for call in self.api.calls if call.startswith("DELETE")]

    @property
    def lines(self) -> list[Any]:
        """What stands in the audit log, the oldest first."""
        return self.inbox.read(auditing.page, wanted=AuditFilter(actor="bridge"), limit=10)[::-1]

    def counted(self, outcome: str) -> float:
        """How many runs had this outcome."""
        name = f'bridge_abandoned_runs_total{{airflow="default",outcome="{outcome}"}} '
        return float(self.metrics.exposition().decode().partition(name)[2].partition("\n")[0])

    def undecided(self) -> int:
        """How many runs are kept."""
        return self.inbox.read(abandoned.count).get("default", 0)


@pytest.fixture
def api() -> Iterator[RunsApi]:
    """A Planasonix whose runs go on."""
    with RunsApi() as api:
        yield api


@pytest.fixture
def watch(inbox: Inbox, metrics: Metrics, standin: Standin, api: RunsApi) -> Iterator[Watch]:
    """Both loops, and stand-ins for what they ask."""
    item = Watch(inbox, metrics, standin, api)
    yield item
    item.airflow.close()
    item.client.close()


@pytest.mark.parametrize("state", ["failed", "skipped"], ids=["marked as failed", "its DAG run timed out"])
def test_a_run_whose_task_was_marked_is_cancelled_once(watch: Watch, state: str) -> None:
    """After the grace; audited with task and run, and counted."""
    key = watch.parked()
    watch.tasks.change(key, state=state)
    watch.seen()
    assert watch.undecided() == 1
    watch.judge(GRACE / 2)
    assert watch.cancelled == []
    watch.judge()
    watch.judge()
    assert watch.cancelled == ["run_1"]
    (line,) = watch.lines
    assert (line.action, line.subject) == ("run_cancelled", "planasonix: run_1")
    assert line.reason is not None
    assert "task load of the DAG run run load/1 of loads (Airflow default)" in line.reason
    assert (watch.undecided(), watch.counted("cancelled")) == (0, 1.0)


def test_a_run_whose_task_was_cleared_is_cancelled_once_its_new_try_has_another(watch: Watch) -> None:
    """Before that, nobody knows which run the new try will have."""
    key = watch.parked()
    watch.tasks.clear(key)
    watch.seen()
    watch.judge()
    watch.tasks.begin(key)
    watch.judge(timedelta(minutes=10))
    assert (watch.cancelled, watch.undecided()) == ([], 1)
    watch.tasks.begin(key, "run_2", try_number=2)
    watch.seen()
    watch.judge(timedelta(minutes=10))
    assert (watch.cancelled, watch.known()) == (["run_1"], {"load"})


def test_a_clear_that_is_seen_only_when_the_task_is_parked_again_counts_as_well(watch: Watch) -> None:
    """The list shows the task all the time: in another try, and for another run."""
    key = watch.parked()
    watch.tasks.clear(key)
    watch.tasks.begin(key, "run_2")
    watch.seen()
    watch.judge()
    assert watch.cancelled == ["run_1"]


@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "after some looks"])
def test_a_run_that_the_new_try_waits_for_again_is_left_alone(watch: Watch, is_late: bool) -> None:
    """An `idempotency_key` of the task's own, or a Planasonix that says it is running."""
    key = watch.parked()
    watch.tasks.clear(key)
    watch.seen()
    if is_late:
        watch.tasks.begin(key)
        watch.judge()
        watch.tasks.begin(key, "run_1", try_number=2)
    else:
        watch.tasks.begin(key, "run_1")
    watch.seen()
    watch.judge(timedelta(minutes=10))
    watch.judge(timedelta(minutes=10))
    assert (watch.cancelled, watch.undecided(), watch.known()) == ([], 0, {"load"})


def test_what_an_old_try_has_left_says_nothing_of_the_new_one(watch: Watch) -> None:
    """Airflow keeps it until the new try begins."""
    key = watch.parked(xcom={"planasonix_run_id": "run_1"})
    watch.tasks.clear(key)
    watch.seen()
    watch.tasks.begin(key, state="queued", xcom={"planasonix_run_id": "run_1"})
    watch.judge()
    assert (watch.cancelled, watch.undecided()) == ([], 1)
    watch.tasks.change(key, state="failed", xcom={})
    watch.judge(timedelta(minutes=10))
    assert watch.cancelled == ["run_1"], "its new try ended before it had a run"


def test_a_new_try_that_ended_with_the_same_run_leaves_it_alone(watch: Watch) -> None:
    """Its `timeout` ends a task, and not its run."""
    key = watch.parked()
    watch.tasks.clear(key)
    watch.seen()
    watch.tasks.begin(key, state="failed", xcom={"planasonix_run_id": "run_1"})
    watch.judge()
    assert (watch.cancelled, watch.counted("left_alone")) == ([], 1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"state": "success"},
        {"state": "removed"},
        {"state": "failed", "answered": True},
        {"state": None, "answered": True},
    ],
    ids=["marked as success", "not in the DAG any more", "timed out", "answered by a person"],
)
def test_a_task_that_ended_otherwise_leaves_its_run_alone(watch: Watch, change: dict[str, Any]) -> None:
    """Nobody gave it up. A `timeout` says that the run goes on."""
    watch.tasks.change(watch.parked(), **change)
    watch.seen()
    watch.judge()
    assert (watch.cancelled, watch.undecided(), watch.counted("left_alone")) == ([], 0, 1.0)


def test_a_retry_after_an_answer_leaves_the_run_of_the_first_try_alone(watch: Watch) -> None:
    """The first try was answered, and failed: nobody cleared it."""
    key = watch.parked()
    watch.tasks.change(key, answered=True)
    watch.tasks.clear(key)
    watch.tasks.begin(key, "run_2")
    watch.seen()
    watch.judge()
    assert (watch.cancelled, watch.counted("left_alone")) == ([], 1.0)


def test_the_run_of_a_deleted_dag_run_is_left_alone(watch: Watch) -> None:
    """Nothing is left to ask."""
    watch.tasks.remove(watch.parked())
    watch.seen()
    watch.judge()
    assert (watch.cancelled, watch.counted("left_alone")) == ([], 1.0)


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "not seen yet"])
def test_a_run_that_another_task_waits_for_is_left_alone(watch: Watch, is_known: bool) -> None:
    """Two tasks with one key have one load."""
    key = watch.parked()
    watch.tasks.change(key, state="failed")
    if is_known:
        watch.parked("other")
    watch.seen()
    if not is_known:
        watch.tasks.park("other", "Planasonix bridge: run run_1 pipeline pl_1 started yes")
        watch.tasks.park("longer", "Planasonix bridge: run run_11 pipeline pl_1 started yes")
    watch.judge()
    assert (watch.cancelled, watch.counted("waited_for")) == ([], 1.0)


def test_a_run_whose_id_begins_another_is_cancelled_all_the_same(watch: Watch) -> None:
    """`run_1` and `run_11` are two."""
    key = watch.parked()
    watch.tasks.change(key, state="failed")
    watch.parked("longer", "run_11")
    watch.seen()
    watch.judge()
    assert watch.cancelled == ["run_1"]


@pytest.mark.parametrize("words", ["", " started no", " source planasonix"], ids=["old provider", "no", "sensor"])
def test_a_run_that_the_task_did_not_start_is_left_alone(watch: Watch, words: str) -> None:
    """A sensor, or a task that found its pipeline running, waits for somebody else's."""
    watch.tasks.change(watch.parked(words=words), state="failed")
    watch.seen()
    assert (watch.undecided(), watch.known()) == (0, set())


@pytest.mark.parametrize("started", ["run_2", None])
def test_a_later_try_says_in_xcom_whether_it_has_started_its_run(watch: Watch, started: str | None) -> None:
    """Airflow keeps the subject of the first try."""
    xcom = {"planasonix_run_id": "run_2"} | ({"planasonix_started_run_id": started} if started else {})
    key = watch.parked(try_number=2, xcom=xcom)
    watch.tasks.change(key, state="failed")
    watch.seen()
    watch.judge()
    assert watch.cancelled == (["run_2"] if started else [])


def test_another_source_than_that_of_the_wait_is_never_asked(watch: Watch) -> None:
    """Nor any, if the wait names none and there are several."""
    watch.tasks.change(watch.parked(words=" source elsewhere started yes"), state="failed")
    watch.seen()
    assert watch.undecided() == 0
    watch.abandoning._only_source = None
    watch.tasks.change(watch.parked("other", "run_2"), state="failed")
    watch.seen()
    assert watch.undecided() == 0
    watch.tasks.change(watch.parked("third", "run_3", words=" source planasonix started yes"), state="failed")
    watch.seen()
    watch.judge()
    assert watch.cancelled == ["run_3"]


def test_a_run_whose_webhook_came_is_not_asked_for(watch: Watch) -> None:
    """It has ended."""
    watch.tasks.change(watch.parked(), state="failed")
    watch.seen()
    watch.told("evt_1")
    watch.judge()
    assert (watch.api.calls, watch.counted("ended")) == ([], 1.0)


@pytest.mark.parametrize(
    ("more", "outcome"),
    [
        ({"story": ["succeeded"]}, "ended"),
        ({"story": ["cancelling"]}, "ended"),
        ({"pipelineId": "pl_2"}, "left_alone"),
        ({"metadata": {"dag_id": "loads", "task_id": "another"}}, "left_alone"),
        (None, "not_there"),
    ],
    ids=["ended", "being cancelled", "of another pipeline", "of another task", "unknown"],
)
def test_what_planasonix_says_of_the_run_is_looked_at_first(
    watch: Watch, more: dict[str, Any] | None, outcome: str
) -> None:
    """A subject is the word of whoever writes DAGs: it cancels no run of other people."""
    watch.api.echoes_keys = True
    if more is None:
        del watch.api.runs["run_1"]
    else:
        watch.api.runs["run_1"] |= more
    watch.tasks.change(watch.parked(), state="failed")
    watch.seen()
    watch.judge()
    assert (watch.cancelled, watch.counted(outcome), watch.lines) == ([], 1.0, [])


def test_an_answer_that_is_lost_is_audited_once_the_run_is_seen_to_be_cancelled(watch: Watch) -> None:
    """Another process goes on, as after a crash."""
    watch.tasks.change(watch.parked(), state="failed")
    watch.seen()
    watch.api.faults.append(Fault("DELETE"))
    watch.judge()
    assert (watch.cancelled, watch.lines) == (["run_1"], [])
    watch.abandoning._duty.give_back()
    watch.judge(by=watch.judging())
    assert watch.cancelled == ["run_1"], "and not asked for again"
    assert (len(watch.lines), watch.counted("cancelled"), watch.undecided()) == (1, 1.0, 0)


def test_a_planasonix_that_does_not_answer_is_asked_more_rarely(
    watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And said once. However long it is away, the run is cancelled when it is back."""
    watch.tasks.change(watch.parked(), state="failed")
    watch.seen()
    watch.api.faults.extend([Fault("GET", 503), Fault("GET", 503)])
    watch.judge()
    watch.judge()
    assert watch.api.count("GET") == 1
    watch.abandoning._not_before.clear()
    watch.judge(timedelta(days=3))
    assert watch.api.count("GET") == 2
    assert capsys.readouterr().out.count("abandoned_not_judged") == 1
    watch.abandoning._not_before.clear()
    watch.judge(timedelta(days=3))
    assert (watch.counted("given_up"), watch.cancelled) == (0.0, ["run_1"])


def test_a_run_that_cannot_be_asked_for_lets_the_others_go_first(watch: Watch) -> None:
    """An answer that is none may concern this run alone."""
    for number in (1, 2):
        watch.tasks.change(watch.parked(f"load_{number}", f"run_{number}"), state="failed")
        watch.seen()
    watch.api.faults.append(Fault("GET", 500))
    watch.judge()
    assert watch.cancelled == []
    watch.abandoning._not_before.clear()
    watch.judge(timedelta(0))
    assert watch.cancelled == ["run_2"]


@pytest.mark.parametrize("counted", ["looks", "asked"])
def test_what_a_day_of_looks_has_not_decided_is_left_alone(watch: Watch, store: Store, counted: str) -> None:
    """And said. Looks are counted, and requests that Planasonix did not follow."""
    watch.tasks.clear(watch.parked())
    watch.seen()
    store.rows(f"UPDATE abandoned SET {counted} = {MOST_LOOKS - 1}")  # noqa: S608 - our own names
    watch.judge()
    assert (watch.undecided(), watch.counted("given_up")) == (1, 0.0)
    watch.judge(timedelta(days=1))
    assert (watch.undecided(), watch.counted("given_up"), watch.cancelled) == (0, 1.0, [])


def test_so_many_looks_take_a_day() -> None:
    """Each after the pause that the one before asked for."""
    assert timedelta(days=1) <= sum(map(pause, range(MOST_LOOKS)), timedelta()) < timedelta(days=1, minutes=10)


def test_an_airflow_that_cannot_say_decides_nothing(watch: Watch) -> None:
    """A gateway's 502, a list that is refused: the run is neither cancelled nor forgotten."""
    watch.tasks.change(watch.parked(), state="failed")
    watch.seen()
    answer = watch.standin.more
    watch.standin.more = lambda *_: (502, "Bad Gateway")
    watch.judge()
    watch.abandoning._not_before.clear()
    watch.standin.more = lambda method, parts, *more: (
        (403, {"detail": "Forbidden"}) if "~" in parts else answer(method, parts, *more)
    )
    watch.judge()
    assert (watch.cancelled, watch.undecided()) == ([], 1)
    watch.abandoning._not_before.clear()
    watch.standin.more = answer
    watch.judge()
    assert watch.cancelled == ["run_1"]


def test_an_airflow_that_may_not_be_called_is_not_asked(watch: Watch) -> None:
    """Paused by a person: nothing is cancelled meanwhile."""
    watch.tasks.change(watch.parked(), state="failed")
    watch.seen()
    watch.may_call = False
    asked = len(watch.standin.asked)
    watch.judge()
    watch.judge(timedelta(days=3))
    assert (len(watch.standin.asked), watch.cancelled, watch.undecided()) == (asked, [], 1)
    watch.may_call = True
    watch.judge()
    assert watch.cancelled == ["run_1"], "a pause of days uses nothing up"


def test_one_process_judges(watch: Watch) -> None:
    """A lease; what it had begun the other one goes on with."""
    watch.tasks.change(watch.parked(), state="failed")
    watch.seen()
    watch.judge(GRACE - timedelta(seconds=1))
    watch.judge(timedelta(seconds=2), by=watch.judging())
    assert watch.cancelled == []
    watch.judge(timedelta(0))
    assert watch.cancelled == ["run_1"]


def test_without_the_setting_every_run_is_left_alone(watch: Watch) -> None:
    """Waking alone forgets the wait, and that is all."""
    plain = Awake.another(watch)
    watch.waking = plain
    watch.tasks.change(watch.parked(), state="failed")
    plain._listing._all_at = 0.0
    watch.step(plain)
    assert (watch.known(), watch.undecided()) == (set(), 0)
    assert watch.inbox.read(waits.count) == []
