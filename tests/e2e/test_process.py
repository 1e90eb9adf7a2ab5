"""The process: how it starts, reloads, refuses a second one, and stops. No Airflow needed: nothing listens there."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from deploy.demo.processes import free_port
from tests.support.forkserver import COMMAND
from tests.support.service import BridgeProcess, body, signed, under_load, wait_for

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]
Start = Callable[..., BridgeProcess]
GOOD = "routes:\n  - pipeline: pl_8f2a9c1d4e\n    dag: refresh_sales_marts\n"
BAD = "routes:\n  - pipline: pl_8f2a9c1d4e\n    dag: refresh_sales_marts\n"
OTHER = "routes:\n  - pipeline: pl_other\n    dag: open_incident\n"


@pytest.fixture
def bridge(start_bridge: Start) -> BridgeProcess:
    """A bridge whose Airflow is not there."""
    return start_bridge(airflow_url=f"http://127.0.0.1:{free_port()}", mapping=GOOD)


def test_sigterm_ends_with_exit_code_0(bridge: BridgeProcess) -> None:
    """Asked to end, it ends in order."""
    assert bridge.stop() == 0
    assert '"event":"stopped"' in bridge.log.replace(" ", "")


def test_a_clock_far_behind_the_store_is_refused_unless_allowed(bridge: BridgeProcess) -> None:
    """Its ids would go on from that time for ever; whoever knows that the clock is right says so."""
    assert bridge.send(body(event="evt_2080")).status_code == 202
    assert bridge.stop() == 0
    far = (60 * 365 * 86_400_000) << 22  # 2080, as ids count
    with bridge.database() as store:
        columns = "dedup_key, source, state, received_at, due_at, key_id, headers, body"
        store.execute(
            f"INSERT INTO deliveries (id, {columns}) SELECT ?, randomblob(16), source, 'ignored', received_at, due_at,"  # noqa: S608 - our own names
            " key_id, headers, body FROM deliveries LIMIT 1",
            (far,),
        )
        store.commit()
    with pytest.raises(Exception, match="BRIDGE_ALLOW_CLOCK_BEHIND"):
        bridge.start()
    bridge.set_variable("BRIDGE_ALLOW_CLOCK_BEHIND", "true")
    bridge.start()
    assert bridge.send(body(event="evt_after")).status_code == 202


def test_sigterm_under_load_loses_no_answered_webhook(bridge: BridgeProcess) -> None:
    """Every webhook that got a 2xx while the process stopped is in the store after the restart."""
    answered: list[str] = []
    is_over = threading.Event()

    def sender(number: int) -> None:
        with httpx.Client(trust_env=False, timeout=120) as client:
            count = 0
            while not is_over.is_set():
                count += 1
                payload = body(event=f"evt_{number}_{count}")
                url = f"http://127.0.0.1:{bridge.port}/hooks/planasonix"
                try:
                    answer = client.post(url, content=payload, headers=signed(payload))
                except httpx.TransportError:
                    return
                assert answer.status_code == 202
                answered.append(answer.json()["delivery_id"])

    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            pool.submit(sender, number)
        wait_for(lambda: len(answered) > 200, seconds=30, what="some load")
        exit_code = bridge.stop()
        is_over.set()
    assert exit_code == 0
    with bridge.database() as store:
        stored = {f"dlv_{number:016x}" for (number,) in store.execute("SELECT id FROM deliveries")}
    store.close()
    assert set(answered) <= stored


def test_not_ready_at_once_when_stopping(bridge: BridgeProcess) -> None:
    """From SIGTERM on, /readyz is never green again."""
    assert bridge.is_ready()
    bridge.process.ask_to_end()
    wait_for(lambda: not bridge.is_ready(), seconds=5, what="not ready")
    assert not bridge.is_ready()


def test_a_second_process_on_the_same_file_is_refused(bridge: BridgeProcess) -> None:
    """A second `serve` says what is the matter, exits 2, and the first goes on."""
    environment = bridge.environment | {"BRIDGE_PORT": "0", "BRIDGE_ADMIN_PORT": "0"}
    second = subprocess.run(
        [COMMAND, "serve"], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert second.returncode == 2
    assert "another planasonix-bridge already serves" in second.stderr
    assert bridge.send(body(event="evt_first_goes_on")).status_code == 202


def test_reload_good_bad_good(bridge: BridgeProcess) -> None:
    """A good edit is used, a bad one keeps the last good one and is told on every face."""
    first = bridge.api("status")["mapping"]["digest"]
    bridge.write_mapping(OTHER)
    wait_for(lambda: bridge.api("status")["mapping"]["digest"] != first, seconds=20, what="the edit is used")
    second = bridge.api("status")["mapping"]["digest"]
    bridge.write_mapping(BAD)
    wait_for(lambda: bridge.api("status")["mapping"]["problems"] != [], seconds=20, what="the mistake is told")
    status = bridge.api("status")["mapping"]
    (problem,) = [item for item in status["problems"] if "pipline" in item]
    assert problem.endswith(':2:5: unknown key "pipline", did you mean "pipeline"?')
    assert status["digest"] == second
    assert "bridge_mapping_broken 1.0" in bridge.metrics()
    assert "mapping_broken" in bridge.log
    bridge.write_mapping(GOOD)
    wait_for(lambda: bridge.api("status")["mapping"]["digest"] == first, seconds=20, what="the mended file is used")
    assert bridge.api("status")["mapping"]["problems"] == []
    assert "bridge_mapping_broken 0.0" in bridge.metrics()


def test_configmap_symlink_swap_is_seen(bridge: BridgeProcess) -> None:
    """Kubernetes changes a ConfigMap by swapping a symlink beside the file; the file itself is never written."""
    for name, text in (("..v1", GOOD), ("..v2", OTHER)):
        (bridge.folder / name).mkdir()
        (bridge.folder / name / "mapping.yaml").write_text(text)
    (bridge.folder / "..data").symlink_to("..v1")
    (bridge.folder / "mapping.yaml").unlink()
    (bridge.folder / "mapping.yaml").symlink_to("..data/mapping.yaml")
    first = bridge.api("status")["mapping"]["digest"]
    (bridge.folder / "..data_tmp").symlink_to("..v2")
    (bridge.folder / "..data_tmp").rename(bridge.folder / "..data")
    wait_for(lambda: bridge.api("status")["mapping"]["digest"] != first, seconds=2, what="the swap is seen")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("BRIDGE_CONFIG", "nowhere.yaml", "nowhere.yaml: cannot be read"),
        ("BRIDGE_ADMIN_HOST", "0.0.0.0", "only a loopback address is served, not 0.0.0.0; set BRIDGE_ADMIN_TOKEN"),
        ("BRIDGE_PROT", "80", "did you mean BRIDGE_PORT"),
        ("PLANASONIX_WEBHOOK_SECRET", "changeme", "shorter than 24 bytes"),
    ],
)
def test_a_wrong_start_says_what_to_do(bridge: BridgeProcess, variable: str, value: str, message: str) -> None:
    """Exit 2, one line a mistake, no traceback, no secret."""
    bridge.stop()
    environment = bridge.environment | {variable: value}
    if variable == "BRIDGE_ADMIN_HOST":
        del environment["BRIDGE_ADMIN_TOKEN"]
    done = subprocess.run([COMMAND, "serve"], env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("url", "message"),
    [("", "sign_in: openid needs BRIDGE_PUBLIC_ADMIN_URL"), ("https://bridge.example.com", "cannot listen")],
)
def test_people_are_let_in_at_an_address_that_is_known(bridge: BridgeProcess, url: str, message: str) -> None:
    """Signing in by OpenID Connect needs that address; with it, no token is needed to listen to others."""
    bridge.stop()
    form = "{issuer: https://login.example.com, client_id: b, secret: {env: CLIENT_SECRET}, roles: {team: viewer}}"
    with (bridge.folder / "bridge.yaml").open("a") as file:
        file.write(f"sign_in: {{openid: {form}}}\n")
    environment = bridge.environment | {
        "CLIENT_SECRET": "secret-of-the-client-0123456789",
        "BRIDGE_ADMIN_HOST": "192.0.2.1",
    }
    del environment["BRIDGE_ADMIN_TOKEN"]
    environment |= {"BRIDGE_PUBLIC_ADMIN_URL": url} if url else {}
    done = subprocess.run([COMMAND, "serve"], env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_killed_while_writing_loses_nothing_answered(bridge: BridgeProcess) -> None:
    """kill -9 in the middle of a burst, twice: everything answered 202 is there, a copy of it a duplicate."""
    answered: dict[str, bytes] = {}
    for round_ in range(2):
        with under_load(bridge, senders=8, name=f"evt_{round_}") as sent:
            wait_for(lambda sent=sent: len(sent) > 100, seconds=30, what="some load")
            bridge.kill()
        answered |= sent
        bridge.start()
    for delivery_id, payload in answered.items():
        again = bridge.send(payload)
        assert (again.status_code, again.json()["delivery_id"]) == (200, delivery_id)


def test_canary_secrets_appear_nowhere(start_bridge: Start) -> None:
    """Neither the secret, the password, the token nor a signature is in the log, the metrics or the store."""
    canary = "canary-password-never-shown"
    bridge = start_bridge(airflow_url=f"http://127.0.0.1:{free_port()}", mapping=GOOD, password=canary)
    payload = body(event="evt_canary")
    headers = signed(payload)
    bridge.send(payload)
    bridge.send(payload, at=1)
    wait_for(lambda: bridge.triggers() != [], seconds=10, what="routed")
    time.sleep(1.5)  # the breaker's first probe has been logged
    outputs = bridge.log + bridge.metrics() + str(bridge.api("status"))
    bridge.process.stop()
    for file in bridge.folder.glob("bridge.db*"):
        outputs += file.read_bytes().decode("latin-1")
    environment = bridge.environment
    for secret in (
        canary,
        environment["PLANASONIX_WEBHOOK_SECRET"],
        environment["BRIDGE_ADMIN_TOKEN"],
        headers["X-Planasonix-Signature"],
    ):
        assert secret not in outputs


def test_a_second_signal_ends_at_once(bridge: BridgeProcess) -> None:
    """A person who presses Ctrl-C twice means it."""
    bridge.process.ask_to_end()
    bridge.process._child.send_signal(signal.SIGINT)
    wait_for(lambda: not bridge.process.is_running, seconds=5, what="ended")
