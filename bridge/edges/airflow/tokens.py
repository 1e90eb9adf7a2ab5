"""The Authorization header of one Airflow: none, a fixed bearer token, Basic (Airflow 2), or a token signed in for.

A token is renewed at 80 % of its life, and when Airflow refused it. One thread signs in at a time, and whoever waited
for it takes what it got, good or bad: an Airflow that is slow to say no is not asked once per thread.
"""

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.edges.airflow import answers
from bridge.edges.airflow.wire import Answer, Failure
from bridge.words.model import Misconfigured, TargetDown
from bridge.words.reasons import Reason
from bridge.words.targets import AirflowAuth

_RENEW_AT = 0.8
_AGAIN_SECONDS = 30.0  # after a renewal that failed while the old token still holds


@dataclass(frozen=True, slots=True)
class Token:
    """A header value; `generation` grows with every sign-in, so that a refusal names which one it was."""

    header: str | None
    generation: int = 0
    renew_at: float | None = None  # monotonic seconds; None: never by itself


def fixed(auth: AirflowAuth, *, is_basic: bool) -> Token | None:
    """Return the header that needs no sign-in, or None where a token has to be fetched."""
    if auth.token is not None:
        return Token(f"Bearer {auth.token.reveal()}")
    if auth.username is None or auth.password is None:
        return Token(None)
    if is_basic:
        pair = f"{auth.username.reveal()}:{auth.password.reveal()}".encode()
        return Token(f"Basic {base64.b64encode(pair).decode('ascii')}")
    return None


class Tokens:
    """The token of one Airflow; thread-safe."""

    def __init__(self, sign_in: Callable[[], Answer | Failure], *, clock: Callable[[], float] = time.monotonic) -> None:
        """`sign_in` makes the one call that fetches a token; `clock` is in monotonic seconds."""
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
        signed_in = self._read_token(self._sign_in())
        self._tried_at = self._clock()
        if isinstance(signed_in, Token):
            self._token, self._problem = signed_in, None
            return signed_in
        if old is not None:
            # It was not refused, and a fifth of its life is left.
            self._token = Token(old.header, old.generation, self._tried_at + _AGAIN_SECONDS)
            return self._token
        self._problem = signed_in
        return signed_in

    def _read_token(self, answer: Answer | Failure) -> Token | TargetDown | Misconfigured:
        if isinstance(answer, Failure):
            return answers.after_failure(answer)
        if (problem := answers.after_sign_in(answer)) is not None:
            return problem
        text = answer.object().get("access_token")
        if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text:
            detail = "the answer to the sign-in holds no access token"
            return Misconfigured(Reason.AIRFLOW_MISCONFIGURED, detail, http_status=answer.status)
        self._signed_in += 1
        life = life_seconds(text)
        renew_at = None if life is None else self._clock() + life * _RENEW_AT
        return Token(f"Bearer {text}", self._signed_in, renew_at)


def life_seconds(token: str) -> float | None:
    """Return `exp` - `iat` of a JWT, so that neither clock matters; None if it is no JWT or does not say."""
    try:
        _, claims, _ = token.split(".")
        read: Any = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        life = float(read["exp"]) - float(read["iat"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return life if 0 < life < float("inf") else None
