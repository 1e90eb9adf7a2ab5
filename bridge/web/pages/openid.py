"""Signing in by OpenID Connect: to the provider and back.

    GET /sign-in/openid          a cookie that lasts ten minutes, and 303 to the provider
    GET /sign-in/openid/back     whoever comes back: the provider is asked, groups make a role, and a session begins

The page after it leads on by itself instead of a redirect: a browser leaves the session's cookie, which no other site
can send, out of a redirect that began at the provider. What fails is the page to sign in on with what to do, a line in
the audit log and a count; never a 500. The cookie of the beginning ends with the first answer.
"""

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.edges.openid import Provider
from bridge.rules import openid
from bridge.rules.openid import Begun
from bridge.web.calls import Calls, ClientLeft
from bridge.web.pages import asking
from bridge.web.pages.drawing import Drawing, lead
from bridge.web.pages.endpoints import Endpoint
from bridge.web.sign_in import COOKIE, SECURE_COOKIE, Door, Failure, asker_of
from bridge.words.errors import ProviderUnavailable, SignInFailed

_BEGUN = "bridge_signing_in"
_SECURE_BEGUN = f"__Host-{_BEGUN}"
_BACK = "/sign-in/openid/back"
_LONGEST_CODE = 8192
_THREADS = 2
_MOST_WAITING = 16
_NOT_BEGUN = (
    "This sign-in was not begun in this browser, has ended already, or took more than ten minutes. Begin again."
)
_NO_GROUP = "You are known, but none of your groups has a role here. Ask whoever runs this bridge."
_NOT_THERE = "You were not signed in there. Begin again, or ask whoever runs the provider."
_UNAVAILABLE = "Nobody can sign in this way just now. Try again in a minute, or use a token. The reason: {}."
_NOT_ACCEPTED = "You could not be signed in. Begin again, or tell whoever runs this bridge: {}."
_UNREAD = Response(status_code=503)  # which nobody reads
T = TypeVar("T")
Step = Callable[[Request, Provider], Awaitable[Response]]


class _Refused(SignInFailed):
    """A sign-in that failed here: what the log says, what the person reads, and for how it counts."""

    def __init__(self, detail: str, text: str, status: int, *, why: Failure = "openid", actor: str = "unknown") -> None:
        self.text = text
        self.status = status
        self.why = why
        self.actor = actor
        super().__init__(detail)


