"""Tokens in a header: three strict parts, claims at their exact borders, and nothing that a token may choose."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from jwt import PyJWS

from bridge.rules.signature import PRESETS, Key, make_verifier
from bridge.words.errors import Refused
from bridge.words.reasons import Reason
from bridge.words.targets import JwksUrl
from tests.rules.signature.support import (
    BODY,
    KIND,
    NOW,
    PAIRS,
    SECRET,
    Case,
    cases,
    judged,
    outcome_of,
    right_of,
    signed,
)

_CASES = cases()


_CLAIMS: dict[str, Any] = {
    "iat": NOW,
    "exp": NOW + 60,
    "nbf": NOW,
    "iss": "planasonix",
    "aud": "https://bridge.example",
    "body_sha256": hashlib.sha256(BODY).hexdigest(),
}
_HS256 = _CASES["jwt HS256"]


def _jwt(claims: object, header: dict[str, Any] | None = None, case: Case = _HS256) -> str:
    """Return what this token comes to."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    token = PyJWS().encode(payload, case[2] or case[1].secret, str(case[1].algorithm), header)
    return outcome_of(case, b"authorization", f"Bearer {token}")


def _without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in _CLAIMS.items() if name not in names}


@pytest.mark.parametrize(
    ("claims", "outcome"),
    [
        (_CLAIMS, "ok"),
        (_without("exp", "nbf"), "ok"),
        (_without("iat", "nbf"), "ok"),
        (_without("iat", "exp"), "claims_mismatch"),
        (_without("aud"), "claims_mismatch"),
        (_without("iss"), "claims_mismatch"),
        (_without("body_sha256"), "claims_mismatch"),
        (_CLAIMS | {"aud": ["x", "https://bridge.example"]}, "ok"),
        (_CLAIMS | {"aud": []}, "claims_mismatch"),
        (_CLAIMS | {"aud": "https://bridge.example/"}, "claims_mismatch"),
        (_CLAIMS | {"aud": {"https://bridge.example": 1}}, "claims_mismatch"),
        (_CLAIMS | {"iss": ["planasonix"]}, "claims_mismatch"),
        (_CLAIMS | {"iss": "Planasonix"}, "claims_mismatch"),
        (_CLAIMS | {"exp": NOW}, "timestamp_too_old"),
        (_CLAIMS | {"exp": NOW + 1}, "ok"),
        (_CLAIMS | {"exp": str(NOW + 60)}, "claims_mismatch"),
        (_CLAIMS | {"exp": True}, "claims_mismatch"),
        (_CLAIMS | {"exp": None}, "claims_mismatch"),
        (_CLAIMS | {"exp": 1e300}, "claims_mismatch"),
        (_CLAIMS | {"exp": 10**12}, "claims_mismatch"),
        (_CLAIMS | {"exp": 10**12 - 1}, "ok"),
        (_CLAIMS | {"nbf": 0}, "ok"),
        (_CLAIMS | {"iat": -1}, "claims_mismatch"),
        (_CLAIMS | {"iat": NOW + 60.5}, "ok"),
        (_CLAIMS | {"iat": NOW + 61}, "timestamp_in_future"),
        (_CLAIMS | {"nbf": NOW + 60}, "ok"),
        (_CLAIMS | {"nbf": NOW + 61}, "timestamp_in_future"),
        (_CLAIMS | {"body_sha256": hashlib.sha256(b"").hexdigest()}, "claims_mismatch"),
        (_CLAIMS | {"body_sha256": _CLAIMS["body_sha256"].upper()}, "claims_mismatch"),
        (_CLAIMS | {"body_sha256": "é\ud800"}, "signature_malformed"),
        (_CLAIMS | {"body_sha256": None}, "claims_mismatch"),
        ([], "signature_malformed"),
        (b'{"iat":1,"iat":2}', "signature_malformed"),
        (b'{"iat":NaN}', "signature_malformed"),
        (b'{"iat":1e999}', "signature_malformed"),
        (b"\xff", "signature_malformed"),
        (b"[" * 5000, "signature_malformed"),
    ],
)
def test_claims(claims: object, outcome: str) -> None:
    """Every claim is checked at its exact border, and only in its exact type."""
    assert _jwt(claims) == outcome


def test_audience_of_others_is_refused_where_none_is_configured() -> None:
    """A token for somebody is not for one that has no name; one for nobody in particular is taken."""
    case: Case = (replace(_HS256[0], audience=None, issuer=None), _HS256[1], None)

    assert _jwt(_CLAIMS, case=case) == "claims_mismatch"
    assert _jwt(_without("aud", "iss"), case=case) == "ok"


@pytest.mark.parametrize(
    ("header", "outcome"),
    [
        ({"kid": "whatever"}, "ok"),
        ({"typ": "webhook+jwt", "x-of-the-tenant": 1}, "ok"),
        ({"jku": "https://evil.example/keys", "jwk": {"kty": "oct", "k": "AAAA"}, "x5u": "https://evil.example"}, "ok"),
        ({"crit": ["exp"], "exp": 1}, "signature_malformed"),
        ({"crit": []}, "signature_malformed"),
        ({"crit": ["b64"], "b64": True}, "signature_malformed"),
    ],
)
def test_header_of_a_token_chooses_nothing(header: dict[str, Any], outcome: str) -> None:
    """Keys that a token names are not looked at; `crit` is refused, since no extension is understood."""
    assert _jwt(_CLAIMS, header) == outcome


def _forged(header: object, payload: bytes | None = None, signature: str = "AAAA") -> str:
    parts = [json.dumps(header).encode(), json.dumps(_CLAIMS).encode() if payload is None else payload]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "." + signature


@pytest.mark.parametrize("algorithm", ["none", "None", "", "HS384", "ES256", "RS256", "hs256", None, 1, ["HS256"], {}])
def test_no_other_algorithm_is_taken(algorithm: object) -> None:
    """`none`, a weaker or another algorithm, and what is no name at all match no key."""
    for signature in ("AAAA", "A" * 43):
        token = _forged({"alg": algorithm}, signature=signature)
        assert outcome_of(_HS256, b"authorization", f"Bearer {token}").startswith("signature_m")
    assert outcome_of(_HS256, b"authorization", "Bearer " + _forged({"alg": "none"}, signature="")) == (
        "signature_malformed"
    )


