"""Templates of the mapping: Jinja2 in a sandbox that data engineers know from Airflow.

What a template may do: expressions, `{% if %}` and `{% set %}`; items of what it is given; a few harmless string
methods and filters. What it may not: loops, macros, imports, attributes of Python objects, anything whose size an
event could blow up. So every template ends in time linear in its input, with a bounded output.

A value that is one `{{ expression }}` and nothing else keeps its type (a number stays a number, none stays null); any
other template gives text. A name that does not exist is an error at load, a missing key of `parameters`, `metadata` or
`data` an error of that trigger; never an empty string.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import TemplateError as JinjaError

from bridge.rules.rendering.asking import texts_asked
from bridge.rules.rendering.checking import NAMESPACE, SANDBOX, BadTemplate, one_line, parse, single_expression, tie
from bridge.rules.rendering.doubting import doubts
from bridge.rules.rendering.sandbox import MAX_BYTES, TooLong, Unread, weigh
from bridge.words.errors import ConditionError, ConfTooLarge, TemplateError

__all__ = [
    "NAMESPACE",
    "BadTemplate",
    "Condition",
    "Gives",
    "Template",
    "Unread",
    "compile_condition",
    "compile_id",
    "compile_text",
]

_RESULT = "result"
_NO_VARS: Mapping[str, Any] = MappingProxyType({})
# Whatever an expression can raise on values of unexpected types; the tests' fuzzing keeps this list true.
_FAILURES = (JinjaError, ArithmeticError, TypeError, ValueError, LookupError, AttributeError, RecursionError)

Evaluate = Callable[[Mapping[str, Any]], Any]


class Gives(Enum):
    """What is known of a template's value before there is an event."""

    CONSTANT = auto()  # the same for every event and delivery
    TEXT = auto()
    ANYTHING = auto()  # one expression, which keeps its type


@dataclass(frozen=True, slots=True)
class Template:
    """One compiled text; `render` gives its value for a context."""

    where: str
    evaluate: Evaluate
    gives: Gives = Gives.ANYTHING

    def render(self, context: Mapping[str, Any]) -> Any:
        """Return a JSON value; raises TemplateError that names this template."""
        try:
            value = self.evaluate(context)
            weigh(value, MAX_BYTES)
            if len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) > MAX_BYTES:
                raise TooLong(f"the result is longer than {MAX_BYTES}")
        except TooLong as error:
            raise ConfTooLarge(f"{self.where}: {one_line(error)} bytes, which one value may have") from None
        except _FAILURES as error:
            raise TemplateError(f"{self.where}: {one_line(error)}") from None
        return value


@dataclass(frozen=True, slots=True)
class Condition:
    """One compiled `when`. `statuses`: sets of texts, of each of which the event's status must be one.

    `doubts`: what of it can hardly be meant.
    """

    where: str
    evaluate: Evaluate
    statuses: tuple[frozenset[str], ...] = ()
    doubts: tuple[str, ...] = ()

    def holds(self, context: Mapping[str, Any]) -> bool:
        """Return whether it is so; raises ConditionError when it cannot be told."""
        try:
            return bool(self.evaluate(context))
        except _FAILURES as error:
            raise ConditionError(f"{self.where}: {one_line(error)}") from None


def compile_text(text: str, where: str, constants: Mapping[str, Any] = _NO_VARS) -> Template:
    """Compile one text of the mapping. `where` names it in errors, `constants` are its `vars`. Raises BadTemplate."""
    if not _is_template(text):
        return Template(where, lambda _: text, Gives.CONSTANT)
    tree = parse(text, constants)
    expression = single_expression(tree)
    if expression is None:
        return Template(where, _text(tie(tree)), Gives.TEXT)
    return Template(where, _native(expression))


def compile_id(text: str, where: str, constants: Mapping[str, Any] = _NO_VARS) -> Template:
    """Compile the text of an id: always text, and none or nothing inside it is an error. Raises BadTemplate."""
    if not _is_template(text):
        return Template(where, lambda _: text, Gives.CONSTANT)
    tree = parse(text, constants)
    names = {name.name for name in tree.find_all(nodes.Name)}
    gives = Gives.TEXT if names & {"event", "delivery"} else Gives.CONSTANT
    return Template(where, _text(tie(tree, printing="~id")), gives)


def compile_condition(text: str, where: str, constants: Mapping[str, Any] = _NO_VARS) -> Condition:
    """Compile a `when`. Raises BadTemplate, also for one that is always the same."""
    if "{{" in text or "{%" in text:
        raise BadTemplate("write the bare expression, without {{ }}")
    tree = parse("{{ " + text + " }}", constants)
    expression = single_expression(tree)
    if expression is None:
        raise BadTemplate("must be one expression")
    depends = next(expression.find_all(nodes.Name), expression if isinstance(expression, nodes.Name) else None)
    statuses = texts_asked(expression, "status")
    doubtful = doubts(expression)  # before it is compiled, which changes it
    condition = Condition(where, _native(expression), statuses, doubtful)
    if depends is None:
        _refuse_constant(condition)
    return condition


def _is_template(text: str) -> bool:
    return "{{" in text or "{%" in text or "{#" in text


def _refuse_constant(condition: Condition) -> None:
    try:
        always = condition.holds({})
    except ConditionError:
        raise BadTemplate("can never match: it always fails") from None
    raise BadTemplate("is always true; leave it out" if always else "can never match: it is always false")


def _native(expression: nodes.Expr) -> Evaluate:
    """Return the value of an expression as it is, by assigning it; Jinja's own compile_expression does the same."""
    body: list[nodes.Node] = [nodes.Assign(nodes.Name(_RESULT, "store"), expression, lineno=1)]
    template = _compiled(tie(nodes.Template(body, lineno=1), printing="~text"))

    def evaluate(context: Mapping[str, Any]) -> Any:
        inside = template.new_context(dict(context))
        for _ in template.root_render_func(inside):
            pass
        value = inside.vars[_RESULT]
        if isinstance(value, StrictUndefined):
            value._fail_with_undefined_error()
        return value

    return evaluate


def _text(tree: nodes.Template) -> Evaluate:
    """Return what a template prints, given up as soon as it is too long."""
    template = _compiled(tree)

    def evaluate(context: Mapping[str, Any]) -> str:
        pieces: list[str] = []
        length = 0
        for piece in template.root_render_func(template.new_context(dict(context))):
            length += len(piece)
            if length > MAX_BYTES:
                raise TooLong(f"the result is longer than {MAX_BYTES}")
            pieces.append(piece)
        return "".join(pieces)

    return evaluate


def _compiled(tree: nodes.Template) -> Any:
    try:
        return SANDBOX.from_string(tree)
    except (*_FAILURES, SyntaxError, MemoryError) as error:
        # CPython refuses, with these two, what is nested too deep for it.
        raise BadTemplate(f"cannot be compiled: {one_line(error)}") from None
