"""Firing at a real Airflow through a network that loses, delays and forges: no run twice, none taken for made."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge.words.outcomes import AlreadyThere, Later, Misconfigured, Never, Started, TargetDown
from bridge.words.reasons import Reason
from tests.edges.airflow.support import MARTS, RUN_ID, Connect, run_ids, trigger
from tests.support.airflow_server import AirflowServer
from tests.support.fault_proxy import BAD_GATEWAY, Answer, Delay, DropAnswer, Fault, FaultProxy, HalfAnswer, Reset

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(180)]
Proxy = Callable[[str], FaultProxy]
SICK = Answer(200, b'{"metadatabase": {"status": "unhealthy"}, "scheduler": {}}', {"Content-Type": "application/json"})
PLAIN_500 = Answer(500, b"Internal Server Error", {"Content-Type": "text/plain"})
LOST = [DropAnswer(), HalfAnswer(), Reset(after_acting=True), Delay(15.0, after_acting=True)]
IN_FRONT = [Answer(504, b"<html>", {"Content-Type": "text/html"}, after_acting=True)]


@pytest.mark.parametrize("fault", LOST + IN_FRONT, ids=repr)
def test_lost_answer_is_read_back(connect: Connect, airflow: AirflowServer, fault_proxy: Proxy, fault: Fault) -> None:
    """Airflow made the run and we were not told: it is found at once, and there is one."""
    proxy = fault_proxy(airflow.url)
    proxy.fail_next(fault, method="POST", path="/dagRuns")
    assert connect(proxy.url, read_seconds=6.0).fire(trigger()) == AlreadyThere(Reason.ALREADY_THERE, 200)
    assert run_ids(airflow) == [RUN_ID]


@pytest.mark.parametrize("fault", [Reset(), BAD_GATEWAY], ids=repr)
def test_request_that_was_not_heard_is_tried_again(
    connect: Connect, airflow: AirflowServer, fault_proxy: Proxy, fault: Fault
) -> None:
    """No run is found and Airflow is well: later, under the same id."""
    proxy = fault_proxy(airflow.url)
    proxy.fail_next(fault, method="POST", path="/dagRuns")
    bridge = connect(proxy.url)
    outcome = bridge.fire(trigger())
    assert isinstance(outcome, Later)
    assert (outcome.reason, outcome.attempts_allowed) == (Reason.ANSWER_LOST, None)
    assert run_ids(airflow) == []
    assert isinstance(bridge.fire(trigger()), Started)


def test_doubt_that_cannot_be_resolved_is_an_outage(
    connect: Connect, airflow: AirflowServer, fault_proxy: Proxy
) -> None:
    """When the health cannot be read either, the place is down, perhaps of this call; else it is this trigger's."""
    proxy = fault_proxy(airflow.url)
    bridge = connect(proxy.url)
    proxy.fail_next(Reset(), path="/dagRuns", times=2)
    alone = bridge.fire(trigger())
    proxy.fail_next(Reset(), path="/dagRuns", times=2)
    proxy.fail_next(Reset(), path="/monitor/health")
    together = bridge.fire(trigger())
    assert isinstance(alone, Later)
    assert alone.reason is Reason.ANSWER_LOST
    assert isinstance(together, TargetDown)
    assert (together.reason, together.is_suspect, together.is_look) == (Reason.AIRFLOW_DOWN, True, False)


def test_a_strangers_run_is_found_after_a_lost_answer_too(
    connect: Connect, airflow: AirflowServer, fault_proxy: Proxy
) -> None:
    """Doubt is no reason to believe that the run is ours."""
    airflow.trigger(MARTS, RUN_ID, {"hand": "made"})
    proxy = fault_proxy(airflow.url)
    proxy.fail_next(DropAnswer(), method="POST", path="/dagRuns")
    outcome = connect(proxy.url).fire(trigger())
    assert isinstance(outcome, Never)
    assert outcome.reason is Reason.RUN_ID_CONFLICT


def test_conflict_without_a_run_is_tried_a_few_times(
    connect: Connect, airflow: AirflowServer, fault_proxy: Proxy
) -> None:
    """The run was deleted between the 409 and the question."""
    proxy = fault_proxy(airflow.url)
    proxy.fail_next(Answer(409, b"{}", {"Content-Type": "application/json"}), method="POST", path="/dagRuns")
    bridge = connect(proxy.url)
    outcome = bridge.fire(trigger())
    assert isinstance(outcome, Later)
    assert outcome.attempts_allowed == 5
    assert isinstance(bridge.fire(trigger()), Started)


@pytest.mark.parametrize(
    ("answer", "attempts"),
    [
        (PLAIN_500, 5),
        (Answer(500, b'{"detail": {"reason": "Database error"}}', {"Content-Type": "application/json"}), None),
        (Answer(503, b"busy"), None),
    ],
    ids=["plain 500", "database", "503"],
)
def test_server_error_of_one_trigger_does_not_hold_the_others(
    connect: Connect, airflow: AirflowServer, fault_proxy: Proxy, answer: Answer, attempts: int | None
) -> None:
    """A healthy Airflow's server error is this trigger's; a sick one's is the place's, and costs no attempt."""
    proxy = fault_proxy(airflow.url)
    bridge = connect(proxy.url)
    proxy.fail_next(answer, method="POST", path="/dagRuns", times=2)
    outcome = bridge.fire(trigger())
    assert isinstance(outcome, Later)
    assert (outcome.reason, outcome.attempts_allowed) == (Reason.AIRFLOW_ERROR, attempts)
    proxy.fail_next(SICK, path="/monitor/health", times=2)
    assert bridge.fire(trigger()) == TargetDown(
        Reason.AIRFLOW_DOWN, "its metadata database is unhealthy", http_status=200
    )
    assert bridge.probe() == TargetDown(Reason.AIRFLOW_DOWN, "its metadata database is unhealthy", http_status=200)
    assert bridge.probe() is None


