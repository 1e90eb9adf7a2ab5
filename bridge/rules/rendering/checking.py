"""Parses a template and refuses, before any event is seen, whatever it may not do; then ties its loose ends.

Checked: statements, filters, tests, calls, names, size and depth. Tied: what is printed, concatenated or kept by
`set` passes through a filter that bounds it, since Jinja lets nobody intercept these.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from jinja2 import TemplateSyntaxError, nodes
from jinja2.visitor import NodeTransformer

from bridge.rules.rendering import hinting, moments, wording
from bridge.rules.rendering.asking import event_field
from bridge.rules.rendering.sandbox import INTERNAL_FILTERS, METHODS, build
from bridge.words.errors import BridgeError
from bridge.words.model import EVENT_FIELDS

_MAX_TEMPLATE = 8_192
_MAX_NODES = 1_000
_MAX_NESTING = 40  # CPython refuses 100 levels of indentation or 200 of parentheses in what Jinja generates
_STATEMENTS = (nodes.Output, nodes.If, nodes.Assign)
_NEVER_NONE = ("parameters", "metadata", "data")
# What a template is given, and the fields of each.
NAMESPACE: Mapping[str, tuple[str, ...]] = {
    "event": EVENT_FIELDS,
    "delivery": ("id", "received_at"),
    "route": ("name",),
}

VARS = "vars"  # what a file calls its constants, and a template too
_NO_VARS: Mapping[str, Any] = MappingProxyType({})
_CHECKS = {**moments.CHECKS, **wording.CHECKS}

SANDBOX = build()
_PUBLIC_FILTERS = tuple(sorted(SANDBOX.filters))
_PUBLIC_TESTS = tuple(sorted(SANDBOX.tests))
SANDBOX.filters.update(INTERNAL_FILTERS)


class BadTemplate(BridgeError):
    """A template that can never work; found when the mapping is loaded."""

    def __init__(self, what: str, *, word: str | None = None, words: tuple[str, ...] = ()) -> None:
        """`word` is the unknown name and `words` what it could have been, for the nearest valid one."""
        self.what = what
        self.word = word
        self.words = words
        super().__init__(what)


def parse(text: str, constants: Mapping[str, Any] = _NO_VARS) -> nodes.Template:
    """Parse, put the file's `vars` in, and refuse what a template may not do. Raises BadTemplate."""
    if len(text) > _MAX_TEMPLATE:
        raise BadTemplate(f"is longer than {_MAX_TEMPLATE} characters")
    try:
        tree = SANDBOX.parse(text)
    except TemplateSyntaxError as error:
        what = one_line(error).replace("end of print statement", "end of the expression").rstrip(".")
        raise BadTemplate(f"cannot be read: {what}{hinting.of_template(text)}") from None
    except (RecursionError, ValueError, OverflowError):
        raise BadTemplate("is nested too deep, or a number is too long") from None
    _check_size(tree)
    _Vars(constants).visit(tree)
    for node in tree.find_all(nodes.Node):
        _check(node)
    for node in tree.find_all(nodes.Filter):
        _check_default(node)
        if node.name in _CHECKS:
            _check_arguments(node)
    _check_names(tree)
    return tree


def single_expression(tree: nodes.Template) -> nodes.Expr | None:
    """Return the expression of a template that is `{{ expression }}` and nothing else but blanks and comments."""
    if all(isinstance(part, nodes.Output) for part in tree.body):
        parts = [part for output in tree.body for part in output.iter_child_nodes() if not _is_blank(part)]
        match parts:
            case [nodes.Expr() as expression] if not isinstance(expression, nodes.TemplateData):
                return expression
    return None


def tie(tree: nodes.Template, *, printing: str = "~text") -> nodes.Template:
    """Return the same template, bounded; `printing` is the internal filter that every printed value passes."""
    tied: nodes.Template = _Tie(printing).visit(tree)
    tied.set_environment(SANDBOX)
    return tied


def one_line(error: Exception) -> str:
    """Return what an error says, in one short line; Jinja's own words hold names, never values of the event."""
    if isinstance(error, KeyError):
        return "a key is missing"
    return " ".join(str(error).split())[:200] or type(error).__name__


