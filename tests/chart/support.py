"""Render the chart with the real helm, and read what came out.

Everything here calls the tools that `make setup` unpacked; nothing talks to a cluster.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from deploy.demo.airflow import REPOSITORY

CHART = REPOSITORY / "deploy" / "chart"
HELM = REPOSITORY / ".cache" / "kube" / "helm"
KUBECTL = REPOSITORY / ".cache" / "kube" / "kubectl"
TOOLS = REPOSITORY / ".venv-chart" / "bin"
DIGEST = "sha256:" + "0123456789abcdef" * 4
POSTGRESQL = {
    "type": "postgresql",
    "postgresql": {"url": "postgresql://bridge@db.postgresql.svc/bridge", "passwordSecret": "bridge-database"},
}
EVERYBODY = [{"ipBlock": {"cidr": "0.0.0.0/0"}}]
Manifest = dict[str, Any]
# A container of the user's own that keeps the rules which the tests hold the chart's to.
SIDECAR: Manifest = {
    "image": "proxy:1",
    "terminationMessagePolicy": "FallbackToLogsOnError",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
    "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"cpu": "1", "memory": "64Mi"}},
    "env": [],
    "volumeMounts": [],
}

# What people really choose, and everything switched on at once.
MATRIX: dict[str, Manifest] = {
    "default": {},
    "postgresql": {"store": POSTGRESQL, "replicas": 3},
    "autoscaled": {
        "store": POSTGRESQL,
        "autoscaling": {"enabled": True, "waitingSeconds": 60},
        "podDisruptionBudget": {"maxUnavailable": "25%"},
        "topologySpread": {"whenUnsatisfiable": "DoNotSchedule"},
    },
    "ingress": {
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "host": "hooks.example.com",
            "tlsSecret": "hooks-tls",
            "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "1m"},
        }
    },
    "gateway": {
        "httpRoute": {
            "enabled": True,
            "hostnames": ["hooks.example.com"],
            "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
        },
        "service": {"type": "NodePort"},
        "networkPolicy": {"ingressControllers": EVERYBODY},
    },
    "monitored": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "operatorToken": {"secret": "bridge-people"},
        "viewerToken": {"secret": "bridge-people"},
        "metricsToken": {"secret": "bridge-metrics"},
        "outcomesToken": {"secret": "bridge-outcomes", "key": "token"},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
    },
    "encrypted": {
        "serviceMonitor": {"enabled": True},
        "adminTls": {"secret": "bridge-admin-tls", "caKey": "ca.crt"},
    },
    "existing": {
        "config": {"existingConfigMap": "my-config"},
        "mapping": {"existingConfigMap": "my-mapping"},
        "secrets": ["one.with.dots", "two"],
        "serviceAccount": {"create": False},
        "image": {"digest": DIGEST, "pullSecrets": ["regcred"]},
    },
    "least": {
        "migration": {"enabled": False},
        "check": {"enabled": False},
        "test": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "topologySpread": {"enabled": False},
        "preStopSeconds": 0,
    },
    "everything": {
        "fullnameOverride": "b" * 60,
        "store": {"sqlite": {"storageClass": "fast", "keepVolume": False, "accessMode": "ReadWriteOnce"}},
        "settings": {"BRIDGE_RETENTION_DAYS": "90"},
        "extraEnv": {"HTTPS_PROXY": "http://proxy:3128"},
        "publicAdminUrl": "https://bridge.example.com/ops",
        "drainSeconds": 10,
        "check": {"airflow": True},
        "networkPolicy": {"planasonix": {"enabled": True}, "prometheus": []},
        "podAnnotations": {"a/b": "c"},
        "podLabels": {"team": "data"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "serviceAccount": {"annotations": {"cloud/role": "bridge"}},
        "adminService": {"port": 9000, "annotations": {"a": "b"}},
        "commonLabels": {"cost-center": "42"},
    },
    "extended": {
        "store": {"type": "postgresql", "postgresql": {"urlSecret": "bridge-database"}},
        "replicas": None,
        "extraEnv": {"REGION": {"valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}},
        "envFrom": [{"secretRef": {"name": "bridge-env", "optional": True}}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "my-ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/bridge/ca", "readOnly": True}],
        "extraContainers": [SIDECAR | {"name": "proxy"}],
        "initContainers": [SIDECAR | {"name": "first"}],
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "extra"}, "data": {"a": "b"}},
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-made\ndata: {}\n",
        ],
        "commonLabels": {"cost-center": "42"},
        "podLabels": {"team": "data"},
        "podAnnotations": {"sidecar.istio.io/inject": "false"},
        "podSecurityContext": {"runAsUser": 20000, "fsGroup": None, "supplementalGroups": [5]},
        "ingress": {
            "enabled": True,
            "host": "hooks.example.com",
            "tlsSecret": "hooks-tls",
            "hosts": [{"host": "eu.example.com", "tlsSecret": "eu-tls"}, {"host": "plain.example.com"}],
        },
        "service": {
            "type": "LoadBalancer",
            "externalTrafficPolicy": "Local",
            "loadBalancerClass": "service.k8s.aws/nlb",
            "loadBalancerSourceRanges": ["203.0.113.0/24", "2001:db8::/32"],
        },
        "networkPolicy": {"ingressControllers": EVERYBODY},
        "serviceMonitor": {
            "enabled": True,
            "scrapeTimeout": "10s",
            "relabelings": [{"targetLabel": "cluster", "replacement": "eu"}],
            "metricRelabelings": [{"action": "drop", "sourceLabels": ["le"], "regex": "0.5"}],
        },
    },
    "gitops": {
        "hooks": {"enabled": False},
        "config": {"existingConfigMap": "my-config", "checksum": "2f9a"},
        "check": {"airflow": True},
    },
}


def template(values: Mapping[str, Any], *options: str, release: str = "bridge") -> "subprocess.CompletedProcess[str]":
    """Run `helm template` with these values."""
    return _run(json.dumps(values), release, *options)


@cache
def _run(values: str, release: str, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [HELM, "template", release, CHART, "--namespace", "data-platform", "--values", "-", *options]
    return subprocess.run(command, input=values, capture_output=True, text=True, check=False)


def render(values: Mapping[str, Any], *options: str, release: str = "bridge") -> list[Manifest]:
    """Return the objects that helm makes of these values; it is asked once, and each caller has its own copy."""
    return json.loads(_objects(json.dumps(values), release, *options))


@cache
def _objects(values: str, release: str, *options: str) -> str:
    done = _run(values, release, *options)
    assert done.returncode == 0, done.stderr
    return json.dumps(read_all(done.stdout))


@cache
def notes(values: str) -> str:
    """Return what helm prints after an install with these values, as JSON. No cluster is asked."""
    command = [HELM, "install", "bridge", CHART, "--namespace", "data-platform", "--dry-run=client", "--values", "-"]
    done = subprocess.run(command, input=values, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\nNOTES:\n")[2]


def read_all(text: str) -> list[Manifest]:
    """Return the objects of a YAML stream."""
    return [document for document in YAML(typ="safe").load_all(text) if document]


def of_kind(objects: list[Manifest], *kinds: str, name: str = "") -> list[Manifest]:
    """Return the objects of these kinds whose name ends so."""
    return [item for item in objects if item["kind"] in kinds and item["metadata"]["name"].endswith(name)]


def pods(objects: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield every pod, bare or of a template: what it belongs to, and its metadata and spec."""
    for item in objects:
        label = f"{item['kind']}/{item['metadata']['name']}"
        if item["kind"] == "Pod":
            yield label, item
        elif item["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield label, item["spec"]["template"]


def containers(pod: Manifest) -> list[Manifest]:
    """Return every container of a pod, those of the start too."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def quantity(text: str | int | float) -> float:
    """Return what a Kubernetes quantity amounts to."""
    factors = {"m": 1e-3, "k": 1e3, "Ki": 2**10, "M": 1e6, "Mi": 2**20, "G": 1e9, "Gi": 2**30, "T": 1e12, "Ti": 2**40}
    for suffix, factor in sorted(factors.items(), key=lambda item: -len(item[0])):
        if isinstance(text, str) and text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)


(VALUES,) = read_all((CHART / "values.yaml").read_text())


class Projected:
    """A folder as the kubelet makes it of a ConfigMap or a Secret: every change is one swap of `..data`."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        """Make it; the files are links through `..data`."""
        self.folder = folder
        self._count = 0
        folder.mkdir(parents=True)
        self.write(files)
        for name in files:
            (folder / name).symlink_to(Path("..data") / name)

    def write(self, files: Mapping[str, str]) -> None:
        """Replace the whole content at once, then remove the old one, as the kubelet does."""
        self._count += 1
        fresh = self.folder / f"..2026_{self._count:04}"
        fresh.mkdir()
        for name, text in files.items():
            (fresh / name).write_text(text)
        data = self.folder / "..data"
        old = data.resolve() if data.is_symlink() else None
        (self.folder / "..data_tmp").symlink_to(fresh.name)
        (self.folder / "..data_tmp").rename(data)
        if old is not None:
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
