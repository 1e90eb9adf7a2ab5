"""From a file's text to its tree, built from the parser's events.

They carry the places, and nothing of the file is ever constructed by its own wish.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml import events as ev
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from bridge.rules.yamltree.syntax import QUOTE_IT, Broken, advice, hidden_letter
from bridge.rules.yamltree.tree import Path, Place, Tree, config_error
from bridge.words.errors import ConfigError, Problem

MAX_DEPTH = 32
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_is_int = re.compile(r"[-+]?[0-9]+").fullmatch
_MAX_DIGITS = 18  # what every JSON reader on the way keeps exactly
_is_unkept = re.compile("[\x00\ud800-\udfff]").search
_is_float = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?").fullmatch


def parse(text: str, *, file: str, max_bytes: int = 1_048_576) -> Tree:
    """Read a file's text; raises ConfigError with every problem of its form."""
    if len(text.encode("utf-8", "surrogatepass")) > max_bytes:
        raise ConfigError([Problem(file, 0, 0, f"is larger than {max_bytes} bytes")])
    builder = _Builder(file)
    try:
        builder.read(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        problem = _syntax_problem(error, builder, text, file)
        if not any(known.what == QUOTE_IT and known.line == problem.line for known in builder.problems):
            builder.problems.append(problem)
    except (YAMLError, ValueError, RecursionError, AttributeError) as error:
        # ruamel lets a few of its own slips through on hostile input; all of them mean the same to the reader.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        builder.problems.append(Problem(file, 1, 1, f"not YAML: {reason[:200]}"))
    if builder.problems:
        raise config_error(builder.problems)
    return builder.tree


def _syntax_problem(error: MarkedYAMLError, builder: "_Builder", text: str, file: str) -> Problem:
    marks = [mark for mark in (error.problem_mark, error.context_mark) if mark is not None]
    places = [(mark.line + 1, mark.column + 1) for mark in marks] or [(1, 1)]
    broken = Broken(error.problem or "", error.context or "", places[0], places[-1], builder.quoted)
    place, what = advice(broken, text.splitlines())
    return Problem(file, *place, f"not YAML: {what}")


class _Builder:
    """Builds the tree of one file; collects problems instead of stopping at the first."""

    def __init__(self, file: str) -> None:
        self.tree = Tree(file)
        self.problems: list[Problem] = []
        self.quoted: tuple[Place, Place] | None = None  # where the last text in quotes that spans lines opens and ends

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
            self._note(
                event, f'an alias (*name) is not allowed here; repeat the value, or quote a glob: "*{event.anchor}"'
            )
            return None
        self._refuse_extras(event)
        if isinstance(event, ev.ScalarEvent):
            return self._scalar(event, path)
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
            if letter := hidden_letter(event.value):
                self._note(event, f"the key holds {letter}, which looks like a blank; write it anew")
            return self._text(event)
        is_template = isinstance(event, ev.MappingStartEvent) and event.flow_style
        self._note(event, QUOTE_IT if is_template else "a key must be a plain word")
        self._node(event, events, (*path, "?"), depth + 1)
        return "?"

    def _scalar(self, event: ev.ScalarEvent, path: Path) -> Any:
        """Return a plain scalar by YAML 1.2's core schema, anything quoted as text."""
        text = self._text(event)
        if event.style not in (None, ""):
            if event.start_mark.line != event.end_mark.line and event.style in "'\"":
                self.quoted = _place(event), (event.end_mark.line + 1, event.end_mark.column + 1)
            return text
        self.tree.spelled[path] = text
        return self._plain(event, text)

    def _plain(self, event: ev.ScalarEvent, text: str) -> Any:
        if text in _NULL:
            return None
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if _is_int(text) and len(text.lstrip("+-")) <= _MAX_DIGITS:
            return int(text)
        if _is_int(text) or (_is_float(text) and not math.isfinite(float(text))):
            self._note(event, "a number too large to be kept exactly; put it in quotes")
            return None
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
