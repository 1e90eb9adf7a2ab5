"""A small stand-in for Airflow 3 on loopback: it keeps DAG runs by id and answers as the real one does.

    with Standin() as airflow:
        airflow.dags["load_orders"] = {"is_paused": False}
        ...                                        # give the code under test airflow.url
        assert [run["dag_run_id"] for run in airflow.runs("load_orders")] == [...]

What it knows: sign-in, version, health, DAGs, making a run and refusing one, reading one back, listing them. What it
does not: roles, parsing, execution; those are tested with the real Airflow. airflow_server/test_contract.py holds the
two side by side. Trouble is asked for: `airflow.before` and `airflow.after` are called around every POST of a run,
`airflow.front` before every request with its method and path. They may wait, raise `Broken`, or return another answer.
"""

import contextlib
import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.support.loopback import HttpServer, Loopback

TOKEN = "token-of-the-stand-in"
_RUN_KEYS = (
    *("logical_date", "queued_at", "start_date", "end_date", "duration", "data_interval_start", "data_interval_end"),
    *("run_after", "last_scheduling_decision", "triggering_user_name", "conf", "note", "bundle_version"),
    *("dag_display_name", "partition_key", "partition_date"),
)
_BODY_KEYS = {"dag_run_id", "logical_date", "conf", "note", "run_after", "data_interval_start", "data_interval_end"}
_RUN_ID = re.compile(r"[A-Za-z0-9_.~:+-]+")
_ALL_RUNS = ("~", ["list"])
Answer = tuple[int, Any]


class Broken(Exception):
    """Raised by `before` or `after`: the connection ends without an answer."""


def _nothing(_: dict[str, Any]) -> Answer | None:
    return None


