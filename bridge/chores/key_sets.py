"""Keeps the key sets of JWKS URLs fresh, beside the event loop: one loop for every entry with `jwks`.

    when    at start, every hour, and when a token's key is in no set (at most once a minute)
    fails   the last good set stays in use; the next try is within a minute, sooner if there never was a set
    who     the provider alone decides which keys count: a key that it removes verifies nothing after the next fetch

Verification never waits for a fetch: it reads the set that its verifier got last. A stranger's token can cause one
fetch a minute and nothing else: no kid is remembered, and known keys verify meanwhile.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from bridge.chores.loop import Loop
from bridge.edges import jwks
from bridge.edges.metrics import Metrics
from bridge.rules.signature import JwtVerifier, Key, KeySet, SignatureCheck
from bridge.words.errors import KeysUnavailable

EVERY_SECONDS = 3600.0
ASKED_SECONDS = 60.0  # between two fetches caused by tokens
_RETRY_SECONDS = 60.0
_FIRST_RETRIES = (1.0, 2.0, 4.0, 8.0)  # then 15 s, as long as there is no set at all
_FIRST_RETRY_SECONDS = 15.0
_STOP_SECONDS = 0.1
_log = structlog.get_logger("bridge.keys")


class KeySetState(NamedTuple):
    """Where one entry with `jwks` stands; `keys`: how many are in use, `loaded_at`: when they were fetched."""

    source: str
    key: str
    keys: int
    loaded_at: datetime | None
    problem: str | None


class KeySets:
    """All of them; safe to ask from any thread."""

    def __init__(
        self,
        *,
        verifiers: Mapping[str, SignatureCheck],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`verifiers` by source; `clock` gives seconds that never go back. Nothing is fetched yet."""
        self._sets = {
            (source, key.id): FetchedSet(source, key, verifier, metrics=metrics, clock=clock)
            for source, verifier in verifiers.items()
            if isinstance(verifier, JwtVerifier)
            for key in verifier.keys
            if key.jwks
        }

    @property
    def loops(self) -> list[Loop]:
        """One for each set, so that a provider that hangs holds up no other."""
        return [each.loop for each in self._sets.values()]

    def wait(self, seconds: float) -> None:
        """Return when each was tried once, or after so long."""
        until = time.monotonic() + seconds
        for each in self._sets.values():
            each.tried.wait(max(0.0, until - time.monotonic()))

    def take_over(self, verifiers: Mapping[str, SignatureCheck]) -> None:
        """Give the sets, now and later, to these verifiers of the same sources and keys instead."""
        for (source, _), each in self._sets.items():
            verifier = verifiers[source]
            if isinstance(verifier, JwtVerifier):
                each.take_over(verifier)

    def states(self) -> list[KeySetState]:
        """Return where each of them stands."""
        return [each.state() for each in self._sets.values()]

    def is_expected(self, source: str, keys: Iterable[str]) -> bool:
        """Whether one of these keys' sets may soon hold a key that it lacks now; asks for a fetch if one is due."""
        asked = [self._sets[source, key].is_expected() for key in keys]
        return any(asked)


class FetchedSet:
    """One entry's set and the loop that fetches it."""

    def __init__(
        self, source: str, key: Key, verifier: JwtVerifier, *, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        """`verifier` is handed every set that is fetched."""
        self._source, self._key, self._verifier = source, key, verifier
        self._metrics, self._clock = metrics, clock
        self._lock = threading.Lock()  # held for assignments only, since the event loop takes it too
        self._set: KeySet | None = None
        self._loaded_at: datetime | None = None
        self._problem: str | None = None  # why the last fetch failed
        self._is_under_way = True  # the first one begins at once
        self._asked_at = float("-inf")
        self._failures = 0
        self.tried = threading.Event()
        # A fetch that is under way when the bridge stops ends with the process at the latest.
        self.loop = Loop(
            "key_sets",
            self.step,
            every_seconds=EVERY_SECONDS,
            metrics=metrics,
            slowest_seconds=_RETRY_SECONDS,
            stop_seconds=_STOP_SECONDS,
        )

    def take_over(self, verifier: JwtVerifier) -> None:
        """Hand the set to this verifier, and from now on only to this one."""
        with self._lock:
            self._verifier = verifier
            if self._set is not None:
                verifier.take_over(self._key.id, self._set)

    def state(self) -> KeySetState:
        """Return where it stands."""
        with self._lock:
            keys = 0 if self._set is None else len(self._set.keys)
            return KeySetState(self._source, self._key.id, keys, self._loaded_at, self._problem)

    def is_expected(self) -> bool:
        """Whether a key that the set lacks may soon be in it: it is being fetched, or could not be."""
        with self._lock:
            if self._set is None:
                return True  # the thread goes on trying, and nobody can hurry it
            now = self._clock()
            if not self._is_under_way and now - self._asked_at >= ASKED_SECONDS:
                self._asked_at = now
                self._is_under_way = True
                self.loop.wake()
            return self._is_under_way or self._problem is not None

    def refresh(self) -> float:
        """Fetch once and pass the set on; returns the seconds until the next fetch. Raises no provider's failure."""
        with self._lock:
            self._is_under_way = True
        try:
            found = jwks.load(self._key)
        except KeysUnavailable as error:
            self._failed(str(error))
        else:
            self._loaded(found)
        return self._pause()

    def _loaded(self, found: KeySet) -> None:
        with self._lock:
            is_new, self._set = found != self._set or self._problem is not None, found
            self._problem, self._failures, self._loaded_at = None, 0, datetime.now(UTC)
            self._verifier.take_over(self._key.id, found)
            self._is_under_way = False
        self._metrics.jwks_refreshes.labels(self._source, self._key.id, "loaded").inc()
        self._metrics.jwks_loaded_at.labels(self._source, self._key.id).set_to_current_time()
        if is_new:
            dropped = sorted({why for _, why in found.dropped})
            _log.info("jwks_loaded", source=self._source, key=self._key.id, keys=len(found.keys), dropped=dropped)

    def _failed(self, problem: str) -> None:
        with self._lock:
            is_new, self._problem = problem != self._problem, problem
            self._failures += 1
            self._is_under_way = False
        self._metrics.jwks_refreshes.labels(self._source, self._key.id, "failed").inc()
        if is_new:
            what = "no token can be verified yet (503)" if self._set is None else "the last good keys stay in use"
            _log.warning("jwks_failed", source=self._source, key=self._key.id, detail=problem, meanwhile=what)

    def _pause(self) -> float:
        """Return the seconds until the next fetch, spread a little so that replicas do not all fetch at once."""
        if not self._failures:
            seconds = EVERY_SECONDS
        elif self._set is not None:
            seconds = _RETRY_SECONDS
        else:
            seconds = next(iter(_FIRST_RETRIES[self._failures - 1 :]), _FIRST_RETRY_SECONDS)
        return seconds * random.uniform(0.9, 1.0)  # noqa: S311 - no secret

    def step(self) -> float:
        """Fetch once. Whatever happens, whoever waits for the first try is released."""
        try:
            return self.refresh()
        except Exception:
            self._failed("an error of the bridge itself")
            raise
        finally:
            self.tried.set()
