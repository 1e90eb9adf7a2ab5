"""Secrets: masked, long enough, and not left over from an example."""

import ast
import hashlib
import secrets
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

import bridge
from bridge.rules.signature import Key, check_secret, key_names
from bridge.words.targets import JwksUrl


@pytest.mark.parametrize(
    "secret",
    [
        "whsec_01jq8secretxxxxxxxxxxxxxxxx",
        "correct horse battery staple",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "8f14e45fceea167a5a36dedd4bea2543",
    ],
)
def test_real_looking_secret_is_accepted(secret: str) -> None:
    """The vectors' secret, a pass phrase and randomly made ones may be used."""
    assert check_secret(secret) is None


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "shorter than 24"),
        ("changeme", "shorter than 24"),
        ("whsec_xxx", "shorter than 24"),
        ("a1b2c3d4e5f6g7h8i9j0k1l", "shorter than 24"),
        ("x" * 40, "placeholder"),
        ("whsec_" + "x" * 32, "placeholder"),
        ("0" * 64, "placeholder"),
        ("abababababababababababab", "placeholder"),
        ("changemechangemechangeme", "placeholder"),
        ("change-me-change-me-change-me", "placeholder"),
        ("your-webhook-signing-secret", "placeholder"),
        ("<YOUR_PLANASONIX_WEBHOOK_SECRET>", "placeholder"),
        ("replace-this-with-a-real-secret", "placeholder"),
        ("secretsecretsecretsecret", "placeholder"),
        ("whsec_your_secret_goes_here_please", "placeholder"),
        ("whsec_abcdefghijklmnopqrstuvwxyz", "placeholder"),
        ("0123456789012345678901234567890123456789", "placeholder"),
        (" whsec_01jq8secretxxxxxxxxxxxxxxxx", "blank"),
        ("whsec_01jq8secretxxxxxxxxxxxxxxxx\n", "blank"),
        ("whsec_01jq8secret\x00xxxxxxxxxxxxxxxx", "control character"),
    ],
)
def test_weak_secret_is_refused_without_being_shown(secret: str, why: str) -> None:
    """Short, placeholder and mis-copied secrets are refused; the sentence does not repeat them."""
    sentence = check_secret(secret)

    assert sentence is not None
    assert why in sentence
    assert not secret or secret not in sentence


def test_random_secrets_are_never_taken_for_placeholders() -> None:
    """What a password generator makes is accepted."""
    for _ in range(2000):
        assert check_secret(secrets.token_hex(16)) is None
        assert check_secret("whsec_" + secrets.token_urlsafe(24)) is None


@given(st.text(max_size=60))
def test_any_text_gets_an_answer(text: str) -> None:
    """No text makes the check itself fail."""
    assert check_secret(text) is None or check_secret(text)


def test_secret_never_shows() -> None:
    """The repr and str of a key hold its id and nothing of its secret."""
    key = Key("current", b"canary-secret-bytes")

    assert "canary" not in repr(key) + str(key)
    assert "current" in repr(key)


def test_only_signature_makes_a_verified_delivery() -> None:
    """No other module of the bridge calls `Verified(...)`."""
    package = Path(bridge.__file__).parent
    makers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", None)) == "Verified"
    }

    assert makers == {"rules/signature/verifying.py"}


@pytest.mark.parametrize(("different", "is_refused"), [(4, True), (5, False)])
def test_a_secret_of_hardly_any_different_characters_is_a_placeholder(different: int, is_refused: bool) -> None:
    """Up to four of them: a random one of 24 digits has so few once in 10^12."""
    secret = ("xq7z9"[:different] * 12)[:48]
    assert (check_secret(secret) is not None) is is_refused


def test_a_fingerprint_is_of_the_secret_or_of_the_public_key() -> None:
    """Twelve digits that tell secrets apart, the whole digest of a public key, and nothing of a set."""
    public = Ed25519PrivateKey.generate().public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert Key("a", public=public).fingerprint == hashlib.sha256(der).hexdigest()
    prints = {Key("a", secrets.token_bytes(32)).fingerprint for _ in range(2)}
    assert {len(each or "") for each in prints} == {12}
    assert len(prints) == 2
    assert Key("a").fingerprint is None


def test_a_key_shows_its_id_alone() -> None:
    """Neither the secret nor the public half."""
    public = Ed25519PrivateKey.generate().public_key()
    for key in (Key("a", b"canary" * 6), Key("a", public=public)):
        assert "id='a'" in repr(key)
        assert "canary" not in repr(key)
        assert "Ed25519" not in repr(key)


_BLANK = "The secret begins or ends with a blank."
_CONTROL = "The secret contains a control character."
_SHORT = "The secret is shorter than 24 bytes."
_FEW = "The secret is a placeholder: it is made of hardly any different characters."
_WORDS = "The secret is a placeholder: it is made of well-known words only."


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("a1b2c3d4e5f6g7h8i9j0k1l2", None),
        ("a1b2c3d4e5f6g7h8i9j0k1l", _SHORT),
        ("\u00e4" * 6 + "b1c2d3e4f5g6", None),
        ("a1b2c3d4e5f6g7h8i9j0k1l2 ", _BLANK),
        ("\ta1b2c3d4e5f6g7h8i9j0k1l2", _BLANK),
        ("a1b2c3d4e5f6\tg7h8i9j0k1l2", _CONTROL),
        ("a1b2c3d4e5f6 g7h8i9j0k1l2", None),
        ("abcdabcdabcdabcdabcdabcd", _FEW),
        ("whsec_abcdabcdabcdabcdab", _FEW),
        ("zqwvyzqwvyzqwvyzqwvyzqwvy", None),
        ("Your-Webhook.Signing_Secret", _WORDS),
        ("Your-Webhook.Signing_Secret-q", None),
    ],
)
def test_what_is_wrong_with_a_secret_is_said(secret: str, why: str | None) -> None:
    """24 bytes and five different characters are enough, whatever they are, if they are no words of examples."""
    assert check_secret(secret) == why


def test_keys_are_listed_by_id_and_fingerprint() -> None:
    """Twelve digits of it; a set of keys has none."""
    public = Ed25519PrivateKey.generate().public_key()
    keys = [Key("a", b"s" * 32), Key("b", public=public), Key("c", jwks=JwksUrl("https://keys.example"))]
    assert key_names(keys) == (f"a:{keys[0].fingerprint}", f"b:{(keys[1].fingerprint or '')[:12]}", "c")
    assert [len(name) for name in key_names(keys)] == [14, 14, 1]
    assert key_names([]) == ()


@pytest.mark.parametrize(
    ("not_before", "not_after", "valid"),
    [
        (None, None, [9, 10, 11, 20, 21]),
        (10, None, [10, 11, 20, 21]),
        (None, 20, [9, 10, 11, 20]),
        (10, 20, [10, 11, 20]),
        (10, 10, [10]),
        (20, 10, []),
    ],
)
def test_a_key_may_be_used_in_its_time(not_before: float | None, not_after: float | None, valid: list[int]) -> None:
    """Both ends are in it; without one it is open there."""
    key = Key("a", b"s" * 32, not_before=not_before, not_after=not_after)
    assert [now for now in (9, 10, 11, 20, 21) if key.is_valid_at(now)] == valid
