"""Every preset: what its sender makes verifies, and nothing else does."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.signature import PRESETS, Key, check_layout, make_verifier
from bridge.rules.signature.material import PrivateKey
from bridge.words.errors import Refused
from bridge.words.model import Verified
from bridge.words.reasons import Reason
from tests.rules.signature.support import BODY, NOW, OTHERS, PAIRS, SECRET, Case, Headers, cases, signed

_CASES = cases()
_every = pytest.mark.parametrize("case", _CASES.values(), ids=_CASES)
_BOUND = [case for name, case in _CASES.items() if name != "bearer"]
_TIMED = {name: case for name, case in _CASES.items() if case[0].is_timed}


def _refusal(case: Case, headers: Headers, body: bytes = BODY, now: float = NOW) -> Reason:
    with pytest.raises(Refused) as refused:
        make_verifier(case[0], [case[1]]).verify(headers, body, now)
    return refused.value.reason


def test_every_preset_is_tried_here_and_names_its_source() -> None:
    """No preset is without a source, and none is left out of these tests."""
    assert {case[0].name for case in _CASES.values()} == set(PRESETS)
    assert all(preset.source for preset in PRESETS.values())


@_every
@pytest.mark.parametrize("body", [BODY, b"", b"\x00\xff%s{id}" * 100])
def test_what_the_sender_signs_verifies(case: Case, body: bytes) -> None:
    """Any body, also the empty one, verifies; the result names the key and the signed second."""
    verified = make_verifier(case[0], [case[1]]).verify(signed(case, body), body, NOW + 0.5)

    message_id = "msg_1" if case[0].id_header else None
    assert verified == Verified(body, case[1].id, NOW if case[0].is_timed else None, False, message_id)


@pytest.mark.parametrize("case", _BOUND)
@pytest.mark.parametrize("body", [b"", BODY + b" ", BODY[:-1]])
def test_another_body_is_refused(case: Case, body: bytes) -> None:
    """One byte more or less is a mismatch, in a token's claim as in a signature."""
    assert _refusal(case, signed(case), body) in (Reason.SIGNATURE_MISMATCH, Reason.CLAIMS_MISMATCH)


@_every
def test_another_key_is_refused(case: Case) -> None:
    """A key of the same kind that is not configured opens nothing."""
    preset, key, private = case
    other: Key
    other_private: PrivateKey | None = None
    if private is None:
        other = replace(key, secret=b"another-secret-of-more-than-32-bytes!")
    else:
        kind = next(kind for kind, pair in PAIRS.items() if pair is private)
        other_private = OTHERS[kind]
        other = replace(key, public=other_private.public_key())

    assert _refusal(case, signed((preset, other, other_private))) is Reason.SIGNATURE_MISMATCH


@_every
def test_exactly_one_of_each_header(case: Case) -> None:
    """A missing header is missing; an empty or repeated one is malformed, even if the repetition is the same."""
    headers = signed(case)
    for place, (name, value) in enumerate(headers):
        without = headers[:place] + headers[place + 1 :]
        assert _refusal(case, without) is Reason.SIGNATURE_MISSING
        assert _refusal(case, [*without, (name, b"")]) is Reason.SIGNATURE_MALFORMED
        assert _refusal(case, [*headers, (name, value)]) is Reason.SIGNATURE_MALFORMED
        assert _refusal(case, [(name, b""), *headers]) is Reason.SIGNATURE_MALFORMED


@_every
@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: b" " + value,
        lambda value: value + b"\n",
        lambda value: value + b"\0",
        lambda value: value + b"\xc3\xa9",
        lambda value: value + b"," + value,
        lambda value: value + b", " + value,
        lambda value: value + b"  " + value,
        lambda value: value + b";",
        lambda value: b'"' + value + b'"',
        lambda value: value[: len(value) // 2],
        lambda value: value * 2000,
    ],
)
def test_header_grammar_is_strict(case: Case, spoil) -> None:  # type: ignore[no-untyped-def]
    """Blanks, lists, quotes, non-ASCII, halves and floods are refused in every security header."""
    headers = signed(case)
    for place, (name, value) in enumerate(headers):
        # `webhook-signature` alone is a list, in which the right entry may stand before a wrong one.
        spoiled = [*headers[:place], (name, spoil(value)), *headers[place + 1 :]]
        assert _refusal(case, spoiled) in (
            Reason.SIGNATURE_MALFORMED,
            Reason.SIGNATURE_MISMATCH,
            Reason.TIMESTAMP_IN_FUTURE,
        )


@pytest.mark.parametrize("case", _TIMED.values(), ids=_TIMED)
def test_age_is_limited_at_the_exact_second(case: Case) -> None:
    """300 seconds old is fresh, 301 is stale; 60 ahead is taken, 61 is refused."""
    verifier = make_verifier(case[0], [case[1]])

    found = [verifier.verify(signed(case, at=NOW - age), BODY, NOW + 0.9).is_stale for age in (-60, 0, 300, 301)]

    assert found == [False, False, False, True]
    assert _refusal(case, signed(case, at=NOW + 61)) is Reason.TIMESTAMP_IN_FUTURE


@_every
def test_key_outside_its_time_opens_nothing(case: Case) -> None:
    """`not_before` and `not_after` are inclusive; outside them a right signature has a reason of its own."""
    preset, key, private = case
    timed = replace(key, not_before=NOW, not_after=NOW + 10.0)
    verifier = make_verifier(preset, [timed])

    for now in (NOW, NOW + 10):
        assert verifier.verify(signed(case, at=now), BODY, now).key_id == key.id
    for now in (NOW - 0.001, NOW + 10.001):
        assert _refusal((preset, timed, private), signed(case), now=now) is Reason.KEY_OUT_OF_TIME


@_every
def test_two_keys_during_a_rotation(case: Case) -> None:
    """The right one of several verifies and is named, wherever it stands."""
    preset, key, private = case
    old = replace(key, id="old", secret=b"the-secret-of-the-time-before-this-one" if private is None else b"")
    if private is not None:
        kind = next(kind for kind, pair in PAIRS.items() if pair is private)
        old = replace(old, public=OTHERS[kind].public_key())

    for keys in ([old, key], [key, old]):
        assert make_verifier(preset, keys).verify(signed(case), BODY, NOW).key_id == key.id


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_no_weaker_scheme_is_tried(name: str) -> None:
    """A request signed for any other preset does not open a source pinned to this one."""
    mine = [case for case in _CASES.values() if case[0].name == name]
    for case in mine:
        for other in _CASES.values():
            if other[0].name != name:
                headers = [(header.lower().encode(), value) for header, value in _as(case, other)]
                with pytest.raises(Refused):
                    make_verifier(case[0], [case[1]]).verify(headers, BODY, NOW)


def _as(case: Case, other: Case) -> list[tuple[str, bytes]]:
    """Return another preset's signature under this preset's header names."""
    value = signed(other)[0][1]
    found = [(case[0].signature_header, value)]
    found += [(case[0].timestamp_header, str(NOW).encode())] if case[0].timestamp_header else []
    return found + ([(case[0].id_header, b"msg_1")] if case[0].id_header else [])


def test_each_preset_takes_the_keys_of_its_kind() -> None:
    """Secrets, public keys, or for two presets either."""
    both = {name for name, preset in PRESETS.items() if preset.key_kinds == ("secrets", "public_keys")}
    public = {name for name, preset in PRESETS.items() if preset.key_kinds == ("public_keys",)}
    secret = {name for name, preset in PRESETS.items() if preset.key_kinds == ("secrets",)}
    assert (both, public) == ({"standard-webhooks", "jwt"}, {"ed25519", "ecdsa-p256", "rsa-pss"})
    assert both | public | secret == set(PRESETS)


