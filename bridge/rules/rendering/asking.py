"""What a `when` asks of one field for certain, read from its parsed expression, before there is any event."""

from collections.abc import Iterator

from jinja2 import nodes


def texts_asked(expression: nodes.Expr, field: str) -> tuple[frozenset[str], ...]:
    """Return sets of texts, of each of which `event.<field>` must be one; without a set nothing is certain.

    Counted are `event.<field> == 'text'` and `event.<field> in ['text', ...]`, alone or joined by `and`.
    """
    return tuple(_sets(expression, field))


def event_field(node: nodes.Node) -> str | None:
    """Return the field that `event.field` or `event['field']` names, None for anything else."""
    match node:
        case nodes.Getattr(node=nodes.Name(name="event"), attr=field):
            return str(field)
        case nodes.Getitem(node=nodes.Name(name="event"), arg=nodes.Const(value=str(field))):
            return field
    return None


def _sets(node: nodes.Node, field: str) -> Iterator[frozenset[str]]:
    match node:
        case nodes.And(left=first, right=second):
            yield from _sets(first, field)
            yield from _sets(second, field)
        case nodes.Compare(expr=first, ops=[nodes.Operand(op="eq", expr=second)]):
            for asked, given in ((first, second), (second, first)):
                if event_field(asked) == field and (text := _text(given)) is not None:
                    yield frozenset([text])
        case nodes.Compare(expr=asked, ops=[nodes.Operand(op="in", expr=nodes.List() | nodes.Tuple() as many)]):
            texts = [_text(item) for item in many.items]
            if event_field(asked) == field and None not in texts:
                yield frozenset(text for text in texts if text is not None)


def _text(node: nodes.Node) -> str | None:
    return node.value if isinstance(node, nodes.Const) and isinstance(node.value, str) else None
