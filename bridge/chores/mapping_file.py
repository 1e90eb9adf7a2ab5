"""Keeps the mapping in use equal to its file: read, check everything, only then swap.

The file is read once a second. That sees every kind of change (an editor's rename, a ConfigMap's symlink swap, a
network file system) with no watcher to lose events, for a read of a few kilobytes.

Rule: what two looks in a row agree on is believed, good or bad. A file that somebody is still writing differs from look
to look: half of it is never used, and no mistake is shown that the other half mends. A broken file keeps the last good
mapping and is shown everywhere until it is mended. A mapping that lost more than half of its routes is used, since that
may be meant, but said at warning level.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from bridge.chores.loop import Loop
from bridge.edges.metrics import Metrics
from bridge.rules import mapping as mappings
from bridge.rules.mapping import Mapping
from bridge.words.errors import ConfigError, Problem

_EVERY_SECONDS = 1.0
_MAX_BYTES = 1_048_576
_Look = bytes | str  # the content, or why there is none
_log = structlog.get_logger("bridge.mapping")


@dataclass(frozen=True, slots=True)
class MappingState:
    """The mapping in use, since when, and what is wrong with the file if it is not that one."""

    mapping: Mapping
    loaded_at: datetime
    problems: tuple[Problem, ...] = ()


class MappingFile:
    """Owns the mapping in use. Reading `state` is one attribute, so any thread may."""

    def __init__(
        self,
        path: Path,
        *,
        airflows: Collection[str],
        sources: Collection[str],
        metrics: Metrics,
        pages_url: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Read the file; raises ConfigError when it cannot be used, since there is no last good one yet.

        `pages_url`: where the pages of the bridge are, for the notes of DAG runs.
        """
        self._path = path
        self._airflows = airflows
        self._sources = sources
        self._metrics = metrics
        self._pages_url = pages_url
        self._clock = clock
        self._used = self._seen = self._look()
        self.state = MappingState(self._parse(self._used), clock())
        self._observe()
        self.loop = Loop(
            "mapping_file", self.step, every_seconds=_EVERY_SECONDS, first_after_seconds=_EVERY_SECONDS, metrics=metrics
        )

    def current(self) -> Mapping:
        """Return the mapping in use."""
        return self.state.mapping

    def step(self) -> None:
        """Look at the file, at the usual pace."""
        self.compare()

    def compare(self) -> bool:
        """Look at the file; take over what two looks agree on. Returns whether that is news. Never raises for a file.

        A content counts as used once it is in use or refused, so that nothing on the way there can lose a change.
        """
        found = self._look()
        is_settled, self._seen = found == self._seen, found
        if found == self._used or not is_settled:
            return False
        try:
            mapping = self._parse(found)
        except ConfigError as error:
            is_news = self._keep_last(error)
        else:
            self._use(mapping)
            is_news = True
        self._used = found
        return is_news

    def _use(self, mapping: Mapping) -> None:
        before = len(self.state.mapping.routes)
        self.state = MappingState(mapping, self._clock())
        self._observe()
        self._metrics.mapping_reloads.labels("loaded").inc()
        _log.info("mapping_loaded", digest=mapping.digest, routes=len(mapping.routes))
        if 2 * len(mapping.routes) < before:
            _log.warning(
                "mapping_shrank",
                routes_before=before,
                routes=len(mapping.routes),
                next_step="if that is a mistake, put the file back; then `planasonix-bridge replay --state unrouted`",
            )

    def _keep_last(self, error: ConfigError) -> bool:
        problems = tuple(error.problems)
        if problems == self.state.problems:
            return False
        self.state = MappingState(self.state.mapping, self.state.loaded_at, problems)
        self._metrics.mapping_broken.set(1)
        self._metrics.mapping_reloads.labels("refused").inc()
        for problem in problems:
            _log.error("mapping_broken", problem=str(problem), next_step="mend the file; the last good one is in use")
        return True

    def _look(self) -> _Look:
        """Return what the file holds now, or why that cannot be known."""
        try:
            with self._path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return content if len(content) <= _MAX_BYTES else f"is larger than {_MAX_BYTES} bytes"

    def _parse(self, found: _Look) -> Mapping:
        if isinstance(found, str):
            raise ConfigError([Problem(str(self._path), 0, 0, found)])
        try:
            text = found.decode("utf-8")
        except UnicodeDecodeError as error:
            line = found[: error.start].count(b"\n") + 1
            raise ConfigError([Problem(str(self._path), line, 1, "is not UTF-8")]) from None
        return mappings.read(
            text, file=str(self._path), airflows=self._airflows, sources=self._sources, pages_url=self._pages_url
        )

    def _observe(self) -> None:
        mapping = self.state.mapping
        names = [route.name for route in mapping.routes]
        for warning in mapping.warnings:
            _log.warning("mapping_doubtful", problem=str(warning), next_step="`planasonix-bridge check` shows them all")
        self._metrics.observe_mapping(digest=mapping.digest, routes=names, loaded_at=self.state.loaded_at)
