"""What a page is asked for, and who asks: reads forms, and refuses a change that another site sent.

A form is small, is spelled as browsers spell it, and carries the form token of its session. A browser that says that
the request comes from another site is believed before anything is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.types import Scope

from bridge.web.queries import read_body
from bridge.web.sign_in import asker_of, caller_of
from bridge.words.errors import BadFilter
from bridge.words.roles import Caller

_MOST_FIELDS = 1000
_FORM_TYPE = "application/x-www-form-urlencoded"
FORM_TOKEN = "csrf"  # noqa: S105 - the name of a field


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to a page. Each name of `query` and `form` has its last value; an empty one is as if left out."""

    caller: Caller
    form_token: str | None
    has_session: bool  # signed in on a page, so that there is something to sign out of
    place: str  # path and query, to come back to
    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]

    @property
    def part(self) -> str:
        """Return the first word of the path: which of the pages this is, or belongs to."""
        word = self.place.partition("?")[0].split("/")[1]
        return "/deliveries" if word == "triggers" else f"/{word}"


def begin(request: Request) -> Asked:
    """Return what is known of a request before its form is read."""
    asker = asker_of(request.scope)
    query = {name: value.strip() for name, value in request.query_params.items() if value.strip()}
    place = place_of(request.scope)
    caller, path = caller_of(request.scope), request.path_params
    return Asked(caller, asker.form_token, asker.has_cookie, place, path, query, {})


def place_of(scope: Scope) -> str:
    """Return path and query. Never `request.url`: that is rebuilt from the Host header, which its sender writes."""
    query = scope.get("query_string", b"").decode("latin-1")
    return str(scope["path"]) + (f"?{query}" if query else "")


async def read(request: Request, begun: Asked) -> Asked:
    """Return the request with its form, if it is a change; raises BadFilter for a form that is none."""
    return replace(begun, form=await read_form(request)) if request.method == "POST" else begun


async def read_form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form that was sent; raises BadFilter."""
    content = await read_body(request, _FORM_TYPE)
    try:
        fields = parse_qsl(content.decode(), max_num_fields=_MOST_FIELDS, encoding="utf-8", errors="strict")
    except ValueError:
        raise BadFilter("the form cannot be read") from None
    return {name: value for name, value in fields if value.strip()}


def is_own(request: Request) -> bool:
    """Whether a change comes from a page of this listener, as far as the browser says.

    Browsers that send no `Sec-Fetch-Site` name the origin, or `null` where the page forbids to name it.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin", "null")
    return origin == "null" or urlsplit(origin).netloc == request.headers.get("host")


def may_change(request: Request, form: Mapping[str, str]) -> bool:
    """Whether a change is the asker's own: it comes from here, and carries the form token of the session."""
    return is_own(request) and asker_of(request.scope).may_change(form.get(FORM_TOKEN))


def inside(url: str | None) -> str:
    """Return a path to lead to after a sign-in; anything that could lead elsewhere is the first page."""
    is_path = url is not None and url.startswith("/") and not url.startswith(("//", "/\\"))
    return url if url is not None and is_path and url.isprintable() and "\\" not in url else "/"


def cookie(name: str, value: str, seconds: int, site: str = "Strict") -> str:
    """Return a cookie that no script reads and no other site sends; one with the prefix goes over TLS only."""
    secure = "; Secure" if name.startswith("__Host-") else ""
    return f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={site}{secure}"
