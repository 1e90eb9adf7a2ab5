"""Where webhooks may come from and how many there may be, on a running bridge that stands behind a proxy.

docs/security.md, "Where webhooks may come from": X-Forwarded-* counts from listed proxies alone, and an allow list
looks at the real peer. docs/security.md, "Limits".
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from deploy.demo.processes import free_port
from tests.support.service import BridgeProcess, body, signed
from tests.web.conftest import MAPPING

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]

SENDER, STRANGER = "203.0.113.7", "198.51.100.66"
BEHIND_A_PROXY = "proxies: {addresses: [127.0.0.1]}"
UNAUTHORIZED = b'{"error": "unauthorized"}'
Started = Callable[..., BridgeProcess]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """Start a bridge whose source says more than a signature."""
    bridges: list[BridgeProcess] = []

    def start(source: str, *, more: str = BEHIND_A_PROXY) -> BridgeProcess:
        url = f"http://127.0.0.1:{free_port()}"
        bridges.append(BridgeProcess(tmp_path, airflow_url=url, mapping=MAPPING, source=source, more=more))
        bridges[-1].start()
        return bridges[-1]

    yield start
    for item in bridges:
        item.close()


def post(bridge: BridgeProcess, payload: bytes, *, at: int | None = None, **more: str) -> httpx.Response:
    """Post a signed webhook with more headers."""
    headers = signed(payload, at=at) | {name.replace("_", "-"): value for name, value in more.items()}
    url = f"http://127.0.0.1:{bridge.port}/hooks/planasonix"
    return httpx.post(url, content=payload, headers=headers, trust_env=False, timeout=60)


def refusals(bridge: BridgeProcess, reason: str) -> float:
    """Return how often the reason was counted."""
    found = re.search(rf'bridge_refusals_total{{reason="{reason}",source="planasonix"}} (\S+)', bridge.metrics())
    assert found is not None
    return float(found[1])


def test_an_allow_list_behind_a_proxy(started: Started) -> None:
    """The address that the proxy names counts; whatever a stranger writes before it does not."""
    bridge = started("    allow_addresses: [203.0.113.0/24]")
    assert post(bridge, body(event="evt_from_there"), X_Forwarded_For=SENDER).status_code == 202
    for chain in (STRANGER, f"{SENDER}, {STRANGER}", "unknown", ""):
        answer = post(bridge, body(event="evt_from_elsewhere"), X_Forwarded_For=chain)
        assert (answer.status_code, answer.content) == (401, UNAUTHORIZED)
    assert refusals(bridge, "address_not_allowed") == 4
    assert bridge.api("deliveries", event_id="evt_from_elsewhere")["deliveries"] == []


def test_without_listed_proxies_the_header_means_nothing(started: Started) -> None:
    """Else everybody could write the right address."""
    bridge = started("    allow_addresses: [203.0.113.0/24]", more="")
    assert post(bridge, body(event="evt_claims"), X_Forwarded_For=SENDER, Forwarded=f"for={SENDER}").status_code == 401
    assert refusals(bridge, "address_not_allowed") == 1


def test_a_wrong_signature_is_named_first(started: Started) -> None:
    """So `address_not_allowed` always means that somebody else has the secret, or that the list is wrong."""
    bridge = started("    allow_addresses: [203.0.113.0/24]")
    answer = post(bridge, body(event="evt_forged"), X_Planasonix_Signature="v1=" + "0" * 64)
    assert (answer.status_code, answer.content) == (401, UNAUTHORIZED)
    assert (refusals(bridge, "signature_mismatch"), refusals(bridge, "address_not_allowed")) == (1, 0)


def test_a_client_certificate_that_the_proxy_has_seen(started: Started) -> None:
    """By its name, exactly and once."""
    bridge = started("    client_certificate: {header: X-SSL-Client-S-DN, names: [CN=planasonix]}")
    assert post(bridge, body(event="evt_certified"), X_SSL_Client_S_DN="CN=planasonix").status_code == 202
    for more in ({}, {"X_SSL_Client_S_DN": "CN=planasonix-test"}):
        answer = post(bridge, body(event="evt_uncertified"), **more)
        assert (answer.status_code, answer.content) == (401, UNAUTHORIZED)
    assert refusals(bridge, "certificate_not_allowed") == 2


def test_refusals_of_one_address_are_limited(started: Started) -> None:
    """429 with Retry-After, by address; an authentic webhook is taken from there all the same."""
    bridge = started("    limits: {refusals_per_minute: 5}")
    forged = {"X_Planasonix_Signature": "v1=" + "0" * 64}
    answers = [post(bridge, b"{}", X_Forwarded_For=STRANGER, **forged) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 12
    assert post(bridge, b"{}", X_Forwarded_For=SENDER, **forged).status_code == 401
    assert post(bridge, body(event="evt_neighbour"), X_Forwarded_For=STRANGER).status_code == 202
    assert (refusals(bridge, "refusal_limit"), refusals(bridge, "signature_mismatch")) == (3, 6)


def test_deliveries_of_a_source_are_limited_when_asked_for(started: Started) -> None:
    """429 with Retry-After; nothing is stored, so the retry is new."""
    bridge = started("    limits: {deliveries_per_minute: 3}")
    answers = [post(bridge, body(event=f"evt_much_{number}")) for number in range(4)]
    assert [answer.status_code for answer in answers] == [202] * 3 + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
    assert refusals(bridge, "delivery_limit") == 1
    assert bridge.api("deliveries", event_id="evt_much_3")["deliveries"] == []


def test_nothing_is_limited_by_default(started: Started) -> None:
    """An honest sender may send as many as it has; a clumsy one earns many refusals before it hears 429."""
    bridge = started("")
    with httpx.Client(trust_env=False, base_url=f"http://127.0.0.1:{bridge.port}", timeout=60) as client:
        for number in range(200):
            payload = body(event=f"evt_burst_{number}")
            assert client.post("/hooks/planasonix", content=payload, headers=signed(payload)).status_code == 202
            assert client.post("/hooks/planasonix", content=payload + b" ", headers=signed(payload)).status_code == 401
