"""What cannot work is refused before anything reaches a cluster, with a message that names the next step."""

import json
from typing import Any

import pytest

from tests.chart.support import EVERYBODY, POSTGRESQL, Manifest, template

ENV = "airflow: {default: {url: http://a, auth: {token: {env: TOKEN}}}}"
ELSEWHERE = "airflow: {default: {url: http://a, auth: {token: {file: /etc/bridge/secrets/elsewhere/token}}}}"
WEBHOOKS: Manifest = {"signature": {"secrets": [{"file": "/etc/bridge/secrets/planasonix-bridge/webhook-secret"}]}}
NOTIFY = {"notify": [{"to": {"file": "/etc/bridge/secrets/planasonix-bridge/chat-url"}}]}
OPENID = {"sign_in": {"openid": {"issuer": "https://login.example.com"}}}
FAR = {"airflow": {"default": {"url": "https://airflow.example.com/production"}}}


def config(**keys: Any) -> Manifest:
    """Return values with this bridge.yaml, beside a source and an Airflow that the policy opens."""
    written = {"sources": {"planasonix": WEBHOOKS}, "airflow": {"default": {"url": "http://web.airflow.svc:80"}}}
    return {"config": {"bridge": json.dumps(written | keys)}}


def database(url: str, **policy: Any) -> Manifest:
    """Return values with a store at this URL, and this much of the network policy."""
    return {"store": {"type": "postgresql", "postgresql": {"url": url}}, "networkPolicy": policy}


def block(cidr: str, *ports: int) -> Manifest:
    """Return a way to this network."""
    return {"to": [{"ipBlock": {"cidr": cidr}}]} | ({"ports": list(ports)} if ports else {})


def namespace(name: str) -> Manifest:
    """Return a way to this namespace."""
    return {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}]}


