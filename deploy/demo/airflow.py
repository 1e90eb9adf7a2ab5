"""A real Airflow 3 on loopback, as small as it gets: how it is configured, prepared and started.

The demo and the tests both run it through this file. It must never listen beyond loopback: its users have
passwords that are printed, or written in this repository.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.demo.processes import DidNotStart, Process, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
VENV = os.environ.get("BRIDGE_TEST_AIRFLOW", ".venv-airflow")  # `make test-all` runs tests against other releases
PYTHON = REPOSITORY / VENV / "bin" / "python"

# SimpleAuthManager: name -> role. Starting a DAG run takes "user", an asset event "op".
ROLES = {"admin": "admin", "op": "op", "bridge": "user", "viewer": "viewer"}


@dataclass(frozen=True, slots=True)
class Airflow:
    """One Airflow: where it lives and what it is told."""

    home: Path
    dags: Path
    port: int
    database_url: str
    jwt_secret: str = field(repr=False)
    passwords: Mapping[str, str] = field(repr=False)  # one for each of ROLES
    more: Mapping[str, str] = field(default_factory=dict)  # variables beside those of `environment`

    @property
    def url(self) -> str:
        """The address that the bridge is given as `airflow.<name>.url`."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Everything Airflow is told, beside what it inherits (without any AIRFLOW_ or PYTHON setting)."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "PYTHON"))}
        own = {
            "HOME": str(self.home),
            "CORE__DAGS_FOLDER": str(self.dags),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__PARALLELISM": "2",  # each is a process of 100 MB from the start; the default is 32
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "WORKERS__EXECUTION_API_TIMEOUT": "60",  # a busy machine may answer a task later than in 5 s
            "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in ROLES.items()),
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "DATABASE__SQL_ALCHEMY_CONN": self.database_url,
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self.port),
            "API__BASE_URL": self.url,
            "API__WORKERS": "1",
            # Given, not generated: components started together would race to write it into airflow.cfg,
            # and tokens would end with the process that signed them.
            "API__SECRET_KEY": self.jwt_secret,
            "API_AUTH__JWT_SECRET": self.jwt_secret,
            "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
        }
        named = {f"AIRFLOW_{'' if key == 'HOME' else '_'}{key}": value for key, value in own.items()}
        return inherited | named | dict(self.more)

    def prepare(self) -> None:
        """Write the home directory: what Airflow reads from files and not from its environment."""
        self.home.mkdir(parents=True, exist_ok=True)
        passwords = self.home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps(dict(self.passwords)))

    def migrate(self) -> None:
        """Create or upgrade the metadata database (4 s from nothing). Repeatable."""
        self._run("db", "migrate")

    def import_dags(self) -> None:
        """Parse the DAG files into the metadata database, for an Airflow without a dag-processor."""
        self._run("dags", "reserialize")

    def component(self, name: str, *arguments: str) -> Process:
        """Describe one of Airflow's long-running processes: api-server, scheduler or dag-processor."""
        command = [str(PYTHON), "-m", "airflow", name, *arguments]
        return Process(name, command, env=self.environment(), log=self.home / "logs" / f"{name}.log")

    def wait_ready(self, api_server: Process, *, timeout_seconds: float = 180) -> None:
        """Return when the API answers and has its database. Raises DidNotStart."""
        with httpx.Client(base_url=self.url, timeout=5, trust_env=False) as client:
            wait_until(lambda: _is_ready(client), of=api_server, timeout_seconds=timeout_seconds)

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603 - the command is ours
            [str(PYTHON), "-m", "airflow", *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise DidNotStart(f"airflow {' '.join(arguments)} failed\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def _is_ready(client: httpx.Client) -> bool:
    try:
        health = client.get("/api/v2/monitor/health")
    except httpx.TransportError:
        return False
    return health.status_code == httpx.codes.OK and health.json()["metadatabase"]["status"] == "healthy"
