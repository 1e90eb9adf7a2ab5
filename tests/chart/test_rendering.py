"""Every combination that people choose renders to objects that Kubernetes takes, and that fit each other.

Schemas find wrong fields; that a selector selects, a volume exists and a port is there is looked at here.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bridge.edges.settings import list_settings
from tests.chart.support import CHART, HELM, MATRIX, TOOLS, Manifest, containers, of_kind, pods, quantity, render

VERSIONS = ("1.35", "1.36", "1.37")
CUSTOM = json.loads((Path(__file__).parent / "schemas.json").read_text())
each = pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX)


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether a selector selects something with these labels."""
    return bool(selector) and selector.items() <= labels.items()


@each
def test_helm_lint_is_content(values: Manifest, tmp_path: Path) -> None:
    """`helm lint --strict` finds no warning."""
    (tmp_path / "values.yaml").write_text(json.dumps(values))
    command = [HELM, "lint", "--strict", CHART, "--values", tmp_path / "values.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "[WARNING]" in done.stdout) == (0, False), done.stdout + done.stderr


@each
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_fits_the_schema(values: Manifest, version: str, tmp_path: Path) -> None:
    """Strictly, for the three newest Kubernetes versions; custom resources against schemas of their own."""
    objects = render(values)
    known = [item for item in objects if item["kind"] not in CUSTOM]
    file = tmp_path / "objects.yaml"
    file.write_text("".join(f"---\n{json.dumps(item)}\n" for item in known))
    command = [TOOLS / "kubernetes-validate", "-k", version, "--strict", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count(" passed for resource ") == len(known)
    for item in objects:
        if item["kind"] in CUSTOM:
            jsonschema.validate(item, CUSTOM[item["kind"]])


@each
def test_selectors_select_the_bridge_and_nothing_else(values: Manifest) -> None:
    """Services, workload, budget, spread and the ServiceMonitor select what they are for."""
    objects = render(values)
    labels = {label: pod["metadata"]["labels"] for label, pod in pods(objects)}
    (workload,) = of_kind(objects, "Deployment", "StatefulSet")
    selectors = [workload["spec"]["selector"]["matchLabels"]]
    selectors += [item["spec"]["selector"] for item in of_kind(objects, "Service")]
    selectors += [item["spec"]["selector"]["matchLabels"] for item in of_kind(objects, "PodDisruptionBudget")]
    spread = workload["spec"]["template"]["spec"].get("topologySpreadConstraints", [])
    selectors += [item["labelSelector"]["matchLabels"] for item in spread]
    own_name = f"{workload['kind']}/{workload['metadata']['name']}"
    for selector in selectors:
        assert [label for label, own in labels.items() if selects(selector, own)] == [own_name]
    for policy in of_kind(objects, "NetworkPolicy"):
        wanted = {"check"} if policy["metadata"]["name"].endswith("-check") else {"bridge", "check", "test"}
        for own in labels.values():
            is_selected = selects(policy["spec"]["podSelector"]["matchLabels"], own)
            assert is_selected == (own["app.kubernetes.io/component"] in wanted)
    for monitor in of_kind(objects, "ServiceMonitor"):
        chosen = [
            item["metadata"]["name"]
            for item in of_kind(objects, "Service")
            if selects(monitor["spec"]["selector"]["matchLabels"], item["metadata"]["labels"])
        ]
        assert chosen == [f"{workload['metadata']['name']}-admin"]


@each
def test_volumes_and_config_maps_are_there(values: Manifest) -> None:
    """Every mount has its volume, every volume a mount, every ConfigMap of the chart exists; none is a subPath."""
    objects = render(values)
    made = {item["metadata"]["name"] for item in of_kind(objects, "ConfigMap")} | {"my-config", "my-mapping", "my-ca"}
    for label, pod in pods(objects):
        volumes = {item["name"]: item for item in pod["spec"].get("volumes", [])}
        claims = [
            claim["metadata"]["name"]
            for item in of_kind(objects, "StatefulSet")
            if label.startswith("StatefulSet/")
            for claim in item["spec"]["volumeClaimTemplates"]
        ]
        names = {*volumes, *claims}
        assert all(len(name) <= 63 for name in names)
        mounts = [mount for item in containers(pod) for mount in item["volumeMounts"]]
        assert {mount["name"] for mount in mounts} == names
        assert [mount for mount in mounts if "subPath" in mount] == []
        writable = {mount["mountPath"] for mount in mounts if not mount.get("readOnly")}
        assert writable <= {"/data"}
        assert {item["configMap"]["name"] for item in volumes.values() if "configMap" in item} <= made
        for item in containers(pod):
            paths = [mount["mountPath"] for mount in item["volumeMounts"]]
            assert len(paths) == len(set(paths))


@each
def test_ports_and_backends_are_there(values: Manifest) -> None:
    """Probes, Services, Ingress and HTTPRoute name ports that something has."""
    objects = render(values)
    (workload,) = of_kind(objects, "Deployment", "StatefulSet")
    container = workload["spec"]["template"]["spec"]["containers"][0]
    ports = {item["name"]: item["containerPort"] for item in container["ports"]}
    assert len(set(ports.values())) == len(ports) == 2
    environment = {item["name"]: item.get("value") for item in container["env"]}
    assert (environment["BRIDGE_PORT"], environment["BRIDGE_ADMIN_PORT"]) == (str(ports["http"]), str(ports["admin"]))
    assert {container[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "liveness", "readiness")} == {"http"}
    services = {item["metadata"]["name"]: item["spec"]["ports"] for item in of_kind(objects, "Service")}
    assert {port["targetPort"] for all_ports in services.values() for port in all_ports} == set(ports)
    for item in of_kind(objects, "Ingress"):
        for rule in item["spec"]["rules"]:
            backend = rule["http"]["paths"][0]["backend"]["service"]
            assert backend["port"]["name"] in {port["name"] for port in services[backend["name"]]}
    for item in of_kind(objects, "HTTPRoute"):
        (backend,) = item["spec"]["rules"][0]["backendRefs"]
        assert backend["port"] in {port["port"] for port in services[backend["name"]]}


@each
def test_nothing_of_the_admin_listener_leaves_the_cluster(values: Manifest) -> None:
    """The public Service, Ingress and HTTPRoute lead to /hooks on the public listener; admin is a ClusterIP."""
    objects = render(values)
    (admin,) = of_kind(objects, "Service", name="-admin")
    assert admin["spec"]["type"] == "ClusterIP"
    rules = [rule for item in of_kind(objects, "Ingress") for rule in item["spec"]["rules"]]
    paths = [path["path"] for rule in rules for path in rule["http"]["paths"]]
    paths += [item["spec"]["rules"][0]["matches"][0]["path"]["value"] for item in of_kind(objects, "HTTPRoute")]
    assert set(paths) <= {"/hooks"}
    backends = json.dumps(of_kind(objects, "Ingress", "HTTPRoute"))
    assert "-admin" not in backends


@each
def test_requests_are_within_limits(values: Manifest) -> None:
    """Of every container."""
    for _, pod in pods(render(values)):
        for item in containers(pod):
            for what in ("cpu", "memory"):
                assert 0 < quantity(item["resources"]["requests"][what]) <= quantity(item["resources"]["limits"][what])


@each
def test_variables_are_settings_and_hold_no_secret(values: Manifest) -> None:
    """Every BRIDGE_* variable is one that the bridge knows, once; secrets come as files of mounted Secrets."""
    known = {item.name for item in list_settings()}
    for _, pod in pods(render(values)):
        for item in containers(pod):
            names = [variable["name"] for variable in item["env"]]
            assert len(names) == len(set(names))
            ours = {name for name in names if name.startswith("BRIDGE_")}
            assert {name for name in ours if name not in known and name.removesuffix("_FILE") not in known} == set()
            assert all("valueFrom" not in variable for variable in item["env"] if variable["name"] in ours)
            mounted = {mount["mountPath"] for mount in item["volumeMounts"]}
            for variable in item["env"]:
                if variable["name"].endswith("_FILE"):
                    assert variable["value"].rpartition("/")[0] in mounted


def test_each_role_has_a_token_where_one_is_named() -> None:
    """None by default but the admin's; Prometheus is given the one that reads metrics alone."""

    def given(values: Manifest) -> dict[str, str]:
        (_, pod) = next(pods(render(values)))
        return {item["name"]: item["value"] for item in containers(pod)[0]["env"] if "_TOKEN_FILE" in item["name"]}

    mounted = "/etc/bridge/secrets"
    admin = {"BRIDGE_ADMIN_TOKEN_FILE": f"{mounted}/planasonix-bridge/admin-token"}
    assert given({}) == admin
    assert given(MATRIX["monitored"]) == admin | {
        "BRIDGE_OPERATOR_TOKEN_FILE": f"{mounted}/bridge-people/operator-token",
        "BRIDGE_VIEWER_TOKEN_FILE": f"{mounted}/bridge-people/viewer-token",
        "BRIDGE_METRICS_TOKEN_FILE": f"{mounted}/bridge-metrics/metrics-token",
        "BRIDGE_OUTCOMES_TOKEN_FILE": f"{mounted}/bridge-outcomes/token",
    }
    for values, wanted in (
        (MATRIX["monitored"], {"name": "bridge-metrics", "key": "metrics-token"}),
        ({"serviceMonitor": {"enabled": True}}, {"name": "planasonix-bridge", "key": "admin-token"}),
    ):
        (monitor,) = of_kind(render(values), "ServiceMonitor")
        assert monitor["spec"]["endpoints"][0]["authorization"]["credentials"] == wanted


def test_the_admin_listener_speaks_tls_if_it_has_a_certificate() -> None:
    """Its Secret is mounted, and whoever reaches it knows: the Service, and Prometheus with authority and name."""
    objects = render(MATRIX["encrypted"])
    (workload,) = of_kind(objects, "Deployment", "StatefulSet")
    name = f"{workload['metadata']['name']}-admin"
    environment = {
        each["name"]: each.get("value") for each in workload["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert environment["BRIDGE_ADMIN_TLS_CERT_FILE"] == "/etc/bridge/secrets/bridge-admin-tls/tls.crt"
    assert environment["BRIDGE_ADMIN_TLS_KEY_FILE"] == "/etc/bridge/secrets/bridge-admin-tls/tls.key"
    (service,) = (each for each in of_kind(objects, "Service") if each["metadata"]["name"] == name)
    assert service["spec"]["ports"][0]["appProtocol"] == "https"
    (monitor,) = of_kind(objects, "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["scheme"] == "https"
    assert endpoint["tlsConfig"] == {
        "serverName": f"{name}.{workload['metadata']['namespace']}.svc",
        "ca": {"secret": {"name": "bridge-admin-tls", "key": "ca.crt"}},
    }
    assert "BRIDGE_ADMIN_TLS_CERT_FILE" not in str(render({}))


@each
def test_the_grace_period_outlasts_the_stop(values: Manifest) -> None:
    """preStop, drain, the last requests and the last calls fit between SIGTERM's eve and SIGKILL."""
    (workload,) = of_kind(render(values), "Deployment", "StatefulSet")
    spec = workload["spec"]["template"]["spec"]
    container = spec["containers"][0]
    environment = {item["name"]: item.get("value") for item in container["env"]}
    pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    drain = float(environment.get("BRIDGE_DRAIN_SECONDS") or 0)
    shutdown = float(environment["BRIDGE_SHUTDOWN_SECONDS"] or 0)
    assert spec["terminationGracePeriodSeconds"] > pause + drain + shutdown


def test_replicas_share_postgresql_and_one_owns_a_file() -> None:
    """PostgreSQL: a Deployment that never has fewer ready pods; SQLite: a StatefulSet of one with its volume."""
    (shared,) = of_kind(render(MATRIX["postgresql"]), "Deployment", "StatefulSet")
    assert (shared["kind"], shared["spec"]["replicas"]) == ("Deployment", 3)
    assert shared["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    (single,) = of_kind(render({}), "Deployment", "StatefulSet")
    assert (single["kind"], single["spec"]["replicas"]) == ("StatefulSet", 1)
    assert single["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] == "data"
    autoscaled = render(MATRIX["autoscaled"])
    (scaler,) = of_kind(autoscaled, "HorizontalPodAutoscaler")
    (workload,) = of_kind(autoscaled, "Deployment")
    assert "replicas" not in workload["spec"]  # or every upgrade would set back what the autoscaler chose
    assert scaler["spec"]["scaleTargetRef"]["name"] == workload["metadata"]["name"]


NASTY = 'routes:\n  - dag: a  \n    pipeline: "{{ x }}"   \n    conf: {ü: "\t"}\n\n# end'


@pytest.mark.parametrize(
    "text", ["routes: []", "routes: []\n", NASTY, NASTY + "\n\n", "# " + "x" * 300 + "\nroutes: []\n"]
)
def test_files_arrive_as_they_are_written(text: str) -> None:
    """The mapping in the ConfigMap, and the one that the hook checks, are the given text byte for byte."""
    objects = render({"mapping": {"routes": text, "files": {"sales.yaml": text, "stock.yaml": "routes: []"}}})
    found = [item["data"] for item in of_kind(objects, "ConfigMap", name="-mapping")]
    assert found == [{"mapping.yaml": text, "sales.yaml": text, "stock.yaml": "routes: []"}] * 2


def test_a_change_of_the_mapping_restarts_nothing() -> None:
    """The pod template stays the same; a change of bridge.yaml alters it."""

    def pod_of(values: Manifest) -> Any:
        (workload,) = of_kind(render(values), "StatefulSet")
        return workload["spec"]["template"]

    other = (CHART / "values.yaml").read_text().partition("bridge: |\n")[2].partition("\nmapping:")[0] + "# changed\n"
    assert pod_of({}) == pod_of({"mapping": {"routes": "routes: []\n# changed"}})
    assert pod_of({}) != pod_of({"config": {"bridge": other}})


@pytest.mark.parametrize("name", ["default", "postgresql"])
def test_the_schema_is_brought_up_to_date_before_any_probe(name: str) -> None:
    """An init container does it, which nothing ends; the startup probe gives `serve` two minutes."""
    (workload,) = of_kind(render(MATRIX[name]), "Deployment", "StatefulSet")
    spec = workload["spec"]["template"]["spec"]
    (migrate,), (serve,) = spec["initContainers"], spec["containers"]
    assert (migrate["name"], migrate["args"], serve["args"]) == ("migrate", ["migrate"], ["serve"])
    assert "startupProbe" not in migrate
    assert migrate["env"] == serve["env"]
    of_store = {"name": "data", "mountPath": "/data"}
    assert of_store in migrate["volumeMounts"]
    assert of_store in serve["volumeMounts"]


def test_the_new_files_are_checked_before_they_land() -> None:
    """The hook's pod comes before install and upgrade, after its own copies of the files, and reads those.

    It is no Job: what a LimitRange, a quota or a policy forbids is then an error of helm's own, at once.
    """
    objects = render({})
    assert of_kind(objects, "Job") == []
    (pod,) = of_kind(objects, "Pod", name="-check")
    hooks = [
        item for item in objects if "pre-upgrade" in item["metadata"].get("annotations", {}).get("helm.sh/hook", "")
    ]
    weights = {item["metadata"]["name"]: int(item["metadata"]["annotations"]["helm.sh/hook-weight"]) for item in hooks}
    used = {item["configMap"]["name"] for item in pod["spec"]["volumes"] if "configMap" in item}
    assert used <= set(weights)
    assert all(weights[name] < weights[pod["metadata"]["name"]] for name in used)
    assert "serviceAccountName" not in pod["spec"]  # the release's does not exist yet
    (container,) = pod["spec"]["containers"]
    assert container["args"] == ["check", "--secrets"]
    (shared,) = of_kind(render(MATRIX["postgresql"]), "Pod", name="-check")
    assert shared["spec"]["containers"][0]["args"] == ["check", "--secrets", "--store"]


def test_alerts_and_dashboard_are_those_of_the_repository() -> None:
    """The chart's copies are the files of deploy/observability (`make plain` copies them), whole."""
    objects = render(MATRIX["monitored"])
    for name in ("alerts.yaml", "dashboard.json"):
        source = CHART.parent / "observability" / name
        assert (CHART / "files" / name).read_text() == source.read_text()
    (board,) = of_kind(objects, "ConfigMap", name="-dashboard")
    text = board["data"]["planasonix-bridge.json"]
    assert json.loads(text) == json.loads((CHART / "files" / "dashboard.json").read_text())
    (rules,) = of_kind(objects, "PrometheusRule")
    assert len(rules["spec"]["groups"]) > 1
    text = json.dumps(rules["spec"])
    # Another release in the same Prometheus must not hide that this one is gone.
    assert text.count('bridge_build_info{namespace=\\"data-platform\\"}') == text.count("bridge_build_info") > 0
    # Without the chart's ServiceMonitor, the series may have no such label, and the alert would never end.
    (plain,) = of_kind(render(MATRIX["monitored"] | {"serviceMonitor": {"enabled": False}}), "PrometheusRule")
    assert "bridge_build_info{" not in json.dumps(plain["spec"])


def test_the_network_policy_opens_what_is_needed_only() -> None:
    """An empty list of peers closes; without PostgreSQL there is no way to it; no rule is open to everybody."""
    values = {"networkPolicy": {"ingressControllers": [], "prometheus": [], "airflow": {"to": [], "ports": [1]}}}
    (closed,) = of_kind(render(values), "NetworkPolicy", name="-bridge")
    ports = [port["port"] for rule in closed["spec"]["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 8080]
    assert [len(rule["from"]) for rule in closed["spec"]["ingress"]] == [1]
    (shared,) = of_kind(render(MATRIX["postgresql"]), "NetworkPolicy", name="-bridge")
    assert 5432 in [port["port"] for rule in shared["spec"]["egress"] for port in rule["ports"]]
    for rule in shared["spec"]["ingress"] + shared["spec"]["egress"]:
        assert rule.get("from") or rule.get("to")
        assert rule["ports"]
