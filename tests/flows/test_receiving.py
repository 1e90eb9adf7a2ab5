"""From raw bytes to a durable delivery: what is stored, what is refused, what is counted."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from bridge.flows.receiving import Receipt, Receiving
from bridge.rules.event import Redaction
from bridge.rules.signature import PRESETS, Key, Verifier, sign
from bridge.rules.sources import Source
from bridge.words.errors import InboxUnavailable, Refused
from bridge.words.reasons import Reason
from tests.support.jobs_api import body, received
from tests.support.store import Store

KEY = Key("current", b"0123456789abcdef0123456789")
NOW = 1_785_000_000


class Door:
    """Receiving with a clock that stands still."""

    def __init__(
        self,
        inbox: Inbox,
        metrics: Metrics,
        *,
        preset: str = "planasonix",
        keeps_stale: bool = True,
        redaction: Redaction | None = None,
    ) -> None:
        verifier = Verifier(PRESETS[preset], [KEY])
        self.now = float(NOW)
        self.woken = 0
        self.preset = PRESETS[preset]
        self.receiving = Receiving(
            sources={"planasonix": Source("planasonix", verifier, keeps_stale, redaction=redaction)},
            inbox=inbox,
            metrics=metrics,
            on_accepted=self._wake,
            clock=lambda: self.now,
        )

    def _wake(self) -> None:
        self.woken += 1

    def post(self, content: bytes, *, at: int = NOW, key: Key = KEY, more: dict[str, str] | None = None) -> Receipt:
        """Sign and hand in."""
        signed = sign(self.preset, key, content, at) | (more or {})
        headers = [(name.lower().encode(), value.encode()) for name, value in signed.items()]
        return received(self.receiving, headers, content)


@pytest.fixture
def door(inbox: Inbox, metrics: Metrics) -> Door:
    """One door."""
    return Door(inbox, metrics)


def counted(metrics: Metrics, sample: str) -> float:
    """Return one sample of the exposition."""
    lines = metrics.exposition().decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"bridge_{sample} ")), 0.0)


def test_it_is_stored_when_it_returns(door: Door, store: Store, metrics: Metrics) -> None:
    """Another program sees the row at once; routing is woken; the key that verified is counted."""
    content = body("evt_1")
    receipt = door.post(content)
    assert receipt.status == "accepted"
    (row,) = store.rows("SELECT printf('dlv_%016x', id), event_id, state, key_id, signed_at, body FROM deliveries")
    assert row == (receipt.delivery_id, "evt_1", "received", "current", NOW, content)
    assert door.woken == 1
    assert counted(metrics, 'signatures_verified_total{key="current",source="planasonix"}') == 1
    assert counted(metrics, 'deliveries_total{outcome="accepted",source="planasonix"}') == 1


def test_a_copy_wakes_nobody(door: Door, metrics: Metrics) -> None:
    """A duplicate is told the stored id, and counted as one."""
    first = door.post(body("evt_1"))
    assert door.post(body("evt_1"), at=NOW - 1) == Receipt(first.delivery_id, "duplicate")
    assert door.woken == 1
    assert counted(metrics, 'deliveries_total{outcome="duplicate",source="planasonix"}') == 1


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[]", b'{"id": 7}', b"[" * 50_000, b'{"id":"a","id":"b"}'])
def test_whatever_is_authentic_is_stored(door: Door, store: Store, content: bytes) -> None:
    """What cannot be read is a matter for routing, after the answer."""
    assert door.post(content).status == "accepted"
    assert store.rows("SELECT body FROM deliveries") == [(content,)]


def test_a_stale_one_is_kept_aside(door: Door, store: Store, metrics: Metrics) -> None:
    """Authentic but too old: stored, counted, not routed."""
    assert door.post(body(), at=NOW - 301).status == "accepted"
    assert store.rows("SELECT state, reason FROM deliveries") == [("stale", "timestamp_too_old")]
    assert counted(metrics, 'deliveries_total{outcome="stale",source="planasonix"}') == 1


def test_a_source_may_refuse_stale_ones(inbox: Inbox, metrics: Metrics, store: Store) -> None:
    """With `stale: reject` it is 401 like any other, with its own reason in the metrics."""
    door = Door(inbox, metrics, keeps_stale=False)
    with pytest.raises(Refused) as caught:
        door.post(body(), at=NOW - 301)
    assert caught.value.reason is Reason.TIMESTAMP_TOO_OLD
    assert store.one("SELECT COUNT(*) FROM deliveries") == 0
    assert counted(metrics, 'refusals_total{reason="timestamp_too_old",source="planasonix"}') == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"at": NOW + 61}, Reason.TIMESTAMP_IN_FUTURE),
        ({"key": Key("current", b"another-secret-of-24-bytes")}, Reason.SIGNATURE_MISMATCH),
        ({"more": {"X-Planasonix-Signature": "v1=00"}}, Reason.SIGNATURE_MALFORMED),
        ({"more": {"X-Planasonix-Timestamp": str(NOW - 1)}}, Reason.SIGNATURE_MISMATCH),
    ],
)
def test_what_is_not_authentic_is_not_stored(
    door: Door, store: Store, metrics: Metrics, change: dict[str, Any], reason: Reason
) -> None:
    """Refused with its reason, counted, nothing written, nobody woken."""
    with pytest.raises(Refused) as caught:
        door.post(body(), **change)
    assert caught.value.reason is reason
    assert store.one("SELECT COUNT(*) FROM deliveries") == 0
    assert door.woken == 0
    assert counted(metrics, f'refusals_total{{reason="{reason}",source="planasonix"}}') == 1


def test_a_copy_of_a_stored_event_still_needs_a_signature(door: Door) -> None:
    """The signature is checked before anybody is told that an event is known."""
    door.post(body("evt_1"))
    with pytest.raises(Refused):
        door.post(body("evt_1"), key=Key("current", b"another-secret-of-24-bytes"))


def test_only_harmless_headers_are_kept(door: Door, store: Store) -> None:
    """Neither signature nor cookie is stored, and a long header is cut."""
    door.post(body(), more={"User-Agent": "x" * 1000, "Cookie": "secret", "Content-Type": "application/json"})
    assert store.one("SELECT headers FROM deliveries") == (
        f'{{"user-agent": "{"x" * 200}", "content-type": "application/json"}}'
    )


def test_a_store_that_is_closed_refuses(door: Door, inbox: Inbox, metrics: Metrics) -> None:
    """Not accepted, not duplicate: the sender must come again."""
    inbox.close()
    with pytest.raises(InboxUnavailable):
        door.post(body())
    assert counted(metrics, 'deliveries_total{outcome="accepted",source="planasonix"}') == 0


def test_a_flood_of_refusals_is_logged_now_and_then(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a reason every ten seconds, while the metric counts them all."""
    for _ in range(20):
        with pytest.raises(Refused):
            door.post(b"x", key=Key("x", b"another-secret-of-24-bytes"))
    first = capsys.readouterr().out.count("refused")
    door.now += 11
    with pytest.raises(Refused):
        door.post(b"x", at=int(door.now), key=Key("x", b"another-secret-of-24-bytes"))
    assert (first, capsys.readouterr().out.count("refused")) == (1, 1)


