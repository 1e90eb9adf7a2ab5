"""Verify signatures over a preset's signed text: HMAC, Ed25519, ECDSA and RSA-PSS, one or several in a header.

The work that a stranger can cause is bounded: 5 keys and 8 signatures over a text that is hashed once for ECDSA and
RSA-PSS, and once per key for HMAC. Ed25519 hashes it with each signature and key, so of large bodies fewer signatures
are tried, but two at least: during a rotation a sender puts two.
"""

import hashlib
import hmac
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from bridge.rules.signature.grammar import MAX_SIGNATURES, make_reader
from bridge.rules.signature.keys import Key
from bridge.rules.signature.presets import Algorithm, Grammar, Preset, make_signed_text
from bridge.rules.signature.verifying import check_count, judge, tries
from bridge.words.errors import Refused
from bridge.words.model import Verified
from bridge.words.reasons import Reason

# Whether any of these signatures is one over the text, as `_prepare` returns it.
Check = Callable[[bytes, Sequence[bytes]], bool]
_ROTATING = 2

SHA256 = Prehashed(hashes.SHA256())
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)


class SchemeVerifier:
    """The check of every preset that signs a text, except those that `verifying` checks."""

    def __init__(self, preset: Preset, keys: Sequence[Key], *, past_seconds: int, future_seconds: int) -> None:
        """Fix the scheme. ValueError for no key, too many, or keys of two kinds."""
        self.keys = check_count(keys)
        self._is_public = any(key.public for key in keys)
        if self._is_public and not all(key.public for key in keys):
            raise ValueError("a source has secrets or public keys, not both")
        self.preset = preset
        self.prefix: str | None = None
        self.past_seconds, self.future_seconds = past_seconds, future_seconds
        version = b"v1"
        if preset.grammar is Grammar.STANDARD and self._is_public:
            preset, version = replace(preset, algorithm=Algorithm.ED25519), b"v1a"
        self._read = make_reader(preset, version=version)
        self._algorithm = preset.algorithm
        self._signed_text = make_signed_text(preset)
        self._checks = tuple((key, _make_check(preset, key)) for key in keys)
        self._ticks = 1000 if preset.timestamp_unit == "ms" else 1

    def verify(self, headers: Iterable[tuple[bytes, bytes]], body: bytes, now: float) -> Verified:
        """Verify, as `SignatureCheck` promises."""
        found = self._read(headers)
        if found.problem and self._is_public:
            raise Refused(found.problem)
        text = self._signed_text(found.timestamp, body, found.message_id)
        text, signatures = self._prepare(text, found.signatures)
        key = next((key for key, check in self._checks if check(text, signatures)), None)
        if found.problem or key is None:
            raise Refused(found.problem or Reason.SIGNATURE_MISMATCH)
        signed_at = int(found.timestamp) // self._ticks if self.preset.is_timed else None
        message_id = found.message_id.decode("latin-1") or None
        return judge(
            body, key, signed_at, now, past=self.past_seconds, future=self.future_seconds, message_id=message_id
        )

    def _prepare(self, text: bytes, signatures: Sequence[bytes]) -> tuple[bytes, Sequence[bytes]]:
        """Return what every key checks: the text or its digest, and the signatures that may be tried over it."""
        match self._algorithm:
            case Algorithm.ECDSA | Algorithm.RSA_PSS:
                return hashlib.sha256(text).digest(), signatures
            case Algorithm.ED25519:
                limit = tries(len(text) * len(self.keys), least=_ROTATING, limit=MAX_SIGNATURES)
                return text, signatures[:limit]
        return text, signatures


def _make_check(preset: Preset, key: Key) -> Check:
    """Return the check of one key; ValueError if the key is not of the preset's kind."""
    match key.public:
        case None if preset.algorithm is Algorithm.HMAC and key.secret:
            return _hmac_check(key.secret)
        case Ed25519PublicKey() as public if preset.algorithm is Algorithm.ED25519:
            return _ed25519_check(public)
        case EllipticCurvePublicKey() as public if preset.algorithm is Algorithm.ECDSA:
            return _ecdsa_check(public, is_raw=preset.signature_format == "raw")
        case RSAPublicKey() as public if preset.algorithm is Algorithm.RSA_PSS:
            return _rsa_check(public)
    raise ValueError(f"the key {key.id} is not one for {preset.name}")


def _hmac_check(secret: bytes) -> Check:
    def check(text: bytes, signatures: Sequence[bytes]) -> bool:
        right = hmac.digest(secret, text, "sha256")
        return any(hmac.compare_digest(right, signature) for signature in signatures)

    return check


def _ed25519_check(public: Ed25519PublicKey) -> Check:
    def check(text: bytes, signatures: Sequence[bytes]) -> bool:
        return any(_is_right(public.verify, signature, text) for signature in signatures)

    return check


def _ecdsa_check(public: EllipticCurvePublicKey, *, is_raw: bool) -> Check:
    scheme = ec.ECDSA(SHA256)

    def check(digest: bytes, signatures: Sequence[bytes]) -> bool:
        spelled = [_der(signature) for signature in signatures] if is_raw else signatures
        return any(_is_right(public.verify, signature, digest, scheme) for signature in spelled)

    return check


def _rsa_check(public: RSAPublicKey) -> Check:
    size = math.ceil(public.key_size / 8)

    def check(digest: bytes, signatures: Sequence[bytes]) -> bool:
        return any(
            len(signature) == size and _is_right(public.verify, signature, digest, PSS, SHA256)
            for signature in signatures
        )

    return check


def _is_right(verify: Callable[..., None], *arguments: object) -> bool:
    try:
        verify(*arguments)
    except InvalidSignature:
        return False
    return True


def _der(raw: bytes) -> bytes:
    """Return r and s of 32 bytes each in the spelling that `cryptography` reads."""
    return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