MOUNT = {"name": "mapping", "mountPath": "/mapping"}
GALLERY: dict[str, tuple[Manifest, str]] = {
    "two replicas on SQLite": (
        {"replicas": 2},
        "replicas: 2 replicas cannot share one SQLite file; set store.type=postgresql and store.postgresql.url",
    ),
    "autoscaling on SQLite": (
        {"autoscaling": {"enabled": True}},
        "autoscaling: needs more than one replica, and a SQLite file is served by one",
    ),
    "no secret": ({"secrets": []}, "secrets: no secret, so no webhook could be verified"),
    "no admin token": ({"adminToken": {"secret": ""}}, "adminToken.secret: no secret for the admin listener"),
    "a variable for a secret": (
        {"config": {"bridge": ENV}},
        "config.bridge: {env: ...} names a variable that no pod has",
    ),
    "a Secret that is not mounted": (
        {"config": {"bridge": ELSEWHERE}},
        "config.bridge: the Secret elsewhere is not mounted; add it to `secrets`",
    ),
    "no bridge.yaml": ({"config": {"bridge": ""}}, "config.bridge: empty"),
    "no mapping": ({"mapping": {"routes": ""}}, "mapping.routes: empty"),
    "no URL of PostgreSQL": ({"store": {"type": "postgresql"}}, "store.postgresql.url: give postgresql://user@host"),
    "two URLs of PostgreSQL": (
        {"store": {"type": "postgresql", "postgresql": {"url": "postgresql://a@c/d", "urlSecret": "b"}}},
        "store.postgresql.urlSecret: holds the whole URL with its password; take url and passwordSecret away",
    ),
    "a folder without a volume": (
        {"mapping": {"folder": "/mapping"}},
        "mapping.folder: no volume is mounted there; name it in extraVolumes and extraVolumeMounts",
    ),
    "a mapping for two": (
        {"mapping": {"folder": "/mapping", "existingConfigMap": "a"}, "extraVolumeMounts": [MOUNT]},
        "mapping.folder: the mapping is there already; take mapping.existingConfigMap away",
    ),
    "more routes than a ConfigMap holds": (
        {"mapping": {"routes": "routes: []\n" + "# a comment of forty characters, as it is\n" * 25_000}},
        "bytes are more than a ConfigMap may hold (1 MiB); give several ConfigMaps in extraVolumes, or mapping.folder",
    ),
    "a password in the URL": (
        {"store": {"type": "postgresql", "postgresql": {"url": "postgresql://a:b@c/d"}}},
        "store.postgresql.url: take the password out; put it into a Secret",
    ),
    "a password in the URL's query": (
        {"store": {"type": "postgresql", "postgresql": {"url": "postgresql://a@c/d?password=b"}}},
        "store.postgresql.url: take the password out; put it into a Secret",
    ),
    "too short a grace": (
        {"terminationGracePeriodSeconds": 30},
        "terminationGracePeriodSeconds: 30 is too short; preStopSeconds + drainSeconds + shutdownSeconds is 30",
    ),
    "too short a grace for the drain": (
        {"drainSeconds": 45},
        "terminationGracePeriodSeconds: 60 is too short; preStopSeconds + drainSeconds + shutdownSeconds is 70",
    ),
    "latest": ({"image": {"tag": "latest"}}, "image.tag: latest can change under you"),
    "an Ingress without a host": (
        {"ingress": {"enabled": True}},
        "ingress.host: give the name that Planasonix sends to",
    ),
    "an HTTPRoute without a Gateway": (
        {"httpRoute": {"enabled": True, "hostnames": ["a.example.com"]}},
        "httpRoute: give hostnames and parentRefs",
    ),
    "fewer at most than at least": (
        {"store": POSTGRESQL, "autoscaling": {"enabled": True, "minReplicas": 7}},
        "autoscaling: minReplicas is larger than maxReplicas",
    ),
    "one port twice": ({"adminService": {"port": 8080}}, "adminService.port: 8080 is the public listener's"),
    "a setting of the chart's own": (
        {"settings": {"BRIDGE_PORT": "80"}},
        "settings: BRIDGE_PORT is set by the chart; use the value made for it",
    ),
    "an admin URL that is none": ({"publicAdminUrl": "bridge.example.com"}, "does not match pattern"),
    "an admin URL with a password": ({"publicAdminUrl": "https://u:p@b"}, "does not match pattern"),
    "a setting in the wrong place": (
        {"extraEnv": {"BRIDGE_RETENTION_DAYS": "9"}},
        "extraEnv: BRIDGE_RETENTION_DAYS belongs under `settings`",
    ),
    "an API behind a closed way": (
        config(sources={"planasonix": WEBHOOKS | {"api": {"url": "https://api.planasonix.com"}}}),
        "planasonix.enabled: false keeps the bridge from what config.bridge names: api of the source planasonix",
    ),
    "keys behind a closed way": (
        config(
            sources={"jobs": {"signature": {"public_keys": [{"id": "a", "jwks": "https://login.example.com/keys"}]}}}
        ),
        "planasonix.enabled: false keeps the bridge from what config.bridge names: jwks of the source jobs",
    ),
    "messages and sign-ins behind a closed way": (
        config(**NOTIFY, **OPENID),
        "names: notify, sign_in. true opens port 443 of the internet",
    ),
    "an Airflow out of reach": (
        config(**FAR),
        "networkPolicy.airflow.to: only the namespace airflow is open, and airflow.example.com (airflow.default.url",
    ),
    "an Airflow in another namespace": (
        config(airflow={"sales": {"url": "http://web.sales.svc.cluster.local:8080"}}),
        "name [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: sales}}}]",
    ),
    "an Airflow in the release's own namespace": (
        config(airflow={"default": {"url": "http://web:8080"}}),
        "name [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: data-platform}}}]",
    ),
    "a PostgreSQL out of reach": (
        database("postgresql://bridge@db.example.com/bridge?sslmode=require"),
        "networkPolicy.postgresql.to: only the namespace postgresql is open, and db.example.com (store.postgresql.url)",
    ),
    "a PostgreSQL out of reach, in spite of a proxy": (
        database("postgresql://bridge@10.1.2.3/bridge") | {"extraEnv": {"HTTPS_PROXY": "http://proxy:3128"}},
        "networkPolicy.postgresql.to: only the namespace postgresql is open, and 10.1.2.3 (store.postgresql.url)",
    ),
    "the second of two PostgreSQLs out of reach": (
        database("postgresql://bridge@db.postgresql.svc:5432,db.example.com:5432/bridge"),
        "and db.example.com (store.postgresql.url) is elsewhere",
    ),
    "a load balancer that nobody lets in": (
        {"service": {"type": "LoadBalancer"}},
        "networkPolicy.ingressControllers: only the namespace ingress-nginx reaches the public listener, and service",
    ),
    "a Gateway that nobody lets in": (
        {"httpRoute": {"enabled": True, "hostnames": ["a.example.com"], "parentRefs": [{"name": "public"}]}},
        "networkPolicy.ingressControllers: only the namespace ingress-nginx reaches the public listener; name the",
    ),
    "an unknown key": ({"replica": 2}, "additional properties 'replica' not allowed"),
    "an unknown key further in": (
        {"store": {"postgresql": {"password": "x"}}},
        "additional properties 'password' not allowed",
    ),
    "an unknown store": ({"store": {"type": "mysql"}}, "value must be one of 'sqlite', 'postgresql'"),
    "a wrong type": ({"replicas": "two"}, "got string, want null or integer"),
    "a setting that is none": ({"settings": {"PORT": "80"}}, "'PORT' does not match pattern"),
}


