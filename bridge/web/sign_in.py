"""Who asks on the admin listener: finds the role of a request, and lets nobody in without one.

    bearer token     programs, and whoever wants to; compared in constant time
    session cookie   people in a browser, after they signed in with a token (`Door.try_token`, rules/sessions), or by
                     OpenID Connect (pages/openid)

With neither a token of a role in the settings nor a provider the listener is bound to loopback only (wiring refuses
anything else). Then only requests that name a loopback host are answered, as an admin's, so that a web page in
somebody's browser cannot reach it under another name. What a role may do says each path (admin).

A browser sends its cookie with whatever another site makes it ask. So a change needs the form token of the session,
too: pages look for it in their forms, and the guard wants it in a header of the API.

Tokens are too long to be guessed, and wrong ones are slowed all the same: after `_FREE_PER_MINUTE` of an address each
answer is held back. While `_MOST_HELD` are, the address gets 429 and its tokens are not compared. No other address
waits for it.
"""

import asyncio
import hmac
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.rules import sessions, views
from bridge.rules.pacing import Quota, Quotas
from bridge.rules.sessions import Session
from bridge.words.roles import SIGN_INS, Caller, Role
from bridge.words.targets import Secret

OWN_TOKENS = {"/metrics": Role.METRICS, "/api/v1/outcomes": Role.OUTCOMES}  # paths that have a token of their own
OPEN_PATHS = ("/sign-in", "/static/")  # what is needed to sign in
COOKIE = "bridge_session"
SECURE_COOKIE = f"__Host-{COOKIE}"
FORM_HEADER = "x-csrf-token"
_NEED_TOKEN = "send Authorization: Bearer <BRIDGE_ADMIN_TOKEN>, or the token of another role"  # noqa: S105 - no token
_NEED_LOOPBACK = "no person's token or OpenID provider is set: only http://127.0.0.1 and http://localhost are served"
_NEED_FORM_TOKEN = "a change by cookie needs the header X-CSRF-Token; or send a bearer token"  # noqa: S105 - no token
_DETAILS = {
    "unauthorized": "no token or session that is known here",
    "forbidden": "a change by cookie without the form token of its session",
    "too_many_requests": "too many wrong tokens",
}
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
_LOOPBACK_CALLER = Caller("loopback", Role.ADMIN)
_SCRAPER = Caller("anybody", Role.METRICS)
_ASKER, _WHY = "bridge.asker", "bridge.refused"
_LOOKS = ("GET", "HEAD", "OPTIONS")
_FREE_PER_MINUTE = 30
_HELD_SECONDS = 0.5
_MOST_HELD = 16
_TOO_MANY, _FORBIDDEN = 429, 403
Failure = Literal[
    "token_missing", "token_wrong", "too_many", "role", "session", "form_token", "openid", "no_group", "provider"
]


@dataclass(frozen=True, slots=True)
class People:
    """Those who sign in by OpenID Connect, and who wants to know.

    `key` returns what their sessions are signed with at this moment. `on_signed_in(caller, address)` and
    `on_failed(address, why, actor, detail)` run on the event loop.
    """

    key: Callable[[], Secret]
    on_signed_in: Callable[[Caller, str], None]
    on_failed: Callable[[str, Failure, str, str], None]


@dataclass(frozen=True, slots=True)
class Access:
    """Who is let in, and who wants to know.

    `tokens` returns those of this moment; `metrics_open`: /metrics needs none. `sender(peer, headers)` is the address
    that a request counts for. `on_refused(address, why)` and `on_let_in(caller, address)` run on the event loop.
    `people` is None where nobody signs in by OpenID Connect.
    """

    tokens: Callable[[], Mapping[Role, Secret]]
    metrics_open: bool
    sender: Callable[[str | None, Iterable[tuple[bytes, bytes]]], str]
    on_refused: Callable[[str, Failure], None]
    on_let_in: Callable[[Caller, str], None]
    session_seconds: float = 43_200.0
    people: People | None = None


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks. `form_token`: what a change must carry beside it; None for a bearer token, which no browser adds."""

    caller: Caller | None
    address: str
    form_token: str | None = None
    has_cookie: bool = False

    def may_change(self, given: str | None) -> bool:
        """Whether a change with this form token is the asker's own."""
        return self.form_token is None or hmac.compare_digest(self.form_token.encode(), (given or "").encode())


