"""Requests as bytes, and answers read from a raw socket."""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.service import signed


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 if nothing did."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def read_answer(connection: socket.socket) -> Answer:
    """Read one answer, its body as long as its Content-Length says."""
    received = b""
    while b"\r\n\r\n" not in received:
        try:
            piece = connection.recv(65_536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            return Answer(0, {}, received)
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        piece = connection.recv(65_536)
        if not piece:
            break
        body += piece
    return Answer(int(first.split()[1]), headers, body)


def request(
    body: bytes = b"",
    *,
    method: str = "POST",
    path: str | bytes = "/hooks/planasonix",
    headers: Mapping[str, str] | None = None,
    more: list[tuple[str, str]] | None = None,
    length: bool = True,
    host: str = "bridge",
) -> bytes:
    """Return one request, signed unless `headers` are given; `more` are added behind, also twice."""
    target = path if isinstance(path, bytes) else path.encode()
    lines = list((signed(body) if headers is None else headers).items()) + (more or [])
    if length:
        lines.append(("Content-Length", str(len(body))))
    head = b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in lines)
    return b"%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n%s" % (method.encode(), target, host.encode(), head, body)


def chunked(body: bytes, size: int = 1000) -> bytes:
    """Return a body in chunks."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
