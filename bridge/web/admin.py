"""The admin listener: the pages, the JSON API under /api/v1 and /metrics, behind sign-in (sign_in).

Every handler reads or writes the store in a thread (calls). Every path names the role that it needs; a caller with a
lesser one gets 403.
"""

import math
from collections.abc import Awaitable, Callable, Iterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from bridge.edges.metrics import CONTENT_TYPE
from bridge.edges.openid import Provider
from bridge.rules import views
from bridge.rules.telling import Answer
from bridge.web import openapi
from bridge.web.calls import CHANGES, LOOKS, Calls, ClientLeft
from bridge.web.events import EventStream
from bridge.web.faces import Faces
from bridge.web.orders import Accepted
from bridge.web.pages import Pages, Threads
from bridge.web.queries import read_body
from bridge.web.sign_in import Access, Door, Guard, caller_of
from bridge.web.stream import StreamApi
from bridge.web.telling import TellingApi, shown
from bridge.web.verifying import VerifyingApi
from bridge.words.errors import (
    BridgeError,
    Changed,
    Forbidden,
    InboxUnavailable,
    LookupUnavailable,
    NotThere,
    TooMany,
)
from bridge.words.roles import Role

_UNREAD = Response(status_code=503)  # which nobody reads


def admin_app(
    faces: Faces,
    *,
    access: Access,
    public_url: str | None = None,
    provider: Provider | None = None,
    framed_by: str | None = None,
) -> Starlette:
    """Build the admin application; `public_url` is where people reach it, `provider` where they may sign in.

    `framed_by`: sites that may show its pages in a frame.
    """
    scrapes, looks, changes = Calls("scrape", 1), Calls("look", LOOKS), Calls("change", CHANGES)
    door = Door(access)
    threads = Threads(looks, changes)
    pages = Pages(faces, door, threads=threads, public_url=public_url, provider=provider, framed_by=framed_by)

    async def metrics(request: Request) -> Response:
        """Return the metrics in Prometheus' text format."""
        try:
            return Response(await scrapes.run(request.receive, faces.api.exposition), media_type=CONTENT_TYPE)
        except ClientLeft:
            return _UNREAD

    routes = [
        Route("/metrics", _needs(Role.METRICS, metrics)),
        Mount("/api/v1", routes=_described(_api_routes(faces, looks, changes))),
        *pages.routes(),
    ]
    guard = Middleware(Guard, door=door, refusal=pages.refusal)
    handlers = {HTTPException: _not_offered, Exception: _failed}
    return Starlette(routes=routes, middleware=[guard], exception_handlers=handlers)


def _described(routes: list[Route]) -> list[Route]:
    """Add the path that describes all of them, itself among them."""
    content = b""

    async def describe(_: Request) -> Response:
        """Return this API as an OpenAPI document: every path, what it takes and answers, and the role that it needs."""
        return Response(content, media_type="application/json")

    routes.append(Route("/openapi.json", _needs(Role.VIEWER, describe)))
    content = views.dump(openapi.document(_offers(routes)))
    return routes


def _offers(routes: list[Route]) -> Iterator[openapi.Offer]:
    for route in routes:
        for method in sorted((route.methods or set()) - {"HEAD"}):
            path = route.path.replace(":path}", "}")
            yield openapi.Offer(method, path, route.endpoint.__doc__ or "", route.endpoint.role)  # type: ignore[attr-defined]


async def _not_offered(request: Request, error: Exception) -> Response:
    """Answer for a path or a method that is not there; the API's in the shape of its other errors."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    if not request.scope["path"].startswith("/api/"):
        return PlainTextResponse(error.detail, error.status_code, error.headers)
    word = error.detail.lower().replace(" ", "_")
    said = {"error": word, "detail": f"{request.method} is not offered here; GET /api/v1/openapi.json says what is"}
    return Response(views.dump(said), error.status_code, error.headers, "application/json")


async def _failed(request: Request, _: Exception) -> Response:
    """Answer for a mistake of the bridge's own; the server logs it."""
    if not request.scope["path"].startswith("/api/"):
        return PlainTextResponse("Internal Server Error", 500)
    return _json({"error": "internal_error", "detail": "a mistake of the bridge: its log has more"}, 500)


