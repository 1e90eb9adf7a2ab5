"""A stand-in for the API server of a cluster: what `lookup` of a chart's template finds there.

    with Cluster({"/api/v1/namespaces/n/configmaps/c": {...}}) as cluster:
        template({}, *cluster.options)

It serves discovery for what the chart looks up, and the objects it was given; anything else is not there.
"""

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_KINDS = {
    "v1": {"configmaps": "ConfigMap", "services": "Service", "serviceaccounts": "ServiceAccount", "pods": "Pod"},
    "apps/v1": {"deployments": "Deployment", "statefulsets": "StatefulSet"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy", "ingresses": "Ingress"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
}


def _discovery() -> dict[str, Any]:
    found: dict[str, Any] = {
        "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
    }
    groups = []
    for name, kinds in _KINDS.items():
        group, _, version = name.rpartition("/")
        verbs = ["get", "list"]
        resources = [{"name": many, "namespaced": True, "kind": kind, "verbs": verbs} for many, kind in kinds.items()]
        path = f"/apis/{name}" if group else "/api/v1"
        found[path] = {"kind": "APIResourceList", "groupVersion": name, "resources": resources}
        if group:
            preferred = {"groupVersion": name, "version": version}
            groups.append({"name": group, "versions": [preferred], "preferredVersion": preferred})
    return found | {"/apis": {"kind": "APIGroupList", "groups": groups}}


class Cluster:
    """Answers on a port of its own until the block ends."""

    def __init__(self, objects: Mapping[str, Any]) -> None:
        """Serve these objects, by their path."""
        answers = _discovery() | dict(objects)

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = answers.get(self.path.partition("?")[0])
                missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
                content = json.dumps(missing if found is None else found).encode()
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @staticmethod
    def owned(kind: str, **more: Any) -> dict[str, Any]:
        """Return an object of the release `bridge`, as helm wants to find one of its own."""
        of_release = {"meta.helm.sh/release-name": "bridge", "meta.helm.sh/release-namespace": "data-platform"}
        metadata = {"name": "bridge-planasonix-bridge", "annotations": of_release}
        labels = {"app.kubernetes.io/managed-by": "Helm"}
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata | {"labels": labels}, **more}

    @property
    def options(self) -> list[str]:
        """What helm needs to ask it."""
        return [
            "--dry-run=server",
            "--disable-openapi-validation",
            "--kube-apiserver",
            f"http://127.0.0.1:{self._server.server_port}",
        ]

    def __enter__(self) -> "Cluster":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
