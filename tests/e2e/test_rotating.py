"""rotate, beside a real bridge that takes webhooks all the time: nothing is refused, and each load fires once."""

import os
import signal
import stat
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Ended, run_here
from tests.support.forkserver import COMMAND
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin
from tests.support.subscriptions_api import KEY, Answer, Broken, SubscriptionsApi

pytestmark = pytest.mark.xdist_group("rotating")  # all rotate the secrets of one bridge, back and forth

MAPPING = "routes:\n  - pipeline: pl_8f2a9c1d4e\n    dag: load_orders\n"
_SLOTS = "        - {{id: {0}, file: {0}, optional: true}}\n"
_AT_ONCE = ("--overlap", "0s", "--quiet", "0s", "--wait", "10m")
_STEPS = ["begin", "add", "keep", "known", "on", "proved", "off", "retire"]
_CHANGES = ("POST /api/v1/webhooks", "PUT", "DELETE")


def give_slots(bridge: BridgeProcess) -> None:
    """Give the source two optional keys, each a file, instead of a variable."""
    bridge.remove_variable("PLANASONIX_WEBHOOK_SECRET")
    config = bridge.folder / "bridge.yaml"
    slots = "".join(_SLOTS.format(name) for name in "ab")
    config.write_text(config.read_text().replace("        - {id: current, env: PLANASONIX_WEBHOOK_SECRET}\n", slots))


class Tenant:
    """A tenant of Planasonix, the bridge that it delivers to, the Airflow behind, and loads that end all the time."""

    def __init__(self, folder: Path, planasonix: SubscriptionsApi, airflow: Standin) -> None:
        """Start the bridge and subscribe."""
        self.planasonix, self.airflow = planasonix, airflow
        api = f"    api: {{url: {planasonix.url}, key: {{env: PLANASONIX_API_KEY}}}}"
        self.bridge = BridgeProcess(
            folder,
            airflow_url=airflow.url,
            mapping=MAPPING,
            source=api,
            more="    rate: 500",
            settings={"PLANASONIX_API_KEY": KEY},
        )
        give_slots(self.bridge)
        self.answers: Counter[int] = Counter()
        self.loads = 0
        self._is_over = threading.Event()
        self._sending = threading.Thread(target=self._send)

    def begin(self) -> None:
        """Subscribe, start, and let loads end from now on."""
        base = f"http://127.0.0.1:{self.bridge.port}"
        words = ("subscribe", "--url", base, "--secret-out", "a", "--events", "job.succeeded")
        assert self.run(*words).code == 0
        self.bridge.start()
        self._sending.start()

    def end(self) -> None:
        """Let no load end any more."""
        self._is_over.set()
        self._sending.join()
        self.bridge.close()

    def run(self, *words: str) -> Ended:
        """Run the command here; whatever it says, it says no secret."""
        ended = run_here(self.bridge.folder, self.bridge.environment, *words)
        assert "whsec" not in ended.out + ended.err
        return ended

    def spawn(self, *words: str) -> "subprocess.Popen[bytes]":
        """Run the command as a process, to be killed."""
        return subprocess.Popen(
            [COMMAND, *words], env=self.bridge.environment, cwd=self.bridge.folder, stdout=subprocess.PIPE
        )

    def secrets(self) -> dict[str, str]:
        """Return the secrets by the key whose file holds them."""
        files = [self.bridge.folder / name for name in "ab"]
        return {file.name: file.read_text().strip() for file in files if file.exists()}

    def is_whole(self) -> None:
        """One subscription is live, its secret is the only one here, and nothing else of the rotation is left."""
        (kept,) = self.planasonix.kept.values()
        assert kept.enabled
        assert list(self.secrets().values()) == [kept.secret]
        assert not list(self.bridge.folder.glob(".*rotation*"))
        assert not list(self.bridge.folder.glob(".[ab].*"))

    def _send(self) -> None:
        while not self._is_over.is_set():
            self.loads += 1
            for answer in self.planasonix.emit(_event(self.loads)):
                self.answers[answer] += 1
            self._is_over.wait(0.05)


def _event(number: int) -> dict[str, object]:
    import json

    found: dict[str, object] = json.loads(body(event=f"evt_{number}", job=f"job_{number}"))
    return found


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """One for all tests; what must hold throughout is looked at in the end."""
    with SubscriptionsApi() as planasonix, Standin() as airflow:
        item = Tenant(tmp_path_factory.mktemp("rotating"), planasonix, airflow)
        try:
            item.begin()
            yield item
        finally:
            item.end()


