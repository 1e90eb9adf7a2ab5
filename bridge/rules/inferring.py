"""Proposes the `body` block of a source from bodies that it has sent. Pure.

    1. what the usual names already find is left alone
    2. for each field that routes need and that no body has under a usual name, every value of the bodies is a candidate
       whose path speaks of it and that has its form; the candidate that the most bodies have wins, then the one
       whose path says it best, then the shortest path
    3. status words that nobody knows are put under the status that people mean by them, or are listed as `unknown`

A proposal is for a person to look at. Nothing here guesses twice: a path that speaks of nothing is not proposed.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.rules import strict_json
from bridge.rules.event import grammar, reading, statuses
from bridge.rules.event.grammar import Misfit
from bridge.rules.event.instants import as_instant
from bridge.rules.event.pointers import Path, look, spell_pointer
from bridge.rules.event.reader import Reader
from bridge.rules.event.spelling import Spelling
from bridge.words.errors import Unreadable

_DEEPEST = 6
_STATUS_NAMES = frozenset({"status", "state", "result", "outcome", "conclusion"})
# By the words in a path: what makes it one of a field, best first. All words of a line must be there.
_HINTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "id": (("event", "id"), ("webhook", "id"), ("message", "id"), ("delivery", "id"), ("uuid",)),
    "type": (("event", "type"), ("type",), ("event",), ("kind",)),
    "status": (("run", "status"), ("job", "status"), *((name,) for name in sorted(_STATUS_NAMES)), ("code",)),
    "pipeline_id": tuple((what, key) for what in ("pipeline", "flow", "dataflow") for key in ("id", "uuid", "key")),
    "pipeline_name": (("pipeline", "name"), ("flow", "name"), ("job", "name")),
    "run_id": (("run", "id"), ("run", "uuid"), ("execution", "id")),
    "job_id": (("job", "id"), ("job", "uuid"), ("task", "id")),
    "occurred_at": (("timestamp",), ("occurred", "at"), ("sent", "at"), ("event", "time")),
    "finished_at": (("finished", "at"), ("ended", "at"), ("end", "time"), ("completed", "at"), ("finished",), ("end",)),
}
_FORMS: dict[str, Callable[[object], object]] = {
    "pipeline_name": grammar.as_name,
    "type": grammar.as_name,
    "status": grammar.as_name,
    "occurred_at": as_instant,
    "finished_at": as_instant,
}
NEEDED = ("status", "pipeline_id")
_MEANT = {
    "succeeded": ("ok", "done", "complete", "finished", "pass", "passed", "successful", "green", "loaded"),
    "failed": ("ko", "fail", "failure", "error", "errored", "timeout", "timed_out", "timedout", "aborted", "crashed"),
    "cancelled": ("cancel", "stopped", "killed", "terminated", "revoked"),
    "skipped": ("skip", "noop", "no_op", "no_change", "not_run"),
    "running": ("started", "starting", "in_progress", "pending", "waiting", "executing"),
}
_MEANING = {word: meaning for meaning, words in _MEANT.items() for word in words}
_words_of = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+").findall


@dataclass(frozen=True, slots=True)
class Proposal:
    """What to write under `body`, and what is known without it. `unknown`: status words that a person has to place."""

    fields: Mapping[str, str]
    statuses: Mapping[str, Sequence[str]]
    unknown: Sequence[str]
    found: Mapping[str, Sequence[str]]  # where a field is read without any setting
    missing: Sequence[str]  # fields of NEEDED that some body has nowhere

    @property
    def is_complete(self) -> bool:
        """Whether every body has a pipeline and a status that is known."""
        return not self.missing and not self.unknown


def propose(bodies: Sequence[bytes]) -> Proposal:
    """Return what to write for the sender of these bodies. Raises Unreadable for one that is no JSON object."""
    wholes = [strict_json.parse_body(body) for body in bodies]
    usual = [_origins(body) for body in bodies]
    leaves = Counter(path for whole in wholes for path in _leaves(whole))
    fields: dict[str, Path] = {}
    for name in _HINTS:
        if any(name not in origins for origins in usual):
            found = _best(name, leaves, wholes)
            if found is not None and found not in fields.values():
                fields[name] = found
    words = _status_words(wholes, fields.get("status"))
    known = {word for word in words if statuses.meaning(word) is not None}
    placed = {word: _MEANING.get(word.lower()) for word in words if word not in known}
    return Proposal(
        fields={name: spell_pointer(path) for name, path in fields.items()},
        statuses={m: [w for w, meant in placed.items() if meant == m] for m in _MEANT if m in placed.values()},
        unknown=[word for word, meant in placed.items() if meant is None],
        found={name: sorted({each[name] for each in usual if name in each}) for name in _HINTS if name not in fields},
        missing=[name for name in NEEDED if name not in fields and any(name not in each for each in usual)],
    )


def _origins(body: bytes) -> Mapping[str, str]:
    """Return where the usual names find each field; nothing where the body contradicts itself under them."""
    try:
        return reading.read(body).origins
    except Unreadable:
        return {}


def _leaves(place: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(place, dict):
        for name, inner in place.items():
            if len(path) < _DEEPEST:
                yield from _leaves(inner, (*path, name))
    elif not isinstance(place, list) and not grammar.is_empty(place):
        yield path


def _best(name: str, leaves: Counter[Path], wholes: Sequence[Any]) -> Path | None:
    as_type = _FORMS.get(name, grammar.as_id)
    ranked = [
        (-leaves[path], rank, len(path), path)
        for path in leaves
        if (rank := _rank(name, path)) is not None and all(_fits(as_type, look(whole, path)) for whole in wholes)
    ]
    return min(ranked)[3] if ranked else None


def _rank(name: str, path: Path) -> int | None:
    """Return how well a path speaks of a field: 0 best; None if it does not. The last step must take part."""
    last = {word.lower() for word in _words_of(path[-1])}
    words = last | {word.lower() for step in path[-2:-1] for word in _words_of(step)}
    hints = _HINTS[name]
    fitting = (rank for rank, hint in enumerate(hints) if words.issuperset(hint) and not last.isdisjoint(hint))
    return next(fitting, None)


def _fits(as_type: Callable[[object], object], value: object) -> bool:
    try:
        as_type(value)
    except Misfit:
        return False
    return True


def _status_words(wholes: Sequence[Any], path: Path | None) -> list[str]:
    """Return the words that stand where the status is read, without repeats."""
    spelling = Spelling(fields=() if path is None else (("status", (path,)),))
    found: list[str] = []
    for whole in wholes:
        inner = whole.get("data")
        parts = (("", whole),) if not isinstance(inner, dict) else (("/data", inner), ("", whole))
        found += Reader(parts, spelling, whole).status_words()
    return list(dict.fromkeys(found))
