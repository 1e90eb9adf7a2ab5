"""Takes over secrets whose files change while running: a rotation needs no restart.

The files are compared once a second, which sees every kind of change (an editor's rename, Kubernetes' swap of the
`..data` link). Every file that `read` opens is among them. What two looks in a row agree on is read, all of it or
nothing: a file that is half written, empty, too short or gone keeps every secret as it was, and is shown everywhere
until it is mended.

Rule: a change is used up only when it was applied. As long as reading fails, for whatever cause, it is tried again at
every look; and what was read is dropped if the files changed meanwhile, since it may be half of each.

Only secrets change: bridge.yaml is the text of the start, variables are those of the start.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from bridge.chores.loop import FINISHED, Loop
from bridge.edges.metrics import Metrics
from bridge.words.errors import ConfigError, Problem

_EVERY_SECONDS = 1.0
_MAX_BYTES = 4_194_304  # far more than a bundle of certificates has
_log = structlog.get_logger("bridge.secrets")

Read = TypeVar("Read")
_Look = tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class SecretsState:
    """Since when the secrets in use are in use, and what is wrong with the files if they hold others."""

    loaded_at: datetime
    problems: tuple[Problem, ...] = ()


class SecretFiles(Generic[Read]):
    """Watches files; reading `state` is one attribute, so any thread may."""

    def __init__(
        self,
        *,
        files: Sequence[Path],
        read: Callable[[], Read],
        take_over: Callable[[Read], None],
        metrics: Metrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`read` reads everything anew and raises ConfigError; `take_over` puts it to use and cannot fail."""
        self._files = tuple(files)
        self._read = read
        self._take_over = take_over
        self._metrics = metrics
        self._clock = clock
        self._used: _Look | None = None  # what was read before this object was there may be older than the files
        self._seen = self._known = self._look()
        self.state = SecretsState(clock())
        metrics.secrets_loaded_at.set(self.state.loaded_at.timestamp())
        self.loop = Loop(
            "secret_files", self.step, every_seconds=_EVERY_SECONDS, first_after_seconds=_EVERY_SECONDS, metrics=metrics
        )

    def step(self) -> float | None:
        """Look at the files; without any there is nothing to do."""
        if not self._files:
            return FINISHED
        self.compare()
        return None

    def compare(self) -> bool:
        """Take over what changed; returns whether it did. Never raises for a bad file."""
        found = self._look()
        is_settled, self._seen = found == self._seen, found
        is_applied = found == self._used and not self.state.problems
        if is_applied or not is_settled:
            return False
        try:
            read = self._read()
        except ConfigError as error:
            self._keep(tuple(error.problems))
            return False
        if self._look() != found:
            return False
        self._take_over(read)
        is_news = found != self._known or bool(self.state.problems)
        self._used = self._known = found
        self.state = SecretsState(self._clock())
        self._metrics.secrets_broken.set(0)
        self._metrics.secrets_loaded_at.set(self.state.loaded_at.timestamp())
        if is_news:
            _log.info("secrets_loaded", files=[str(path) for path in self._files])
        return True

    def _keep(self, problems: tuple[Problem, ...]) -> None:
        if problems == self.state.problems:
            return
        self.state = SecretsState(self.state.loaded_at, problems)
        self._metrics.secrets_broken.set(1)
        for problem in problems:
            _log.error("secrets_broken", problem=str(problem), next_step="mend the file; the last good ones are in use")

    def _look(self) -> _Look:
        return tuple(_digest(path) for path in self._files)


def _digest(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return hashlib.sha256(file.read(_MAX_BYTES)).digest()
    except OSError:
        return None