class Standin(Loopback):
    """One Airflow that is not one; every attribute may be changed while it runs."""

    def __init__(self, port: int = 0) -> None:
        """Listen on a port of loopback, a free one unless told; nothing is answered before `with`."""
        self.dags: dict[str, dict[str, Any]] = {"load_orders": {"is_paused": False}}
        self.passwords: dict[str, str] = {}  # by user; with none, everyone is let in
        self.is_healthy = True
        self.front: Callable[[str, str], Answer | None] = lambda _method, _path: None
        self.before: Callable[[dict[str, Any]], Answer | None] = _nothing
        self.after: Callable[[dict[str, Any]], Answer | None] = _nothing
        self.before_read: Callable[[dict[str, Any]], Answer | None] = _nothing
        self.before_list: Callable[[dict[str, Any]], Answer | None] = _nothing
        # Asked for what is not known here: method, path's parts below /api/v2, body, query.
        self.more: Callable[[str, list[str], dict[str, Any], dict[str, str]], Answer | None] = lambda *_: None
        self.retry_after: str | None = None  # goes with each 429 and 503
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.asked: list[str] = []  # method and path of every request, in order
        self._runs: dict[str, dict[str, dict[str, Any]]] = {}
        self._lock = threading.Lock()
        server = _Server(("127.0.0.1", port), _Handler)
        server.standin = self
        super().__init__(server)

    def runs(self, dag_id: str = "load_orders") -> list[dict[str, Any]]:
        """Return the runs of a DAG, oldest first."""
        with self._lock:
            return list(self._runs.get(dag_id, {}).values())

    def posts(self) -> int:
        """Return how often a run was asked for."""
        return sum(asked.startswith("POST") and asked.endswith("/dagRuns") for asked in self.asked)

    def lists(self) -> int:
        """Return how often a list of runs was asked for."""
        return sum(asked.endswith("/dagRuns/list") for asked in self.asked)

    def move_run(self, state: str, dag_run_id: str, dag_id: str = "load_orders") -> None:
        """Let a run go on to a state, as the scheduler does."""
        with self._lock:
            run, now = self._runs[dag_id][dag_run_id], self.now().isoformat()
            run["state"], run["start_date"] = state, run["start_date"] or now
            run["end_date"] = now if state in ("success", "failed") else None

    def delete_run(self, dag_run_id: str, dag_id: str = "load_orders") -> None:
        """Remove a run, as a person or `airflow db clean` does."""
        with self._lock:
            del self._runs[dag_id][dag_run_id]

    def _listed(self, body: dict[str, Any]) -> Answer:
        """Return the page of runs that a batch request asks for, in the order in which they were made."""
        if (answer := self.before_list(body)) is not None:
            return answer
        since, until = (datetime.fromisoformat(body[f"run_after_{end}"]) for end in ("gte", "lte"))
        with self._lock:
            found = [
                run
                for dag_id, runs in self._runs.items()
                if dag_id in body["dag_ids"]
                for run in runs.values()
                if since <= datetime.fromisoformat(run["run_after"]) <= until
            ]
        begin = body.get("page_offset", 0)
        return 200, {"dag_runs": found[begin : begin + body["page_limit"]], "total_entries": len(found)}

    def make_run(self, dag_id: str, body: dict[str, Any]) -> Answer:
        """Make a DAG run, or say why not."""
        with self._lock:
            if dag_id not in self.dags:
                return 404, {"detail": f"Dag with dag_id: '{dag_id}' not found"}
            runs = self._runs.setdefault(dag_id, {})
            if body["dag_run_id"] in runs:
                return 409, {"detail": {"reason": "Unique constraint violation", "statement": "hidden"}}
            run = {**dict.fromkeys(_RUN_KEYS), **body, "dag_id": dag_id, "state": "queued", "run_type": "manual"}
            run |= {"triggered_by": "rest_api", "dag_versions": [], "dag_display_name": dag_id}
            run |= {"run_after": run["run_after"] or self.now().isoformat()}
            runs[body["dag_run_id"]] = run
            return 200, run

    def _dags(self, query: dict[str, str]) -> Answer:
        """Return a page of DAGs by id, at most 100; those that are stale only if they are asked for."""
        with self._lock:
            found = sorted(self.dags)
            if query.get("exclude_stale", "true") == "true":
                found = [dag_id for dag_id in found if not self.dags[dag_id].get("is_stale")]
            begin, most = int(query.get("offset", "0")), min(100, int(query.get("limit", "50")))
            page = [self._dag(dag_id)[1] for dag_id in found[begin : begin + most]]
            return 200, {"dags": page, "total_entries": len(found)}

    def answer(
        self, method: str, path: str, body: dict[str, Any], *, authorization: str | None, query: dict[str, str]
    ) -> Answer:
        """Answer one request."""
        with self._lock:
            self.asked.append(f"{method} {path}")
        if (refusal := self.front(method, path) or _signed_out(path, authorization)) is not None:
            return refusal
        match method, path.strip("/").split("/"):
            case "POST", ["auth", "token"]:
                found = self._sign_in(body)
            case _, ["api", "v1", *_]:
                found = (404, {"error": "/api/v1 has been removed in Airflow 3, please use /api/v2 instead."})
            case "GET", ["api", "v2", "version"]:
                found = (200, {"version": "3.3.2", "git_version": None})
            case "GET", ["api", "v2", "monitor", "health"]:
                status = "healthy" if self.is_healthy else "unhealthy"
                others = ("scheduler", "triggerer", "dag_processor")
                found = (200, {item: {"status": status} for item in ("metadatabase", *others)})
            case "GET", ["api", "v2", "dags"]:
                found = self._dags(query)
            case "GET", ["api", "v2", "dags", dag_id, *rest] if not rest or rest == ["details"]:
                found = self._dag(dag_id)
            case "POST", ["api", "v2", "dags", dag_id, "dagRuns", *rest] if not rest or (dag_id, rest) == _ALL_RUNS:
                found = self._listed(body) if rest else self.before(body) or self._made(dag_id, body)
            case "GET", ["api", "v2", "dags", dag_id, "dagRuns", run_id]:
                found = self.before_read({"dag_run_id": run_id}) or self._read(dag_id, run_id)
            case _:
                parts = path.strip("/").split("/")[2:]
                found = self.more(method, parts, body, query) or (404, {"detail": "Not Found"})
        return found

    def _sign_in(self, body: dict[str, Any]) -> Answer:
        if self.passwords and self.passwords.get(body.get("username", "")) != body.get("password"):
            return 401, {"detail": "Invalid credentials"}
        return 201, {"access_token": TOKEN}

    def _made(self, dag_id: str, body: dict[str, Any]) -> Answer:
        made = _refusal(body, self.dags.get(dag_id)) or self.make_run(dag_id, body)
        return self.after(body) or made

    def _read(self, dag_id: str, run_id: str) -> Answer:
        if (run := self._runs.get(dag_id, {}).get(run_id)) is not None:
            return 200, run
        return 404, {"detail": f"The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found"}

    def _dag(self, dag_id: str) -> Answer:
        if dag_id not in self.dags:
            return 404, {"detail": f"The Dag with ID: `{dag_id}` was not found"}
        usual = {"is_paused": False, "is_stale": False, "has_import_errors": False, "params": {}}
        return 200, {"dag_id": dag_id, **usual, **self.dags[dag_id]}


