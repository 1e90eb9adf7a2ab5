"""What is refused is kept in a ring of bounded size that holds up nobody; what is too much is dropped and counted."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.chores.refusal_ring import RefusalRing
from bridge.edges.inbox import Inbox, grouping, refusals
from bridge.edges.inbox.refusals import RefusalFilter
from bridge.edges.metrics import Metrics
from bridge.words.errors import InboxUnavailable
from bridge.words.refusals import Refusal, RefusalKind
from tests.support.store import Store

_NOW = datetime(2026, 3, 27, 14, tzinfo=UTC)
_COPY_OF = "dlv_0000000000000001"


@pytest.fixture
def ring(inbox: Inbox, metrics: Metrics) -> Iterator[RefusalRing]:
    """One that has not begun."""
    item = RefusalRing(inbox=inbox, metrics=metrics, clock=lambda: _NOW)
    yield item
    item.loop.stop(5)


def kept(inbox: Inbox, limit: int = 5000, **wanted: object) -> list[Refusal]:
    """Return what is kept, newest first."""
    return inbox.read(refusals.page, wanted=RefusalFilter(**wanted), limit=limit)  # type: ignore[arg-type]


def dropped(metrics: Metrics, kind: str) -> int:
    """Return what was counted as dropped."""
    name = f'bridge_refusals_dropped_total{{kind="{kind}"}} '
    lines = metrics.exposition().decode().splitlines()
    return int(next(float(line.removeprefix(name)) for line in lines if line.startswith(name)))


def test_a_refusal_is_kept_with_what_tells_why_and_never_its_body(ring: RefusalRing, inbox: Inbox, path: Path) -> None:
    """When, source, reason, address, the keys that were tried, and a fingerprint of the body."""
    ring.note("planasonix", "signature_mismatch", sender=lambda: "10.0.0.1", keys=("current:abc",), body=b"canary-body")
    ring.note("planasonix", "duplicate", copy_of=_COPY_OF)
    ring.step()
    refused, copy = kept(inbox)
    assert (refused.at, refused.reason, refused.sender, refused.keys) == (
        _NOW,
        "signature_mismatch",
        "10.0.0.1",
        ("current:abc",),
    )
    assert refused.fingerprint == hashlib.sha256(b"canary-body").hexdigest()
    assert (copy.kind, copy.reason, copy.delivery_id) == (RefusalKind.COPY, "duplicate", _COPY_OF)
    assert not any(b"canary-body" in file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


def test_a_flood_is_dropped_and_counted_and_asks_for_nothing(ring: RefusalRing, inbox: Inbox, metrics: Metrics) -> None:
    """Once the queue is full no address is looked up and no body hashed; copies have room of their own."""
    asked: list[int] = []

    def sender() -> str:
        asked.append(1)
        return "10.0.0.1"

    for _ in range(10_000):
        ring.note("planasonix", "signature_mismatch", sender=sender, body=b"x")
    ring.note("planasonix", "duplicate", copy_of=_COPY_OF)
    assert (len(asked), dropped(metrics, "refused"), dropped(metrics, "copy")) == (50, 9950, 0)
    ring.step()
    assert len(kept(inbox)) == 51
    ring.note("planasonix", "signature_mismatch", sender=sender)  # there is room again
    assert dropped(metrics, "refused") == 9950


@pytest.mark.parametrize("reason", ["same_body", "url_conflict"])
def test_a_copy_that_may_be_another_event_is_pushed_out_by_no_other(
    ring: RefusalRing, inbox: Inbox, reason: str
) -> None:
    """It needs a person for a day, however many plain copies come."""
    for _ in range(60):
        ring.note("planasonix", "duplicate", copy_of=_COPY_OF)
    ring.note("planasonix", reason, copy_of=_COPY_OF)
    for _ in range(25):
        ring.step()
        for _ in range(50):
            ring.note("planasonix", "duplicate", copy_of=_COPY_OF)
    assert [each.kind for each in kept(inbox) if each.reason == reason] == [RefusalKind.DOUBTFUL]
    assert [each.reason for each in inbox.read(grouping.doubtful_copies, since=_NOW)] == [reason]


def test_a_large_body_is_not_hashed(ring: RefusalRing, inbox: Inbox) -> None:
    """It would take the event loop milliseconds."""
    ring.note("planasonix", "signature_mismatch", body=b"x" * 65_537)
    ring.step()
    assert kept(inbox)[0].fingerprint is None


def test_what_cannot_be_written_waits(ring: RefusalRing, inbox: Inbox, store: Store) -> None:
    """Until the store is back; no more waits than the queue holds."""
    ring.note("planasonix", "broken")
    store.rows("ALTER TABLE refusals RENAME TO away")
    with pytest.raises(InboxUnavailable):
        ring.step()
    store.rows("ALTER TABLE away RENAME TO refusals")
    ring.step()
    assert [item.reason for item in kept(inbox)] == ["broken"]
