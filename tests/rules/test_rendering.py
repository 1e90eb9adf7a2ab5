"""Templates and conditions: what they give, what they refuse, and that no event makes them large or slow."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.rules.rendering import BadTemplate, compile_condition, compile_text
from bridge.words.errors import ConditionError, TemplateError
from bridge.words.model import EVENT_FIELDS

_EVENT: dict[str, Any] = dict.fromkeys(EVENT_FIELDS) | {
    "id": "evt_1",
    "type": "job.completed",
    "status": "succeeded",
    "rows_loaded": 7,
    "duration_seconds": 2.5,
    "parameters": {
        "items": 1,
        "keys": 2,
        "get": 3,
        "split": 4,
        "__class__": 5,
        "list": [3, 1, 3],
        "format": "%1000000000d",
        "empty": "",
        "nested": {"a": {"b": "deep"}},
    },
    "metadata": {},
    "data": {"huge": "y" * 1_000_000, "many": [[1]] * 100_000},
}
_CONTEXT = {
    "event": _EVENT,
    "delivery": {"id": "dlv_1", "received_at": "2025-03-27T14:26:20Z"},
    "route": {"name": "sales"},
}


def _render(text: str) -> Any:
    return compile_text(text, "conf.a").render(_CONTEXT)


def _is_refused(text: str) -> bool:
    """Say whether a template is refused, at load or on the event, in the words of the bridge."""
    try:
        _render(text)
    except (BadTemplate, TemplateError):
        return True
    return False


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("", ""),
        ("a } b }} %} #}", "a } b }} %} #}"),
        ("{{ event.rows_loaded }}", 7),
        ("{{event.rows_loaded}}", 7),
        (" {{ event.rows_loaded }}\n", 7),
        ("{{- event.rows_loaded -}}", 7),
        ("{# note #}{{ event.rows_loaded }}", 7),
        ("{{ event.rows_loaded }}{# note #}", 7),
        ("{{--event.rows_loaded}}", -7),
        ("{{ event.duration_seconds }}", 2.5),
        ("{{ event.run_id }}", None),
        ("{{ none }}", None),
        ("{{ event.rows_loaded > 3 }}", True),
        ("{{ event.parameters.list }}", [3, 1, 3]),
        ("{{ event.parameters.nested }}", {"a": {"b": "deep"}}),
        ("{{ event.parameters.nested.a.b }}", "deep"),
        ("{{ event.parameters['nested']['a'].b }}", "deep"),
        ("{{ event['id'] }}", "evt_1"),
        ("{{ {'a': [event.id, none]} }}", {"a": ["evt_1", None]}),
        ("{{ '7' }}", "7"),
        ("{{ event.rows_loaded }} rows", "7 rows"),
        ("{{ event.rows_loaded }}{{ event.rows_loaded }}", "77"),
        ("{{ event.id ~ '-' ~ event.rows_loaded }}", "evt_1-7"),
        ("{% if event.rows_loaded %}some{% else %}no{% endif %} rows", "some rows"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("{{ delivery.id }}", "dlv_1"),
        ("{{ delivery.received_at }}", "2025-03-27T14:26:20Z"),
        ("{{ route.name }}", "sales"),
        ("{{ event.parameters.x | default(3) }}", 3),
        ("{{ event.parameters.x.y | default(3) }}", 3),
        ("{{ event.parameters.list | sort | unique | list }}", [1, 3]),
        ("{{ event.parameters.list | unique }}", [3, 1]),
        ("{{ event.parameters.list | reverse }}", [3, 1, 3]),
        ("{{ event.parameters.list | sum }}", 7),
        ("{{ event.parameters.list | join(', ') }}", "3, 1, 3"),
        ("{{ event.id | upper | replace('EVT', 'x') }}", "x_1"),
        ("{{ event.id.split('_') }}", ["evt", "1"]),
        ("{{ event.parameters.list | tojson }}", "[3, 1, 3]"),
        ("{{ event.rows_loaded is odd }}", True),
        ("{{ (event.duration_seconds * 3) | round(1) }}", 7.5),
    ],
)
def test_values(text: str, value: Any) -> None:
    """One `{{ }}` alone keeps its type, none stays none; anything else is text."""
    rendered = _render(text)

    assert rendered == value
    assert type(rendered) is type(value)


@pytest.mark.parametrize("field", EVENT_FIELDS)
def test_every_variable_of_the_contract(field: str) -> None:
    """All fields of `event` are there; one that the webhook lacks is none."""
    context = {**_CONTEXT, "event": dict.fromkeys(EVENT_FIELDS)}

    assert compile_text(f"{{{{ event.{field} }}}}", "a").render(context) is None


@pytest.mark.parametrize(("key", "value"), [("items", 1), ("keys", 2), ("get", 3), ("split", 4), ("__class__", 5)])
def test_keys_named_like_methods(key: str, value: int) -> None:
    """A key of the event is a key, whatever Python calls its methods and attributes."""
    assert _render(f"{{{{ event.parameters.{key} }}}}") == value
    assert _render(f"{{{{ event.parameters['{key}'] }}}}") == value


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{{ event.parameters.x }}", '"x"'),
        ("a {{ event.parameters.x }}", '"x"'),
        ("{{ event.metadata.values }}", '"values"'),
        ("{{ event.data['x'] }}", ""),
        ("{{ event.parameters.list[5] }}", ""),
        ("{{ [event.parameters.x] }}", '"x"'),
        ("{{ event.parameters.x ~ 'a' }}", '"x"'),
        ("{{ event.parameters.x | upper }}", '"x"'),
        ("{{ event.run_id.startswith('a') }}", ""),
        ("{{ event.run_id + 1 }}", ""),
        ("{{ 1 / 0 }}", ""),
        ("{{ [] | first }}", ""),
        ("{{ '1e999' | float }}", ""),
        ("{{ event.id.upper }}", ""),
        ("a {{ event.id.upper }}", ""),
        ("{{ (0 - 1) ** 0.5 }}", ""),
    ],
)
def test_what_cannot_be_rendered_is_an_error(text: str, what: str) -> None:
    """A missing key, an impossible sum or something that is not JSON is a TemplateError that names the template."""
    with pytest.raises(TemplateError) as error:
        _render(text)

    assert str(error.value).startswith("conf.a: ")
    assert what in str(error.value)


@pytest.mark.parametrize(
    ("text", "word", "nearest"),
    [
        ("{{ evnt.id }}", "evnt", "event"),
        ("{{ event.pipline_id }}", "pipline_id", "pipeline_id"),
        ("{{ event['pipline_id'] }}", "pipline_id", "pipeline_id"),
        ("{{ delivery.recieved_at }}", "recieved_at", "received_at"),
        ("{{ route.nam }}", "nam", "name"),
        ("{{ event.id | uper }}", "uper", "upper"),
        ("{{ event.id is defned }}", "defned", "defined"),
        ("{{ event.id.startwith('a') }}", "startwith", "startswith"),
        ("{% if evnt.id %}a{% endif %}", "evnt", "event"),
    ],
)
def test_unknown_names_are_found_at_load(text: str, word: str, nearest: str) -> None:
    """With the word, and the words that it could have been."""
    with pytest.raises(BadTemplate) as error:
        compile_text(text, "a")

    assert error.value.word == word
    assert nearest in error.value.words


@pytest.mark.parametrize(
    "text",
    [
        "{{ event.id",
        "{{ }}",
        "{{ event.id | }}",
        "{% if event.id %}",
        "{% endif %}",
        "{% for x in event.data %}{% endfor %}",
        "{% macro a() %}{% endmacro %}",
        "{% include 'a' %}",
        "{% import 'a' as b %}",
        "{% extends 'a' %}",
        "{% block a %}{% endblock %}",
        "{% filter upper %}a{% endfilter %}",
        "{% with x = 1 %}{% endwith %}",
        "{% call a() %}{% endcall %}",
        "{% nonsense %}",
        "{{ range(5) }}",
        "{{ self }}",
        "{{ cycler('a') }}",
        "{{ lipsum() }}",
        "{{ namespace() }}",
        "{{ dict(a=1) }}",
        "{{ event.id() }}",
        "{{ event.__class__ }}",
        "{{ event.id | attr('upper') }}",
        "{{ event.parameters | map(attribute='a') | list }}",
        "{{ event.parameters | selectattr('a') | list }}",
        "{{ '%s' | format(event.id) }}",
        "{{ 'a'.format(1) }}",
        "{{ 'a'.format_map(event.parameters) }}",
        "{{ 'a'.encode() }}",
        "{{ event.parameters.get('items') }}",
        "{{ event.parameters.items() }}",
        "{{ 'a'.ljust(10 ** 9) }}",
        "{{ 'a'.center(10 ** 9) }}",
        "{{ event.id | xmlattr }}",
        "{{ event.id | indent(10 ** 9) }}",
        "x" * 9_000 + "{{ event.id }}",
    ],
)
def test_what_no_template_may_do_is_found_at_load(text: str) -> None:
    """Statements that repeat or fetch, calls of anything but text methods, and filters outside the list."""
    with pytest.raises(BadTemplate):
        compile_text(text, "a")


@pytest.mark.parametrize(
    "text",
    [
        "{{ event.id.__class__ }}",
        "{{ event.id['__class__'] }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ event.id.upper.__self__ }}",
        "{{ event.id.upper.__globals__ }}",
        "{{ event.parameters.list.append }}",
        "{{ event.parameters.list.__len__ }}",
        "{{ event.parameters.nested.__init__.__globals__ }}",
        "{{ event.rows_loaded.__class__ }}",
        "{{ event.parameters | sort(attribute='__class__') }}",
        "{{ (event.id | default).__class__ }}",
        "{{ none.__class__ }}",
        "{{ event['__cla' ~ 'ss__'] }}",
        "{{ event.id['__cla' ~ 'ss__'] }}",
        "{{ [event] | sum(attribute='__class__', start='') }}",
        "{{ [event.id] | unique(attribute='__class__') | list }}",
        "{{ [event.id, event.type] | max(attribute='__class__') }}",
    ],
)
def test_no_way_to_python(text: str) -> None:
    """No attribute of any Python object can be read, by dot, by bracket or by filter."""
    assert _is_refused(text)


_BOMBS = [
    "{{ 'a' * 10 ** 9 }}",
    "{{ [0] * 10 ** 9 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ 9.9 ** 999999 }}",
    "{{ 2 ** 64 ** 2 ** 64 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ event.parameters.format % 1 }}",
    "{{ '%1000000000d' is even }}",
    "{{ event.parameters.format is even }}",
    "{{ event.parameters.format is odd }}",
    "{{ event.data.huge }}",
    "{{ event.data }}",
    "a {{ event.data.huge }}",
    "{{ event.data.huge ~ event.data.huge }}",
    "{{ event.data.huge + event.data.huge }}",
    "{{ event.data.huge | replace('y', 'yyyyyyyyyyyyyyyyyyyyyyyyyy') }}",
    "{{ event.data.huge | replace('', 'yyyyyyyyyyyyyyyyyyyyyyyyyy') }}",
    "{{ event.data.huge | list }}",
    "{{ event.data.huge | list | join('yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy') }}",
    "{{ event.data.many | sum(start=[]) }}",
    "{{ event.data.many | tojson }}",
    "{{ event.data.many | string }}",
    "{{ " + "event.data ~ " * 500 + "'' }}",
    "{{ [" + "event.data, " * 600 + "] }}",
    "{{ [" + "event.data, " * 600 + "] | string }}",
    "{{ [" + "event.data, " * 600 + "] | lower }}",
    "{{ [" + "event.data, " * 600 + "] | tojson }}",
    "{{ [" + "event.data, " * 600 + "] | join }}",
    "{{ event.data }}" * 500,
    "{{ " + "9" * 5_000 + " }}",
    "{{ " + "[" * 3_000 + "]" * 3_000 + " }}",
    "{{ " + "(" * 3_000 + "event.id" + ")" * 3_000 + " }}",
    "{{ " + "not " * 1_500 + "event.id }}",
    "{{ " + "-" * 3_000 + "event.rows_loaded }}",
    "{{ event.id" + " | string" * 800 + " }}",
    "{{ event.parameters" + ".a" * 3_000 + " }}",
    "{{ event.parameters" + "[0]" * 2_000 + " }}",
    "{{ " + "1 + " * 1_500 + "1 }}",
    "{{ " + "1 if event.id else " * 400 + "2 }}",
    "{% if event.id %}" * 200 + "x" + "{% endif %}" * 200,
    "{{ " + "[" * 90 + "event.id" + "]" * 90 + " }}",
    "{{ " + "not " * 250 + "event.id }}",
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("text", _BOMBS, ids=range(len(_BOMBS)))
def test_bombs_are_refused(text: str) -> None:
    """What would be large, deep or slow is refused in a moment, at load or on the event."""
    assert _is_refused(text)


@pytest.mark.parametrize("text", ["{{ 1e999 }}", "a {{ 1e999 }}", "{{ -1e999 }}"])
def test_infinity_is_refused(text: str) -> None:
    """A number that overflows is an error in the words of the bridge, not a traceback of Python."""
    assert _is_refused(text)


@pytest.mark.timeout(120)
def test_the_output_is_bounded() -> None:
    """Sixty thousand characters pass, seventy thousand do not, alone or in the midst of a text."""
    for around in ("{}", "a {}"):
        template = compile_text(around.format("{{ event.parameters.text }}"), "a")
        fits, over = ({**_CONTEXT, "event": {"parameters": {"text": "y" * size}}} for size in (60_000, 70_000))

        assert len(template.render(fits)) >= 60_000
        with pytest.raises(TemplateError):
            template.render(over)


@pytest.mark.parametrize(
    "text",
    [
        "{{ event[event.parameters.secret] }}",
        "{{ event.parameters[event.parameters.secret] }}",
        "{{ event.parameters.secret | int / 0 }}",
        "{{ event.parameters.secret + 1 }}",
        "{{ event.parameters.secret < 1 }}",
        "{{ event.parameters.secret | float | tojson | first | abs }}",
    ],
)
def test_errors_hold_no_value_of_the_event(text: str) -> None:
    """An error goes to the log and the pages; payloads do not."""
    context = {**_CONTEXT, "event": {**_EVENT, "parameters": {"secret": "canary"}}}

    with pytest.raises(TemplateError) as error:
        compile_text(text, "a").render(context)

    assert "canary" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("event.rows_loaded > 0", True),
        ("event.rows_loaded\n> 0\n", True),
        ("event.run_id", False),
        ("not event.run_id", True),
        ("event.parameters.x is defined", False),
        ("event.parameters.empty", False),
        ("event.status in ['failed', 'succeeded']", True),
        ("event.id == 'evt_1' and event.rows_loaded == 7", True),
        ("event.parameters.list", True),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    """A condition is one expression, true or false as Jinja has it."""
    assert compile_condition(text, "when").holds(_CONTEXT) is holds


@pytest.mark.parametrize(
    "text",
    [
        "1 == 1",
        "false",
        "'a'",
        "1 / 0",
        "",
        " ",
        "{{ event.id }}",
        "event.id }}{{ event.id",
        "event.id }}{# ",
        "{% if event.id %}",
        "event.id = 1",
        "event.id >",
        "evnt.id",
        "event.idd",
        "event.id(1)",
        "range(3)",
    ],
)
def test_bad_conditions(text: str) -> None:
    """What is no expression, knows no such name or is the same for every event is found at load."""
    with pytest.raises(BadTemplate):
        compile_condition(text, "when")


def test_a_method_without_its_call_is_no_condition() -> None:
    """`event.id.isdigit` without () would be true for every event."""
    with pytest.raises(ConditionError):
        compile_condition("event.id.isdigit", "when").holds(_CONTEXT)


_MARKS = "{{ }} {% %} {# #} ( ) [ ] { } | . , ~ + - * ** / // % < == = : ' \" a \\ 1 0 9999 1e9"
_WORDS = "if else endif set not and is in event parameters list data id rows_loaded x none true even odd"
_FILTERS = "upper default join sum sort first int float reverse unique tojson"
_PIECES = st.sampled_from([*_MARKS.split(), *_WORDS.split(), *_FILTERS.split(), "\n"])
_TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(_PIECES, max_size=14).map(" ".join),
    st.lists(_PIECES, max_size=10).map(lambda pieces: "{{ " + " ".join(pieces) + " }}"),
)


@given(_TEXTS)
@example("{{ event.data | tojson | float }}")
@example("{{ event.id.split('') }}")
@example("{{ {event: 1} }}")
@example("{{ {[]: 1} }}")
def test_any_text_is_a_value_or_a_named_error(text: str) -> None:
    """Compiling raises nothing but BadTemplate, rendering nothing but TemplateError, and what comes out is JSON."""
    try:
        value = _render(text)
    except (BadTemplate, TemplateError):
        return
    assert len(json.dumps(value, allow_nan=False)) < 1_000_000


@given(_TEXTS)
def test_any_condition_is_an_answer_or_a_named_error(text: str) -> None:
    """The same for `when`: true, false, BadTemplate or ConditionError."""
    try:
        assert compile_condition(text, "when").holds(_CONTEXT) in (True, False)
    except (BadTemplate, ConditionError):
        return


@pytest.mark.parametrize(
    ("value", "number"), [("12", 12), (" 12 ", 12), ("-3", -3), (12.7, 12), ("12.7", 12), (True, 1), (5, 5)]
)
def test_int_of_a_number(value: Any, number: int) -> None:
    """As Jinja's: also from its digits, cut at the full stop."""
    context = {**_CONTEXT, "event": _EVENT | {"rows_loaded": value}}
    assert compile_text("{{ event.rows_loaded | int }}", "conf.a").render(context) == number


