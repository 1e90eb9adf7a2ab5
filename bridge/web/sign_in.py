"""Who asks on the admin listener: finds the role of a request by its token, and lets nobody in without one.

With no token of a role in the settings the listener is bound to loopback only (wiring refuses anything else). Then only
requests that name a loopback host are answered, as an admin's, so that a web page in somebody's browser cannot reach it
under another name. What a role may do says each path (admin).
"""

import hmac
from collections.abc import Callable, Mapping

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.rules import views
from bridge.words.roles import SIGN_INS, Caller, Role
from bridge.words.targets import Secret

OWN_TOKENS = {"/metrics": Role.METRICS, "/api/v1/outcomes": Role.OUTCOMES}  # paths that have a token of their own
_NEED_TOKEN = "send Authorization: Bearer <BRIDGE_ADMIN_TOKEN>, or the token of another role"  # noqa: S105 - no token
_NEED_LOOPBACK = "no BRIDGE_ADMIN_TOKEN is set, so only http://127.0.0.1 and http://localhost are served"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
_LOOPBACK_CALLER = Caller("loopback", Role.ADMIN)
_SCRAPER = Caller("anybody", Role.METRICS)
_CALLER = "bridge.caller"


def caller_of(scope: Scope) -> Caller:
    """Return who asks, as the guard found out."""
    caller = scope[_CALLER]
    assert isinstance(caller, Caller)  # noqa: S101 - set by the guard, in front of every path
    return caller


class Guard:
    """Lets a request through only with a token; compares in constant time and reads no URL."""

    def __init__(self, app: ASGIApp, *, tokens: Callable[[], Mapping[Role, Secret]], metrics_open: bool) -> None:
        """`tokens` returns those of this moment; `metrics_open`: /metrics needs none."""
        self._app = app
        self._tokens = tokens
        self._metrics_open = metrics_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or pass on; nothing that is answered may be kept by a cache."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        tokens = self._tokens()
        caller = self._caller(scope, tokens)
        if caller is None:
            next_step = _NEED_TOKEN if _has_sign_in(tokens) else _NEED_LOOPBACK
            answer = Response(
                views.dump({"error": "unauthorized", "next_step": next_step}), 401, media_type="application/json"
            )
            await answer(scope, receive, _uncached(send))
            return
        scope[_CALLER] = caller
        await self._app(scope, receive, _uncached(send))

    def _caller(self, scope: Scope, tokens: Mapping[Role, Secret]) -> Caller | None:
        if self._metrics_open and scope["path"] == "/metrics":
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


def _has_sign_in(tokens: Mapping[Role, Secret]) -> bool:
    return any(role in tokens for role in SIGN_INS)


def _uncached(send: Send) -> Send:
    async def send_uncached(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["cache-control"] = "no-store"
        await send(message)

    return send_uncached
