"""Verify the HMAC presets with one signature header; `schemes` and `tokens` verify the others.

On the hot path: one pass over the headers, one HMAC per key. Must never parse the body, read a clock, or
spend much less on one refusal of a secret than on another.

What a stranger's request may cost, for every scheme: what needs no body is looked at first where there is no secret to
guess; a body is hashed once, where the scheme allows; else the number of tries falls with the body's size (`tries`).
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from bridge.rules.signature.keys import MAX_KEYS, Key
from bridge.rules.signature.presets import PREFIXES, Preset, make_signed_text
from bridge.words.errors import Refused
from bridge.words.model import Verified
from bridge.words.reasons import Reason

_is_timestamp = re.compile(rb"[0-9]{1,12}").fullmatch
_HASHED_BYTES = 4_194_304  # about 10 ms
_NO_HEADER = b""  # no ASGI server passes on a header without a name
_NO_TIMESTAMP = b"0"
_NO_SIGNATURE = bytes(hashlib.sha256().digest_size)


class SignatureCheck(Protocol):
    """One source's signature check: a preset, its keys, and how old or new a timestamp may be."""

    preset: Preset
    keys: tuple[Key, ...]
    past_seconds: int
    future_seconds: int
    prefix: str | None

    def verify(self, headers: Iterable[tuple[bytes, bytes]], body: bytes, now: float) -> Verified:
        """Return the body as verified, or raise Refused with a reason of the door.

        `headers` as ASGI gives them (lower-cased names), `now` in Unix seconds. Seconds are counted whole, as
        the sender's are. An old timestamp with a right signature is `is_stale`, not refused. With secrets, every
        refusal has tried every key over the whole body, whatever was wrong. Public keys have nothing to hide: there
        what is missing or misspelled is refused before the body is looked at.
        """


def tries(size: int, *, least: int, limit: int) -> int:
    """Return how many times a text of so many bytes may be hashed for one request, between `least` and `limit`."""
    return max(least, min(limit, _HASHED_BYTES // size)) if size else limit


def check_count(keys: Sequence[Key]) -> tuple[Key, ...]:
    """Return the keys; ValueError for none, or more than a stranger may make us try."""
    if not 1 <= len(keys) <= MAX_KEYS:
        raise ValueError(f"a source needs 1 to {MAX_KEYS} secrets, not {len(keys)}")
    return tuple(keys)


def judge(
    body: bytes,
    key: Key,
    signed_at: int | None,
    now: float,
    *,
    past: int,
    future: int,
    message_id: str | None = None,
) -> Verified:
    """Return what a right signature of this key means at `now`: the only maker of a verified delivery.

    `message_id` is one that the signature covers.
    """
    if not key.is_valid_at(now):
        raise Refused(Reason.KEY_OUT_OF_TIME)
    if signed_at is None:
        return Verified(body, key.id, None, False, message_id)
    age = int(now) - signed_at
    if age < -future:
        raise Refused(Reason.TIMESTAMP_IN_FUTURE)
    return Verified(body, key.id, signed_at, age > past, message_id)


def prefix_bytes(preset: Preset, prefix: str | None) -> bytes:
    """Return the bytes before the hex digits; ValueError if the preset does not have this prefix."""
    chosen = preset.prefixes[0] if prefix is None else prefix
    if chosen not in preset.prefixes:
        raise ValueError(f"preset {preset.name} has no prefix {chosen!r}")
    return PREFIXES[chosen]


class Verifier:
    """The check of HMAC presets with one signature in hexadecimal and at most a timestamp beside it."""

    __slots__ = (
        "_match_signature",
        "_signature_name",
        "_signed_text",
        "_timestamp_name",
        "future_seconds",
        "keys",
        "past_seconds",
        "prefix",
        "preset",
    )

    def __init__(
        self,
        preset: Preset,
        keys: Sequence[Key],
        *,
        past_seconds: int = 300,
        future_seconds: int = 60,
        prefix: str | None = None,
    ) -> None:
        """Fix the scheme. ValueError for no key, more than MAX_KEYS, or a prefix that the preset lacks."""
        self.keys = check_count(keys)
        before = re.escape(prefix_bytes(preset, prefix))
        self.preset = preset
        self.past_seconds = past_seconds
        self.future_seconds = future_seconds
        self.prefix = prefix
        self._match_signature = re.compile(before + rb"([0-9a-f]{64})").fullmatch
        self._signature_name = preset.signature_header.lower().encode()
        self._timestamp_name = (preset.timestamp_header or "").lower().encode()
        self._signed_text = make_signed_text(preset)

    def verify(self, headers: Iterable[tuple[bytes, bytes]], body: bytes, now: float) -> Verified:
        """Verify, as `SignatureCheck` promises."""
        signature, timestamp, problem = self._read_headers(headers)
        key = self._find_key(self._signed_text(timestamp, body, b""), signature)
        if problem or key is None:
            raise Refused(problem or Reason.SIGNATURE_MISMATCH)
        signed_at = int(timestamp) if self._timestamp_name else None
        return judge(body, key, signed_at, now, past=self.past_seconds, future=self.future_seconds)

    def _find_key(self, text: bytes, signature: bytes) -> Key | None:
        """Return the key that makes this signature (32 bytes) over the text."""
        for key in self.keys:
            if hmac.compare_digest(hmac.digest(key.secret, text, "sha256"), signature):
                return key
        return None

    def _read_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes, Reason | None]:
        """Return signature and timestamp, or stand-ins of the same cost and what is wrong with them."""
        signature = timestamp = None
        is_repeated = False
        signature_name, timestamp_name = self._signature_name, self._timestamp_name
        for name, text in headers:
            if name == signature_name:
                is_repeated = is_repeated or signature is not None
                signature = text
            elif name == timestamp_name and name != _NO_HEADER:
                is_repeated = is_repeated or timestamp is not None
                timestamp = text
        if not timestamp_name:
            timestamp = _NO_TIMESTAMP
        if signature is None or timestamp is None:
            return _NO_SIGNATURE, _NO_TIMESTAMP, Reason.SIGNATURE_MISSING
        hex_digits = self._match_signature(signature)
        if is_repeated or hex_digits is None or _is_timestamp(timestamp) is None:
            return _NO_SIGNATURE, _NO_TIMESTAMP, Reason.SIGNATURE_MALFORMED
        return bytes.fromhex(hex_digits[1].decode()), timestamp, None
