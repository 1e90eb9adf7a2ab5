"""A real HTTP server on loopback that takes messages as apprise's `json://` sends them.

    with Receiver() as chat:
        ...                                        # notify chat.url
        assert chat.titles == ["failed: orders -> load at default"]

Trouble is asked for: `status` may be changed while it runs, and while `hangs` nobody is answered. `refused` and
`unanswered` are the titles of messages that meet that alone.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any

from tests.support.loopback import HttpServer, Loopback


class Receiver(Loopback):
    """One service that people are notified by."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.status = 200
        self.hangs = False
        self.refused: frozenset[str] = frozenset()
        self.unanswered: frozenset[str] = frozenset()
        self.taken: list[dict[str, Any]] = []
        self.asked = 0  # requests that came, also those that were not taken
        self._released = threading.Event()
        super().__init__(HttpServer(("127.0.0.1", 0), self._handler()))

    @property
    def url(self) -> str:
        """What apprise calls it; it waits for an answer for as long as its process lives."""
        return f"json://bot:hidden-word@127.0.0.1:{self.port}/hidden-path?rto=3600"

    @property
    def titles(self) -> list[str]:
        """The titles of what was taken, in order."""
        return [message["title"] for message in self.taken]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of everybody who waits, and end."""
        self._released.set()
        super().__exit__(kind, error, trace)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked += 1
                if outer.hangs or message["title"] in outer.unanswered:
                    outer._released.wait()
                    return
                status = 400 if message["title"] in outer.refused else outer.status
                if status == 200:
                    outer.taken.append(message)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler
