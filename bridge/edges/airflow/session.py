"""Signed calls to one Airflow: which REST API it has, under which sign-in, and whether it is well.

Answers are returned as they are, except one: if the token was refused (and not the user's right), or may have been,
sign in and call once more.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bridge import __version__
from bridge.edges.airflow import answers
from bridge.edges.airflow.sign_ins import way_of
from bridge.edges.airflow.tokens import SignedIn, Token, Tokens
from bridge.edges.airflow.transport import Transport
from bridge.edges.airflow.versions import VERSIONS
from bridge.edges.airflow.wire import ASK_SECONDS, Answer, Failure
from bridge.edges.http import path_segment
from bridge.words.outcomes import Misconfigured, TargetDown
from bridge.words.reasons import Reason
from bridge.words.targets import AirflowTarget

_HEADERS = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": f"planasonix-bridge/{__version__}",
}
Called = Answer | Failure | answers.TargetProblem  # what a signed call gives


@dataclass(frozen=True, slots=True)
class _Request:
    """One request; `echo_bytes`: how much of what was sent its answer may repeat."""

    method: str
    path: str
    body: Any = None
    seconds: float = ASK_SECONDS
    echo_bytes: int = 0


class Session:
    """One Airflow, signed in to when needed; thread-safe."""

    def __init__(
        self, target: AirflowTarget, transport: Transport, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Call nothing yet. `clock` is in monotonic seconds."""
        self._target = target
        self._transport = transport
        self._tokens = Tokens(target.name, self._sign_in, clock=clock)
        self._configured = target.version if target.version in VERSIONS else None
        self._version = self._configured

    def take_over(self, target: AirflowTarget) -> None:
        """Call and sign in as this target says from the next time on; a token that still holds is used up."""
        self._target = target
        self._transport.take_over(target)

    def version(self) -> str | answers.TargetProblem:
        """Return Airflow's major version, "2" or "3": as configured, or as found out (anew once its health is gone)."""
        if self._version is None:
            found = self._find_version()
            if not isinstance(found, str):
                return found
            self._version = found
        return self._version

    @property
    def known_version(self) -> str | None:
        """The major version as far as it is known; nothing is asked."""
        return self._version

    def call(
        self,
        method: str,
        *steps: str,
        query: str = "",
        body: Any = None,
        seconds: float = ASK_SECONDS,
        echo_bytes: int = 0,
    ) -> Called:
        """Make one signed call; `steps` are the path's segments below `/api/vN`, any text; `query` is encoded.

        `echo_bytes`: how much of what was sent the answer may repeat.
        """
        version = self.version()
        if not isinstance(version, str):
            return version
        path = VERSIONS[version].api + "".join(f"/{path_segment(step)}" for step in steps) + query
        return self._send_signed_in(_Request(method, path, body, seconds, echo_bytes))

    def health(self) -> answers.TargetProblem | None:
        """Return what is wrong with Airflow, or None: it answers 200 while its database is down, so read the JSON.

        A scheduler that is not running is no problem: runs are accepted, and wait in Airflow.
        """
        version = self.version()
        if not isinstance(version, str):
            return version
        answer = self._ask(VERSIONS[version].health)
        if not isinstance(answer, Answer):
            return answer
        if (problem := answers.after_question(answer)) is not None:
            if answer.status in (404, 405):
                self._version = self._configured  # Airflow 2 may have become 3 meanwhile: found out anew next time
            return _of_the_whole(problem)
        database = answer.object().get("metadatabase")
        status = database.get("status") if isinstance(database, dict) else None
        if status == "healthy":
            return None
        if status is None:
            return Misconfigured(Reason.AIRFLOW_MISCONFIGURED, "its health answer does not tell about the database")
        return TargetDown(Reason.AIRFLOW_DOWN, "its metadata database is unhealthy", http_status=answer.status)

    def signed_in(self) -> answers.TargetProblem | None:
        """Return what is wrong with the sign-in, or None: asks for one DAG, which every user may try to see."""
        answer = self.call("GET", "dags", query="?limit=1")
        if isinstance(answer, Failure):
            return answers.after_failure(answer)
        if not isinstance(answer, Answer):
            return answer
        if answer.status == 403 and self._is_403_vague:
            detail = f"{answers.message(answer)}: user, password or role"
            return Misconfigured(Reason.AIRFLOW_UNAUTHORIZED, detail, http_status=403)
        if answer.status == 403 and not answers.is_token_refused(answer):
            return None  # signed in, and may not see DAGs
        return answers.after_question(answer)

    def seen(self) -> tuple[str, datetime | None] | answers.TargetProblem:
        """Return the whole version as the place spells it, and what its clock shows."""
        version = self.version()
        if not isinstance(version, str):
            return version
        answer = self._ask(f"{VERSIONS[version].api}/version")
        if not isinstance(answer, Answer):
            return answer
        if (problem := answers.after_question(answer)) is not None:
            return problem
        found = answer.object().get("version")
        return (found if isinstance(found, str) else version), answer.at

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _send_signed_in(self, request: _Request) -> Called:
        """Send under the sign-in of the target; a token that was refused is replaced, and the call repeated, once.

        So is one that may have been, if there is another. A change that was answered 2xx is not repeated: it may have
        been heard, and what Airflow says to the second call would hide that.
        """
        auth = self._target.auth
        way = way_of(auth, self._version)
        if way.headers is not None:
            return self._send(request, Token(way.headers(auth)))
        token = self._tokens.current()
        if not isinstance(token, Token):
            return token
        answer = self._send(request, token)
        if not isinstance(answer, Answer):
            return answer
        if answers.is_token_refused(answer):
            token = self._tokens.current(refused=token)
            return self._send(request, token) if isinstance(token, Token) else token
        if not answers.may_be_signed_out(answer, is_403_vague=self._is_403_vague):
            return answer
        other = self._tokens.instead_of(token)
        is_heard = request.method != "GET" and answer.status < 300
        return answer if other is None or is_heard else self._send(request, other)

    @property
    def _is_403_vague(self) -> bool:
        return self._version is not None and VERSIONS[self._version].is_403_vague

    def _send(self, request: _Request, token: Token) -> Answer | Failure:
        return self._transport.call(
            request.method,
            request.path,
            headers=_HEADERS | dict(token.headers),
            body=request.body,
            seconds=request.seconds,
            echo_bytes=request.echo_bytes,
        )

    def _ask(self, path: str) -> Answer | answers.TargetProblem:
        """Ask what Airflow answers to anybody; signed where a gateway may want that everywhere."""
        is_signed = way_of(self._target.auth, self._version).is_everywhere
        send = self._send_signed_in if is_signed else self._send_unsigned
        answer = send(_Request("GET", path))
        return answers.after_failure(answer) if isinstance(answer, Failure) else answer

    def _send_unsigned(self, request: _Request) -> Called:
        return self._send(request, Token(()))

    def _sign_in(self) -> SignedIn | answers.TargetProblem:
        auth = self._target.auth
        fetch = way_of(auth, self._version).fetch
        assert fetch is not None  # noqa: S101 - else the headers are known
        return fetch(auth, self._transport)

    def _find_version(self) -> str | answers.TargetProblem:
        for version, known in VERSIONS.items():
            answer = self._ask(f"{known.api}/version")
            if not isinstance(answer, Answer):
                return answer
            if answer.status in (404, 405):
                continue
            if (problem := answers.after_question(answer)) is not None:
                return _of_the_whole(problem)
            if isinstance(answer.object().get("version"), str):
                return version
        tried = " nor ".join(f"{self._target.url.rstrip('/')}{known.api}/version" for known in VERSIONS.values())
        detail = f"neither {tried} tells a version"
        return Misconfigured(Reason.AIRFLOW_MISCONFIGURED, detail)


def _of_the_whole(problem: answers.TargetProblem) -> answers.TargetProblem:
    """Version and health need no right, so whatever answers there in another way is about the whole place."""
    return replace(problem, is_whole_target=True) if isinstance(problem, Misconfigured) else problem
