"""Key sets: what of a provider's document is used, and which of its keys a token may be checked with."""

import json
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from bridge.rules.signature import PRESETS, JwtVerifier, Key, make_verifier, read_set
from bridge.rules.signature.keysets import MAX_SET_KEYS, KeySet
from bridge.words.errors import KeyUnknown, Refused
from bridge.words.reasons import Reason
from bridge.words.targets import JwksUrl
from tests.support.jwks_server import KINDS, Pair, spelled

NOW = 1_705_314_600
BODY = b'{"id":"evt_1"}'
PAIRS = {algorithm: Pair.make("one", algorithm) for algorithm in KINDS}
OTHERS = {algorithm: Pair.make("two", algorithm) for algorithm in KINDS}
RSA = PAIRS["RS256"]
WEAK = Pair.make("weak", bits=1024)
STRANGER = Pair.make("stranger")
P384 = ec.generate_private_key(ec.SECP384R1()).public_key()


def document(*keys: Any) -> bytes:
    """Return a JWKS document."""
    return json.dumps({"keys": keys}).encode()


def verifier(*sets: KeySet | None, algorithm: str = "RS256") -> JwtVerifier:
    """Return the check of a source with so many entries, each with its set; None: never fetched."""
    keys = [Key(f"entry-{n}", jwks=JwksUrl(f"https://{n}.example"), algorithm=algorithm) for n in range(len(sets))]
    made = JwtVerifier(PRESETS["jwt"], keys, past_seconds=300, future_seconds=60)
    for key, item in zip(keys, sets, strict=True):
        if item is not None:
            made.take_over(key.id, item)
    return made


def outcome(check: JwtVerifier, pair: Pair, **header: Any) -> str:
    """Return the id of the entry that verified a token of this pair, or how it was refused."""
    return judged(check, pair.headers(BODY, NOW, **header)["Authorization"])


def judged(check: JwtVerifier, authorization: str) -> str:
    """Return the same for the header's text."""
    try:
        return check.verify([(b"authorization", authorization.encode())], BODY, NOW).key_id
    except KeyUnknown as unknown:
        return f"unknown to {', '.join(unknown.keys)}"
    except Refused as refused:
        return str(refused.reason)


@pytest.mark.parametrize("algorithm", sorted(KINDS))
def test_every_algorithm_is_verified_with_the_key_of_its_kid(algorithm: str) -> None:
    """The key of the kid opens; another one's signature under the same kid does not, nor does an unknown kid."""
    pair, other = PAIRS[algorithm], OTHERS[algorithm]
    check = verifier(read_set(document(other.jwk(), pair.jwk()), algorithm), algorithm=algorithm)
    assert outcome(check, pair) == "entry-0"
    assert outcome(check, other) == "entry-0"
    assert outcome(check, pair, kid="two") == "signature_mismatch"
    assert outcome(check, pair, kid="three") == "unknown to entry-0"


def test_a_token_without_kid_is_tried_against_the_whole_set() -> None:
    """Every key of it; and if none fits, a newer set might hold it."""
    check = verifier(read_set(document(OTHERS["RS256"].jwk(), RSA.jwk()), "RS256"))
    assert outcome(check, RSA, kid=None) == "entry-0"
    assert outcome(check, STRANGER, kid=None) == "unknown to entry-0"


def test_the_work_for_a_token_without_kid_is_bounded() -> None:
    """Five full sets cost as many tries as one, and a token with a kid costs one."""
    tried: list[object] = []

    class Counting(RSAAlgorithm):
        def verify(self, *arguments: Any) -> bool:
            tried.append(arguments)
            return super().verify(*arguments)

    public = STRANGER.private.public_key()
    full = KeySet({f"k{number}": (public,) for number in range(MAX_SET_KEYS)})  # type: ignore[dict-item]
    check = verifier(*[full] * 5)
    check._checks = tuple((key, item, Counting(Counting.SHA256)) for key, item, _ in check._checks)
    assert outcome(check, RSA, kid=None).startswith("unknown")
    assert len(tried) == MAX_SET_KEYS
    tried.clear()
    assert outcome(check, RSA, kid="k1") == "signature_mismatch"
    assert len(tried) == 5