def _check_size(tree: nodes.Template) -> None:
    level: list[nodes.Node] = [tree]
    count = nesting = 0
    while level:
        count, nesting = count + len(level), nesting + 1
        if count > _MAX_NODES or nesting > _MAX_NESTING:
            raise BadTemplate("is too long or nested too deep; prepare the value in the DAG instead")
        level = [child for node in level for child in node.iter_child_nodes()]


def _check(node: nodes.Node) -> None:
    match node:
        case nodes.Assign(target=target) if not isinstance(target, nodes.Name) or target.name in (*NAMESPACE, VARS):
            raise BadTemplate("{% set %} takes one new name, not one that is given")
        case nodes.Stmt() if not isinstance(node, _STATEMENTS):
            word = type(node).__name__.lower()
            raise BadTemplate(f"{{% {word} %}} is not allowed here; use expressions, if and set")
        case nodes.Filter(name=name) if name not in _PUBLIC_FILTERS:
            raise BadTemplate(f'unknown filter "{name}"', word=name, words=_PUBLIC_FILTERS)
        case nodes.Test(name=name) if name not in _PUBLIC_TESTS:
            raise _unknown("test", name, _PUBLIC_TESTS, hinting.of_value(name))
        case nodes.Call(node=nodes.Getattr(attr=attr)):
            if attr not in METHODS:
                raise BadTemplate(f'unknown method "{attr}"', word=attr, words=tuple(sorted(METHODS)))
        case nodes.Call():
            _refuse_call()
        case nodes.Getitem(node=whole, arg=nodes.Slice()) if _has_no_parts(whole):
            raise BadTemplate("takes a part of what has no parts")  # CPython would warn of it on stderr
        case nodes.Const(value=float(value)) if not math.isfinite(value):
            raise BadTemplate("holds a number too large to be one")  # Jinja would write it as the name `inf`


def _check_default(node: nodes.Filter) -> None:
    """Refuse a `default` that lets none through: a field that the webhook lacks is none, and not undefined."""
    if node.name not in ("default", "d") or node.node is None:
        return
    field = event_field(node.node)
    if field in EVENT_FIELDS and field not in _NEVER_NONE and not _replaces_none(node):
        raise BadTemplate(f"default never applies: event.{field} is none if it is missing; write default(..., true)")


def _check_arguments(node: nodes.Filter) -> None:
    """Refuse what a filter of instants or texts can never use: an event chooses no zone, no format and no pattern."""
    given = [*node.args, *(keyword.value for keyword in node.kwargs)]
    if node.dyn_args or node.dyn_kwargs or not all(isinstance(each, nodes.Const) for each in given):
        raise BadTemplate(f"{node.name}: its arguments are written here or in `vars`, an event never chooses them")
    named = {str(keyword.key): keyword.value.as_const() for keyword in node.kwargs}
    try:
        _CHECKS[node.name](None, *(each.as_const() for each in node.args), **named)
    except TypeError as error:
        raise BadTemplate(f"{node.name}: {one_line(error).partition('() ')[2]}") from None
    except ValueError as error:
        raise BadTemplate(f"{node.name}: {error}") from None


def _replaces_none(node: nodes.Filter) -> bool:
    """Whether a `default` is also given for none (its second argument is not false), or gives none itself."""
    if node.args and isinstance(node.args[0], nodes.Const) and node.args[0].value is None:
        return True
    second = [*node.args[1:], *(keyword.value for keyword in node.kwargs if keyword.key == "boolean")]
    return any(not isinstance(each, nodes.Const) or bool(each.value) for each in second)


def _has_no_parts(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Const):
        return not isinstance(node.value, str | list)
    return isinstance(node, nodes.UnaryExpr | nodes.Sub | nodes.Div | nodes.FloorDiv)


def _refuse_call() -> NoReturn:
    raise BadTemplate("only methods of texts can be called, e.g. event.pipeline_id.startswith('pl_')")


