"""A real bridge as a child process, configured in a folder of its own, for tests that send, kill and look.

bridge = BridgeProcess(tmp_path, airflow_url=airflow.url, mapping=MAPPING)
bridge.start(); answer = bridge.send(body(job="job_1")); bridge.kill(); bridge.start()
"""

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bridge.rules.signature import PRESETS, Key, sign
from deploy.demo.airflow import REPOSITORY
from deploy.demo.processes import Process, free_port
from tests.support.airflow_server.server import PASSWORDS
from tests.support.forkserver import CommandProcess

SECRET = "whsec_01jq8secretxxxxxxxxxxxxxxxx"
TOKEN = "admin-token-of-the-tests-0001"
PYTHON = REPOSITORY / ".venv" / "bin" / "python"
_START_SECONDS = 120.0
# A test waits for a state. How long it may take is no claim about speed, only the end of a wait that is in vain.
PATIENCE_SECONDS = 90.0

CONFIG = """\
sources:
  planasonix:
    signature:
      preset: planasonix
      secrets:
        - {{id: current, env: PLANASONIX_WEBHOOK_SECRET}}
airflow:
  default:
    url: {url}
    auth: {{username: {{env: AIRFLOW_USERNAME}}, password: {{env: AIRFLOW_PASSWORD}}}}
{more}
"""


def body(*, event: str, job: str | None = None, pipeline: str = "pl_8f2a9c1d4e", **parameters: Any) -> bytes:
    """Return the body of a succeeded job, in the rich form of the Planasonix documents."""
    value = {
        "id": event,
        "type": "job.succeeded",
        "timestamp": "2025-03-27T14:26:20Z",
        "job_id": job or f"job_{event}",
        "data": {
            "id": job or f"job_{event}",
            "type": "connection_sync",
            "status": "succeeded",
            "pipeline_id": pipeline,
            "connection_id": "conn_sf_prod",
            "environment": "production",
            "metrics": {"rows_loaded": 44802},
            "parameters": parameters,
        },
    }
    return json.dumps(value).encode()


class BridgeProcess:
    """One bridge: its folder, its ports, its process."""

    def __init__(
        self,
        folder: Path,
        *,
        airflow_url: str,
        mapping: str,
        username: str = "bridge",
        password: str | None = None,
        more: str = "",
        source: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Write the configuration.

        `password` is the user's own unless given, `more` is YAML added below the Airflow, `source` below the source,
        `settings` are more BRIDGE_* variables.
        """
        self.folder = folder
        self.port, self.admin_port = free_port(), free_port()
        written = CONFIG.format(url=airflow_url, more=more)
        (folder / "bridge.yaml").write_text(written.replace("airflow:", f"{source}\nairflow:", 1))
        self.write_mapping(mapping)
        self._env = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")} | {
            "BRIDGE_DATABASE_URL": f"sqlite:///{folder / 'bridge.db'}",
            "BRIDGE_HOST": "127.0.0.1",
            "BRIDGE_PORT": str(self.port),
            "BRIDGE_ADMIN_PORT": str(self.admin_port),
            "BRIDGE_ADMIN_TOKEN": TOKEN,
            "BRIDGE_CONFIG": str(folder / "bridge.yaml"),
            "BRIDGE_MAPPING": str(folder / "mapping.yaml"),
            "BRIDGE_LOG_FORMAT": "json",
            "PLANASONIX_WEBHOOK_SECRET": SECRET,
            "AIRFLOW_USERNAME": username,
            "AIRFLOW_PASSWORD": PASSWORDS[username] if password is None else password,
            **(settings or {}),
        }
        self._release: Path | None = None
        self._command: tuple[str, ...] | None = None
        self.process = self._process()
        self._client = httpx.Client(timeout=120, trust_env=False)

    @property
    def environment(self) -> dict[str, str]:
        """The variables it runs with, for commands beside it."""
        return dict(self._env)

    def use_release(self, folder: Path | None) -> None:
        """Run from the next start on the release unpacked in this folder, with today's libraries; None: today's."""
        self._release = folder
        self.process = self._process()

    def use_command(self, *command: str) -> None:
        """Start it from the next start on by this command, as it stands."""
        self._command = command
        self.process = self._process()

    def set_variable(self, name: str, value: str) -> None:
        """Change a variable for the next start."""
        self._env[name] = value
        self.process = self._process()

    def remove_variable(self, name: str) -> None:
        """Take a variable away for the next start."""
        del self._env[name]
        self.process = self._process()

    @property
    def log(self) -> str:
        """What it wrote to stderr so far."""
        return (self.folder / "bridge.log").read_text()

    def write_mapping(self, text: str) -> None:
        """Replace the mapping file as editors do: write beside it, then rename."""
        beside = self.folder / "mapping.yaml.new"
        beside.write_text(text)
        beside.rename(self.folder / "mapping.yaml")

    def start(self) -> None:
        """Start it and return when it is ready."""
        self.process.start()
        wait_for(lambda: self._is_ready() or not self.process.is_running, seconds=_START_SECONDS, what="ready")
        assert self.process.is_running, self.process.tail()

    def kill(self) -> None:
        """End it as a power cut does."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.kill()

    def stop(self) -> int | None:
        """Ask it to end and return its exit code."""
        self.process.stop(timeout_seconds=40)
        return self.process.exit_code

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self._client.close()

    def send(self, payload: bytes, *, at: int | None = None, path: str = "/hooks/planasonix") -> httpx.Response:
        """Sign as Planasonix does and post."""
        return self._client.post(f"http://127.0.0.1:{self.port}{path}", content=payload, headers=signed(payload, at=at))

    def api(self, path: str, *, post: Any = None, **query: Any) -> Any:
        """Ask the admin API and return its JSON."""
        url = f"http://127.0.0.1:{self.admin_port}/api/v1/{path}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        if post is None:
            answer = self._client.get(url, params=query, headers=headers)
        else:
            answer = self._client.post(url, json=post, headers=headers)
        answer.raise_for_status()
        return answer.json()

    def metrics(self) -> str:
        """Return the exposition."""
        url = f"http://127.0.0.1:{self.admin_port}/metrics"
        return self._client.get(url, headers={"Authorization": f"Bearer {TOKEN}"}).text

    def triggers(self, **query: Any) -> list[dict[str, Any]]:
        """Return the newest triggers."""
        found: list[dict[str, Any]] = self.api("triggers", limit=500, **query)["triggers"]
        return found

    def wait_for_trigger(self, *states: str, seconds: float = 30.0) -> dict[str, Any]:
        """Return the newest trigger once it is in one of these states."""
        wait_for(
            lambda: any(item["state"] in states for item in self.triggers()[:1]),
            seconds=seconds,
            what=lambda: f"a trigger in {states}; there is {self.triggers()}",
        )
        return self.triggers()[0]

    def database(self) -> sqlite3.Connection:
        """Open the store beside the service, as another process would."""
        return sqlite3.connect(self.folder / "bridge.db", isolation_level=None, timeout=120)

    def _process(self) -> Process:
        command, env, log = self._command, self._env, self.folder / "bridge.log"
        if self._release is not None:  # -P: the folder that the tests run in holds today's code
            path = os.pathsep.join([str(self._release), *filter(None, [env.get("PYTHONPATH")])])
            command, env = (str(PYTHON), "-P", "-m", "bridge", "serve"), {**env, "PYTHONPATH": path}
        if command is None:
            return CommandProcess("the bridge", ["serve"], env=env, log=log)
        return Process("the bridge", command, env=env, log=log)

    def is_ready(self) -> bool:
        """Whether /readyz is green."""
        return self._is_ready()

    def _is_ready(self) -> bool:
        try:
            return self._client.get(f"http://127.0.0.1:{self.port}/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


def signed(payload: bytes, *, at: int | None = None) -> dict[str, str]:
    """Return the headers that the sender puts on a body."""
    stamp = int(time.time()) if at is None else at
    headers = sign(PRESETS["planasonix"], Key("current", SECRET.encode()), payload, stamp)
    return headers | {"Content-Type": "application/json"}


def wait_for(is_so: Callable[[], bool], *, seconds: float, what: str | Callable[[], str]) -> None:
    """Poll until something is so; AssertionError with what was waited for.

    `seconds` is how long it takes on a quiet machine at most; a busy one gets PATIENCE_SECONDS.
    """
    seconds = max(seconds, PATIENCE_SECONDS)
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.02)


@contextmanager
def under_load(bridge: BridgeProcess, *, senders: int, name: str = "evt") -> Iterator[dict[str, bytes]]:
    """Send webhooks until the end, or until the bridge is gone; yields the bodies that were answered, by delivery."""
    answered: dict[str, bytes] = {}
    is_over = threading.Event()

    def send(sender: int) -> None:
        count = 0
        while not is_over.is_set():
            count += 1
            payload = body(event=f"{name}_{sender}_{count}")
            try:
                answer = bridge.send(payload)
            except httpx.TransportError:
                return
            assert answer.status_code == 202
            answered[answer.json()["delivery_id"]] = payload

    with ThreadPoolExecutor(senders) as pool:
        sending = [pool.submit(send, sender) for sender in range(senders)]
        try:
            yield answered
        finally:
            is_over.set()
    for each in sending:
        each.result()
