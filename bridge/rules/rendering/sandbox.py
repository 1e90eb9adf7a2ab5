"""The sandbox of the mapping's templates: what exists inside it, and how large anything may become.

No globals, no attributes of Python objects, listed string methods, listed filters and tests; whatever could make much
out of little (products, powers, joins, replacements) computes the size first. It must never trust a filter or test of
Jinja with a value of any type: `x is even` is `x % 2`, which formats when x is a text that the sender chose.
"""

import functools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import StrictUndefined
from jinja2 import filters as jinja_filters
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bridge.rules.rendering import moments, wording

MAX_BYTES = wording.MAX_BYTES  # of one rendered value
_MAX_INPUT = 1_048_576  # of what a filter or `set` takes in: an event is no larger
_MAX_NUMBER = 10**64  # an event's numbers have at most 64 digits
_MAX_POWER = 64
_MAX_DIGITS = 15
_NO_DEFAULT: Any = object()
# fmt: off
METHODS = frozenset({
    "startswith", "endswith", "lower", "upper", "strip", "lstrip", "rstrip", "split", "rsplit", "removeprefix",
    "removesuffix", "title", "capitalize", "isdigit", "isdecimal", "isalpha", "isalnum",
})
_FILTERS = frozenset({
    "abs", "default", "d", "first", "last", "length", "count", "list", "unique", "sort", "reverse", "min", "max",
})
# Jinja's make the text `None` of a missing value: `event.environment | lower == 'prod'` would be a silent no.
_TEXT_FILTERS = frozenset({"string", "lower", "upper", "title", "capitalize", "trim"})
_TESTS = frozenset({
    "defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "true", "false", "mapping",
    "sequence", "in", "eq", "ne", "lt", "le", "gt", "ge", "equalto",
})
# fmt: on


class TooLong(SecurityError):
    """A value is longer than one value of conf may be."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Stands for a value that is there and could not be read: asking for it is an error, never null or a default."""

    why: str


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, narrowed: items instead of attributes, listed methods only, bounded arithmetic."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`a.b` is the item b of a mapping (so keys named `items` or `keys` work), or a listed string method."""
        if isinstance(obj, StrictUndefined):
            return obj  # the first name that is missing is the one to tell
        if isinstance(obj, Mapping) and attribute in obj:
            return _readable(obj[attribute])
        if isinstance(obj, str) and attribute in METHODS:
            return getattr(obj, attribute)
        return self.undefined(hint=f'{"none has" if obj is None else "there is"} no "{attribute}"')

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`a[b]` is the item b, of a mapping, a list or a text; nothing else."""
        if isinstance(obj, StrictUndefined):
            return obj
        try:
            if isinstance(obj, Mapping | list | tuple | str):
                return _readable(obj[argument])
        except (LookupError, TypeError):
            pass
        return self.undefined(hint="there is no such key or item")  # which one may be the event's, so it is not told

    def is_safe_callable(self, obj: Any) -> bool:
        """Only the listed methods of texts can be called, and of no text longer than a result may be."""
        if isinstance(obj, StrictUndefined):
            obj._fail_with_undefined_error()
        owner = getattr(obj, "__self__", None)
        if not isinstance(owner, str) or getattr(obj, "__name__", "") not in METHODS:
            raise SecurityError("only methods of texts can be called")  # Jinja's own error would show the value
        if len(owner) > MAX_BYTES:
            raise SecurityError(f"the text is longer than {MAX_BYTES}")
        return True

    def call_binop(self, context: Any, operator: str, first: Any, second: Any) -> Any:
        """Arithmetic on numbers only, and `+` on texts; nothing grows beyond its bound."""
        for side in (first, second):
            if isinstance(side, StrictUndefined):
                side._fail_with_undefined_error()
        if operator == "+" and isinstance(first, str) and isinstance(second, str):
            return _bounded(first + second)
        if not (_is_number(first) and _is_number(second)):
            raise SecurityError(f"{operator!r} takes two numbers")
        if operator == "**" and (abs(second) > _MAX_POWER or abs(first) > _MAX_NUMBER):
            raise SecurityError("the power is too large")
        result = super().call_binop(context, operator, first, second)
        if isinstance(result, complex) or abs(result) > _MAX_NUMBER:
            raise SecurityError("the number is too large, or not a real one")
        return result


def _readable(value: Any) -> Any:
    if isinstance(value, Unread):
        raise SecurityError(value.why)
    return value


def weigh(value: Any, limit: int) -> None:
    """Raise unless a value is JSON and not larger than `limit`; the work is bounded by `limit`, not by the value."""
    waiting, size = [value], 0
    while waiting:
        item = waiting.pop()
        size += 1
        if isinstance(item, str):
            size += len(item)
        elif isinstance(item, dict) and all(isinstance(key, str) for key in item):
            size += sum(map(len, item))
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
        else:
            _require_scalar(item)
        if size + len(waiting) > limit:
            raise TooLong(f"the result is longer than {limit}")


def _require_scalar(value: Any) -> None:
    if isinstance(value, StrictUndefined):
        value._fail_with_undefined_error()
    _readable(value)
    if callable(value):
        raise SecurityError("a method stands where a value should; call it with ()")
    if isinstance(value, float) and not math.isfinite(value):
        raise SecurityError("the number is infinite or none at all")
    if value is not None and not isinstance(value, bool | int | float):
        raise SecurityError(f"the result holds something that is not JSON ({type(value).__name__})")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _bounded(text: str) -> str:
    if len(text) > MAX_BYTES:
        raise TooLong(f"the result is longer than {MAX_BYTES}")
    return text


def _text(value: Any) -> str:
    """Return what `{{ }}` prints in the midst of a text, after computing how long it would be."""
    weigh(value, MAX_BYTES)
    return str(value)


def _given_text(value: Any) -> str:
    """Print inside an id: two events that lack a value must not share one."""
    if value is None or value == "":
        raise SecurityError("a value is missing, so the id would not be this event's own")
    return _text(value)


def _held(value: Any) -> Any:
    """Pass on what `{% set %}` keeps; without the bound, a few doublings would fill the memory."""
    weigh(value, _MAX_INPUT)
    return value


def _replace(text: str, old: str, new: str) -> str:
    """Replace, after computing how long the result would be."""
    if not all(isinstance(part, str) for part in (text, old, new)) or not old:
        raise SecurityError("replace takes three texts, the second not empty")
    if len(text) + text.count(old) * (len(new) - len(old)) > MAX_BYTES:
        raise TooLong(f"the result is longer than {MAX_BYTES}")
    return text.replace(old, new)


def _join(items: Any, separator: str = "") -> str:
    """Join, after computing how long the result would be; also what `~` does."""
    if not isinstance(items, str | list | tuple) or not isinstance(separator, str):
        raise SecurityError("join takes a list and a text")
    weigh(items, MAX_BYTES)
    if len(separator) * (len(items) - 1) > MAX_BYTES:
        raise TooLong(f"the result is longer than {MAX_BYTES}")
    return _bounded(separator.join(map(str, items)))


def _round(value: float, digits: int = 0) -> float:
    """Round to a sensible number of digits; none gives a whole number."""
    if not _is_number(value) or not isinstance(digits, int) or not 0 <= digits <= _MAX_DIGITS:
        raise SecurityError(f"round takes a number, and 0 to {_MAX_DIGITS} digits")
    return round(value, digits) if digits else round(value)


def _sum(numbers: Any) -> float:
    """Add numbers only: adding lists would take quadratic time."""
    if not isinstance(numbers, list | tuple) or not all(map(_is_number, numbers)):
        raise SecurityError("sum takes a list of numbers")
    return sum(numbers)


def _tojson(value: Any) -> str:
    weigh(value, MAX_BYTES)
    return _bounded(json.dumps(value))


def _int(value: Any, default: Any = _NO_DEFAULT, base: int = 10) -> Any:
    """Return a whole number as Jinja's filter does; what is no number is an error unless a default is given."""
    return _or_fail(jinja_filters.do_int(value, _NO_DEFAULT, base), default, "int")


