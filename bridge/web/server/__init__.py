"""The listeners: sockets, uvicorn, and the bounds of what a stranger may cost. The only importer of uvicorn.

Bodies are bounded in web/hooks, everything before them in `guard`.
"""

import contextlib
import functools
import resource
import socket
import ssl
import time
from collections.abc import Callable, Iterator

import structlog
import uvicorn

from bridge.edges.metrics import Metrics
from bridge.web.server.answering import Take
from bridge.web.server.crowd import Bounds, Crowd
from bridge.web.server.guard import GuardedProtocol
from bridge.web.server.tls import TlsListener, TlsProtocol
from bridge.words.errors import ConfigError, Problem

__all__ = ["Bounds", "Server", "address", "listen", "server"]

_log = structlog.get_logger("bridge.listening")
_BACKLOG = 2048
_OWN_FILES = 256  # stores, Airflows, libraries: never eaten up by connections
_QUIET_SECONDS = 10.0


class Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: this process has two servers and one way to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    def stop(self, limit_seconds: float) -> None:
        """Take in no more requests; those under way may take so long to end."""
        self.config.timeout_graceful_shutdown = max(1, int(limit_seconds))
        self.should_exit = True


class TlsServer(Server):
    """A server whose connections the bridge accepts itself."""

    def __init__(self, config: uvicorn.Config, listen: Callable[..., TlsListener]) -> None:
        """`listen` accepts the connections of a socket from then on."""
        super().__init__(config)
        self._listen = listen

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start without uvicorn's own listeners; these stop as they would."""
        await super().startup(sockets=[])
        self.servers += [self._listen(each, protocol=self._protocol) for each in sockets or ()]  # type: ignore[misc]

    def _protocol(self) -> TlsProtocol:
        state = self.lifespan.state
        return self.config.http_protocol_class(  # type: ignore[call-arg, return-value]
            config=self.config, server_state=self.server_state, app_state=state
        )


class _Tally:
    """Counts the connections that the bridge ends, and logs one of a kind now and then."""

    def __init__(self, name: str, metrics: Metrics) -> None:
        self._name = name
        self._metrics = metrics
        self._logged: dict[str, float] = {}

    def __call__(self, reason: str) -> None:
        self._metrics.connections_ended.labels(self._name, reason).inc()
        now = time.monotonic()
        if now - self._logged.get(reason, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            self._logged[reason] = now
            _log.info("connection_ended", listener=self._name, reason=reason)


def server(
    app: object,
    *,
    name: str,
    bounds: Bounds,
    metrics: Metrics,
    take: Take | None = None,
    tls: Callable[[], ssl.SSLContext] | None = None,
) -> Server:
    """Return a server for an ASGI application; give `serve` its sockets. `name` labels its metrics.

    `take` may answer requests that arrive in one piece instead (GuardedProtocol). With `tls` it speaks TLS, with what
    that returns at each connection.
    """
    crowd = Crowd(limit=_places(bounds.connections), most_bytes=bounds.unfinished_bytes)
    metrics.connections.labels(name).set_function(lambda: crowd.count)
    tally = _Tally(name, metrics)
    kind = GuardedProtocol if tls is None else TlsProtocol
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=functools.partial(kind, crowd=crowd, bounds=bounds, on_closed=tally, take=take),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=bounds.idle_seconds,  # type: ignore[arg-type]
    )
    if tls is None:
        return Server(config)
    return TlsServer(config, functools.partial(TlsListener, context=tls, crowd=crowd, bounds=bounds, on_closed=tally))


def _places(wanted: int) -> int:
    """Return how many connections there may be, after asking for as many open files as that needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * wanted + _OWN_FILES  # two listeners
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < needed:
            wanted = max(1, (soft - _OWN_FILES) // 2)
            _log.warning("few_files", connections=wanted, next_step=f"raise the limit of open files to {needed}")
    return wanted


def listen(host: str, port: int, setting: str) -> socket.socket:
    """Open a listening socket; ConfigError names the setting to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        what = f"cannot listen on {host} port {port}: {error.strerror or error}"
        raise ConfigError([Problem(setting, 0, 0, what)]) from None


def address(listening: socket.socket, *, to_reach: bool = False, scheme: str = "http") -> str:
    """Return the URL of a listening socket; `to_reach`: one that this machine reaches it by."""
    host, port = listening.getsockname()[:2]
    if to_reach:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not listened on
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