def _check_names(tree: nodes.Template) -> None:
    """Refuse names that no context has: `evnt`, `event.pipline_id`."""
    names = list(tree.find_all(nodes.Name))
    known = (*NAMESPACE, VARS, *(name.name for name in names if name.ctx == "store"))
    for difference in tree.find_all(nodes.Sub):
        _check_hyphen(difference, known)
    for name in names:
        if name.name not in known:
            meant = hinting.of_name(name.name, tree, NAMESPACE)
            raise _unknown("name", name.name, known, meant)
    for access in tree.find_all(nodes.Getattr):
        _check_field(access.node, access.attr)
    for item in tree.find_all(nodes.Getitem):
        if isinstance(item.arg, nodes.Const) and isinstance(item.arg.value, str):
            _check_field(item.node, item.arg.value)


def _unknown(kind: str, word: str, words: tuple[str, ...], meant: str | None) -> BadTemplate:
    """Return the error for an unknown word: with what is `meant`, or else with the nearest of `words`."""
    what = f'unknown {kind} "{word}"'
    return BadTemplate(what, word=word, words=words) if meant is None else BadTemplate(f"{what}{meant}")


def _check_hyphen(difference: nodes.Sub, known: tuple[str, ...]) -> None:
    """Refuse `event.parameters.business-date`, which subtracts."""
    match difference:
        case nodes.Sub(left=nodes.Getattr(attr=first), right=nodes.Name(name=second)) if second not in known:
            key = f"{first}-{second}"
            raise BadTemplate(f'"{key}" is a subtraction here; write ["{key}"] after the name before it, without a dot')


def _check_field(owner: nodes.Node, field: str) -> None:
    if isinstance(owner, nodes.Name) and owner.name in NAMESPACE and field not in NAMESPACE[owner.name]:
        raise BadTemplate(f'unknown name "{owner.name}.{field}"', word=field, words=NAMESPACE[owner.name])


def _is_blank(node: nodes.Node) -> bool:
    return isinstance(node, nodes.TemplateData) and not node.data.strip()


class _Vars(NodeTransformer):
    """Puts the constants of the file in the place of `vars` and what is read of them."""

    def __init__(self, constants: Mapping[str, Any]) -> None:
        self._constants = dict(constants)

    def visit_Name(self, node: nodes.Name) -> nodes.Node:  # noqa: N802 - Jinja finds it by this name
        return nodes.Const(self._constants, lineno=node.lineno) if (node.name, node.ctx) == (VARS, "load") else node

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802 - Jinja finds it by this name
        node = self.generic_visit(node)  # type: ignore[assignment]
        return self._read(node, node.attr)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802 - Jinja finds it by this name
        node = self.generic_visit(node)  # type: ignore[assignment]
        return self._read(node, node.arg.value if isinstance(node.arg, nodes.Const) else None)

    def _read(self, node: nodes.Getattr | nodes.Getitem, key: Any) -> nodes.Node:
        whole = node.node.value if isinstance(node.node, nodes.Const) else None
        if not isinstance(whole, dict) or not isinstance(key, str):
            return node
        if key not in whole:
            raise BadTemplate(f'`vars` has no "{key}"', word=key, words=tuple(whole) or ("no `vars` in this file",))
        return nodes.Const(whole[key], lineno=node.lineno)


class _Tie(NodeTransformer):
    """Puts the internal filters in."""

    def __init__(self, printing: str) -> None:
        self._printing = printing

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - Jinja finds it by this name
        node = self.generic_visit(node)  # type: ignore[assignment]
        return _through(nodes.List(node.nodes, lineno=node.lineno), "~join")

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node:  # noqa: N802 - Jinja finds it by this name
        node = self.generic_visit(node)  # type: ignore[assignment]
        node.node = _through(node.node, "~held")
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802 - Jinja finds it by this name
        node = self.generic_visit(node)  # type: ignore[assignment]
        node.nodes = [
            part if isinstance(part, nodes.TemplateData) else _through(part, self._printing) for part in node.nodes
        ]
        return node


def _through(value: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(value, name, [], [], None, None, lineno=value.lineno)
