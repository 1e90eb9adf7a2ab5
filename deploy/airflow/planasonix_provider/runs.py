"""A run of a pipeline as Planasonix tells of it, in one form whatever the spelling.

The API answers in camelCase and in snake_case, flat or below `data`; statuses come in four vocabularies. Anything that
is not in the lists below counts as still running, unless the answer has an end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

_MAX_TEXT = 300  # of an error's message: what fits into a line of the log


class Outcome(StrEnum):
    """How a run ended, or that it has not."""

    ACTIVE = "active"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


OUTCOMES = {
    "succeeded": Outcome.SUCCEEDED,
    "success": Outcome.SUCCEEDED,
    "completed": Outcome.SUCCEEDED,
    "failed": Outcome.FAILED,
    "failure": Outcome.FAILED,
    "error": Outcome.FAILED,
    "cancelled": Outcome.CANCELLED,
    "canceled": Outcome.CANCELLED,
    "skipped": Outcome.SKIPPED,
}


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `keys` are the texts in which an answer may carry our idempotency key.

    `is_ours`: known to be started by this task, and not only waited for. It is no part of a result.
    """

    id: str
    status: str = ""
    pipeline_id: str | None = None
    url: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    duration_seconds: float | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    keys: frozenset[str] = frozenset()
    is_ours: bool = False

    @property
    def outcome(self) -> Outcome:
        """How it ended; an end with a word that nobody documents is a failure, and never a success."""
        known = OUTCOMES.get(self.status.lower())
        if known:
            return known
        return Outcome.FAILED if self.finished_at else Outcome.ACTIVE

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.outcome is Outcome.ACTIVE

    def as_result(self) -> dict[str, Any]:
        """Return what goes to XCom: plain JSON."""
        return {
            "run_id": self.id,
            "pipeline_id": self.pipeline_id,
            "status": self.outcome.value if not self.is_active else self.status,
            "url": self.url,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "duration_seconds": self.duration_seconds,
            "metrics": dict(self.metrics),
            "error": self.error,
        }


def from_result(result: Mapping[str, Any]) -> Run:
    """Read what `as_result` wrote."""
    values = {("id" if name == "run_id" else name): value for name, value in result.items()}
    return Run(**values)


def read_run(answer: Any) -> Run | None:
    """Read an answer about a run; None if it names none."""
    body = _inner(answer)
    if body is None:
        return None
    run_id = _text(body, "id", "runId", "run_id", "jobId", "job_id")
    if run_id is None:
        return None
    metrics, metadata = body.get("metrics"), body.get("metadata")
    keys = [body.get("idempotencyKey"), body.get("idempotency_key")]
    keys += [metadata.get("idempotency_key")] if isinstance(metadata, Mapping) else []
    return Run(
        id=run_id,
        status=_text(body, "status", "state") or "",
        pipeline_id=_text(body, "pipelineId", "pipeline_id"),
        url=_url(body),
        started_at=_text(body, "startedAt", "started_at", "queuedAt", "queued_at", "createdAt", "created_at"),
        finished_at=_text(body, "finishedAt", "finished_at", "endedAt", "ended_at"),
        duration_seconds=_number(body, "durationSeconds", "duration_seconds"),
        metrics=metrics if isinstance(metrics, Mapping) else _records(body),
        error=_error(body),
        keys=frozenset(key for key in keys if isinstance(key, str)),
    )


def read_runs(answer: Any) -> list[Run]:
    """Read a list of runs: a bare array, or one below `data`, `runs` or `items`."""
    rows = answer
    if isinstance(answer, Mapping):
        rows = next((answer[name] for name in ("data", "runs", "items") if isinstance(answer.get(name), list)), [])
    found = [read_run(row) for row in rows] if isinstance(rows, list) else []
    return [run for run in found if run is not None]


def instant(text: str | None) -> datetime | None:
    """Read an instant; without an offset it is UTC, as the API's examples are. None if it cannot be read."""
    try:
        at = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    if at is None:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _inner(answer: Any) -> Mapping[str, Any] | None:
    for name in ("data", "run", "job"):
        if isinstance(answer, Mapping) and isinstance(answer.get(name), Mapping):
            answer = answer[name]
    return answer if isinstance(answer, Mapping) else None


def _text(body: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = body.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return None


def _number(body: Mapping[str, Any], *names: str) -> float | None:
    for name in names:
        value = body.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
    return None


def _records(body: Mapping[str, Any]) -> dict[str, Any]:
    written = _number(body, "recordsWritten", "records_written")
    return {} if written is None else {"recordsWritten": written}


def _url(body: Mapping[str, Any]) -> str | None:
    url = _text(body, "url", "runUrl", "run_url")
    return url if url and url.startswith(("https://", "http://")) else None


def _error(body: Mapping[str, Any]) -> str | None:
    error = body.get("error") or body.get("errorMessage") or body.get("error_message")
    if isinstance(error, Mapping):
        error = ": ".join(str(error[name]) for name in ("code", "message") if error.get(name))
    return str(error)[:_MAX_TEXT] if error else None
