"""Verify tokens in a header: a JWT that is bound to the body, or a static bearer token.

The algorithm is pinned per key; a token's own header can choose nothing. Keys named or carried by a token (`kid`,
`jwk`, `jku`, `x5c`) are not looked at. Signatures are PyJWT's work, the strict spelling around them is ours.
"""

import hashlib
import hmac
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWS, PyJWTError

from bridge.errors import Refused
from bridge.model import Verified
from bridge.reasons import Reason
from bridge.signature.grammar import collect, decode, encode
from bridge.signature.keys import Key
from bridge.signature.presets import Preset
from bridge.signature.verifying import check_count, judge

JWS_ALGORITHMS = ("HS256", "RS256", "PS256", "ES256", "EdDSA")
MIN_HS256_BYTES = 32  # RFC 7518, 3.2: at least as long as the hash
_KEY_TYPES = {
    "RS256": RSAPublicKey,
    "PS256": RSAPublicKey,
    "ES256": EllipticCurvePublicKey,
    "EdDSA": Ed25519PublicKey,
}
_MAX_TOKEN_BYTES = 8192


class _Unfit(Exception):
    """A claim does not fit; carries the reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class JwtVerifier:
    """The check of the preset `jwt`."""

    def __init__(
        self, preset: Preset, keys: Sequence[Key], *, past_seconds: int = 300, future_seconds: int = 60
    ) -> None:
        """Fix the scheme. ValueError for no key, too many, or one that does not fit its algorithm."""
        self.keys = check_count(keys)
        self.preset = preset
        self.prefix: str | None = None
        self.past_seconds, self.future_seconds = past_seconds, future_seconds
        self._name = preset.signature_header.lower().encode()
        self._before = preset.prefix.encode()
        self._checks = tuple((key, _check_key(key), PyJWS([str(key.algorithm)])) for key in keys)

    def verify(self, headers: Iterable[tuple[bytes, bytes]], body: bytes, now: float) -> Verified:
        """Verify, as `SignatureCheck` promises, but that a misspelled token, which has no signature, costs none.

        A token whose `exp` has passed is refused, not stale: the sender set that limit itself.
        """
        body_hash = hashlib.sha256(body).digest()
        token = self._read(headers)
        is_detached = self.preset.body == "detached"
        parts = token.split(b".")
        if len(parts) != 3 or is_detached != (parts[1] == b""):
            raise Refused(Reason.SIGNATURE_MALFORMED)
        header, claims = _object(parts[0]), {} if is_detached else _object(parts[1])
        # `crit` names extensions that must be understood (RFC 7515, 4.1.11), and none is understood here.
        if header is None or claims is None or decode(parts[2], "base64url") is None or "crit" in header:
            raise Refused(Reason.SIGNATURE_MALFORMED)
        if is_detached:
            token = b".".join((parts[0], encode(body, "base64url").encode(), parts[2]))
        key = self._find_key(token, header.get("alg"))
        if key is None:
            raise Refused(Reason.SIGNATURE_MISMATCH)
        try:
            signed_at = None if is_detached else self._check_claims(claims, body_hash, int(now))
        except _Unfit as unfit:
            raise Refused(unfit.reason) from None
        return judge(body, key, signed_at, now, past=self.past_seconds, future=self.future_seconds)

    def _read(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        (value,), is_repeated = collect(headers, (self._name,))
        if value is None:
            raise Refused(Reason.SIGNATURE_MISSING)
        if is_repeated or len(value) > _MAX_TOKEN_BYTES or not value.startswith(self._before):
            raise Refused(Reason.SIGNATURE_MALFORMED)
        return value[len(self._before) :]

    def _find_key(self, token: bytes, algorithm: object) -> Key | None:
        """Return the key that signed the token, among those pinned to the algorithm that its header names."""
        for key, material, scheme in self._checks:
            if key.algorithm == algorithm:
                try:
                    scheme.decode_complete(token, material, algorithms=[str(key.algorithm)])
                except (PyJWTError, ValueError, TypeError):
                    continue
                return key
        return None

    def _check_claims(self, claims: dict[str, Any], body_hash: bytes, now: int) -> int | None:
        """Check everything that a claim can say; return `iat`. Raises _Unfit."""
        spelled = claims.get(self.preset.body_claim)
        right = encode(body_hash, self.preset.encoding)
        if not isinstance(spelled, str) or not hmac.compare_digest(spelled.encode("utf-8", "replace"), right.encode()):
            raise _Unfit(Reason.CLAIMS_MISMATCH)
        if self.preset.issuer is not None and claims.get("iss") != self.preset.issuer:
            raise _Unfit(Reason.CLAIMS_MISMATCH)
        if not _is_for(self.preset.audience, claims.get("aud")):
            raise _Unfit(Reason.CLAIMS_MISMATCH)
        instants = {name: _instant(claims[name]) for name in ("iat", "nbf", "exp") if name in claims}
        if not instants.keys() & {"iat", "exp"}:
            raise _Unfit(Reason.CLAIMS_MISMATCH)
        if now >= instants.get("exp", math.inf):
            raise _Unfit(Reason.TIMESTAMP_TOO_OLD)
        if instants.get("nbf", 0) - now > self.future_seconds:
            raise _Unfit(Reason.TIMESTAMP_IN_FUTURE)
        return instants.get("iat")


def _check_key(key: Key) -> Any:
    """Return what PyJWT verifies with; ValueError if it does not fit the algorithm that the key is pinned to."""
    if key.algorithm == "HS256" and key.public is None:
        if len(key.secret) < MIN_HS256_BYTES:
            raise ValueError(f"a secret for HS256 has at least {MIN_HS256_BYTES} bytes")
        return key.secret
    if key.algorithm not in _KEY_TYPES or not isinstance(key.public, _KEY_TYPES[key.algorithm]):
        raise ValueError(f"the key {key.id} needs `algorithm`: one of {', '.join(JWS_ALGORITHMS)}, and a key for it")
    return key.public


def _object(part: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a part, None if it is misspelled or names anything twice."""
    text = decode(part, "base64url")
    try:
        value = json.loads((text or b"").decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _is_for(audience: str | None, claimed: object) -> bool:
    """Whether the claim `aud` names us; RFC 7519, 4.1.3: a token for somebody is not for one without a name."""
    if audience is None:
        return claimed is None
    return claimed == audience or (isinstance(claimed, list) and audience in claimed)


def _instant(value: object) -> int:
    """Return a NumericDate in whole seconds; raises _Unfit for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 10**12:
        raise _Unfit(Reason.CLAIMS_MISMATCH)
    return int(value)


class BearerVerifier:
    """The check of the preset `bearer`: a shared word in a header. It says nothing about the body."""

    def __init__(
        self, preset: Preset, keys: Sequence[Key], *, past_seconds: int = 300, future_seconds: int = 60
    ) -> None:
        """Fix the scheme. ValueError for no token, or too many."""
        self.keys = check_count(keys)
        self.preset = preset
        self.prefix: str | None = None
        self.past_seconds, self.future_seconds = past_seconds, future_seconds
        self._name = preset.signature_header.lower().encode()
        self._before = preset.prefix.encode()
        self._digests = tuple((key, hashlib.sha256(key.secret).digest()) for key in keys)

    def verify(self, headers: Iterable[tuple[bytes, bytes]], body: bytes, now: float) -> Verified:
        """Verify, as `SignatureCheck` promises, but for the body, which nothing binds to the token."""
        (value,), is_repeated = collect(headers, (self._name,))
        is_spelled = value is not None and value.startswith(self._before) and not is_repeated
        # Hashes have one length, so that comparing tells nothing about the token's.
        digest = hashlib.sha256(value[len(self._before) :] if value is not None and is_spelled else b"").digest()
        matches = [key for key, right in self._digests if hmac.compare_digest(right, digest)]
        if value is None:
            raise Refused(Reason.SIGNATURE_MISSING)
        if not is_spelled:
            raise Refused(Reason.SIGNATURE_MALFORMED)
        if not matches:
            raise Refused(Reason.SIGNATURE_MISMATCH)
        return judge(body, matches[0], None, now, past=self.past_seconds, future=self.future_seconds)
