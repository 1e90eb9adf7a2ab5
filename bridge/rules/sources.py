"""A source: one place that webhooks come from, and what they must fulfil."""

from dataclasses import dataclass

from bridge.rules.event import USUAL, Redaction, Spelling
from bridge.rules.origin import Origin
from bridge.rules.pacing import NO_QUOTA, Quota
from bridge.rules.signature import SignatureCheck
from bridge.words.targets import KeyPlace, PlanasonixApi, Reconcile


@dataclass(frozen=True, slots=True)
class Source:
    """One place webhooks come from. `keeps_stale`: an authentic but old webhook is kept as `stale`, not rejected.

    `redaction`: what is removed from every body before it is stored. `same_body_seconds`: for so long the same body
    without any id is a copy. `spelling`: how its bodies are spelled. `places`: of every key, also of those to come.
    `silent_after_seconds`: no webhook for longer needs a person; None: it may be silent.
    `cancels_abandoned`: cancel runs whose Airflow task was cleared or marked as failed.
    """

    name: str
    verifier: SignatureCheck
    keeps_stale: bool = True
    api: PlanasonixApi | None = None
    origin: Origin | None = None
    quota: Quota = NO_QUOTA
    redaction: Redaction | None = None
    same_body_seconds: float = 600.0
    spelling: Spelling = USUAL
    reconcile: Reconcile | None = None
    cancels_abandoned: bool = False
    places: tuple[KeyPlace, ...] = ()
    silent_after_seconds: float | None = None

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys that its webhooks may ever be verified with, while this process runs."""
        return tuple(dict.fromkeys([*(key.id for key in self.verifier.keys), *(place.id for place in self.places)]))

    def kept(self, body: bytes) -> bytes:
        """Return what may be stored and shown of a body."""
        return body if self.redaction is None else self.redaction.body(body, self.spelling)