@pytest.mark.parametrize("algorithm", sorted(KIND))
def test_public_key_is_no_secret(algorithm: str) -> None:
    """HS256 with the public key's PEM as the secret, the classic confusion, matches nothing."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = PAIRS[KIND[algorithm]].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    confused: Case = (_HS256[0], replace(_HS256[1], secret=b"x" * 40), None)
    verifier = make_verifier(_HS256[0], [Key("public", public=public, algorithm=algorithm)])
    head = _forged({"alg": "HS256"}).rpartition(".")[0]
    mac = base64.urlsafe_b64encode(hmac.digest(pem, head.encode(), "sha256")).rstrip(b"=")

    with pytest.raises(Refused) as refused:
        verifier.verify([(b"authorization", b"Bearer " + head.encode() + b"." + mac)], BODY, NOW)
    assert refused.value.reason is Reason.SIGNATURE_MISMATCH
    assert confused[1].secret != SECRET.secret


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token.split(".")[0],
        lambda token: token.rpartition(".")[0],
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: token + ".",
        lambda token: "." + token,
        lambda token: token + ".x.y",
        lambda token: token + "=",
        lambda token: token.replace(".", "..", 1),
        lambda token: token.replace(".", ". ", 1),
        lambda token: token.replace("eyJ", "+yJ", 1),
        lambda token: ".".join((token.split(".")[0], "", token.split(".")[2])),
        lambda _: "",
        lambda _: "..",
        lambda _: '{"payload":"","signatures":[]}',
    ],
)
def test_form_of_a_token(spoil) -> None:  # type: ignore[no-untyped-def]
    """Three parts of base64url without padding, and nothing around them; no detached payload where claims belong."""
    value = "Bearer " + spoil(right_of(_HS256).removeprefix("Bearer "))

    assert outcome_of(_HS256, b"authorization", value) == "signature_malformed"


@pytest.mark.parametrize(
    "value", ["{}", "bearer {}", "Bearer  {}", "Basic {}", "Bearer {} ", "Bearer {},{}", "Bearer "]
)
@pytest.mark.parametrize("name", ["bearer", "jwt HS256"])
def test_scheme_of_the_header(name: str, value: str) -> None:
    """Exactly `Bearer`, one blank, the token."""
    bare = right_of(_CASES[name]).removeprefix("Bearer ")

    assert outcome_of(_CASES[name], b"authorization", value.format(bare, bare)) != "ok"


def test_attached_token_is_refused_where_it_must_be_detached() -> None:
    """A token with a payload of its own says nothing about the body."""
    attached = right_of(_HS256)

    assert outcome_of(_CASES["jwt HS256 detached"], b"authorization", attached) == "signature_malformed"


@pytest.mark.parametrize("name", ["bearer", "jwt HS256"])
@pytest.mark.parametrize("value", ["bearer {}", "Basic {}", "{}", "", "B"])
def test_another_scheme_in_the_header_is_misspelled(name: str, value: str) -> None:
    """Nothing is said about the token behind it."""
    bare = right_of(_CASES[name]).removeprefix("Bearer ")

    assert outcome_of(_CASES[name], b"authorization", value.format(bare)) == "signature_malformed"


@pytest.mark.parametrize(("length", "outcome"), [(8192, "ok"), (8193, "signature_malformed")])
def test_a_token_has_at_most_8192_bytes(length: int, outcome: str) -> None:
    """With what stands before it."""
    bare = len(right_of((replace(_HS256[0], prefix=""), *_HS256[1:])))
    case: Case = (replace(_HS256[0], prefix="B" * (length - bare)), *_HS256[1:])
    assert len(right_of(case)) == length
    assert judged(case, signed(case)) == outcome


def test_keys_of_several_algorithms_stand_beside_each_other() -> None:
    """A token is tried with the keys of its algorithm, wherever they stand in the list."""
    keys = [Key(name, public=PAIRS[kind].public_key(), algorithm=name) for name, kind in KIND.items()]
    for given in (keys, keys[::-1]):
        verifier = make_verifier(_HS256[0], given)
        for name in KIND:
            assert verifier.verify(signed(_CASES[f"jwt {name}"]), BODY, NOW).key_id == name


@pytest.mark.parametrize("length", [32, 33])
def test_a_secret_for_hs256_of_32_bytes_is_long_enough(length: int) -> None:
    """As long as the hash (RFC 7518, 3.2); it verifies what it signs."""
    case: Case = (_HS256[0], Key("k", b"s" * length, algorithm="HS256"), None)
    assert judged(case, signed(case)) == "ok"


_RSA, _SET = PAIRS["rsa-pss"].public_key(), JwksUrl("https://keys.example/jwks")
_WHICH = "the key k needs `algorithm`: one of HS256, RS256, PS256, ES256, EdDSA, and a key for it"


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (Key("k", b"s" * 31, algorithm="HS256"), "a secret for HS256 has at least 32 bytes"),
        (Key("k", b"s" * 32), _WHICH),
        (Key("k", b"s" * 32, algorithm="RS256"), _WHICH),
        (Key("k", public=_RSA, algorithm="HS256"), _WHICH),
        (Key("k", public=_RSA, algorithm="ES256"), _WHICH),
        (Key("k", public=_RSA), _WHICH),
        (Key("k", jwks=_SET, algorithm="HS256"), _WHICH),
        (Key("k", jwks=_SET), _WHICH),
    ],
)
def test_a_key_is_one_for_its_algorithm(key: Key, why: str) -> None:
    """Otherwise the source cannot be used, and the sentence says why."""
    with pytest.raises(ValueError, match=why) as refused:
        make_verifier(PRESETS["jwt"], [key])
    assert str(refused.value) == why


def test_a_secret_that_looks_like_a_public_key_opens_nothing() -> None:
    """PyJWT takes none such for HS256, whoever signed with it; that is a refusal and no error."""
    secret = b"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB"
    head = _forged({"alg": "HS256"}).rpartition(".")[0]
    mac = base64.urlsafe_b64encode(hmac.digest(secret, head.encode(), "sha256")).rstrip(b"=")
    case: Case = (_HS256[0], Key("k", secret, algorithm="HS256"), None)
    assert judged(case, [(b"authorization", f"Bearer {head}.{mac.decode()}".encode())]) == "signature_mismatch"


@pytest.mark.parametrize("name", ["bearer", "jwt HS256", "stripe", "planasonix"])
def test_the_first_of_two_keys_with_one_secret_is_named(name: str) -> None:
    """So that the log says the same each time."""
    preset, key, _ = _CASES[name]
    verifier = make_verifier(preset, [replace(key, id="first"), replace(key, id="second")])
    assert verifier.verify(signed((preset, replace(key, id="second"), None)), BODY, NOW).key_id == "first"


def test_a_token_that_is_valid_at_once_needs_no_nbf() -> None:
    """Not even with a source that allows nothing ahead of time, nor at the beginning of time."""
    case: Case = (_HS256[0], _HS256[1], None)
    verifier = make_verifier(case[0], [case[1]], future_seconds=0)
    for at in (0, NOW):
        assert verifier.verify(signed(case, at=at), BODY, at).signed_at == at
