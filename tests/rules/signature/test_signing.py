"""What a sender would put on a body: new key pairs, and signatures with the private half of a key."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import get_unverified_header

from bridge.rules.signature import PRESETS, Key, make_pair, make_verifier, read_private, read_public, sign
from bridge.rules.signature.grammar import decode
from bridge.words.targets import JwksUrl
from tests.rules.signature.support import BODY, KIND, NOW, OTHERS, PAIRS, SECRET, cases, judged, signed

_CASES = cases()
_SET = JwksUrl("https://keys.example/jwks")
_LACKS = "signing for the key k needs the private key that belongs to it"


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-p256", "rsa-pss"])
def test_a_new_pair_signs_and_verifies(kind: str) -> None:
    """Both halves are PEM that we read; an RSA key has 3072 bits (NIST SP 800-57: as strong as 128) and the usual e."""
    private, public = make_pair(kind)
    pair, key = read_private(private.decode()), Key("k", public=read_public(public, kind))
    assert b"BEGIN PRIVATE KEY" in private
    assert public.startswith("-----BEGIN PUBLIC KEY-----")
    assert judged((PRESETS[kind], key, pair), signed((PRESETS[kind], key, pair))) == "ok"
    if isinstance(key.public, RSAPublicKey):
        assert (key.public.key_size, key.public.public_numbers().e) == (3072, 65537)


@pytest.mark.parametrize(
    ("key", "private", "why"),
    [
        (Key("k", public=PAIRS["ed25519"].public_key()), None, _LACKS),
        (Key("k", public=PAIRS["ed25519"].public_key()), OTHERS["ed25519"], _LACKS),
        (Key("k", jwks=_SET, algorithm="RS256"), None, _LACKS),
        (Key("k", jwks=_SET, algorithm="RS256"), PAIRS["ecdsa-p256"], "this is not an RSA key"),
        (Key("k", jwks=_SET, algorithm="EdDSA"), PAIRS["rsa-pss"], "this is not an Ed25519 key"),
    ],
)
def test_nothing_is_signed_with_a_private_key_that_does_not_fit(key: Key, private: Any, why: str) -> None:
    """Nor without one, where there is the public half or the URL of a set only."""
    for name in ("ed25519", "jwt"):
        with pytest.raises(ValueError, match=f"^{why}$"):
            sign(PRESETS[name], key, BODY, NOW, private=private)


@pytest.mark.parametrize("algorithm", sorted(KIND))
def test_a_token_names_its_key_unless_that_is_one_of_a_set(algorithm: str) -> None:
    """The id of an entry in bridge.yaml is no `kid` of the provider's."""
    private = PAIRS[KIND[algorithm]]
    for key, kid in (
        (Key("k", public=private.public_key(), algorithm=algorithm), "k"),
        (Key("k", jwks=_SET, algorithm=algorithm), None),
    ):
        token = sign(PRESETS["jwt"], key, BODY, NOW, private=private)["Authorization"].removeprefix("Bearer ")
        assert get_unverified_header(token).get("kid") == kid
        assert get_unverified_header(token)["alg"] == algorithm


@pytest.mark.parametrize("more", [{}, {"audience": "us"}, {"issuer": "them"}, {"audience": "us", "issuer": "them"}])
def test_claims_are_those_that_the_source_wants(more: dict[str, str]) -> None:
    """The second and the hash of the body always; audience and issuer where the source names one."""
    preset = replace(PRESETS["jwt"], **more)  # type: ignore[arg-type]
    token = sign(preset, replace(SECRET, algorithm="HS256"), BODY, NOW)["Authorization"]
    claims = json.loads(decode(token.split(".")[1].encode(), "base64url") or b"")
    assert claims.keys() == {"iat", "body_sha256"} | {{"audience": "aud", "issuer": "iss"}[name] for name in more}
    assert (claims["iat"], claims.get("aud"), claims.get("iss")) == (NOW, more.get("audience"), more.get("issuer"))


def test_headers_are_those_of_the_preset() -> None:
    """Signature, timestamp and id, each where the preset has one, in its own spelling."""
    names = {name: list(sign(case[0], case[1], BODY, NOW, private=case[2])) for name, case in _CASES.items()}
    assert names["planasonix"] == ["X-Planasonix-Signature", "X-Planasonix-Timestamp"]
    assert names["standard-webhooks"] == ["webhook-signature", "webhook-timestamp", "webhook-id"]
    assert (names["stripe"], names["bearer"]) == (["Stripe-Signature"], ["Authorization"])
    standard = {name: dict(signed(_CASES[name]))[b"webhook-signature"] for name in _CASES if "standard" in name}
    assert standard["standard-webhooks"].startswith(b"v1,")
    assert standard["standard-webhooks v1a"].startswith(b"v1a,")
    assert sign(PRESETS["standard-webhooks"], SECRET, BODY, NOW)["webhook-id"] == "msg_0"
    assert dict(signed(_CASES["bearer"]))[b"authorization"] == b"Bearer " + SECRET.secret


@pytest.mark.parametrize("name", sorted(_CASES))
def test_what_is_signed_verifies(name: str) -> None:
    """Every preset, in every form."""
    preset, key, _ = _CASES[name]
    assert make_verifier(preset, [key]).verify(signed(_CASES[name]), BODY, NOW).key_id == key.id
    for spelled, length in (("ecdsa-p256 raw", 64), ("rsa-pss", 256)):
        raw = decode(dict(signed(_CASES[spelled]))[b"x-planasonix-signature"], "base64")
        assert len(raw or b"") == length
