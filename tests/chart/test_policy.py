"""Policy checks that a platform team runs: checkov, the restricted Pod Security Standard, hadolint.

What is skipped is named here with its reason; everything else must pass.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest

from deploy.demo.airflow import REPOSITORY
from tests.chart.support import DIGEST, MATRIX, POSTGRESQL, TOOLS, Manifest, containers, of_kind, pods, render

each = pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX)
# Not of the bridge: a pod that ends by itself has nothing to be probed.
SKIPPED = {(rule, pod) for rule in ("CKV_K8S_8", "CKV_K8S_9") for pod in ("test", "check")}
HARDENED = {"image": {"digest": DIGEST, "pullPolicy": "Always"}}


@pytest.mark.parametrize("store", [{}, {"store": POSTGRESQL, "replicas": 2}], ids=["sqlite", "postgresql"])
def test_checkov_is_content(store: Manifest, tmp_path: Path) -> None:
    """Every Kubernetes policy of checkov passes, once the image is named by its digest."""
    objects = render(HARDENED | store)
    file = tmp_path / "objects.yaml"
    file.write_text("".join(f"---\n{json.dumps(item)}\n" for item in objects))
    command = [TOOLS / "checkov", "--framework", "kubernetes", "--skip-download", "--output", "json", "--file", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 100
    assert report["summary"]["parsing_errors"] == 0
    failed = {(item["check_id"], item["resource"].rpartition("-")[2]) for item in report["results"]["failed_checks"]}
    assert failed - SKIPPED == set()


@each
def test_pods_are_restricted(values: Manifest) -> None:
    """Every pod fits the restricted Pod Security Standard, has a read-only root and no API token."""
    for _, pod in pods(render(values)):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"))
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"].get("runAsUser", 1) > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        kinds = {next(key for key in volume if key != "name") for volume in spec.get("volumes", [])}
        assert kinds <= {"configMap", "secret", "emptyDir"}
        for item in containers(pod):
            assert item["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert all("hostPort" not in port for port in item.get("ports", []))
            assert item["terminationMessagePolicy"] == "FallbackToLogsOnError"


@each
def test_images_are_pinned_and_limits_set(values: Manifest) -> None:
    """No image without a tag or with latest; no container without limits."""
    for _, pod in pods(render(values)):
        for item in containers(pod):
            tag = re.fullmatch(r"[^:@]+:([\w.-]+)(@sha256:[0-9a-f]{64})?", item["image"])
            assert tag
            assert tag[1] != "latest"
            assert set(item["resources"]["limits"]) >= {"cpu", "memory"}


@each
def test_no_secret_is_in_an_object(values: Manifest) -> None:
    """The chart makes no Secret, and refers to those there are by name only."""
    objects = render(values)
    assert of_kind(objects, "Secret", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding") == []


def test_hadolint_is_content() -> None:
    """No Dockerfile has a finding of hadolint; what they ignore has its reason in the line above."""
    files = [REPOSITORY / "Dockerfile", REPOSITORY / "deploy" / "auth" / "Dockerfile"]
    done = subprocess.run([TOOLS / "hadolint", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_is_what_the_chart_expects() -> None:
    """User, folders and ports of the Dockerfile are those of the pods; the last stage runs nothing."""
    text = (REPOSITORY / "Dockerfile").read_text()
    last = text.rpartition("\nFROM ")[2]
    assert re.findall(r"^RUN ", last, re.MULTILINE) == []
    assert len(re.findall(r"^(?:COPY|ADD|RUN) ", last, re.MULTILINE)) == 2
    (workload,) = of_kind(render({}), "StatefulSet")
    spec = workload["spec"]["template"]["spec"]
    user, group = spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]
    assert f"\nUSER {user}:{group}\n" in last
    assert "\nSTOPSIGNAL SIGTERM\n" in last
    assert "\nHEALTHCHECK " in last
    variables = {item["name"]: item["value"] for item in spec["containers"][0]["env"]}
    for name in ("BRIDGE_CONFIG", "BRIDGE_MAPPING", "BRIDGE_DATABASE_URL"):
        assert f"{name}={variables[name]}" in last
    assert not re.search(r"^ARG BASE=", text, re.MULTILINE)  # no tag that could change


@pytest.mark.parametrize("base", ["", "python:3.11-slim"])
def test_a_base_without_a_digest_is_refused(base: str) -> None:
    """The script names what to give instead, and builds nothing."""
    script = REPOSITORY / "deploy" / "image" / "build.sh"
    environ = {"PATH": "/usr/bin:/bin", "BASE": base}
    done = subprocess.run([script], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "BASE must name an image by its digest" in done.stderr