@pytest.fixture(autouse=True)
def _holds_throughout(tenant: Tenant) -> Iterator[None]:
    """Every webhook that was sent is answered 2xx, and after each test the tenant is whole."""
    yield
    tenant.planasonix.before = tenant.planasonix.after = lambda _method, _path: None
    tenant.is_whole()
    assert set(tenant.answers) <= {200, 202}


def _steps(ended: Ended) -> list[str]:
    return [line.split()[1] for line in ended.out.splitlines() if line.startswith("done")]


def test_a_secret_is_rotated_while_webhooks_come(tenant: Tenant) -> None:
    """From the first subscription to the second, in one run: each step is said, and the old file is gone."""
    before, (former,) = tenant.secrets(), tenant.planasonix.kept
    ended = tenant.run("rotate", *_AT_ONCE)
    assert (ended.code, ended.err) == (0, "")
    assert _steps(ended) == _STEPS
    after = tenant.secrets()
    assert before.keys().isdisjoint(after)
    assert former not in tenant.planasonix.kept
    (name,) = after
    assert stat.S_IMODE((tenant.bridge.folder / name).stat().st_mode) == 0o600


def test_each_run_stops_in_safety_and_says_what_is_next(tenant: Tenant) -> None:
    """Not proved yet, both still to deliver, retries to come: exit 1, and the same command goes on."""
    former = next(iter(tenant.planasonix.kept.values()))
    for words, stops in (
        (("--overlap", "1h", "--wait", "1m"), "proved"),
        (("--overlap", "0s", "--quiet", "24h"), "retire"),
    ):
        ended = tenant.run("rotate", *words)
        assert (ended.code, ended.out.splitlines()[-2].split()[:3]) == (1, ["not", "yet", stops]), ended.err
        assert "Run the same command again" in ended.out.splitlines()[-1]
        assert former.secret in tenant.secrets().values()
    assert former.id not in tenant.planasonix.kept
    assert tenant.run("rotate", *_AT_ONCE).code == 0


def test_undo_goes_back_to_the_first_subscription(tenant: Tenant) -> None:
    """The second one, its secret and the journal are gone; once the first is removed there is no way back."""
    before, kept = tenant.secrets(), dict(tenant.planasonix.kept)
    assert tenant.run("rotate", "--overlap", "1h", "--wait", "1m").code == 1
    assert len(tenant.planasonix.kept) == 2
    assert tenant.run("rotate", "--undo").code == 0
    assert (tenant.secrets(), tenant.planasonix.kept) == (before, kept)
    assert tenant.run("rotate", "--overlap", "0s", "--quiet", "1h").code == 1
    ended = tenant.run("rotate", "--undo")
    assert (ended.code, "is gone already" in ended.out) == (1, True)
    assert tenant.run("rotate", *_AT_ONCE).code == 0


class Faulty:
    """Fails the first request of each kind, before or after it took effect."""

    def __init__(self, tenant: Tenant, fault: "int | None", *, is_late: bool) -> None:
        """`fault` is the status that is answered; None: the connection ends."""
        self.met: list[str] = []
        self._fault = fault
        if is_late:
            tenant.planasonix.after = self
        else:
            tenant.planasonix.before = self

    def __call__(self, method: str, path: str) -> Answer | None:
        """Answer one request in its own way, or let it pass."""
        kind = f"{method} {'/'.join(part for part in path.split('/') if not part.startswith('wh_'))}"
        if kind in self.met:
            return None
        self.met.append(kind)
        if self._fault is None:
            raise Broken
        return self._fault, {"error": {"code": "x", "message": "x"}}


@pytest.mark.parametrize(
    ("fault", "is_late"), [(401, False), (429, False), (503, False), (None, False), (503, True), (None, True)]
)
def test_a_failure_of_the_api_at_every_step_is_gone_on_from(tenant: Tenant, fault: int | None, is_late: bool) -> None:
    """Refused, too many, down, cut off, and an answer that is lost after the change was made."""
    faulty = Faulty(tenant, fault, is_late=is_late)
    runs = 1
    while (ended := tenant.run("rotate", *_AT_ONCE)).code != 0:
        assert ended.out.splitlines()[-2].startswith("not yet")
        assert tenant.planasonix.kept
        runs += 1
        assert runs < 20, ended.out
    kinds = {"GET /api/v1/webhooks", "POST /api/v1/webhooks", "PUT /api/v1/webhooks"}
    assert kinds | {"GET /api/v1/webhooks/deliveries", "DELETE /api/v1/webhooks"} <= set(faulty.met)
    assert ("POST /api/v1/webhooks/rotate-secret" in faulty.met) is is_late  # the secret of the first answer is lost
    assert runs == len(faulty.met) + 1