@pytest.mark.parametrize("value", ["12,000", "", "many", None, [], {}, "1_0x", "nan", "inf", "1e999"])
@pytest.mark.parametrize("name", ["int", "float"])
def test_number_of_what_is_none_is_an_error_unless_a_default_is_given(name: str, value: Any) -> None:
    """`when: event.parameters.rows | int > 0` must not be a silent no for 12,000."""
    context = {**_CONTEXT, "event": _EVENT | {"rows_loaded": value}}
    with pytest.raises(ConditionError, match=f"{name}: the value is not a number"):
        compile_condition(f"event.rows_loaded | {name} > 0", "when").holds(context)
    assert compile_condition(f"event.rows_loaded | {name}(7) == 7", "when").holds(context)


def test_a_power_is_as_large_as_its_bounds_and_no_larger() -> None:
    """Both the exponent and the base are looked at before anything is computed."""
    for expression, value in (
        ("2 ** 64", 2**64),
        ("2 ** -64", 2**-64),
        ("(10 ** 64) ** 1", 10**64),
        ("10 ** 64", 10**64),
    ):
        assert _render("{{ " + expression + " }}") == value
    for expression in ("2 ** 65", "2 ** -65", "(10 ** 64 + 1) ** 0", "10 ** 65"):
        with pytest.raises(TemplateError, match="too large"):
            _render("{{ " + expression + " }}")


@pytest.mark.parametrize("name", ["lower", "upper", "title", "capitalize", "trim", "string"])
def test_text_of_nothing_is_an_error(name: str) -> None:
    """Jinja would make the text `None` of it, and `environment | lower == 'prod'` a silent no."""
    with pytest.raises(ConditionError, match=f"{name} takes a text, and the value is none"):
        compile_condition(f"event.environment | {name} == 'prod'", "when").holds(_CONTEXT)
    with pytest.raises(ConditionError, match="trim takes a text, and the value is none"):
        compile_condition("event.environment | trim('/') == 'prod'", "when").holds(_CONTEXT)
    assert compile_condition(f"event.environment | default('x', true) | {name} != ''", "when").holds(_CONTEXT)
