"""What `{% set %}`, ids and deep nesting may and may not do."""

from typing import Any

import pytest

from bridge.rules.rendering import BadTemplate, compile_id, compile_text
from bridge.words.errors import TemplateError
from bridge.words.model import EVENT_FIELDS

_EVENT: dict[str, Any] = dict.fromkeys(EVENT_FIELDS) | {
    "id": "evt_1",
    "rows_loaded": 7,
    "parameters": {"empty": "", "list": list(range(100))},
    "data": {"huge": "y" * 1_000_000},
}
_CONTEXT = {"event": _EVENT, "delivery": {"id": "dlv_1", "received_at": "t"}, "route": {"name": "sales"}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{% set n = event.rows_loaded %}{{ n }} rows, {{ n + 1 }}", "7 rows, 8"),
        ("{% set n = 1 %}{% set n = n + 1 %}{{ n }}", "2"),
        ("{% set x %}", None),
        ("{% if event.id %}{% set x = 'yes' %}{% endif %}{{ x }}", "yes"),
        ("{% set event = 1 %}{{ event }}", None),
        ("{% set a, b = 1, 2 %}{{ a }}", None),
        ("{% set event.id = 1 %}", None),
        ("{% set x = 1 %}{{ y }}", None),
        ("{% set x %}long{% endset %}{{ x }}", None),
    ],
)
def test_set(text: str, value: str | None) -> None:
    """`set` keeps one value under one new name; anything else it can do elsewhere is refused at load."""
    if value is None:
        with pytest.raises(BadTemplate):
            compile_text(text, "a")
    else:
        assert compile_text(text, "a").render(_CONTEXT) == value


def test_a_set_that_did_not_happen() -> None:
    """A name whose `set` was not reached is an error of that trigger, never an empty text."""
    with pytest.raises(TemplateError, match="x"):
        compile_text("{% if event.run_id %}{% set x = 1 %}{% endif %}{{ x }}", "a").render(_CONTEXT)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "doubling",
    [
        "{% set a = a ~ a %}",
        "{% set a = a + a %}",
        "{% set a = [a, a] %}",
        "{% set a = [a, a, a, a, a, a, a, a] %}",
        "{% set a = {'x': a, 'y': a} %}",
        "{% set a = a | replace('y', 'yy') %}",
        "{% set a = [a, a] | join %}",
    ],
)
def test_doublings(doubling: str) -> None:
    """A value that is doubled again and again is stopped early."""
    for end in ("{{ a }}", "{{ a | string }}", "{{ a == a }}", "{{ [a, a] | tojson }}"):
        with pytest.raises((TemplateError, BadTemplate)):
            compile_text("{% set a = 'yyyyyyyy' %}" + doubling * 60 + end, "a").render(_CONTEXT)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("fixed", "fixed"),
        ("{{ event.id }}", "evt_1"),
        ("{{ event.rows_loaded }}", "7"),
        ("x-{{ event.id }}-{{ route.name }}", "x-evt_1-sales"),
        ("{% if event.run_id %}{{ event.run_id }}{% else %}{{ event.id }}{% endif %}", "evt_1"),
        ("{{ event.run_id or event.id }}", "evt_1"),
    ],
)
def test_ids(text: str, value: str) -> None:
    """An id is always text."""
    assert compile_id(text, "dag_run_id").render(_CONTEXT) == value


@pytest.mark.parametrize(
    "text",
    [
        "{{ event.run_id }}",
        "x-{{ event.run_id }}",
        "{{ event.id }}-{{ event.run_id }}",
        "x-{{ event.parameters.empty }}",
        "x-{{ event.parameters.nothing }}",
    ],
)
def test_an_id_needs_its_values(text: str) -> None:
    """Where a value is missing, all events that miss it would share one DAG run: an error, never `None` or nothing."""
    with pytest.raises(TemplateError, match=r"^dag_run_id: "):
        compile_id(text, "dag_run_id").render(_CONTEXT)


_NESTINGS = [
    ("{{ " + "(" * 60 + "event.rows_loaded" + ")" * 60 + " }}", ""),  # brackets alone are no nesting
    ("{{ {}event.rows_loaded }}", "- "),
    ("{{ {}event.rows_loaded }}", "not "),
    ("{{ {}event.rows_loaded }}", "1 + "),
    ("{{ {}event.rows_loaded }}", "2 ** "),
    ("{{ {}event.rows_loaded }}", "1 - "),
    ("{{ {}event.rows_loaded }}", "1 if event.id else "),
    ("{{ {}event.rows_loaded }}", "event.id and "),
    ("{{ {}event.rows_loaded }}", "'a' ~ "),
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("around", "step"), _NESTINGS)
def test_any_nesting_ends_in_a_value_or_a_mistake(around: str, step: str) -> None:
    """However deep, a template is compiled, or refused as a mistake of the file: CPython's compiler never breaks."""
    outcomes = set()
    for depth in (1, 10, 18, 36, 38, 40, 90, 150, 250, 900):
        try:
            compile_text(around.replace("{}", step * depth), "a")
            outcomes.add("compiled")
        except BadTemplate:
            outcomes.add("refused")

    assert "compiled" in outcomes


@pytest.mark.parametrize("literal", ["none", "true", "1", "2.5", "(-1)", "(1 / 2)", "(3 - 1)", "(not 1)"])
def test_slices_of_what_has_no_parts(literal: str) -> None:
    """Python's compiler would warn of these on stderr; they are mistakes of the file."""
    with pytest.raises(BadTemplate):
        compile_text(f"{{{{ {literal}[0:1] }}}}", "a")


@pytest.mark.parametrize(
    ("text", "value"), [("{{ event.id[:3] }}", "evt"), ("{{ event.parameters.list[1:3] }}", [1, 2])]
)
def test_slices(text: str, value: Any) -> None:
    """A part of a text or a list is what Python says."""
    assert compile_text(text, "a").render(_CONTEXT) == value


@pytest.mark.timeout(120)
@pytest.mark.parametrize("depth", [1, 10, 30, 36, 90, 200, 400])
def test_nested_ifs(depth: int) -> None:
    """CPython refuses a hundred levels of indentation; so many are a mistake of the file and not a crash."""
    text = "{% if event.id %}" * depth + "x" + "{% endif %}" * depth
    if depth <= 30:
        assert compile_text(text, "a").render(_CONTEXT) == "x"
    elif depth >= 90:
        with pytest.raises(BadTemplate):
            compile_text(text, "a")