class OpenIdPages:
    """To the provider and back."""

    def __init__(
        self,
        drawing: Drawing,
        door: Door,
        form: Callable[[str | None, str | None, int], Response],
        provider: Provider | None,
        *,
        public_url: str | None,
    ) -> None:
        """`form(onward, problem, status)` is the page to sign in on; the provider knows `public_url` + `_BACK`."""
        self._drawing = drawing
        self._door = door
        self._form = form
        self._provider = provider
        self._redirect = f"{public_url}{_BACK}"
        is_secure = self._redirect.startswith("https://")
        self._cookie, self._session = (_SECURE_BEGUN, SECURE_COOKIE) if is_secure else (_BEGUN, COOKIE)
        self._calls = Calls("sign_in", _THREADS)
        self._waiting = 0

    def routes(self) -> list[Route]:
        """Return the paths; both are open to everybody."""
        return [
            Route("/sign-in/openid", self._open(self.begin), methods=["GET"]),
            Route(_BACK, self._open(self.come_back), methods=["GET"]),
        ]

    def _open(self, step: Step) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            if self._provider is None:
                what = "Nobody signs in by OpenID Connect here."
                return self._drawing.page("error.html", None, status=404, title="Not found", what=what)
            try:
                return await step(request, self._provider)
            except SignInFailed as error:
                return await self._refuse(request, error)
            except ClientLeft:
                return _UNREAD

        endpoint.__doc__ = step.__doc__
        endpoint.role = None  # type: ignore[attr-defined]
        return endpoint

    async def begin(self, request: Request, provider: Provider) -> Response:
        """Lead to the OpenID provider, and remember in the browser that a sign-in has begun."""
        secret, onward = provider.target.secret, asking.inside(request.query_params.get("next"))
        begun = openid.begin(chance=secrets.token_bytes(openid.STATE_BYTES), now=time.time(), onward=onward)
        url = await self._ask(
            request,
            lambda: provider.address(
                redirect=self._redirect,
                state=begun.state,
                nonce=openid.nonce(begun, secret),
                verifier=openid.verifier(begun, secret),
            ),
        )
        return lead(url, asking.cookie(self._cookie, openid.seal(begun, secret), openid.LASTS_SECONDS, site="Lax"))

    async def come_back(self, request: Request, provider: Provider) -> Response:
        """Begin a session for whoever comes back from the OpenID provider, if a group of theirs has a role."""
        target = provider.target
        begun = self._begun(request, provider)
        code = _code(request)
        claims = await self._ask(
            request,
            lambda: provider.claims(
                code=code,
                redirect=self._redirect,
                nonce=openid.nonce(begun, target.secret),
                verifier=openid.verifier(begun, target.secret),
            ),
        )
        caller = openid.caller_of(claims, target)
        if caller is None:
            actor = openid.name_of(claims, target)
            raise _Refused("no group with a role", _NO_GROUP, 403, why="no_group", actor=actor)
        people = self._door.access.people
        assert people is not None  # noqa: S101 - there is a provider
        session = self._door.let_in(caller, asker_of(request.scope).address, people)
        page = self._drawing.page("signed_in.html", None, name=caller.name, onward=begun.onward)
        seconds = int(self._door.access.session_seconds)
        page.headers.append("Set-Cookie", asking.cookie(self._session, session, seconds))
        return self._end(page)

    def _begun(self, request: Request, provider: Provider) -> Begun:
        """Return the sign-in that this is the answer to. Raises SignInFailed."""
        cookie = request.cookies.get(self._cookie)
        begun = None if cookie is None else openid.read(cookie, provider.target.secret, now=time.time())
        if begun is None or not openid.is_same(begun, request.query_params.get("state", "")):
            raise _Refused("no sign-in had begun there", _NOT_BEGUN, 400)
        return begun

    async def _ask(self, request: Request, work: Callable[[], T]) -> T:
        """Ask the provider in a thread; ProviderUnavailable when too many wait for one."""
        if self._waiting >= _MOST_WAITING:
            raise ProviderUnavailable("too many are signing in just now")
        self._waiting += 1
        try:
            return await self._calls.run(request.receive, work)
        finally:
            self._waiting -= 1

    async def _refuse(self, request: Request, error: SignInFailed) -> Response:
        """Count and record it; what somebody may be trying again and again waits."""
        match error:
            case _Refused():
                refused = error
            case ProviderUnavailable():
                refused = _Refused(str(error), _UNAVAILABLE.format(error), 503, why="provider")
            case _:
                refused = _Refused(str(error), _NOT_ACCEPTED.format(error), 403)
        address, people = asker_of(request.scope).address, self._door.access.people
        assert people is not None  # noqa: S101 - there is a provider
        people.on_failed(address, refused.why, refused.actor, f"OpenID Connect: {refused}")
        if refused.why != "provider":
            await self._door.slow(address)
        return self._end(self._form(request.query_params.get("next"), refused.text, refused.status))

    def _end(self, page: Response) -> Response:
        """Forget in the browser that a sign-in has begun."""
        page.headers.append("Set-Cookie", asking.cookie(self._cookie, "", 0, site="Lax"))
        return page


def _code(request: Request) -> str:
    """Return the code that the provider gave. Raises SignInFailed."""
    code = request.query_params.get("code", "")
    if "error" in request.query_params:
        raise _Refused("the provider did not sign somebody in", _NOT_THERE, 403)
    if not 0 < len(code) <= _LONGEST_CODE:
        raise _Refused("the provider sent no code", _NOT_THERE, 403)
    return code
