"""The admin listener: the JSON API under /api/v1 and /metrics, behind the token.

Every handler reads or writes the store in a thread (calls). Without a token the listener is bound to loopback only
(wiring refuses anything else), and then only requests that name a loopback host are answered, so that a web page
in somebody's browser cannot reach it under another name.
"""

import hmac
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.edges.metrics import CONTENT_TYPE
from bridge.rules import views
from bridge.web.api import Api
from bridge.web.calls import CHANGES, LOOKS, Calls, ClientLeft
from bridge.web.orders import Accepted, OrdersApi
from bridge.web.outcomes import PATH, OutcomesApi
from bridge.words.errors import BadFilter, BridgeError, InboxUnavailable, NotThere

_NEED_TOKEN = "send Authorization: Bearer <BRIDGE_ADMIN_TOKEN>"  # noqa: S105 - no token
_NEED_LOOPBACK = "no BRIDGE_ADMIN_TOKEN is set, so only http://127.0.0.1 and http://localhost are served"
_LEFT = Response(status_code=503)  # which nobody reads
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


class Guard:
    """Lets a request through only with the token; compares in constant time and reads no URL."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: Callable[[str], str | None],
        metrics_open: bool,
    ) -> None:
        """`token` returns the one of this moment, by its name; `metrics_open`: /metrics needs none."""
        self._app = app
        self._token = token
        self._metrics_open = metrics_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or pass on."""
        if scope["type"] == "http" and not self._allows(scope):
            next_step = _NEED_TOKEN if self._token("admin") else _NEED_LOOPBACK
            response = _json({"error": "unauthorized", "next_step": next_step}, 401)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        if self._metrics_open and scope["path"] == "/metrics":
            return True
        headers = dict(scope["headers"])
        token, own = self._token("admin"), self._token("outcomes") if scope["path"] == PATH else None
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if token is None and own is None:
            host = headers.get(b"host", b"").decode("latin-1")
            return host in _LOOPBACK or host.rpartition(":")[0] in _LOOPBACK
        # The scheme is written in any case (RFC 9110, 11.1), and several blanks may follow it.
        is_one = [hmac.compare_digest(given.lstrip(b" "), one.encode()) for one in (token, own) if one is not None]
        return any(is_one) and scheme.lower() == b"bearer"


def admin_app(
    api: Api, orders: OrdersApi, outcomes: OutcomesApi, *, token: Callable[[str], str | None], metrics_open: bool
) -> Starlette:
    """Build the admin application."""
    looks, changes, scrapes = Calls("look", LOOKS), Calls("change", CHANGES), Calls("scrape", 1)

    async def metrics(request: Request) -> Response:
        """Return the metrics in Prometheus' text format."""
        try:
            return Response(await scrapes.run(request.receive, api.exposition), media_type=CONTENT_TYPE)
        except ClientLeft:
            return _LEFT

    routes = [
        Route("/metrics", metrics),
        Mount(
            "/api/v1",
            routes=[
                Route("/status", _answers(api.status, looks)),
                Route("/deliveries", _answers(api.deliveries, looks)),
                Route("/deliveries/{id}", _answers(api.delivery, looks)),
                Route("/triggers", _answers(api.triggers, looks)),
                Route("/triggers/{id}", _answers(api.trigger, looks)),
                Route("/routes", _answers(api.routes, looks)),
                Route("/explain", _answers(api.explain, looks), methods=["POST"]),
                Route("/replay", _answers(orders.replay, changes), methods=["POST"]),
                Route("/cancel", _answers(orders.cancel, changes), methods=["POST"]),
                Route("/orders", _answers(orders.orders, looks)),
                Route("/orders/{id}", _answers(orders.order, looks)),
                Route("/orders/{id}/stop", _answers(orders.stop, changes), methods=["POST"]),
                Route("/erase", _answers(api.erase, changes), methods=["POST"]),
                Route("/outcomes", _answers(outcomes.outcomes, changes), methods=["POST"]),
            ],
        ),
    ]
    guard = Middleware(Guard, token=token, metrics_open=metrics_open)
    return Starlette(routes=routes, middleware=[guard])


def _answers(method: Callable[..., views.Json], calls: Calls) -> Callable[[Request], Awaitable[Response]]:
    """Run a method of the API in a thread and turn its result or its error into JSON, there as well."""

    async def endpoint(request: Request) -> Response:
        try:
            body = await _body(request)
            query = dict(request.query_params)
            return await calls.run(
                request.receive, lambda: _result(method(path=request.path_params, query=query, body=body))
            )
        except NotThere as error:
            return _json({"error": "not_found", "detail": str(error)}, 404)
        except InboxUnavailable as error:
            return _json({"error": "unavailable", "detail": str(error)}, 503)
        except BridgeError as error:
            return _json({"error": "bad_request", "detail": str(error)}, 400)
        except ClientLeft:
            return _LEFT

    endpoint.__doc__ = method.__doc__  # docs/reference/api.md prints it
    return endpoint


MOST_BYTES = 2_097_152


async def _body(request: Request) -> bytes:
    """Read the body of a change; it must be called JSON, which no HTML form can do across origins."""
    if request.method != "POST":
        return b""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadFilter("send Content-Type: application/json")
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > MOST_BYTES:
            raise BadFilter(f"the body is larger than {MOST_BYTES} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _result(value: views.Json) -> Response:
    return _json(value, 202 if isinstance(value, Accepted) else 200)


def _json(value: views.Json, status: int) -> Response:
    return Response(views.dump(value), status_code=status, media_type="application/json")
