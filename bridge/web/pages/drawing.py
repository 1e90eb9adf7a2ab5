"""Draws pages: templates with values, and the headers that every page has. The only importer of Jinja2 in web.

Every value is escaped. A name that a template misspells is an error, never an empty place. Nothing on a page comes
from elsewhere, no script or style stands in it, and no site may frame it that the operator does not name: see `POLICY`.
"""

import hashlib
import json
import secrets
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bridge import __version__
from bridge.rules import attention, showing, views
from bridge.web.pages import finding
from bridge.web.pages.asking import Asked
from bridge.words.roles import Caller, Role

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_FRAMED_BY_NOBODY = "frame-ancestors 'none';"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_KINDS = {"style.css": "text/css", "pages.js": "text/javascript", "htmx.min.js": "text/javascript"}
_FOREVER = "public, max-age=31536000, immutable"
_DIGITS = 16
_BAR = (
    ("/", "Overview"),
    ("/attention", "Attention"),
    ("/deliveries", "Deliveries"),
    ("/routes", "Routes"),
    ("/try", "Try it"),
)
_FOOT = (
    ("/refusals", "Refusals", Role.OPERATOR),
    ("/audit", "Audit", Role.ADMIN),
    ("/orders", "Orders", Role.VIEWER),
)
_SEEN_BY = {place: role for place, _, role in _FOOT}  # the pages of the bar are for every role


class Drawing:
    """Templates and static files of the package, read once."""

    def __init__(self, framed_by: str | None) -> None:
        """Read the static files; a template is read when it is first drawn. `framed_by`: sites that may frame pages."""
        policy = POLICY if framed_by is None else POLICY.replace(_FRAMED_BY_NOBODY, f"frame-ancestors {framed_by};")
        self._headers = HEADERS | {"Content-Security-Policy": policy}
        folder = resources.files("bridge.web.pages") / "static"
        self._files = {name: (folder / name).read_bytes() for name in _KINDS}
        self._digests = {name: hashlib.sha256(content).hexdigest()[:_DIGITS] for name, content in self._files.items()}
        self._templates = Environment(
            loader=PackageLoader("bridge.web.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {"static": self._url_of, "version": __version__, "bar": _BAR, "foot": _FOOT}
        self._templates.globals["now"] = lambda: views.instant(datetime.now(UTC))
        self._templates.globals["fresh"] = secrets.token_urlsafe  # an order that is sent twice is placed once
        self._templates.filters |= {
            "ago": lambda instant: showing.ago(datetime.fromisoformat(instant), datetime.now(UTC)),
            "duration": showing.duration,
            "gap": _gap,
            "number": showing.number,
            "plus": _plus,
            "pretty": _pretty,
            "short": showing.short,
            "utc": showing.utc,
        }

    def page(self, template: str, asked: Asked | None, *, status: int = 200, **facts: Any) -> Response:
        """Return a page."""
        caller = None if asked is None else asked.caller
        text = self._templates.get_template(template).render(
            asked=asked,
            here=None if asked is None else asked.part,
            may=lambda role: caller is not None and caller.may(Role(role)),
            **facts,
        )
        return HTMLResponse(text, status, self._headers)

    def file(self, digest: str, name: str) -> Response:
        """Return a static file; kept for good by browsers only if the digest is the file's."""
        if name not in self._files:
            return Response("no such file", 404, HEADERS, "text/plain")
        kept = {"Cache-Control": _FOREVER} if digest == self._digests[name] else {}
        return Response(self._files[name], 200, HEADERS | kept, _KINDS[name])

    def _url_of(self, name: str) -> str:
        return f"/static/{self._digests[name]}/{name}"


def may_see(caller: Caller, place: str) -> bool:
    """Whether a caller may see a page of the bar or the foot: a link to another is not drawn."""
    return caller.may(_SEEN_BY.get(place, Role.VIEWER))


def place_of_need(need: views.Json, caller: Caller) -> str | None:
    """Return the page where a person does the next step; None if it is this one, or the caller may not see it."""
    page, chosen = attention.place(need["what"], need["filter"])
    return finding.address(page, chosen) if page != "/" and may_see(caller, page) else None


def lead(url: str, *cookies: str) -> Response:
    """Lead a browser on after a change, so that loading the page again repeats nothing."""
    answer = RedirectResponse(url, 303, HEADERS)
    for cookie in cookies:
        answer.headers.append("Set-Cookie", cookie)
    return answer


def _gap(instant: str | None, before: str | None) -> str:
    """Return how long after another an instant of the API was; nothing if one of them is not known."""
    if instant is None or before is None:
        return ""
    return showing.gap(datetime.fromisoformat(instant), datetime.fromisoformat(before))


def _plus(instant: str, seconds: float) -> str:
    """Return the instant so many seconds after one of the API, spelled as there."""
    return str(views.instant(datetime.fromisoformat(instant) + timedelta(seconds=seconds)))


def _pretty(value: Any) -> str:
    """Return JSON for people: a text that is JSON, or a value."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return str(value)
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False)
    except (TypeError, RecursionError):
        text = str(value)
    return text.encode("utf-8", "backslashreplace").decode()
