"""How the sender of one source spells its bodies: where its fields stand, and what its status words mean. Pure.

A field's own places are looked at first. If nothing stands there, the usual names count (`is_usual`), unless the source
uses no preset. A status word of the source counts more than the usual one; both are compared without case.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from bridge.rules.event import statuses
from bridge.rules.event.pointers import Path, read_pointer, spell_pointer
from bridge.rules.event.statuses import Meanings, Progress
from bridge.words.model import EVENT_FIELDS, Status

FIELDS = (*(name for name in EVENT_FIELDS if name != "data"), "test")
MEANINGS: Mapping[str, Status | Progress] = {each.value: each for each in (*Status, *Progress)}
_MOST_PLACES = 8
_MOST_WORDS = 200


@dataclass(frozen=True)
class Spelling:
    """What is special about one sender's bodies; equal for equal settings.

    `zone`: of instants without an offset. `fields`: where a field stands, best place first. `words`: what a status word
    (in lower case) means. `is_usual`: whether the usual names and words count, too.
    """

    zone: tzinfo | None = None
    fields: tuple[tuple[str, tuple[Path, ...]], ...] = ()
    words: tuple[tuple[str, Status | Progress], ...] = ()
    is_usual: bool = True

    @cached_property
    def places(self) -> Mapping[str, tuple[Path, ...]]:
        """Where each field is looked for first."""
        return dict(self.fields)

    @cached_property
    def meanings(self) -> Meanings:
        """What each status word means."""
        return {**(statuses.WORDS if self.is_usual else {}), **dict(self.words)}

    @property
    def of_answers(self) -> "Spelling":
        """How this tenant's API spells its answers: under the usual names, with the tenant's own status words."""
        return replace(self, fields=(), is_usual=True)

    def written(self) -> dict[str, Any]:
        """Return it as plain JSON values, which `of_written` reads."""
        return {
            "timezone": None if self.zone is None else str(self.zone),
            "preset": "planasonix" if self.is_usual else "none",
            "fields": {name: [spell_pointer(path) for path in paths] for name, paths in self.fields},
            "statuses": {word: str(meaning.value) for word, meaning in self.words},
        }

    @classmethod
    def of_written(cls, written: Mapping[str, Any]) -> "Spelling":
        """Read what `written` returned."""
        zone = written.get("timezone")
        return cls(
            None if zone is None else ZoneInfo(zone),
            read_fields(written.get("fields") or {}),
            tuple((word, MEANINGS[meaning]) for word, meaning in (written.get("statuses") or {}).items()),
            written.get("preset") != "none",
        )


def read_fields(given: Mapping[str, Any]) -> tuple[tuple[str, tuple[Path, ...]], ...]:
    """Read the places of fields, `{pipeline_id: /data/pipeline/uuid}`; a list is read in its order. ValueError."""
    return tuple((name, read_places(where)) for name, where in given.items())


def read_places(where: object) -> tuple[Path, ...]:
    """Read a JSON pointer, or a list of them in the order in which they are tried. Raises ValueError."""
    found = [where] if isinstance(where, str) else where
    if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
        raise ValueError("give a JSON pointer such as /data/pipeline/uuid, or a list of them")
    if len(found) > _MOST_PLACES:
        raise ValueError(f"give at most {_MOST_PLACES} JSON pointers")
    return tuple(map(read_pointer, found))


def read_words(given: Mapping[str, Any]) -> tuple[tuple[str, Status | Progress], ...]:
    """Read the words of each status, `{succeeded: [OK, DONE]}`; raises ValueError for one with two meanings."""
    found: dict[str, str] = {}
    for meaning, word in _words(given):
        if not word:
            raise ValueError(f"{meaning}: a status word is not empty")
        if found.setdefault(word, meaning) != meaning:
            raise ValueError(f"{word!r} stands under {found[word]} and under {meaning}")
    if len(found) > _MOST_WORDS:
        raise ValueError(f"give at most {_MOST_WORDS} status words")
    return tuple((word, MEANINGS[meaning]) for word, meaning in found.items())


def _words(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for meaning, words in given.items():
        for word in words if isinstance(words, list) else [words]:
            if isinstance(word, bool) or not isinstance(word, str | int | float):
                raise ValueError(f"{meaning}: {str(word)[:20]!r} is not a word; put it in quotes")  # noqa: TRY004
            yield meaning, str(word).strip().lower()


USUAL = Spelling()
