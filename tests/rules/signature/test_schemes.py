"""Signatures over a text: which keys a source may have, and how a signature is spelled for its key."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from bridge.rules.signature import PRESETS, Key, make_verifier
from bridge.words.targets import JwksUrl
from tests.rules.signature.support import BODY, NOW, OTHERS, PAIRS, SECRET, Case, Headers, cases, judged, signed

_CASES = cases()
_PUBLIC = Key("new", public=ed25519.Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize("keys", [[SECRET, _PUBLIC], [_PUBLIC, SECRET], [_PUBLIC, _PUBLIC, SECRET]])
@pytest.mark.parametrize("name", ["standard-webhooks", "ed25519", "stripe"])
def test_a_source_has_secrets_or_public_keys_and_not_both(name: str, keys: list[Key]) -> None:
    """One scheme is checked, whichever key it is."""
    with pytest.raises(ValueError, match=r"^a source has secrets or public keys, not both$"):
        make_verifier(PRESETS[name], keys)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("stripe", Key("k")),
        ("stripe", Key("k", jwks=JwksUrl("https://keys.example"))),
        ("stripe", Key("k", public=PAIRS["ed25519"].public_key())),
        ("ed25519", replace(SECRET, id="k")),
        ("ed25519", Key("k", public=PAIRS["ecdsa-p256"].public_key())),
        ("ecdsa-p256", Key("k", public=PAIRS["rsa-pss"].public_key())),
        ("rsa-pss", Key("k", public=PAIRS["ed25519"].public_key())),
    ],
)
def test_a_key_is_one_for_the_preset(name: str, key: Key) -> None:
    """A source with another one cannot be used; an empty secret is none."""
    with pytest.raises(ValueError, match=f"^the key k is not one for {name}$"):
        make_verifier(PRESETS[name], [key])


@pytest.mark.parametrize("name", ["ed25519", "ecdsa-p256", "ecdsa-p256 raw", "rsa-pss", "standard-webhooks v1a"])
def test_a_right_signature_opens_one_body_with_one_key(name: str) -> None:
    """Another body, another key, or one bit of the signature: each is a mismatch."""
    case = _CASES[name]
    preset, _, private = case
    kind = next(kind for kind, pair in PAIRS.items() if pair is private)
    other: Case = (preset, Key("other", public=OTHERS[kind].public_key()), OTHERS[kind])
    assert judged(case, signed(case)) == "ok"
    assert judged(case, signed(other)) == "signature_mismatch"
    assert judged(case, signed(case, BODY + b" ")) == "signature_mismatch"


@pytest.mark.parametrize("name", ["ecdsa-p256", "ecdsa-p256 raw"])
def test_both_spellings_of_ecdsa_verify_every_time(name: str) -> None:
    """Numbers that begin with a zero are as good as the others."""
    case = _CASES[name]
    assert {judged(case, signed(case)) for _ in range(40)} == {"ok"}


def test_a_signed_second_is_the_headers() -> None:
    """Whole seconds of it, also where the sender writes milliseconds; the id beside it is kept."""
    case = _CASES["custom"]
    headers: Headers = signed(case)
    verified = make_verifier(case[0], [case[1]]).verify(headers, BODY, NOW)
    assert (verified.signed_at, verified.message_id) == (NOW, "msg_1")
    assert dict(headers)[b"x-time"] == f"{NOW}000".encode()
    for name, message_id in (("standard-webhooks", "msg_1"), ("stripe", None), ("ed25519", None)):
        case = _CASES[name]
        verified = make_verifier(case[0], [case[1]]).verify(signed(case), BODY, NOW)
        assert (verified.signed_at, verified.message_id) == (NOW, message_id)


@pytest.mark.parametrize("name", ["stripe", "standard-webhooks", "custom", "ed25519", "rsa-pss"])
def test_what_is_wrong_with_a_request_is_said(name: str) -> None:
    """Missing, misspelled or not right: three words, with secrets and with public keys."""
    case = _CASES[name]
    header = case[0].signature_header.lower().encode()
    assert judged(case, []) == "signature_missing"
    assert judged(case, [(each, b"?" if each == header else value) for each, value in signed(case)]) == (
        "signature_malformed"
    )
    assert judged(case, signed(case, b"another body")) == "signature_mismatch"
