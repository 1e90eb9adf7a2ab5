"""Headers that hold several things: Standard Webhooks' list and Stripe's; and the lengths of everything in a header."""

import base64
from dataclasses import replace

import pytest

from bridge.rules.signature import PRESETS, Key, make_verifier
from bridge.rules.signature.grammar import decode, encode
from tests.rules.signature.support import (
    BODY,
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
_V1, _V1A = _CASES["standard-webhooks"], _CASES["standard-webhooks v1a"]
_OLD = base64.b64encode(bytes(32)).decode()
_OLD_A = base64.b64encode(bytes(64)).decode()


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
    assert outcome_of(_V1, b"webhook-signature", value.format(v1=right_of(_V1), v1a=right_of(_V1A))) == outcome


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
    assert outcome_of(_V1A, b"webhook-signature", value.format(v1=right_of(_V1), v1a=right_of(_V1A))) == outcome


@pytest.mark.parametrize("identifier", ["msg 1", "msg.1", "", "é", "x" * 256, "msg_1\t", "msg_1\x7f"])
def test_id_of_standard_webhooks(identifier: str) -> None:
    """An id is printable, without blank or full stop, and not endless."""
    assert outcome_of(_V1, b"webhook-id", identifier) == "signature_malformed"


_HEX = right_of(_CASES["stripe"]).partition("v1=")[2]


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
    assert outcome_of(_CASES["stripe"], b"stripe-signature", value.format(t=NOW, v1=_HEX)) == outcome


@pytest.mark.parametrize("identifier", ["x" * 255, "!", "~", "a-b_c/d"])
def test_ids_that_are_taken(identifier: str) -> None:
    """Up to 255 printable characters: another id than the signed one is a mismatch, not misspelled."""
    assert outcome_of(_V1, b"webhook-id", identifier) == "signature_mismatch"


@pytest.mark.parametrize(("length", "outcome"), [(8192, "ok"), (8193, "signature_malformed")])
def test_a_header_has_at_most_8192_bytes(length: int, outcome: str) -> None:
    """What stands beside the right signature may be as long as that, and no longer."""
    right = right_of(_V1)
    words, rest = divmod(length - len(right), 1000)
    header = " ".join(["v9," + "x" * 996] * words + ["v9," + "x" * (rest - 4), right])
    assert len(header) == length
    assert outcome_of(_V1, b"webhook-signature", header) == outcome


_RAW = replace(PRESETS["ecdsa-p256"], signature_format="raw")


@pytest.mark.parametrize(
    ("case", "least", "longest"),
    [
        (_CASES["custom"], 32, 32),
        (_CASES["stripe"], 32, 32),
        (_V1, 32, 32),
        (_V1A, 64, 64),
        (_CASES["ed25519"], 64, 64),
        (_CASES["ecdsa-p256 raw"], 64, 64),
        (_CASES["ecdsa-p256"], 8, 72),
        (_CASES["rsa-pss"], 256, 1024),
    ],
    ids=lambda item: item[0].name if isinstance(item, tuple) else item,
)
def test_a_signature_has_the_length_of_its_scheme(case: Case, least: int, longest: int) -> None:
    """One byte less or more is misspelled, whatever the bytes are; within the limits it is only not right."""
    preset = case[0]
    before = {"stripe": f"t={NOW},v1=", "standard-webhooks": "v1," if case is _V1 else "v1a,"}
    name = preset.signature_header.lower().encode()
    for length in (least - 1, least, longest, longest + 1):
        value = before.get(preset.name, preset.prefix) + encode(bytes(length), preset.encoding)
        is_fit = least <= length <= longest
        assert outcome_of(case, name, value) == ("signature_mismatch" if is_fit else "signature_malformed"), length


def test_other_headers_are_not_looked_at() -> None:
    """Whatever else a request carries, once or twice, and without a name, changes nothing."""
    for case in _CASES.values():
        more = [(b"host", b"bridge.example"), (b"accept", b"*/*"), (b"accept", b"*/*"), (b"", b"x"), (b"", b"x")]
        assert judged(case, [*more, *signed(case), *more]) == "ok"


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_a_scheme_of_ones_own_may_sign_the_body_alone(unit: str) -> None:
    """Then nothing is said about when, and a header with a timestamp is none of its own."""
    preset = replace(PRESETS["custom"], signature_header="X-Sig", signed_text="{body}", timestamp_unit=unit)
    headers = [(b"x-planasonix-timestamp", b"soon"), *signed((preset, SECRET, None))]
    verified = make_verifier(preset, [SECRET]).verify(headers, BODY, NOW)
    assert (verified.signed_at, verified.is_stale, verified.message_id) == (None, False, None)


@pytest.mark.parametrize(("unit", "digits"), [("s", 12), ("ms", 15)])
def test_a_timestamp_has_at_most_so_many_digits(unit: str, digits: int) -> None:
    """Twelve of seconds, fifteen of milliseconds; that it is another than the signed one is a mismatch."""
    case = (replace(_CASES["custom"][0], timestamp_unit=unit), SECRET, None)
    assert outcome_of(case, b"x-time", "9" * digits) == "signature_mismatch"
    assert outcome_of(case, b"x-time", "9" * (digits + 1)) == "signature_malformed"
    assert outcome_of(case, b"x-time", "0") == "signature_mismatch"


@pytest.mark.parametrize("encoding", ["hex", "base64", "base64url"])
def test_bytes_have_one_spelling(encoding: str) -> None:
    """It is read back whatever their number; with a blank, a line end, a stranger or more padding it is not."""
    for length in range(1, 12):
        value = bytes(range(245, 256))[:length]
        spelled = encode(value, encoding)
        assert decode(spelled.encode(), encoding) == value
        for other in (spelled + "=", spelled + "==", spelled + " ", " " + spelled, spelled + "\n", spelled[:-1] + "*"):
            assert decode(other.encode(), encoding) is None


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (b"", "hex"),
        (b"", "base64"),
        (b"", "base64url"),
        (b"FF", "hex"),
        (b"f", "hex"),
        (b"-_8=", "base64"),
        (b"+/8", "base64url"),
        (b"QQ", "base64"),
        (b"QQ==", "base64url"),
        (b"QR==", "base64"),
        (b"QR", "base64url"),
        (b"QUJDR", "base64"),
        (b"QUJDR", "base64url"),
    ],
)
def test_no_bytes_are_spelled_so(text: bytes, encoding: str) -> None:
    """Nothing at all, the other alphabet or padding, and bits at the end that stand for nothing."""
    assert decode(text, encoding) is None


def test_a_public_key_of_standard_webhooks_is_of_ed25519() -> None:
    """No other kind has a version there."""
    with pytest.raises(ValueError, match="the key other is not one for standard-webhooks"):
        make_verifier(PRESETS["standard-webhooks"], [Key("other", public=PAIRS["ecdsa-p256"].public_key())])
