"""A rendered pod as processes on this machine: its variables, arguments and files, relocated."""

import os
import subprocess
from pathlib import Path

import certifi

from deploy.demo.processes import free_port
from tests.chart.support import Manifest, Projected, of_kind
from tests.support import forkserver
from tests.support.service import SECRET, TOKEN

SECRETS = {
    "webhook-secret": SECRET,
    "admin-token": TOKEN,
    "airflow-username": "bridge",
    "airflow-password": "bridge",
    "token": "a-token",
    "ca.pem": Path(certifi.where()).read_text(),
}


class Pod:
    """One rendered pod as processes on this machine: /etc/bridge and /data are folders, the ports are free ones."""

    def __init__(
        self, folder: Path, pod: Manifest, objects: list[Manifest], *, airflow_url: str = "http://127.0.0.1:9"
    ) -> None:
        """Lay out every volume as the kubelet would."""
        self.folder, self.spec = folder, pod["spec"]
        self.port, self.admin_port = free_port(), free_port()
        self.folders: dict[str, Projected] = {}
        maps = {item["metadata"]["name"]: item["data"] for item in of_kind(objects, "ConfigMap")}
        (folder / "data").mkdir(exist_ok=True)
        mounts = {mount["name"]: mount["mountPath"] for mount in self.spec["containers"][0]["volumeMounts"]}
        for volume in self.spec["volumes"]:
            if "emptyDir" in volume or volume["name"] not in mounts:
                continue
            files = maps[volume["configMap"]["name"]] if "configMap" in volume else SECRETS
            moved = {name: self.moved(text, airflow_url) for name, text in files.items()}
            self.folders[volume["name"]] = Projected(Path(self.moved(mounts[volume["name"]])), moved)

    def moved(self, text: str, airflow_url: str = "") -> str:
        """Replace the pod's places by this machine's."""
        text = text.replace("http://airflow-api-server.airflow.svc.cluster.local:8080", airflow_url)
        return text.replace("/etc/bridge", f"{self.folder}/etc").replace("/data", f"{self.folder}/data")

    def environment(self, container: Manifest) -> dict[str, str]:
        """Return the container's variables, and nothing of the tests' own but the proxy-free basics."""
        mine = {item["name"]: self.moved(item["value"]) for item in container["env"]}
        ports = {"BRIDGE_PORT": str(self.port), "BRIDGE_ADMIN_PORT": str(self.admin_port)}
        return {"PATH": os.environ["PATH"]} | mine | ports

    def run(self, name: str, *, port: int | None = None) -> "subprocess.CompletedProcess[str]":
        """Run a container to its end."""
        every = [*self.spec.get("initContainers", []), *self.spec["containers"]]
        (container,) = [item for item in every if item["name"] == name]
        arguments = [self.moved(item) for item in container["args"]]
        if port is not None:
            arguments = [
                f"--url=http://127.0.0.1:{port}/hooks/planasonix" if "--url=" in item else item for item in arguments
            ]
        return forkserver.run(*arguments, env=self.environment(container), cwd=self.folder)