def asker_of(scope: Scope) -> Asker:
    """Return who asks, as the guard found out; on an open path that may be nobody."""
    asker = scope[_ASKER]
    assert isinstance(asker, Asker)  # noqa: S101 - set by the guard, in front of every path
    return asker


def caller_of(scope: Scope) -> Caller:
    """Return who asks, as the guard found out; never on an open path."""
    caller = asker_of(scope).caller
    assert caller is not None  # noqa: S101 - nobody else gets past the guard
    return caller


def refuse_form(scope: Scope) -> None:
    """Note that a change is refused because it did not carry the form token of its session."""
    scope[_WHY] = "form_token"


class Door:
    """Compares tokens and sessions, and slows whoever guesses."""

    def __init__(self, access: Access, *, pause: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Nobody is held back yet; `pause` waits so many seconds."""
        self.access = access
        self._pause = pause
        self._quotas = Quotas(Quota(refusals_per_minute=_FREE_PER_MINUTE))
        self._held: Counter[str] = Counter()  # answers, by address
        self._own = secrets.token_urlsafe()  # the form token of a listener that has no sign-in

    def is_closed(self, address: str) -> bool:
        """Whether so many answers to this address are held back that its tokens are not compared; counts it."""
        if self._held[address] < _MOST_HELD:
            return False
        self.access.on_refused(address, "too_many")
        return True

    async def try_token(self, given: str, address: str) -> str | None:
        """Return the cookie of a new session for a token of a role that a person can have; None if it is not one."""
        tokens = self.access.tokens()
        role = _role_of(given.encode("utf-8", "replace"), tokens)
        if role not in SIGN_INS:
            await self.hold(address)
            return None
        session = self._begin(role, None)
        self.access.on_let_in(session.caller, address)
        return sessions.seal(session, tokens[role])

    def let_in(self, person: Caller, address: str, people: People) -> str:
        """Return the cookie of a new session for somebody who signed in by OpenID Connect."""
        people.on_signed_in(person, address)
        return sessions.seal(self._begin(person.role, person.name), people.key())

    def has_sign_in(self) -> bool:
        """Whether anybody can sign in; else only loopback is served."""
        return self.access.people is not None or has_tokens(self.access.tokens())

    async def hold(self, address: str) -> None:
        """Count a wrong token, and let its answer wait if the address had too many."""
        self.access.on_refused(address, "token_wrong")
        await self.slow(address)

    async def slow(self, address: str) -> None:
        """Let an answer wait if the address failed too often."""
        if not self._quotas.take_refusal(address, time.monotonic()):
            return
        self._held[address] += 1
        try:
            await self._pause(_HELD_SECONDS)
        finally:
            self._held[address] -= 1
            if not self._held[address]:
                del self._held[address]

    def asker(self, scope: Scope, address: str) -> Asker:
        """Return who asks; nobody if neither a token nor a session says it."""
        tokens, headers = self.access.tokens(), dict(scope["headers"])
        if self.access.metrics_open and scope["path"] == "/metrics":
            return Asker(_SCRAPER, address)
        if not self.has_sign_in() and OWN_TOKENS.get(scope["path"]) not in tokens:
            return Asker(_LOOPBACK_CALLER if _is_loopback(headers) else None, address, self._own)
        if b"authorization" in headers:
            # The scheme is written in any case (RFC 9110, 11.1), and several blanks may follow it.
            scheme, _, given = headers[b"authorization"].partition(b" ")
            role = _role_of(given.lstrip(b" "), tokens)
            return Asker(_caller(role) if role and scheme.lower() == b"bearer" else None, address)
        cookie = _cookie(scope["headers"])
        people = None if self.access.people is None else self.access.people.key()
        session = None if cookie is None else sessions.read(cookie, tokens, people, now=time.time())
        if session is None:
            return Asker(None, address, has_cookie=cookie is not None)
        key = tokens[session.role] if session.person is None else people
        assert key is not None  # noqa: S101 - it has read the cookie
        return Asker(session.caller, address, sessions.form_token(session, key), has_cookie=True)

    def _begin(self, role: Role, person: str | None) -> Session:
        ends_at = int(time.time() + self.access.session_seconds)
        chance = secrets.token_bytes(sessions.MARK_BYTES)
        return sessions.begin(role, ends_at=ends_at, chance=chance, person=person)


class Guard:
    """Lets a request through only with a token or a session; compares in constant time and reads no URL."""

    def __init__(self, app: ASGIApp, *, door: Door, refusal: Callable[[Scope, int, str], Response | None]) -> None:
        """`refusal(scope, status, next_step)` is what a page says to somebody who is not let in; None for the API."""
        self._app = app
        self._door = door
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, 403 or 429, or pass on; nothing that is answered may be kept by a cache, unless it says so."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        peer, access = scope.get("client"), self._door.access
        address = access.sender(peer[0] if peer else None, scope["headers"])
        answer = await self._answer(scope, address)
        await (answer or self._app)(scope, receive, self._looking_on(scope, send, address))

    async def _answer(self, scope: Scope, address: str) -> Response | None:
        """Return the refusal of a request, None if it may pass; leaves in the scope who asks."""
        if self._door.is_closed(address):
            return self._error(scope, _TOO_MANY, "too_many_requests", "wrong tokens came from this address")
        asker = scope[_ASKER] = self._door.asker(scope, address)
        if scope["path"].startswith(OPEN_PATHS):
            scope[_WHY] = None  # no role is needed: what fails there is counted where it fails
            return None
        if asker.caller is None:
            await self._count(scope, asker)
            next_step = _NEED_TOKEN if self._door.has_sign_in() else _NEED_LOOPBACK
            return self._error(scope, 401, "unauthorized", next_step)
        if asker.has_cookie and scope["method"] not in _LOOKS and scope["path"].startswith("/api/"):
            given = dict(scope["headers"]).get(FORM_HEADER.encode(), b"").decode("latin-1")
            if not asker.may_change(given):
                refuse_form(scope)
                return self._error(scope, _FORBIDDEN, "forbidden", _NEED_FORM_TOKEN)
        self._door.access.on_let_in(asker.caller, address)
        return None

    async def _count(self, scope: Scope, asker: Asker) -> None:
        if any(name == b"authorization" for name, _ in scope["headers"]):
            await self._door.hold(asker.address)
        else:
            self._door.access.on_refused(asker.address, "session" if asker.has_cookie else "token_missing")

    def _error(self, scope: Scope, status: int, error: str, next_step: str) -> Response:
        if (page := self._refusal(scope, status, next_step)) is not None:
            return page
        headers = {"Retry-After": "1"} if status == _TOO_MANY else None
        content = {"error": error, "detail": _DETAILS[error], "next_step": next_step}
        return Response(views.dump(content), status, headers, "application/json")

    def _looking_on(self, scope: Scope, send: Send, address: str) -> Send:
        """Forbid caches to keep the answer, and count what a role was too little for."""

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("cache-control", "no-store")
                if message["status"] == _FORBIDDEN and (why := scope.get(_WHY, "role")) is not None:
                    self._door.access.on_refused(address, why)
            await send(message)

        return send_on


def has_tokens(tokens: Mapping[Role, Secret]) -> bool:
    """Whether anybody can sign in with a token."""
    return any(role in tokens for role in SIGN_INS)


def _role_of(given: bytes, tokens: Mapping[Role, Secret]) -> Role | None:
    found = [role for role, token in tokens.items() if hmac.compare_digest(given, token.reveal().encode())]
    return found[0] if found else None


def _caller(role: Role) -> Caller:
    return Caller(f"token:{role}", role)


def _is_loopback(headers: Mapping[bytes, bytes]) -> bool:
    host = headers.get(b"host", b"").decode("latin-1")
    return host in _LOOPBACK or host.rpartition(":")[0] in _LOOPBACK


def _cookie(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the session's cookie, the secure one first; other cookies of the host may be spelled as they like."""
    sent = (part for name, value in headers if name == b"cookie" for part in value.decode("latin-1").split(";"))
    jar = {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in sent)}
    return jar.get(SECURE_COOKIE, jar.get(COOKIE))
