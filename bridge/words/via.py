"""How a delivery came to be: a webhook, or the bridge's own question to the Planasonix API."""

from enum import StrEnum

# The key id of a delivery that no webhook brought: no name in bridge.yaml may hold a colon.
RECONCILED_KEY = ":reconciled"


class Via(StrEnum):
    """How a delivery came to be."""

    WEBHOOK = "webhook"
    RECONCILED = "reconciled"


def via(key_id: str) -> Via:
    """Return how a delivery came to be, by the id of the key that it was verified with."""
    return Via.RECONCILED if key_id == RECONCILED_KEY else Via.WEBHOOK
