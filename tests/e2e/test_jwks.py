"""Keys from a JWKS URL: a real bridge, and a provider on loopback that rotates, goes away and is abused."""

import math
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bridge.chores.key_sets import ASKED_SECONDS
from tests.support import forkserver
from tests.support.jwks_server import JwksServer, Pair
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin

MAPPING = "routes:\n  - pipeline: pl_8f2a9c1d4e\n    dag: load_orders\n"
CONFIG = """\
sources:
  planasonix:
    signature:
      preset: jwt
      public_keys:
        - {{id: tenant, jwks: "{jwks}", algorithm: RS256}}
{more}
airflow:
  default:
    url: {airflow}
    auth: {{username: {{env: AIRFLOW_USERNAME}}, password: {{env: AIRFLOW_PASSWORD}}}}
    rate: 500
"""
OLD, NEW, STRANGER = Pair.make("2025"), Pair.make("2026"), Pair.make("2027")


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening."""
    with Standin() as standin:
        yield standin


@pytest.fixture
def provider() -> Iterator[JwksServer]:
    """A provider that publishes one key."""
    with JwksServer() as server:
        server.publishes(OLD)
        yield server


Start = Callable[..., BridgeProcess]


@pytest.fixture
def start(tmp_path: Path, standin: Standin, provider: JwksServer) -> Iterator[Start]:
    """Start a bridge whose source takes tokens of the provider."""
    made: list[BridgeProcess] = []

    def go(more: str = "") -> BridgeProcess:
        made.append(BridgeProcess(tmp_path, airflow_url=standin.url, mapping=MAPPING))
        text = CONFIG.format(jwks=provider.url, airflow=standin.url, more=more)
        (tmp_path / "bridge.yaml").write_text(text)
        made[0].start()
        return made[0]

    yield go
    for item in made:
        item.close()


class Sender:
    """Sends webhooks until told to stop; like Planasonix, it sends again what was not answered 2xx."""

    def __init__(self, bridge: BridgeProcess, pair: Pair, name: str) -> None:
        """Begin."""
        self.pair = pair
        self.answers: list[tuple[str, int]] = []  # event and status, in order
        self._bridge, self._name = bridge, name
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """Stop after the webhook under way is taken."""
        self._is_over.set()
        self._thread.join()

    @property
    def statuses(self) -> Counter[int]:
        """How often each status was answered."""
        return Counter(status for _, status in self.answers)

    def _run(self) -> None:
        url = f"http://127.0.0.1:{self._bridge.port}/hooks/planasonix"
        with httpx.Client(trust_env=False, timeout=120) as client:
            number = 0
            while not self._is_over.is_set():
                number += 1
                self._send(client, url, f"evt_{self._name}_{number}")

    def _send(self, client: httpx.Client, url: str, event: str) -> None:
        payload = body(event=event)
        for _ in range(200):
            status = client.post(url, content=payload, headers=self.pair.headers(payload)).status_code
            self.answers.append((event, status))
            if status in (200, 202):
                return
            time.sleep(0.01)


def send(bridge: BridgeProcess, pair: Pair, event: str, **header: object) -> httpx.Response:
    """Send one webhook."""
    payload = body(event=event)
    url = f"http://127.0.0.1:{bridge.port}/hooks/planasonix"
    return httpx.post(url, content=payload, headers=pair.headers(payload, **header), trust_env=False, timeout=120)


def test_rotation_under_load_refuses_nothing(start: Start, provider: JwksServer, standin: Standin) -> None:
    """The provider adds a key, its senders change over at once: 202, or 503 and then 202, never 401; one fetch."""
    provider.pause_seconds = 0.3  # long enough that many webhooks meet the fetch
    bridge = start()
    senders = [Sender(bridge, OLD, f"s{number}") for number in range(4)]
    try:
        wait_for(lambda: all(item.statuses[202] > 20 for item in senders), seconds=20, what="load")
        provider.publishes(OLD, NEW)
        for item in senders:
            item.pair = NEW
        taken_before = [item.statuses[202] for item in senders]
        wait_for(
            lambda: all(item.statuses[202] > n + 20 for item, n in zip(senders, taken_before, strict=True)),
            seconds=20,
            what="the new key is taken",
        )
    finally:
        for item in senders:
            item.end()
    total = sum((item.statuses for item in senders), Counter[int]())
    assert set(total) == {202, 503}
    assert provider.fetches == 2
    taken = {event for item in senders for event, status in item.answers if status == 202}
    assert taken == {event for item in senders for event, _ in item.answers}
    wait_for(lambda: len(standin.runs()) == len(taken), seconds=30, what="all fired")
    assert 'bridge_jwks_refreshes_total{key="tenant",outcome="loaded",source="planasonix"} 2.0' in bridge.metrics()


def test_provider_down_at_start(start: Start, provider: JwksServer) -> None:
    """The bridge starts and is ready; its webhooks wait (503 with Retry-After) until the provider is there."""
    provider.status = 500
    bridge = start()
    answer = send(bridge, OLD, "evt_1")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json() == {"error": "unavailable"}
    (told,) = bridge.api("status")["key_sets"]
    assert (told["keys"], told["loaded_at"]) == (0, None)
    assert "the URL answers 500" in told["trouble"]
    provider.status = 200
    wait_for(lambda: send(bridge, OLD, "evt_1").status_code == 202, seconds=20, what="the provider is back")
    assert "the URL answers 500" in bridge.log
    metrics = bridge.metrics()
    assert 'bridge_refusals_total{reason="signature_mismatch",source="planasonix"} 0.0' in metrics
    assert 'bridge_refusals_total{reason="keys_unavailable",source="planasonix"} 0.0' not in metrics


def test_provider_that_hangs_holds_up_neither_start_nor_stop(start: Start, provider: JwksServer) -> None:
    """Three seconds at the start, then 503 as if it were down; a stop does not wait for it."""
    provider.pause_seconds = 90
    bridge = start()  # it is ready, though nothing was fetched
    assert send(bridge, OLD, "evt_1").status_code == 503
    assert provider.fetches > 0
    began = time.monotonic()
    assert bridge.stop() == 0
    assert time.monotonic() - began < 60


def test_provider_that_goes_away_or_goes_wrong_changes_nothing(start: Start, provider: JwksServer) -> None:
    """The last good keys stay in use, whatever the URL answers; a key that nobody knows waits (503) instead of 401."""
    bridge = start()
    assert send(bridge, OLD, "evt_1").status_code == 202
    provider.document = b"<html>maintenance</html>"
    wait_for(lambda: send(bridge, NEW, "evt_2").status_code == 503, seconds=5, what="a fetch was asked for")
    wait_for(lambda: "jwks_failed" in bridge.log, seconds=5, what="it is told")
    assert [send(bridge, OLD, f"evt_3{n}").status_code for n in range(5)] == [202] * 5
    assert send(bridge, NEW, "evt_2").status_code == 503
    assert bridge.log.count("jwks_failed") == 1
    (told,) = bridge.api("status")["key_sets"]
    assert (told["source"], told["key"], told["keys"]) == ("planasonix", "tenant", 1)
    assert told["loaded_at"]
    assert "not a usable key set" in told["trouble"]


def test_strangers_cause_one_fetch_a_minute_and_nothing_else(start: Start, provider: JwksServer) -> None:
    """300 tokens of random kids: one fetch, 401 for all that came after it, 202 for every honest one between them."""
    bridge = start()
    before, began = provider.fetches, time.monotonic()
    honest = Sender(bridge, OLD, "honest")
    try:
        strangers = Counter(
            send(bridge, STRANGER, "evt_x", kid=f"kid-{number}", jku=provider.url).status_code for number in range(300)
        )
        wait_for(lambda: honest.statuses[202] > 50, seconds=20, what="honest webhooks")
    finally:
        honest.end()
    minutes = math.ceil((time.monotonic() - began) / ASKED_SECONDS)  # on a slow machine it takes longer than one
    assert before < provider.fetches <= before + minutes
    assert set(strangers) <= {401, 503}
    assert strangers[401] > 250
    assert set(honest.statuses) == {202}
    text = bridge.metrics() + bridge.log
    assert "kid-" not in text
    assert 'bridge_signatures_verified_total{key="tenant",source="planasonix"}' in text


def test_other_secrets_that_change_keep_the_set(start: Start, provider: JwksServer, tmp_path: Path) -> None:
    """A secret of another source is swapped: verifiers are built anew, and no webhook meets one without keys."""
    secret = tmp_path / "other"
    secret.write_text("whsec_4f7d1c0b9a8e7d6c5b4a39281706f5e4")
    bridge = start(f"  other: {{signature: {{preset: planasonix, secrets: [{{id: s, file: {secret}}}]}}}}")
    sender = Sender(bridge, OLD, "s")
    try:
        for number in range(2):
            secret.write_text(f"whsec_00c1d2e3f405162738495a6b7c8d9ea{number}")
            wait_for(
                lambda n=number: bridge.log.count("secrets_loaded") == n + 1,
                seconds=10,
                what="the secret is taken over",
            )
        provider.publishes(NEW)
        sender.pair = NEW
        taken = sender.statuses[202]
        wait_for(lambda: sender.statuses[202] > taken + 20, seconds=10, what="rotation works as before")
    finally:
        sender.end()
    assert set(sender.statuses) <= {202, 503}
    assert send(bridge, OLD, "evt_old").status_code == 401
    assert provider.fetches == 2
    assert bridge.stop() == 0


def test_send_signs_for_a_key_set(start: Start, tmp_path: Path) -> None:
    """`send` takes the private key of any key of the set, and says what is missing or of another kind."""
    bridge = start()
    (tmp_path / "event.json").write_bytes(body(event="evt_1"))
    files = {"fits": OLD.private, "other": Pair.make("x", "EdDSA").private}
    for name, private in files.items():
        text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / name).write_bytes(text)

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        url = f"http://127.0.0.1:{bridge.port}/hooks/planasonix"
        return forkserver.run("send", "event.json", "--url", url, *words, env=bridge.environment, cwd=tmp_path)

    assert run("--private-key", "fits").stdout.startswith("202  accepted")
    assert "needs the private key" in run().stderr
    assert "this is not an RSA key" in run("--private-key", "other").stderr
