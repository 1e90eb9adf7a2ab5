"""What is valid in a `when` and yet hardly meant, read from its parsed expression, before there is any event. Pure.

Rule: only what is so for every event is said. Names the part of the expression and what to write instead.
"""

import json
from collections.abc import Iterator
from typing import Any

from jinja2 import nodes

from bridge.rules.rendering.asking import event_field
from bridge.words.model import EVENT_FIELDS

_NUMBERS = frozenset({"duration_seconds", "rows_loaded"})
_TEXTS = frozenset(EVENT_FIELDS) - _NUMBERS - {"parameters", "metadata", "data", "error"}
_OF_A_LIST = {"eq": "in", "ne": "not in"}  # what is written instead of it where a list stands beside it
_MAX_SHOWN = 60


def doubts(expression: nodes.Expr) -> tuple[str, ...]:
    """Return what can hardly be meant, in the order of the expression, each once."""
    every = (expression, *expression.find_all(nodes.Compare))
    compared = (what for node in every if isinstance(node, nodes.Compare) for what in _of_comparison(node))
    return tuple(dict.fromkeys([*_of_truth(expression, expression), *compared]))


def _of_truth(node: nodes.Node, whole: nodes.Expr) -> Iterator[str]:
    """Look at what counts as true or false: the whole, and both sides of `and`, `or` and `not`."""
    match node:
        case nodes.And(left=first, right=second) | nodes.Or(left=first, right=second):
            yield from _of_truth(first, whole)
            yield from _of_truth(second, whole)
        case nodes.Not(node=inner):
            yield from _of_truth(inner, whole)
        case nodes.Tuple():
            yield "`when` is always the same: a comma makes a list; write `and`, or the number without a comma"
        case nodes.Const(value=str() | int() | float() as value) if not isinstance(value, bool):
            instead = f"repeat the comparison{_or_a_list(whole)}"
            yield f"`when` has {_shown(value)} alone, which is always the same; {instead}"


def _or_a_list(whole: nodes.Expr) -> str:
    """Return how to ask for one text of several, if a text is asked for at all."""
    fields = (event_field(each) for each in whole.find_all((nodes.Getattr, nodes.Getitem)))
    field = next((field for field in fields if field in _TEXTS), None)
    return "" if field is None else f", or write `event.{field} in [...]`"


def _of_comparison(node: nodes.Compare) -> Iterator[str]:
    sides = [node.expr, *(operand.expr for operand in node.ops)]
    for first, operand, second in zip(sides, node.ops, sides[1:], strict=False):
        pairs = [(first, second)] if operand.op in ("in", "notin") else [(first, second), (second, first)]
        for asked, given in pairs:
            field = event_field(asked)
            if field in _TEXTS | _NUMBERS and (what := _misfit(field, operand.op, given)):
                yield what


def _misfit(field: str, operator: str, given: nodes.Node) -> str | None:
    """Return why a text or a number is never equal to what stands beside it; None if it may be."""
    kind = "text" if field in _TEXTS else "number"
    asks = f"`when` compares event.{field}, which is a {kind}, with"
    if operator in _OF_A_LIST and _is_list(given):
        return f"{asks} a list; write `event.{field} {_OF_A_LIST[operator]} [...]`"
    values = _values(given)
    if not values or not all(_is_another(kind, value) for value in values):
        return None
    if kind == "text":
        is_order = operator in ("lt", "lteq", "gt", "gteq")
        return None if is_order else f"{asks} {_shown(values[0])}; put it in quotes: '{_shown(values[0])}'"
    return f"{asks} the text {_shown(values[0])}; write a number, without quotes"


def _is_list(node: nodes.Node) -> bool:
    return isinstance(node, nodes.List | nodes.Tuple) or (
        isinstance(node, nodes.Const) and isinstance(node.value, list)
    )


def _values(node: nodes.Node) -> list[Any]:
    """Return the values that are compared with; None stands for what only an event says."""
    if isinstance(node, nodes.List | nodes.Tuple):
        return [item.value if isinstance(item, nodes.Const) else None for item in node.items]
    if not isinstance(node, nodes.Const):
        return []
    return list(node.value) if isinstance(node.value, list) else [node.value]


def _is_another(kind: str, value: Any) -> bool:
    """Whether a constant is surely of another type; none is compared with every field."""
    return isinstance(value, str) if kind == "number" else isinstance(value, bool | int | float)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value[:_MAX_SHOWN]}'"
    return json.dumps(value)[:_MAX_SHOWN]
