"""The dashboard asks for what a running bridge exposes, in a way that is right for several replicas."""

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.observability.support import FOLDER, Series, faults, label_names, promtool, read_rules, sums_shared

DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def plain(expression: str) -> str:
    """Return an expression as Grafana sends it when everything is chosen."""
    for name, value in {"$__rate_interval": "5m", "$job": ".*", "$namespace": ".*"}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def targets() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the title of every panel with each of its queries."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target


def expressions() -> list[str]:
    """Return every expression: panels' and annotations'."""
    notes = [note["expr"] for note in DASHBOARD["annotations"]["list"]]
    return [plain(item) for item in [*(target["expr"] for _, target in targets()), *notes]]


@pytest.mark.parametrize("expression", [item for item in expressions() if not item.startswith("ALERTS")])
def test_a_bridge_has_what_it_asks_for(expression: str, series: Series) -> None:
    """Every selector finds a series of a running bridge, and every label is one."""
    assert faults(expression, series) == []


def test_the_table_of_alerts_asks_for_ours() -> None:
    """Prometheus makes that metric itself; its names are those of the rules."""
    (wanted,) = [item for item in expressions() if item.startswith("ALERTS")]
    (pattern,) = re.findall(r'alertname=~"([^"]+)"', wanted)
    assert [rule["alert"] for rule in read_rules() if not re.fullmatch(pattern, rule["alert"])] == []


def test_prometheus_takes_every_expression(tmp_path: Path) -> None:
    """Its own parser, as recording rules."""
    rules = [{"record": f"panel:number:{number}", "expr": item} for number, item in enumerate(expressions())]
    with (tmp_path / "rules.yaml").open("w") as file:
        YAML().dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
    done = subprocess.run(
        [promtool(), "check", "rules", tmp_path / "rules.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_legends_name_labels_that_are_there(series: Series) -> None:
    """A label that the expression has summed away would show as its name in braces."""
    wrong = [
        (title, label)
        for title, target in targets()
        if not target["expr"].startswith("ALERTS")
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
        if label not in label_names(plain(target["expr"]), series)
    ]
    assert wrong == []


def test_what_replicas_share_is_never_summed_over_them(store_gauges: frozenset[str]) -> None:
    """Three replicas tell of one backlog: its sum would be three times too much."""
    assert {"bridge_waiting", "bridge_store_bytes"} <= store_gauges
    asked = [*expressions(), *(rule["expr"] for rule in read_rules())]
    assert [item for item in asked if sums_shared(item, store_gauges)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        "sum(bridge_nothing)",
        'rate(bridge_refusals_total{reason="no_such_reason"}[5m])',
        "bridge_deliveries_total",
        'sum(bridge_waiting{state=~"sent.*"})',
        "max by (colour) (bridge_waiting)",
        "sum without (colour) (rate(bridge_attempts_total[5m])) / on (shape) bridge_build_info",
    ],
)
def test_what_is_wrong_is_found(wrong: str, series: Series) -> None:
    """The checks above are not blind: a metric, a label or a value that is not there is a fault."""
    assert bool(faults(wrong, series)) == (wrong != "bridge_deliveries_total")


@pytest.mark.parametrize("wrong", ["sum(bridge_waiting)", "rate(bridge_held[5m])", "sum by (state) (bridge_waiting)"])
def test_a_sum_over_replicas_is_found(wrong: str, store_gauges: frozenset[str]) -> None:
    """Nor is this one."""
    assert sums_shared(wrong, store_gauges)


def test_every_metric_is_looked_at(series: Series) -> None:
    """What neither the dashboard nor an alert shows is either missing there or not worth its series."""
    text = " ".join([*expressions(), *(rule["expr"] for rule in read_rules())])
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in series if name.startswith("bridge_")}
    assert [name for name in sorted(names) if not re.search(rf"\b{name}(_bucket|_sum|_count)?\b", text)] == []


def test_the_data_source_is_chosen_at_the_top() -> None:
    """Nothing is bound to the data source of whoever made it."""
    assert DASHBOARD["templating"]["list"][0] == {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "hide": 0,
        "current": {},
    }
    asked = [*PANELS, *(target for _, target in targets()), *DASHBOARD["annotations"]["list"]]
    asked += DASHBOARD["templating"]["list"][1:]
    assert [item for item in asked if item["datasource"] != SOURCE] == []


def test_rows_and_places() -> None:
    """The rows are in the order in which one asks; no panel lies on another; ids are there once."""
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Is it well?", "Intake", "Routing and firing", "Airflow", "Store", "Security"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert [pair for pair in combinations(places, 2) if _overlap(*pair)] == []
    assert all(panel["description"] for panel in PANELS)


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one[at] < other[at] + other[size] and other[at] < one[at] + one[size] for at, size in (("x", "w"), ("y", "h"))
    )
