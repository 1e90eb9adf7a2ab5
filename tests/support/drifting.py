"""One source whose bodies are learned, in tests of drift."""

import json
from datetime import UTC, datetime
from typing import Any

from bridge.rules.drift import Batch, learn
from bridge.rules.event import read
from bridge.words.drifts import Drift

NOW = datetime(2026, 3, 27, 14, tzinfo=UTC)
BODY = {
    "id": "evt_1",
    "type": "job.succeeded",
    "job_id": "job_1",
    "data": {"status": "succeeded", "pipeline_id": "pl_1", "summary": {"rows": 1}, "parameters": {"day": "x"}},
}


def changed(**data: Any) -> dict[str, Any]:
    """Return the body with other fields in `data`; None takes one out."""
    inner = {key: value for key, value in {**BODY["data"], **data}.items() if value is not None}  # type: ignore[dict-item]
    return {**BODY, "data": inner}


class Source:
    """What is known of one source, through any number of batches."""

    def __init__(self) -> None:
        self.known: str | None = None
        self.now = NOW
        self.number = 0
        self.over: list[Any] = []

    def take(self, *bodies: dict[str, Any], times: int = 1) -> list[Drift]:
        """Take these in as one batch, as often as that, one after the other; return what has changed."""
        batch = Batch()
        for body in bodies:
            for _ in range(times):
                self.number += 1
                batch.add(read(json.dumps(body).encode()), f"dlv_{self.number}")
        learned = learn(self.known, batch, self.now)
        self.known, self.over = learned.known, learned.over
        return learned.drifts
