"""The same load on what people use instead: Debian's webhook, Node-RED, and a provider inside Airflow.

Each is fetched when it is measured, and told as not measured where that fails. All get the same bodies with a fresh
event id each; a peer that verifies gets the signature that it can verify.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.airflow import PYTHON, REPOSITORY
from deploy.demo.processes import DidNotStart, Process, free_port, wait_until
from tests.bench import machine, servers
from tests.bench.acks import WARM_UP_SECONDS, pinned
from tests.bench.load import PATH, Requests, send
from tests.support.airflow_server import AirflowServer
from tests.support.service import SECRET

NODE_RED = "node-red@4.1.8"  # the newest for Node.js 20
_PLACE = REPOSITORY / ".cache" / "peers"
_MOST_A_SECOND = 40_000


class NotMeasured(Exception):
    """A peer that cannot be installed or started here."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One server to compare: how it starts, and what it does with a webhook."""

    start: Callable[[], AbstractContextManager[tuple[int, int]]]  # yields the process id and the port
    verified: str
    stored: str
    duplicates: str
    retried: str
    preset: str = "planasonix"
    target: str = PATH


def measure(*, rounds: int, seconds: int) -> list[str]:
    """Load each in turns, forth and back, and return the section of the report."""
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    rates: dict[str, list[float]] = {name: [] for name in PEERS}
    missing: dict[str, str] = {}
    for number in range(rounds):
        for name in list(PEERS) if number % 2 == 0 else list(reversed(PEERS)):
            if name not in missing:
                try:
                    rates[name].append(_load(PEERS[name], seconds))
                except NotMeasured as error:
                    missing[name] = str(error)
        print("  " + ", ".join(f"{name} {found[-1]:,.0f}/s" for name, found in rates.items() if found), flush=True)
    return _section(rates, missing, rounds, seconds)


def _load(peer: Peer, seconds: int) -> float:
    """Start one, warm it up, and return its 2xx answers a second."""
    pinning = pinned()
    with tempfile.TemporaryDirectory(dir=servers.FOLDER) as folder, ExitStack() as stack:
        warm, run = (
            Requests(Path(folder, name), amount=length * _MOST_A_SECOND, preset=peer.preset, target=peer.target)
            for name, length in (("warm", WARM_UP_SECONDS), ("run", seconds))
        )
        pid, port = stack.enter_context(peer.start())
        machine.pin_children(pid, pinning.server)
        send(warm, port=port, seconds=WARM_UP_SECONDS, cores=pinning.generator)
        return send(run, port=port, seconds=seconds, cores=pinning.generator).per_second


