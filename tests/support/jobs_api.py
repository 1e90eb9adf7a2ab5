"""Bodies, and a Planasonix API on loopback that tells of jobs."""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs

from bridge.flows.receiving import Receipt, Receiving
from tests.support.loopback import HttpServer, Loopback
from tests.support.store import settle


def body(event: str = "evt_1", **more: Any) -> bytes:
    """Return a documented body: it names a job and no pipeline, unless `data` says more."""
    data = {"status": "succeeded", **more.pop("data", {})}
    return json.dumps(
        {"id": event, "type": "job.succeeded", "timestamp": "2026-08-01T10:00:00Z", "job_id": "job_1", "data": data}
        | more
    ).encode()


def wrapped(page: list[Any], cursor: str | None) -> Any:
    """Return a page as the API reference shows it."""
    return {"data": page, "next_cursor": cursor}


def inside(page: list[Any], cursor: str | None) -> Any:
    """Return a page in the other envelope and casing."""
    spelled = [{re.sub(r"_(\w)", lambda m: m[1].upper(), name): value for name, value in job.items()} for job in page]
    return {"data": {"jobs": spelled, "pagination": {"nextCursor": cursor}}}


class JobsApi(Loopback):
    """The Planasonix API as far as the bridge asks it: a job, `GET /api/v1/jobs` in pages, and a run, unwrapped."""

    handler: type[BaseHTTPRequestHandler]

    def __init__(self) -> None:
        """Know no job yet."""
        self.jobs: dict[str, Any] = {}
        self.runs: dict[str, Any] = {}
        self.status = 200  # of every answer
        self.statuses: dict[str, int] = {}  # of single jobs
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []
        self.page_size = 100
        self.envelope: Callable[[list[Any], str | None], Any] = wrapped
        self.faults: list[tuple[int, dict[str, str]]] = []  # status and headers of the next answers to a list
        self.listed: list[dict[str, list[str]]] = []  # what was asked for
        self.gate = threading.Event()
        self.gate.set()
        server = _Server(("127.0.0.1", 0), self.handler)
        server.api = self
        super().__init__(server)

    def page(self, query: str) -> tuple[int, dict[str, str], Any]:
        """Return the answer to a list: status, headers, value."""
        asked = parse_qs(query)
        self.listed.append(asked)
        if self.faults:
            return *self.faults.pop(0), {"error": {"code": "no", "message": "no"}}
        if self.status != 200:
            return self.status, self.headers, {"error": "no"}
        begin = int(asked.get("cursor", ["0"])[0])
        end = begin + self.page_size
        jobs = list(self.jobs.values())
        return 200, {}, self.envelope(jobs[begin:end], str(end) if end < len(jobs) else None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of everybody who waits, and end."""
        self.gate.set()
        super().__exit__(kind, error, trace)


class _Server(HttpServer):
    api: JobsApi


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        api = self.server.api
        path, _, query = self.path.partition("?")
        if path == "/api/v1/jobs":
            status, headers, value = api.page(query)
            api.gate.wait(60)
            self._reply(status, headers, value)
            return
        is_run = path.startswith("/api/runs/")
        asked = path.rpartition("/")[2]
        api.asked.append(asked)
        api.gate.wait(60)
        found = (api.runs if is_run else api.jobs).get(asked)
        status = api.statuses.get(asked, api.status)
        status = status if status != 200 or found is not None else 404
        good = found if is_run else {"data": found}
        self._reply(status, api.headers, good if status == 200 else {"error": "no"})

    def _reply(self, status: int, headers: dict[str, str], answer: Any) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


JobsApi.handler = _Handler


def received(
    receiving: Receiving,
    headers: Sequence[tuple[bytes, bytes]],
    content: bytes,
    pipeline: str | None = None,
    *,
    peer: str | None = None,
) -> Receipt:
    """Hand one webhook in, and wait for what becomes of it."""

    async def accept() -> Receipt:
        told: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        receiving.accept("planasonix", headers, content, pipeline, peer, then=lambda outcome: settle(told, outcome))
        return await told

    return asyncio.run(accept())
