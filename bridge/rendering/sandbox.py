"""The sandbox of the mapping's templates: what exists inside it, and how large anything may become.

No globals, no attributes of Python objects, listed string methods, listed filters and tests; whatever could make much
out of little (products, powers, joins, replacements) computes the size first.
"""

import json
from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_BYTES = 65_536  # of one rendered value
_MAX_NUMBER = 10**30
_MAX_DIGITS = 15
METHODS = frozenset(
    {
        "startswith",
        "endswith",
        "lower",
        "upper",
        "strip",
        "lstrip",
        "rstrip",
        "split",
        "rsplit",
        "removeprefix",
        "removesuffix",
        "title",
        "capitalize",
        "isdigit",
        "isdecimal",
        "isalpha",
        "isalnum",
    }
)
_FILTERS = frozenset(
    {
        "abs",
        "default",
        "d",
        "first",
        "last",
        "length",
        "count",
        "int",
        "float",
        "string",
        "lower",
        "upper",
        "title",
        "capitalize",
        "trim",
        "list",
        "unique",
        "sort",
        "reverse",
        "sum",
        "min",
        "max",
    }
)
_TESTS = frozenset(
    {
        "defined",
        "undefined",
        "none",
        "string",
        "number",
        "integer",
        "float",
        "boolean",
        "true",
        "false",
        "mapping",
        "sequence",
        "in",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "even",
        "odd",
        "equalto",
    }
)


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, narrowed: items instead of attributes, listed methods only, bounded arithmetic."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`a.b` is the item b of a mapping (so keys named `items` or `keys` work), or a listed string method."""
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self._missing(attribute)
        if isinstance(obj, str) and attribute in METHODS:
            return getattr(obj, attribute)
        return self._missing(attribute)

    def _missing(self, name: Any) -> Any:
        return self.undefined(hint=f'there is no "{name}"')

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`a[b]` is the item b, of a mapping, a list or a text; nothing else."""
        try:
            if isinstance(obj, Mapping | list | tuple | str):
                return obj[argument]
        except (LookupError, TypeError):
            pass
        return self._missing(argument)

    def is_safe_callable(self, obj: Any) -> bool:
        """Only the listed methods of texts can be called."""
        return isinstance(getattr(obj, "__self__", None), str) and getattr(obj, "__name__", "") in METHODS

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic on numbers only, and `+` on texts; nothing grows beyond its bound."""
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return _bounded(left + right)
        if not (_is_number(left) and _is_number(right)):
            raise SecurityError(f"{operator!r} takes two numbers")
        if operator == "**" and (abs(right) > 64 or abs(left) > _MAX_NUMBER):
            raise SecurityError("the power is too large")
        result = super().call_binop(context, operator, left, right)
        if abs(result) > _MAX_NUMBER**2:
            raise SecurityError("the number is too large")
        return result


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _bounded(text: str) -> str:
    if len(text) > MAX_BYTES:
        raise SecurityError(f"the result is longer than {MAX_BYTES}")
    return text


def _replace(text: str, old: str, new: str) -> str:
    """Replace, after computing how long the result would be."""
    if not all(isinstance(part, str) for part in (text, old, new)) or not old:
        raise SecurityError("replace takes three texts, the second not empty")
    if len(text) + text.count(old) * (len(new) - len(old)) > MAX_BYTES:
        raise SecurityError(f"the result is longer than {MAX_BYTES}")
    return text.replace(old, new)


def _join(items: Any, separator: str = "") -> str:
    """Join, after computing how long the result would be."""
    texts = [str(item) for item in items]
    if not isinstance(separator, str) or sum(map(len, texts)) + len(separator) * len(texts) > MAX_BYTES:
        raise SecurityError(f"join takes a text, and its result is at most {MAX_BYTES} long")
    return separator.join(texts)


def _round(value: float, digits: int = 0) -> float:
    """Round to a sensible number of digits; none gives a whole number."""
    if not _is_number(value) or not isinstance(digits, int) or not 0 <= digits <= _MAX_DIGITS:
        raise SecurityError(f"round takes a number, and 0 to {_MAX_DIGITS} digits")
    return round(value, digits) if digits else round(value)


def build() -> Sandbox:
    """Return the one environment that every template is compiled in."""
    environment = Sandbox(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.filters = {name: environment.filters[name] for name in _FILTERS} | {
        "replace": _replace,
        "join": _join,
        "round": _round,
        "tojson": lambda value: _bounded(json.dumps(value, allow_nan=False)),
    }
    environment.tests = {name: environment.tests[name] for name in _TESTS}
    environment.globals = {}
    return environment
