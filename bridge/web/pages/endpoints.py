"""Turns methods that return a page into endpoints: the role, the form token, the thread, and errors as pages."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.web.calls import Calls, ClientLeft
from bridge.web.pages import asking
from bridge.web.pages.asking import Asked
from bridge.web.pages.drawing import Drawing
from bridge.web.sign_in import refuse_form
from bridge.words.errors import BridgeError, Forbidden, InboxUnavailable, NotThere
from bridge.words.roles import Role

_UNREAD = Response(status_code=503)  # which nobody reads
_FORM = (
    "This form does not belong to your session, or is too old; nothing was done. Go back, reload the page, try again."
)
_TITLES = {400: "That cannot be done", 403: "Not for your role", 404: "Not found", 429: "Too many", 503: "Not now"}
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Threads:
    """Where the work of pages is done, shared with the API."""

    looks: Calls
    changes: Calls


class Endpoints:
    """Turns methods that return a page into endpoints, and errors into pages."""

    def __init__(self, drawing_: Drawing, threads: Threads) -> None:
        """`drawing_` draws the errors."""
        self._drawing = drawing_
        self._threads = threads

    def look(self, path: str, method: Callable[[Asked], Response], role: Role = Role.VIEWER) -> Route:
        """Return the route of a page."""
        return self._route(path, method, role, "GET", self._threads.looks)

    def change(self, path: str, method: Callable[[Asked], Response], role: Role = Role.OPERATOR) -> Route:
        """Return the route of a form that changes something."""
        return self._route(path, method, role, "POST", self._threads.changes)

    def trial(self, path: str, method: Callable[[Asked], Response]) -> Route:
        """Return the route of a form that changes nothing."""
        return self._route(path, method, Role.VIEWER, "POST", self._threads.looks)

    def _route(self, path: str, method: Callable[[Asked], Response], role: Role, verb: str, calls: Calls) -> Route:
        async def endpoint(request: Request) -> Response:
            asked = asking.begin(request)
            try:
                if not asked.caller.may(role):
                    raise Forbidden(role)
                asked = await asking.read(request, asked)
                if verb == "POST" and not asking.may_change(request, asked.form):
                    refuse_form(request.scope)
                    return self._drawing.page("error.html", asked, status=403, title=_TITLES[403], what=_FORM)
                return await calls.run(request.receive, lambda: method(asked))
            except BridgeError as error:
                return self._error(asked, error)
            except ClientLeft:
                return _UNREAD

        endpoint.__doc__ = method.__doc__
        endpoint.role = role  # type: ignore[attr-defined]  # for docs/reference/api.md, and the test of roles
        return Route(path, endpoint, methods=[verb])

    def _error(self, asked: Asked, error: BridgeError) -> Response:
        what = str(error)
        match error:
            case Forbidden():
                status, what = 403, f"This needs the role {error.needed}."
            case NotThere():
                status = 404
            case InboxUnavailable():
                status = 503
            case _:
                status = 400
        return self._drawing.page("error.html", asked, status=status, title=_TITLES[status], what=what)