def test_a_set_that_never_came_is_asked_for() -> None:
    """Whatever the token, as long as its algorithm is the pinned one; another key that verifies needs no set."""
    assert outcome(verifier(None), RSA) == "unknown to entry-0"
    assert outcome(verifier(None, read_set(document(RSA.jwk()), "RS256")), RSA) == "entry-1"
    assert outcome(verifier(None), PAIRS["PS256"]) == "signature_mismatch"
    assert judged(verifier(None), "Bearer a.b.c") == "signature_malformed"


def test_a_set_that_is_taken_over_replaces_the_one_before() -> None:
    """A key that the provider removed opens nothing any more."""
    check = verifier(read_set(document(RSA.jwk()), "RS256"))
    check.take_over("entry-0", read_set(document(OTHERS["RS256"].jwk()), "RS256"))
    assert outcome(check, OTHERS["RS256"]) == "entry-0"
    assert outcome(check, RSA) == "unknown to entry-0"


def test_a_token_brings_no_key() -> None:
    """`jku`, `x5u`, `jwk` and `x5c` change nothing, and neither does a kid that is a path or a URL."""
    check = verifier(read_set(document(OTHERS["RS256"].jwk()), "RS256"))
    names = {"jku": "https://evil.example", "x5u": "https://evil.example", "jwk": RSA.jwk(), "x5c": ["AAAA"]}
    for kid in ("two", "../../etc/passwd", "https://evil.example/jwks.json", "one"):
        found = outcome(check, RSA, **names, kid=kid)
        assert found == ("signature_mismatch" if kid == "two" else "unknown to entry-0")


@pytest.mark.parametrize("kid", [5, None, [], {}, True, ["two"]])
def test_a_kid_that_is_no_string_is_malformed(kid: Any) -> None:
    """RFC 7515, 4.1.4; a list must not reach a look-up that it could break."""
    header = {"alg": "RS256", "kid": kid}
    parts = [jwt.utils.base64url_encode(json.dumps(item).encode()).decode() for item in (header, {"iat": NOW})]
    check = verifier(read_set(document(OTHERS["RS256"].jwk()), "RS256"))
    assert judged(check, f"Bearer {'.'.join(parts)}.AAAA") == "signature_malformed"


@given(kid=st.one_of(st.none(), st.sampled_from(["one", "x"])), keyword=st.sampled_from(["HS256", "HS512", "none"]))
@settings(max_examples=30, deadline=None)
def test_a_token_keyed_with_the_public_key_is_refused(kid: str | None, keyword: str) -> None:
    """HS256 over the published PEM, or no signature at all: the algorithm is the entry's, not the token's."""
    pem = RSA.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    check = verifier(read_set(document(RSA.jwk()), "RS256"))
    right = RSA.headers(BODY, NOW)["Authorization"].removeprefix("Bearer ")
    claims = right.split(".")[1]
    header = {"alg": keyword, "typ": "JWT"} | ({"kid": kid} if kid else {})
    signed = f"{jwt.utils.base64url_encode(json.dumps(header).encode()).decode()}.{claims}"
    mac = b""
    if keyword != "none":
        import hashlib
        import hmac

        mac = hmac.digest(pem, signed.encode(), getattr(hashlib, f"sha{keyword[2:]}"))
    forged = f"Bearer {signed}.{jwt.utils.base64url_encode(mac).decode()}"
    assert judged(check, forged) in ("signature_mismatch", "signature_malformed")


