"""What to write instead: of a template that cannot be read, and of a name or test that no template has. Pure."""

import re
from collections.abc import Mapping

from jinja2 import nodes

_expressions = re.compile(r"\{\{(.*?)\}\}", re.DOTALL).findall
_texts = re.compile(r"'[^']*'|\"[^\"]*\"")
_half_closed = re.compile(r"\{\{([^{}]{1,200})\}(?!\s*\})").search
_value_as_statement = re.compile(r"\{%[-+]?\s*((?:event|delivery|route|vars)\b[^{}%]{0,200})%\}").search
_OPERATORS = {
    r"&&": "write `and` instead of `&&`",
    r"\|\|": "write `or` instead of `||`",
    r"!(?!=)": "write `not` instead of `!`",
    r"===": "write `==` to compare",
    r"(?<![=!<>])=(?!=)": "write `==` to compare",
    r"\?|\bthen\b": "write `a if condition else b`",
    r"<>": "write `!=`",
    r"(?i:\blike\b)": "write `'text' in event.pipeline_name`, or `event.pipeline_name.startswith('text')`",
    r"(?i:\bis\s+null\b)": "write `is none`",
    r"(?i:\bis\s+not\s+null\b)": "write `is not none`",
    r"\bAND\b": "write `and` instead of `AND`",
    r"\bOR\b": "write `or` instead of `OR`",
    r"\bNOT\b": "write `not` instead of `NOT`",
    r"\bIN\b": "write `in` instead of `IN`",
}
_VALUES = {"null": "none", "nil": "none", "none": "none", "true": "true", "false": "false"}


def of_template(text: str) -> str:
    """Return `; write ...` for a template that cannot be read, nothing if it is not known what is meant."""
    if found := _half_closed(text) or _value_as_statement(text):
        return f"; write `{{{{ {found[1].strip(' -+')} }}}}`"
    for expression in _expressions(text):
        bare = _texts.sub("''", expression)
        for operator, instead in _OPERATORS.items():
            if re.search(operator, bare):
                return f"; {instead}"
    return ""


def of_value(word: str) -> str | None:
    """Return how to spell a constant that another language spells otherwise, None for any other word."""
    instead = _VALUES.get(word.lower())
    return None if instead is None else f', did you mean "{instead}"?'


def of_name(word: str, tree: nodes.Template, given: Mapping[str, tuple[str, ...]]) -> str | None:
    """Return what is meant by an unknown name; `given` are the fields of each name that templates have."""
    owner = next((name for name, fields in given.items() if word in fields), None)
    if owner is not None:
        return f', did you mean "{owner}.{word}"?'
    return of_value(word) or (f"; a text needs quotes: '{word}'" if _is_compared_with(word, tree) else None)


def _is_compared_with(word: str, tree: nodes.Template) -> bool:
    """Whether a name stands on the right of a comparison, or in a list there."""
    sides = [operand.expr for compare in tree.find_all(nodes.Compare) for operand in compare.ops]
    listed = [item for side in sides if isinstance(side, nodes.List | nodes.Tuple) for item in side.items]
    return any(isinstance(side, nodes.Name) and side.name == word for side in (*sides, *listed))
