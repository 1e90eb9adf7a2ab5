"""Keeps the mapping in use equal to its files: read, check everything, only then swap.

BRIDGE_MAPPING names one file, or a folder with a file a team. The files are read every 0.6 seconds. That sees every
kind of change (an editor's rename, a ConfigMap's symlink swap, a network file system) with no watcher to lose events,
for a read of a few kilobytes.

    1. look      at every file; what two looks in a row agree on is believed, good or bad. A file that somebody is
                 still writing differs from look to look: half of it is never used, and no mistake is shown that the
                 other half mends. So it is at a start: only what the store has kept needs no second look
    2. check     each file by itself, then their names against each other (`rules/mapping/choosing`). A file that cannot
                 be used keeps its last good content, and is shown everywhere until it is mended; it stops no other file
    3. swap      all at once. A file that lost more than half of its routes, or is gone, is believed, since that may be
                 meant, but said at warning level. A folder that cannot be read changes nothing
    4. keep      the last good content of each file in the store, so that a restart begins with what was in use

A file that has never been good adds nothing. Where no file has a good content there is no mapping (`is_lacking`):
webhooks are taken in all the same, and wait until one of them is mended (`flows/routing/unmapped`).
"""

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, mappings
from bridge.edges.inbox.mappings import KeptFile
from bridge.edges.mapping_files import Content, Look, agreed, look, look_at_start, text_of
from bridge.edges.metrics import Metrics
from bridge.rules.mapping import Mapping as RouteMap
from bridge.rules.mapping import Part, choose, join, read_part
from bridge.words.errors import ConfigError, Problem

_EVERY_SECONDS = 0.6  # two looks and 0.8 s to read a large file on a busy machine: an edit is in use within two seconds
Problems = tuple[Problem, ...]
_log = structlog.get_logger("bridge.mapping")


@dataclass(frozen=True, slots=True)
class FileState:
    """One file: what of it is in use, if anything, and since when; what is wrong with what it holds now."""

    file: str
    part: Part | None
    loaded_at: datetime | None
    problems: Problems = ()


@dataclass(frozen=True, slots=True)
class MappingState:
    """The mapping in use, since when, and what is wrong with files whose newest content is not in use."""

    mapping: RouteMap
    loaded_at: datetime
    problems: Problems = ()
    files: tuple[FileState, ...] = ()
    is_lacking: bool = False  # no content of any file was ever good: nothing can be routed
    broken_since: datetime | None = None  # as long as there are problems, whichever; counted by this process

    @property
    def unused(self) -> frozenset[str]:
        """The files of which nothing is in use, since no content of theirs was ever good."""
        return frozenset(each.file for each in self.files if each.part is None)


