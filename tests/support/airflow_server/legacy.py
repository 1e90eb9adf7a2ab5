"""One real Airflow 2 for a test session: a webserver on SQLite, and a scheduler when a test asks for one.

As beside `server`, a migrated home is kept below `.cache/`, under a name made from everything it depends on; migrating,
making users and parsing takes half a minute, copying nothing. SQLite bears one writer: ask from one thread.
"""

import fcntl
import hashlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from deploy.demo.airflow import REPOSITORY
from deploy.demo.processes import DidNotStart, Process, free_port, wait_until

PYTHON = REPOSITORY / ".venv-airflow2" / "bin" / "python"
DAGS = Path(__file__).parent / "dags2"
ROLES = {"admin": "Admin", "bridge": "User", "viewer": "Viewer"}
PASSWORDS = {name: f"{name}-password" for name in ROLES}
_CACHE = REPOSITORY / ".cache"
_API = "/api/v1"


class LegacyAirflowServer:
    """An Airflow 2 that accepts DAG runs; they stay queued unless the scheduler is started."""

    def __init__(self, *, more: Mapping[str, str] | None = None, dags: Path = DAGS) -> None:
        """Start the webserver. Raises DidNotStart.

        `more` are variables for an Airflow with something installed beside it. `dags` is a folder of a test's own, read
        anew all the time once the scheduler is started.
        """
        self._home = Path(tempfile.mkdtemp(prefix="airflow2-"))
        shutil.copytree(_prepared_home(), self._home, dirs_exist_ok=True)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._environment = _environment(self._home, port=httpx.URL(self.url).port or 0, dags=dags) | dict(more or {})
        self._webserver = self.component("webserver")
        self.scheduler = self.component("scheduler")
        self._client = httpx.Client(base_url=self.url, auth=("admin", PASSWORDS["admin"]), timeout=120, trust_env=False)
        self._webserver.start()
        wait_until(self._is_ready, of=self._webserver, timeout_seconds=600)

    def close(self) -> None:
        """Stop it and delete what it wrote."""
        self._client.close()
        self.scheduler.stop()
        self._webserver.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def start_scheduler(self) -> None:
        """Start the scheduler, which parses the files, too; return when it beats."""
        self.scheduler.start()
        wait_until(lambda: self._is_healthy("scheduler"), of=self.scheduler, timeout_seconds=600)

    def reset(self) -> None:
        """Bring it back to how a test of the contract finds it: without DAG runs, only `paused_dag` paused."""
        for run in self.runs("~"):
            self.delete_run(run["dag_id"], run["dag_run_id"])
        self.pause("refresh_sales_marts", is_paused=False)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Every DAG run of a DAG, or of all for `~`, oldest first; at most 100."""
        found = self._call("GET", f"/dags/{dag_id}/dagRuns", params={"limit": 100, "order_by": "id"})
        return list(found.json()["dag_runs"])

    def trigger(self, dag_id: str, dag_run_id: str, conf: dict[str, Any]) -> None:
        """Start a DAG run past the bridge."""
        self._call("POST", f"/dags/{dag_id}/dagRuns", json={"dag_run_id": dag_run_id, "conf": conf})

    def delete_run(self, dag_id: str, dag_run_id: str) -> None:
        """Delete a DAG run, which frees its id."""
        self._call("DELETE", f"/dags/{dag_id}/dagRuns/{dag_run_id}")

    def pause(self, dag_id: str, *, is_paused: bool) -> None:
        """Pause or unpause a DAG."""
        self._call("PATCH", f"/dags/{dag_id}", json={"is_paused": is_paused})

    def has_dag(self, dag_id: str) -> bool:
        """Whether the DAG is known and its file is still there."""
        answer = self._client.get(f"{_API}/dags/{dag_id}")
        return answer.status_code == httpx.codes.OK and answer.json()["is_active"]

    def broken_files(self) -> list[str]:
        """Return the files that it could not read."""
        return [error["filename"] for error in self._call("GET", "/importErrors").json()["import_errors"]]

    def get(self, path: str) -> Any:
        """Ask the REST API as admin; `path` below `/api/v1`."""
        return self._call("GET", path).json()

    def component(self, name: str, *arguments: str) -> Process:
        """Describe one of its processes."""
        command = [str(PYTHON), "-m", "airflow", name, *arguments]
        return Process(name, command, env=self._environment, log=self._home / f"{name}.log")

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._client.request(method, _API + path, **options).raise_for_status()

    def _is_ready(self) -> bool:
        return self._is_healthy("metadatabase")

    def _is_healthy(self, part: str) -> bool:
        try:
            health = self._client.get(f"{_API}/health")
        except httpx.TransportError:
            return False
        return health.status_code == httpx.codes.OK and health.json()[part]["status"] == "healthy"


def _environment(home: Path, *, port: int = 0, dags: Path = DAGS) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "PYTHON"))}
    own = {
        "HOME": str(home),
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__EXECUTOR": "SequentialExecutor",
        "CORE__FERNET_KEY": "",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth",
        "WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
        "WEBSERVER__WEB_SERVER_PORT": str(port),
        "WEBSERVER__WORKERS": "1",
        "WEBSERVER__SECRET_KEY": "a-key-that-only-tests-know",
        "WEBSERVER__UPDATE_FAB_PERMS": "False",  # done once, in the prepared home
        "WEBSERVER__WEB_SERVER_MASTER_TIMEOUT": "600",
        "SCHEDULER__DAG_DIR_LIST_INTERVAL": "2",
        "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "1",
        "SCHEDULER__PARSING_CLEANUP_INTERVAL": "2",
    }
    inherited["PATH"] = f"{PYTHON.parent}{os.pathsep}{inherited['PATH']}"  # a task is started as `airflow tasks run`
    return inherited | {f"AIRFLOW_{'' if name == 'HOME' else '_'}{name}": value for name, value in own.items()}


def _prepared_home() -> Path:
    """A home with a migrated database that knows users and DAGs; prepares it when missing."""
    home = _CACHE / f"airflow2-{_fingerprint()}"
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / "airflow2.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            for outdated in _CACHE.glob("airflow2-*"):
                shutil.rmtree(outdated)
            _prepare(home)
    return home


def _prepare(home: Path) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix="airflow2-unfinished-"))
    try:
        _run(unfinished, "db", "migrate")
        _run(unfinished, "sync-perm")
        for name, role in ROLES.items():
            who = ["--username", name, "--password", PASSWORDS[name], "--firstname", name, "--lastname", name]
            _run(unfinished, "users", "create", *who, "--role", role, "--email", f"{name}@example.com")
        _run(unfinished, "dags", "reserialize")
        with closing(sqlite3.connect(unfinished / "airflow.db")) as database:
            database.execute("PRAGMA journal_mode = WAL")  # so that whoever reads does not keep the scheduler waiting
        shutil.copytree(unfinished, home)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _run(home: Path, *arguments: str) -> None:
    command = [str(PYTHON), "-m", "airflow", *arguments]
    done = subprocess.run(
        command, env=_environment(home), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise DidNotStart(f"airflow {arguments[0]} failed\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def _fingerprint() -> str:
    """Changes with the version of Airflow, with the DAGs and with where they are."""
    digest = hashlib.sha256(str(DAGS).encode())
    for path in [REPOSITORY / "requirements" / "airflow2.txt", Path(__file__), *sorted(DAGS.glob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
