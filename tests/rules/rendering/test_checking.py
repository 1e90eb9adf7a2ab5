"""What is looked at when a template is loaded: its size to the node, defaults, arguments, names; in exact words."""

from typing import Any

import pytest

from bridge.rules.rendering import BadTemplate, Gives, compile_text
from bridge.rules.rendering.checking import one_line

_VARS = {"tz": "Europe/Berlin", "no": False, "deep": {"a": 1}, "list": [1, 2]}
_EVENT: dict[str, Any] = {"id": "evt_1", "run_id": None, "rows_loaded": 7, "finished_at": "2025-03-27T23:26:20Z"}
_EVENT |= {"parameters": {"flag": True, "list": [1]}, "metadata": {}, "data": {}, "environment": "prod"}


def _render(text: str) -> Any:
    return compile_text(text, "a", _VARS).render({"event": _EVENT})


def _refusal(text: str) -> str:
    with pytest.raises(BadTemplate) as error:
        compile_text(text, "a", _VARS)
    return str(error.value)


_TOO_MUCH = "is too long or nested too deep; prepare the value in the DAG instead"


@pytest.mark.parametrize(
    ("around", "step", "times", "message"),
    [
        ("{{ event.id }}$", "x", 8_192 - len("{{ event.id }}"), "is longer than 8192 characters"),
        ("{{ [$] }}", "1,", 997, _TOO_MUCH),  # a thousand nodes, of which the template, the output and the list are 3
        ("{{ $event.id }}", "not ", 36, _TOO_MUCH),  # forty levels, of which two are above these and two below
    ],
)
def test_a_template_is_as_large_as_its_limit_and_no_larger(around: str, step: str, times: int, message: str) -> None:
    """Its length, its nodes, and how deep they are nested."""
    compile_text(around.replace("$", step * times), "a")
    assert _refusal(around.replace("$", step * (times + 1))) == message


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("event.run_id | default('x', true)", "x"),
        ("event.run_id | d('x', true)", "x"),
        ("event.run_id | default('x', boolean=true)", "x"),
        ("event.run_id | default('x', 1)", "x"),
        ("event.run_id | default('x', event.parameters.flag)", "x"),
        ("event.run_id | default(event.id, event.parameters.flag)", "evt_1"),
        ("event.run_id | default(event.id, true)", "evt_1"),
        ("event.run_id | default(none)", None),
        ("event.parameters | default('x')", {"flag": True, "list": [1]}),
        ("event.metadata | default('x')", {}),
        ("event.data | default('x')", {}),
        ("event.parameters.nothing | default('x')", "x"),
        ("event.parameters.nothing | default", ""),
        ("event.rows_loaded | abs", 7),
    ],
)
def test_a_default_that_may_apply_is_taken(expression: str, value: Any) -> None:
    """One that is given for none as well, or of what an event may lack altogether."""
    assert _render(f"{{{{ {expression} }}}}") == value


@pytest.mark.parametrize(
    "given",
    [
        "default",
        "default()",
        "default('x')",
        "d('x')",
        "default('x', false)",
        "default('x', none)",
        "default('x', boolean=false)",
        "default('x', vars.no)",
        "default(event.id, false)",
        "default(default_value='x')",
    ],
)
def test_a_default_that_never_applies_is_refused(given: str) -> None:
    """A field that the webhook lacks is none, for which a default is given only if that is said."""
    for field in ("run_id", "rows_loaded", "error"):
        assert _refusal(f"{{{{ event.{field} | {given} }}}}") == (
            f"default never applies: event.{field} is none if it is missing; write default(..., true)"
        )


