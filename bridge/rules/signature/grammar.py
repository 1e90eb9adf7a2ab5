"""Reads security headers strictly: anything that is not exactly as its scheme defines is malformed and is rejected.

Bounded: the length of a header, and how many of its signatures are tried.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.rules import strict_json
from bridge.rules.signature.presets import Algorithm, Grammar, Preset
from bridge.words.errors import Unreadable
from bridge.words.reasons import Reason

MAX_SIGNATURES = 8
_MAX_HEADER_BYTES = 8192

_is_seconds = re.compile(rb"[0-9]{1,12}").fullmatch
_is_milliseconds = re.compile(rb"[0-9]{1,15}").fullmatch
# No full stop: it separates the parts of the signed text, and an id with one could move the border.
_is_id = re.compile(rb"[\x21-\x2d\x2f-\x7e]{1,255}").fullmatch
_is_hex = re.compile(rb"([0-9a-f]{2})+").fullmatch
_is_base64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}").fullmatch
_is_base64url = re.compile(rb"[A-Za-z0-9_-]+").fullmatch
_match_standard = re.compile(rb"([A-Za-z0-9]{1,16}),([A-Za-z0-9+/=_-]{1,1024})").fullmatch
_match_stripe = re.compile(rb"([A-Za-z0-9]{1,16})=([A-Za-z0-9+/_.-]{1,1024})").fullmatch

_LENGTHS = {
    Algorithm.HMAC: range(32, 33),
    Algorithm.ED25519: range(64, 65),
    Algorithm.RSA_PSS: range(256, 1025),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """The content of a request's security headers. With a `problem` it holds dummies that cost the same to check."""

    signatures: tuple[bytes, ...]
    timestamp: bytes = b"0"
    message_id: bytes = b""
    problem: Reason | None = None


Headers = Iterable[tuple[bytes, bytes]]
Reader = Callable[[Headers], Reading]


def make_reader(preset: Preset, *, version: bytes = b"v1") -> Reader:
    """Return the function that reads a request's headers as the preset spells them; it never raises."""
    names = [preset.signature_header, preset.timestamp_header, preset.id_header]
    wanted = tuple(name.lower().encode() if name else None for name in names)
    lengths = signature_lengths(preset)
    is_timestamp = _is_milliseconds if preset.timestamp_unit == "ms" else _is_seconds
    stand_in = (bytes(max(lengths)),)

    def read(headers: Headers) -> Reading:
        values, is_repeated = collect(headers, wanted)
        if any(name and values[place] is None for place, name in enumerate(wanted)):
            return Reading(stand_in, problem=Reason.SIGNATURE_MISSING)
        found = None if is_repeated else _parse(preset, values[0] or b"", version, lengths)
        if found is not None:
            timestamp = found.timestamp if preset.grammar is Grammar.STRIPE else values[1] or b""
            is_timed = preset.grammar is Grammar.STRIPE or wanted[1]
            is_spelled = (not is_timed or is_timestamp(timestamp)) and (not wanted[2] or _is_id(values[2] or b""))
            if is_spelled:
                return Reading(found.signatures, timestamp if is_timed else b"0", values[2] or b"")
        return Reading(stand_in, problem=Reason.SIGNATURE_MALFORMED)

    return read


def signature_lengths(preset: Preset) -> range:
    """Return how many bytes a signature may have."""
    if preset.algorithm is Algorithm.ECDSA:
        return range(64, 65) if preset.signature_format == "raw" else range(8, 73)
    return _LENGTHS[preset.algorithm]


def collect(headers: Headers, names: Sequence[bytes | None]) -> tuple[list[bytes | None], bool]:
    """Return the values of these headers (lower-cased names), and whether any of them is repeated."""
    values: list[bytes | None] = [None] * len(names)
    is_repeated = False
    for name, value in headers:
        if name in names:
            place = names.index(name)
            is_repeated = is_repeated or values[place] is not None
            values[place] = value
    return values, is_repeated


def _parse(preset: Preset, header: bytes, version: bytes, lengths: range) -> Reading | None:
    """Return the signatures (and Stripe's timestamp) of a header, or None if it is not spelled as it must be."""
    if len(header) > _MAX_HEADER_BYTES:
        return None
    match preset.grammar:
        case Grammar.STANDARD:
            return _standard(header, version, lengths)
        case Grammar.STRIPE:
            return _stripe(header, lengths)
    before = preset.prefix.encode()
    signature = decode(header[len(before) :], preset.encoding) if header.startswith(before) else None
    return Reading((signature,)) if signature is not None and len(signature) in lengths else None


def _standard(header: bytes, version: bytes, lengths: range) -> Reading | None:
    """Read `v1,<base64> v1a,<base64>`: other versions are skipped; one misspelled entry makes the header malformed."""
    signatures: list[bytes] = []
    for entry in header.split(b" "):
        parts = _match_standard(entry)
        if parts is None:
            return None
        if parts[1] == version:
            signature = decode(parts[2], "base64")
            if signature is None or len(signature) not in lengths:
                return None
            signatures.append(signature)
    return Reading(tuple(signatures[:MAX_SIGNATURES])) if signatures else None


def _stripe(header: bytes, lengths: range) -> Reading | None:
    """Read `t=<timestamp>,v1=<hex>`: one `t`, at least one `v1`, other schemes skipped."""
    timestamp: bytes | None = None
    signatures: list[bytes] = []
    for entry in header.split(b","):
        parts = _match_stripe(entry)
        if parts is None or (parts[1] == b"t" and timestamp is not None):
            return None
        if parts[1] == b"t":
            timestamp = parts[2]
        elif parts[1] == b"v1":
            signature = decode(parts[2], "hex")
            if signature is None or len(signature) not in lengths:
                return None
            signatures.append(signature)
    if timestamp is None or not signatures:
        return None
    return Reading(tuple(signatures[:MAX_SIGNATURES]), timestamp)


def decode(text: bytes, encoding: str) -> bytes | None:
    """Return the bytes that a strict spelling stands for, None for any other: one value has one spelling.

    `hex` is lowercase; `base64` is padded and `base64url` is not, both without stray bits at the end.
    """
    if encoding == "hex":
        return bytes.fromhex(text.decode()) if _is_hex(text) else None
    is_url = encoding == "base64url"
    if not (_is_base64url(text) if is_url else _is_base64(text)):
        return None
    try:
        # Padding that is too much is ignored; whatever else is not strict, the comparison below finds.
        found = base64.urlsafe_b64decode(text + b"==") if is_url else base64.b64decode(text)
    except binascii.Error:
        return None
    return found if encode(found, encoding).encode() == text else None


def encode(value: bytes, encoding: str) -> str:
    """Return the one spelling that `decode` reads."""
    if encoding == "hex":
        return value.hex()
    if encoding == "base64url":
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
    return base64.b64encode(value).decode()


def strict_object(text: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a text is, None if it is not one in strict JSON."""
    try:
        return strict_json.parse(text)
    except Unreadable:
        return None