class Deadly:
    """Kills the command at the first request of each kind, before or after it took effect."""

    def __init__(self) -> None:
        """Kill nobody yet."""
        self.met: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None

    def at(self, when: str, method: str, path: str) -> Answer | None:
        """Kill, and answer nobody."""
        kind = f"{when} {method} {'rotate' if path.endswith('rotate-secret') else 'deliveries' * path.endswith('s')}"
        if kind in self.met or self.process is None:
            return None
        self.met.append(kind)
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        raise Broken


def test_a_kill_at_every_step_is_gone_on_from(tenant: Tenant) -> None:
    """SIGKILL before and after each request, and the same command again until it is done."""
    deadly = Deadly()
    tenant.planasonix.before = lambda method, path: deadly.at("before", method, path)
    tenant.planasonix.after = lambda method, path: deadly.at("after", method, path)
    for _ in range(30):
        deadly.process = tenant.spawn("rotate", *_AT_ONCE)
        deadly.process.communicate()
        if deadly.process.returncode == 0:
            break
    assert deadly.process is not None
    assert deadly.process.returncode == 0
    assert {f"{when} {method}" for when in ("before", "after") for method in ("POST", "PUT", "DELETE")} <= {
        kind.rpartition(" ")[0] for kind in deadly.met
    }


def test_two_runs_at_once_are_kept_apart(tenant: Tenant) -> None:
    """The second is refused while the first is at it."""
    is_there, may_go_on = threading.Event(), threading.Event()

    def wait(method: str, _path: str) -> Answer | None:
        if method == "POST" and not is_there.is_set():
            is_there.set()
            assert may_go_on.wait(60)
        return None

    tenant.planasonix.before = wait
    first = tenant.spawn("rotate", *_AT_ONCE)
    assert is_there.wait(60)
    ended = tenant.run("rotate", *_AT_ONCE)
    may_go_on.set()
    first.communicate()
    assert (ended.code, "another run" in ended.err, first.returncode) == (2, True, 0)


def test_a_replica_that_reads_its_files_late_is_waited_for(tmp_path: Path, postgres: str) -> None:
    """Two on one PostgreSQL, of which only the first has the new secret: the second subscription stays switched off.

    The test events go to the first alone, and are all taken. Once the other has the file too, the same command goes on.
    """
    with SubscriptionsApi() as planasonix, Standin() as airflow:
        api = f"    api: {{url: {planasonix.url}, key: {{env: PLANASONIX_API_KEY}}}}"
        settings = {"PLANASONIX_API_KEY": KEY, "BRIDGE_DATABASE_URL": postgres}
        bridges = []
        for name in ("prompt", "late"):
            folder = tmp_path / name
            folder.mkdir()
            bridge = BridgeProcess(folder, airflow_url=airflow.url, mapping=MAPPING, source=api, settings=settings)
            give_slots(bridge)
            (folder / "a").write_text("whsec_4f7d1c0b9a8e7d6c5b4a39281706f5e4\n")
            bridges.append(bridge)
        prompt, late = bridges
        try:
            for bridge in bridges:
                bridge.start()
            hook = f"http://127.0.0.1:{prompt.port}/hooks/planasonix"
            planasonix.add(hook, ["job.succeeded"], "whsec_4f7d1c0b9a8e7d6c5b4a39281706f5e4")
            wait_for(lambda: len(prompt.api("replicas")["replicas"]) == 2, seconds=60, what="two replicas")
            ended = run_here(prompt.folder, prompt.environment, "rotate", "--wait", "10s")
            assert (ended.code, ended.out.splitlines()[-2].split()[:3]) == (1, ["not", "yet", "known"]), ended.out
            assert "not loaded yet by 1 of the replicas" in ended.out
            assert [each.enabled for each in planasonix.kept.values()] == [True, False]
            (late.folder / "b").write_text((prompt.folder / "b").read_text())
            ended = run_here(prompt.folder, prompt.environment, "rotate", "--wait", "60s", "--overlap", "1h")
            assert "done     on" in ended.out, ended.out
        finally:
            for bridge in bridges:
                bridge.close()


def test_no_run_was_doubled(tenant: Tenant) -> None:
    """Whatever was delivered twice meanwhile: each load fires once."""
    tenant.is_whole()
    wait_for(lambda: len(tenant.airflow.runs()) > 10, seconds=60, what="loads fire")
    known = tenant.loads - 1

    def fired() -> Counter[str]:
        return Counter(run["conf"]["planasonix"]["job_id"] for run in tenant.airflow.runs())

    wait_for(lambda: all(f"job_{number + 1}" in fired() for number in range(known)), seconds=120, what="all fire")
    assert set(fired().values()) == {1}
