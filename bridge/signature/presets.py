"""Signature schemes as data: one entry per published contract, each naming its source.

A preset pins everything that a sender could otherwise choose: headers, prefix, signed text. Adding a
scheme is adding an entry here and, where its signed text is new, one small function.
"""

from collections.abc import Callable
from dataclasses import dataclass

# What a source may write as `prefix`, and the bytes before the hex digits that it stands for.
PREFIXES = {"none": b"", "v1": b"v1=", "sha256": b"sha256="}


def _timestamp_and_body(timestamp: bytes, body: bytes) -> bytes:
    """`{timestamp}.{body}`, and only `{timestamp}` when the body is empty; the header's raw characters."""
    return timestamp + b"." + body if body else timestamp


def _body_alone(timestamp: bytes, body: bytes) -> bytes:  # noqa: ARG001 - one shape for every preset
    """The body as received."""
    return body


@dataclass(frozen=True, slots=True)
class Preset:
    """One HMAC-SHA256 scheme. `prefixes`: what `prefix` may be, the first one is the default."""

    name: str
    source: str
    signature_header: str
    timestamp_header: str | None
    prefixes: tuple[str, ...]
    signed_text: Callable[[bytes, bytes], bytes]


_ALL = (
    Preset(
        name="planasonix",
        source="Planasonix documentation, organization webhooks: signing and verification (2026-08)",
        signature_header="X-Planasonix-Signature",
        timestamp_header="X-Planasonix-Timestamp",
        prefixes=("v1",),
        signed_text=_timestamp_and_body,
    ),
    Preset(
        # No timestamp is signed: only the durable duplicate check stands against a replay.
        name="planasonix-body",
        source="Planasonix documentation, API reference: webhook subscriptions (2026-08)",
        signature_header="X-Planasonix-Signature",
        timestamp_header=None,
        prefixes=("none", "v1", "sha256"),
        signed_text=_body_alone,
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}
