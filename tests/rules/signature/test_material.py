"""Keys as people hold them: each form is read, and what is refused is said without showing it."""

import base64
import json
from itertools import count
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bridge.rules.signature import read_private, read_public, read_whsec
from bridge.rules.signature.material import check_kind, read_jwk
from tests.rules.signature.support import KIND, PAIRS
from tests.support.jwks_server import spelled

JWS = {"ed25519": "EdDSA", "ecdsa-p256": "ES256", "rsa-pss": "RS256"}
WHAT = {"ed25519": "an Ed25519 key", "ecdsa-p256": "a key on the curve P-256", "rsa-pss": "an RSA key"}
PRIVATE = "this is a private key; the bridge must only ever see the public one"
NO_PUBLIC = "a public key is a PEM (`BEGIN PUBLIC KEY`) or a JWK"
NO_PRIVATE = "a private key is a PEM without password, or a JWK"


def pem(key: Any) -> str:
    """Return a key as PEM."""
    if hasattr(key, "private_bytes"):
        return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    return str(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def numbered(value: bytes) -> str:
    """Return bytes in padded base64."""
    return base64.b64encode(value).decode()


def of_bits(bits: int) -> rsa.RSAPublicKey:
    """Return an RSA key of so many bits, to which nobody has the private one."""
    return rsa.RSAPublicNumbers(65537, (1 << (bits - 1)) + 1).public_key()


def why(call: Any, *arguments: Any, **named: Any) -> str:
    """Return the sentence with which a key is refused, without anything of it."""
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the sentence is the result
        call(*arguments, **named)
    assert refused.value.__cause__ is None
    return str(refused.value)


@pytest.mark.parametrize("length", [24, 25, 63, 64])
def test_a_secret_of_standard_webhooks_has_24_to_64_bytes(length: int) -> None:
    """They are what stands after `whsec_`."""
    assert read_whsec("whsec_" + numbered(bytes(length))) == bytes(length)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "whsec_" + numbered(bytes(23)),
        "whsec_" + numbered(bytes(65)),
        numbered(bytes(32)),
        "WHSEC_" + numbered(bytes(32)),
        "whsec_" + numbered(bytes(32)).rstrip("="),
        "whsec_" + "canary*" * 8,
    ],
)
def test_other_secrets_of_standard_webhooks_are_refused(text: str) -> None:
    """A byte too few or too many, no beginning, or no base64."""
    assert why(read_whsec, text) == "a secret of Standard Webhooks is `whsec_` and the base64 of 24 to 64 bytes"


@pytest.mark.parametrize("kind", PAIRS)
def test_a_public_key_is_a_pem_or_a_jwk(kind: str) -> None:
    """Blanks around it do no harm; a JWK may name its use and the algorithm that it is pinned to."""
    public = PAIRS[kind].public_key()
    jwk = spelled(public, JWS[kind])
    assert read_public(f"\n {pem(public)} \n", kind) == public
    assert read_public(json.dumps(jwk), kind) == public
    named = jwk | {"use": "sig", "alg": JWS[kind]}
    assert read_public(json.dumps(named), kind, algorithm=JWS[kind]) == public
    assert read_public(json.dumps(named), kind) == public
    assert read_jwk(jwk, JWS[kind]) == public
    assert check_kind(public, kind) is public


def test_a_public_key_of_standard_webhooks_is_read() -> None:
    """`whpk_` and 32 bytes in base64."""
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    assert read_public("whpk_" + numbered(public.public_bytes_raw()), "ed25519") == public
    assert why(read_public, "whpk_" + numbered(bytes(31)), "ed25519") == NO_PUBLIC
    assert why(read_public, "whpk_*", "ed25519") == NO_PUBLIC


RSA = spelled(PAIRS["rsa-pss"].public_key(), "RS256")
OWN = spelled(PAIRS["rsa-pss"], "RS256")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", NO_PUBLIC),
        ("canary", NO_PUBLIC),
        ("{}", NO_PUBLIC),
        ("{canary", NO_PUBLIC),
        (json.dumps(RSA | {"n": "canary*"}), NO_PUBLIC),
        ("-----BEGIN PUBLIC KEY-----\ncanary\n-----END PUBLIC KEY-----", NO_PUBLIC),
        (pem(PAIRS["rsa-pss"]), PRIVATE),
        ("whsk_" + numbered(bytes(64)), PRIVATE),
        (json.dumps(OWN), PRIVATE),
        (json.dumps(RSA | {"use": "enc"}), "the JWK is not for signatures (`use`)"),
        (json.dumps(RSA | {"alg": "PS256"}), "the JWK is for another algorithm than RS256 (`alg`)"),
        (pem(PAIRS["ed25519"].public_key()), "this is not an RSA key"),
        (pem(of_bits(1024)), "an RSA key has 2048 to 8192 bits, not 1024"),
    ],
    ids=count(),
)
def test_what_is_no_public_key_is_said(text: str, sentence: str) -> None:
    """In a sentence of ours, never one of a library, which may quote the key."""
    assert why(read_public, text, "rsa-pss", algorithm="RS256") == sentence


@pytest.mark.parametrize(("kind", "other"), [(kind, other) for kind in PAIRS for other in PAIRS if kind != other])
def test_a_key_of_another_kind_is_refused(kind: str, other: str) -> None:
    """Whatever form it has."""
    public = PAIRS[other].public_key()
    assert why(read_public, pem(public), kind) == f"this is not {WHAT[kind]}"
    assert why(read_jwk, spelled(public, JWS[other]), JWS[kind]) == f"this is not {WHAT[kind]}"
    assert why(check_kind, public, kind) == f"this is not {WHAT[kind]}"


def test_another_curve_is_refused() -> None:
    """P-384 is not P-256."""
    public = ec.generate_private_key(ec.SECP384R1()).public_key()
    assert why(read_public, pem(public), "ecdsa-p256") == "this is not a key on the curve P-256"


@pytest.mark.parametrize(("bits", "is_taken"), [(2047, False), (2048, True), (8192, True), (8193, False)])
def test_an_rsa_key_has_2048_to_8192_bits(bits: int, is_taken: bool) -> None:
    """Less is too weak, and with more a request costs too much."""
    public = of_bits(bits)
    if is_taken:
        assert check_kind(public, "rsa-pss") is public
    else:
        assert why(check_kind, public, "rsa-pss") == f"an RSA key has 2048 to 8192 bits, not {bits}"


@pytest.mark.parametrize(
    ("jwk", "sentence"),
    [
        ({}, "this is not an RSA key"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "this is not an RSA key"),
        ({"kty": "RSA"}, "this JWK is broken"),
        (RSA | {"use": "enc"}, "the JWK is not for signatures (`use`)"),
        (RSA | {"alg": "PS256"}, "the JWK is for another algorithm than RS256 (`alg`)"),
        (OWN, PRIVATE),
    ],
)
def test_what_is_no_jwk_for_the_algorithm_is_said(jwk: dict[str, Any], sentence: str) -> None:
    """In the same sentences."""
    assert why(read_jwk, jwk, "RS256") == sentence


@pytest.mark.parametrize("kind", PAIRS)
def test_a_private_key_is_a_pem_or_a_jwk(kind: str) -> None:
    """Whatever algorithm the JWK names."""
    private = PAIRS[kind]
    jwk = spelled(private, JWS[kind])
    for text in (f" {pem(private)}\n", json.dumps(jwk), json.dumps(jwk | {"alg": JWS[kind], "use": "sig"})):
        assert read_private(text).public_key() == private.public_key()


@pytest.mark.parametrize("more", [b"", bytes(32)])
def test_a_private_key_of_standard_webhooks_is_read(more: bytes) -> None:
    """`whsk_` and 32 bytes in base64, with or without the public half behind them."""
    private = ed25519.Ed25519PrivateKey.generate()
    read = read_private("whsk_" + numbered(private.private_bytes_raw() + more))
    assert read.public_key() == private.public_key()


NONE = "this is no private key of Ed25519, P-256 or RSA"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", NO_PRIVATE),
        ("canary", NO_PRIVATE),
        ("{canary", NO_PRIVATE),
        ("whsk_" + numbered(bytes(31)), NO_PRIVATE),
        ("whsk_*", NO_PRIVATE),
        (pem(PAIRS["rsa-pss"].public_key()), NO_PRIVATE),
        (json.dumps(RSA), "this JWK is a public key; signing needs the private one"),
        (json.dumps(OWN | {"use": "enc"}), "the JWK is not for signatures (`use`)"),
        (pem(x25519.X25519PrivateKey.generate()), NONE),
    ],
    ids=count(),
)
def test_what_is_no_private_key_is_said(text: str, sentence: str) -> None:
    """In a sentence of ours, too."""
    assert why(read_private, text) == sentence


def test_every_algorithm_of_a_token_has_its_kind_of_key() -> None:
    """RS256 and PS256 share one."""
    for algorithm, kind in KIND.items():
        assert read_jwk(spelled(PAIRS[kind].public_key(), JWS[kind]), algorithm) == PAIRS[kind].public_key()
