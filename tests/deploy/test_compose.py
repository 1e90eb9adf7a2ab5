"""deploy/compose is accepted by the schema of Compose, and fits the bridge, its metrics, rules and dashboard."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from bridge import __version__
from bridge.edges.settings import list_settings
from deploy.demo.airflow import REPOSITORY
from tests.observability.support import ALERTS, promtool

COMPOSE = REPOSITORY / "deploy" / "compose"
SCHEMA = json.loads((REPOSITORY / "tests" / "data" / "compose-spec" / "compose-spec.json").read_text())
FILES = ("compose.yaml", "monitoring.yaml")
OWN = {"./config", "./secrets"}  # what whoever installs it writes
Parsed = dict[str, Any]


def read(name: str) -> Parsed:
    """Return a file of deploy/compose."""
    found: Parsed = YAML(typ="safe").load(COMPOSE / name)
    return found


def services() -> dict[str, Parsed]:
    """Return what both files together make of each service, as Compose merges them."""
    first, more = (read(name)["services"] for name in FILES)
    bridge = first["bridge"] | {
        "environment": first["bridge"]["environment"] | more["bridge"]["environment"],
        "secrets": first["bridge"]["secrets"] + more["bridge"]["secrets"],
    }
    return first | more | {"bridge": bridge}


def secrets() -> dict[str, Parsed]:
    """Return the secrets of both files."""
    found: dict[str, Parsed] = read(FILES[0])["secrets"] | read(FILES[1])["secrets"]
    return found


@pytest.mark.parametrize("name", FILES)
def test_the_schema_of_compose_accepts_it(name: str) -> None:
    """The schema of the Compose Specification, as published; it rejects a key that it does not know."""
    schema = jsonschema.Draft201909Validator(SCHEMA)
    schema.validate(read(name))
    broken = read(name)
    broken["services"]["bridge"]["enviroment"] = {}
    with pytest.raises(jsonschema.ValidationError, match="enviroment"):
        schema.validate(broken)


def test_every_secret_is_a_file_and_every_variable_is_a_setting() -> None:
    """No secret stands in a file or in the environment; each one that is named is mounted, and none for nothing."""
    used = {name for service in services().values() for name in service.get("secrets", ())}
    assert used == set(secrets())
    assert {name: each["file"] for name, each in secrets().items()} == {name: f"./secrets/{name}" for name in used}
    for name, service in services().items():
        named = re.findall(r"/run/secrets/([\w-]+)", json.dumps(service["environment"])) if name != "prometheus" else []
        assert set(named) <= set(service.get("secrets", ())), name
    settings = {item.name for item in list_settings()}
    variables = {name.removesuffix("_FILE") for name in services()["bridge"]["environment"]}
    assert {name for name in variables if name not in settings and f"{name}_FILE" not in settings} == set()


def test_nothing_is_reached_from_outside_but_through_a_proxy() -> None:
    """Every port is published on loopback, PostgreSQL none."""
    ports = {name: service.get("ports", []) for name, service in services().items()}
    assert ports["postgresql"] == []
    assert [port for each in ports.values() for port in each if not port.startswith("127.0.0.1:")] == []


def test_the_bridge_is_of_this_version_and_has_time_to_stop() -> None:
    """The image that `make image` builds; killed only after the longest stop."""
    bridge = services()["bridge"]
    assert bridge["image"] == f"localhost/planasonix-bridge:{__version__}"
    settings = {item.name: item.default for item in list_settings()}
    longest = float(settings["BRIDGE_DRAIN_SECONDS"]) + float(settings["BRIDGE_SHUTDOWN_SECONDS"])
    assert int(bridge["stop_grace_period"].removesuffix("s")) > longest
    assert (bridge["read_only"], bridge["cap_drop"]) == (True, ["ALL"])


def test_what_is_mounted_is_there() -> None:
    """Each file beside the compose file, or in deploy/observability, is in the repository; no image floats."""
    for name, service in services().items():
        assert re.search(r":[\w.-]*\d[\w.-]*$", service["image"]), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith(".") and source not in OWN:
                assert (COMPOSE / source).is_file(), source


def test_prometheus_takes_its_file_and_the_rules(tmp_path: Path) -> None:
    """Prometheus' own promtool reads both; it scrapes where the bridge has its metrics, with their token."""
    (tmp_path / "token").write_text("x")
    text = (COMPOSE / "prometheus.yaml").read_text()
    here = text.replace("/etc/prometheus/alerts.yaml", str(ALERTS)).replace("/run/secrets/metrics-token", "token")
    (tmp_path / "prometheus.yaml").write_text(here)
    command = [promtool(), "check", "config", tmp_path / "prometheus.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout
    (scraped,) = read("prometheus.yaml")["scrape_configs"]
    assert scraped["static_configs"][0]["targets"] == ["bridge:8081"]
    assert "metrics-token" in services()["prometheus"]["secrets"]


def test_grafana_finds_the_dashboard_and_the_data_source() -> None:
    """The folder of the provider is where the dashboard is mounted; the data source is of the kind it asks for."""
    (provider,) = read("grafana/dashboards.yaml")["providers"]
    mounted = {volume.split(":")[1] for volume in services()["grafana"]["volumes"]}
    assert f"{provider['options']['path']}/dashboard.json" in mounted
    (source,) = read("grafana/datasource.yaml")["datasources"]
    dashboard = json.loads((REPOSITORY / "deploy" / "observability" / "dashboard.json").read_text())
    asked = [item["query"] for item in dashboard["templating"]["list"] if item["type"] == "datasource"]
    assert asked == [source["type"]]
    assert source["url"] == "http://prometheus:9090"
