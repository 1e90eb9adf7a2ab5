"""What `init` writes into the chart's network policy, so that the pods reach what they are to call."""

import pytest

from bridge.cli.network_policy import network_policy

AIRFLOW, SALES, OWN = (f'kubernetes.io/metadata.name: "{name}"' for name in ("airflow", "sales", "bridge"))


@pytest.mark.parametrize(
    "urls",
    [
        {"airflow": "http://web.airflow:80"},
        {"airflow": "http://web.airflow.svc.cluster.local:80"},
        {"airflow": "http://localhost:8080"},
        {"postgresql": "postgresql://bridge@pg.postgresql/bridge"},
    ],
    ids=str,
)
def test_what_the_chart_opens_by_itself_is_not_written(urls: dict[str, str]) -> None:
    assert network_policy(urls, "bridge") == ""


@pytest.mark.parametrize(
    ("url", "peers", "ports"),
    [
        ("http://web.sales.svc:80", [SALES], ""),
        ("http://web:80", [OWN], ""),
        ("https://203.0.113.7/x", ['cidr: "203.0.113.7/32"'], "ports: [443]"),
        ("https://airflow.example.com", ["cidr: 0.0.0.0/0"], "ports: [443]"),
        ("http://web.sales:80", [SALES, "cidr: 0.0.0.0/0"], "ports: [80, 8080]"),
    ],
)
def test_another_place_is_opened_whichever_it_may_be(url: str, peers: list[str], ports: str) -> None:
    """A policy has the port of the pods, so it is written only for what is no pod, or may be none."""
    written = network_policy({"airflow": url}, "bridge")
    assert [peer in written for peer in peers] == [True] * len(peers)
    assert written.count("{namespaceSelector") + written.count("{ipBlock") == len(peers)
    assert ports in written
    assert ("ports" in written) is bool(ports)
