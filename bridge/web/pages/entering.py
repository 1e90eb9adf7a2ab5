"""Signing in and out, the files that this page needs, and what somebody sees who is not let in.

A right token begins a session (rules/sessions): a cookie that no script can read, that no other site can send, and that
ends. What is wrong is slowed, counted and written to the audit log by the same door as bearer tokens (sign_in).
"""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from bridge.web.pages import asking
from bridge.web.pages.asking import Asked
from bridge.web.pages.drawing import Drawing, lead
from bridge.web.pages.endpoints import Endpoint
from bridge.web.sign_in import COOKIE, SECURE_COOKIE, Door, asker_of, has_tokens, refuse_form
from bridge.words.errors import BadFilter

_WRONG = "This is no token of a role that may see pages."
_ELSEWHERE = "The form came from another site. Sign in here."
_NO_SIGN_IN = "No token is set, so nobody signs in: the pages are open on this machine alone."


class Entering:
    """The pages before and after a session."""

    def __init__(self, drawing: Drawing, door: Door, *, public_url: str | None) -> None:
        """`public_url` is where people reach the pages; over https the cookie is for TLS alone."""
        self._drawing = drawing
        self._door = door
        public = urlsplit(public_url or "")
        self._secure_host = public.netloc if public.scheme == "https" else None
        # The provider sends people back there, where the cookie of the beginning has to be.
        self._openid_url = None if door.access.people is None else f"{public_url}/sign-in/openid"

    def routes(self) -> list[Route]:
        """Return the paths; all but one are open to everybody."""
        return [
            Route("/sign-in", self._open(self.show), methods=["GET"]),
            Route("/sign-in", self._open(self.sign_in), methods=["POST"]),
            Route("/static/{digest}/{name}", self._open(self.static), methods=["GET"]),
        ]

    @staticmethod
    def _open(method: Endpoint) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            return await method(request)

        endpoint.__doc__ = method.__doc__
        endpoint.role = None  # type: ignore[attr-defined]
        return endpoint

    async def show(self, request: Request) -> Response:
        """Show the form to sign in."""
        return self.page(request.query_params.get("next"))

    async def sign_in(self, request: Request) -> Response:
        """Begin a session with the form's `token`, and lead to `next`; an answer to a wrong token may wait."""
        address = asker_of(request.scope).address
        if not asking.is_own(request):
            refuse_form(request.scope)
            return self.page(None, _ELSEWHERE, 403)
        try:
            form = await asking.read_form(request)
        except BadFilter as error:
            return self.page(None, str(error), 400)
        onward = asking.inside(form.get("next"))
        begun = await self._door.try_token(form.get("token", "").strip(), address)
        if begun is None:
            return self.page(onward, _WRONG, 401)
        is_secure = request.scope["scheme"] == "https" or request.headers.get("host") == self._secure_host
        name = SECURE_COOKIE if is_secure else COOKIE
        return lead(onward, asking.cookie(name, begun, int(self._door.access.session_seconds)))

    def sign_out(self, _: Asked) -> Response:
        """End the session in this browser; the cookie itself ends at its time, or with its token."""
        return lead("/sign-in", *(asking.cookie(name, "", 0) for name in (COOKIE, SECURE_COOKIE)))

    async def static(self, request: Request) -> Response:
        """Return the stylesheet or a script."""
        return self._drawing.file(request.path_params["digest"], request.path_params["name"])

    def refusal(self, scope: Scope, status: int, next_step: str) -> Response | None:
        """Return what somebody sees who is not let in to a page: the form to sign in; None on the paths of programs."""
        if scope["path"].lstrip("/").startswith(("api/", "metrics")):
            return None
        if status == 401 and self._door.has_sign_in():
            return self.page(asking.place_of(scope) if scope["method"] == "GET" else None, None, 401)
        return self._drawing.page("error.html", None, status=status, title="Not let in", what=next_step)

    def page(self, onward: str | None, problem: str | None = None, status: int = 200) -> Response:
        """Return the page to sign in on, with what went wrong before."""
        if not self._door.has_sign_in():
            problem = problem or _NO_SIGN_IN
        return self._drawing.page(
            "sign_in.html",
            None,
            status=status,
            problem=problem,
            next=asking.inside(onward),
            openid=self._openid_url,
            has_tokens=has_tokens(self._door.access.tokens()) or self._openid_url is None,
        )
