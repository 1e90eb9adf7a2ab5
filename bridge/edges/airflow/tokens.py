"""What one Airflow is called with once it is signed in to: kept, renewed and given up.

It is renewed at 80 % of its life, when Airflow refused it, and when it may have: not every gateway says so. One thread
signs in at a time. Without a token the others wait and take its result, good or bad: an Airflow that is slow to say no
is not asked once per thread. While the token still holds, the others go on with it.
"""

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from bridge.words.outcomes import Misconfigured, TargetDown

_RENEW_AT = 0.8
_AGAIN_SECONDS = 30.0  # after a renewal that failed while the old token still holds
_DOUBT_SECONDS = 60.0  # a user who lacks a right may get such answers for ever

Headers = tuple[tuple[str, str], ...]
Problem = TargetDown | Misconfigured
_log = structlog.get_logger("bridge.airflow")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a sign-in gave: the headers to send, and how long they hold (None: unknown)."""

    headers: Headers
    life_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """Headers in use; `generation` grows with every sign-in, so that a refusal names which one it was."""

    headers: Headers
    generation: int = 0
    renew_at: float | None = None  # monotonic seconds; None: never by itself
    ends_at: float | None = None  # monotonic seconds; None: unknown


class Tokens:
    """The token of one Airflow; thread-safe."""

    def __init__(
        self, name: str, sign_in: Callable[[], SignedIn | Problem], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`name` is the Airflow's, for the log; `sign_in` signs in once; `clock` is in monotonic seconds."""
        self._name = name
        self._sign_in = sign_in
        self._clock = clock
        self._lock = threading.Lock()  # for the fields below, and never for long
        self._signing_in = threading.Lock()
        self._token: Token | None = None
        self._problem: Problem | None = None
        self._tried_at = 0.0
        self._signed_in = 0
        self._logged: Problem | None = None

    def current(self, *, refused: Token | None = None) -> Token | Problem:
        """Return a token that Airflow has not refused as far as is known; signs in if need be.

        `refused` is the one that Airflow just refused: any younger one is returned without a new sign-in.
        """
        asked_at = self._clock()
        token = self._held(refused)
        if token is not None and (self._holds(token) or not self._signing_in.acquire(blocking=False)):
            return token  # perhaps due, but another thread renews it
        if token is None:
            self._signing_in.acquire()
        try:
            token = self._held()
            if token is not None and self._holds(token):
                return token
            if token is None and self._problem is not None and self._tried_at >= asked_at:
                return self._problem  # another thread has just tried, while this one waited
            return self._renewed()
        finally:
            self._signing_in.release()

    def instead_of(self, doubted: Token) -> Token | None:
        """Return another token than one that may have ended, or None; the doubted one stays until there is another.

        Signs in for it unless somebody has within a minute, and waits for a sign-in that is under way.
        """
        with self._signing_in:
            token = self._held()
            if token is not None and token.generation == doubted.generation:
                if self._clock() - self._tried_at < _DOUBT_SECONDS:
                    return None
                self._renewed()
                token = self._held()
        return None if token is None or token.generation == doubted.generation else token

    def _held(self, refused: Token | None = None) -> Token | None:
        with self._lock:
            token = self._token
            if token is not None and refused is not None and token.generation == refused.generation:
                self._token = None
            return self._token

    def _holds(self, token: Token) -> bool:
        return token.renew_at is None or self._clock() < token.renew_at

    def _renewed(self) -> Token | Problem:
        """Sign in; the caller holds `_signing_in`. A token that was not refused meanwhile outlives a failure."""
        result = self._sign_in()
        with self._lock:
            now = self._tried_at = self._clock()
            if isinstance(result, SignedIn):
                self._signed_in += 1
                life = result.life_seconds
                renew_at, ends_at = (None, None) if life is None else (now + life * _RENEW_AT, now + life)
                self._token, self._problem = Token(result.headers, self._signed_in, renew_at, ends_at), None
                self._logged = None
                return self._token
            if self._token is None:
                self._problem = result
                return result
            self._log_failure(result, self._token)
            self._token = replace(self._token, renew_at=now + _AGAIN_SECONDS)
            return self._token

    def _log_failure(self, problem: Problem, token: Token) -> None:
        """Once for each cause; a failure without a token that holds is shown as the Airflow's state."""
        if problem == self._logged:
            return
        self._logged = problem
        _log.warning(
            "sign_in_not_renewed",
            airflow=self._name,
            reason=problem.reason,
            detail=problem.detail,
            holds_seconds=None if token.ends_at is None else max(0, round(token.ends_at - self._tried_at)),
            next_step="mend the sign-in; until then calls go on with the one before",
        )


def life_seconds(token: str) -> float | None:
    """Return `exp` - `iat` of a JWT, so that neither clock matters; None if it is no JWT or does not say."""
    try:
        _, claims, _ = token.split(".")
        read: Any = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        life = float(read["exp"]) - float(read["iat"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return life if 0 < life < float("inf") else None