_CHOSEN = "its arguments are written here or in `vars`, an event never chooses them"
_SUBTRACTS = '"business-date" is a subtraction here; write ["business-date"] after the name before it, without a dot'
_ONLY_METHODS = "only methods of texts can be called, e.g. event.pipeline_id.startswith('pl_')"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ event.id | date(event.environment) }}", f"date: {_CHOSEN}"),
        ("{{ event.id | date(tz=event.environment) }}", f"date: {_CHOSEN}"),
        ("{{ event.id | date(*vars.list) }}", f"date: {_CHOSEN}"),
        ("{{ event.id | date(**vars.deep) }}", f"date: {_CHOSEN}"),
        ("{{ event.id | strftime }}", "strftime: missing 1 required positional argument: 'format'"),
        ("{{ event.id | slug('_') }}", "slug: takes 1 positional argument but 2 were given"),
        ("{{ event.id | date(zone='UTC') }}", "date: got an unexpected keyword argument 'zone'"),
        (
            "{{ event.id | date('Berlin') }}",
            'date: "Berlin" is not a time zone; write a name such as Europe/Berlin',
        ),
        ("{{ event.parameters.business-date }}", _SUBTRACTS),
        ("{{ event.id }} {% if event.parameters.business-date %}x{% endif %}", _SUBTRACTS),
        ("{{ evnt.id }}", 'unknown name "evnt"'),
        ("{{ event.idd }}", 'unknown name "event.idd"'),
        ("{{ event['idd'] }}", 'unknown name "event.idd"'),
        ("{{ event[0] }}{{ event.idd }}", 'unknown name "event.idd"'),
        ("{{ run_id }}", 'unknown name "run_id", did you mean "event.run_id"?'),
        ("{{ event.id | uper }}", 'unknown filter "uper"'),
        ("{{ event.id is uper }}", 'unknown test "uper"'),
        ("{{ event.id is null }}", 'unknown test "null", did you mean "none"?'),
        ("{{ event.id.startwith('a') }}", 'unknown method "startwith"'),
        ("{{ event.id() }}", 'unknown method "id"'),
        ("{{ range(5) }}", _ONLY_METHODS),
        ("{{ event['id']() }}", _ONLY_METHODS),
        ("{% for x in event.data %}{% endfor %}", "{% for %} is not allowed here; use expressions, if and set"),
        ("{% set event = 1 %}{{ event }}", "{% set %} takes one new name, not one that is given"),
        ("{% set vars = 1 %}{{ event.id }}", "{% set %} takes one new name, not one that is given"),
        ("{% set a, b = 1, 2 %}", "{% set %} takes one new name, not one that is given"),
        ("{{ 5[0:1] }}", "takes a part of what has no parts"),
        ("{{ (1 - 2)[0:1] }}", "takes a part of what has no parts"),
        ("{{ 1e999 }}", "holds a number too large to be one"),
        ("{{ " + "9" * 5_000 + " }}", "is nested too deep, or a number is too long"),
        ("{{ vars.nothing }}", '`vars` has no "nothing"'),
        ("{{ vars['deep'].nothing }}", '`vars` has no "nothing"'),
        ("{{ vars.deep['nothing'] }}", '`vars` has no "nothing"'),
    ],
)
def test_what_is_refused_is_said(text: str, message: str) -> None:
    """In words that name what is written."""
    assert _refusal(text) == message


@pytest.mark.parametrize(
    ("constants", "words"),
    [(_VARS, ("tz", "no", "deep", "list")), ({}, ("no `vars` in this file",))],
)
def test_what_vars_have_is_said(constants: dict[str, Any], words: tuple[str, ...]) -> None:
    """All their names, or that there are none."""
    with pytest.raises(BadTemplate) as error:
        compile_text("{{ vars.nothing }}", "a", constants)
    assert (error.value.word, error.value.words) == ("nothing", words)


@pytest.mark.parametrize(
    ("text", "value", "gives"),
    [
        ("{{ vars.tz.lower() }}", "europe/berlin", Gives.ANYTHING),
        ("{{ vars['deep']['a'] }}", 1, Gives.ANYTHING),
        ("{{ vars.deep[event.environment] | default('x') }}", "x", Gives.ANYTHING),
        ("{{ vars.deep[1] | default('x') }}", "x", Gives.ANYTHING),
        ("{{ vars.list[1:] }}", [2], Gives.ANYTHING),
        ("{{ 'abc'[0:1] }}", "a", Gives.ANYTHING),
        ("{{ event.rows_loaded - vars.deep.a }}", 6, Gives.ANYTHING),
        ("{% set n = 2 %}{{ event.rows_loaded-n }}", "5", Gives.TEXT),
        ("{% set p = event.parameters %}{{ p.list[0] }}{{ p['flag'] }}", "1True", Gives.TEXT),
        ("{# note #} {{ event.rows_loaded }} {# note #}\n", 7, Gives.ANYTHING),
        ("{{ event.rows_loaded }}{{ event.rows_loaded }}", "77", Gives.TEXT),
        ("{{ event.rows_loaded }}.", "7.", Gives.TEXT),
        ("{# note #}fixed", "fixed", Gives.TEXT),
        ("{# note #}", "", Gives.TEXT),
    ],
)
def test_what_is_taken_gives(text: str, value: Any, gives: Gives) -> None:
    """One expression beside blanks and comments keeps its type, anything else gives text."""
    assert compile_text(text, "a", _VARS).gives is gives
    assert _render(text) == value


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("canary"), "a key is missing"),
        (ValueError("a\n  b"), "a b"),
        (ValueError("x" * 201), "x" * 200),
        (ValueError(), "ValueError"),
    ],
)
def test_an_error_is_one_short_line(error: Exception, line: str) -> None:
    """Of at most 200 characters, never empty, and without a key that an event may have chosen."""
    assert one_line(error) == line
