"""The calls of the Planasonix API that are used, as values, and what their answers mean.

Nothing here talks to anybody: `hooks.api` sends a `Call` with a client of its own, blocking or not, and hands the
answer to `read`. So both ways differ in one line. Sources: the vendor's API reference for pipelines and runs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from planasonix_provider.errors import (
    AlreadyRunning,
    InDoubt,
    KeyRefused,
    NotThere,
    PlanasonixError,
    Rejected,
    Unavailable,
)

_MAX_TEXT = 300
_MAX_RETRY_AFTER_SECONDS = 900.0  # one that asks for more is asked again after this
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `repeatable` says that sending it twice does no more than sending it once."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    place: str = "`host`"  # the field of the connection that says where it goes


def start_run(pipeline_id: str, body: Mapping[str, Any], *, key: str) -> Call:
    """`POST /api/pipelines/{id}/run`. No document says whether the key is read; sending it costs nothing."""
    path = f"/api/pipelines/{_part(pipeline_id)}/run"
    return Call("POST", path, body=body, headers={"Idempotency-Key": key}, repeatable=False)


def get_run(run_id: str) -> Call:
    """`GET /api/runs/{id}`."""
    return Call("GET", f"/api/runs/{_part(run_id)}")


def cancel_run(run_id: str) -> Call:
    """`DELETE /api/runs/{id}`."""
    return Call("DELETE", f"/api/runs/{_part(run_id)}")


def list_runs(pipeline_id: str, *, limit: int = _PAGE) -> Call:
    """`GET /api/pipelines/{id}/runs`: the newest."""
    return Call("GET", f"/api/pipelines/{_part(pipeline_id)}/runs", query={"limit": str(limit)})


def find_pipelines(name: str | None = None, *, limit: int = _PAGE) -> Call:
    """`GET /api/pipelines`: those whose name has this text in it."""
    return Call("GET", "/api/pipelines", query={"limit": str(limit)} | ({"search": name} if name else {}))


def read(call: Call, status: int, headers: Mapping[str, str], content: bytes, *, now: datetime) -> Any:
    """Return the body of an answer. Raises PlanasonixError."""
    if 200 <= status < 300:
        return _json(call, content)
    message = f"{call.method} {call.path} was answered {status}{_explained(content)}"
    raise _error(call, status, message, content, retry_after(headers.get("retry-after"), now=now))


def _error(call: Call, status: int, message: str, content: bytes, wait: float | None) -> PlanasonixError:
    if status in {401, 403}:
        return KeyRefused(message)
    if status == 404:
        return NotThere(message)
    if status == 409:
        return AlreadyRunning(message, run_id=_existing(content))
    if status in {425, 429, 503}:
        return Unavailable(message, retry_after_seconds=wait)
    if status >= 500 or status == 408:
        return Unavailable(message, retry_after_seconds=wait) if call.repeatable else InDoubt(message)
    return Rejected(message)


def retry_after(text: str | None, *, now: datetime) -> float | None:
    """Read `Retry-After`: seconds or a date. At most a quarter of an hour, and never negative."""
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text[:6]), _MAX_RETRY_AFTER_SECONDS)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    seconds = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER_SECONDS)


def _part(text: str) -> str:
    if not text or text in {".", ".."}:
        raise Rejected("an id must not be empty")
    return quote(text, safe="")


def _json(call: Call, content: bytes) -> Any:
    if not content.strip():
        return {}
    try:
        return json.loads(content)
    except ValueError:
        message = f"{call.method} {call.path} was answered with something else than JSON: is {call.place} right?"
        raise (Rejected(message) if call.repeatable else InDoubt(message)) from None


def _explained(content: bytes) -> str:
    error = _error_of(content)
    text = ": ".join(str(error[name]) for name in ("code", "message") if error.get(name))
    return f" ({text[:_MAX_TEXT]})" if text else ""


def _existing(content: bytes) -> str | None:
    """Return the run that a 409 names, wherever it does."""
    try:
        body = json.loads(content)
    except ValueError:
        return None
    error = _error_of(content)
    details = error.get("details")
    for place in (body, error, details):
        if isinstance(place, Mapping):
            for name in ("existing_run_id", "existingRunId", "existing_job_id", "existingJobId"):
                if isinstance(place.get(name), str) and place[name]:
                    return str(place[name])
    return None


def _error_of(content: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    error = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, Mapping) else {}


def read_pipelines(answer: Any) -> list[tuple[str, str]]:
    """Read a list of pipelines: id and name."""
    rows = answer.get("data") if isinstance(answer, Mapping) else answer
    found = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    return [(str(row["id"]), str(row["name"])) for row in found if row.get("id") and row.get("name")]
