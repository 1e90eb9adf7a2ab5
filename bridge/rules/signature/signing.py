"""Make signatures and key pairs as the senders do: for `send`, `keys generate`, the demo and the tests.

The service itself never does; this is the one module of the rules whose results are not the same each time, since
ECDSA, RSA-PSS and new keys are made of randomness that `cryptography` takes.
"""

import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt import PyJWS

from bridge.rules.signature.grammar import encode
from bridge.rules.signature.keys import Key
from bridge.rules.signature.material import KIND_OF_JWS, PrivateKey, check_kind
from bridge.rules.signature.presets import Algorithm, Grammar, Preset, make_signed_text
from bridge.rules.signature.schemes import PSS
from bridge.rules.signature.verifying import prefix_bytes

_RSA_BITS = 3072


def make_pair(kind: str) -> tuple[bytes, str]:
    """Return a new key pair as PEM, private and public; `kind` is ed25519, ecdsa-p256 or rsa-pss."""
    private: PrivateKey
    match kind:
        case "ed25519":
            private = Ed25519PrivateKey.generate()
        case "ecdsa-p256":
            private = ec.generate_private_key(ec.SECP256R1())
        case _:
            private = rsa.generate_private_key(65537, _RSA_BITS)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), public.decode()


def sign(
    preset: Preset,
    key: Key,
    body: bytes,
    timestamp: int,
    *,
    prefix: str | None = None,
    message_id: str = "msg_0",
    private: PrivateKey | None = None,
) -> dict[str, str]:
    """Return the headers that the sender would put on `body` at `timestamp` (Unix seconds).

    `private` belongs to a key that holds the public half only. ValueError if it is missing or does not fit.
    """
    if (key.public or key.jwks) and (private is None or key.public not in (None, private.public_key())):
        raise ValueError(f"signing for the key {key.id} needs the private key that belongs to it")
    if key.jwks is not None and private is not None:
        check_kind(private.public_key(), KIND_OF_JWS[str(key.algorithm)])
    if preset.algorithm is Algorithm.BEARER:
        return {preset.signature_header: preset.prefix + key.secret.decode()}
    if preset.algorithm is Algorithm.JWT:
        return {preset.signature_header: preset.prefix + _token(preset, key, body, timestamp, private)}
    stamp = str(timestamp * 1000 if preset.timestamp_unit == "ms" else timestamp)
    text = make_signed_text(preset)(stamp.encode(), body, message_id.encode())
    signature = encode(_raw(preset, key, text, private), preset.encoding)
    match preset.grammar:
        case Grammar.STANDARD:
            value = f"{'v1' if key.public is None else 'v1a'},{signature}"
        case Grammar.STRIPE:
            value = f"t={stamp},v1={signature}"
        case _:
            value = (preset.prefix or prefix_bytes(preset, prefix).decode()) + signature
    headers = {preset.signature_header: value}
    if preset.timestamp_header:
        headers[preset.timestamp_header] = stamp
    if preset.id_header:
        headers[preset.id_header] = message_id
    return headers


def _raw(preset: Preset, key: Key, text: bytes, private: PrivateKey | None) -> bytes:
    """Return the bytes of a signature over the text."""
    match private:
        case Ed25519PrivateKey():
            return private.sign(text)
        case EllipticCurvePrivateKey():
            der = private.sign(text, ec.ECDSA(hashes.SHA256()))
            if preset.signature_format == "der":
                return der
            return b"".join(number.to_bytes(32) for number in decode_dss_signature(der))
        case RSAPrivateKey():
            return private.sign(text, PSS, hashes.SHA256())
    return hmac.digest(key.secret, text, "sha256")


def _token(preset: Preset, key: Key, body: bytes, timestamp: int, private: PrivateKey | None) -> str:
    """Return a JWS over the body itself (detached), or over claims that hold its hash."""
    payload = body
    if preset.body == "claim":
        claims: dict[str, Any] = {
            "iat": timestamp,
            preset.body_claim: encode(hashlib.sha256(body).digest(), preset.encoding),
        }
        claims |= {"aud": preset.audience} if preset.audience else {}
        claims |= {"iss": preset.issuer} if preset.issuer else {}
        payload = json.dumps(claims).encode()
    algorithm = str(key.algorithm)
    material: Any = private or key.secret
    # The id of an entry with `jwks` is no `kid` of its set; a token that names none is tried against all of it.
    token = PyJWS([algorithm]).encode(payload, material, algorithm, {} if key.jwks else {"kid": key.id})
    before, _, after = token.split(".")
    return f"{before}..{after}" if preset.body == "detached" else token
