"""A whole bridge follows its DAG runs: by lists, by what Airflow reports, and over a kill."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.demo.processes import free_port
from tests.support import forkserver
from tests.support.airflow_server import AirflowServer
from tests.support.forkserver import COMMAND
from tests.support.service import TOKEN, BridgeProcess, body, wait_for
from tests.support.standin import Standin

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
OUTCOMES = "outcomes-token-of-the-tests-0001"
VIEWER = "viewer-token-of-the-tests-00001"
MAPPING = """\
routes:
  - name: orders
    pipeline: pl_8f2a9c1d4e
    dag: load_orders
  - name: silent
    pipeline: pl_silent
    dag: load_orders
    follow: false
"""
REAL = """\
routes:
  - {pipeline: pl_good, dag: refresh_sales_marts}
  - {pipeline: pl_bad, dag: fails_on_demand, conf: {fail: true}}
"""
SETTINGS = {"BRIDGE_OUTCOMES_TOKEN": OUTCOMES, "BRIDGE_VIEWER_TOKEN": VIEWER, "BRIDGE_FOLLOW_SECONDS": "0.2"}
Report = Callable[..., httpx.Response]


@pytest.fixture
def bridge(tmp_path: Path, standin: Standin) -> Iterator[BridgeProcess]:
    """A bridge in front of the stand-in that looks five times a second."""
    item = BridgeProcess(tmp_path, airflow_url=standin.url, mapping=MAPPING, settings=SETTINGS)
    item.start()
    yield item
    item.close()


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening."""
    with Standin() as standin:
        yield standin


def fired(bridge: BridgeProcess, event: str = "evt_1", **more: Any) -> dict[str, Any]:
    """Send a webhook and return its trigger once it is fired."""
    answer = bridge.send(body(event=event, **more))
    assert answer.status_code == 202

    def mine() -> list[dict[str, Any]]:
        return bridge.triggers(delivery_id=answer.json()["delivery_id"], state="fired")

    wait_for(lambda: len(mine()) == 1, seconds=30, what="fired")
    return mine()[0]


def reaches(bridge: BridgeProcess, trigger_id: str, state: str) -> dict[str, Any]:
    """Wait for a run state and return the trigger."""
    wait_for(lambda: bridge.api(f"triggers/{trigger_id}")["run_state"] == state, seconds=30, what=state)
    found: dict[str, Any] = bridge.api(f"triggers/{trigger_id}")
    return found


def report(bridge: BridgeProcess, *runs: dict[str, Any], token: str | None = OUTCOMES, **more: Any) -> httpx.Response:
    """Report as an Airflow does."""
    url = f"http://127.0.0.1:{bridge.admin_port}/api/v1/outcomes"
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.post(url, json={"runs": list(runs)} | more, headers=headers, trust_env=False, timeout=120)


def end(trigger: dict[str, Any], state: str = "success", **more: Any) -> dict[str, Any]:
    """Return the report of a trigger's run."""
    return {"dag_id": trigger["dag_id"], "dag_run_id": trigger["dag_run_id"], "state": state} | more


def test_a_run_is_followed_from_the_webhook_to_its_end(bridge: BridgeProcess, standin: Standin) -> None:
    """The API shows each state with its instants; lists can be asked for it; the metrics count it."""
    trigger = fired(bridge)
    standin.move_run("running", trigger["dag_run_id"])
    running = reaches(bridge, trigger["id"], "running")
    assert running["run_started_at"] is not None
    standin.move_run("failed", trigger["dag_run_id"])
    failed = reaches(bridge, trigger["id"], "failed")
    assert failed["state"] == "fired"
    assert failed["run_ended_at"] >= failed["run_started_at"]
    assert [item["id"] for item in bridge.triggers(run_state="failed")] == [trigger["id"]]
    assert 'bridge_runs_total{route="orders",state="failed"} 1.0' in bridge.metrics()


def test_a_failed_run_starts_nothing(bridge: BridgeProcess, standin: Standin) -> None:
    """No event is made of it: no delivery, no trigger, no run more."""
    trigger = fired(bridge)
    standin.move_run("failed", trigger["dag_run_id"])
    reaches(bridge, trigger["id"], "failed")
    fired(bridge, "evt_2")
    assert len(bridge.api("deliveries")["deliveries"]) == 2
    assert len(standin.runs()) == 2


def test_a_bridge_that_is_killed_goes_on_following(bridge: BridgeProcess, standin: Standin) -> None:
    """Everything it needs is in the store, and the dead process's lease holds nobody up."""
    trigger = fired(bridge)
    standin.move_run("running", trigger["dag_run_id"])
    reaches(bridge, trigger["id"], "running")
    bridge.kill()
    standin.move_run("success", trigger["dag_run_id"])
    bridge.start()
    reaches(bridge, trigger["id"], "success")


def test_a_route_may_leave_its_runs_alone(bridge: BridgeProcess, standin: Standin) -> None:
    """`follow: false`: no run state, and no list is asked for."""
    trigger = fired(bridge, pipeline="pl_silent")
    assert trigger["run_state"] is None
    assert standin.lists() == 0