UNFIT: dict[str, tuple[Any, str]] = {
    "a secret": ({"kty": "oct", "k": "c2VjcmV0", "kid": "s", "alg": "HS256"}, "not an RSA key"),
    "a private key": (RSA.private_jwk(), "must only ever see the public one"),
    "1024 bits": (WEAK.jwk(), "2048 to 8192 bits, not 1024"),
    "another kind": (PAIRS["ES256"].jwk(), "not an RSA key"),
    "for encryption": (RSA.jwk(use="enc"), "not for signatures"),
    "another algorithm": (RSA.jwk(alg="PS256"), "another algorithm than RS256"),
    "an algorithm that is no text": (RSA.jwk(alg=5), "another algorithm"),
    "no kid": ({name: it for name, it in RSA.jwk().items() if name != "kid"}, "no `kid`"),
    "a kid that is a number": (RSA.jwk(kid=1), "no `kid`"),
    "an empty kid": (RSA.jwk(kid=""), "no `kid`"),
    "an endless kid": (RSA.jwk(kid="k" * 257), "longer than 256"),
    "to sign with": (RSA.jwk(key_ops=["sign"]), "key_ops"),
    "key_ops of a wrong type": (RSA.jwk(key_ops="verify"), "key_ops"),
    "no modulus": ({"kty": "RSA", "kid": "x", "e": "AQAB"}, "broken"),
    "a modulus of a wrong type": (RSA.jwk(n=[1, 2]), "broken"),
    "a modulus that is a number": (RSA.jwk(n=12345), "broken"),
    "an even exponent": (RSA.jwk(e="AAAA"), "broken"),
    "an empty modulus": (RSA.jwk(n=""), "broken"),
    "a kty of a wrong type": (RSA.jwk(kty=["RSA"]), "not an RSA key"),
    "no object": ("RSA", "not a JWK"),
    "null": (None, "not a JWK"),
}


@pytest.mark.parametrize("name", sorted(UNFIT))
def test_a_key_that_does_not_fit_is_dropped_and_said(name: str) -> None:
    """The others are used all the same; alone it makes a document without a usable key."""
    entry, why = UNFIT[name]
    found = read_set(document(entry, OTHERS["RS256"].jwk()), "RS256")
    assert list(found.keys) == ["two"]
    ((_, said),) = found.dropped
    assert why in said
    with pytest.raises(ValueError, match="none of its 1 keys can be used for RS256"):
        read_set(document(entry), "RS256")


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_a_curve_that_does_not_fit_is_dropped(algorithm: str) -> None:
    """P-384 where P-256 is pinned, X25519 where Ed25519 is."""
    wrong = spelled(P384, "ES384") if algorithm == "ES256" else {"kty": "OKP", "crv": "X25519", "x": "AA" * 16}
    with pytest.raises(ValueError, match="none of its 1 keys"):
        read_set(document(wrong | {"kid": "x"}), algorithm)


def test_keys_that_share_a_kid_are_both_used() -> None:
    """The signature decides; and the same key twice is one."""
    check = verifier(read_set(document(OTHERS["RS256"].jwk(kid="same"), RSA.jwk(kid="same")), "RS256"))
    assert outcome(check, RSA, kid="same") == outcome(check, OTHERS["RS256"], kid="same") == "entry-0"
    assert len(read_set(document(RSA.jwk(), RSA.jwk()), "RS256").keys["one"]) == 1