def test_body_only_signatures_are_deduplicated(inbox: Inbox, metrics: Metrics) -> None:
    """The scheme without a timestamp is guarded by the store alone: the same bytes are a copy for ever."""
    door = Door(inbox, metrics, preset="planasonix-body")
    first = door.post(b'{"status":"success"}')
    door.now += 10**8
    assert door.post(b'{"status":"success"}', at=int(time.time())) == Receipt(first.delivery_id, "duplicate")


def test_a_redacted_value_is_never_written(path: Path, inbox: Inbox, store: Store, metrics: Metrics) -> None:
    """Neither in a readable body nor in one that is broken; the files of the store do not hold it."""
    door = Door(inbox, metrics, redaction=Redaction.of(["/data/email"]))
    door.post(body("evt_1", data={"email": "canary-7f3a"}))
    door.post(b'{"data": {"email": "canary-7f3a"')
    kept = [row[0].decode() for row in store.rows("SELECT body FROM deliveries ORDER BY id")]
    assert json.loads(kept[0])["data"]["email"] == "[redacted]"
    assert kept[1].startswith("[not stored: 32 bytes, sha256 ")
    found = [file.name for file in path.parent.iterdir() if b"canary-7f3a" in file.read_bytes()]
    assert found == []
    assert any(b"[redacted]" in file.read_bytes() for file in path.parent.iterdir())


def test_copies_of_a_redacted_body_are_still_one(inbox: Inbox, metrics: Metrics) -> None:
    """Without an event id the body as it was sent tells copies from others, not what is left of it."""
    door = Door(inbox, metrics, redaction=Redaction.of(["/email"]))
    first = door.post(b'{"email": "canary-1"}')
    assert door.post(b'{"email": "canary-1"}') == Receipt(first.delivery_id, "duplicate")
    assert door.post(b'{"email": "canary-2"}').status == "accepted"