def test_keys_of_another_kind_are_refused_at_start() -> None:
    """A secret is never used where a public key belongs, nor the other way round, nor RSA for Ed25519."""
    rsa_key = Key("rsa", public=PAIRS["rsa-pss"].public_key())
    wrong = [
        ("ed25519", SECRET),
        ("ed25519", rsa_key),
        ("ecdsa-p256", rsa_key),
        ("stripe", rsa_key),
        ("standard-webhooks", rsa_key),
        ("jwt", SECRET),
        ("jwt", replace(SECRET, algorithm="RS256")),
        ("jwt", replace(SECRET, algorithm="none")),
        ("jwt", replace(rsa_key, algorithm="HS256")),
        ("jwt", replace(rsa_key, algorithm="ES256")),
        ("jwt", Key("short", b"only-24-bytes-of-secret!", algorithm="HS256")),
    ]
    for name, key in wrong:
        with pytest.raises(ValueError, match=r"is not one for|needs `algorithm`|at least 32"):
            make_verifier(PRESETS[name], [key])
    for name in PRESETS:
        with pytest.raises(ValueError, match="1 to 5"):
            make_verifier(PRESETS[name], [])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"signed_text": ""}, "needs signature_header and signed_text"),
        ({"signature_header": ""}, "needs signature_header and signed_text"),
        ({"signed_text": "{timestamp}"}, "holds {body} once and last"),
        ({"signed_text": "{body}.{timestamp}"}, "holds {body} once and last"),
        ({"signed_text": "{timestamp}.{timestamp}.{body}"}, "at most once"),
        ({"signed_text": "{timestamp}{body}"}, "a separator follows {timestamp}"),
        ({"signed_text": "{timestamp}0{body}"}, "a separator follows {timestamp}"),
        ({"signed_text": "{id}:{timestamp}.{body}"}, "a full stop or a blank follows {id}"),
        ({"signed_text": "{time}.{body}"}, "is made of"),
        ({"signed_text": "{timestamp}.{body}}"}, "is made of"),
        ({"signed_text": "{{timestamp}.{body}"}, "is made of"),
        ({"signed_text": "\u00e4{timestamp}.{body}"}, "is made of"),
        ({"signed_text": "{body}{timestamp}.{body}"}, "holds {body} once and last"),
        ({"signed_text": "{timestamp}\n{body}"}, "is made of"),
        ({"signed_text": "{body}"}, "what is not signed proves nothing"),
        ({"timestamp_header": None}, "belong together"),
        ({"id_header": "X-Id"}, "belong together"),
        ({"timestamp_header": "x-sig"}, "same name"),
    ],
)
def test_layout_that_proves_less_than_it_seems_is_refused(changes: dict[str, str], why: str) -> None:
    """A text two requests could share, or a header that nothing signs, cannot be configured."""
    good = replace(
        PRESETS["custom"], signature_header="X-Sig", timestamp_header="X-Time", signed_text="{timestamp}.{body}"
    )

    assert check_layout(good) is None
    assert why in (check_layout(replace(good, **changes)) or "")  # type: ignore[arg-type]


def test_which_presets_sign_when() -> None:
    """Those with a timestamp in a header, in the signature's header or as a claim; no other can be limited in age."""
    untimed = {name for name, (preset, _, _) in _CASES.items() if not preset.is_timed}
    assert untimed == {"planasonix-body", "github", "bearer"} | {name for name in _CASES if name.endswith("detached")}


_RIGHT = {name: signed(case) for name, case in _CASES.items()}
_values = st.binary(max_size=120) | st.sampled_from([value for headers in _RIGHT.values() for _, value in headers])


@given(st.data())
def test_any_headers_give_verified_or_refused(data: st.DataObject) -> None:
    """Whatever a stranger sends to whichever preset, nothing but Refused is raised; only the right values pass."""
    name = data.draw(st.sampled_from(sorted(_CASES)))
    names = st.sampled_from([header for header, _ in _RIGHT[name]])
    headers = data.draw(st.lists(st.tuples(names, _values), max_size=5))
    preset, key, _ = _CASES[name]
    try:
        make_verifier(preset, [key]).verify(headers, BODY, NOW)
    except Refused:
        return
    assert {value for _, value in headers} <= {value for right in _RIGHT.values() for _, value in right}


@given(st.data(), st.binary(min_size=1, max_size=4))
def test_spoiled_headers_give_refused(data: st.DataObject, noise: bytes) -> None:
    """A right header with bytes put in or changed anywhere is refused, and never an error."""
    name = data.draw(st.sampled_from(sorted(_CASES)))
    headers = list(_RIGHT[name])
    place = data.draw(st.integers(0, len(headers) - 1))
    header, value = headers[place]
    at = data.draw(st.integers(0, len(value)))
    headers[place] = (header, value[:at] + noise + value[at + data.draw(st.integers(0, 4)) :])
    preset, key, _ = _CASES[name]
    try:
        verified = make_verifier(preset, [key]).verify(headers, BODY, NOW)
    except Refused:
        return
    # Left over: nothing changed, a version of nobody put in, a timestamp's leading zero is signed and so never passes.
    assert headers == _RIGHT[name] or preset.name in ("standard-webhooks", "stripe")
    assert verified.body == BODY
