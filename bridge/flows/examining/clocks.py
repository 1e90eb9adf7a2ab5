"""How far another clock is from ours."""

from datetime import datetime

from bridge.words.findings import Finding, fine, unknown, wrong

_MOST_SECONDS = 30.0  # a timestamp 60 s in the future is refused; half of that is time to act


def clock(step: str, about: str, at: datetime | None, now: datetime, *, owner: str) -> Finding:
    """Compare a Date header with our clock; it has whole seconds, and the answer took a while."""
    if at is None:
        return unknown(step, about, f"{owner} clock is not known: the answer has no Date")
    apart = (now - at).total_seconds()
    if abs(apart) <= _MOST_SECONDS:
        return fine(step, about, f"{owner} clock and ours agree to {abs(apart):.0f} s")
    ahead = "ahead of" if apart > 0 else "behind"
    says = f"our clock is {abs(apart):.0f} s {ahead} {owner}"
    return wrong(step, about, says, "Let both machines set their clocks by NTP: timestamps of webhooks are compared.")
