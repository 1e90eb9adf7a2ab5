"""Takes over secrets whose files change while running: a rotation needs no restart.

The files are compared byte for byte once a second, which sees every kind of change (an editor's rename, Kubernetes'
swap of the `..data` link). What two looks in a row agree on is read, all of it or nothing: a file that is half
written, empty, too short or gone keeps every secret as it was, and is shown everywhere until it is mended.

Only secrets change: bridge.yaml is the text of the start, variables are those of the start.
"""

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
_MOST_BYTES = 131_072  # more than any secret may have: a longer file differs in its beginning, or is refused
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
        self._used = self._seen = self._look()
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
        if found == self._used or not is_settled:
            return False
        self._used = found
        try:
            read = self._read()
        except ConfigError as error:
            self._keep(tuple(error.problems))
            return False
        self._take_over(read)
        self.state = SecretsState(self._clock())
        self._metrics.secrets_broken.set(0)
        self._metrics.secrets_loaded_at.set(self.state.loaded_at.timestamp())
        _log.info("secrets_loaded", files=[str(path) for path in self._files])
        return True

    def _keep(self, problems: tuple[Problem, ...]) -> None:
        self.state = SecretsState(self.state.loaded_at, problems)
        self._metrics.secrets_broken.set(1)
        for problem in problems:
            _log.error("secrets_broken", problem=str(problem), next_step="mend the file; the last good ones are in use")

    def _look(self) -> _Look:
        return tuple(_bytes(path) for path in self._files)


def _bytes(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError:
        return None
