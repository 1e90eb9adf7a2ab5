"""Strict YAML whose every value knows its place in the file. The only importer of ruamel.yaml.

YAML 1.2's core schema, so that `on:` is a key and `2025-03-27` is text; no tags, no anchors, no duplicate keys, one
document, bounded in size and depth. The tree is built from the parser's events, since they carry the places and
nothing of the file is ever constructed by its own wish.

`validate` puts the values into a pydantic model and turns each of its complaints into a Problem with a place.
"""

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml import events as ev
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from bridge.words.errors import ConfigError, Problem

MAX_DEPTH = 32
_MAX_PROBLEMS = 100  # a page of them is read, a log of half a million is not
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_is_int = re.compile(r"[-+]?[0-9]+").fullmatch
_MAX_DIGITS = 18  # what every JSON reader on the way keeps exactly
_is_unkept = re.compile("[\x00\ud800-\udfff]").search
_is_float = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?").fullmatch

Path = tuple[str | int, ...]
Place = tuple[int, int]
M = TypeVar("M", bound=BaseModel)


@dataclass(slots=True)
class Tree:
    """The values of one file and the place (1-based line and column) of each."""

    file: str
    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """Return where a path stands: its key, its item, or else its nearest ancestor."""
        while path not in self.places and path:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def problem(self, path: Path, what: str) -> Problem:
        """Return a problem at the place of a path."""
        line, column = self.place(path)
        return Problem(self.file, line, column, what)


