"""Counts how many DAG runs led to each other, so that a DAG that starts its own pipeline cannot run in circles.

The count travels: conf["planasonix"]["hops"] goes to the DAG; a DAG that starts a pipeline and passes it on as
`metadata` gets it back in the event. No document promises that Planasonix echoes metadata, so its absence means 0.
"""

from collections.abc import Mapping
from typing import Any

from bridge.words.model import Event

_OWN_RUN = "planasonix__"
_LIMIT = 1_000_000


def hops(event: Event) -> int:
    """Return how many of the bridge's DAG runs led to this event, as far as its metadata tells; 0 if it does not."""
    metadata: Mapping[str, Any] = event.metadata
    inner = metadata.get("planasonix")
    for place in (metadata, inner if isinstance(inner, Mapping) else {}):
        count = place.get("hops")
        if isinstance(count, str) and count.isascii() and count.isdigit() and len(count) <= len(str(_LIMIT)):
            count = int(count)
        if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= _LIMIT:
            return count
    run = metadata.get("dag_run_id")
    return 1 if isinstance(run, str) and run.startswith(_OWN_RUN) else 0


def is_circle(count: int, limit: int) -> bool:
    """Return whether an event with so many hops behind it must not start another DAG run."""
    return count >= limit
