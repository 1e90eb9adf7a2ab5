"""Keys as people hold them: PEM, JWK, `whsec_`, `whpk_`, `whsk_`. Text in, key objects out.

Raises ValueError with a sentence that never shows the text. What is too weak for its algorithm is refused.
"""

import json
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from jwt import PyJWK, PyJWTError

from bridge.rules.signature.grammar import decode
from bridge.rules.signature.keys import PublicKey

PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey

MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
_NO_PRIVATE = "this is a private key; the bridge must only ever see the public one"
_WHAT = {"ed25519": "an Ed25519 key", "ecdsa-p256": "a key on the curve P-256", "rsa-pss": "an RSA key"}
_TYPES = ("EC", "OKP", "RSA")
KIND_OF_JWS = {"EdDSA": "ed25519", "ES256": "ecdsa-p256", "RS256": "rsa-pss", "PS256": "rsa-pss"}


def read_whsec(text: str) -> bytes:
    """Return the secret of Standard Webhooks: `whsec_` and the padded base64 of 24 to 64 bytes."""
    secret = decode(text.removeprefix("whsec_").encode(), "base64") if text.startswith("whsec_") else None
    if secret is None or not 24 <= len(secret) <= 64:
        raise ValueError("a secret of Standard Webhooks is `whsec_` and the base64 of 24 to 64 bytes")
    return secret


def read_public(text: str, kind: str, *, algorithm: str | None = None) -> PublicKey:
    """Return the public key in a PEM, a JWK or `whpk_`; `kind` is ed25519, ecdsa-p256 or rsa-pss.

    `algorithm` is the JWS name that it will be pinned to, which a JWK may name too.
    """
    text = text.strip()
    if "PRIVATE KEY" in text or text.startswith("whsk_"):
        raise ValueError(_NO_PRIVATE)
    found: object = None
    try:
        if text.startswith("whpk_"):
            raw = decode(text.removeprefix("whpk_").encode(), "base64")
            found = Ed25519PublicKey.from_public_bytes(raw or b"")
        elif text.startswith("{"):
            found = _from_jwk(json.loads(text), algorithm, is_private=False)
        else:
            found = serialization.load_pem_public_key(text.encode())
    except (ValueError, TypeError, KeyError, PyJWTError, UnsupportedAlgorithm) as error:
        raise ValueError(_sentence(error, "a public key is a PEM (`BEGIN PUBLIC KEY`) or a JWK")) from None
    return check_kind(found, kind)


def read_jwk(jwk: dict[str, Any], algorithm: str) -> PublicKey:
    """Return the public key of a JWK for this JWS algorithm; nothing else that it holds is looked at."""
    if jwk.get("kty") not in _TYPES:  # `oct`, a secret, is not a key that anybody may publish
        raise ValueError(f"this is not {_WHAT[KIND_OF_JWS[algorithm]]}")
    try:
        found = _from_jwk(jwk, algorithm, is_private=False)
    except (ValueError, TypeError, KeyError, PyJWTError, UnsupportedAlgorithm) as error:
        raise ValueError(_sentence(error, "this JWK is broken")) from None
    return check_kind(found, KIND_OF_JWS[algorithm])


def check_kind(found: object, kind: str) -> PublicKey:
    """Return a public key if it is of this kind, on the right curve and long enough; ValueError otherwise."""
    fits = {"ed25519": Ed25519PublicKey, "ecdsa-p256": EllipticCurvePublicKey, "rsa-pss": RSAPublicKey}[kind]
    if not isinstance(found, fits) or (isinstance(found, EllipticCurvePublicKey) and not _is_p256(found)):
        raise ValueError(f"this is not {_WHAT[kind]}")
    if isinstance(found, RSAPublicKey) and not MIN_RSA_BITS <= found.key_size <= MAX_RSA_BITS:
        raise ValueError(f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, not {found.key_size}")
    return found  # type: ignore[return-value]  # `fits` is one of the three


def read_private(text: str) -> PrivateKey:
    """Return the private key in an unencrypted PEM, a JWK or `whsk_`: to sign test webhooks, nothing else."""
    text = text.strip()
    found: object = None
    try:
        if text.startswith("whsk_"):
            raw = decode(text.removeprefix("whsk_").encode(), "base64") or b""
            found = Ed25519PrivateKey.from_private_bytes(raw[:32])
        elif text.startswith("{"):
            found = _from_jwk(json.loads(text), None, is_private=True)
        else:
            found = serialization.load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, KeyError, PyJWTError, UnsupportedAlgorithm) as error:
        raise ValueError(_sentence(error, "a private key is a PEM without password, or a JWK")) from None
    if isinstance(found, Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey):
        return found
    raise ValueError("this is no private key of Ed25519, P-256 or RSA")


class _Plain(ValueError):
    """A sentence of ours, which may be shown."""


def _sentence(error: Exception, otherwise: str) -> str:
    """Return what to show: our own sentences, and never a library's, which may quote the key."""
    return str(error) if isinstance(error, _Plain) else otherwise


def _from_jwk(jwk: dict[str, Any], algorithm: str | None, *, is_private: bool) -> object:
    if jwk.get("use", "sig") != "sig":
        raise _Plain("the JWK is not for signatures (`use`)")
    if algorithm is not None and jwk.get("alg", algorithm) != algorithm:
        raise _Plain(f"the JWK is for another algorithm than {algorithm} (`alg`)")
    if is_private != ("d" in jwk):
        raise _Plain(_NO_PRIVATE if not is_private else "this JWK is a public key; signing needs the private one")
    return PyJWK(jwk).key


def _is_p256(key: EllipticCurvePublicKey) -> bool:
    return isinstance(key.curve, SECP256R1)
