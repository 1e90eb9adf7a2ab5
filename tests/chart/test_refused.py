"""What cannot work is refused before anything reaches a cluster, with a message that names the next step."""

import pytest

from tests.chart.support import POSTGRESQL, Manifest, template

ENV = "airflow: {default: {url: http://a, auth: {token: {env: TOKEN}}}}"
ELSEWHERE = "airflow: {default: {url: http://a, auth: {token: {file: /etc/bridge/secrets/elsewhere/token}}}}"
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
