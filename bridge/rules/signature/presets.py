"""Signature schemes as data: one entry per published contract, each naming its source.

A preset pins everything that a sender could otherwise choose: headers, prefix, encoding, signed text, algorithm.
`options` names what a source may set differently; where nobody publishes a byte-exact contract, that is much.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

# What a source may write as `prefix`, and the bytes before the hex digits that it stands for.
PREFIXES = {"none": b"", "v1": b"v1=", "sha256": b"sha256="}

_PLACES = re.compile(r"\{(timestamp|id|body)\}")
SignedText = Callable[[bytes, bytes, bytes], bytes]


class Algorithm(StrEnum):
    """What makes a signature."""

    HMAC = "hmac-sha256"
    ED25519 = "ed25519"
    ECDSA = "ecdsa-p256"
    RSA_PSS = "rsa-pss"
    JWT = "jwt"
    BEARER = "bearer"


class Grammar(StrEnum):
    """How signatures stand in their header."""

    SINGLE = "single"  # a prefix and one signature, nothing else
    STANDARD = "standard"  # "v1,<base64> v1,<base64>"
    STRIPE = "stripe"  # "t=<timestamp>,v1=<hex>,v1=<hex>"


@dataclass(frozen=True, slots=True)
class Preset:
    """One scheme. `prefixes`: the words that `prefix` may be, the first one the default; `prefix`: literal text.

    `signed_text` and `empty_text` (for an empty body) are made of `{timestamp}`, `{id}`, `{body}` and literal text.
    """

    name: str
    source: str
    signature_header: str
    algorithm: Algorithm = Algorithm.HMAC
    timestamp_header: str | None = None
    id_header: str | None = None
    prefixes: tuple[str, ...] = ("none",)
    prefix: str = ""
    signed_text: str = "{body}"
    empty_text: str | None = None
    encoding: str = "hex"  # hex | base64, and base64url for a token's body hash
    timestamp_unit: str = "s"  # s | ms
    signature_format: str = "der"  # of ECDSA: der | raw
    grammar: Grammar = Grammar.SINGLE
    body: str = "claim"  # of a token: its hash is a claim, or the body is the token's detached payload
    body_claim: str = "body_sha256"
    audience: str | None = None
    issuer: str | None = None
    options: frozenset[str] = frozenset()

    @property
    def is_timed(self) -> bool:
        """Whether it signs a timestamp, so that an age can be limited."""
        has_claims = self.algorithm is Algorithm.JWT and self.body == "claim"
        return self.timestamp_header is not None or self.grammar is Grammar.STRIPE or has_claims

    @property
    def key_kinds(self) -> tuple[str, ...]:
        """Return which of `secrets` and `public_keys` a source may list."""
        if self.algorithm is Algorithm.JWT or self.grammar is Grammar.STANDARD:
            return ("secrets", "public_keys")
        return ("secrets",) if self.algorithm in (Algorithm.HMAC, Algorithm.BEARER) else ("public_keys",)


_TENANT = "Planasonix documentation: `the scheme documented for your tenant` (2026-08)"
_LAYOUT = frozenset(
    {"signature_header", "timestamp_header", "id_header", "prefix", "encoding", "signed_text", "timestamp_unit"}
)


def _key_pair(algorithm: Algorithm, source: str, *more_options: str) -> Preset:
    """Return a preset for one kind of key pair, over the text that Planasonix signs with a secret."""
    return Preset(
        name=algorithm.value,
        source=f"{source}; {_TENANT}",
        signature_header="X-Planasonix-Signature",
        algorithm=algorithm,
        timestamp_header="X-Planasonix-Timestamp",
        signed_text="{timestamp}.{body}",
        empty_text="{timestamp}",
        encoding="base64",
        options=_LAYOUT | set(more_options),
    )


_ALL = (
    Preset(
        name="planasonix",
        source="Planasonix documentation, organization webhooks: signing and verification (2026-08)",
        signature_header="X-Planasonix-Signature",
        timestamp_header="X-Planasonix-Timestamp",
        prefixes=("v1",),
        signed_text="{timestamp}.{body}",
        empty_text="{timestamp}",
    ),
    Preset(
        # No timestamp is signed: only the durable duplicate check stands against a replay.
        name="planasonix-body",
        source="Planasonix documentation, API reference: webhook subscriptions (2026-08)",
        signature_header="X-Planasonix-Signature",
        prefixes=("none", "v1", "sha256"),
        options=frozenset({"prefix"}),
    ),
    Preset(
        name="standard-webhooks",
        source="https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
        signature_header="webhook-signature",
        timestamp_header="webhook-timestamp",
        id_header="webhook-id",
        signed_text="{id}.{timestamp}.{body}",
        encoding="base64",
        grammar=Grammar.STANDARD,
    ),
    Preset(
        name="stripe",
        source="https://docs.stripe.com/webhooks/signature",
        signature_header="Stripe-Signature",
        signed_text="{timestamp}.{body}",
        grammar=Grammar.STRIPE,
    ),
    Preset(
        name="github",
        source="https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
        signature_header="X-Hub-Signature-256",
        prefixes=("sha256",),
    ),
    _key_pair(Algorithm.ED25519, "RFC 8032"),
    _key_pair(Algorithm.ECDSA, "FIPS 186-5, P-256 with SHA-256", "signature_format"),
    _key_pair(Algorithm.RSA_PSS, "RFC 8017, SHA-256 with MGF1-SHA-256 and a salt of 32 bytes"),
    Preset(
        name="jwt",
        source=f"RFC 7515, RFC 7519; {_TENANT}",
        signature_header="Authorization",
        algorithm=Algorithm.JWT,
        prefix="Bearer ",
        options=frozenset({"signature_header", "prefix", "encoding", "body", "body_claim", "audience", "issuer"}),
    ),
    Preset(
        # Proves nothing about the body, and whoever has seen one request can make others.
        name="bearer",
        source="Planasonix documentation, Webhook Action node: static bearer header (2026-08)",
        signature_header="Authorization",
        algorithm=Algorithm.BEARER,
        prefix="Bearer ",
        options=frozenset({"signature_header", "prefix"}),
    ),
    Preset(
        name="custom",
        source="the sender's own documentation, HMAC-SHA256",
        signature_header="",
        signed_text="",
        options=_LAYOUT,
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}


def make_signed_text(preset: Preset) -> SignedText:
    """Return the function that makes the signed text of timestamp, body and id (the headers' raw characters)."""
    whole = _format(preset.signed_text)
    empty = whole if preset.empty_text is None else _format(preset.empty_text)

    def signed_text(timestamp: bytes, body: bytes, message_id: bytes) -> bytes:
        return (whole if body else empty) % {b"timestamp": timestamp, b"body": body, b"id": message_id}

    return signed_text


def _format(template: str) -> bytes:
    """Return a template as a format of bytes, which Python fills in without another pass over the body."""
    return _PLACES.sub(r"%(\1)b", template.replace("%", "%%")).encode()


def check_layout(preset: Preset) -> str | None:
    """Return why a source's headers and signed text cannot be used together, as a sentence; None if they can."""
    if not preset.signature_header or not preset.signed_text:
        return f"preset {preset.name} needs signature_header and signed_text"
    if problem := _check_text(preset.signed_text):
        return problem
    for place, header in (("timestamp", preset.timestamp_header), ("id", preset.id_header)):
        if (f"{{{place}}}" in preset.signed_text) != (header is not None):
            return f"{place}_header and {{{place}}} in signed_text belong together: what is not signed proves nothing"
    names = [name.lower() for name in (preset.signature_header, preset.timestamp_header, preset.id_header) if name]
    return "two of the headers have the same name" if len(set(names)) < len(names) else None


def _check_text(text: str) -> str | None:
    """Two requests must never share one signed text: what varies is told apart by what stands between."""
    places, literal = _PLACES.findall(text), _PLACES.sub("", text)
    if "{" in literal or "}" in literal or not text.isprintable() or not text.isascii():
        return "signed_text is made of {timestamp}, {id}, {body} and printable ASCII"
    if places.count("body") != 1 or places[-1] != "body" or len(set(places)) < len(places):
        return "signed_text holds {body} once and last, {timestamp} and {id} at most once before it"
    if re.search(r"\{timestamp\}[0-9{]|\{id\}[^. ]", text):
        return "in signed_text, a separator follows {timestamp}, and a full stop or a blank follows {id}"
    return None
