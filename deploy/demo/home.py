"""What the demo keeps in `.demo/`, so that the second run starts in seconds: secrets, Airflow's home, the store.

Deleting the directory is always safe and starts over.
"""

import fcntl
import hashlib
import json
import os
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from bridge.rules import samples
from deploy.demo.airflow import REPOSITORY, ROLES, Airflow
from deploy.demo.processes import free_port

HOME = REPOSITORY / ".demo"
PROVIDER = HOME / "provider"  # what is installed into Airflow, unpacked
DEMO = Path(__file__).parent
_LOCK = REPOSITORY / "requirements" / "airflow.txt"


class AlreadyRunning(Exception):
    """Another demo uses this clone."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("another demo is running in this clone: stop it with Ctrl-C where it runs")


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made once per clone; they protect nothing but loopback from its other users."""

    webhook_secret: str = field(repr=False)
    admin_token: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    passwords: dict[str, str] = field(repr=False)


def open_home() -> IO[str]:
    """Create `.demo/` and lock it as long as the returned file is open. Raises AlreadyRunning."""
    HOME.mkdir(mode=0o700, exist_ok=True)
    lock = (HOME / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise AlreadyRunning from None
    return lock


def load_secrets() -> Secrets:
    """Read the secrets of this clone, making them the first time."""
    path = HOME / "secrets.json"
    if not path.exists():
        fresh = {
            "webhook_secret": f"whsec_{secrets.token_urlsafe(24)}",
            "admin_token": secrets.token_urlsafe(24),
            "jwt_secret": secrets.token_urlsafe(64),
            "passwords": {name: secrets.token_urlsafe(9) for name in ROLES},
        }
        write_private(path, json.dumps(fresh))
    return Secrets(**json.loads(path.read_text()))


def configure_airflow(own: Secrets) -> Airflow:
    """Describe the demo's Airflow, on port 8088 or any free one."""
    home = HOME / "airflow"
    return Airflow(
        home=home,
        dags=DEMO / "dags",
        port=free_port(8088),
        database_url=f"sqlite:///{home / 'airflow.db'}",
        jwt_secret=own.jwt_secret,
        passwords=own.passwords,
        more={"PYTHONPATH": str(PROVIDER)},
    )


def is_migrated() -> bool:
    """Whether the metadata database fits the Airflow that is installed."""
    stamp = HOME / "airflow" / "migrated-for"
    return stamp.exists() and stamp.read_text() == _installed()


def note_migrated() -> None:
    """Remember that it does."""
    (HOME / "airflow" / "migrated-for").write_text(_installed())


def write_payload(name: str, *, pipeline_id: str, **parameters: object) -> tuple[Path, str]:
    """Write the event of a job, with ids that no earlier demo used and today's time; return its path and event id."""
    now = datetime.now(UTC)
    instant = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    ids = {"id": f"evt_demo_{name}", "job_id": f"job_demo_{name}", "pipeline_id": pipeline_id}
    more = {"parameters": parameters, "metadata": {"triggered_by": "demo"}, "connection_id": "conn_sf_demo"}
    about = {**ids, **more, "occurred_at": instant, "finished_at": instant}
    event = samples.renamed(samples.changed("job.succeeded", about), f"_{now:%Y%m%d%H%M%S}")
    path = HOME / f"{name}.json"
    path.write_text(json.dumps(event, indent=2) + "\n")
    return path, event["id"]


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_text(text)


def shown(path: Path) -> str:
    """Return a path as a person in the clone's directory would type it."""
    return os.path.relpath(path)


def _installed() -> str:
    return hashlib.sha256(_LOCK.read_bytes()).hexdigest()