def _section(rates: Mapping[str, list[float]], missing: Mapping[str, str], rounds: int, seconds: int) -> list[str]:
    lines = [
        "## Beside others",
        "",
        f"{rounds} rounds of {seconds} s, each server on one core (Airflow's PostgreSQL on the others).",
        "",
        "| server | 2xx/s | the bridge has | signature | stored before the answer | copies | retried |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, peer in PEERS.items():
        facts = f"{peer.verified} | {peer.stored} | {peer.duplicates} | {peer.retried} |"
        if not rates[name]:
            lines.append(f"| {name} | not measured: {missing[name]} | | {facts}")
            continue
        times = [bridge / own for bridge, own in zip(rates[BRIDGE], rates[name], strict=True)]
        lines.append(f"| {name} | {machine.spread(rates[name], 0)} | {machine.spread(times, 1)} times | {facts}")
    return lines


@contextmanager
def _bare() -> Iterator[tuple[int, int]]:
    with servers.bare() as (process, port):
        yield process.pid, port


@contextmanager
def _bridge() -> Iterator[tuple[int, int]]:
    with servers.bridge(mapping=servers.MATCHES) as bridge:
        yield bridge.process.pid, bridge.port


@contextmanager
def _webhook() -> Iterator[tuple[int, int]]:
    """A hook that checks an HMAC over the body and runs /bin/true, the least that it can do."""
    _run(str(REPOSITORY / "scripts" / "debian.sh"), "webhook")
    source = {"source": "header", "name": "X-Planasonix-Signature"}
    rule = {"match": {"type": "payload-hmac-sha256", "secret": SECRET, "parameter": source}}
    hook = {"id": "planasonix", "execute-command": "/bin/true", "trigger-rule": rule, "http-methods": ["POST"]}
    with tempfile.TemporaryDirectory() as folder:
        hooks = Path(folder, "hooks.json")
        # Without a status of its own a request that does not match is answered 200.
        hooks.write_text(json.dumps([{**hook, "trigger-rule-mismatch-http-response-code": 401}]))
        port = free_port()
        command = [str(REPOSITORY / ".cache" / "debian" / "webhook"), "-hooks", str(hooks), "-ip", "127.0.0.1"]
        with _process("webhook", [*command, "-port", str(port)], {}, Path(folder), port) as pid:
            yield pid, port


@contextmanager
def _node_red() -> Iterator[tuple[int, int]]:
    """A flow of two nodes: HTTP in, and a response with 202."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise NotMeasured("Node.js and npm are not installed")
    program = _PLACE / "node-red" / "node_modules" / "node-red" / "red.js"
    if not program.exists():
        options = ["--no-audit", "--no-fund", "--no-package-lock", "--prefix", str(program.parents[2])]
        _run("npm", "install", *options, NODE_RED)
    port = free_port()
    flow = [
        {"id": "tab", "type": "tab", "label": "hooks"},
        {"id": "in", "type": "http in", "z": "tab", "url": PATH, "method": "post", "wires": [["out"]]},
        {"id": "out", "type": "http response", "z": "tab", "statusCode": "202", "headers": {}, "wires": []},
    ]
    settings = f"module.exports = {{uiHost: '127.0.0.1', uiPort: {port}, flowFile: 'flows.json', httpAdminRoot: false}}"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "flows.json").write_text(json.dumps(flow))
        Path(folder, "settings.js").write_text(settings)
        command = ["node", str(program), "--userDir", folder, "--settings", f"{folder}/settings.js"]
        with _process("Node-RED", command, {}, Path(folder), port) as pid:
            yield pid, port


@contextmanager
def _provider() -> Iterator[tuple[int, int]]:
    """The provider in an Airflow of its own; nothing in the Airflow of the tests changes."""
    place = _PLACE / "airflow"
    if not place.exists():
        uv = str(REPOSITORY / ".venv" / "bin" / "uv")
        options = ["--no-deps", "--require-hashes", "--python", str(PYTHON), "--target", str(place)]
        _run(uv, "pip", "install", "--quiet", *options, "-r", str(REPOSITORY / "requirements" / "peers.txt"))
    extra = {"source_type": "hmac_json", "signature_header": "X-Planasonix-Signature", "event_field": "type"}
    connection = {"conn_type": "inbound_webhook", "password": SECRET, "extra": extra | {"delivery_id_field": "id"}}
    more = {
        "PYTHONPATH": str(place),
        "AIRFLOW__INBOUND_WEBHOOKS__WEBHOOK_NAMES": "planasonix",
        "AIRFLOW_CONN_WEBHOOK_PLANASONIX": json.dumps(connection),
    }
    try:
        airflow = AirflowServer(more=more)
    except DidNotStart as error:
        raise NotMeasured(str(error).splitlines()[0]) from None
    try:
        server, postgres = airflow.pids
        pinning = pinned()
        machine.pin_children(postgres, pinning.others())
        yield server, int(airflow.url.rpartition(":")[2])
    finally:
        airflow.close()


@contextmanager
def _process(name: str, command: list[str], more: Mapping[str, str], folder: Path, port: int) -> Iterator[int]:
    process = Process(name, command, env=dict(os.environ) | dict(more), log=folder / "log")
    try:
        process.start()
        wait_until(lambda: servers.answers(port), of=process, timeout_seconds=60)
    except (DidNotStart, OSError) as error:
        raise NotMeasured(str(error).splitlines()[0]) from None
    try:
        yield process.pid
    finally:
        process.stop()


def _run(*command: str) -> None:
    """Install something; NotMeasured with the last line that was said if that fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it failed without a word"]
        raise NotMeasured(said[-1])


BRIDGE = "the bridge"
PEERS = {
    "the bare handler": Peer(_bare, "no", "no", "each counts", "no"),
    BRIDGE: Peer(_bridge, "HMAC, timestamp", "yes, fsync", "told by event id", "yes, to Airflow"),
    "webhook 2.8 (Debian)": Peer(
        _webhook, "HMAC, body only", "no: runs a command", "each counts", "no", preset="planasonix-body"
    ),
    "Node-RED 4.1": Peer(_node_red, "no", "no", "each counts", "no"),
    "inbound-webhooks 0.2 in Airflow": Peer(
        _provider,
        "HMAC, body only",
        "yes, in Airflow's database",
        "told by delivery id",
        "no: down with Airflow",
        preset="planasonix-body",
        target="/webhooks/planasonix",
    ),
}
