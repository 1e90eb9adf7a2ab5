"""What one Airflow is called with once it is signed in to: kept, renewed and given up.

It is renewed at 80 % of its life, and when Airflow refused it. One thread signs in at a time, and the threads that
waited take its result, good or bad: an Airflow that is slow to say no is not asked once per thread.
"""

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.words.outcomes import Misconfigured, TargetDown

_RENEW_AT = 0.8
_AGAIN_SECONDS = 30.0  # after a renewal that failed while the old token still holds

Headers = tuple[tuple[str, str], ...]


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


class Tokens:
    """The token of one Airflow; thread-safe."""

    def __init__(
        self,
        sign_in: Callable[[], SignedIn | TargetDown | Misconfigured],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`sign_in` signs in once; `clock` is in monotonic seconds."""
        self._sign_in = sign_in
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._problem: TargetDown | Misconfigured | None = None
        self._tried_at = 0.0
        self._signed_in = 0

    def current(self, *, refused: Token | None = None) -> Token | TargetDown | Misconfigured:
        """Return a token that Airflow has not refused as far as is known; signs in if need be.

        `refused` is the one that Airflow just refused: any younger one is returned without a new sign-in.
        """
        asked_at = self._clock()
        with self._lock:
            token = self._token
            if token is not None and refused is not None and token.generation == refused.generation:
                self._token = token = None
            if token is not None and (token.renew_at is None or self._clock() < token.renew_at):
                return token
            if token is None and self._problem is not None and self._tried_at >= asked_at:
                return self._problem  # another thread has just tried, while this one waited
            return self._renewed(token)

    def _renewed(self, old: Token | None) -> Token | TargetDown | Misconfigured:
        result = self._sign_in()
        self._tried_at = self._clock()
        if isinstance(result, SignedIn):
            self._signed_in += 1
            life = result.life_seconds
            renew_at = None if life is None else self._tried_at + life * _RENEW_AT
            self._token, self._problem = Token(result.headers, self._signed_in, renew_at), None
            return self._token
        if old is not None:
            # It was not refused, and a fifth of its life remains.
            self._token = Token(old.headers, old.generation, self._tried_at + _AGAIN_SECONDS)
            return self._token
        self._problem = result
        return result


def life_seconds(token: str) -> float | None:
    """Return `exp` - `iat` of a JWT, so that neither clock matters; None if it is no JWT or does not say."""
    try:
        _, claims, _ = token.split(".")
        read: Any = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        life = float(read["exp"]) - float(read["iat"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return life if 0 < life < float("inf") else None
