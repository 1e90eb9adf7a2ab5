"""What helm prints after an install is true: who reaches the bridge, under which names, and how to try it."""

import json
from typing import Any

import pytest

from tests.chart.support import VALUES, Manifest, notes, of_kind, render

HOST = {"host": "eu.example.com", "tlsSecret": "eu-tls"}


def printed(values: Manifest) -> list[str]:
    """Return the lines."""
    return [line.strip() for line in notes(json.dumps(values)).splitlines()]


def source(**more: Any) -> Manifest:
    """Return values whose source has this too."""
    signature = {"secrets": [{"id": "a", "file": "/etc/bridge/secrets/planasonix-bridge/webhook-secret"}]}
    sources = {"planasonix": {"signature": signature} | more, "other": {"allow_addresses": ["203.0.113.0/24"]}}
    return {"config": {"bridge": json.dumps({"sources": sources})}}


def test_every_host_of_the_ingress_is_a_url() -> None:
    """Those of `hosts` too, with and without `host`; what has no certificate of the chart's is said."""
    plain = {"host": "plain.example.com"}
    urls = [line for line in printed({"ingress": {"enabled": True, "hosts": [HOST, plain]}}) if "https://" in line]
    assert urls == [
        "https://eu.example.com/hooks/planasonix",
        "https://plain.example.com/hooks/planasonix"
        "        no tlsSecret: your ingress controller must bring the certificate",
    ]
    both = {"enabled": True, "host": "hooks.example.com", "tlsSecret": "a", "hosts": [HOST]}
    urls = [line for line in printed({"ingress": both}) if "https://" in line]
    assert urls == ["https://hooks.example.com/hooks/planasonix", "https://eu.example.com/hooks/planasonix"]


def test_who_reaches_the_public_listener_is_said() -> None:
    """The peers of the policy, nobody if there is none; nothing if the policy is off."""
    (peer,) = VALUES["networkPolicy"]["ingressControllers"]
    said = printed({})
    (at,) = [number for number, line in enumerate(said) if "networkPolicy.ingressControllers" in line]
    assert json.loads(said[at + 1]) == peer
    assert "nobody" in printed({"networkPolicy": {"ingressControllers": []}})
    assert not any("networkPolicy" in line for line in printed({"networkPolicy": {"enabled": False}}))


@pytest.mark.parametrize(
    ("values", "is_tested"),
    [
        ({}, True),
        (source(), True),
        (source(allow_addresses=["203.0.113.0/24"]), False),
        (source(client_certificate={"header": "X-Client", "names": ["CN=a"]}), False),
        (source(signature={"preset": "ed25519", "public_keys": [{"id": "a", "file": "/a"}]}), False),
        ({"hooks": {"enabled": False}}, False),
        ({"test": {"enabled": False}}, False),
    ],
    ids=str,
)
def test_a_test_event_is_offered_where_it_can_pass(values: Manifest, is_tested: bool) -> None:
    """Not where the test's pod has no key, address or certificate that the source takes: Flux would roll back."""
    assert (of_kind(render(values), "Pod", name="-test") != []) == is_tested
    assert any(line.startswith("helm test ") for line in printed(values)) == is_tested
