"""Verify tokens in a header: a JWT that is bound to the body, or a static bearer token.

The algorithm is pinned per key; a token's own header can choose nothing. Keys carried by a token or found by it (`jwk`,
`jku`, `x5c`, `x5u`) are not looked at; its `kid` only says which key of a set, that configuration names the URL of, is
tried. Signatures are PyJWT's work, the strict spelling around them is ours.

PyJWT's `decode` reads the whole token for each key: 280 ms for a detached body of 1 MiB. So its algorithms are asked,
with a token that was read once.
"""

import hashlib
import hmac
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWS, PyJWTError
from jwt.algorithms import Algorithm

from bridge.rules.signature.grammar import collect, decode, encode, strict_object
from bridge.rules.signature.keys import MAX_KEYS, Key
from bridge.rules.signature.keysets import MAX_SET_KEYS, KeySet
from bridge.rules.signature.presets import Preset
from bridge.rules.signature.verifying import check_count, judge, tries
from bridge.words.errors import KeyUnknown, Refused
from bridge.words.model import Verified
from bridge.words.reasons import Reason

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


class _TokenVerifier:
    """What both kinds of token have: the header they stand in, and how old they may be."""

    def __init__(self, preset: Preset, keys: Sequence[Key], past_seconds: int, future_seconds: int) -> None:
        self.keys = check_count(keys)
        self.preset = preset
        self.prefix: str | None = None
        self.past_seconds, self.future_seconds = past_seconds, future_seconds
        self._name = preset.signature_header.lower().encode()
        self._before = preset.prefix.encode()


class JwtVerifier(_TokenVerifier):
    """The check of the preset `jwt`."""

    def __init__(self, preset: Preset, keys: Sequence[Key], *, past_seconds: int, future_seconds: int) -> None:
        """Fix the scheme. ValueError for no key, too many, or one that does not fit its algorithm."""
        super().__init__(preset, keys, past_seconds, future_seconds)
        schemes = PyJWS(JWS_ALGORITHMS)
        self._checks = tuple((key, _check_key(key), schemes.get_algorithm_by_name(str(key.algorithm))) for key in keys)
        self._sets: Mapping[str, KeySet | None] = {key.id: None for key in keys if key.jwks}

    def take_over(self, key_id: str, key_set: KeySet) -> None:
        """Verify with this set for the key from the next token on; one thread at a time."""
        self._sets = {**self._sets, key_id: key_set}

    def verify(self, headers: Iterable[tuple[bytes, bytes]], body: bytes, now: float) -> Verified:
        """Verify, as `SignatureCheck` promises, but that a misspelled token, which has no signature, costs none.

        A token whose `exp` has passed is refused, not stale: the sender set that limit itself. Raises KeyUnknown, a
        kind of Refused, where a newer key set could make a difference.
        """
        token = self._read(headers)
        is_detached = self.preset.body == "detached"
        parts = token.split(b".")
        if len(parts) != 3 or is_detached != (parts[1] == b""):
            raise Refused(Reason.SIGNATURE_MALFORMED)
        header, claims = _header(parts[0]), {} if is_detached else _object(parts[1])
        signature = decode(parts[2], "base64url")
        if header is None or claims is None or signature is None:
            raise Refused(Reason.SIGNATURE_MALFORMED)
        payload = encode(body, "base64url").encode() if is_detached else parts[1]
        key = self._find_key(parts[0] + b"." + payload, signature, header)
        if key is None:
            raise Refused(Reason.SIGNATURE_MISMATCH)
        try:
            signed_at = None if is_detached else self._check_claims(claims, hashlib.sha256(body).digest(), int(now))
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

    def _find_key(self, text: bytes, signature: bytes, header: dict[str, Any]) -> Key | None:
        """Return the key that signed the text, among those pinned to the algorithm that the token's header names.

        Of a set, only the keys of the token's `kid` are tried; for a token without one all of them, or as many as
        the text is small enough for.
        """
        sets, kid = self._sets, header.get("kid")
        unsure: list[str] = []
        rest = tries(len(text), least=MAX_KEYS, limit=MAX_SET_KEYS)
        for key, material, scheme in self._checks:
            if key.algorithm != header.get("alg"):
                continue
            candidates: tuple[Any, ...] = (material,)
            if key.jwks is not None:
                key_set = sets[key.id]
                candidates = key_set.candidates(kid)[:rest] if key_set is not None else ()
                rest -= len(candidates)
                if not candidates or kid is None:
                    unsure.append(key.id)
            if any(_is_signed(scheme, text, signature, item) for item in candidates):
                return key
        if unsure:
            raise KeyUnknown(tuple(unsure))
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
        if instants.get("nbf", now) - now > self.future_seconds:
            raise _Unfit(Reason.TIMESTAMP_IN_FUTURE)
        return instants.get("iat")


