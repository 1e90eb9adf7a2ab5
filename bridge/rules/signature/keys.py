"""Keys that verify signatures, when each may be used, and which texts are too weak to be a secret."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bridge.words.targets import JwksUrl

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

# A wrong signature is tried with every key, so their number bounds the work that a stranger can cause.
MAX_KEYS = 5
MIN_SECRET_BYTES = 24

# Words that examples and templates are made of. A text of nothing but these is no secret.
_PLACEHOLDER_WORDS = re.compile(
    "abcdefghijklmnopqrstuvwxyz|0123456789|123456789|qwertyuiop|"
    "changeme|change|placeholder|password|example|webhook|signing|signature|planasonix|airflow|secret|"
    "replace|default|insert|please|random|string|sample|bridge|dummy|super|token|value|"
    "whsec|your|real|test|todo|here|goes|this|with|must|and|the|foo|bar|key|put|set|my|me|to|be|by|is|it|a|x"
)
_NOT_A_WORD = re.compile(r"[^a-z0-9]+")
_FINGERPRINT = b"planasonix-bridge: fingerprint of a secret"
_SHORT = 12
_FEW_CHARACTERS = 4  # 24 random hex digits have at most 4 different ones once in 10^12 secrets


def key_names(keys: Iterable["Key"]) -> tuple[str, ...]:
    """Return each key as `id:fingerprint`, short enough for a list."""
    return tuple(f"{key.id}:{(key.fingerprint or '')[:_SHORT]}".rstrip(":") for key in keys)


@dataclass(frozen=True, slots=True)
class Key:
    """One key and its id: a secret, the public half of a pair, or the URL of a set of those.

    The id is public (metrics, log, pages); the secret never shows in a repr. `algorithm` is the JWS name that a
    token's key is pinned to. Outside `not_before` and `not_after` (Unix seconds, both inclusive) it opens nothing.
    """

    id: str
    secret: bytes = field(default=b"", repr=False)
    public: PublicKey | None = field(default=None, repr=False)
    jwks: JwksUrl | None = None
    algorithm: str | None = None
    not_before: float | None = None
    not_after: float | None = None

    def is_valid_at(self, now: float) -> bool:
        """Whether it may be used at `now` (Unix seconds)."""
        return (self.not_before is None or now >= self.not_before) and (self.not_after is None or now <= self.not_after)

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of a public key's SubjectPublicKeyInfo, as `openssl pkey -pubin -outform DER | sha256sum` has it.

        Of a secret, 12 digits of an HMAC under it: two that differ are told apart, and a long one cannot be guessed
        from them. None for a set of keys.
        """
        if self.public is None:
            return hmac.digest(self.secret, _FINGERPRINT, "sha256").hex()[:_SHORT] if self.secret else None
        return hashlib.sha256(self.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def check_secret(text: str) -> str | None:
    """Return why `text` must not be used as a secret, as a sentence without the secret; None if it may.

    Nothing can tell whether a secret was made at random; this only catches examples left in place and slips.
    """
    if text != text.strip():
        return "The secret begins or ends with a blank."
    if not text.isprintable():
        return "The secret contains a control character."
    if len(text.encode("utf-8", "surrogatepass")) < MIN_SECRET_BYTES:
        return f"The secret is shorter than {MIN_SECRET_BYTES} bytes."
    core = text.lower().removeprefix("whsec_")
    if len(set(core)) <= _FEW_CHARACTERS:
        return "The secret is a placeholder: it is made of hardly any different characters."
    if not _PLACEHOLDER_WORDS.sub("", _NOT_A_WORD.sub("", core)):
        return "The secret is a placeholder: it is made of well-known words only."
    return None
