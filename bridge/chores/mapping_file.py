"""Keeps the mapping in use equal to its file: read, check everything, only then swap.

The file's bytes are compared once a second. That sees every kind of change (an editor's rename, a ConfigMap's
symlink swap, a network file system) with no watcher to lose events, for a read of a few kilobytes. A broken file
keeps the last good mapping and is shown everywhere until it is mended.
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
_MOST_BYTES = 1_048_576
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
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Read the file; raises ConfigError when it cannot be used, since there is no last good one yet."""
        self._path = path
        self._airflows = airflows
        self._sources = sources
        self._metrics = metrics
        self._clock = clock
        self._seen: bytes | None = self._read()  # the bytes looked at last, good or bad
        self.state = MappingState(self._parse(self._seen), clock())
        self._observe()
        self.loop = Loop(
            "mapping_file", self.step, every_seconds=_EVERY_SECONDS, first_after_seconds=_EVERY_SECONDS, metrics=metrics
        )

    def current(self) -> Mapping:
        """Return the mapping in use."""
        return self.state.mapping

    def step(self) -> None:
        """Look at the file, at the usual pace."""
        self.reload()

    def reload(self) -> bool:
        """Take over the file if its bytes changed; returns whether they did. Never raises for a bad file."""
        try:
            content = self._read()
        except ConfigError as error:
            self._seen = None
            return self._keep_last(error)
        if content == self._seen:
            return False
        self._seen = content
        try:
            mapping = self._parse(content)
        except ConfigError as error:
            return self._keep_last(error)
        self.state = MappingState(mapping, self._clock())
        self._observe()
        self._metrics.mapping_reloads.labels("loaded").inc()
        _log.info("mapping_loaded", digest=mapping.digest, routes=len(mapping.routes))
        return True

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

    def _read(self) -> bytes:
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise ConfigError([Problem(str(self._path), 0, 0, f"cannot be read: {error.strerror}")]) from None
        if len(content) > _MOST_BYTES:
            raise ConfigError([Problem(str(self._path), 0, 0, f"is larger than {_MOST_BYTES} bytes")])
        return content

    def _parse(self, content: bytes) -> Mapping:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise ConfigError([Problem(str(self._path), line, 1, "is not UTF-8")]) from None
        return mappings.read(text, file=str(self._path), airflows=self._airflows, sources=self._sources)

    def _observe(self) -> None:
        mapping = self.state.mapping
        names = [route.name for route in mapping.routes]
        self._metrics.observe_mapping(digest=mapping.digest, routes=names, loaded_at=self.state.loaded_at)
