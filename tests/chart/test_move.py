"""The pod that moves a store fits the release whose volume it takes."""

import subprocess

from deploy.demo.airflow import REPOSITORY
from tests.chart.support import TOOLS, of_kind, read_all, render

FILE = REPOSITORY / "deploy" / "move" / "pod.yaml"


def test_the_pod_that_moves_a_store_takes_the_volume_of_the_release() -> None:
    """Its claim, user, place of the file and Secret are those of the chart; strictly what Kubernetes takes."""
    command = [TOOLS / "kubernetes-validate", "-k", "1.37", "--strict", FILE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (pod,) = read_all(FILE.read_text())
    (workload,) = of_kind(render({}), "StatefulSet")
    (container,) = pod["spec"]["containers"]
    own = workload["spec"]["template"]["spec"]
    volumes = {item["name"]: item for item in pod["spec"]["volumes"]}
    claim = f"{workload['spec']['volumeClaimTemplates'][0]['metadata']['name']}-{workload['metadata']['name']}-0"
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == claim
    assert pod["spec"]["securityContext"].items() <= own["securityContext"].items()
    assert container["securityContext"] == own["containers"][0]["securityContext"]
    url = next(item["value"] for item in own["containers"][0]["env"] if item["name"] == "BRIDGE_DATABASE_URL")
    assert container["env"] == [{"name": "BRIDGE_DATABASE_URL", "value": url}]
    assert "labels" not in pod["metadata"]  # else the release's NetworkPolicy, without PostgreSQL, would hold it
