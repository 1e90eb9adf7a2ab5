"""One real Airflow 3 for a test session: an api-server on PostgreSQL, and a scheduler when a test asks for one.

A migrated metadata database is kept below `.cache/`, under a name made from everything it depends on, and every
session starts from a copy: migrating takes 10 s, copying 0.2 s. The kept one is never run and never written to.
"""

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.demo.airflow import REPOSITORY, ROLES, VENV, Airflow
from deploy.demo.airflow_api import AirflowApi
from deploy.demo.processes import Process, free_port, wait_until
from tests.support.airflow_server import tokens
from tests.support.airflow_server.postgres import PostgresServer

DAGS = Path(__file__).parent / "dags"
JWT_SECRET = "a-key-that-only-tests-know-and-that-is-long-enough-for-hs512-0123456789"
PASSWORDS = {name: f"{name}-password" for name in ROLES}

_CACHE = REPOSITORY / ".cache"
_DATABASE = "airflow"
_PROVIDER = REPOSITORY / "deploy" / "airflow"  # for the DAG `parked_loads`; a provider it is only as a wheel
_NO_PROXY = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
# What a test session writes need not survive a power cut.
_OPTIONS = {"fsync": "off", "full_page_writes": "off"}


class AirflowServer:
    """An Airflow that accepts DAG runs; they stay queued unless the scheduler is started."""

    def __init__(self, *, more: Mapping[str, str] | None = None, dags: Path = DAGS, beside: Path | None = None) -> None:
        """Start PostgreSQL and the api-server. Raises DidNotStart.

        `more` are variables for an Airflow with something installed beside it; its tables are made first. `dags` is a
        folder of a test's own, read anew all the time once the scheduler is started. `beside` is what can be imported
        there, too, and needs no tables.
        """
        self._home = Path(tempfile.mkdtemp(prefix="airflow-"))
        self._postgres = _copy_of_prepared_cluster()
        self._postgres.start()
        settings = {"PYTHONPATH": str(beside or _PROVIDER)} | dict(more or {})
        self._airflow = _configured(self._home, self._postgres, port=free_port(), more=settings, dags=dags)
        self._airflow.prepare()
        if more:
            self._airflow.migrate()
        self._api_server = self._airflow.component("api-server")
        self._executing = [
            self._airflow.component("scheduler", "--skip-serve-logs"),
            self._airflow.component("dag-processor"),
        ]
        self._api = AirflowApi(self.url, username="admin", password=PASSWORDS["admin"])
        self.start()

    @property
    def pids(self) -> tuple[int, int]:
        """The api-server's process, and PostgreSQL's."""
        return self._api_server.pid, self._postgres.pid

    @property
    def url(self) -> str:
        """The base URL, without `/api/v2`; the same over every stop and start."""
        return self._airflow.url

    @property
    def passwords(self) -> dict[str, str]:
        """User name to password: admin, op, bridge (may start DAG runs), viewer (may not)."""
        return dict(PASSWORDS)

    @property
    def scheduler(self) -> Process:
        """Its scheduler, to be killed; its workers die with it."""
        return self._executing[0]

    def component(self, name: str, *arguments: str) -> Process:
        """Describe another of its processes: the triggerer."""
        return self._airflow.component(name, *arguments)

    def get(self, path: str) -> Any:
        """Ask the REST API as admin; `path` below `/api/v2`."""
        return self._api.call("GET", path).raise_for_status().json()

    @property
    def api(self) -> AirflowApi:
        """The REST API as admin."""
        return self._api

    def start(self) -> None:
        """Start the api-server, if it is not running, and return when it answers (5 s)."""
        if not self._api_server.is_running:
            self._api_server.start()
            self._airflow.wait_ready(self._api_server)

    def stop(self) -> None:
        """Kill the api-server as an outage does; its port and database stay."""
        self._api_server.kill()

    def change_signing_key(self) -> None:
        """Restart the api-server with another signing key, as a careless redeploy does: every token is refused."""
        self.stop()
        self._airflow = replace(self._airflow, jwt_secret=f"another-{self._airflow.jwt_secret}")
        self._api_server = self._airflow.component("api-server")
        self.start()
        self._api.close()
        self._api = AirflowApi(self.url, username="admin", password=PASSWORDS["admin"])

    def start_scheduler(self) -> None:
        """Start scheduler and dag-processor, so that DAG runs are executed; return when the scheduler beats."""
        for process in self._executing:
            process.start()
        wait_until(self._scheduler_is_healthy, of=self._executing[0], timeout_seconds=600)

    def stop_scheduler(self) -> None:
        """Stop scheduler and dag-processor."""
        for process in self._executing:
            process.stop()

    def close(self) -> None:
        """Stop everything and delete what it wrote."""
        self._api.close()
        self.stop_scheduler()
        self.stop()
        self._postgres.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def reset(self) -> None:
        """Bring it back to how a test finds it: running, without DAG runs, only `paused_dag` paused."""
        self.start()
        self._postgres.execute("DELETE FROM dag_run", database=_DATABASE)
        self._postgres.execute("UPDATE dag SET is_paused = (dag_id = 'paused_dag')", database=_DATABASE)

    def token(self, username: str = "bridge") -> str:
        """Sign in as one of the users and return the bearer token."""
        with AirflowApi(self.url, username=username, password=PASSWORDS[username]) as api:
            return api.token()

    def expired_token(self, username: str = "bridge") -> str:
        """A token that was genuine and expired an hour ago."""
        return tokens.sign(username, secret=JWT_SECRET, expires_in_seconds=-3600)

    def trigger(self, dag_id: str, dag_run_id: str, conf: dict[str, Any] | None = None) -> None:
        """Start a DAG run past the bridge. Raises httpx.HTTPStatusError."""
        self._api.trigger(dag_id, dag_run_id, conf).raise_for_status()

    def run(self, dag_id: str, dag_run_id: str) -> dict[str, Any] | None:
        """One DAG run; None when there is none."""
        return self._api.run(dag_id, dag_run_id)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Every DAG run of a DAG, oldest first."""
        return self._api.runs(dag_id)

    def delete_run(self, dag_id: str, dag_run_id: str) -> None:
        """Delete a DAG run, which frees its id."""
        self._api.delete_run(dag_id, dag_run_id)

    def pause(self, dag_id: str, is_paused: bool = True) -> None:
        """Pause or unpause a DAG; the next test finds it as it was."""
        self._api.pause(dag_id, is_paused)

    def has_dag(self, dag_id: str) -> bool:
        """Whether the DAG is known and its file is still there."""
        return self._api.has_dag(dag_id)

    def broken_files(self) -> list[str]:
        """Return the files that it could not read."""
        return [error["filename"] for error in self._api.call("GET", "/importErrors").json()["import_errors"]]

    def _scheduler_is_healthy(self) -> bool:
        health = self._api.call("GET", "/monitor/health").json()
        return bool(health["scheduler"]["status"] == "healthy")


def _configured(
    home: Path, postgres: PostgresServer, *, port: int, more: Mapping[str, str], dags: Path = DAGS
) -> Airflow:
    return Airflow(
        home=home,
        dags=dags,
        port=port,
        database_url=postgres.url(_DATABASE, driver="psycopg2"),
        jwt_secret=JWT_SECRET,
        passwords=PASSWORDS,
        more=_NO_PROXY | dict(more),
    )


def _copy_of_prepared_cluster() -> PostgresServer:
    """A cluster with a migrated metadata database that knows the test DAGs; prepares it when missing."""
    name = f"{VENV.removeprefix('.venv-')}-postgres"
    cluster = _CACHE / f"{name}-{_fingerprint()}"
    with _locked(_CACHE / f"{name}.lock"):
        if not cluster.exists():
            for outdated in _CACHE.glob(f"{name}-*"):
                shutil.rmtree(outdated)
            _prepare(cluster)
        return PostgresServer(copy_of=cluster, options=_OPTIONS)


def _prepare(cluster: Path) -> None:
    home = Path(tempfile.mkdtemp(prefix="airflow-"))
    postgres = PostgresServer(options=_OPTIONS)
    try:
        postgres.start()
        postgres.create_database(_DATABASE)
        airflow = _configured(home, postgres, port=free_port(), more={"PYTHONPATH": str(_PROVIDER)})
        airflow.prepare()
        airflow.migrate()
        airflow.import_dags()
        postgres.pause()
        unfinished = cluster.with_name(f"{cluster.name}.unfinished")
        shutil.copytree(postgres.cluster, unfinished)
        unfinished.rename(cluster)
    finally:
        postgres.stop()
        shutil.rmtree(home, ignore_errors=True)


def _fingerprint() -> str:
    """Changes with the versions of Airflow and PostgreSQL, with the DAGs and with where they are."""
    digest = hashlib.sha256(str(DAGS).encode())
    locks = [REPOSITORY / "requirements" / name for name in (f"{VENV.removeprefix('.venv-')}.txt", "dev.txt")]
    for path in [*locks, *sorted(DAGS.glob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one test session at a time through: two may start together in one clone."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
