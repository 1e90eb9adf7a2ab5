"""Headers that hold several things: Standard Webhooks' list, Stripe's, and a token's three parts."""

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from jwt import PyJWS

from bridge.rules.signature import Key, make_verifier
from bridge.words.errors import Refused
from bridge.words.reasons import Reason
from tests.rules.signature.support import BODY, KIND, NOW, PAIRS, SECRET, Case, cases, signed

_CASES = cases()
_V1, _V1A = _CASES["standard-webhooks"], _CASES["standard-webhooks v1a"]
_OLD = base64.b64encode(bytes(32)).decode()
_OLD_A = base64.b64encode(bytes(64)).decode()


def _outcome(case: Case, name: bytes, value: str) -> str:
    """Return `ok` or the reason for a right request in which one header is replaced."""
    headers = [(header, value.encode() if header == name else given) for header, given in signed(case)]
    try:
        make_verifier(case[0], [case[1]]).verify(headers, BODY, NOW)
    except Refused as refused:
        return str(refused.reason)
    return "ok"


def _right(case: Case) -> str:
    return dict(signed(case))[case[0].signature_header.lower().encode()].decode()


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("{v1}", "ok"),
        (f"v1,{_OLD} {{v1}}", "ok"),
        (f"{{v1}} v1,{_OLD}", "ok"),
        (f"v2,abc {{v1a}} v1a,{_OLD_A} {{v1}} v9,YWJj", "ok"),
        (" ".join([f"v1,{_OLD}"] * 7) + " {v1}", "ok"),
        (" ".join([f"v1,{_OLD}"] * 8) + " {v1}", "signature_mismatch"),
        (" ".join(["v2,abc"] * 20) + " {v1}", "ok"),
        ("{v1a}", "signature_malformed"),
        (f"v1,{_OLD}", "signature_mismatch"),
        ("v0,abc", "signature_malformed"),
        ("v1,", "signature_malformed"),
        ("v1", "signature_malformed"),
        ("{v1}  {v1}", "signature_malformed"),
        (" {v1}", "signature_malformed"),
        ("{v1} ", "signature_malformed"),
        ("{v1},{v1}", "signature_malformed"),
        ("{v1} v1,", "signature_malformed"),
        ("{v1} v1,YWJj", "signature_malformed"),
        (f"{{v1}} v1,{_OLD_A}", "signature_malformed"),
        (f"{{v1}} v1,{_OLD.rstrip('=')}", "signature_malformed"),
        ("{v1} v1,****", "signature_malformed"),
        ("{v1} é,x", "signature_malformed"),
    ],
)
def test_list_of_standard_webhooks(value: str, outcome: str) -> None:
    """Other versions are skipped, eight of ours are tried, and one misspelled entry spoils the whole header."""
    assert _outcome(_V1, b"webhook-signature", value.format(v1=_right(_V1), v1a=_right(_V1A))) == outcome


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("{v1a}", "ok"),
        (f"v1a,{_OLD_A} {{v1}} {{v1a}}", "ok"),
        ("{v1}", "signature_malformed"),
        (f"v1a,{_OLD_A} {{v1}}", "signature_mismatch"),
        (f"v1a,{_OLD} {{v1a}}", "signature_malformed"),
    ],
)
def test_public_key_of_standard_webhooks_takes_v1a_only(value: str, outcome: str) -> None:
    """With a public key, the symmetric version beside it is skipped, not tried with the public key as a secret."""
    assert _outcome(_V1A, b"webhook-signature", value.format(v1=_right(_V1), v1a=_right(_V1A))) == outcome


@pytest.mark.parametrize("identifier", ["msg 1", "msg.1", "", "é", "x" * 256, "msg_1\t", "msg_1\x7f"])
def test_id_of_standard_webhooks(identifier: str) -> None:
    """An id is printable, without blank or full stop, and not endless."""
    assert _outcome(_V1, b"webhook-id", identifier) == "signature_malformed"


_HEX = _right(_CASES["stripe"]).partition("v1=")[2]


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("t={t},v1={v1}", "ok"),
        ("v1={v1},t={t}", "ok"),
        ("t={t},v1={v1},v0=" + "0" * 64, "ok"),
        ("t={t},v1=" + "0" * 64 + ",v1={v1}", "ok"),
        ("t={t}" + (",v1=" + "0" * 64) * 8 + ",v1={v1}", "signature_mismatch"),
        ("t={t},v0={v1}", "signature_malformed"),
        ("t={t}", "signature_malformed"),
        ("v1={v1}", "signature_malformed"),
        ("t={t},t={t},v1={v1}", "signature_malformed"),
        ("t={t};v1={v1}", "signature_malformed"),
        ("t={t}, v1={v1}", "signature_malformed"),
        ("t={t},v1={v1},", "signature_malformed"),
        (",t={t},v1={v1}", "signature_malformed"),
        ("t={t},,v1={v1}", "signature_malformed"),
        ("t=0{t},v1={v1}", "signature_mismatch"),
        ("t={t}.0,v1={v1}", "signature_malformed"),
        ("t=,v1={v1}", "signature_malformed"),
        ("t={t}000,v1={v1}", "signature_malformed"),
        ("T={t},v1={v1}", "signature_malformed"),
        ("t={t},v1={v1}0", "signature_malformed"),
    ],
)
def test_header_of_stripe(value: str, outcome: str) -> None:
    """One `t`, up to eight `v1` in lowercase hexadecimal, other schemes skipped."""
    assert _outcome(_CASES["stripe"], b"stripe-signature", value.format(t=NOW, v1=_HEX)) == outcome


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
    return _outcome(case, b"authorization", f"Bearer {token}")


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
        assert _outcome(_HS256, b"authorization", f"Bearer {token}").startswith("signature_m")
    assert _outcome(_HS256, b"authorization", "Bearer " + _forged({"alg": "none"}, signature="")) == (
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
    import hmac

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
    value = "Bearer " + spoil(_right(_HS256).removeprefix("Bearer "))

    assert _outcome(_HS256, b"authorization", value) == "signature_malformed"


@pytest.mark.parametrize(
    "value", ["{}", "bearer {}", "Bearer  {}", "Basic {}", "Bearer {} ", "Bearer {},{}", "Bearer "]
)
@pytest.mark.parametrize("name", ["bearer", "jwt HS256"])
def test_scheme_of_the_header(name: str, value: str) -> None:
    """Exactly `Bearer`, one blank, the token."""
    bare = _right(_CASES[name]).removeprefix("Bearer ")

    assert _outcome(_CASES[name], b"authorization", value.format(bare, bare)) != "ok"


def test_attached_token_is_refused_where_it_must_be_detached() -> None:
    """A token with a payload of its own says nothing about the body."""
    attached = _right(_HS256)

    assert _outcome(_CASES["jwt HS256 detached"], b"authorization", attached) == "signature_malformed"