def _api_routes(faces: Faces, looks: Calls, changes: Calls) -> list[Route]:
    """Return every path of the API, each with its pool of threads and the least role that may use it."""
    api, orders = faces.api, faces.orders
    return [
        Route("/status", _answers(faces.status.status, looks, Role.VIEWER)),
        Route("/deliveries", _answers(faces.looks.deliveries, looks, Role.VIEWER)),
        Route("/deliveries/{id}", _answers(faces.looks.delivery, looks, Role.VIEWER)),
        Route("/triggers", _answers(faces.looks.triggers, looks, Role.VIEWER)),
        Route("/triggers/{id}", _answers(faces.looks.trigger, looks, Role.VIEWER)),
        Route("/stream", _streams(faces.stream, looks, Role.VIEWER)),
        Route("/verify", _streams(faces.verifying, looks, Role.OPERATOR)),
        Route("/replicas", _answers(faces.replicas.replicas, looks, Role.OPERATOR)),
        Route("/missed", _answers(faces.missed.missed, looks, Role.OPERATOR)),
        Route("/examination", _answers(faces.examining.examination, looks, Role.OPERATOR)),
        Route("/examine", _answers(faces.examining.examine, changes, Role.OPERATOR), methods=["POST"]),
        Route("/why/{id:path}", _answers(faces.why.why, looks, Role.OPERATOR)),
        Route("/causes", _answers(faces.causes.causes, looks, Role.VIEWER)),
        Route("/routes", _answers(api.routes, looks, Role.VIEWER)),
        Route("/history", _answers(faces.history.history, looks, Role.VIEWER)),
        Route("/wait", _answers(faces.waiting.wait, looks, Role.VIEWER)),
        Route("/completion", _waits(faces.telling, looks, Role.VIEWER)),
        Route("/explain", _answers(api.explain, looks, Role.VIEWER), methods=["POST"]),
        Route("/replay", _answers(orders.replay, changes, Role.OPERATOR), methods=["POST"]),
        Route("/cancel", _answers(orders.cancel, changes, Role.OPERATOR), methods=["POST"]),
        Route("/pauses", _answers(faces.pauses.pauses, looks, Role.VIEWER)),
        Route("/pause", _answers(faces.pauses.pause, changes, Role.OPERATOR), methods=["POST"]),
        Route("/resume", _answers(faces.pauses.resume, changes, Role.OPERATOR), methods=["POST"]),
        Route("/orders", _answers(orders.orders, looks, Role.VIEWER)),
        Route("/orders/{id}", _answers(orders.order, looks, Role.VIEWER)),
        Route("/orders/{id}/stop", _answers(orders.stop, changes, Role.OPERATOR), methods=["POST"]),
        Route("/refusals", _answers(faces.refusals.refusals, looks, Role.OPERATOR)),
        Route("/bodies", _answers(faces.bodies.bodies, looks, Role.OPERATOR)),
        Route("/export/{id}", _answers(faces.exporting.export, looks, Role.OPERATOR)),
        Route("/audit", _answers(faces.audit.audit, looks, Role.ADMIN)),
        Route("/erase", _answers(faces.erasing.erase, changes, Role.ADMIN), methods=["POST"]),
        Route("/outcomes", _answers(faces.outcomes.outcomes, changes, Role.OUTCOMES), methods=["POST"]),
    ]


Endpoint = Callable[[Request], Awaitable[Response | EventStream]]


def _needs(role: Role, endpoint: Endpoint) -> Endpoint:
    """Answer 403 to a caller that may not do what needs this role."""

    async def guarded(request: Request) -> Response | EventStream:
        if not caller_of(request.scope).may(role):
            return _forbidden(request, role)
        return await endpoint(request)

    guarded.__doc__ = endpoint.__doc__  # docs/reference/api.md prints it
    guarded.role = role  # type: ignore[attr-defined]  # and the role, too
    return guarded


def _forbidden(request: Request, needed: Role) -> Response:
    detail = f"this needs the role {needed}, and {caller_of(request.scope).name} has another one"
    return _json({"error": "forbidden", "detail": detail, "next_step": f"use a token of the role {needed}"}, 403)


def _answers(method: Callable[..., views.Json], calls: Calls, role: Role) -> Endpoint:
    """Run a method of the API in a thread and turn its result or its error into JSON, there as well."""

    async def endpoint(request: Request) -> Response:
        try:
            caller, query, body = caller_of(request.scope), dict(request.query_params), await _body(request)
            asked = {"path": request.path_params, "query": query, "body": body, "caller": caller}
            key = request.headers.get("Idempotency-Key")
            return await calls.run(request.receive, lambda: _result(method(**asked, key=key)))
        except (BridgeError, ClientLeft) as error:
            return _refusal(request, error)

    endpoint.__doc__ = method.__doc__
    return _needs(role, endpoint)


def _streams(api: StreamApi | VerifyingApi, calls: Calls, role: Role) -> Endpoint:
    """Answer with events that go on; what was missed before is looked up in a thread."""

    async def endpoint(request: Request) -> Response | EventStream:
        query, came_back = dict(request.query_params), request.headers.get("last-event-id")
        try:
            stream = api.stream(query=query, caller=caller_of(request.scope), last_event_id=came_back)
        except BridgeError as error:
            return _refusal(request, error)
        try:
            if stream.catch_up is not None:
                await calls.run(request.receive, stream.catch_up)
        except (BridgeError, ClientLeft) as error:
            stream.leave()
            return _refusal(request, error)
        return stream

    endpoint.__doc__ = api.stream.__doc__
    return _needs(role, endpoint)


def _waits(api: TellingApi, calls: Calls, role: Role) -> Endpoint:
    """Look in a thread; then wait without one for what is not known yet."""

    async def endpoint(request: Request) -> Response:
        try:
            asked = api.completion(dict(request.query_params))
            answer: Answer | None = await calls.run(request.receive, lambda: api.look(asked))
            if answer == Answer() and asked.seconds:
                answer = await api.wait(asked, request.receive)
        except (BridgeError, ClientLeft) as error:
            return _refusal(request, error)
        return _UNREAD if answer is None else _json(shown(answer), 200)

    endpoint.__doc__ = api.completion.__doc__
    return _needs(role, endpoint)


def _refusal(request: Request, error: Exception) -> Response:
    """Return what is answered instead."""
    more: views.Json = {}
    match error:
        case Forbidden():
            return _forbidden(request, error.needed)
        case ClientLeft():
            return _UNREAD
        case TooMany():
            answer = _json({"error": "too_many_requests", "detail": f"too many {error.limit}; try again later"}, 429)
            answer.headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
            return answer
        case NotThere():
            status, word = 404, "not_found"
        case Changed():
            status, word = 409, "changed"
            more = {"next_step": "count again with dry_run, look, and send the expected of that answer"}
        case InboxUnavailable() | LookupUnavailable():
            status, word = 503, "unavailable"
        case _:
            status, word = 400, "bad_request"
    return _json({"error": word, "detail": str(error), **more}, status)


async def _body(request: Request) -> bytes:
    """Read the body of a change; it must be called JSON, which no HTML form can do across origins."""
    return await read_body(request, "application/json") if request.method == "POST" else b""


def _result(value: views.Json) -> Response:
    return _json(value, 202 if isinstance(value, Accepted) else 200)


def _json(value: views.Json, status: int) -> Response:
    return Response(views.dump(value), status_code=status, media_type="application/json")
