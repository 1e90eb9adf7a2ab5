"""What the door refuses, and with which word. The lines of the security list are the test names."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.signature import PRESETS, Key, Verifier, make_verifier, sign
from bridge.rules.signature.verifying import tries
from bridge.words.errors import Refused
from bridge.words.model import Verified
from bridge.words.reasons import Reason

_NOW = 1_705_314_600
_BODY = b'{"id":"evt_1"}'
_KEY = Key("current", b"whsec_01jq8secretxxxxxxxxxxxxxxxx")
_OTHER = Key("other", b"whsec_another_one_of_thirty_two_")
_PRESET = PRESETS["planasonix"]
_T, _S = b"x-planasonix-timestamp", b"x-planasonix-signature"

Headers = list[tuple[bytes, bytes]]
Change = Callable[[Headers, bytes], tuple[Headers, bytes]]


def _signed(body: bytes = _BODY, at: int = _NOW, key: Key = _KEY) -> Headers:
    return [(name.lower().encode(), text.encode()) for name, text in sign(_PRESET, key, body, at).items()]


def _with_timestamp(raw: bytes) -> Headers:
    """Sign whatever stands in the timestamp header, so that only its grammar can refuse it."""
    signature = hmac.new(_KEY.secret, raw + b"." + _BODY, hashlib.sha256).hexdigest()
    return [(_T, raw), (_S, b"v1=" + signature.encode())]


def _verify(headers: Headers, body: bytes = _BODY, now: float = _NOW) -> Verified:
    return Verifier(_PRESET, [_OTHER, _KEY]).verify(headers, body, now)


def _reason(headers: Headers, body: bytes = _BODY, now: float = _NOW) -> Reason:
    with pytest.raises(Refused) as refused:
        _verify(headers, body, now)
    return refused.value.reason


_RIGHT = dict(_signed())
_HEX = _RIGHT[_S].removeprefix(b"v1=")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], Reason.SIGNATURE_MISSING),
        ([(_T, _RIGHT[_T])], Reason.SIGNATURE_MISSING),
        ([(_S, _RIGHT[_S])], Reason.SIGNATURE_MISSING),
        ([(_T, b""), (_S, _RIGHT[_S])], Reason.SIGNATURE_MALFORMED),
        ([(_T, _RIGHT[_T]), (_S, b"")], Reason.SIGNATURE_MALFORMED),
        ([(_T, _RIGHT[_T]), *_signed()], Reason.SIGNATURE_MALFORMED),
        ([(_S, _RIGHT[_S]), *_signed()], Reason.SIGNATURE_MALFORMED),
        ([(_S, b"v1=" + b"0" * 64), *_signed()], Reason.SIGNATURE_MALFORMED),
        ([*_signed(), (_S, b"v1=" + b"0" * 64)], Reason.SIGNATURE_MALFORMED),
        ([*_signed(), (_S, b"")], Reason.SIGNATURE_MALFORMED),
    ],
)
def test_exactly_one_of_each_security_header(headers: Headers, reason: Reason) -> None:
    """A missing, empty or repeated signature or timestamp is refused, even when one of them is right."""
    assert _reason(headers) is reason


@pytest.mark.parametrize(
    "signature",
    [
        _HEX,
        b"v1=" + _HEX[:63],
        b"v1=" + _HEX + b"0",
        b"v1=",
        b"v1",
        b"v1=" + _HEX.upper(),
        b"V1=" + _HEX,
        b"v1= " + _HEX,
        b" v1=" + _HEX,
        b"v1=" + _HEX + b" ",
        b"v1=" + _HEX + b"\n",
        b"v1=" + _HEX + b"\0",
        b"v1=" + _HEX + b",v1=" + _HEX,
        b"v1=" + _HEX + b", v1=" + b"0" * 64,
        b"v1=" + _HEX + b" v1=" + _HEX,
        b"v0=" + _HEX + b",v1=" + _HEX,
        b"v2=" + _HEX,
        b"v1a=" + _HEX,
        b"sha256=" + _HEX,
        b"v1=0x" + _HEX[:62],
        b"v1=" + "\u0660".encode() * 32,
        b"v1=" + b"g" * 64,
    ],
)
def test_signature_is_exactly_the_prefix_and_64_lowercase_hex_digits(signature: bytes) -> None:
    """Lists, other versions, other cases, blanks and prefixes of a right signature are malformed."""
    assert _reason([(_T, _RIGHT[_T]), (_S, signature)]) is Reason.SIGNATURE_MALFORMED


@pytest.mark.parametrize(
    "timestamp",
    [
        b"+1705314600",
        b"-1705314600",
        b" 1705314600",
        b"1705314600 ",
        b"1705314600\n",
        b"1705314600.0",
        b"1.7053146e9",
        b"1_705_314_600",
        b"0x65a5",
        b"1705314600123",
        "".join(chr(0xFF10 + int(digit)) for digit in "1705314600").encode(),
        "\u00b2".encode(),
        b"1705314600,1705314600",
        b"2024-01-15T10:30:00Z",
    ],
)
def test_timestamp_is_one_to_twelve_ascii_digits(timestamp: bytes) -> None:
    """A correctly signed timestamp in any other spelling is malformed."""
    assert _reason(_with_timestamp(timestamp)) is Reason.SIGNATURE_MALFORMED


def test_a_timestamp_in_milliseconds_is_refused_with_what_to_write() -> None:
    """Neither clocks nor the secret are blamed, and with what is written there the very request is let in."""
    headers = _with_timestamp(b"1705314600123")
    reason = _reason(headers)
    assert "13 digits is in milliseconds: write `timestamp_unit: ms`" in reason.next_step
    custom = replace(
        PRESETS["custom"],
        signature_header=_PRESET.signature_header,
        timestamp_header=_PRESET.timestamp_header,
        prefix="v1=",
        signed_text=_PRESET.signed_text,
        timestamp_unit="ms",
    )
    as_written = make_verifier(custom, [_KEY])
    assert as_written.verify(headers, _BODY, _NOW).signed_at == _NOW


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda headers, body: (headers[:1], body), "no proxy drops a header"),
        (lambda headers, body: (headers, body + b"\n"), "a proxy may have changed the body"),
        (lambda headers, body: ([*headers, headers[1]], body), "a proxy may have changed it"),
    ],
    ids=["a header is dropped", "the body is changed", "a header is doubled"],
)
def test_what_a_proxy_may_have_done_is_said(change: Change, said: str) -> None:
    """Whoever reads the reason looks at the proxy before he asks for another secret."""
    assert said in _reason(*change(_signed(), _BODY)).next_step


def test_signed_text_uses_the_raw_characters() -> None:
    """Leading zeros stay in the signed text: never a reprinted number."""
    assert _verify(_with_timestamp(b"001705314600")).signed_at == _NOW
    assert _reason([(_T, b"001705314600"), (_S, _RIGHT[_S])]) is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize(
    ("age", "is_stale"), [(0, False), (299, False), (300, False), (301, True), (10**9, True), (-60, False)]
)
def test_boundary_of_the_past_at_the_exact_second(age: int, is_stale: bool) -> None:
    """300 seconds old is fine, 301 is stale; stale is verified, not refused, whatever the fraction of now."""
    for fraction in (0.0, 0.999):
        assert _verify(_signed(at=_NOW - age), now=_NOW + fraction).is_stale is is_stale


@pytest.mark.parametrize("ahead", [61, 3600, 10**11])
def test_boundary_of_the_future_at_the_exact_second(ahead: int) -> None:
    """60 seconds ahead is fine, 61 is refused."""
    assert _verify(_signed(at=_NOW + 60)).signed_at == _NOW + 60
    assert _reason(_signed(at=_NOW + ahead)) is Reason.TIMESTAMP_IN_FUTURE


def test_past_and_future_are_two_settings() -> None:
    """Each limit moves its own boundary only."""
    verifier = Verifier(_PRESET, [_KEY], past_seconds=10, future_seconds=0)

    assert verifier.verify(_signed(at=_NOW - 10), _BODY, _NOW).is_stale is False
    assert verifier.verify(_signed(at=_NOW - 11), _BODY, _NOW).is_stale is True
    with pytest.raises(Refused, match="ahead"):
        verifier.verify(_signed(at=_NOW + 1), _BODY, _NOW)


@pytest.mark.parametrize("at", [_NOW - 301, _NOW + 61, 0])
def test_wrong_signature_is_a_mismatch_however_old(at: int) -> None:
    """An unauthentic timestamp says nothing: the reason is the mismatch, and nothing becomes stale."""
    assert _reason([(_T, str(at).encode()), (_S, _RIGHT[_S])]) is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize("body", [b"", _BODY + b" ", _BODY[:-1], _BODY.replace(b"1", b"2"), _BODY.replace(b":", b": ")])
def test_exact_body_bytes_are_signed(body: bytes) -> None:
    """One byte more, less or other in the body is a mismatch."""
    assert _reason(_signed(), body) is Reason.SIGNATURE_MISMATCH


def test_empty_body_signs_the_timestamp_alone() -> None:
    """The empty body verifies over `{timestamp}`, and not over `{timestamp}.`."""
    with_dot = hmac.new(_KEY.secret, b"1705314600.", hashlib.sha256).hexdigest().encode()

    assert _verify(_signed(b""), b"").body == b""
    assert _reason([(_T, b"1705314600"), (_S, b"v1=" + with_dot)], b"") is Reason.SIGNATURE_MISMATCH


def test_no_second_weaker_scheme_is_tried() -> None:
    """A body-only signature of the same secret does not open a source that is pinned to `planasonix`."""
    weaker = sign(PRESETS["planasonix-body"], _KEY, _BODY, _NOW, prefix="v1")["X-Planasonix-Signature"].encode()

    assert _reason([(_T, _RIGHT[_T]), (_S, weaker)]) is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize("prefix", ["none", "v1", "sha256"])
@pytest.mark.parametrize("sent", ["none", "v1", "sha256"])
def test_only_the_configured_prefix_is_accepted(prefix: str, sent: str) -> None:
    """`planasonix-body` takes one prefix per source, and the others are malformed."""
    preset = PRESETS["planasonix-body"]
    headers = [(_S, sign(preset, _KEY, _BODY, 0, prefix=sent)["X-Planasonix-Signature"].encode())]
    verifier = Verifier(preset, [_KEY], prefix=prefix)

    if prefix == sent:
        assert verifier.verify(headers, _BODY, 0.0).key_id == "current"
    else:
        with pytest.raises(Refused) as refused:
            verifier.verify(headers, _BODY, 0.0)
        assert refused.value.reason is Reason.SIGNATURE_MALFORMED


def test_every_configured_secret_verifies_and_is_named() -> None:
    """During a rotation each of five secrets verifies, and the result names its id."""
    keys = [Key(f"k{number}", f"whsec_number_{number}_of_five_secrets".encode()) for number in range(5)]
    verifier = Verifier(_PRESET, keys)

    found = [verifier.verify(_signed(key=key), _BODY, _NOW).key_id for key in keys]

    assert found == ["k0", "k1", "k2", "k3", "k4"]


@pytest.mark.parametrize("count", [0, 6])
def test_work_is_bounded_and_never_unsigned(count: int) -> None:
    """No secret at all, or more than five, cannot be configured."""
    with pytest.raises(ValueError, match="1 to 5 secrets"):
        Verifier(_PRESET, [_KEY] * count)


def test_unknown_prefix_cannot_be_configured() -> None:
    """A prefix that the preset does not have is an error, not another scheme."""
    with pytest.raises(ValueError, match="has no prefix"):
        Verifier(_PRESET, [_KEY], prefix="none")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _: [], Reason.SIGNATURE_MISSING),
        (lambda headers: headers[:1], Reason.SIGNATURE_MISSING),
        (lambda headers: [*headers, headers[0]], Reason.SIGNATURE_MALFORMED),
        (lambda headers: [(name, b"x") for name, _ in headers], Reason.SIGNATURE_MALFORMED),
        (lambda _: [(_T, b"1"), (_S, b"v1=" + b"0" * 64)], Reason.SIGNATURE_MISMATCH),
    ],
)
def test_every_refusal_has_hashed_the_whole_body_with_every_key(
    spoil: Callable[[Headers], Headers], reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal work for every reason: counted, not timed, at the library that hashes."""
    hashed: list[tuple[bytes, int]] = []
    digest = hmac.digest

    def count(secret: bytes, text: bytes, name: str) -> bytes:
        hashed.append((secret, len(text)))
        return digest(secret, text, name)

    monkeypatch.setattr(hmac, "digest", count)
    headers = spoil(_signed())
    hashed.clear()  # signing was counted too

    with pytest.raises(Refused) as refused:
        Verifier(_PRESET, [_OTHER, _KEY]).verify(headers, b"x" * 1000, _NOW)

    assert refused.value.reason is reason
    assert [secret for secret, length in hashed if length >= 1000] == [_OTHER.secret, _KEY.secret]


