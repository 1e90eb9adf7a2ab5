"""Templates of the mapping: Jinja2 in a sandbox that data engineers know from Airflow. The only importer of Jinja2.

What a template may do: expressions and `{% if %}`; attributes of what it is given; a few harmless string
methods and filters. What it may not: loops, variables, macros, imports, attributes of Python objects, anything whose
size an event could blow up. So every template ends in time linear in its input, with a bounded output.

A value that is one `{{ expression }}` and nothing else keeps its type (a number stays a number, none stays null); any
other template gives text. A name that does not exist is an error at load, a missing key of `parameters`, `metadata` or
`data` an error of that trigger; never an empty string.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.exceptions import TemplateError as JinjaError

from bridge.errors import BridgeError, ConditionError, TemplateError
from bridge.model import EVENT_FIELDS
from bridge.rendering.sandbox import MAX_BYTES, METHODS, build

_MAX_TEMPLATE = 8_192
_SANDBOX = build()
_STATEMENTS = (nodes.Output, nodes.TemplateData, nodes.If, nodes.Template)
# What a template is given, and the fields of each; None where any key may stand below.
NAMESPACE: Mapping[str, tuple[str, ...]] = {
    "event": EVENT_FIELDS,
    "delivery": ("id", "received_at"),
    "route": ("name",),
}


class BadTemplate(BridgeError):
    """A template that can never work; found when the mapping is loaded. `line` counts from the template's start."""

    def __init__(self, what: str, *, word: str | None = None, words: tuple[str, ...] = ()) -> None:
        """`word` is the unknown name and `words` what it could have been, for the nearest valid one."""
        self.what = what
        self.word = word
        self.words = words
        super().__init__(what)


@dataclass(frozen=True, slots=True)
class Template:
    """One compiled text; `render` gives its value for a context."""

    where: str
    evaluate: Callable[[Mapping[str, Any]], Any]

    def render(self, context: Mapping[str, Any]) -> Any:
        """Return a JSON value; raises TemplateError that names this template."""
        try:
            value = self.evaluate(context)
            if len(json.dumps(value, allow_nan=False)) > MAX_BYTES:
                raise SecurityError(f"the result is longer than {MAX_BYTES}")
        except (JinjaError, ArithmeticError, TypeError, ValueError, LookupError, RecursionError) as error:
            raise TemplateError(f"{self.where}: {_words(error)}") from None
        return value


@dataclass(frozen=True, slots=True)
class Condition:
    """One compiled `when`."""

    where: str
    evaluate: Callable[[Mapping[str, Any]], Any]

    def holds(self, context: Mapping[str, Any]) -> bool:
        """Return whether it is so; raises ConditionError when it cannot be told."""
        try:
            return bool(self.evaluate(context))
        except (JinjaError, ArithmeticError, TypeError, ValueError, LookupError, RecursionError) as error:
            raise ConditionError(f"{self.where}: {_words(error)}") from None


def compile_text(text: str, where: str) -> Template:
    """Compile one text of the mapping. `where` names it in errors. Raises BadTemplate."""
    if "{{" not in text and "{%" not in text and "{#" not in text:
        return Template(where, lambda _: text)
    tree = _checked(text, is_expression=False)
    expression = _single_expression(tree)
    if expression is not None:
        return Template(where, _expression(text.strip()[2:-2].strip("-+")))
    compiled = _compiled(lambda: _SANDBOX.from_string(text))
    return Template(where, compiled.render)


def compile_condition(text: str, where: str) -> Condition:
    """Compile a `when`. Raises BadTemplate, also for one that is always the same."""
    tree = _checked("{{ " + text + " }}", is_expression=True)
    if not list(tree.find_all(nodes.Name)):
        raise BadTemplate("is always the same: it looks at nothing of the event")
    return Condition(where, _expression(text))


def _expression(text: str) -> Callable[[Mapping[str, Any]], Any]:
    compiled = _compiled(lambda: _SANDBOX.compile_expression(text, undefined_to_none=False))

    def evaluate(context: Mapping[str, Any]) -> Any:
        value = compiled(context)
        if isinstance(value, StrictUndefined):
            value._fail_with_undefined_error()
        return value

    return evaluate