@pytest.mark.parametrize(("values", "message"), GALLERY.values(), ids=GALLERY)
def test_refused(values: Manifest, message: str) -> None:
    """Helm ends with an error, prints no object and says why."""
    done = template(values)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr


def test_everything_that_is_wrong_is_said_at_once() -> None:
    """Nobody has to install three times to learn of three mistakes."""
    said = template({"replicas": 2, "secrets": [], "image": {"tag": "latest"}}).stderr
    assert sum(f"\n  - {begin}" in said for begin in ("replicas:", "secrets:", "image.tag:")) == 3


@pytest.mark.parametrize(
    "values",
    [
        config(**NOTIFY, **OPENID) | {"networkPolicy": {"planasonix": {"enabled": True}}},
        config(**NOTIFY, **OPENID) | {"networkPolicy": {"enabled": False}},
        config(**NOTIFY, **FAR) | {"extraEnv": {"HTTPS_PROXY": "http://proxy:3128"}},
        config(**NOTIFY, **FAR) | {"envFrom": [{"secretRef": {"name": "proxies"}}]},
        config(**NOTIFY, **FAR) | {"networkPolicy": {"airflow": block("0.0.0.0/0", 443)}},
        config(airflow={"default": FAR["airflow"]["default"] | {"proxy": "http://proxy:3128"}}),
        config(airflow={"default": {"url": "http://web.airflow:80"}, "beside": {"url": "http://localhost:8080"}}),
        database("postgresql://bridge@db.postgresql.svc.cluster.local./bridge"),
        database("postgresql:///bridge?host=/run/postgresql"),
        database("postgresql://bridge@db.example.com:6432/bridge", postgresql=block("10.1.2.3/32", 6432)),
        config(**FAR) | {"networkPolicy": {"planasonix": {"enabled": True}}},
        config(**NOTIFY) | {"networkPolicy": {"airflow": block("10.0.0.0/8", 443)}},
        config(**FAR) | {"networkPolicy": {"airflow": namespace("egress-gateway")}},
        {"service": {"type": "LoadBalancer"}, "networkPolicy": {"ingressControllers": EVERYBODY}},
        {"service": {"type": "NodePort"}, "ingress": {"enabled": True, "host": "a.example.com", "tlsSecret": "a"}},
        *({"config": {"bridge": text}} for text in ("- a", "a: [", "sources: [1]\nairflow: {default: 1}\nsign_in: ''")),
    ],
    ids=str,
)
def test_not_refused(values: Manifest) -> None:
    """A way that is open, or may be for all that the chart knows; a broken bridge.yaml is for `check` to explain."""
    done = template(values)
    assert done.returncode == 0, done.stderr
