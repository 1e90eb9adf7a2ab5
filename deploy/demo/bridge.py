"""The bridge of the demo, run as its users run it: the `planasonix-bridge` command, settings from the environment."""

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.demo.airflow import REPOSITORY, Airflow
from deploy.demo.home import DEMO, HOME, Secrets, write_private
from deploy.demo.processes import DidNotStart, Process, free_port, wait_until

COMMAND = REPOSITORY / ".venv" / "bin" / "planasonix-bridge"
MAPPING = REPOSITORY / "config" / "mapping.yaml"


@dataclass(frozen=True, slots=True)
class Bridge:
    """One bridge on loopback: its ports and the secrets it was given."""

    port: int
    admin_port: int
    airflow_username: str
    secrets: Secrets

    @property
    def hook_url(self) -> str:
        """Where webhooks go."""
        return f"http://127.0.0.1:{self.port}/hooks/planasonix"

    @property
    def admin_url(self) -> str:
        """Where people look."""
        return f"http://127.0.0.1:{self.admin_port}"

    def settings(self) -> dict[str, str]:
        """Every variable the bridge is told."""
        return {
            "BRIDGE_DATABASE_URL": f"sqlite:///{HOME / 'bridge.db'}",
            "BRIDGE_HOST": "127.0.0.1",
            "BRIDGE_PORT": str(self.port),
            "BRIDGE_ADMIN_HOST": "127.0.0.1",
            "BRIDGE_ADMIN_PORT": str(self.admin_port),
            "BRIDGE_ADMIN_TOKEN": self.secrets.admin_token,
            "BRIDGE_CONFIG": str(HOME / "bridge.yaml"),
            "BRIDGE_MAPPING": str(MAPPING),
            "PLANASONIX_WEBHOOK_SECRET": self.secrets.webhook_secret,
            "AIRFLOW_USERNAME": self.airflow_username,
            "AIRFLOW_PASSWORD": self.secrets.passwords[self.airflow_username],
        }

    def environment(self) -> dict[str, str]:
        """The settings over what is inherited, without settings of some other bridge."""
        return {k: v for k, v in os.environ.items() if not k.startswith(("BRIDGE_", "PYTHON"))} | self.settings()

    def serve(self) -> Process:
        """Describe the service as a child process."""
        command = [str(COMMAND), "serve"]
        return Process("the bridge", command, env=self.environment(), log=HOME / "bridge.log")

    def wait_ready(self, service: Process) -> None:
        """Return when webhooks may be sent. Raises DidNotStart."""
        url = f"http://127.0.0.1:{self.port}/readyz"
        with httpx.Client(timeout=5, trust_env=False) as client:
            wait_until(lambda: _is_ok(client, url), of=service, timeout_seconds=60)

    def send(self, payload: Path) -> str:
        """Sign a payload as Planasonix does, post it, and return what the command printed. Raises DidNotStart."""
        command = [str(COMMAND), "send", str(payload), "--url", self.hook_url]
        done = subprocess.run(  # noqa: S603 - the command is ours
            command, env=self.environment(), capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode != 0:
            raise DidNotStart(f"sending failed with exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()


def configure_bridge(airflow: Airflow, own: Secrets) -> Bridge:
    """Find free ports (8080 and 8081 if they are), and write bridge.yaml and the environment for other terminals."""
    port = free_port(8080)
    admin_port = free_port(8081)
    bridge = Bridge(port=port, admin_port=admin_port, airflow_username="bridge", secrets=own)
    text = (DEMO / "bridge.yaml").read_text()
    (HOME / "bridge.yaml").write_text(text.replace("http://127.0.0.1:8088", airflow.url))
    lines = [f"export {name}={shlex.quote(value)}" for name, value in bridge.settings().items()]
    lines.append(f'export PATH={shlex.quote(str(COMMAND.parent))}:"$PATH"')
    write_private(HOME / "env", "\n".join(lines) + "\n")
    return bridge


def _is_ok(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
