"""What a stranger's request may cost is bounded for every scheme: tries times bytes, counted and not timed.

The rule (bridge/rules/signature/verifying): a body is hashed once, where the scheme allows; else the number of tries
falls with its size; and where there is no secret to guess, what needs no body is looked at first.
"""

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from jwt.algorithms import RSAAlgorithm

from bridge.rules.signature import PRESETS, Key, KeySet, make_verifier, sign
from bridge.rules.signature.keysets import MAX_SET_KEYS
from bridge.rules.signature.schemes import SchemeVerifier
from bridge.rules.signature.tokens import JwtVerifier
from bridge.words.errors import Refused
from bridge.words.reasons import Reason
from bridge.words.targets import JwksUrl
from tests.rules.signature.support import NOW, OTHERS, PAIRS, Headers

MIB = 1_048_576
STANDARD = PRESETS["standard-webhooks"]
STRANGE = b"v1a," + base64.b64encode(bytes(64))


class Counting(ed25519.Ed25519PublicKey):
    """A public key that notes how many bytes it was asked to hash."""

    def __init__(self, own: ed25519.Ed25519PublicKey, hashed: list[int]) -> None:
        """Be this one."""
        self._own, self._hashed = own, hashed

    def verify(self, signature: Any, data: Any) -> None:
        """Note and verify."""
        self._hashed.append(len(data))
        self._own.verify(signature, data)

    from_public_bytes = public_bytes = public_bytes_raw = __eq__ = __copy__ = __deepcopy__ = None  # type: ignore[assignment]


def five(hashed: list[int], *, right: int = 4) -> SchemeVerifier:
    """Return a verifier with five keys, of which one is the pair's."""
    pairs = [ed25519.Ed25519PrivateKey.generate() for _ in range(5)]
    pairs[right] = PAIRS["ed25519"]  # type: ignore[call-overload]
    keys = [Key(f"k{number}", public=Counting(pair.public_key(), hashed)) for number, pair in enumerate(pairs)]
    return SchemeVerifier(STANDARD, keys, past_seconds=300, future_seconds=60)


def headers(*signatures: bytes) -> Headers:
    """Return the headers of a request with these signatures."""
    return [
        (b"webhook-id", b"msg_1"),
        (b"webhook-timestamp", str(NOW).encode()),
        (b"webhook-signature", b" ".join(signatures)),
    ]


def right(body: bytes) -> bytes:
    """Return the pair's signature."""
    made = sign(
        STANDARD,
        Key("k", public=PAIRS["ed25519"].public_key()),
        body,
        NOW,
        message_id="msg_1",
        private=PAIRS["ed25519"],
    )  # type: ignore[arg-type]
    return made["webhook-signature"].encode()


def test_eight_signatures_five_keys_and_a_large_body_hash_ten_bodies_at_most() -> None:
    """40 tries over 1 MiB were 236 ms for each junk request; two signatures are tried, as many as a rotation needs."""
    hashed: list[int] = []
    with pytest.raises(Refused) as refused:
        five(hashed).verify(headers(*[STRANGE] * 8), bytes(MIB), NOW)
    assert refused.value.reason is Reason.SIGNATURE_MISMATCH
    assert len(hashed) == 10


@pytest.mark.parametrize("size", [0, 1000, 100_000])
def test_all_eight_signatures_of_a_small_body_are_tried(size: int) -> None:
    """A sender in the middle of a long rotation is read."""
    body, hashed = bytes(size), list[int]()
    assert five(hashed).verify(headers(*[STRANGE] * 7, right(body)), body, NOW).key_id == "k4"


def test_a_large_body_in_a_rotation_verifies_with_its_second_signature_and_the_last_key() -> None:
    """The bound takes nothing from an honest sender."""
    body, hashed = bytes(MIB), list[int]()
    assert five(hashed).verify(headers(STRANGE, right(body)), body, NOW).key_id == "k4"


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        ([], Reason.SIGNATURE_MISSING),
        (headers(b"v1a,x"), Reason.SIGNATURE_MALFORMED),
        (headers(b"v1," + base64.b64encode(bytes(32))), Reason.SIGNATURE_MALFORMED),
    ],
)
def test_with_public_keys_nothing_is_hashed_for_a_request_without_a_signature(spoiled: Headers, reason: Reason) -> None:
    """Time can tell nothing: there is no secret to guess."""
    hashed: list[int] = []
    with pytest.raises(Refused) as refused:
        five(hashed).verify(spoiled, bytes(MIB), NOW)
    assert (refused.value.reason, hashed) == (reason, [])


@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-pss"])
def test_a_body_is_hashed_once_for_all_keys(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five keys check one digest; a signature of another length than the key's costs nothing."""
    hashed: list[int] = []
    sha256 = hashlib.sha256

    def count(text: bytes = b"") -> Any:
        hashed.append(len(text))
        return sha256(text)

    keys = [Key(f"k{number}", public=OTHERS[kind].public_key()) for number in range(5)]
    body = bytes(MIB)
    signing = Key("k", public=PAIRS[kind].public_key())
    made = sign(PRESETS[kind], signing, body, NOW, message_id="msg_1", private=PAIRS[kind])
    monkeypatch.setattr(hashlib, "sha256", count)
    with pytest.raises(Refused):
        make_verifier(PRESETS[kind], keys).verify(
            [(n.lower().encode(), v.encode()) for n, v in made.items()], body, NOW
        )
    assert len([size for size in hashed if size >= MIB]) == 1


class CountingRsa(RSAAlgorithm):
    """PyJWT's RS256, which notes what it was asked."""

    asked: list[bytes]

    def verify(self, msg: bytes, key: Any, sig: bytes) -> bool:
        """Note and verify."""
        self.asked.append(msg)
        return super().verify(msg, key, sig)


@pytest.mark.parametrize(("size", "most"), [(1000, MAX_SET_KEYS), (MIB, 5)])
def test_a_token_over_a_large_body_is_read_once_and_tried_with_few_keys(size: int, most: int) -> None:
    """A detached token of 1 MiB cost 280 ms a key, and a set has up to 32."""
    preset = replace(PRESETS["jwt"], body="detached")
    key = Key("entry", jwks=JwksUrl("https://keys.example/jwks"), algorithm="RS256")
    check = JwtVerifier(preset, [key], past_seconds=300, future_seconds=60)
    other = rsa.generate_private_key(65537, 2048).public_key()
    check.take_over("entry", KeySet({"entry": (other,) * MAX_SET_KEYS}))
    counting = CountingRsa(CountingRsa.SHA256)
    counting.asked = []
    check._checks = tuple((item, material, counting) for item, material, _ in check._checks)
    signing = Key("entry", public=PAIRS["rsa-pss"].public_key(), algorithm="RS256")
    made = sign(preset, signing, bytes(size), NOW, message_id="msg_1", private=PAIRS["rsa-pss"])
    with pytest.raises(Refused):
        check.verify([(name.lower().encode(), value.encode()) for name, value in made.items()], bytes(size), NOW)
    assert len(counting.asked) == most
    assert len({id(text) for text in counting.asked}) == 1
