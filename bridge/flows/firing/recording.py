"""An attempt as people will read it: when, how long, how it ended."""

from datetime import datetime

from bridge.words.model import Attempt, Claimed, Outcome, Started


def record(claimed: Claimed, outcome: Outcome, started_at: datetime, seconds: float) -> Attempt:
    """Return the attempt as it is stored; `seconds` is how long the call took."""
    reason = None if isinstance(outcome, Started) else outcome.reason
    return Attempt(
        number=claimed.trigger.attempts,
        started_at=started_at,
        seconds=seconds,
        outcome=_WORDS[type(outcome).__name__],
        reason=reason,
        detail=getattr(outcome, "detail", None) or None,
        http_status=outcome.http_status,
    )


_WORDS = {
    "Started": "started",
    "AlreadyThere": "already_there",
    "Later": "later",
    "Never": "never",
    "TargetDown": "target_down",
    "Misconfigured": "misconfigured",
}
