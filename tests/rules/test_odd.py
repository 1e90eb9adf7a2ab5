"""Deliveries that start nothing and copies that may have been another event, as lines for a person."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge.rules import odd
from bridge.rules.need import Need
from bridge.words.causes import Odd, Refused
from bridge.words.model import DeliveryState
from bridge.words.reasons import Reason

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
INVALID = Odd(DeliveryState.INVALID, Reason.UNREADABLE_JSON, "crm", 3, NOW - HOUR, NOW, "dlv_1")


@pytest.mark.parametrize(
    ("found", "what", "about", "says", "next_step"),
    [
        (
            INVALID,
            "invalid",
            "crm",
            f"deliveries of source crm start nothing: {Reason.UNREADABLE_JSON.why}",
            Reason.UNREADABLE_JSON.next_step,
        ),
        (
            replace(INVALID, reason=None),
            "invalid",
            "crm",
            "deliveries of source crm start nothing",
            "Look at one of them.",
        ),
        (
            replace(INVALID, state=DeliveryState.ROUTED, reason=Reason.LOOKUP_FAILED),
            "lookup_failed",
            "crm, routed",
            f"deliveries of source crm may start fewer DAG runs than they should: {Reason.LOOKUP_FAILED.why}",
            Reason.LOOKUP_FAILED.next_step,
        ),
    ],
)
def test_a_line_says_what_became_of_the_deliveries(
    found: Odd, what: str, about: str, says: str, next_step: str
) -> None:
    """With the reason if there is one, also in what chooses all of them."""
    reason = None if found.reason is None else str(found.reason)
    chosen = {"state": str(found.state), "source": "crm"} | ({} if reason is None else {"reason": reason})
    assert list(odd.needs([found], NOW)) == [
        Need(what, about, says, next_step, NOW - HOUR, 3, reason, "dlv_1", chosen, NOW)
    ]


@pytest.mark.parametrize(
    ("reason", "shown_for"),
    [
        (Reason.UNREADABLE_JSON, timedelta(days=1)),
        (Reason.LOOKUP_NOT_FOUND, timedelta(days=7)),
        (None, timedelta(days=1)),
    ],
)
def test_a_line_is_shown_for_a_day_or_a_week(reason: Reason | None, shown_for: timedelta) -> None:
    """To the very end of it; the others are shown all the same."""
    at_last = replace(INVALID, reason=reason, newest_at=NOW - shown_for)
    over = replace(at_last, newest_at=at_last.newest_at - timedelta(seconds=1))
    assert [each.newest for each in odd.needs([over, at_last], NOW)] == [at_last.newest_at]


def test_copies_that_may_have_been_another_event_are_a_line() -> None:
    """With one of those that they were taken for copies of."""
    assert list(odd.copies([])) == []
    assert list(odd.copies([Refused("crm", "same_body", 2, NOW - HOUR, NOW, "dlv_7")])) == [
        Need(
            "same_body",
            "crm",
            f"webhooks of source crm were taken for copies: {Reason.SAME_BODY.why}",
            Reason.SAME_BODY.next_step,
            NOW - HOUR,
            2,
            "same_body",
            "dlv_7",
            {"kind": "doubtful", "source": "crm", "reason": "same_body"},
            NOW,
        )
    ]
