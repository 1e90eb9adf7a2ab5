"""A small HTTP proxy on loopback that loses, delays and forges answers, one request at a time.

    with FaultProxy(airflow.url) as proxy:
        proxy.fail_next(DropAnswer(), method="POST", path="/dagRuns")   # the server acts, the caller never knows
        ...                                                             # give the code under test proxy.url

A fault waits for the next request that matches and is used up by it (`times` for more); faults for the same
request are used in the order they were given. Requests without a fault are forwarded unchanged, over a
connection of their own, and every one is kept in `proxy.seen`. Bodies are read whole: no streaming, no TLS.
"""

import contextlib
import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import urlsplit

from deploy.demo.processes import free_port


@dataclass(frozen=True, slots=True)
class DropAnswer:
    """Let the server act, read its whole answer, then close the caller's connection without a word."""


@dataclass(frozen=True, slots=True)
class HalfAnswer:
    """Let the server act and pass on the first half of its answer's bytes."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the caller's connection (RST); `after_acting` says whether the server got the request first."""

    after_acting: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """Hold the request back for so long, or with `after_acting` the answer."""

    seconds: float
    after_acting: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """Let the server act, and hold its answer back until the event is set."""

    until: threading.Event


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer in the server's place; with `after_acting` the server gets the request too, and is ignored."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    after_acting: bool = False


Fault = DropAnswer | HalfAnswer | Reset | Delay | Hold | Answer

BAD_GATEWAY = Answer(502, b"<html><body>Bad Gateway</body></html>", {"Content-Type": "text/html"})


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that came by; `status` is the server's own answer, None if it was never asked."""

    method: str
    path: str
    body: bytes
    status: int | None


@dataclass(slots=True)
class _Planned:
    fault: Fault
    method: str | None
    path: re.Pattern[str]
    body: re.Pattern[bytes]
    times: int


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


class FaultProxy:
    """The proxy; listens on 127.0.0.1 as long as the `with` block lasts, on one port over cut and restore."""

    def __init__(self, target: str) -> None:
        """Name the server behind, as a base URL; it need not be there yet."""
        parts = urlsplit(target)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._port = free_port()  # not one that a connection of somebody may have while it is cut
        self.seen: list[Seen] = []
        self.passed: list[str] = []  # paths whose answer has been sent on whole

    @property
    def url(self) -> str:
        """The base URL to give to the code under test."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        """Start to listen."""
        self.restore()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop to listen and end every connection."""
        self.cut()

    def fail_next(
        self, fault: Fault, *, method: str | None = None, path: str = "", body: bytes = b"", times: int = 1
    ) -> None:
        """Use `fault` for the next request of `method` that `path` and `body` (regular expressions) are found in."""
        with self._lock:
            self._planned.append(_Planned(fault, method, re.compile(path), re.compile(body), times))

    def heal(self) -> None:
        """Forget the faults that were not used."""
        with self._lock:
            self._planned.clear()

    def cut(self) -> None:
        """Refuse new connections and break the open ones, as when the server is down."""
        with self._lock:
            listener, self._listener = self._listener, None
            connections, self._open = self._open, set()
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept
            listener.close()
        for connection in connections:
            with contextlib.suppress(OSError):
                _end_with_reset(connection)
                connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads from it

    def restore(self) -> None:
        """Listen, again on the same port after a cut; nothing if it listens (two faults may have cut the same way)."""
        if self._listener is not None:
            return
        listener = socket.create_server(("127.0.0.1", self._port))
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                while request := _read_request(stream):
                    if not self._answer(connection, request):
                        return
        except OSError:
            return  # the caller went away, or we were cut
        finally:
            with self._lock:
                self._open.discard(connection)

    def _answer(self, connection: socket.socket, request: _Request) -> bool:
        """Deal with one request; False when the connection is to be closed."""
        fault = self._take_fault(request)
        match fault:
            case Reset(after_acting=False):
                self._note(request, None)
                _end_with_reset(connection)
                return False
            case Answer(after_acting=False):
                self._note(request, None)
                connection.sendall(_as_bytes(fault.status, fault.headers.items(), fault.body))
                return True
            case Delay(after_acting=False):
                time.sleep(fault.seconds)
        return self._pass_on(connection, request, fault)

    def _pass_on(self, connection: socket.socket, request: _Request, fault: Fault | None) -> bool:
        """Ask the server, and do to its answer what the fault says."""
        status, answer = self._ask_server(request)
        self._note(request, status)
        match fault:
            case DropAnswer():
                return False
            case HalfAnswer():
                connection.sendall(answer[: len(answer) // 2])
                return False
            case Reset():
                _end_with_reset(connection)
                return False
            case Answer():
                connection.sendall(_as_bytes(fault.status, fault.headers.items(), fault.body))
                return True
            case Delay(after_acting=True):
                time.sleep(fault.seconds)
            case Hold():
                fault.until.wait(120)
        connection.sendall(answer)
        self.passed.append(request.path)
        return status is not None

    def _ask_server(self, request: _Request) -> tuple[int | None, bytes]:
        server = http.client.HTTPConnection(*self._target, timeout=60)
        try:
            server.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers:
                server.putheader(name, value)
            server.endheaders(request.body)
            answer = server.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return None, _as_bytes(502, [], b"the server behind the fault proxy did not answer")
        finally:
            server.close()
        return answer.status, _as_bytes(answer.status, answer.getheaders(), body, for_head=request.method == "HEAD")

    def _take_fault(self, request: _Request) -> Fault | None:
        with self._lock:
            for planned in self._planned:
                is_meant = planned.method in (None, request.method) and planned.path.search(request.path)
                if is_meant and planned.body.search(request.body):
                    planned.times -= 1
                    if planned.times == 0:
                        self._planned.remove(planned)
                    return planned.fault
        return None

    def _note(self, request: _Request, status: int | None) -> None:
        with self._lock:
            self.seen.append(Seen(request.method, request.path, request.body, status))


def _read_request(stream: BinaryIO) -> _Request | None:
    """Read one request with Content-Length or none; None at the end of the connection."""
    line = stream.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    message = http.client.parse_headers(stream)
    length = int(message.get("Content-Length", 0))
    return _Request(line[0], line[1], list(message.items()), stream.read(length))


def _as_bytes(status: int, headers: Iterable[tuple[str, str]], body: bytes, *, for_head: bool = False) -> bytes:
    """An answer with the length of its body, whatever framing and connection it had before."""
    dropped = {"content-length", "transfer-encoding", "connection", "keep-alive"}
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers if name.lower() not in dropped]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + (b"" if for_head else body)


def _end_with_reset(connection: socket.socket) -> None:
    """Have the connection closed with RST instead of FIN, once its thread lets go of it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
