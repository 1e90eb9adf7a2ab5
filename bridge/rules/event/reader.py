"""Reads single fields of a body, or of an answer of the API: at the places of the source's own spelling, else by name.

Each field is noted with the place where it was found (`origins`), or with why it cannot be read (`unreadable`). Neither
ever holds a value.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, TypeVar

from bridge.rules.event import grammar
from bridge.rules.event.grammar import Misfit
from bridge.rules.event.instants import as_instant
from bridge.rules.event.pointers import look, spell_pointer
from bridge.rules.event.spelling import Spelling

Parts = tuple[tuple[str, Mapping[str, Any]], ...]  # where it stands, and the object; best first
Found = list[tuple[str, Any]]  # where a value stands, and the value
Value = TypeVar("Value")

TWICE = "stands twice, with different values"
_WORD_CHARACTERS = 100
_unfit_for_text = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ROWS = (
    "rows_loaded",
    "metrics.rows_loaded",
    "metrics.rows_written",
    "summary.total_rows_synced",
    "rows_processed",
    "records_written",
)


@cache
def spellings(*names: str) -> tuple[str, ...]:
    """Return every name in snake_case and camelCase. The names are ours, so the cache is small."""
    both = ((name, re.sub("_(.)", lambda found: found[1].upper(), name)) for name in names)
    return tuple(dict.fromkeys(spelling for pair in both for spelling in pair))


def values(parts: Parts, *names: str) -> Found:
    """Return what stands under these names, in both casings, without null."""
    both = spellings(*names)
    return [(f"{at}/{name}", part[name]) for at, part in parts for name in both if part.get(name) is not None]


class Reader:
    """Reads the fields of a body, or of an answer of the API."""

    def __init__(self, parts: Parts, spelling: Spelling, whole: Mapping[str, Any] | None = None) -> None:
        """`parts`: where to look for the usual names; `whole`: where the pointers of the source begin, if anywhere."""
        self.parts = parts
        self.spelling = spelling
        self.unreadable: dict[str, str] = {}
        self.origins: dict[str, str] = {}
        self.instant = partial(as_instant, zone=spelling.zone)
        self._whole = whole

    def facts(self) -> dict[str, Any]:
        """Return the `Event` fields that a webhook body and an answer of the API spell in the same way."""
        ids = ("pipeline_id", "connection_id", "run_id", "job_id", "backfill_id")
        return {
            **{name: self.item(name, grammar.as_id) for name in ids},
            "pipeline_name": self.item("pipeline_name", grammar.as_name),
            "environment": self.item("environment", grammar.as_name),
            "started_at": self.first("started_at", self.instant),
            "finished_at": self.first("finished_at", self.instant, "finished_at", "ended_at"),
            "duration_seconds": self.first(
                "duration_seconds", grammar.as_number, "duration_seconds", "summary.duration_seconds"
            ),
            "rows_loaded": self.first("rows_loaded", grammar.as_count, *_ROWS),
            "parameters": self.first("parameters", grammar.as_object) or {},
            "metadata": self.first("metadata", grammar.as_object) or {},
            "error": self.first("error", lambda value: value, "error", "error_message"),
        }

    def item(self, name: str, as_type: Callable[[object], str | None]) -> str | None:
        """Return the one value of a field that routes use; two different ones are not guessed between."""
        found, why = self._typed(self.pointed(name) or self._usual(name), as_type)
        if len({value for _, value in found}) > 1:
            why, found = TWICE, []
        return self._noted(name, found, why)

    def first(self, field: str, as_type: Callable[[object], Value | None], *names: str) -> Value | None:
        """Return the first value that can be read; a name may be a path of two (`metrics.rows_loaded`)."""
        why: str | None = None
        pointed = self.pointed(field)
        for found in (pointed,) if pointed else map(self._usual, names or (field,)):
            typed, misfit = self._typed(found, as_type)
            if typed:
                return self._noted(field, typed, None)
            why = why or misfit
        return self._noted(field, [], why)

    def status_words(self) -> list[str]:
        """Return the status words as sent; one that is no word is noted, and no other one counts beside it."""
        words: list[str] = []
        for where, value in self.pointed("status") or self._usual("status"):
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                word = _unfit_for_text.sub("\N{REPLACEMENT CHARACTER}", str(value).strip())[:_WORD_CHARACTERS]
                words += [word] if word else []
                self.origins.setdefault("status", where)
            else:
                self.unreadable["status"] = "is not a word"
        return [] if "status" in self.unreadable else words

    def marks(self) -> list[Any]:
        """Return what may mark a test event."""
        return [value for _, value in self.pointed("test") or self._usual("test")]

    def pointed(self, field: str) -> Found:
        """Return what stands at the first place of the source's own spelling where anything does."""
        for path in self.spelling.places.get(field, ()):
            value = look(self._whole, path)
            if not grammar.is_empty(value):
                return [(spell_pointer(path), value)]
        return []

    def _usual(self, name: str) -> Found:
        if not self.spelling.is_usual:
            return []
        outer, _, inner = name.rpartition(".")
        if not outer:
            return values(self.parts, inner)
        boxes = tuple((at, box) for at, box in values(self.parts, outer) if isinstance(box, dict))
        return values(boxes, inner)

    def _noted(self, field: str, found: list[tuple[str, Value]], why: str | None) -> Value | None:
        """Return the first value, and note where it stands; or why there is none."""
        if found:
            self.origins[field] = found[0][0]
            return found[0][1]
        if why is not None:
            self.unreadable[field] = why + "".join(f" (at {where})" for where, _ in self.pointed(field))
        return None

    def _typed(
        self, found: Found, as_type: Callable[[object], Value | None]
    ) -> tuple[list[tuple[str, Value]], str | None]:
        """Return the values that can be read, and why the first other one cannot."""
        typed: list[tuple[str, Value]] = []
        why: str | None = None
        for where, value in found:
            try:
                read_value = as_type(value)
            except Misfit as misfit:
                why = why or str(misfit)
            else:
                typed += [] if read_value is None else [(where, read_value)]
        return typed, why
