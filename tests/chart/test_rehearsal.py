"""What Kubernetes does to a pod, done to real processes: the pod's own variables, arguments and files, relocated.

There is no kubelet here. The folders are changed as the kubelet changes them (one swap of `..data`), the probes ask
what the pod's probes ask, and the hook's and the test's commands are the rendered ones.
"""

import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.chart.pod import Pod
from tests.chart.support import Projected, of_kind, render
from tests.support.airflow_server import PostgresServer
from tests.support.forkserver import COMMAND
from tests.support.service import TOKEN, BridgeProcess, body, wait_for
from tests.support.standin import Standin

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]
DAGS = ("dag_one", "dag_two", "dag_three", "dag_four")
ROUTE = "routes:\n  - pipeline: pl_8f2a9c1d4e\n    name: load\n    dag: {dag}\n"


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening."""
    with Standin() as standin:
        yield standin


def rendered(tmp_path: Path, mapping: str, airflow_url: str = "http://127.0.0.1:9") -> tuple[Pod, Pod, Pod]:
    """Return the bridge's pod, the hook's and the test's."""
    objects = render({"mapping": {"routes": mapping}})
    (workload,) = of_kind(objects, "StatefulSet")
    (check,) = of_kind(objects, "Pod", name="-check")
    (test,) = of_kind(objects, "Pod", name="-test")
    made = []
    for name, pod in (("pod", workload["spec"]["template"]), ("check", check), ("test", test)):
        (tmp_path / name).mkdir()
        made.append(Pod(tmp_path / name, pod, objects, airflow_url=airflow_url))
    return made[0], made[1], made[2]


def test_the_pod_serves_takes_the_test_event_and_ends(tmp_path: Path, standin: Standin) -> None:
    """Container, `helm test`, SIGTERM: the rendered commands, with the rendered variables."""
    pod, check, test = rendered(tmp_path, ROUTE.format(dag="load_orders"), standin.url)
    assert check.run("check").returncode == 0
    assert [item["name"] for item in pod.spec["initContainers"]] == ["migrate"]
    assert pod.run("migrate").returncode == 0
    (container,) = pod.spec["containers"]
    bridge = subprocess.Popen([COMMAND, *container["args"]], env=pod.environment(container), cwd=pod.folder)
    try:
        with httpx.Client(trust_env=False, timeout=60) as client:
            probes = {
                item: container[f"{item}Probe"]["httpGet"]["path"] for item in ("startup", "liveness", "readiness")
            }
            wait_for(lambda: answers(client, pod.port, probes["readiness"]) == 200, seconds=30, what="ready")
            assert answers(client, pod.port, probes["startup"]) == answers(client, pod.port, probes["liveness"]) == 200
            sent = test.run("send", port=pod.port)
            assert (sent.returncode, sent.stdout[:13]) == (0, "202  accepted"), sent.stdout + sent.stderr
            again = test.run("send", port=pod.port)
            assert (again.returncode, again.stdout[:14]) == (0, "200  duplicate")
            url = f"http://127.0.0.1:{pod.admin_port}/api/v1/deliveries"
            headers = {"Authorization": f"Bearer {TOKEN}"}
            wait_for(
                lambda: (
                    [item["reason"] for item in client.get(url, headers=headers).json()["deliveries"]] == ["test_event"]
                ),
                seconds=10,
                what="ignored as a test event",
            )
        bridge.terminate()
        assert bridge.wait(float(pod.spec["terminationGracePeriodSeconds"])) == 0
    finally:
        bridge.kill()
        bridge.wait()
    assert standin.runs() == []


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("routes:\n  - pipelin: pl_1\n    dag: a\n", "mapping.yaml:2:5"),
        ("routes:\n  - pipeline: pl_1\n    dag: a\n    conf: {a: '{{ event.nope }}'}\n", "mapping.yaml:4"),
        ("routes: [\n", "mapping.yaml"),
    ],
    ids=["unknown key", "unknown name in a template", "no YAML"],
)
def test_a_broken_mapping_is_refused_before_it_lands(tmp_path: Path, mapping: str, said: str) -> None:
    """The hook's Job fails with file and line, so helm stops before it changes anything."""
    _, check, _ = rendered(tmp_path, mapping)
    done = check.run("check")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_secret_is_named_at_once(tmp_path: Path) -> None:
    """Its volume is optional in the check's pod, so that one runs and names the file, instead of waiting in silence."""
    _, check, _ = rendered(tmp_path, ROUTE.format(dag="a"))
    (volume,) = [item for item in check.spec["volumes"] if "secret" in item]
    assert volume["secret"]["optional"] is True
    shutil.rmtree(check.folders[volume["name"]].folder)
    done = check.run("check")
    assert done.returncode == 2
    assert "/etc/bridge/secrets/planasonix-bridge/admin-token cannot be read: No such file" in done.stderr.replace(
        str(check.folder / "etc"), "/etc/bridge"
    )


def test_without_hooks_the_pod_checks_its_files_itself(tmp_path: Path) -> None:
    """An init container refuses what `serve` would refuse; a broken mapping it only says, since intake must go on."""
    values = {"hooks": {"enabled": False}, "mapping": {"routes": "routes:\n  - pipelin: pl_1\n    dag: a\n"}}
    objects = render(values)
    (workload,) = of_kind(objects, "StatefulSet")
    pod = Pod(tmp_path, workload["spec"]["template"], objects)
    done = pod.run("check")
    assert (done.returncode, "warning: " in done.stderr, "mapping.yaml:2:5" in done.stderr) == (0, True, True)
    pod.folders["config"].write({"bridge.yaml": "sources: {}\n"})
    assert pod.run("check").returncode == 2


def answers(client: httpx.Client, port: int, path: str) -> int:
    """Return the status of a probe, 0 without an answer."""
    try:
        return client.get(f"http://127.0.0.1:{port}{path}").status_code
    except httpx.TransportError:
        return 0


class Senders:
    """Four senders that go on until told, each event once; who got a 2xx is remembered."""

    def __init__(self, bridge: BridgeProcess) -> None:
        """Nothing is sent yet."""
        self._bridge = bridge
        self._is_over = threading.Event()
        self.acknowledged: list[str] = []
        self.other: Counter[int] = Counter()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(4)]

    def __enter__(self) -> "Senders":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _send(self, number: int) -> None:
        count = 0
        while not self._is_over.wait(0.02):
            count += 1
            event = f"evt_{number}_{count}"
            answer = self._bridge.send(body(event=event))
            if answer.is_success:
                self.acknowledged.append(event)
            else:
                self.other[answer.status_code] += 1

    def more(self, count: int) -> None:
        """Wait until so many more were acknowledged."""
        goal = len(self.acknowledged) + count
        wait_for(lambda: len(self.acknowledged) >= goal, seconds=30, what=f"{count} more webhooks")


def test_the_mapping_is_swapped_under_load(
    tmp_path: Path, standin: Standin, start_bridge: Callable[..., BridgeProcess]
) -> None:
    """A new mapping is in use without a restart and without one lost or doubled event; a broken one never is."""
    mounted = Projected(tmp_path / "mapping", {"mapping.yaml": ROUTE.format(dag="dag_one")})
    settings = {"BRIDGE_MAPPING": str(mounted.folder / "mapping.yaml")}
    bridge = start_bridge(airflow_url=standin.url, settings=settings, more="    rate: 500")
    pid = bridge.process.pid
    standin.dags |= {dag: {"is_paused": False} for dag in DAGS}

    def digest() -> Any:
        return bridge.api("status")["mapping"]["digest"]

    def runs() -> list[dict[str, Any]]:
        return [run for dag in DAGS for run in standin.runs(dag)]

    def is_broken() -> bool:
        return "bridge_mapping_broken 1.0" in bridge.metrics()

    first = digest()
    with Senders(bridge) as senders:
        senders.more(40)
        mounted.write({"mapping.yaml": ROUTE.format(dag="dag_two")})
        wait_for(lambda: digest() != first, seconds=5, what="the second mapping")
        second = digest()
        senders.more(40)
        mounted.write({"mapping.yaml": "routes:\n  - pipelin: x\n    dag: dag_three\n"})
        wait_for(is_broken, seconds=5, what="the broken file to be seen")
        assert digest() == second
        senders.more(40)
        mounted.write({"mapping.yaml": ROUTE.format(dag="dag_four")})
        wait_for(lambda: not is_broken(), seconds=5, what="the mended file")
        senders.more(40)
    sent = senders.acknowledged
    wait_for(lambda: len(runs()) >= len(sent), seconds=40, what=lambda: f"{len(runs())} of {len(sent)}")
    assert senders.other == Counter()
    assert Counter(run["conf"]["planasonix"]["event_id"] for run in runs()) == Counter(sent)
    assert {dag for dag in DAGS if standin.runs(dag)} == {"dag_one", "dag_two", "dag_four"}
    assert bridge.process.pid == pid
    assert bridge.process.is_running


def test_probes_while_the_store_is_away(standin: Standin, start_bridge: Callable[..., BridgeProcess]) -> None:
    """Readiness takes the pod out of the Service and back in; liveness never has it killed."""
    (workload,) = of_kind(render({}), "StatefulSet")
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    live, ready = container["livenessProbe"], container["readinessProbe"]
    server = PostgresServer()
    try:
        server.start()
        settings = {"BRIDGE_DATABASE_URL": server.create_database("bridge")}
        bridge = start_bridge(airflow_url=standin.url, mapping=ROUTE.format(dag="a"), settings=settings)
        with httpx.Client(trust_env=False, timeout=live["timeoutSeconds"]) as client:
            seen: list[int] = []
            server.kill()
            wait_for(lambda: not bridge.is_ready(), seconds=ready["timeoutSeconds"] * 2, what="not ready")
            until = time.monotonic() + 3
            while time.monotonic() < until:
                seen.append(answers(client, bridge.port, live["httpGet"]["path"]))
                time.sleep(0.1)
            assert set(seen) == {200}
            assert answers(client, bridge.port, ready["httpGet"]["path"]) == 503
            server.start()
            wait_for(bridge.is_ready, seconds=20, what="ready again")
        assert bridge.process.is_running
    finally:
        server.stop()


def test_probes_from_the_first_moment_to_the_last(
    tmp_path: Path, standin: Standin, start_bridge: Callable[..., BridgeProcess]
) -> None:
    """Never ready before it serves: from nobody there to ready without a wrong answer, and to nobody there again."""
    bridge = start_bridge(airflow_url=standin.url, mapping=ROUTE.format(dag="a"))
    assert bridge.stop() == 0
    seen: dict[str, list[int]] = {"/livez": [0], "/readyz": [0]}  # the statuses, without repeats
    is_over = threading.Event()

    def probe() -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            was_over = False
            while not was_over:  # one whole round after the end
                was_over = is_over.is_set()
                for path, statuses in seen.items():
                    if (status := answers(client, bridge.port, path)) != statuses[-1]:
                        statuses.append(status)
                time.sleep(0.005)

    watching = threading.Thread(target=probe)
    watching.start()
    try:
        bridge.start()
        assert bridge.send(body(event="evt_1")).status_code == 202
        assert bridge.stop() == 0
    finally:
        is_over.set()
        watching.join()
    assert seen["/livez"] == [0, 200, 0]
    assert [status for status in seen["/readyz"] if status != 503] == [0, 200, 0]