def _is_signed(scheme: Algorithm, text: bytes, signature: bytes, material: Any) -> bool:
    try:
        return bool(scheme.verify(text, scheme.prepare_key(material), signature))
    except (PyJWTError, ValueError, TypeError):
        return False


def _check_key(key: Key) -> Any:
    """Return what PyJWT verifies with, None where that is fetched; ValueError if it does not fit its algorithm."""
    if key.jwks is not None and key.algorithm in _KEY_TYPES:
        return None
    if key.algorithm == "HS256" and key.public is None and key.jwks is None:
        if len(key.secret) < MIN_HS256_BYTES:
            raise ValueError(f"a secret for HS256 has at least {MIN_HS256_BYTES} bytes")
        return key.secret
    if key.algorithm not in _KEY_TYPES or not isinstance(key.public, _KEY_TYPES[key.algorithm]):
        raise ValueError(f"the key {key.id} needs `algorithm`: one of {', '.join(JWS_ALGORITHMS)}, and a key for it")
    return key.public


def _header(part: bytes) -> dict[str, Any] | None:
    """Return a token's own header, None if it is misspelled or asks for what is not understood here.

    `crit` names extensions that must be understood (RFC 7515, 4.1.11), and none is; a `kid` is a string (4.1.4).
    `b64` is such an extension (RFC 7797, 6).
    """
    header = _object(part)
    is_fit = header is not None and not header.keys() & {"crit", "b64"} and isinstance(header.get("kid", ""), str)
    return header if is_fit else None


def _object(part: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a part, None if it is misspelled or names anything twice."""
    return strict_object(decode(part, "base64url") or b"")


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


class BearerVerifier(_TokenVerifier):
    """The check of the preset `bearer`: a shared word in a header. It says nothing about the body."""

    def __init__(self, preset: Preset, keys: Sequence[Key], *, past_seconds: int, future_seconds: int) -> None:
        """Fix the scheme. ValueError for no token, or too many."""
        super().__init__(preset, keys, past_seconds, future_seconds)
        self._digests = tuple((key, hashlib.sha256(key.secret).digest()) for key in keys)

    def verify(self, headers: Iterable[tuple[bytes, bytes]], body: bytes, now: float) -> Verified:
        """Verify, as `SignatureCheck` promises, but for the body, which nothing binds to the token."""
        (value,), is_repeated = collect(headers, (self._name,))
        is_spelled = value is not None and value.startswith(self._before) and not is_repeated
        # Hashes have one length, so that comparing tells nothing about the token's.
        digest = hashlib.sha256((value or b"")[len(self._before) :]).digest()
        matches = [key for key, right in self._digests if hmac.compare_digest(right, digest)]
        if value is None:
            raise Refused(Reason.SIGNATURE_MISSING)
        if not is_spelled:
            raise Refused(Reason.SIGNATURE_MALFORMED)
        if not matches:
            raise Refused(Reason.SIGNATURE_MISMATCH)
        return judge(body, matches[0], None, now, past=self.past_seconds, future=self.future_seconds)