def test_an_outcome_that_airflow_reports_is_known_at_once(bridge: BridgeProcess, standin: Standin) -> None:
    """While the lists do not answer; sent again it is news no more, and another end is not taken."""
    standin.before_list = lambda _: (503, {"detail": "down"})
    trigger = fired(bridge)
    ended = end(trigger, started_at="2025-03-27T14:00:00Z", ended_at="2025-03-27T15:00:05+01:00")
    running = report(bridge, end(trigger, "running"))
    assert (running.status_code, running.json()) == (200, {"taken": 1, "not_open": 0})
    assert bridge.api(f"triggers/{trigger['id']}")["run_state"] == "running"
    assert report(bridge, ended, airflow="default").json() == {"taken": 1, "not_open": 0}
    found = bridge.api(f"triggers/{trigger['id']}")
    assert (found["run_state"], found["run_ended_at"]) == ("success", "2025-03-27T14:00:05.000Z")
    for again in (ended, end(trigger, "failed")):
        assert report(bridge, again).json() == {"taken": 0, "not_open": 1}
    assert bridge.api(f"triggers/{trigger['id']}")["run_state"] == "success"
    assert 'bridge_runs_total{route="orders",state="success"} 1.0' in bridge.metrics()


def test_a_report_of_a_strangers_run_changes_nothing(bridge: BridgeProcess) -> None:
    """Listeners see every run of an Airflow; most are not the bridge's."""
    trigger = fired(bridge)
    strangers = [end(trigger, dag_run_id="scheduled__1"), end(trigger, dag_id="other")]
    assert report(bridge, *strangers).json() == {"taken": 0, "not_open": 2}


def test_a_wrong_token_reports_nothing(bridge: BridgeProcess) -> None:
    """401, as everywhere."""
    for token in (None, OUTCOMES + "x", OUTCOMES[:-1], "x" * 40):
        assert report(bridge, {}, token=token).status_code == 401


def test_the_token_of_outcomes_opens_nothing_else(bridge: BridgeProcess) -> None:
    """And the admin's opens this door too."""
    headers = {"Authorization": f"Bearer {OUTCOMES}"}
    base = f"http://127.0.0.1:{bridge.admin_port}"
    for path in ("/api/v1/status", "/api/v1/triggers", "/metrics", "/api/v1/outcomes/../status"):
        assert httpx.get(base + path, headers=headers, trust_env=False, timeout=60).status_code == 403
    assert not httpx.get(base + "/api/v1/outcomes/", headers=headers, trust_env=False, timeout=60).is_success
    replay = httpx.post(base + "/api/v1/replay", json={"ids": []}, headers=headers, trust_env=False, timeout=60)
    assert replay.status_code == 403
    trigger = fired(bridge)
    assert report(bridge, end(trigger), token=TOKEN).status_code == 200


_WRONG: list[dict[str, Any]] = [
    {"runs": []},
    {"runs": {}},
    {"runs": [None]},
    {"runs": [{}]},
    {"runs": [{"dag_id": "d", "dag_run_id": 5, "state": "success"}]},
    {"runs": [{"dag_id": "d", "dag_run_id": "r", "state": "deleted"}]},
    {"runs": [{"dag_id": "d", "dag_run_id": "r", "state": ["success"]}]},
    {"runs": [{"dag_id": "d", "dag_run_id": "r", "state": "success", "ended_at": "2025-03-27T14:00:00"}]},
    {"runs": [{"dag_id": "d", "dag_run_id": "r", "state": "success", "ended_at": 5}]},
    {"runs": [{"dag_id": "d", "dag_run_id": "r", "state": "success", "conf": {}}]},
    {"runs": [{"dag_id": "d", "dag_run_id": "r", "state": "success"}], "airflow": "other"},
    {"runs": [{"dag_id": "d", "dag_run_id": "r", "state": "success"}] * 101},
]


def test_a_report_that_cannot_be_read_is_refused_whole(bridge: BridgeProcess) -> None:
    """400 with what to send, never an error of the bridge's own."""
    for wrong in _WRONG:
        answer = report(bridge, **wrong)
        assert (answer.status_code, answer.json()["error"]) == (400, "bad_request"), wrong


@dataclass(frozen=True, slots=True)
class Waiting:
    """How `wait` is run: beside the store, or anywhere against the running bridge."""

    variables: dict[str, str]
    options: tuple[str, ...] = ()

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start it, and return when it waits."""
        pipe = subprocess.PIPE
        command = [str(COMMAND), "wait", *self.options, *options]
        process = subprocess.Popen(command, env=self.variables, text=True, stdout=pipe, stderr=pipe)
        assert process.stderr is not None
        process.stderr.readline()  # what it waits for
        assert process.poll() is None
        return process

    def run(self, *options: str, **changed: str) -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        return forkserver.run("wait", *self.options, *options, env=self.variables | changed)


@pytest.fixture
def remote(bridge: BridgeProcess, tmp_path: Path) -> Waiting:
    """`wait` on a machine that has neither the store nor the settings; a viewer's token is enough."""
    token = tmp_path / "token"
    token.write_text(VIEWER + "\n")
    variables = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    url = f"http://127.0.0.1:{bridge.admin_port}"
    return Waiting(variables, ("--url", url, "--token-file", str(token)))


