"""A deferred task whose connection names the bridge waits for the webhook: in real Airflows, at a real bridge.

`poll_interval` is an hour where only the bridge can end the wait in time.
"""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.processes import free_port
from tests.provider.test_operator import connection, run
from tests.support.airflow_python import AirflowPython
from tests.support.loopback import HttpServer, Loopback
from tests.support.runs_api import RunsApi
from tests.support.service import BridgeProcess, wait_for

pytestmark = pytest.mark.xdist_group("provider")

TOKEN = "viewer-token-of-the-tests-0001"
NAMES_NO_RUN = {"type": "job.succeeded", "job_id": "job_vague"}
WAIT = """
    import asyncio
    from planasonix_provider.triggers.planasonix import PlanasonixRunTrigger

    trigger = PlanasonixRunTrigger(
        planasonix_conn_id="planasonix_default", sought=sought, poll_interval=poll_interval, **more
    )

    async def first():
        async for event in trigger.run():
            return event.payload

    result = asyncio.run(first())
"""


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A real bridge with a viewer's token; it starts nothing."""
    running = _bridge(tmp_path_factory.mktemp("bridge"))
    yield running
    running.close()


def _bridge(folder: Path) -> BridgeProcess:
    settings = {"BRIDGE_VIEWER_TOKEN": TOKEN}
    made = BridgeProcess(
        folder, airflow_url=f"http://127.0.0.1:{free_port()}", mapping="routes: []\n", settings=settings
    )
    made.start()
    return made


def named(bridge: BridgeProcess, **more: str) -> dict[str, str]:
    """What the connection says of the bridge."""
    return {"bridge_url": f"http://127.0.0.1:{bridge.admin_port}", "bridge_token": TOKEN, **more}


def tell(bridge: BridgeProcess, event: str, **fields: str) -> str:
    """Send a webhook, and return its delivery once it is routed."""
    value = {"id": event, "type": "pipeline.run.succeeded", "status": "succeeded"} | fields
    delivery = str(bridge.send(json.dumps(value).encode()).json()["delivery_id"])
    wait_for(lambda: bridge.api(f"deliveries/{delivery}")["state"] != "received", seconds=30, what="routed")
    return delivery


def meanwhile(planasonix: RunsApi, *, looks: int, work: Callable[[], object]) -> threading.Thread:
    """Do something as soon as Planasonix was looked at so often."""

    def wait() -> None:
        wait_for(lambda: planasonix.count("GET") >= looks, seconds=60, what="looks")
        work()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def wait_in_trigger(
    airflow: AirflowPython, planasonix: RunsApi, extra: dict[str, str], *, poll_interval: float = 3600, **more: Any
) -> dict[str, Any]:
    """Wait for `run_1` as a triggerer does; returns the event's payload."""
    airflow.output()
    airflow._set({"planasonix_default": connection(planasonix, extra=extra)})
    sought = more.pop("sought", {"run_id": "run_1"})
    names = {"sought": sought, "poll_interval": poll_interval, "more": more}
    found: dict[str, Any] = airflow.python(WAIT, **names)
    return found


def ends(planasonix: RunsApi, *more: Callable[[], object]) -> Callable[[], None]:
    """Let the runs end in Planasonix, then do the rest in turn."""

    def end() -> None:
        with planasonix.lock:
            for each in planasonix.runs.values():
                each["story"] = ["succeeded"]
        for work in more:
            work()

    return end


def test_the_webhook_ends_the_wait_and_planasonix_is_asked_twice(
    airflow_python: AirflowPython, planasonix: RunsApi, bridge: BridgeProcess
) -> None:
    """When the wait begins, and for how it ended: so the result is that of a task that polls. No token is kept."""
    planasonix.story = ["running"]
    event = f"evt_{airflow_python.version}"
    sender = meanwhile(
        planasonix,
        looks=2,
        work=ends(planasonix, lambda: tell(bridge, event, run_id="run_0001", pipeline_id="pl_01hqxyz")),
    )
    extra = named(bridge, bridge_source="planasonix")
    task = run(airflow_python, planasonix, "deferrable=True", poll_interval=3600, extra=extra)
    sender.join()
    assert task["state"] == "success", task["output"]
    assert planasonix.count("GET") == 3  # one by the start, and two by the wait
    assert TOKEN not in str(task)
    planasonix.reset()
    polled = run(airflow_python, planasonix, "deferrable=True")
    assert task["xcom"]["return_value"] == polled["xcom"]["return_value"]
    assert task["xcom"]["return_value"]["metrics"] == {"rowsWritten": 44802}


def test_what_was_received_before_the_wait_ends_it(
    airflow_python: AirflowPython, planasonix: RunsApi, bridge: BridgeProcess
) -> None:
    """The run ended between the look and the question; Planasonix shows the end a few looks after its webhook."""
    tell(bridge, f"evt_before_{airflow_python.version}", run_id="run_1")
    planasonix.add("run_1", "pl_01hqxyz", ["running", "running", "running", "succeeded"])
    event = wait_in_trigger(airflow_python, planasonix, named(bridge, bridge_source="planasonix"))
    assert event["run"]["status"] == "succeeded"
    assert planasonix.count("GET") == 4