class MappingFile:
    """Owns the mapping in use. Reading `state` is one attribute, so any thread may."""

    def __init__(
        self,
        path: Path,
        *,
        airflows: Collection[str],
        sources: Collection[str],
        inbox: Inbox,
        metrics: Metrics,
        pages_url: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """Read the files, and what the store has kept of them. Raises InboxUnavailable.

        `pages_url`: where the pages of the bridge are, for the notes of DAG runs. `wait`: called once at most.
        """
        self._path = path
        self.read_part = partial(read_part, airflows=airflows, sources=sources, pages_url=pages_url)  # any text, too
        self._inbox = inbox
        self._metrics = metrics
        self._clock = clock
        self._changed_at: dict[str, int] = {}
        self._read: dict[str, tuple[Content, Part | Problems]] = {}  # what was made of each file's content
        self._since: dict[str, datetime] = {}
        self._stored = inbox.read(mappings.kept)
        self._good: Mapping[str, Part] = {}
        last = self._recall()
        kept = {file: part.text for file, part in last.items()}
        self._settled, self._seen = look_at_start(path, kept=kept, wait=wait)
        self.state = self._start(last)
        self.loop = Loop(
            "mapping_file", self.step, every_seconds=_EVERY_SECONDS, first_after_seconds=_EVERY_SECONDS, metrics=metrics
        )

    def current(self) -> RouteMap:
        """Return the mapping in use."""
        return self.state.mapping

    def in_use(self) -> tuple[str, datetime]:
        """Return the digest of the mapping in use, and since when this process uses it."""
        state = self.state
        return state.mapping.digest, state.loaded_at

    def owner_of(self, route: str) -> str | None:
        """Return who answers for a route of the mapping in use."""
        return self.state.mapping.owners.get(route)

    def step(self) -> None:
        """Look at the files, at the usual pace. Raises InboxUnavailable if what is in use cannot be kept just now."""
        self.compare()
        self._keep()

    def compare(self) -> bool:
        """Look at the files; take over what two looks agree on. Returns whether that is news. Never raises for a file.

        A content counts as settled once it is in use or refused, so that nothing on the way there can lose a change.
        """
        before, self._seen = self._seen, look(self._path)
        settled = agreed(before, self._seen, self._settled)
        if settled == self._settled:
            return False
        is_news = self._take_over(settled)
        self._settled = settled
        return is_news

    def _recall(self) -> Mapping[str, Part]:
        """Return the last good content of each file that BRIDGE_MAPPING means, as far as it can still be read."""
        good: dict[str, Part] = {}
        for each in self._stored:
            file = self._spelled(each.file)
            if not file:
                continue
            part = self._part(file, each.content.encode())
            if isinstance(part, Part):
                good[file] = part
                self._since[file] = each.loaded_at
            else:
                _log.warning("mapping_kept_unusable", problem=str(part[0]), next_step="mend the file itself")
        return good

    def _spelled(self, whole: str) -> str:
        """Return a file of the store as messages call it; nothing if BRIDGE_MAPPING does not mean it."""
        here = os.path.abspath(self._path)
        beside = str(self._path / Path(whole).name) if str(Path(whole).parent) == here else ""
        return str(self._path) if whole == here else beside

    def _start(self, last: Mapping[str, Part]) -> MappingState:
        """Begin with what is settled; a file that is broken, or being written, begins with its last good content."""
        is_there = self._settled.files if self._settled.problem is None else last
        self._good = {file: part for file, part in last.items() if file in is_there}
        parts, problems = self._judge(self._settled)
        mapping, now, said = join(list(parts.values())), self._clock(), _flat(problems)
        self._since = self._instants(parts, now)
        self._good = parts
        self._observe(mapping, now)
        self._metrics.mapping_broken.set(bool(said))
        state = MappingState(mapping, now, said, self._states(problems), not parts, now if said else None)
        _say_broken(said, state)
        _say_unsettled(self._settled, self._seen, parts)
        _say_shrunk(parts, last)
        return state

    def _take_over(self, settled: Look) -> bool:
        """Use what can be used of these contents, and show what cannot. Returns whether either is news."""
        turn = max(self._changed_at.values(), default=0) + 1
        changed = [file for file, content in settled.files.items() if self._settled.files.get(file) != content]
        self._changed_at |= dict.fromkeys(changed, turn)
        parts, problems = self._judge(settled)
        before, former, said = self.state, self._good, _flat(problems)
        is_other = _digests(parts) != _digests(former)
        mapping, loaded_at = before.mapping, before.loaded_at
        if is_other:
            mapping, loaded_at = join(list(parts.values())), self._clock()
            self._since = self._instants(parts, loaded_at)
            self._good = parts
        is_lacking = before.is_lacking and not parts
        broken_since = (before.broken_since or self._clock()) if said else None
        self.state = MappingState(mapping, loaded_at, said, self._states(problems), is_lacking, broken_since)
        if is_other:
            self._observe(mapping, loaded_at)
            self._metrics.mapping_reloads.labels("loaded").inc()
            _say_loaded(mapping, parts, former)
            _say_shrunk(parts, former)
        self._metrics.mapping_broken.set(bool(said))
        if new := [each for each in said if each not in before.problems]:
            self._metrics.mapping_reloads.labels("refused").inc()
            _say_broken(new, self.state)
        return is_other or said != before.problems

    def _judge(self, settled: Look) -> tuple[Mapping[str, Part], Mapping[str, Problems]]:
        """Return what is to be used of these contents, and what is wrong with the others, by file."""
        if settled.problem is not None:
            return self._good, {str(self._path): (Problem(str(self._path), 0, 0, settled.problem),)}
        read = {file: self._part(file, content) for file, content in settled.files.items()}
        choice = choose(
            {file: part if isinstance(part, Part) else None for file, part in read.items()},
            good=self._good,
            changed_at=self._changed_at,
        )
        broken = {file: part for file, part in read.items() if not isinstance(part, Part)}
        return choice.parts, broken | {file: tuple(each) for file, each in choice.clashes.items()}

    def _part(self, file: str, content: Content) -> Part | Problems:
        """Return what a content says, or its mistakes; a content that was read before is not read again."""
        last = self._read.get(file)
        if last is None or last[0] != content:
            found: Part | Problems
            try:
                found = self.read_part(text_of(file, content), file=file)
            except ConfigError as error:
                found = tuple(error.problems)
            last = self._read[file] = content, found
        newest, good = last[1], self._good.get(file)
        return good if good and isinstance(newest, Part) and newest.digest == good.digest else newest

    def _instants(self, parts: Mapping[str, Part], now: datetime) -> dict[str, datetime]:
        """Return since when each part is in use, if these are from `now` on."""
        same = {file for file, digest in _digests(self._good).items() if file in parts and parts[file].digest == digest}
        return {file: self._since.get(file, now) if file in same else now for file in parts}

    def _observe(self, mapping: RouteMap, now: datetime) -> None:
        for warning in mapping.warnings:
            _log.warning("mapping_doubtful", problem=str(warning), next_step="`planasonix-bridge check` shows them all")
        names = [route.name for route in mapping.routes]
        self._metrics.observe_mapping(digest=mapping.digest, routes=names, loaded_at=now)

    def _states(self, problems: Mapping[str, Problems]) -> tuple[FileState, ...]:
        """Return what each file is. A folder that cannot be read is none of them: what its files held stays in use."""
        files = sorted(self._good.keys() | (problems.keys() - {str(self._path)} if self._good else problems.keys()))
        return tuple(
            FileState(file, self._good.get(file), self._since.get(file), problems.get(file, ())) for file in files
        )

    def _keep(self) -> None:
        """Store what is in use, if that is news to the store."""
        wanted = [
            KeptFile(os.path.abspath(file), part.text, self._since[file]) for file, part in sorted(self._good.items())
        ]
        if wanted == self._stored:
            return
        gone = {each.file for each in self._stored} - {each.file for each in wanted}
        self._inbox.write(mappings.keep, [each for each in wanted if each not in self._stored], gone=sorted(gone))
        self._stored = wanted


def _digests(parts: Mapping[str, Part]) -> dict[str, str]:
    return {file: part.digest for file, part in parts.items()}


def _flat(problems: Mapping[str, Problems]) -> Problems:
    return tuple(sorted(each for found in problems.values() for each in found))


def _say_broken(problems: Sequence[Problem], state: MappingState) -> None:
    nothing = "webhooks are taken in and wait until then" if state.is_lacking else "nothing of it is in use"
    for problem in problems:
        meanwhile = nothing if problem.file in state.unused else "its last good content is in use"
        _log.error("mapping_broken", problem=str(problem), next_step=f"mend the file; {meanwhile}")


def _say_unsettled(settled: Look, seen: Look, parts: Mapping[str, Part]) -> None:
    """Say which files somebody is writing at this moment, and what is used of them."""
    for file in [file for file, content in seen.files.items() if settled.files.get(file) != content]:
        meanwhile = "its last good content" if file in parts else "nothing of it"
        _log.warning("mapping_unsettled", file=file, next_step=f"let the writer end; {meanwhile} is in use until then")


def _say_loaded(mapping: RouteMap, parts: Mapping[str, Part], former: Mapping[str, Part]) -> None:
    """Say what changed."""
    changed = [file for file, digest in _digests(parts).items() if _digests(former).get(file) != digest]
    _log.info("mapping_loaded", digest=mapping.digest, routes=len(mapping.routes), files=changed)


def _say_shrunk(parts: Mapping[str, Part], former: Mapping[str, Part]) -> None:
    """Say which file lost more than half of its routes, or is gone."""
    for file, part in former.items():
        routes = len(parts[file].routes) if file in parts else 0
        if 2 * routes < len(part.routes):
            _log.warning(
                "mapping_shrank",
                file=file,
                owner=part.owner,
                is_gone=file not in parts,
                routes_before=len(part.routes),
                routes=routes,
                next_step="if that is a mistake, put the file back; then `planasonix-bridge replay --state unrouted`",
            )
