"""Whether a webhook under a taken key is a copy: a table of literals."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.rules.copies import Kind, Sent, Verdict, judge
from bridge.words.model import Delivery, DeliveryState
from bridge.words.reasons import Reason

AT = datetime(2026, 1, 1, tzinfo=UTC)
STORED = Delivery(
    id="dlv_1",
    source="planasonix",
    event_id=None,
    state=DeliveryState.ROUTED,
    reason=None,
    detail=None,
    received_at=AT,
    key_id="current",
    signed_at=AT,
    path_pipeline_id="pl_1",
    headers={},
    body=b"same",
    lookup=None,
    lookups=0,
)
SENT = Sent(b"same", True, AT.timestamp() + 1, int(AT.timestamp()), False, "pl_1")
COPY, OTHER, AGAIN = Verdict(Kind.COPY), Verdict(Kind.ANOTHER_BODY), Verdict(Kind.SAME_BODY_AGAIN)
ROUTED_AGAIN, TOO_OLD = Verdict(Kind.COPY, routes_again=True), Verdict(Kind.COPY, is_too_old=True)


@pytest.mark.parametrize(
    ("stored", "sent", "verdict"),
    [
        ({}, {}, COPY),
        ({}, {"received_at": AT.timestamp() + 1e9}, COPY),  # an id makes a copy a copy for ever
        ({}, {"signed_at": 7}, COPY),
        ({}, {"kept": b"other"}, OTHER),
        ({"state": DeliveryState.STALE}, {"kept": b"other", "is_stale": True}, OTHER),
        ({"locked": "no key", "body": b""}, {}, OTHER),
        ({"erased_at": AT, "body": b""}, {}, COPY),
        ({"erased_at": AT, "body": b"", "state": DeliveryState.UNROUTED}, {}, COPY),
        ({"state": DeliveryState.UNROUTED}, {}, ROUTED_AGAIN),
        ({"state": DeliveryState.INVALID}, {}, ROUTED_AGAIN),
        ({"state": DeliveryState.IGNORED}, {}, COPY),
        ({"state": DeliveryState.IGNORED, "reason": Reason.SAME_EVENT}, {}, COPY),
        ({"state": DeliveryState.IGNORED, "reason": Reason.STATUS_RUNNING}, {}, COPY),
        ({"state": DeliveryState.IGNORED, "reason": Reason.STATUS_UNKNOWN}, {}, ROUTED_AGAIN),
        ({"state": DeliveryState.IGNORED, "reason": Reason.LOOKUP_FAILED}, {}, ROUTED_AGAIN),
        ({"state": DeliveryState.IGNORED, "reason": Reason.LOOKUP_NOT_FOUND}, {}, ROUTED_AGAIN),
        ({"state": DeliveryState.IGNORED, "reason": Reason.STATUS_UNKNOWN}, {"is_stale": True}, TOO_OLD),
        ({"state": DeliveryState.ROUTED, "reason": Reason.STATUS_UNKNOWN}, {}, COPY),
        ({"state": DeliveryState.STALE}, {}, COPY),
        ({"state": DeliveryState.UNROUTED}, {"is_stale": True}, TOO_OLD),  # what is stale starts nothing
        ({"state": DeliveryState.STALE}, {"is_stale": True}, COPY),
        ({"erased_at": AT, "body": b"", "state": DeliveryState.UNROUTED}, {"is_stale": True}, COPY),
        ({"state": DeliveryState.UNROUTED}, {"kept": b"other"}, OTHER),
        ({}, {"path_pipeline_id": "pl_2"}, Verdict(Kind.COPY, url_differs=True)),
        ({"path_pipeline_id": None}, {}, Verdict(Kind.COPY, url_differs=True)),
        ({}, {"has_id": False}, COPY),
        ({}, {"has_id": False, "received_at": AT.timestamp() + 599.9}, COPY),
        ({}, {"has_id": False, "received_at": AT.timestamp() + 600}, AGAIN),
        ({}, {"has_id": False, "received_at": AT.timestamp() - 1e6}, COPY),  # the clock was set back
        ({}, {"has_id": False, "signed_at": 7}, Verdict(Kind.COPY, instant_differs=True)),
        ({"signed_at": None}, {"has_id": False, "signed_at": None}, COPY),
        ({"erased_at": AT, "body": b""}, {"has_id": False, "received_at": AT.timestamp() + 600}, AGAIN),
    ],
)
def test_what_comes_under_a_taken_key(stored: dict[str, Any], sent: dict[str, Any], verdict: Verdict) -> None:
    """The body decides under an id, the time without one; neither the URL nor the timestamp ever does."""
    assert judge(replace(STORED, **stored), replace(SENT, **sent), same_body_seconds=600) == verdict
