r"""The target `application`: bytes from a connection, through uvicorn's protocol and the whole app, to a real store.

The first byte of an input says what the rest is:

    0   the bytes of a connection, as they are
    1   a body, sent with its right signature
    2   `path \0 header lines \0 body`, with the body's right signature
    3   the bytes of a connection that breaks off in the middle

No answer may be a 5xx, nothing may be raised, whatever is answered 202 must be in the store and be routed.
"""

import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bridge.edges import logs
from bridge.edges.inbox.pruning import old, prune
from bridge.edges.settings import Environment, read_config
from bridge.rules.signature import PRESETS, Key, sign
from bridge.wiring import Service

_SECRET = "5c1f7be0a9d84e6fb32a70c6d19e8b47"
_KEY = Key("k", _SECRET.encode())
_CONFIG = """
sources: {planasonix: {signature: {preset: planasonix, secrets: [{id: k, env: S}]}}}
airflow: {default: {url: "http://127.0.0.1:9", auth: {token: {env: S}}}}
"""
_MAPPING = """
routes:
  - {name: all, dag: everything, "on": [succeeded, failed, cancelled, skipped], conf: {rows: "{{ event.rows_loaded }}"}}
  - {pipeline: "pl_*", dag: other, when: event.parameters.size > 0}
"""
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_WAITING = "SELECT COUNT(*) FROM deliveries WHERE state = 'received'"
_LONGEST_SECONDS = 60  # far above libFuzzer's own limit of 10 s
_STEPS_OF_A_REFUSAL = 5
_ROUTE_EVERY = 100  # accepted webhooks


class _Connection(asyncio.Transport):
    """The sender's end: keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def pause_reading(self) -> None:
        """The whole input is there already."""

    def resume_reading(self) -> None:
        """The whole input is there already."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is slow here."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8080)}.get(name, default)


class Application:
    """One service whose listeners are opened and never served: inputs are handed to the protocol itself."""

    def __init__(self) -> None:
        """Build it on a store of its own, in a temporary folder."""
        logs.configure("error", "json", sys.stderr)
        self._left = ExitStack()
        folder = Path(self._left.enter_context(tempfile.TemporaryDirectory()))
        (folder / "mapping.yaml").write_text(_MAPPING)
        environment = Environment(
            database_url=f"sqlite:///{folder}/bridge.db",
            host="127.0.0.1",
            port=0,
            admin_port=0,
            mapping=folder / "mapping.yaml",
        )
        config = read_config(_CONFIG, file="bridge.yaml", environ={"S": _SECRET}, base_dir=folder)
        self._service = Service(environment, config)
        self._server, _ = self._service._servers()
        self._server.config.load()
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(self._failed)
        self._failure: str | None = None
        self._accepted = 0
        self.accepted_in_all = 0

    def _failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._failure = repr(context.get("exception") or context["message"])

    def one(self, data: bytes) -> None:
        """Try one input."""
        request, breaks_off = _request(data)
        answered = self._loop.run_until_complete(self._send(request, breaks_off=breaks_off))
        assert self._failure is None, self._failure
        statuses = [int(found[1]) for found in _STATUS.finditer(answered)]
        assert all(status < 500 for status in statuses), statuses
        self._accepted += statuses.count(202)
        self.accepted_in_all += statuses.count(202)
        if self._accepted >= _ROUTE_EVERY:
            self._accepted = 0
            self._route()

    async def _send(self, request: bytes, *, breaks_off: bool) -> bytes:
        """Hand the bytes over in two pieces, and return the answers once nothing is under way any more."""
        connection = _Connection()
        config: Any = self._server.config
        protocol: Any = config.http_protocol_class(config=config, server_state=self._server.server_state, app_state={})
        protocol.connection_made(connection)
        half = len(request) // 2
        for piece in (request[:half], request[half:]):
            if piece and not connection.is_closed:
                protocol.data_received(piece)
                await asyncio.sleep(0)
        if not breaks_off:
            await self._until(lambda: _is_answered(protocol, connection), "a complete request got no answer")
            for _ in range(_STEPS_OF_A_REFUSAL):  # what is refused by its head alone
                await asyncio.sleep(0)
        protocol.connection_lost(None)
        tasks = self._server.server_state.tasks
        await self._until(lambda: not tasks, "a request goes on after its connection is gone")
        return bytes(connection.written)

    async def _until(self, is_so: Callable[[], bool], problem: str) -> None:
        """Let the loop go on until something is so; a commit takes a while, everything else none."""
        deadline, step = time.monotonic() + _LONGEST_SECONDS, 0
        while not is_so():
            assert time.monotonic() < deadline, problem
            await asyncio.sleep(0 if step < 3 else 0.0005)
            step += 1

    def _route(self) -> None:
        """Route what was accepted, and forget it, so that a long run needs no large disk."""
        inbox = self._service._inbox
        while self._service._router.route_due():
            pass
        left = inbox.read(
            lambda c: c.exec_driver_sql("SELECT COUNT(*) FROM deliveries WHERE state='received'").scalar()
        )
        assert not left, f"{left} deliveries were not routed"
        assert not self._failures(), "an error was caught by a last guard: see the log"
        inbox.write(_forget)

    def _failures(self) -> float:
        samples = (item for metric in self._service._metrics.failures.collect() for item in metric.samples)
        return sum(item.value for item in samples if item.name.endswith("_total"))

    def close(self) -> None:
        """Close the store and remove it."""
        self._service._close()
        for opened in (self._service.public_socket, self._service.admin_socket):
            opened.close()
        asyncio.set_event_loop(None)
        self._loop.close()
        self._left.close()


def _is_answered(protocol: Any, connection: _Connection) -> bool:
    """Whether no complete request waits for its answer any more: one whose body is cut short never gets one."""
    cycle = protocol.cycle
    if connection.is_closed or cycle is None or cycle.response_complete:
        return True
    return bool(cycle.more_body) and not protocol.pipeline


def _forget(connection: Any) -> None:
    connection.exec_driver_sql("DELETE FROM attempts")
    connection.exec_driver_sql("DELETE FROM triggers")
    ended, _ = old(connection, before=datetime.now(UTC) + timedelta(days=1), after=0, limit=10_000)
    prune(connection, ended)


def _request(data: bytes) -> tuple[bytes, bool]:
    kind, rest = data[:1] or b"\0", data[1:]
    match kind[0] % 4:
        case 1:
            return _signed(b"/hooks/planasonix", b"", rest), False
        case 2:
            path, _, more = rest.partition(b"\0")
            lines, _, body = more.partition(b"\0")
            return _signed(path or b"/hooks/planasonix", lines, body), False
        case way:
            return rest, way == 3


def _signed(path: bytes, lines: bytes, body: bytes) -> bytes:
    headers = sign(PRESETS["planasonix"], _KEY, body, int(time.time()))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST %s HTTP/1.1\r\nHost: b\r\n%s%s%s\r\n%s" % (path, head, length, lines, body)