_BYTES = st.binary(max_size=80) | st.sampled_from([_RIGHT[_T], _RIGHT[_S], _HEX, b"v1=", b"", b"\xff"])
_NAMES = st.sampled_from([_T, _S, b"host", b""]) | st.binary(max_size=30)


@given(st.lists(st.tuples(_NAMES, _BYTES), max_size=8), st.binary(max_size=200), st.floats(0, 4e9))
def test_any_headers_are_refused_and_nothing_else(headers: Headers, body: bytes, now: float) -> None:
    """Whatever a stranger sends, the only exception is Refused, and only the right signature passes."""
    try:
        verified = _verify(headers, body, now)
    except Refused:
        return
    assert (verified.body, sorted(item for item in headers if item[0] in (_T, _S))) == (_BODY, sorted(_signed()))


@given(st.binary(max_size=2000), st.integers(0, 10**12 - 1), st.binary(min_size=1, max_size=200))
def test_what_sign_makes_verifies(body: bytes, at: int, secret: bytes) -> None:
    """`sign` and `verify` agree on any body, timestamp and secret."""
    key = Key("any", secret)

    verified = Verifier(_PRESET, [key]).verify(_signed(body, at, key), body, at)

    assert (verified.body, verified.signed_at) == (body, at)


@given(st.integers(0, 63), st.sampled_from(b"0123456789abcdef"))
def test_one_changed_digit_is_a_mismatch(place: int, digit: int) -> None:
    """No digit of the signature is left uncompared."""
    changed = bytearray(_HEX)
    changed[place] = digit
    if changed != _HEX:
        assert _reason([(_T, _RIGHT[_T]), (_S, b"v1=" + bytes(changed))]) is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize(
    ("size", "least", "amount"),
    [
        (0, 1, 8),
        (1, 1, 8),
        (524_288, 1, 8),
        (524_289, 1, 7),
        (1_048_576, 1, 4),
        (1_048_577, 1, 3),
        (4_194_304, 0, 1),
        (4_194_305, 0, 0),
        (4_194_305, 2, 2),
    ],
)
def test_a_text_is_hashed_more_often_the_shorter_it_is(size: int, least: int, amount: int) -> None:
    """4 MiB in all, about 10 ms, but as often as the least one and never more than the limit, here 8."""
    assert tries(size, least=least, limit=8) == amount


def test_other_headers_are_not_looked_at() -> None:
    """Once, twice or without a name: what is no signature and no timestamp changes nothing."""
    more = [(b"host", b"x"), (b"accept", b"a"), (b"accept", b"b"), (b"", b"x"), (b"", b"y")]
    assert _verify([*more, *_signed(), *more]).signed_at == _NOW
    for name in ("planasonix-body", "github"):
        preset = PRESETS[name]
        headers = [(header.lower().encode(), text.encode()) for header, text in sign(preset, _KEY, _BODY, 0).items()]
        verified = Verifier(preset, [_KEY]).verify([*more, *headers, *more], _BODY, _NOW)
        assert (verified.signed_at, verified.is_stale, verified.key_id) == (None, False, "current")


@pytest.mark.parametrize(("count", "is_taken"), [(1, True), (5, True), (6, False), (0, False)])
@pytest.mark.parametrize("name", ["planasonix", "stripe", "bearer"])
def test_a_source_has_one_to_five_secrets(name: str, count: int, is_taken: bool) -> None:
    """The sentence counts them."""
    keys = [replace(_KEY, id=f"k{number}") for number in range(count)]
    if is_taken:
        assert len(make_verifier(PRESETS[name], keys).keys) == count
    else:
        with pytest.raises(ValueError, match=f"^a source needs 1 to 5 secrets, not {count}$"):
            make_verifier(PRESETS[name], keys)


def test_a_prefix_that_a_preset_lacks_is_named() -> None:
    """With the preset; without one its first is taken."""
    with pytest.raises(ValueError, match=r"^preset github has no prefix 'v1'$"):
        make_verifier(PRESETS["github"], [_KEY], prefix="v1")
    body = PRESETS["planasonix-body"]
    (plain,) = sign(body, _KEY, _BODY, 0).values()
    (prefixed,) = sign(body, _KEY, _BODY, 0, prefix="sha256").values()
    assert prefixed == f"sha256={plain}"
    assert make_verifier(body, [_KEY]).verify([(_S, plain.encode())], _BODY, 0).body == _BODY
