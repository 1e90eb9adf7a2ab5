"""A source: one place that webhooks come from, and what is asked of them there."""

from dataclasses import dataclass

from bridge.rules.event import Redaction
from bridge.rules.origin import Origin
from bridge.rules.pacing import NO_QUOTA, Quota
from bridge.rules.signature import SignatureCheck
from bridge.words.targets import PlanasonixApi


@dataclass(frozen=True, slots=True)
class Source:
    """One place webhooks come from. `keeps_stale`: an authentic but old one is stored aside, not refused.

    `redaction`: what is taken out of every body before it is written.
    """

    name: str
    verifier: SignatureCheck
    keeps_stale: bool = True
    api: PlanasonixApi | None = None
    origin: Origin | None = None
    quota: Quota = NO_QUOTA
    redaction: Redaction | None = None

    def kept(self, body: bytes) -> bytes:
        """Return what may be stored and shown of a body."""
        return body if self.redaction is None else self.redaction.body(body)