def test_at_most_32_keys_are_kept() -> None:
    """Of 40 that fit the first ones count; 5,000 things that do not fit keep nothing out."""
    found = read_set(document(*[RSA.jwk(kid=f"k{number}") for number in range(40)]), "RS256")
    assert (len(found.keys), len(found.dropped)) == (MAX_SET_KEYS, 8)
    assert len(read_set(document(*[{}] * 5_000, RSA.jwk()), "RS256").dropped) == 5_000


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": null}',
        b'{"keys": []}',
        b"<html></html>",
        b"\xff\xfe{}",
        b'\xef\xbb\xbf{"keys": []}',
        b'{"keys": [NaN]}',
        b'{"keys": []' + b', "keys": []}',
        b'{"keys": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    ],
)
def test_what_is_no_key_set(text: bytes) -> None:
    """Not JSON, not an object, a name twice, endless depth: a sentence, never another error."""
    with pytest.raises(ValueError, match=r"not a JSON object with a list `keys`|none of its"):
        read_set(text, "RS256")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(
    changes=st.dictionaries(
        st.sampled_from(["kty", "n", "e", "kid", "use", "alg", "key_ops", "crv", "x", "d", "x5c", "oth"]), JSON
    )
)
@settings(max_examples=300, deadline=None)
def test_any_json_for_a_key_is_read_or_dropped(changes: dict[str, Any]) -> None:
    """No value of any type makes anything but a set or a sentence."""
    found = read_set(document(RSA.jwk() | changes, OTHERS["RS256"].jwk()), "RS256")
    assert len(found.dropped) + sum(map(len, found.keys.values())) == 2
    assert all(isinstance(why, str) for _, why in found.dropped)


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        (RSA.jwk(kid="\x1b[2J" + "x" * 100, use="enc"), "'\\x1b[2J" + "x" * 60 + "'"),
        (RSA.jwk(kid="k" * 65, use="enc"), "'" + "k" * 64 + "'"),
        (RSA.jwk(kid="k" * 64, use="enc"), "'" + "k" * 64 + "'"),
        (RSA.jwk(kid=""), "key 2"),
        (RSA.jwk(kid=5), "key 2"),
        ("RSA", "key 2"),
    ],
)
def test_a_dropped_key_is_called_by_its_kid_or_its_place(entry: Any, name: str) -> None:
    """What a provider writes is shown escaped and cut, so that it steers no terminal; places count from one."""
    found = read_set(document(OTHERS["RS256"].jwk(), entry), "RS256")
    assert [each for each, _ in found.dropped] == [name]


def test_a_document_without_a_usable_key_says_why() -> None:
    """Of three keys; the others are counted."""
    with pytest.raises(ValueError, match=r"^none of its 4 keys can be used for RS256") as refused:
        read_set(document({}, RSA.jwk(use="enc"), 5, RSA.jwk(kid="4", key_ops=[])), "RS256")
    why = "; ".join(
        [
            "none of its 4 keys can be used for RS256",
            "key 1: it has no `kid`, or one longer than 256 characters",
            "'one': the JWK is not for signatures (`use`)",
            "key 3: this is not a JWK",
        ]
    )
    assert str(refused.value) == why
    with pytest.raises(ValueError, match=r"^none of its 0 keys can be used for RS256$"):
        read_set(document(), "RS256")


@pytest.mark.parametrize("kid", ["k", "k" * 256])
def test_a_kid_has_1_to_256_characters(kid: str) -> None:
    """Then its key is used; `key_ops` may name more than to verify."""
    found = read_set(document(RSA.jwk(kid=kid, key_ops=["sign", "verify"])), "RS256")
    assert (list(found.keys), found.dropped) == ([kid], ())


def test_the_33rd_key_that_fits_is_dropped() -> None:
    """With the sentence; the same key once more under its kid counts as one."""
    keys = [RSA.jwk(kid=f"k{number}") for number in range(33)]
    assert read_set(document(*keys), "RS256").dropped == (("'k32'", "only the first 32 keys that fit are used"),)
    assert read_set(document(*keys[:31], keys[0], keys[31]), "RS256").dropped == ()


def test_outside_its_time_no_key_of_the_set_opens_anything() -> None:
    """`not_after` of the entry holds for every key that it brings."""
    key = Key("entry", jwks=JwksUrl("https://x.example"), algorithm="RS256", not_after=NOW - 1)
    check = JwtVerifier(PRESETS["jwt"], [key], past_seconds=300, future_seconds=60)
    check.take_over("entry", read_set(document(RSA.jwk()), "RS256"))
    assert outcome(check, RSA) == Reason.KEY_OUT_OF_TIME


def test_hs256_takes_no_set() -> None:
    """A published secret is none."""
    with pytest.raises(ValueError, match="needs `algorithm`"):
        make_verifier(PRESETS["jwt"], [Key("entry", b"s" * 32, jwks=JwksUrl("https://x.example"), algorithm="HS256")])
    with pytest.raises(ValueError, match="needs `algorithm`"):
        make_verifier(PRESETS["jwt"], [replace(Key("entry"), jwks=JwksUrl("https://x.example"))])
