"""The plain manifests are the chart's, and kustomize builds them."""

import json
import subprocess
from pathlib import Path

import pytest

from deploy.plain.readme import rows
from deploy.plain.write import NAMESPACE, PLAIN, copies, manifests
from tests.chart.support import CHART, KUBECTL, TOOLS, containers, of_kind, pods, read_all


def test_plain_manifests_are_in_step_with_the_chart() -> None:
    """`make plain` would change nothing, and kustomization.yaml lists every file that it makes."""
    made = copies() | manifests()
    assert [path.name for path, text in made.items() if path.read_text() != text] == []
    listed = read_all((PLAIN / "kustomization.yaml").read_text())[0]["resources"]
    assert set(listed) == {path.name for path in manifests()}


def test_the_readme_of_the_chart_has_every_value() -> None:
    """A row with the default and what it is for, in the order of values.yaml."""
    listed = {path: what for path, _, what in rows((CHART / "values.yaml").read_text())}
    (values,) = read_all((CHART / "values.yaml").read_text())

    def leaves(value: object, path: str) -> list[str]:
        if not isinstance(value, dict) or not value or "labels" in path.lower():
            return [path]
        return [leaf for key, below in value.items() for leaf in leaves(below, f"{path}.{key}".lstrip("."))]

    assert [
        path for path in leaves(values, "") if not listed.get(path, "") and not listed.get(path.rpartition(".")[0])
    ] == []


@pytest.mark.parametrize("version", ["1.35", "1.36", "1.37"])
def test_kustomize_builds_what_kubernetes_takes(version: str, tmp_path: Path) -> None:
    """Every object fits the strict schema, lies in the namespace and finds the ConfigMaps it mounts."""
    done = subprocess.run([KUBECTL, "kustomize", PLAIN], capture_output=True, text=True, check=True)
    objects = read_all(done.stdout)
    file = tmp_path / "objects.yaml"
    file.write_text("".join(f"---\n{json.dumps(item)}\n" for item in objects))
    command = [TOOLS / "kubernetes-validate", "-k", version, "--strict", file]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert {item["metadata"]["namespace"] for item in objects} == {NAMESPACE}
    assert of_kind(objects, "Namespace") == []  # `kubectl delete -k` would take it, and the volume with it
    made = {item["metadata"]["name"]: set(item["data"]) for item in of_kind(objects, "ConfigMap")}
    ((_, pod),) = pods(objects)
    used = {item["configMap"]["name"] for item in pod["spec"]["volumes"] if "configMap" in item}
    assert made == {"planasonix-bridge-config": {"bridge.yaml"}, "planasonix-bridge-mapping": {"mapping.yaml"}}
    assert used == set(made)
    assert [item["name"] for item in containers(pod)] == ["check", "migrate", "bridge"]
