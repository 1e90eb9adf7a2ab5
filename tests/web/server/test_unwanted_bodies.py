"""Bodies behind a refusal are read and dropped up to a bound, which each request has for itself.

The real protocol on an event loop, without a socket: how much is sent between two looks is the test's to say.
"""

import asyncio
from typing import Any

from uvicorn.server import ServerState

from bridge.edges.metrics import Metrics
from bridge.web.server import Bounds, server

MIB = 1_048_576
HEAD = b"POST /nowhere HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n"


class Transport(asyncio.Transport):
    """The sender's end."""

    def __init__(self) -> None:
        """Nothing was written yet."""
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.written += bytes(data)

    def is_closing(self) -> bool:
        """Whether the bridge has ended the connection."""
        return self.is_closed

    def close(self) -> None:
        """End it."""
        self.is_closed = True

    abort = close

    def pause_reading(self) -> None:
        """The test decides what comes."""

    def resume_reading(self) -> None:
        """As above."""


async def refuse(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer 404 at once."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def send_each(*sizes: int) -> tuple[int, bool]:
    """Send requests with bodies of these sizes, each after the answer to its head; answers, and whether it ended."""
    metrics = Metrics(keys_by_source={"planasonix": ["current"]}, airflows=["default"])
    config = server(
        refuse, name="public", bounds=Bounds(16_384, 64, 60, 60, 9, 8 * MIB, 64 * MIB), metrics=metrics
    ).config
    config.load()
    transport = Transport()
    connection = config.http_protocol_class(config, server_state=ServerState(), app_state={})  # type: ignore[call-arg]
    connection.connection_made(transport)
    for answers, size in enumerate(sizes, start=1):
        connection.data_received(HEAD % size)
        while transport.written.count(b"HTTP/1.1 404") < answers and not transport.is_closed:
            await asyncio.sleep(0)
        for _ in range(0, size, MIB):
            connection.data_received(bytes(min(MIB, size)))
    found = transport.written.count(b"HTTP/1.1 404"), transport.is_closed
    connection.connection_lost(None)
    return found


def test_each_request_may_have_an_unwanted_body() -> None:
    """Four of three MiB on one connection: a sender that learns nothing from 404 is answered as long as it likes."""
    assert asyncio.run(send_each(*[3 * MIB] * 4)) == (4, False)


def test_one_unwanted_body_is_bounded() -> None:
    """Of one that is longer than 4 MiB nothing more is read."""
    assert asyncio.run(send_each(6 * MIB)) == (1, True)