@pytest.fixture(params=["store", "url"])
def waiting(request: pytest.FixtureRequest, bridge: BridgeProcess) -> Waiting:
    """Either of the two ways."""
    if request.param == "store":
        return Waiting(bridge.environment)
    found: Waiting = request.getfixturevalue("remote")
    return found


def test_wait_ends_with_the_runs_of_a_delivery(bridge: BridgeProcess, standin: Standin, waiting: Waiting) -> None:
    """Exit 0 once they have succeeded, and what it waits for is said meanwhile."""
    trigger = fired(bridge)
    process = waiting.start("--delivery", trigger["delivery_id"])
    standin.move_run("success", trigger["dag_run_id"])
    out, _ = process.communicate(timeout=90)
    assert process.returncode == 0
    assert out.startswith("success: the DAG run planasonix__")


def test_wait_ends_with_the_failure_of_a_job_that_came_after_it_began(
    bridge: BridgeProcess, standin: Standin, waiting: Waiting
) -> None:
    """Exit 1; the job is found by its id although its webhook was not there yet."""
    process = waiting.start("--job", "job_77", "--json")
    fired(bridge, "evt_other", job="job_76")
    trigger = fired(bridge, job="job_77")
    standin.move_run("failed", trigger["dag_run_id"])
    out, _ = process.communicate(timeout=90)
    assert process.returncode == 1
    assert json.loads(out)["outcome"] == "failed"


def test_wait_has_an_end(bridge: BridgeProcess, waiting: Waiting) -> None:
    """Exit 3 when the time is up, 1 for what is not there, 2 for wrong usage."""
    trigger = fired(bridge)
    for options, code in (
        (["--delivery", trigger["delivery_id"], "--timeout", "1s"], 3),
        (["--delivery", "dlv_0000000000000001"], 1),
        (["--delivery", trigger["delivery_id"], "--timeout", "soon"], 2),
        ([], 2),
    ):
        done = waiting.run(*options)
        assert done.returncode == code, done.stderr


def test_wait_tells_wrong_usage_of_a_running_bridge(bridge: BridgeProcess, remote: Waiting, tmp_path: Path) -> None:
    """Exit 2 at once, and what to mend; a token stands in no message."""
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong-token-of-the-tests-0001")
    job = ("--job", "job_1")
    for options, said in (
        (("--url", f"http://127.0.0.1:{bridge.port}", *job), "is this the admin listener of a bridge?"),
        (("--token-file", str(wrong), *job), "it refuses the token"),
        (("--token-file", str(tmp_path / "nowhere"), *job), "--token-file: the file"),
        (("--url", "bridge.example.com", *job), "--url: must be a URL that begins with"),
    ):
        done = remote.run(*options)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert said in done.stderr
        assert "wrong-token" not in done.stderr


def test_wait_takes_url_and_token_from_the_environment(bridge: BridgeProcess, remote: Waiting) -> None:
    """As `BRIDGE_URL` and `BRIDGE_ADMIN_TOKEN`; a bridge that is away is waited for."""
    plain = Waiting(remote.variables)
    url = {"BRIDGE_URL": f"http://127.0.0.1:{bridge.admin_port}", "BRIDGE_ADMIN_TOKEN": TOKEN}
    done = plain.run("--job", "job_1", "--timeout", "1s", **url)
    assert (done.returncode, done.stdout) == (3, "timeout: nothing has arrived yet\n"), done.stderr
    away = plain.run("--job", "job_1", "--timeout", "1s", **url | {"BRIDGE_URL": f"http://127.0.0.1:{free_port()}"})
    assert away.returncode == 3
    assert "cannot be reached" in away.stdout
    nowhere = plain.run("--job", "job_1", "--token-file", "x")
    assert nowhere.returncode == 2
    assert "give --url too" in nowhere.stderr


@pytest.mark.airflow
@pytest.mark.timeout(300)
def test_a_real_airflow_tells_how_its_runs_end(tmp_path: Path, executing_airflow: AirflowServer) -> None:
    """One that succeeds and one that fails, executed by its scheduler, with its own instants."""
    bridge = BridgeProcess(tmp_path, airflow_url=executing_airflow.url, mapping=REAL, settings=SETTINGS)
    try:
        bridge.start()
        good, bad = fired(bridge, "evt_1", pipeline="pl_good"), fired(bridge, "evt_2", pipeline="pl_bad")
        found = reaches(bridge, good["id"], "success")
        assert found["created_at"] < found["run_started_at"] <= found["run_ended_at"]
        reaches(bridge, bad["id"], "failed")
        assert 'bridge_data_ready_seconds_count{route="refresh_sales_marts"} 1.0' in bridge.metrics()
    finally:
        bridge.close()
