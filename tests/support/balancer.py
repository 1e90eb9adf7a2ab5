"""A plain HTTP balancer on loopback: connections in turn to the backends that were ready when it last asked.

As a Kubernetes Service does: it asks /readyz every so often, so that it goes on sending to one that is about to stop
for a while; and it never repeats a request, so that whatever goes wrong behind it is seen by the sender.
"""

import asyncio
import threading
from typing import Self


class Balancer:
    """Passes connections on; a backend is the port of a bridge on loopback."""

    def __init__(self, ports: list[int], *, probe_seconds: float = 0.5, failures: int = 2) -> None:
        """Send to a backend until it has failed `failures` probes in a row."""
        self._ports = ports
        self._probe_seconds = probe_seconds
        self._failures = failures
        self._failed = dict.fromkeys(ports, 0)
        self._turn = 0
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def ready(self) -> list[int]:
        """The backends that are sent to."""
        return [port for port in self._ports if self._failed[port] < self._failures]

    def __enter__(self) -> Self:
        """Begin to pass on and to probe."""
        self._thread.start()
        self._probing = asyncio.run_coroutine_threadsafe(self._probe_all(), self._loop)
        return self

    def __exit__(self, *_: object) -> None:
        """End every connection."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        await asyncio.sleep(0)  # connections that were just taken have begun, so that cancelling closes them
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _probe_all(self) -> None:
        while True:
            await asyncio.gather(*(self._probe(port) for port in self._ports))
            await asyncio.sleep(self._probe_seconds)

    async def _probe(self, port: int) -> None:
        try:
            async with asyncio.timeout(10):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(b"GET /readyz HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n")
                    is_ready = (await reader.readline()).split()[1:2] == [b"200"]
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            is_ready = False
        self._failed[port] = 0 if is_ready else self._failed[port] + 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on to the next backend in turn."""
        self._turn += 1
        ready = self.ready
        far_writer = None
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", ready[self._turn % len(ready)])
            await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        except (OSError, ZeroDivisionError):
            pass
        finally:  # also of one that is cancelled before it began to pass anything on
            writer.close()
            if far_writer is not None:
                far_writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
