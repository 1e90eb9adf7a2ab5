"""The Planasonix API on loopback as far as subscriptions go: it keeps them, and delivers signed webhooks for real.

    with SubscriptionsApi() as planasonix:
        ...                                     # give the code under test planasonix.url
        planasonix.emit(body)                   # to every subscription, signed with its own secret

The shapes are the documented ones (API reference, `/api/v1/webhooks`); `is_wrapped` and `is_camel` are the other
spellings of its pages. `before` and `after` are called around every request with its method and path, the second after
the change was made: they may wait, return another answer, or raise `Broken`, which ends the connection.
"""

import json
import re
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx

from bridge.rules.signature import PRESETS, Key, sign
from tests.support.loopback import HttpServer, Loopback

KEY = "plx_key_of_the_stand_in"
Answer = tuple[int, Any]
TEST = {"type": "job.succeeded", "job_id": "job_test", "data": {"status": "succeeded", "test": True}}


class Broken(Exception):
    """Raised by `before` or `after`: the connection ends without an answer."""


@dataclass
class Kept:
    """One subscription, and what was delivered for it."""

    id: str
    url: str
    events: list[str]
    secret: str
    enabled: bool = True
    deliveries: list[dict[str, Any]] = field(default_factory=list)
    sending: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)  # held by an event

    def shown(self, *, with_secret: bool = False) -> dict[str, Any]:
        """Return it as the API shows it."""
        done = [item["delivered_at"] for item in self.deliveries if item["status"] == "delivered"]
        return {
            "id": self.id,
            "url": self.url,
            "events": self.events,
            "enabled": self.enabled,
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
            "last_delivery_at": done[-1] if done else None,
            "failure_count_24h": sum(item["status"] == "failed" for item in self.deliveries),
        } | ({"signing_secret": self.secret} if with_secret else {})


def _nothing(_method: str, _path: str) -> Answer | None:
    return None


class SubscriptionsApi(Loopback):
    """One tenant; every attribute may be changed while it runs."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self.kept: dict[str, Kept] = {}
        self.is_wrapped = False
        self.is_camel = False
        self.gives_secret = True
        self.test_body: dict[str, Any] = TEST
        self.page_size = 100
        self.before: Callable[[str, str], Answer | None] = _nothing
        self.after: Callable[[str, str], Answer | None] = _nothing
        self.asked: list[str] = []
        self.date: str | None = None  # of every answer, if not the time
        self.trusts: ssl.SSLContext | bool = True  # whose certificates it accepts; else those of public authorities
        self._made = 0
        self._lock = threading.RLock()
        server = _Server(("127.0.0.1", 0), _Handler)
        server.api = self
        super().__init__(server)

    def add(self, url: str, events: list[str], secret: str | None = None) -> Kept:
        """Make a subscription, as a person does in the settings."""
        with self._lock:
            self._made += 1
            number = f"{self._made:04d}"
            self.kept[f"wh_{number}"] = Kept(f"wh_{number}", url, events, secret or f"whsec_of_subscription_{number}")
            return self.kept[f"wh_{number}"]

    def emit(self, body: dict[str, Any]) -> list[int]:
        """Deliver an event to every subscription that wants its type; returns what was answered."""
        with self._lock:
            wanting = [item for item in self.kept.values() if body.get("type") in item.events]
        answers = []
        for item in wanting:
            with item.sending:
                if item.enabled and item.id in self.kept:
                    answers.append(self.deliver(item, body))
        return answers

    def deliver(self, to: Kept, body: dict[str, Any]) -> int:
        """Sign a body for one subscription, post it, and note what was answered; 0 for nothing."""
        content = json.dumps(body).encode()
        headers = sign(PRESETS["planasonix"], Key("x", to.secret.encode()), content, int(time.time()))
        try:
            with httpx.Client(trust_env=False, timeout=120, verify=self.trusts) as client:
                status = client.post(to.url, content=content, headers=headers | _JSON).status_code
        except httpx.HTTPError:
            status = 0
        with self._lock:
            entry = {"id": f"whd_{len(to.deliveries):04d}", "event": body.get("type"), "attempt": 1}
            entry |= {"status": "delivered" if status // 100 == 2 else "failed", "http_status": status or None}
            entry |= {"last_error": None if status // 100 == 2 else f"HTTP {status}"}
            to.deliveries.append(entry | {"delivered_at": datetime.now(UTC).isoformat()})
        return status

    def answer(self, method: str, path: str, body: dict[str, Any], *, authorization: str | None) -> Answer:
        """Answer one request."""
        with self._lock:
            self.asked.append(f"{method} {path}")
        if (other := self.before(method, path)) is not None:
            return other
        if authorization != f"Bearer {KEY}":
            return 401, {"error": {"code": "unauthorized", "message": "no"}}
        found = self._answer(method, path.partition("?")[0], path.partition("?cursor=")[2], body)
        return self.after(method, path) or found

    def _answer(self, method: str, path: str, cursor: str, body: dict[str, Any]) -> Answer:
        match method, path.strip("/").split("/")[2:]:
            case "GET", ["webhooks"]:
                return 200, self._listed([item.shown() for item in self.kept.values()], int(cursor or 0))
            case "POST", ["webhooks"]:
                made = self.add(body["url"], body["events"])
                made.enabled = body.get("enabled", True)
                return 201, self._spelled(made.shown(with_secret=self.gives_secret))
            case "GET", ["jobs"]:
                return 200, {"data": []}
            case _, ["webhooks", own_id, *rest] if own_id in self.kept:
                return self._one(method, self.kept[own_id], rest, body)
        return 404, {"error": {"code": "not_found", "message": "no"}}

    def _one(self, method: str, one: Kept, rest: list[str], body: dict[str, Any]) -> Answer:
        found: Answer = (404, {"error": {"code": "not_found", "message": "no"}})
        match method, rest:
            case "GET" | "PUT", []:
                if method == "PUT":
                    with one.sending:  # no event that was signed before is still on its way once it is switched off
                        one.url, one.events, one.enabled = body["url"], body["events"], body["enabled"]
                found = (200, self._spelled(one.shown()))
            case "DELETE", []:
                with one.sending:
                    del self.kept[one.id]
                found = (204, None)
            case "POST", ["test"]:
                content = {"id": f"evt_test_{time.time_ns()}", **self.test_body}
                threading.Thread(target=self.deliver, args=(one, content), daemon=True).start()
                found = (202, {})
            case "POST", ["rotate-secret"]:
                self._made += 1
                one.secret = f"whsec_of_subscription_new_{self._made:04d}"
                found = (200, self._spelled({"id": one.id, "signing_secret": one.secret}))
            case "GET", ["deliveries"]:
                found = (200, self._listed(one.deliveries, 0))
        return found

    def _listed(self, rows: list[dict[str, Any]], begin: int) -> Any:
        page = [_camel(row) if self.is_camel else row for row in rows[begin : begin + self.page_size]]
        following = begin + self.page_size
        if self.is_wrapped or following < len(rows):
            return {"data": page, "next_cursor": str(following) if following < len(rows) else None}
        return page

    def _spelled(self, value: dict[str, Any]) -> Any:
        found = _camel(value) if self.is_camel else value
        return {"data": found} if self.is_wrapped else found


_JSON = {"Content-Type": "application/json"}


def _camel(value: dict[str, Any]) -> dict[str, Any]:
    return {re.sub(r"_(\w)", lambda found: found[1].upper(), name): each for name, each in value.items()}


class _Server(HttpServer):
    api: SubscriptionsApi


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._reply("GET")

    def do_POST(self) -> None:
        self._reply("POST")

    def do_PUT(self) -> None:
        self._reply("PUT")

    def do_DELETE(self) -> None:
        self._reply("DELETE")

    def date_time_string(self, timestamp: float | None = None) -> str:
        return self.server.api.date or super().date_time_string(timestamp)

    def _reply(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        try:
            status, value = self.server.api.answer(
                method, self.path, body, authorization=self.headers.get("Authorization")
            )
        except Broken:
            self.close_connection = True
            return
        content = b"" if value is None else json.dumps(value).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass
