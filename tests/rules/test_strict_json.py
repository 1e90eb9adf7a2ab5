"""Strict JSON: what is refused, what is not, and that it is otherwise the standard library's."""

import gc
import json
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.rules.event import peek_id, read
from bridge.rules.strict_json import BOM, parse, parse_body
from bridge.words.errors import Unreadable
from bridge.words.reasons import Reason


def _refusal(body: bytes) -> str:
    with pytest.raises(Unreadable) as unreadable:
        read(body)
    assert unreadable.value.reason is Reason.UNREADABLE_JSON
    return unreadable.value.detail


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "Expecting value"),
        (b" ", "Expecting value"),
        (b"null", "not an object"),
        (b"[]", "not an object"),
        (b'[{"id":"evt_1"}]', "not an object"),
        (b'"text"', "not an object"),
        (b"1", "not an object"),
        (b'{"id":"evt_1"', "Line 1, column"),
        (b'{"id":"evt_1"} {}', "Extra data"),
        (b'{"id":"evt_1",}', "Line 1, column"),
        (b"{'id':'evt_1'}", "Line 1, column"),
        (b'{"id":"evt_1"} // note', "Extra data"),
        (b'{"a":"tab\there"}', "control character"),
        (b'{"a":"nul\x00"}', "control character"),
        (b'{"a":"\\ud83d\x00\x00"}', "control character"),
        (b'{"a":"\\x41"}', "Line 1, column"),
        (b'{"a":01}', "Line 1, column"),
        (b'{"a":+1}', "Line 1, column"),
        (b'{"a":.5}', "Line 1, column"),
        (b"a=b&c=d", "Line 1, column"),
    ],
)
def test_broken_json(body: bytes, what: str) -> None:
    """What no JSON reader should accept is unreadable, with the place."""
    assert what in _refusal(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"a","id":"b"}',
        b'{"id":"a","id":"a"}',
        b'{"id":"a","\\u0069d":"b"}',
        b'{"data":{"status":"failed","status":"succeeded"}}',
        b'{"a":[{"b":[{"c":1,"c":2}]}]}',
        b'{"":1,"":2}',
    ],
)
def test_no_duplicate_key_at_any_depth(body: bytes) -> None:
    """The standard library takes the last of two equal keys; here there are none."""
    json.loads(body)

    assert "twice" in _refusal(body)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1" * 40 + b"e300"])
def test_no_nan_or_infinity(number: bytes) -> None:
    """Neither spelled nor by overflow."""
    json.loads(b'{"a":' + number + b"}")

    _refusal(b'{"a":' + number + b"}")
    _refusal(b'{"data":{"b":[' + number + b"]}}")


@pytest.mark.parametrize(
    "body", [b'\xef\xbb\xbf{"id":"a"}', '{"id":"a"}'.encode("utf-16"), '{"id":"a"}'.encode("utf-32")]
)
def test_no_byte_order_mark_and_no_other_encoding(body: bytes) -> None:
    """Only UTF-8 without a mark; the standard library would detect the others."""
    with pytest.raises(Unreadable):
        parse(body)
    if not body.startswith(BOM):
        _refusal(body)


@pytest.mark.parametrize("raw", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"])
def test_no_malformed_utf8(raw: bytes) -> None:
    """Overlong forms, surrogates, values past the end and cut sequences are unreadable."""
    assert "UTF-8" in _refusal(b'{"a":"' + raw + b'"}')


@pytest.mark.parametrize(
    "text", [b"\\ud800", b"\\udc00", b"\\uD83D", b"x\\ud83dx", b"\\ude00\\ud83d", b"\\ud83d\\ud83d\\ude00"]
)
def test_no_lone_surrogate(text: bytes) -> None:
    """Half a pair is unreadable in values, in keys and at any depth; not in a webhook's body."""
    bodies = [b'{"a":"' + text + b'"}', b'{"' + text + b'":1}', b'{"a":[{"b":["' + text + b'"]}]}']
    for body in bodies:
        with pytest.raises(Unreadable, match="surrogate"):
            parse(body)
        assert "\ufffd" in str(read(body).data)


def test_body_with_a_mark_or_half_a_character_is_read() -> None:
    """Both readers find the same id in it: the fast one before the commit, the other one after it."""
    for body in (BOM + b'{"id":"evt_1"}', b'{"id":"evt_1","a":"\\ud83d"}', BOM + b'{"a":"\\ud83d","event_id":5}'):
        assert peek_id(body) == read(body).id is not None


def test_whole_pair_is_fine() -> None:
    """An escaped pair is one character, and an escaped backslash before `ud800` is no escape."""
    assert parse(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}
    assert parse(b'{"a":"\\\\ud800"}') == {"a": "\\ud800"}


@pytest.mark.parametrize(
    ("spelled", "text"),
    [
        (b"\\ud83d\\uDE00", "\U0001f600"),
        (b"\\\\ud83d", "\\ud83d"),
        (b"\\\\\\ud83d", "\\\ufffd"),
        (b"\\\\ud83d\\ude00", "\\ud83d\ufffd"),
        (b"\\ud83d\\\\ude00", "\ufffd\\ude00"),
        (b"\\ud83d\\ud83d\\ude00\\ude00", "\ufffd\U0001f600\ufffd"),
        (b"\\ud83d\\n\\ude00", "\ufffd\n\ufffd"),
        (b'\\"\\ud83d\\"', '"\ufffd"'),
    ],
)
def test_only_half_of_a_pair_is_replaced_in_a_body(spelled: bytes, text: str) -> None:
    """In values and in keys; whole pairs and escaped backslashes stay what they are."""
    assert parse_body(b'{"' + spelled + b'":[{"b":"' + spelled + b'"}]}') == {text: [{"b": text}]}


@given(
    st.lists(st.sampled_from(["\\\\", "\\ud83d", "\\uDe00", "\\n", '\\"', "\\u0041", "u", "d83d", "\ufffd"])).map(
        "".join
    )
)
def test_a_body_with_halves_is_what_the_standard_library_reads_with_each_replaced(spelled: str) -> None:
    """Differential: however escapes stand beside each other."""
    body = f'{{"a":"{spelled}"}}'.encode()
    expected = re.sub("[\ud800-\udfff]", "\ufffd", json.loads(body)["a"])
    assert parse_body(body) == {"a": expected}


def test_two_keys_that_differ_in_a_half_are_refused() -> None:
    """Both are read as U+FFFD, and then nobody knows which one is meant; not the last one in silence."""
    for keys in (b'{"\\ud83d":1,"\\ude00":2}', b'{"a":[{"\\ud83d":1,"\\ufffd":2}]}'):
        assert "twice" in _refusal(keys)


def test_the_place_of_a_mistake_is_that_of_the_body_as_sent() -> None:
    """Half of a pair before it moves nothing."""
    assert _refusal(b'{"a":"\\ud83d",}') == _refusal(b'{"a":"\\u0041",}')


def _nested(depth: int, open_: bytes, close: bytes) -> bytes:
    return b'{"a":' + open_ * (depth - 1) + b"1" + close * (depth - 1) + b"}"


@pytest.mark.parametrize(("open_", "close"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_ends_at_32(open_: bytes, close: bytes) -> None:
    """32 levels are read, 33 are not, and a hundred thousand do not harm the stack."""
    assert parse(_nested(32, open_, close))
    for depth in (33, 999, 1000, 100_000):
        assert "deeper than 32" in _refusal(_nested(depth, open_, close))


def test_brackets_in_text_are_not_depth() -> None:
    """Only real nesting counts."""
    assert parse(b'{"a":"' + b"[{" * 500 + b'"}')


def test_keys_end_at_ten_thousand() -> None:
    """10 000 keys over the whole body are read, one more is not."""
    inner = {f"k{number}": number for number in range(9_999)}

    assert parse(json.dumps({"data": inner}).encode())
    assert "10000 keys" in _refusal(json.dumps({"data": inner, "x": 1}).encode())


@pytest.mark.parametrize("number", ["1" * 64, "-" + "1" * 63, "0." + "1" * 62])
def test_digits_end_at_64(number: str) -> None:
    """A number of 64 characters is read, one more is not."""
    assert parse(f'{{"a":{number}}}'.encode())
    assert "64 characters" in _refusal(f'{{"a":{number}1}}'.encode())


def test_detail_never_quotes_the_body() -> None:
    """No refusal repeats what was sent."""
    for body in (b'{"canary":canary}', b'{"a":"canary\x01"}', b'{"canary":1,"canary":2}', b'canary{"a":1}'):
        assert "canary" not in _refusal(body)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**60), 10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
_OBJECT = st.dictionaries(
    st.sampled_from(["id", "event_id", "eventId", "type", "event", "status", "data", "job_id", "pipeline_id", "test"])
    | st.text(max_size=8),
    _JSON | st.sampled_from(["evt_1", "job.failed", "succeeded", "pl_1", {}, {"id": "job_1", "status": "failed"}]),
    max_size=8,
)


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(_OBJECT, st.booleans())
def test_what_the_standard_library_writes_is_read_the_same(value: dict[str, Any], ascii_only: bool) -> None:
    """Differential: any object within the bounds, escaped or not, comes back as the standard library reads it."""
    body = json.dumps(value, ensure_ascii=ascii_only).encode()

    assert _same(parse(body), json.loads(body))


@given(st.binary(max_size=120) | st.text(max_size=120).map(str.encode))
@example(b'{"id":"evt_1"}')
@example(b'{"id":"evt_1","id":"evt_2"}')
@example(b"\x00")
def test_any_bytes_are_read_or_unreadable(body: bytes) -> None:
    """No bytes make anything but Unreadable, and what is read is what the standard library reads."""
    try:
        value = parse(body)
    except Unreadable:
        return
    assert _same(value, json.loads(body))


@given(_OBJECT, st.booleans(), st.text(alphabet=" \n\r\t", max_size=3))
@example({"id": 10**63, "event_id": "evt_1"}, True, "")
@example({"id": 10**70, "event_id": "evt_1"}, True, "")
@example({"id": None, "eventId": "evt_1"}, True, "")
@example({"id": "x" * 129, "event_id": "evt_1"}, True, "")
def test_peek_agrees_with_read(value: dict[str, Any], ascii_only: bool, blank: str) -> None:
    """Whatever the body, `peek_id` never raises, and says what `read` says when `read` can read."""
    body = (blank + json.dumps(value, ensure_ascii=ascii_only) + blank).encode()

    peeked = peek_id(body)

    try:
        event = read(body)
    except Unreadable:
        return
    assert peeked == event.id


@given(st.binary(max_size=200))
@example(b'{"id":' + b"[" * 200_000)
@example(b'{"id":"\xff"}')
@example(b'{"id":"\\ud800"}')
@example(b'{"id":1e999}')
def test_peek_never_raises(body: bytes) -> None:
    """Bytes of any kind give an id or None."""
    assert peek_id(body) is None or isinstance(peek_id(body), str)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"id":"evt_1","event_id":"evt_2"}', "evt_1"),
        (b'{"event_id":"orders-2025-03-27"}', "orders-2025-03-27"),
        (b'{"eventId":"evt_3"}', "evt_3"),
        (b'{"id":7,"event_id":"evt_2"}', "evt_2"),
        (b'{"id":7.0,"event_id":"evt_2"}', "evt_2"),
        (b'{"id":true,"event_id":"evt_2"}', "evt_2"),
        (b'{"id":9223372036854775807}', "9223372036854775807"),
        (b'{"id":9223372036854775808}', None),
        (b'{"id":-1}', None),
        (b'{"id":"","event_id":"evt_2"}', "evt_2"),
        (b'{"id":"a b"}', None),
        (b'{"id":"_a"}', None),
        (b'{"id":"evt_1\\n"}', "evt_1"),
        (b'{"id":"' + b"a" * 128 + b'"}', "a" * 128),
        (b'{"id":"' + b"a" * 129 + b'"}', None),
        (b'{"data":{"id":"evt_1"}}', None),
        (b'{"\\u0069d":"evt\\u005f1"}', "evt_1"),
        (b"{}", None),
    ],
)
def test_event_id(body: bytes, expected: str | None) -> None:
    """The first top-level id that fits the grammar counts; another spelling means that there is none."""
    assert peek_id(body) == read(body).id == expected


@pytest.mark.parametrize("item", ["1", "-1.5", "1e100", '""', "[]", "null", r'"\ud83d\ude00"', r'"\\"'])
@pytest.mark.parametrize(("reader", "beside"), [(parse, "t"), (parse_body, "t"), (parse_body, r"\ud83d")])
def test_nothing_is_called_for_each_value(item: str, reader: Callable[[bytes], dict[str, Any]], beside: str) -> None:
    """A body of 1 MB of numbers took 0.6 s where webhooks are answered: one Python call for each of them."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    body = f'{{"t": "{beside}", "a": [{",".join([item] * 20_000)}]}}'.encode()
    gc.disable()  # so many lists start a collection, and whoever listens to collections is called as well
    sys.setprofile(count)
    try:
        reader(body)
    finally:
        sys.setprofile(None)
        gc.enable()
    assert calls < 100


def test_objects_without_keys_are_counted_as_keys() -> None:
    """They cost as much."""
    assert read(b'{"id": "evt_1", "a": [' + b"{}," * 9_997 + b"{}]}").id == "evt_1"
    assert _refusal(b'{"id": "evt_1", "a": [' + b"{}," * 9_998 + b"{}]}") == "There are more than 10000 keys."


@pytest.mark.parametrize("number", ["1" * 64, "-" + "1" * 63, "1." + "1" * 62, "0." + "0" * 50 + "1e+300", "1e308"])
def test_a_number_of_64_characters_is_read(number: str) -> None:
    """Also beside a text that looks like a longer one."""
    found = parse(f'{{"a": {number}, "b": "{"9" * 5000}", "c": "1e999 \\"{"7" * 70}\\""}}'.encode())
    assert found["a"] == json.loads(number)


@pytest.mark.parametrize(
    "number", ["1" * 65, "-" + "1" * 64, "0." + "1" * 63, "1" * 5000, "1e309", "-1e999", "1E+0400"]
)
def test_a_number_of_65_characters_or_beyond_any_float_is_refused(number: str) -> None:
    """Wherever it stands."""
    for body in (f'{{"a":{number}}}', f'{{"a":"b","c":[["\\"",{number}]]}}', f'{{"a\\\\":{number},"c":""}}'):
        assert "A number has more than 64 characters" in _refusal(body.encode())
