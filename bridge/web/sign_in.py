"""Who asks on the admin listener: finds the role of a request by its token, and lets nobody in without one.

With no token of a role in the settings the listener is bound to loopback only (wiring refuses anything else). Then only
requests that name a loopback host are answered, as an admin's, so that a web page in somebody's browser cannot reach it
under another name. What a role may do says each path (admin).

Tokens are too long to be guessed, and wrong ones are slowed all the same: after `_FREE_PER_MINUTE` of an address each
answer is held back. While `_MOST_HELD` are, the address gets 429 and its tokens are not compared. No other address
waits for it.
"""

import asyncio
import hmac
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.rules import views
from bridge.rules.pacing import Quota, Quotas
from bridge.words.roles import SIGN_INS, Caller, Role
from bridge.words.targets import Secret

OWN_TOKENS = {"/metrics": Role.METRICS, "/api/v1/outcomes": Role.OUTCOMES}  # paths that have a token of their own
_NEED_TOKEN = "send Authorization: Bearer <BRIDGE_ADMIN_TOKEN>, or the token of another role"  # noqa: S105 - no token
_NEED_LOOPBACK = "no BRIDGE_ADMIN_TOKEN is set, so only http://127.0.0.1 and http://localhost are served"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
_LOOPBACK_CALLER = Caller("loopback", Role.ADMIN)
_SCRAPER = Caller("anybody", Role.METRICS)
_CALLER = "bridge.caller"
_FREE_PER_MINUTE = 30
_HELD_SECONDS = 0.5
_MOST_HELD = 16
_TOO_MANY, _FORBIDDEN = 429, 403
Failure = Literal["token_missing", "token_wrong", "too_many", "role"]


@dataclass(frozen=True, slots=True)
class Access:
    """Who is let in, and who wants to know.

    `tokens` returns those of this moment; `metrics_open`: /metrics needs none. `sender(peer, headers)` is the address
    that a request counts for. `on_refused(address, why)` and `on_let_in(caller, address)` run on the event loop.
    """

    tokens: Callable[[], Mapping[Role, Secret]]
    metrics_open: bool
    sender: Callable[[str | None, Iterable[tuple[bytes, bytes]]], str]
    on_refused: Callable[[str, Failure], None]
    on_let_in: Callable[[Caller, str], None]


def caller_of(scope: Scope) -> Caller:
    """Return who asks, as the guard found out."""
    caller = scope[_CALLER]
    assert isinstance(caller, Caller)  # noqa: S101 - set by the guard, in front of every path
    return caller


class Guard:
    """Lets a request through only with a token; compares in constant time and reads no URL."""

    def __init__(
        self, app: ASGIApp, *, access: Access, pause: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        """Nobody is held back yet; `pause` waits so many seconds."""
        self._pause = pause
        self._app = app
        self._access = access
        self._quotas = Quotas(Quota(refusals_per_minute=_FREE_PER_MINUTE))
        self._held: Counter[str] = Counter()  # answers, by address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 429, or pass on; nothing that is answered may be kept by a cache."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        peer = scope.get("client")
        address = self._access.sender(peer[0] if peer else None, scope["headers"])
        send = self._looking_on(send, address)
        if self._held[address] >= _MOST_HELD:
            self._access.on_refused(address, "too_many")
            await _error(_TOO_MANY, "too_many_requests", "wrong tokens came from this address")(scope, receive, send)
            return
        tokens = self._access.tokens()
        caller = self._caller(scope, tokens)
        if caller is None:
            await self._hold(scope, address)
            next_step = _NEED_TOKEN if _has_sign_in(tokens) else _NEED_LOOPBACK
            await _error(401, "unauthorized", next_step)(scope, receive, send)
            return
        self._access.on_let_in(caller, address)
        scope[_CALLER] = caller
        await self._app(scope, receive, send)

    def _looking_on(self, send: Send, address: str) -> Send:
        """Forbid caches to keep the answer, and count what a role was too little for."""

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["cache-control"] = "no-store"
                if message["status"] == _FORBIDDEN:
                    self._access.on_refused(address, "role")
            await send(message)

        return send_on

    async def _hold(self, scope: Scope, address: str) -> None:
        """Count a request without a right token, and let its answer wait if the address had too many."""
        if not any(name == b"authorization" for name, _ in scope["headers"]):
            self._access.on_refused(address, "token_missing")
            return
        self._access.on_refused(address, "token_wrong")
        if not self._quotas.take_refusal(address, time.monotonic()):
            return
        self._held[address] += 1
        try:
            await self._pause(_HELD_SECONDS)
        finally:
            self._held[address] -= 1
            if not self._held[address]:
                del self._held[address]

    def _caller(self, scope: Scope, tokens: Mapping[Role, Secret]) -> Caller | None:
        if self._access.metrics_open and scope["path"] == "/metrics":
            return _SCRAPER
        headers = dict(scope["headers"])
        if not _has_sign_in(tokens) and OWN_TOKENS.get(scope["path"]) not in tokens:
            host = headers.get(b"host", b"").decode("latin-1")
            return _LOOPBACK_CALLER if host in _LOOPBACK or host.rpartition(":")[0] in _LOOPBACK else None
        # The scheme is written in any case (RFC 9110, 11.1), and several blanks may follow it.
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        given = given.lstrip(b" ")
        found = [role for role, token in tokens.items() if hmac.compare_digest(given, token.reveal().encode())]
        return Caller(f"token:{found[0]}", found[0]) if found and scheme.lower() == b"bearer" else None


def _error(status: int, error: str, next_step: str) -> Response:
    headers = {"Retry-After": "1"} if status == _TOO_MANY else None
    return Response(views.dump({"error": error, "next_step": next_step}), status, headers, "application/json")


def _has_sign_in(tokens: Mapping[Role, Secret]) -> bool:
    return any(role in tokens for role in SIGN_INS)