def _float(value: Any, default: Any = _NO_DEFAULT) -> Any:
    """Return a number as Jinja's filter does; what is no number is an error unless a default is given."""
    number = jinja_filters.do_float(value, _NO_DEFAULT)
    is_finite = not isinstance(number, float) or math.isfinite(number)
    return _or_fail(number if is_finite else _NO_DEFAULT, default, "float")


def _or_fail(number: Any, default: Any, name: str) -> Any:
    if number is not _NO_DEFAULT:
        return number
    if default is _NO_DEFAULT:
        raise SecurityError(f"{name}: the value is not a number; `{name}(0)` would take 0 for it")
    return default


def _of_text(jinja_filter: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return one of Jinja's text filters that makes no text `None` of a value that is missing."""
    guarded = _guarded(jinja_filter)

    @functools.wraps(jinja_filter)
    def of_text(value: Any, *args: Any, **kwargs: Any) -> Any:
        if value is None:
            raise SecurityError(f"{name} takes a text, and the value is none")
        return guarded(value, *args, **kwargs)

    return of_text


def _is_even(value: Any) -> bool:
    if not isinstance(value, int):
        raise SecurityError("even and odd take a whole number")
    return value % 2 == 0


def _is_odd(value: Any) -> bool:
    return not _is_even(value)


def _guarded(jinja_filter: Callable[..., Any]) -> Callable[..., Any]:
    """Return one of Jinja's filters that first looks how large its input is, and never gives a generator."""
    position = 1 if hasattr(jinja_filter, "jinja_pass_arg") else 0

    @functools.wraps(jinja_filter)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        value = args[position]
        if not isinstance(value, StrictUndefined):
            weigh(value, _MAX_INPUT)
        result = jinja_filter(*args, **kwargs)
        return list(result) if hasattr(result, "__next__") else result

    return guarded


# What the checker puts into a template by itself; no name of these can be written in one.
INTERNAL_FILTERS: Mapping[str, Callable[..., Any]] = {
    "~join": _join,
    "~text": _text,
    "~id": _given_text,
    "~held": _held,
}


def build() -> Sandbox:
    """Return an environment with what mappings may use, and nothing else."""
    # Not optimized: nothing is computed at load, and Jinja's folding takes time in the square of an expression.
    environment = Sandbox(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, optimized=False)
    environment.filters = {name: _guarded(environment.filters[name]) for name in _FILTERS} | {
        **{name: _of_text(environment.filters[name], name) for name in _TEXT_FILTERS},
        "int": _guarded(_int),
        "float": _guarded(_float),
        "replace": _replace,
        "join": _join,
        "round": _round,
        "sum": _sum,
        "tojson": _tojson,
        **moments.FILTERS,
        **wording.FILTERS,
    }
    environment.tests = {name: environment.tests[name] for name in _TESTS} | {"even": _is_even, "odd": _is_odd}
    environment.globals = {}
    return environment
