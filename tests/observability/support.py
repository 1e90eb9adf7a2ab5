"""What the expressions of alerts and dashboard ask for, and whether a bridge's exposition has it."""

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from deploy.demo.airflow import REPOSITORY
from scripts.switches import is_on

FOLDER = REPOSITORY / "deploy" / "observability"
ALERTS = FOLDER / "alerts.yaml"
# What Prometheus adds to every series, and what the rules add to their alerts.
TARGET_LABELS = frozenset({"job", "instance", "pod", "namespace", "le"})
Series = Mapping[str, list[Mapping[str, str]]]  # name of a sample -> the labels of each
_OWN_PROMTOOL = REPOSITORY / ".cache" / "debian" / "promtool"


def promtool() -> Path:
    """Return the program; skips if the developer does without it, fails if it should be there and is not."""
    if is_on("WITHOUT_PROMTOOL"):
        pytest.skip("WITHOUT_PROMTOOL is set")
    found = _OWN_PROMTOOL if _OWN_PROMTOOL.exists() else shutil.which("promtool")
    if found is None:
        pytest.fail("there is no promtool: run scripts/debian.sh promtool, or do without: WITHOUT_PROMTOOL=1")
    return Path(found)


def read_rules() -> list[dict[str, Any]]:
    """Return every rule of the alerts."""
    return [rule for group in YAML(typ="safe").load(ALERTS)["groups"] for rule in group["rules"]]


def series_of(exposition: str) -> Series:
    """Return every sample's labels."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def faults(expression: str, series: Series) -> list[str]:
    """Return what an expression asks for in vain: a series that no bridge has, a label that no series has."""
    said: list[str] = []
    for node in _nodes(promql.parse(expression)):
        if isinstance(node, promql.VectorSelector):
            matchers = node.matchers.matchers
            if not any(all(_matches(item, labels) for item in matchers) for labels in series.get(node.name or "", [])):
                said.append(f"no series is {node}")
        modifier = getattr(node, "modifier", None)
        labels = getattr(modifier, "labels", None) or getattr(getattr(modifier, "matching", None), "labels", None) or []
        known = TARGET_LABELS.union(*(item for name in _names(node) for item in series.get(name, [])))
        said += [f"no label {label} in {node}" for label in labels if label not in known]
    return said


def sums_shared(expression: str, shared: frozenset[str]) -> bool:
    """Whether it adds up what every replica tells alike, or takes the rate of it."""
    for node in _nodes(promql.parse(expression)):
        is_plain = isinstance(node, promql.AggregateExpr) and isinstance(node.expr, promql.VectorSelector)
        if is_plain and node.expr.name in shared and str(node.op) != "max":
            return True
        is_rate = isinstance(node, promql.Call) and node.func.name in {"rate", "increase"}
        if is_rate and not shared.isdisjoint(_names(node)):
            return True
    return False


def label_names(expression: str, series: Series) -> set[str]:
    """Return the labels that the result of an expression may have."""
    root = promql.parse(expression)
    names = TARGET_LABELS.union(*(item for name in _names(root) for item in series.get(name, [])))
    removed = set()
    for node in _nodes(root):
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            labels = set(node.modifier.labels)
            is_kept = node.modifier.type == promql.AggModifierType.By
            removed |= names - labels if is_kept else labels
    return set(names) - removed


def _matches(matcher: Any, labels: Mapping[str, str]) -> bool:
    if matcher.name in TARGET_LABELS - {"le"}:
        return True
    found = labels.get(matcher.name, "")
    if matcher.op in (promql.MatchOp.Equal, promql.MatchOp.NotEqual):
        return (found == matcher.value) == (matcher.op == promql.MatchOp.Equal)
    return (re.fullmatch(matcher.value, found) is not None) == (matcher.op == promql.MatchOp.Re)


def _nodes(root: Any) -> Iterator[Any]:
    nodes: list[Any] = []
    promql.walk(root, nodes.append)
    yield from nodes


def _names(root: Any) -> list[str]:
    return [node.name for node in _nodes(root) if isinstance(node, promql.VectorSelector) and node.name]