def test_another_jobs_webhook_ends_nothing(airflow_python: AirflowPython, planasonix: RunsApi, tmp_path: Path) -> None:
    """Nor does it cost a look: of another run, of the pipeline's last job, of our id in another pipeline."""
    bridge = _bridge(tmp_path)
    planasonix.add("run_1", "pl_01hqxyz", ["running"])
    tell(bridge, "evt_1", run_id="run_0", pipeline_id="pl_01hqxyz")
    tell(bridge, "evt_2", run_id="run_1", pipeline_id="pl_2")
    tell(bridge, "evt_3", pipeline_id="pl_01hqxyz", **NAMES_NO_RUN)
    try:
        sender = meanwhile(
            planasonix,
            looks=1,
            work=lambda: (
                tell(bridge, "evt_4", run_id="run_9", pipeline_id="pl_01hqxyz"),
                tell(bridge, "evt_5", pipeline_id="pl_01hqxyz", run_id="run_1", **NAMES_NO_RUN),
                ends(planasonix)(),
                tell(bridge, "evt_6", run_id="run_1", pipeline_id="pl_01hqxyz"),
            ),
        )
        event = wait_in_trigger(airflow_python, planasonix, named(bridge))
        sender.join()
    finally:
        bridge.close()
    assert event["run"]["status"] == "succeeded"
    assert planasonix.count("GET") == 2


def test_a_webhook_alone_is_no_success(
    airflow_python: AirflowPython, planasonix: RunsApi, bridge: BridgeProcess
) -> None:
    """The bridge says when to look; how the run ended says Planasonix."""
    tell(bridge, f"evt_alone_{airflow_python.version}", run_id="run_1")
    planasonix.add("run_1", "pl_01hqxyz", ["running", "failed"])
    event = wait_in_trigger(airflow_python, planasonix, named(bridge, bridge_source="planasonix"))
    assert event["run"]["status"] == "failed"


def test_an_event_of_the_pipeline_hastens_the_wait_for_its_next_run(
    airflow_python: AirflowPython, planasonix: RunsApi, bridge: BridgeProcess
) -> None:
    """As a sensor waits: the next look comes after `poll_interval`, and not only when that of the net is due."""
    pipeline = f"pl_next_{airflow_python.version}"

    def end() -> None:
        planasonix.add("run_1", pipeline, ["succeeded"], startedAt="2026-08-01T10:00:00Z")
        tell(bridge, f"evt_{pipeline}", run_id="run_1", pipeline_id=pipeline)

    sender = meanwhile(planasonix, looks=1, work=end)
    sought = {"pipeline_id": pipeline, "since": "2026-08-01T09:00:00Z"}
    event = wait_in_trigger(airflow_python, planasonix, named(bridge), sought=sought, poll_interval=2)
    sender.join()
    assert (event["run"]["run_id"], event["run"]["status"]) == ("run_1", "succeeded")


def test_a_bridge_that_restarts_midway_ends_the_wait(
    airflow_python: AirflowPython, planasonix: RunsApi, tmp_path: Path
) -> None:
    """It is asked again until it is back; that it was away is said once."""
    bridge = _bridge(tmp_path)
    planasonix.add("run_1", "pl_01hqxyz", ["running"])

    def restart() -> None:
        bridge.kill()
        bridge.start()
        ends(planasonix, lambda: tell(bridge, "evt_1", run_id="run_1"))()

    try:
        sender = meanwhile(planasonix, looks=1, work=restart)
        event = wait_in_trigger(airflow_python, planasonix, named(bridge))
        sender.join()
    finally:
        bridge.close()
    assert event["run"]["status"] == "succeeded"
    assert planasonix.count("GET") == 2
    assert airflow_python.output().count("Planasonix is asked instead") <= 1


class _Page(BaseHTTPRequestHandler):
    """Answers everything with the status that its path begins with, and a page for people."""

    def do_GET(self) -> None:
        content = b"<html>Sign in</html>"
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("away", "the bridge: ConnectError"),
        ("wrong token", "/api/v1/completion was answered 401"),
        ("no address", "the bridge's address in the connection must be like"),
        ("200", "something else than JSON: is the bridge's address right?"),
        ("302", "answered 302"),
        ("404", "answered 404"),
        ("500", "answered 500"),
    ],
)
def test_without_an_answer_of_the_bridge_planasonix_is_polled(
    airflow_python: AirflowPython, planasonix: RunsApi, bridge: BridgeProcess, trouble: str, said: str
) -> None:
    """As if the connection named none; said once, and never with the token."""
    planasonix.add("run_1", "pl_01hqxyz", ["running"] * 5 + ["succeeded"])
    with Loopback(HttpServer(("127.0.0.1", 0), _Page)) as pages:
        extra = {
            "away": {"bridge_url": f"http://127.0.0.1:{free_port()}", "bridge_token": TOKEN},
            "wrong token": named(bridge, bridge_token="another-token-of-nobody-0001"),
            "no address": named(bridge, bridge_url="bridge:8081"),
        }.get(trouble, {"bridge_url": f"{pages.url}/{trouble}", "bridge_token": TOKEN})
        event = wait_in_trigger(airflow_python, planasonix, extra, poll_interval=0.05)
    assert event["run"]["status"] == "succeeded"
    assert planasonix.count("GET") == 6
    output = airflow_python.output()
    assert said in output
    assert output.count("Planasonix is asked instead") == 1
    assert extra["bridge_token"] not in output


