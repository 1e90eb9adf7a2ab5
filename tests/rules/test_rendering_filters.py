"""The filters for instants and texts: what they give, what they refuse, and that no text makes a pattern slow."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.exceptions import SecurityError

from bridge.rules.rendering import BadTemplate, compile_text
from bridge.rules.rendering.wording import _MAX_STEPS, _compiled, regex_replace
from bridge.words.errors import TemplateError
from bridge.words.model import EVENT_FIELDS
from tests.docs.pages import page

_EVENT: dict[str, Any] = dict.fromkeys(EVENT_FIELDS) | {
    "id": "evt_1",
    "finished_at": "2025-03-27T23:26:20.5Z",
    "started_at": "2025-03-27T23:22:12Z",
    "parameters": {"local": "2025-07-01 06:00:00", "path": "s3://lake/in/Orders 2025_v12.csv", "long": "a" * 5000},
}
_CONTEXT = {"event": _EVENT, "delivery": {"id": "dlv_1", "received_at": "t"}, "route": {"name": "sales"}}
_VARS = {"tz": "Europe/Berlin", "format": "%d.%m.%Y", "list": [1, 2, 3], "deep": {"a": {"b": True}}}


def _render(expression: str) -> Any:
    return compile_text("{{ " + expression + " }}", "conf.a", _VARS).render(_CONTEXT)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("event.finished_at | date", "2025-03-27"),
        ("event.finished_at | date('Europe/Berlin')", "2025-03-28"),
        ("event.finished_at | date(tz=vars.tz)", "2025-03-28"),
        ("event.finished_at | astimezone('Europe/Berlin')", "2025-03-28T00:26:20.500000+01:00"),
        ("event.finished_at | astimezone(vars.tz) | date", "2025-03-28"),
        ("event.finished_at | strftime('%Y-W%V')", "2025-W13"),
        ("event.finished_at | strftime(vars.format, vars.tz)", "28.03.2025"),
        ("event.finished_at | astimezone(vars.tz) | as_datetime", "2025-03-27T23:26:20.500000Z"),
        ("event.parameters.local | as_datetime('Europe/Berlin')", "2025-07-01T04:00:00Z"),
        ("1743117980 | as_datetime", "2025-03-27T23:26:20Z"),
        ("1743117980000 | as_datetime", "2025-03-27T23:26:20Z"),
        ("'1743117980' | as_datetime", "2025-03-27T23:26:20Z"),
        ("'1743117980500' | as_datetime('Europe/Berlin')", "2025-03-27T23:26:20.500000Z"),
        ("'20250701' | as_datetime('Europe/Berlin')", "2025-06-30T22:00:00Z"),
        ("99999999999 | as_datetime", "5138-11-16T09:46:39Z"),
        ("100000000000 | as_datetime", "1973-03-03T09:46:40Z"),
        ("-100000000000 | as_datetime", "1966-10-31T14:13:20Z"),
        ("event.started_at | to_seconds", 1743117732),
        ("event.finished_at | to_seconds", 1743117980.5),
        ("(event.finished_at | to_seconds) - (event.started_at | to_seconds)", 248.5),
        ("'90s' | to_seconds", 90),
        ("'1h30m' | to_seconds", 5400),
        ("'PT1H30M' | to_seconds", 5400),
        ("'P1DT0.5S' | to_seconds", 86400.5),
        ("7 | to_seconds", 7),
        ("'Täglich, 6 Uhr (Groß)' | slug", "taglich-6-uhr-gross"),
        ("event.parameters.path | basename", "Orders 2025_v12.csv"),
        ("'/a/b/' | basename", "b"),
        ("event.parameters.path | basename | regex_replace('_v[0-9]+[.]csv$', '') | slug", "orders-2025"),
        ("'a-b' | regex_replace('^(.)-(.)$', '\\\\2-\\\\1')", "b-a"),
        ("'aXbx' | regex_replace('(?i)x', '.')", "a.b."),
        ("vars.list[1:]", [2, 3]),
        ("vars['deep'].a.b", True),
        ("vars.deep", {"a": {"b": True}}),
        ("vars.list | sum", 6),
    ],
)
def test_what_they_give(expression: str, value: Any) -> None:
    """Texts and numbers, so that every other filter goes on from there."""
    given_value = _render(expression)
    assert (given_value, type(given_value)) == (value, type(value))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("event.occurred_at | date", "the value is none"),
        ("event.id | date", "the value is not one"),
        ("event.parameters.long | date", "the value is not one"),
        ("true | as_datetime", "the value is not one"),
        ("'174308111234' | as_datetime('UTC')", "the value is not one"),
        ("'20250701123000' | as_datetime('UTC')", "the value is not one"),
        ("'202507010123000' | as_datetime('UTC')", "the value is not one"),
        ("event.parameters.local | date", "no offset from UTC; write as_datetime('Europe/Berlin')"),
        ("'2025-03-30T02:30:00' | as_datetime('Europe/Berlin')", "clocks skip or repeat this hour"),
        ("'2025-10-26T02:30:00' | as_datetime('Europe/Berlin')", "clocks skip or repeat this hour"),
        ("'9999-12-31T23:59:59Z' | date('Asia/Tokyo')", "out of range"),
        ("'1h1' | to_seconds", "the value is not one"),
        ("'' | to_seconds", "the value is not one"),
        ("event.occurred_at | slug", "slug takes a text"),
        ("'日次' | slug", "no letter a-z and no digit remains"),
        ("event.rows_loaded | basename", "basename takes a text"),
        ("event.parameters.long | regex_replace('a*b', '')", "the text has 5000 characters"),
        ("event.parameters.long | regex_replace('^', 'x')", None),
    ],
)
def test_what_fails_on_an_event(expression: str, message: str | None) -> None:
    """Never a guess and never an empty text; the message shows no value."""
    if message is None:
        assert _render(expression)
        return
    with pytest.raises(TemplateError) as error:
        _render(expression)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "expression",
    [
        "event.finished_at | date('Europe/Berln')",
        "event.finished_at | date('../etc/passwd')",
        "event.finished_at | date(1)",
        "event.finished_at | date('UTC', 'UTC')",
        "event.finished_at | date(event.environment)",
        "event.finished_at | date(*vars.list)",
        "event.finished_at | strftime",
        "event.finished_at | strftime('')",
        "event.finished_at | strftime('%')",
        "event.finished_at | strftime('%Z')",
        "event.finished_at | strftime('%-d')",
        "event.finished_at | astimezone",
        "event.finished_at | to_seconds(1)",
        "event.id | slug('_')",
        "event.id | regex_replace(event.id, '')",
        "event.id | regex_replace('a', event.id)",
        "event.id | regex_replace('a')",
        "event.id | regex_replace('(', '')",
        "event.id | regex_replace('a', '\\\\1')",
        "event.id | regex_replace('(a)', '\\1')",
        "event.id | regex_replace('(a+)+', '')",
        "event.id | regex_replace('(a|ab)*c', '')",
        "event.id | regex_replace('(?:a?){20}', '')",
        "event.id | regex_replace('(a)\\\\1', '')",
        "event.id | regex_replace('(?=a)', '')",
        "event.id | regex_replace('(?<!a)b', '')",
        "event.id | regex_replace('(?>a+)', '')",
        "event.id | regex_replace('" + "a" * 201 + "', '')",
        "vars.nothing",
        "vars.deep.nothing",
    ],
)
def test_what_is_refused_when_it_is_loaded(expression: str) -> None:
    """What can never work, and what an event would choose."""
    with pytest.raises(BadTemplate):
        _render(expression)


_PIECES = st.sampled_from(["a", "b", "[ab]", ".", "^", "$", "a*", "a+?", "b{2,9}", "(a|b)", "(?:ab)*", "(?:a*)?", "x"])


@given(pieces=st.lists(_PIECES, min_size=1, max_size=6), text=st.text(alphabet="abx\n", max_size=40))
def test_a_pattern_does_what_it_does_in_python(pieces: list[str], text: str) -> None:
    """Or says that it could take too long."""
    pattern = "".join(pieces)
    try:
        found = regex_replace(text, pattern, "-")
    except SecurityError:
        return
    assert found == re.sub(pattern, "-", text)


@pytest.mark.parametrize(
    "pattern", ["a*a*b", "(a*)(a*)c", "(a|ab)(a|b)*c", "^(a*)(a*)(a*)(a*)b", "a?a?a?a?a?a?b", ".*.*x"]
)
def test_every_way_of_a_pattern_is_counted(pattern: str) -> None:
    """The bound is above what a backtracking search tries: the product of its choices, from each beginning."""
    _, ways, is_anchored = _compiled(pattern)
    repeats = len(re.findall(r"[*?]", pattern))
    least = 2**repeats if "?" in pattern else 30**repeats
    assert ways(30) >= least
    assert is_anchored == pattern.startswith("^")
    assert ways(10**6) <= _MAX_STEPS + 1


def test_a_format_is_as_long_as_its_limit_and_no_longer() -> None:
    """200 characters, beside what it does with them."""
    assert _render(f"event.finished_at | strftime('{'-' * 200}')") == "-" * 200
    with pytest.raises(BadTemplate, match="at most 200 characters"):
        _render(f"event.finished_at | strftime('{'-' * 201}')")


def test_the_result_of_a_replacement_is_bounded() -> None:
    """Before it fills the memory."""
    with pytest.raises(TemplateError):
        _render("event.parameters.long | regex_replace('a', '" + "y" * 100 + "')")


def _examples() -> list[tuple[str, str]]:
    table = page("mapping.md").partition("| filter | example | gives |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `\w+[^|]*` \| `(.+?)` \| `(.+?)` \|$", table.replace("\\|", "¦"), re.MULTILINE)


@pytest.mark.parametrize(("expression", "value"), _examples())
def test_the_examples_of_the_page(expression: str, value: str) -> None:
    """docs/mapping.md says what each gives for one event."""
    event = _EVENT | {"finished_at": "2025-03-27T23:26:20Z", "parameters": {"path": "s3://lake/Orders_v12.csv"}}
    text = "{{ " + expression.replace("¦", "|") + " }}"
    assert str(compile_text(text, "conf.a", _VARS).render(_CONTEXT | {"event": event})) == value


def test_the_page_has_an_example_of_each() -> None:
    """Eight filters."""
    assert len(_examples()) == 8
