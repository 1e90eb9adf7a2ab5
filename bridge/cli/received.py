"""What a change of the mapping does to what was really received: page by page, in as many processes as there are cores.

1. Read pages of bodies, from the store or a running bridge, the oldest first. No page is kept. If all routes that
   differ name their pipelines, only bodies that may name one of those are asked for; the others are only counted.
2. A few bodies are compared here, more by processes of their own. A few pages wait for them and no more, so that memory
   stays bounded. All of them have a low priority (`go_last`), so that webhooks go first.
3. Counts are added up; of each kind the first ten are kept.
"""

import os
from base64 import b64decode
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.cli.asking import Asked
    from bridge.edges.settings import Names
    from bridge.rules.comparing import Comparison, Difference, Kind
    from bridge.rules.event import Spelling
    from bridge.rules.mapping import Mapping as Routes
    from bridge.rules.planning import Subject

Bodies = Sequence[Mapping[str, Any]]
SHOWN = 10
_AT_ONCE = 500
_HERE = 10_000  # bodies: as long as it takes to start processes
_MOST_TEXTS = 32  # that are asked for; of more routes each body is looked at here
_NICE = 10  # behind the bridge and the database, and still not starved beside other work
_NOTHING = "\x1f"  # in no JSON
_WAITING_EACH = 4  # pages that wait for a process


@dataclass(frozen=True, slots=True)
class Change:
    """Two mappings as their files, and what planning needs to know. Equal for equal changes, so each is read once."""

    old: tuple[tuple[str, Any], ...]
    new: tuple[tuple[str, Any], ...]
    names: "Names | None"  # of bridge.yaml
    spellings: "tuple[tuple[str, Spelling], ...]"  # of sources, where the page does not say
    max_hops: int


@dataclass(slots=True)
class Tally:
    """How many bodies of each kind there are, the first of each, and how many no key opens."""

    counts: "Counter[Kind]" = field(default_factory=Counter)
    first: "dict[Kind, list[Difference]]" = field(default_factory=dict)
    locked: int = 0
    limit: int = SHOWN  # of each kind that are kept

    def note(self, name: str, subject: "Subject", comparison: "Comparison") -> None:
        """Compare one body, called `name` by people, and count it."""
        from bridge.rules.comparing import Kind

        kind = comparison.kind(subject)
        self.counts[kind] += 1
        if kind is not Kind.SAME and len(first := self.first.setdefault(kind, [])) < self.limit:
            first.append(comparison.describe(name, kind, subject))

    def add(self, other: "Tally") -> None:
        """Add what comes later."""
        self.counts.update(other.counts)
        self.locked += other.locked
        for kind, found in other.first.items():
            mine = self.first.setdefault(kind, [])
            mine += found[: self.limit - len(mine)]


def compare_received(
    asked: "Asked",
    change: Change,
    *,
    query: Mapping[str, str],
    on_page: Callable[[datetime], None],
    here: int = _HERE,
) -> Tally:
    """Compare everything that was received in a span of time. `on_page` hears how far it is.

    `here`: so many bodies are compared in this process, before others are started.

    Raises what asking raises: ConfigError, RemoteUnavailable, InboxUnavailable, BadFilter.
    """
    from bridge.rules.comparing import Kind

    total, cores = Tally(), len(os.sched_getaffinity(0))
    under_way: deque[tuple[datetime, Future[Tally]]] = deque()

    def settle(limit: int) -> None:
        while len(under_way) > limit:
            at, future = under_way.popleft()
            total.add(future.result())
            on_page(at)

    with _processes(cores) as submit:
        for page in _pages(asked, {**query, **_narrowed(change)}):
            bodies, at = page["bodies"], datetime.fromisoformat(page["reached_at"])
            total.counts[Kind.SAME] += page["passed"]
            if here > 0 or not bodies:
                here -= len(bodies)
                total.add(compare_bodies(change, bodies))
                on_page(at)
            else:
                under_way.append((at, submit(change, bodies)))
                settle(cores * _WAITING_EACH)
        settle(0)
    return total


def _narrowed(change: Change) -> Mapping[str, str]:
    """Return what to ask for, so that bodies which meet no route that differs stay where they are."""
    texts = _read(change).texts
    if texts is None or len(texts) > _MOST_TEXTS:
        return {}
    return {"naming": ",".join(sorted(texts) or [_NOTHING])}


@contextmanager
def _processes(cores: int) -> Iterator[Callable[[Change, Bodies], Future[Tally]]]:
    """Give what compares a page elsewhere; no process is started before the first page."""
    pool: list[ProcessPoolExecutor] = []

    def submit(change: Change, bodies: Bodies) -> Future[Tally]:
        if not pool:
            pool.append(ProcessPoolExecutor(cores, mp_context=get_context("spawn")))
        return pool[0].submit(compare_bodies, change, bodies)

    try:
        yield submit
    finally:
        for each in pool:
            each.shutdown(cancel_futures=True)


def go_last() -> None:
    """Let webhooks and the database go first from now on, here and in every process that this one starts."""
    os.nice(_NICE)


def _pages(asked: "Asked", query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    after: str | None = None
    while True:
        more = {} if after is None else {"after": after}
        answer = asked.get("bodies", limit=str(_AT_ONCE), **query, **more)
        after = answer["next"]
        if after is None:
            return
        yield answer


def compare_bodies(change: Change, bodies: Bodies) -> Tally:
    """Compare the bodies of a page. Runs in a process of its own for a large history."""
    comparison, spellings, tally = _read(change), dict(change.spellings), Tally()
    for item in bodies:
        if item["body"] is None:
            tally.locked += 1
            continue
        about = subject_of(item, b64decode(item["body"]), spellings)
        tally.note(about.id, about, comparison)
    return tally


@cache
def _read(change: Change) -> "Comparison":
    from bridge.rules.comparing import Comparison

    return Comparison.of(*read_both(change), max_hops=change.max_hops)


def read_both(change: Change) -> "tuple[Routes, Routes]":
    """Read both mappings; raises ConfigError with the mistakes of both.

    One that names an Airflow or source of another bridge.yaml than today's is read all the same.
    """
    from bridge.cli import context
    from bridge.words.errors import ConfigError

    problems, read = [], []
    for files in (change.old, change.new):
        try:
            try:
                read.append(context.mapping_of(dict(files), change.names))
            except ConfigError:
                read.append(context.mapping_of(dict(files), None))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return read[0], read[1]


def subject_of(item: Mapping[str, Any], body: bytes, spellings: "Mapping[str, Spelling]") -> "Subject":
    """Return what planning has to know of a delivery, given what the API says of it (see `BodiesApi`) and its body.

    `spellings`: of the sources whose spelling the API does not say.
    """
    from bridge.rules.event import USUAL, Spelling
    from bridge.rules.planning import Subject

    given = item["spelling"]
    spelling = spellings.get(item["source"], USUAL) if given is None else Spelling.of_written(given)
    if item["via"] != "webhook":
        spelling = spelling.of_answers
    return Subject(
        id=item["id"],
        source=item["source"],
        received_at=item["received_at"],
        body=body,
        path_pipeline_id=item["url_pipeline"],
        lookup=item["job"],
        spelling=spelling,
    )
