"""The alert rules fire on what they say, stay quiet on what they do not, and lead to a paragraph that helps."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deploy.demo.airflow import REPOSITORY
from tests.docs.pages import unknown_words
from tests.observability.support import ALERTS, Series, faults, label_names, promtool, read_rules

CASES = sorted(Path(__file__).parent.glob("*.test.yaml"))
RUNBOOK = (REPOSITORY / "docs" / "runbook.md").read_text()
RULES = {rule["alert"]: rule for rule in read_rules()}
each_alert = pytest.mark.parametrize("name", RULES)


def paragraph(name: str) -> str:
    """Return the runbook's text on an alert; empty if there is none."""
    found = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def test_prometheus_takes_the_rules() -> None:
    """They are well-formed, expressions and templates."""
    done = subprocess.run([promtool(), "check", "rules", ALERTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rules found" in done.stdout


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.name)
def test_every_case_goes_as_it_says(cases: Path) -> None:
    """Prometheus itself runs the rules over the series of every case, and renders the texts."""
    done = subprocess.run([promtool(), "test", "rules", cases], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    """The cases are not empty promises: a threshold turned around makes them fail."""
    wrong = ALERTS.read_text().replace("bridge_airflow_unavailable) == 1", "bridge_airflow_unavailable) == 0")
    (tmp_path / "alerts.yaml").write_text(wrong)
    cases = CASES[0].read_text().replace("../../deploy/observability/alerts.yaml", "alerts.yaml")
    (tmp_path / "cases.yaml").write_text(cases)
    done = subprocess.run([promtool(), "test", "rules", tmp_path / "cases.yaml"], capture_output=True, check=False)
    assert done.returncode != 0


@each_alert
def test_it_is_shown_to_fire_and_to_stay_quiet(name: str) -> None:
    """Each alert has a case in which it fires and one in which it does not."""
    evaluations: list[Mapping[str, Any]] = [
        item
        for file in CASES
        for case in YAML(typ="safe").load(file)["tests"]
        for item in case["alert_rule_test"]
        if item["alertname"] == name
    ]
    assert {bool(item["exp_alerts"]) for item in evaluations} == {True, False}


@each_alert
def test_it_says_how_bad_it_is_and_where_to_read_on(name: str) -> None:
    """Severity, summary, description, and a paragraph of the runbook: what, why, and commands of this project."""
    rule = RULES[name]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"
    text = paragraph(name)
    assert len(text) > 200
    assert "planasonix-bridge " in text or "bridge_" in text
    assert "**Do**" in text


def test_the_runbook_has_no_paragraph_of_an_alert_that_is_gone() -> None:
    """Headings and rules are the same."""
    assert set(re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE)) == RULES.keys()


def test_commands_of_the_runbook_exist() -> None:
    """Every command and option that the runbook tells to run is one."""
    text = "".join(paragraph(name) for name in RULES)
    commands = set(re.findall(r"`planasonix-bridge ([^`]+)`", text))
    assert commands
    assert [word for command in commands for word in unknown_words(command.split())] == []


@each_alert
def test_a_bridge_has_what_it_asks_for(name: str, series: Series) -> None:
    """Every selector finds a series of a running bridge, every label is one, texts name only labels that are left."""
    rule = RULES[name]
    wanted = rule["expr"]
    if name != "BridgeAbsent":
        assert faults(wanted, series) == []
    texts = " ".join(rule["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", texts)) <= label_names(wanted, series)