def test_the_ends_of_a_task_are_kept(airflow_python: AirflowPython, planasonix: RunsApi, bridge: BridgeProcess) -> None:
    """`timeout` and `execution_timeout` end the wait at a bridge that knows nothing."""
    code = "import time; result = time.time()"
    planasonix.add("run_1", "pl_01hqxyz", ["running"])
    extra = named(bridge, bridge_source="nobody")
    for end in ("timeout_at", "deadline_at"):
        event = wait_in_trigger(airflow_python, planasonix, extra, **{end: airflow_python.python(code) + 2})
        assert event == {"over": end.removesuffix("_at")}


@pytest.mark.parametrize(("token", "works"), [(TOKEN, True), ("another-token-of-nobody-0001", False)])
def test_the_button_tries_the_bridge_too(
    airflow_python: AirflowPython, planasonix: RunsApi, bridge: BridgeProcess, token: str, works: bool
) -> None:
    """And says what is wrong with it, without the token."""
    airflow_python._set({"planasonix_default": connection(planasonix, extra=named(bridge, bridge_token=token))})
    code = """
        from planasonix_provider.hooks.api import PlanasonixHook

        hook = PlanasonixHook()
        result = [*hook.test_connection(), repr(hook.settings)]
    """
    done, message, shown = airflow_python.python(code)
    assert done == works
    assert ("bridge answered" in message) if works else ("but GET /api/v1/completion was answered 401" in message)
    assert token not in message + shown


REST = """
    import asyncio, time
    from planasonix_provider.bridge_api import Said, Verdict
    from planasonix_provider.errors import Rejected, Unavailable
    from planasonix_provider.pacing import Patience
    from planasonix_provider.resting import Rest

    waits = []

    async def ask(question, wait):
        waits.append([wait, question.after])
        said = story.pop(0) if len(story) > 1 else story[0]
        if said == "full":
            raise Unavailable("no room", retry_after_seconds=0.01)
        if said == "refused":
            raise Rejected("no")
        if said == "open" and wait:
            await asyncio.sleep(min(wait, 0.05))
        return Said(Verdict(said), "dlv_1", None)

    async def rests():
        rest = Rest(ask, "run_1", "pl_1", net_seconds=net)
        took = []
        for _ in range(times):
            begin = time.monotonic()
            await rest.rest(Patience(interval))
            took.append(time.monotonic() - begin)
        return took

    result = [asyncio.run(rests()), waits]
"""


def rests(airflow: AirflowPython, *story: str, interval: float, net: float, times: int = 1) -> tuple[Any, Any]:
    """How long each rest took, and with which waits the bridge was asked; the last of the story goes on."""
    took, waits = airflow.python(REST, story=list(story), interval=interval, net=net, times=times)
    return took, waits


def test_planasonix_is_the_net_beneath_a_bridge_that_knows_nothing(airflow_python: AirflowPython) -> None:
    """Its look is due later than without the bridge, and comes; the first question is answered at once."""
    (took,), waits = rests(airflow_python, "open", interval=0.1, net=1.0)
    assert took >= 0.75
    assert waits[0] == [0, None]
    assert all(wait >= 1 for wait, _ in waits[1:])


def test_a_look_comes_no_sooner_than_without_the_bridge(airflow_python: AirflowPython) -> None:
    """And no later; the next question names its delivery."""
    (took,), waits = rests(airflow_python, "look", "open", interval=0.4, net=3600)
    assert took >= 0.3
    assert waits[-1][1] == "dlv_1"


def test_what_ended_is_looked_at_at_once_and_then_ever_more_slowly(airflow_python: AirflowPython) -> None:
    """The bridge is not asked again: Planasonix has the last word."""
    took, waits = rests(airflow_python, "ended", interval=0.5, net=3600, times=3)
    assert waits == [[0, None]]
    assert min(took[1:]) >= 0.37


def test_a_bridge_without_room_is_asked_for_what_it_knows(airflow_python: AirflowPython) -> None:
    """429 with `Retry-After` is no reason to poll: the next question does not wait."""
    _, waits = rests(airflow_python, "open", "full", "open", "full", "ended", interval=0.01, net=3600)
    assert [bool(wait) for wait, _ in waits] == [False, True, False, True, False]


def test_a_refusal_is_not_repeated_soon(airflow_python: AirflowPython) -> None:
    """A wrong token counts as an attempt to get in."""
    took, waits = rests(airflow_python, "refused", interval=0.05, net=3600, times=5)
    assert (len(took), waits) == (5, [[0, None]])