def _compiled(compile_it: Callable[[], Any]) -> Any:
    try:
        return compile_it()
    except (JinjaError, RecursionError, ValueError, OverflowError) as error:
        raise BadTemplate(f"bad template: {_words(error)}") from None


def _checked(text: str, *, is_expression: bool) -> nodes.Template:
    """Parse, and refuse what a template may not do. Raises BadTemplate."""
    if len(text) > _MAX_TEMPLATE:
        raise BadTemplate(f"the template is longer than {_MAX_TEMPLATE} characters")
    try:
        tree = _SANDBOX.parse(text)
    except TemplateSyntaxError as error:
        raise BadTemplate(f"bad {'condition' if is_expression else 'template'}: {_words(error)}") from None
    except (RecursionError, ValueError, OverflowError):
        raise BadTemplate("bad template: it is nested too deep, or a number is too long") from None
    if is_expression and _single_expression(tree) is None:
        raise BadTemplate("bad condition: it must be one expression, without {{ }}")
    for node in tree.find_all(nodes.Node):
        _check(node)
    _check_names(tree)
    return tree


def _check(node: nodes.Node) -> None:
    if isinstance(node, nodes.Stmt) and not isinstance(node, _STATEMENTS):
        raise BadTemplate(f"{{% {type(node).__name__.lower()} %}} is not allowed here; use expressions and if")
    if isinstance(node, nodes.Filter) and node.name not in _SANDBOX.filters:
        raise BadTemplate(f'unknown filter "{node.name}"', word=node.name, words=tuple(sorted(_SANDBOX.filters)))
    if isinstance(node, nodes.Test) and node.name not in _SANDBOX.tests:
        raise BadTemplate(f'unknown test "{node.name}"', word=node.name, words=tuple(sorted(_SANDBOX.tests)))
    if isinstance(node, nodes.Call) and not isinstance(node.node, nodes.Getattr):
        _refuse_call()
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr not in METHODS:
        raise BadTemplate(f'unknown method "{node.node.attr}"', word=node.node.attr, words=tuple(sorted(METHODS)))


def _refuse_call() -> NoReturn:
    raise BadTemplate("only methods of texts can be called, e.g. event.pipeline_id.startswith('pl_')")


def _check_names(tree: nodes.Template) -> None:
    """Refuse names that no context has: `evnt`, `event.pipline_id`."""
    for name in tree.find_all(nodes.Name):
        if name.name not in NAMESPACE:
            raise BadTemplate(f'unknown name "{name.name}"', word=name.name, words=tuple(NAMESPACE))
    for access in tree.find_all(nodes.Getattr):
        _check_field(access.node, access.attr)
    for item in tree.find_all(nodes.Getitem):
        if isinstance(item.arg, nodes.Const) and isinstance(item.arg.value, str):
            _check_field(item.node, item.arg.value)


def _check_field(owner: nodes.Node, field: str) -> None:
    if isinstance(owner, nodes.Name) and owner.name in NAMESPACE and field not in NAMESPACE[owner.name]:
        raise BadTemplate(f'unknown name "{owner.name}.{field}"', word=field, words=NAMESPACE[owner.name])


def _single_expression(tree: nodes.Template) -> nodes.Expr | None:
    """Return the expression of a template that is `{{ expression }}` and nothing else."""
    if len(tree.body) == 1 and isinstance(tree.body[0], nodes.Output):
        parts = [part for part in tree.body[0].nodes if not _is_blank(part)]
        if len(parts) == 1 and not isinstance(parts[0], nodes.TemplateData):
            return parts[0]
    return None


def _is_blank(node: nodes.Node) -> bool:
    return isinstance(node, nodes.TemplateData) and not node.data.strip()


def _words(error: Exception) -> str:
    """Return what an error says, in one short line; Jinja's own words hold names, never values of the event."""
    if isinstance(error, KeyError):
        return "a key is missing"
    return " ".join(str(error).split())[:200] or type(error).__name__