def parse(text: str, *, file: str, max_bytes: int = 1_048_576) -> Tree:
    """Read a file's text; raises ConfigError with every problem of its form."""
    if len(text.encode("utf-8", "surrogatepass")) > max_bytes:
        raise ConfigError([Problem(file, 0, 0, f"is larger than {max_bytes} bytes")])
    builder = _Builder(file)
    try:
        builder.read(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        builder.problems.append(Problem(file, line, column, f"not YAML: {error.problem or error.context}"))
    except (YAMLError, ValueError, RecursionError, AttributeError) as error:
        # ruamel lets a few of its own slips through on hostile input; all of them mean the same to the reader.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        builder.problems.append(Problem(file, 1, 1, f"not YAML: {reason[:200]}"))
    if builder.problems:
        raise config_error(builder.problems)
    return builder.tree


def config_error(problems: Iterable[Problem]) -> ConfigError:
    """Return the error that tells each of these problems once; of a great many the first, and how many more."""
    shown = sorted(set(problems))
    if len(shown) <= _MAX_PROBLEMS:
        return ConfigError(shown)
    last = shown[_MAX_PROBLEMS]
    more = replace(last, what=f"... and {len(shown) - _MAX_PROBLEMS} more, from here on")
    return ConfigError([*shown[:_MAX_PROBLEMS], more])


def nearest(word: str, words: Sequence[str]) -> str:
    """Return `, did you mean "..."?` with the nearest valid word, or nothing."""
    found = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f', did you mean "{found[0]}"?' if found else ""


class _Builder:
    """Builds the tree of one file; collects problems instead of stopping at the first."""

    def __init__(self, file: str) -> None:
        self.tree = Tree(file)
        self.problems: list[Problem] = []

    def read(self, events: Iterator[ev.Event]) -> None:
        documents = 0
        for event in events:
            if isinstance(event, ev.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._note(event, "a second document; one file holds one")
                    return
            elif isinstance(event, ev.NodeEvent):
                self.tree.value = self._node(event, events, (), 0)

    def _node(self, event: ev.Event, events: Iterator[ev.Event], path: Path, depth: int) -> Any:
        self.tree.places.setdefault(path, _place(event))
        if depth > MAX_DEPTH:
            # Nothing below can be read, so this ends the reading; what was found before is told too.
            self._note(event, f"is nested deeper than {MAX_DEPTH}")
            raise config_error(self.problems)
        if isinstance(event, ev.AliasEvent):
            self._note(event, "an alias (*name) is not allowed here; repeat the value")
            return None
        self._refuse_extras(event)
        if isinstance(event, ev.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, ev.SequenceStartEvent):
            return self._sequence(events, path, depth)
        return self._mapping(events, path, depth)

    def _sequence(self, events: Iterator[ev.Event], path: Path, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(events), ev.SequenceEndEvent):
            items.append(self._node(event, events, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, events: Iterator[ev.Event], path: Path, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(events), ev.MappingEndEvent):
            key = self._key(event, events, path, depth)
            inner = (*path, key)
            if key in entries:
                self._note(event, f'the key "{key}" stands here twice, first in line {lines[key]}')
            else:
                self.tree.places[inner] = _place(event)
                lines[key] = _place(event)[0]
            value = self._node(next(events), events, inner, depth + 1)
            entries.setdefault(key, value)
        return entries

    def _key(self, event: ev.Event, events: Iterator[ev.Event], path: Path, depth: int) -> str:
        if isinstance(event, ev.ScalarEvent):
            self._refuse_extras(event)
            return self._text(event)
        self._note(event, "a key must be a plain word")
        self._node(event, events, (*path, "?"), depth + 1)
        return "?"

    def _scalar(self, event: ev.ScalarEvent) -> Any:
        """Return a plain scalar by YAML 1.2's core schema, anything quoted as text."""
        text = self._text(event)
        if event.style not in (None, ""):
            return text
        if text in _NULL:
            return None
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if _is_int(text) and len(text.lstrip("+-")) <= _MAX_DIGITS:
            return int(text)
        if _is_int(text) or (_is_float(text) and not math.isfinite(float(text))):
            self._note(event, "a number too large to be kept exactly; put it in quotes")
            return 0
        return float(text) if _is_float(text) else text

    def _text(self, event: ev.ScalarEvent) -> str:
        if _is_unkept(event.value):
            self._note(event, "a text must hold no NUL and no half of a character (\\0, \\ud800)")
            return ""
        return str(event.value)

    def _refuse_extras(self, event: ev.Event) -> None:
        if getattr(event, "anchor", None) is not None:
            self._note(event, "an anchor (&name) is not allowed here")
        if getattr(event, "tag", None) is not None:
            self._note(event, "a tag (!name) is not allowed here")

    def _note(self, event: ev.Event, what: str) -> None:
        self.problems.append(Problem(self.tree.file, *_place(event), what))


def _place(event: ev.Event) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1


def validate(model: type[M], tree: Tree, *, context: Any = None) -> M:
    """Return the model of a tree's values; raises ConfigError with every complaint at its place.

    `context` is what the model's own validators are given.
    """
    if tree.value is None:
        raise ConfigError([tree.problem((), "is empty")])
    try:
        return model.model_validate(tree.value, context=context)
    except ValidationError as error:
        problems = [_explain(model, tree, detail) for detail in error.errors(include_url=False)]
        raise config_error(problems) from None


def _explain(model: type[BaseModel], tree: Tree, detail: ErrorDetails) -> Problem:
    """Put one of pydantic's complaints into words, at its place."""
    path = _real_path(detail["loc"], tree.value)
    last = detail["loc"][-1] if detail["loc"] else "file"
    name = f"item {last + 1}" if isinstance(last, int) else last
    match detail["type"]:
        case "extra_forbidden":
            words = _siblings(model, detail["loc"])
            hint = nearest(name, words) or (f"; there is {', '.join(words)}" if words else "")
            return tree.problem(path, f'unknown key "{name}"{hint}')
        case "missing":
            return tree.problem(path, f'the key "{name}" is missing')
        case "literal_error" | "enum":
            given = str(detail["input"])
            allowed = str(detail.get("ctx", {}).get("expected", ""))
            words = re.findall(r"'([^']*)'", allowed)
            hint = nearest(given, words) or f"; it can be {', '.join(words)}"
            return tree.problem(path, f'"{given[:60]}" is not valid here{hint}')
        case "too_short":
            return tree.problem(path, f'"{name}" is empty')
        case _:
            if detail["type"] == "value_error":
                return tree.problem(path, detail["msg"].removeprefix("Value error, "))
            return tree.problem(path, _worded(name, detail))


_MUST_BE = {
    "string_type": "must be a string",
    "list_type": "must be a list",
    "dict_type": "must hold keys with values",
    "model_type": "must hold keys with values",
    "model_attributes_type": "must hold keys with values",
    "bool_type": "must be true or false",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
}


def _worded(name: str, detail: ErrorDetails) -> str:
    """Return one of pydantic's other complaints in the words of the file."""
    given = detail["input"]
    must_be = _MUST_BE.get(detail["type"])
    if detail["type"] == "string_type" and isinstance(given, bool | int | float):
        return f'"{name}" {must_be}; put it in quotes: "{str(given).lower()}"'
    if must_be is not None:
        return f'"{name}" {must_be}'
    message = detail["msg"].replace("Input should be a valid", "must be a").replace("Input should be", "must be")
    return f'"{name}" {message[:1].lower()}{message[1:]}'


def _real_path(loc: tuple[str | int, ...], value: Any) -> Path:
    """Return the part of pydantic's location that names places of the file (it also names union branches)."""
    path: list[str | int] = []
    for step in loc:
        is_key = isinstance(value, dict) and step in value
        is_item = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if is_key or is_item:
            value = value[step]
            path.append(step)
    return tuple(path)


def _siblings(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """Return the keys that are valid beside an unknown one, by walking the models along its location."""
    current: type[BaseModel] | None = model
    for step in loc[:-1]:
        if isinstance(step, str) and current is not None and step in _keys(current):
            current = _model_in(_keys(current)[step])
    return list(_keys(current)) if current is not None else []


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the first model inside an annotation like `list[Route]` or `dict[str, Source] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        if (found := _model_in(part)) is not None:
            return found
    return None
