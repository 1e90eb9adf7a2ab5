"""A Planasonix API on loopback that starts, tells of and cancels runs, in the documented shapes.

It also takes in what Airflow reports to a bridge, so that tests see it.

A run goes through the statuses of its `story`, one at each look, and stays at the last. What is not documented is a
switch: whether an idempotency key is honoured, and whether a list echoes it.
"""

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.jobs_api import JobsApi

KEY = "plx_a-key-that-only-tests-know-0123456789"
REPORT = "REPORT"  # a report to the bridge: it may come of an earlier test's DAG run, and uses up no other call's fault
_OUTCOMES = "/api/v1/outcomes"
_ENDED = {"succeeded", "failed", "canceled", "skipped", "completed"}


@dataclass(slots=True)
class Fault:
    """What the next call of a method meets: a status, or an answer that is lost after the call was carried out."""

    method: str
    status: int = 0  # 0: carried out, and the connection is cut
    headers: dict[str, str] = field(default_factory=dict)


class RunsApi(JobsApi):
    """The API as the provider for Airflow asks it."""

    def __init__(self) -> None:
        """Know one pipeline and no run."""
        self.handler = _Handler
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Forget everything that a test did."""
        self.pipelines: list[tuple[str, str]] = [("pl_01hqxyz", "sales_to_warehouse")]
        self.runs: dict[str, dict[str, Any]] = {}
        self.bodies: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.story = ["running", "succeeded"]
        self.stories: deque[list[str]] = deque()  # of the next runs; then `story`
        self.honours_keys = True
        self.echoes_keys = False
        self.faults: deque[Fault] = deque()
        self.reports: list[tuple[str | None, Any]] = []
        self.running_elsewhere: str | None = None
        self.failing: set[str] = set()  # runs of which it answers 500
        self.lock = threading.Lock()

    def add(self, run_id: str, pipeline: str, story: list[str], **more: Any) -> None:
        """Let somebody else have started a run."""
        self.runs[run_id] = {"id": run_id, "pipelineId": pipeline, "story": list(story), **more}

    def count(self, call: str) -> int:
        """How often a method was called: `POST`, `GET`, `DELETE`, `REPORT`."""
        return sum(item.startswith(call) for item in self.calls)

    def start(self, pipeline: str, body: dict[str, Any], key: str | None) -> tuple[int, Any]:
        """Start a run, or find the one of this key."""
        self.bodies.append(body)
        if self.running_elsewhere:
            return 409, {"error": {"code": "RUNNING"}, "existing_run_id": self.running_elsewhere}
        for run in self.runs.values():
            if self.honours_keys and key and run.get("key") == key:
                return 200, _queued(run)
        run_id = f"run_{len(self.runs) + 1:04}"
        story = self.stories.popleft() if self.stories else self.story
        self.add(run_id, pipeline, story, key=key, startedAt="2026-08-01T10:00:00Z", metadata=body.get("metadata", {}))
        return 200, _queued(self.runs[run_id])

    def look(self, run_id: str) -> tuple[int, Any]:
        """Tell of a run, and let it go one step on."""
        run = self.runs.get(run_id)
        if run is None:
            return 404, {"error": {"code": "NOT_FOUND", "message": f"no run {run_id}"}}
        if run_id in self.failing:
            return 500, {"error": {"code": "FAULT", "message": "as the test wants"}}
        told = self._told(run)
        if len(run["story"]) > 1:
            run["story"].pop(0)
        return 200, told

    def list(self, pipeline: str) -> tuple[int, Any]:
        """List the runs of a pipeline, newest first."""
        return 200, [self._told(run) for run in reversed(self.runs.values()) if run["pipelineId"] == pipeline]

    def cancel(self, run_id: str) -> tuple[int, Any]:
        """Cancel a run that has not ended."""
        run = self.runs.get(run_id)
        if run is None:
            return 404, {"error": {"code": "NOT_FOUND"}}
        if run["story"][0] in _ENDED:
            return 409, {"error": {"code": "ENDED"}}
        run["story"] = ["canceled"]
        return 200, {}

    def _told(self, run: dict[str, Any]) -> dict[str, Any]:
        status = run["story"][0]
        told = {"id": run["id"], "pipelineId": run["pipelineId"], "status": status, "startedAt": run.get("startedAt")}
        if status in _ENDED:
            told |= {"finishedAt": "2026-08-01T10:04:08Z", "durationSeconds": 248, "metrics": {"rowsWritten": 44802}}
        if status == "failed":
            told["error"] = {"code": "SOURCE_ERROR", "message": "Connection error"}
        if self.echoes_keys:
            told["metadata"] = run.get("metadata", {})
        return told


def _queued(run: dict[str, Any]) -> dict[str, Any]:
    return {"runId": run["id"], "pipelineId": run["pipelineId"], "status": "queued", "queuedAt": run.get("startedAt")}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def api(self) -> RunsApi:
        return cast("RunsApi", self.server.api)  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        self._serve(None)

    def do_DELETE(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _serve(self, body: dict[str, Any] | None) -> None:
        api = self.api
        with api.lock:
            method = REPORT if self.path == _OUTCOMES else self.command
            api.calls.append(f"{method} {self.path}")
            fault = api.faults.popleft() if api.faults and api.faults[0].method == method else None
            if fault and fault.status:
                self._answer(fault.status, {"error": {"code": "FAULT", "message": "as the test wants"}}, fault.headers)
                return
            status, told = self._carried_out(body)
        if fault:
            self.close_connection = True
            return
        api.gate.wait(20)
        self._answer(status, told, {})

    def _carried_out(self, body: dict[str, Any] | None) -> tuple[int, Any]:  # noqa: PLR0911 - one for each path
        if self.path == _OUTCOMES:
            self.api.reports.append((self.headers.get("Authorization"), body))
            return 200, {"taken": 1, "not_open": 0}
        api, parts = self.api, [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            return 401, {"error": {"code": "UNAUTHORIZED", "message": "the key is not known"}}
        match (self.command, *parts):
            case ("POST", "api", "pipelines", pipeline, "run"):
                if pipeline not in dict(api.pipelines):
                    return 404, {"error": {"code": "NOT_FOUND", "message": f"no pipeline {pipeline}"}}
                return api.start(pipeline, body or {}, self.headers.get("Idempotency-Key"))
            case ("GET", "api", "pipelines"):
                wanted = parse_qs(urlsplit(self.path).query).get("search", [""])[0]
                found = [{"id": id_, "name": name} for id_, name in api.pipelines if wanted in name]
                return 200, {"data": found, "meta": {"total": len(found)}}
            case ("GET", "api", "pipelines", pipeline, "runs"):
                return api.list(pipeline)
            case ("GET", "api", "runs", run_id):
                return api.look(run_id)
            case ("DELETE", "api", "runs", run_id):
                return api.cancel(run_id)
        return 404, {"error": "no such path"}

    def _answer(self, status: int, told: Any, headers: dict[str, str]) -> None:
        content = json.dumps(told).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass
