"""What platform teams ask of a chart: each value arrives where it belongs, and nowhere else."""

import json

from tests.chart.cluster import Cluster
from tests.chart.support import (
    CHART,
    MATRIX,
    POSTGRESQL,
    Manifest,
    containers,
    of_kind,
    pods,
    read_all,
    render,
    template,
)

APPS = "/apis/apps/v1/namespaces/data-platform"
NAME = "bridge-planasonix-bridge"
EXAMPLES = CHART / "examples"
OBJECTS = render(MATRIX["extended"])
PODS = {pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod for _, pod in pods(OBJECTS)}
OWN = [item for pod in PODS.values() for item in containers(pod) if item["name"] not in ("proxy", "first")]


def live(values: Manifest, objects: Manifest) -> list[Manifest]:
    """Render against a cluster that has these objects."""
    with Cluster(objects) as cluster:
        done = template(values, *cluster.options)
    assert done.returncode == 0, done.stderr
    return read_all(done.stdout)


def test_the_pods_of_the_chart_are_three() -> None:
    """The bridge's, the check's and the test's; what follows is held for each of them."""
    assert set(PODS) == {"bridge", "check", "test"}
    assert len(OWN) == 4  # the bridge, its migration, the check, the test


def test_labels_and_annotations_are_on_everything() -> None:
    """commonLabels on every object; podLabels and podAnnotations on every pod, and on no selector."""
    own = [item for item in OBJECTS if item["metadata"]["name"] not in ("extra", "bridge-made")]
    assert {item["metadata"]["labels"]["cost-center"] for item in own} == {"42"}
    for pod in PODS.values():
        assert pod["metadata"]["labels"].items() >= {"team": "data", "cost-center": "42"}.items()
        assert pod["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"
    (workload,) = of_kind(OBJECTS, "Deployment")
    assert not {"cost-center", "team"} & set(workload["spec"]["selector"]["matchLabels"])


def test_variables_and_volumes_are_in_every_container_of_the_chart() -> None:
    """extraEnv, envFrom, extraVolumes: bridge.yaml may name any of them, and the check reads it too."""
    for item in OWN:
        assert {"name": "REGION", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}} in item["env"]
        assert item["envFrom"] == [{"secretRef": {"name": "bridge-env", "optional": True}}]
        assert {"name": "ca", "mountPath": "/etc/bridge/ca", "readOnly": True} in item["volumeMounts"]
    for pod in PODS.values():
        assert {"name": "ca", "configMap": {"name": "my-ca"}} in pod["spec"]["volumes"]


def test_containers_of_the_users_stand_in_the_bridges_pod() -> None:
    """Those of the start before the chart's own, the others beside the bridge."""
    spec = PODS["bridge"]["spec"]
    assert [item["name"] for item in spec["initContainers"]] == ["first", "migrate"]
    assert [item["name"] for item in spec["containers"]] == ["bridge", "proxy"]
    assert {len(PODS[other]["spec"]["containers"]) for other in ("check", "test")} == {1}


def test_the_security_contexts_are_values_and_null_leaves_one_out() -> None:
    """On every pod, as OpenShift needs it; what is not named keeps its default."""
    for pod in PODS.values():
        context = pod["spec"]["securityContext"]
        assert (context["runAsUser"], context["supplementalGroups"], context["runAsGroup"]) == (20000, [5], 10001)
        assert "fsGroup" not in context
    objects = render({"securityContext": {"readOnlyRootFilesystem": None}})
    for _, pod in pods(objects):
        assert set(containers(pod)[0]["securityContext"]) == {"allowPrivilegeEscalation", "capabilities"}


def test_openshift_gives_the_ids_itself() -> None:
    """With the example no pod names a uid, a gid or a group, and names are asked of its DNS on 5353."""
    (values,) = read_all((EXAMPLES / "openshift.yaml").read_text())
    objects = render(values)
    for _, pod in pods(objects):
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod["spec"]["securityContext"])
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    for policy in of_kind(objects, "NetworkPolicy"):
        assert {port["port"] for port in policy["spec"]["egress"][0]["ports"]} == {5353}


def test_the_url_of_postgresql_may_be_a_secret() -> None:
    """The whole of it, as a file; nothing of it is in the object."""
    for item in OWN:
        variables = {each["name"]: each.get("value") for each in item["env"]}
        assert variables["BRIDGE_DATABASE_URL_FILE"] == "/etc/bridge/secrets/bridge-database/url"
        assert not {"BRIDGE_DATABASE_URL", "BRIDGE_DATABASE_PASSWORD_FILE"} & set(variables)


def test_an_ingress_has_every_host_with_its_certificate() -> None:
    """Each name leads to /hooks alone."""
    (ingress,) = of_kind(OBJECTS, "Ingress")
    hosts = ["hooks.example.com", "eu.example.com", "plain.example.com"]
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == hosts
    assert ingress["spec"]["tls"] == [
        {"hosts": ["hooks.example.com"], "secretName": "hooks-tls"},
        {"hosts": ["eu.example.com"], "secretName": "eu-tls"},
    ]


def test_the_public_service_takes_what_a_load_balancer_needs() -> None:
    """And leaves it out where the type of Service has no use for it: Kubernetes would refuse it."""
    (public,) = of_kind(OBJECTS, "Service", name=NAME)
    assert public["spec"]["externalTrafficPolicy"] == "Local"
    assert public["spec"]["loadBalancerClass"] == "service.k8s.aws/nlb"
    assert public["spec"]["loadBalancerSourceRanges"] == ["203.0.113.0/24", "2001:db8::/32"]
    (plain,) = of_kind(
        render({"service": {"externalTrafficPolicy": "Local", "loadBalancerClass": "a/b"}}), "Service", name=NAME
    )
    assert set(plain["spec"]) == {"type", "selector", "ports"}


def test_the_service_monitor_takes_relabelings_and_a_timeout() -> None:
    """As the Prometheus operator spells them."""
    (monitor,) = of_kind(OBJECTS, "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    asked = MATRIX["extended"]["serviceMonitor"]
    assert {key: endpoint[key] for key in asked if key != "enabled"} == {
        k: v for k, v in asked.items() if k != "enabled"
    }


def test_extra_objects_come_along() -> None:
    """As they are, or as templates."""
    names = {item["metadata"]["name"] for item in of_kind(OBJECTS, "ConfigMap")}
    assert {"extra", "bridge-made"} <= names


def test_a_mapping_in_a_folder_needs_no_config_map() -> None:
    """The bridge reads the folder; the hook, whose pod has no copy of it yet, asks of bridge.yaml alone."""
    (values,) = read_all((EXAMPLES / "git-sync.yaml").read_text())
    objects = render(values)
    found = {pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod for _, pod in pods(objects)}
    paths = {}
    for name, pod in found.items():
        (own,) = [item for item in containers(pod) if item["name"] in ("bridge", "check", "send")]
        paths[name] = next(each["value"] for each in own["env"] if each["name"] == "BRIDGE_MAPPING")
    folder = values["mapping"]["folder"]
    assert paths == {"bridge": folder, "check": "/etc/bridge/mapping", "test": folder}
    (stand_in,) = of_kind(objects, "ConfigMap", name="-mapping")
    assert (stand_in["metadata"]["name"], stand_in["data"]) == (f"{NAME}-check-mapping", {"mapping.yaml": "routes: []"})
    assert found["bridge"]["spec"]["initContainers"][0]["restartPolicy"] == "Always"


# --- without hooks ---------------------------------------------------------------------------------


def test_without_hooks_nothing_is_a_hook() -> None:
    """For tools that know none; the check is an init container, and its Secrets are waited for."""
    objects = render(MATRIX["gitops"])
    assert "helm.sh/hook" not in json.dumps(objects)
    ((_, pod),) = pods(objects)
    first = pod["spec"]["initContainers"][0]
    assert (first["name"], first["args"]) == ("check", ["check", "--at-start", "--airflow"])
    assert "optional" not in json.dumps(pod["spec"]["volumes"])


def test_the_check_may_go_where_the_new_values_lead() -> None:
    """The policy of the release has the old places while a hook runs, so the check brings its own."""
    (policy,) = of_kind(render({"store": POSTGRESQL}), "NetworkPolicy", name="-check")
    hook = policy["metadata"]["annotations"]
    assert (hook["helm.sh/hook"], hook["helm.sh/hook-weight"]) == ("pre-install,pre-upgrade", "-10")
    assert [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]] == [53, 53, 8080, 5432]
    assert "ingress" not in policy["spec"]


# --- where helm can look into the cluster ----------------------------------------------------------


def test_replicas_stay_what_they_are_when_an_autoscaler_takes_over() -> None:
    """Without a number Kubernetes would go down to one pod for a moment; null leaves it to whoever scales by hand."""
    there = {f"{APPS}/deployments/{NAME}": Cluster.owned("Deployment", spec={"replicas": 3})}
    for values in ({"autoscaling": {"enabled": True}}, {"replicas": None}):
        (workload,) = of_kind(live({"store": POSTGRESQL, **values}, there), "Deployment")
        assert workload["spec"]["replicas"] == 3
    (fresh,) = of_kind(render({"store": POSTGRESQL, "autoscaling": {"enabled": True}}), "Deployment")
    assert "replicas" not in fresh["spec"]


def test_another_text_in_an_existing_config_map_restarts_the_pods() -> None:
    """Helm sums up what it finds in the cluster; `config.checksum` does it where nothing can be looked up."""

    def checksum(objects: list[Manifest]) -> str | None:
        (workload,) = of_kind(objects, "StatefulSet")
        return workload["spec"]["template"]["metadata"]["annotations"].get("checksum/config")

    def found(text: str) -> str | None:
        there = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}, "data": {"bridge.yaml": text}}
        path = "/api/v1/namespaces/data-platform/configmaps/mine"
        return checksum(live({"config": {"existingConfigMap": "mine"}}, {path: there}))

    assert found("a: b") not in (None, found("a: c"))
    assert checksum(render({"config": {"existingConfigMap": "mine"}})) is None
    assert checksum(render({"config": {"existingConfigMap": "mine", "checksum": "1234"}})) == "1234"


def test_another_size_of_the_volume_is_refused_with_the_commands() -> None:
    """Kubernetes says only `forbidden`. Once the StatefulSet is away, the release goes on with the new size."""
    claim = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "5Gi"}}}}
    there = {f"{APPS}/statefulsets/{NAME}": Cluster.owned("StatefulSet", spec={"volumeClaimTemplates": [claim]})}
    with Cluster(there) as cluster:
        done = template({"store": {"sqlite": {"size": "8Gi"}}}, *cluster.options)
    assert done.returncode == 1
    assert "store.sqlite.size: the volume was made with 5Gi, and a StatefulSet never changes it" in done.stderr
    assert f"patch pvc data-{NAME}-0 -p" in done.stderr
    assert f"kubectl -n data-platform delete statefulset {NAME} --cascade=orphan" in done.stderr