@pytest.mark.parametrize("status", [429, 503])
def test_throttling_is_honoured(connect: Connect, airflow: AirflowServer, fault_proxy: Proxy, status: int) -> None:
    """Something in front asks everyone to wait: nothing is asked again before. Only this call: this trigger waits."""
    proxy = fault_proxy(airflow.url)
    slow = Answer(status, b"slow", {"Retry-After": "17"})
    proxy.fail_next(slow, method="POST", path="/dagRuns")
    bridge = connect(proxy.url)
    alone = bridge.fire(trigger())
    proxy.fail_next(slow, times=20)
    together = bridge.fire(trigger())
    assert isinstance(alone, Later)
    assert isinstance(together, TargetDown)
    for outcome in (alone, together):
        assert (outcome.reason, outcome.wait_seconds, outcome.http_status) == (Reason.THROTTLED, 17.0, status)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>sign in</html>", {"Content-Type": "text/html"}),
        Answer(302, b"", {"Location": "https://sso.example/?next=secret"}),
        Answer(404, b"<html>", {"Content-Type": "text/html"}),
        Answer(405, b"{}", {"Content-Type": "application/json"}),
    ],
    ids=["200", "302", "404", "405"],
)
def test_something_else_answers_there(
    connect: Connect, airflow: AirflowServer, fault_proxy: Proxy, answer: Answer
) -> None:
    """A login page or a wrong path is a matter of configuration if everything there answers so, else of one call."""
    proxy = fault_proxy(airflow.url)
    bridge = connect(proxy.url)
    proxy.fail_next(answer, method="POST", path="/dagRuns")
    alone = bridge.fire(trigger())
    assert isinstance(alone, Later)
    assert (alone.reason, alone.is_hold) == (Reason.CALL_BLOCKED, True)
    assert "secret" not in alone.detail
    proxy.fail_next(answer, times=20)
    for outcome in (bridge.fire(trigger()), connect(proxy.url).fire(trigger()), connect(proxy.url).probe()):
        assert isinstance(outcome, Misconfigured)
        assert (outcome.reason, outcome.is_whole_target) == (Reason.AIRFLOW_MISCONFIGURED, True)
        assert "secret" not in outcome.detail
    assert run_ids(airflow) == []


def test_base_url_with_a_path(connect: Connect, airflow: AirflowServer, free_port: int) -> None:
    """A trailing slash is nothing, a wrong path is told as such, and https towards http too."""
    assert connect(airflow.url + "/").probe() is None
    for url in (airflow.url + "/prefix", airflow.url.replace("http:", "https:")):
        problem = connect(url).probe()
        assert isinstance(problem, Misconfigured)
        assert problem.reason is Reason.AIRFLOW_MISCONFIGURED
    assert isinstance(connect(f"http://127.0.0.1:{free_port}").probe(), TargetDown)


def test_airflow_stops_and_starts(connect: Connect, airflow: AirflowServer) -> None:
    """Down is down for fire and probe alike; afterwards the same object goes on, with its old token."""
    bridge = connect()
    assert isinstance(bridge.fire(trigger(dag_run_id="before")), Started)
    airflow.stop()
    for outcome in (bridge.fire(trigger(dag_run_id="during")), bridge.probe()):
        assert isinstance(outcome, TargetDown)
        assert outcome.reason is Reason.AIRFLOW_DOWN
    airflow.start()
    assert bridge.probe() is None
    assert isinstance(bridge.fire(trigger(dag_run_id="during")), Started)
    assert run_ids(airflow) == ["before", "during"]


def test_airflow_killed_while_eight_threads_fire(connect: Connect, airflow: AirflowServer) -> None:
    """Whatever the outcomes were, firing all again until each is settled leaves one run per trigger."""
    bridge = connect(concurrency=8)
    triggers = [trigger(dag_run_id=f"run_{n}", trigger_id=f"trg_{n}") for n in range(60)]
    bridge.fire(triggers[0])
    killer = threading.Timer(0.3, airflow.stop)
    killer.start()
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(bridge.fire, triggers))
    killer.join()
    airflow.start()
    left = [item for item, outcome in zip(triggers, outcomes, strict=True) if not _is_settled(outcome)]
    deadline = time.monotonic() + 60
    while left and time.monotonic() < deadline:
        left = [item for item in left if not _is_settled(bridge.fire(item))]
    assert left == []
    assert sorted(run_ids(airflow)) == sorted(item.call.dag_run_id for item in triggers)


def _is_settled(outcome: object) -> bool:
    assert not isinstance(outcome, Never | Misconfigured)
    return isinstance(outcome, Started | AlreadyThere)