def _signed_out(path: str, authorization: str | None) -> Answer | None:
    """Return what is answered to whoever has no token, or not the right one."""
    is_open = path.startswith(("/auth/", "/api/v1/", "/api/v2/version", "/api/v2/monitor/"))
    if is_open or authorization == f"Bearer {TOKEN}":
        return None
    return (403, {"detail": "Invalid JWT token"}) if authorization else (401, {"detail": "Not authenticated"})


def _problem(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return what Airflow's schema has against a body."""
    if "logical_date" not in body:
        return {"type": "missing", "loc": ["body", "logical_date"], "msg": "Field required"}
    if unknown := sorted(set(body) - _BODY_KEYS):
        return {"type": "extra_forbidden", "loc": ["body", unknown[0]], "msg": "Extra inputs are not permitted"}
    if not isinstance(body.get("conf") or {}, dict):
        return {"type": "dict_type", "loc": ["body", "conf"], "msg": "Input should be a valid dictionary"}
    return None


def _refusal(body: dict[str, Any], dag: dict[str, Any] | None) -> Answer | None:
    """Return what Airflow has against a run of a DAG; `required` of a DAG are params without a default."""
    if (problem := _problem(body)) is not None:
        return 422, {"detail": [problem]}
    run_id, required = body["dag_run_id"], (dag or {}).get("required", ())
    missing = [name for name in required if name not in (body.get("conf") or {})]
    if missing:
        return 400, {"detail": f"Invalid input for param {missing[0]}: No value passed"}
    if _RUN_ID.fullmatch(run_id) is None:
        return 400, {"detail": f"The run_id provided '{run_id}' does not match regex pattern '^{_RUN_ID.pattern}$'"}
    if ".." in run_id:
        return 400, {"detail": f"The run_id '{run_id}' must not contain '..' to prevent path traversal"}
    return (422, {"detail": {"reason": "Value rejected by database"}}) if len(run_id) > 250 else None


class _Server(HttpServer):
    standin: Standin


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        self._reply("GET")

    def do_POST(self) -> None:
        self._reply("POST")

    def do_PATCH(self) -> None:
        self._reply("PATCH")

    def _reply(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        try:
            path, _, query = self.path.partition("?")
            status, value = self.server.standin.answer(
                method,
                unquote(path),
                body,
                authorization=self.headers.get("Authorization"),
                query=dict(parse_qsl(query)),
            )
        except Broken:
            self.close_connection = True
            return
        content = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        with contextlib.suppress(ConnectionError):  # a caller may have given up
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(value, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            if status in (429, 503) and (wish := self.server.standin.retry_after) is not None:
                self.send_header("Retry-After", wish)
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass
