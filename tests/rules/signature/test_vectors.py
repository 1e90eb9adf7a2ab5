"""The published test vectors, and signatures computed here by the standard library alone."""

import hashlib
import hmac
import json
from pathlib import Path

import pytest

from bridge.rules import samples
from bridge.rules.signature import PRESETS, Key, Verifier, sign

_DATA = Path(__file__).parents[2] / "data"
_PUBLISHED = json.loads((_DATA / "signatures" / "planasonix.json").read_text())
_BODY = samples.compact(samples.SHAPES[_PUBLISHED["body"]].body)
_KEY = Key("current", _PUBLISHED["secret"].encode())
_TIMESTAMP = _PUBLISHED["timestamp"]


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), text.encode()) for name, text in headers.items()]


def test_body_of_the_vectors() -> None:
    """The vectors are over the documented body, 190 bytes without a line break."""
    assert len(_BODY) == 190


@pytest.mark.parametrize("vector", _PUBLISHED["vectors"], ids=lambda vector: vector["signature"][:12])
def test_published_vector_is_made_and_verified(vector: dict[str, object]) -> None:
    """Every published vector is what `sign` makes, and `verify` accepts it."""
    preset, body = PRESETS[str(vector["preset"])], _BODY if vector["body"] else b""

    headers = sign(preset, _KEY, body, _TIMESTAMP)
    verified = Verifier(preset, [_KEY]).verify(_raw(headers), body, _TIMESTAMP)

    assert headers["X-Planasonix-Signature"] == vector["signature"]
    assert (verified.body, verified.key_id, verified.is_stale) == (body, "current", False)


@pytest.mark.parametrize("length", [1, 24, 63, 64, 65, 200])
def test_secret_of_any_length(length: int) -> None:
    """The prepared HMAC equals the standard library's for secrets below, at and above the block size."""
    secret = bytes(range(1, length + 1))
    signature = hmac.new(secret, b"1705314600." + _BODY, hashlib.sha256).hexdigest()
    headers = [
        (b"x-planasonix-timestamp", b"1705314600"),
        (b"x-planasonix-signature", b"v1=" + signature.encode()),
    ]

    verified = Verifier(PRESETS["planasonix"], [Key("only", secret)]).verify(headers, _BODY, _TIMESTAMP)

    assert verified.key_id == "only"


def test_scheme_without_timestamp_signs_none() -> None:
    """`planasonix-body` has no timestamp: nothing is ever stale, and an unsigned timestamp header is not looked at."""
    preset = PRESETS["planasonix-body"]
    headers = [*_raw(sign(preset, _KEY, _BODY, 0)), (b"x-planasonix-timestamp", b"garbage")]

    verified = Verifier(preset, [_KEY]).verify(headers, _BODY, _TIMESTAMP)

    assert verified.signed_at is None
    assert not verified.is_stale
    assert list(sign(preset, _KEY, _BODY, 0)) == ["X-Planasonix-Signature"]


@pytest.mark.parametrize(("prefix", "before"), [("none", ""), ("v1", "v1="), ("sha256", "sha256=")])
def test_prefix_is_pinned(prefix: str, before: str) -> None:
    """`planasonix-body` takes the configured prefix, and `sign` makes the same one."""
    preset = PRESETS["planasonix-body"]

    headers = sign(preset, _KEY, _BODY, 0, prefix=prefix)

    assert headers["X-Planasonix-Signature"].startswith(before)
    assert len(headers["X-Planasonix-Signature"]) == len(before) + 64
    assert Verifier(preset, [_KEY], prefix=prefix).verify(_raw(headers), _BODY, 0.0).key_id == "current"
