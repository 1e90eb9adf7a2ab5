"""What the mapping costs an event, by the number of its routes: processor time of `explain`, as the router asks it."""

import time
from collections.abc import Callable

from bridge.rules.mapping import Mapping, read
from bridge.words.model import Event, Status

_EVENT = Event(id="evt_1", type="job.succeeded", status=Status.SUCCEEDED, pipeline_id="pl_7", job_id="job_1")
_TURNS = 200


def measure() -> list[str]:
    """Ask mappings of several sizes, and return the section of the report."""
    lines = [
        "## Matching",
        "",
        f"Microseconds of processor time an event, the least of {_TURNS} turns. Spelled out: each route names a "
        "pipeline of its own. Beginnings: globs like `pl_7_*`. Ends: globs like `*_7`, which no index helps.",
        "",
        "| routes | spelled out | beginnings | ends |",
        "|---|---|---|---|",
    ]
    for amount in (10, 500, 5_000):
        times = [_least(_mapping(amount, pipeline)) for pipeline in (_spelled, _beginning, _end)]
        lines.append(f"| {amount:,} | " + " | ".join(f"{each:,.0f}" for each in times) + " |")
    return lines


def _spelled(number: int) -> str:
    return f"pl_{number}"


def _beginning(number: int) -> str:
    return f"'pl_{number}_*'"


def _end(number: int) -> str:
    return f"'*_{number}'"


def _mapping(amount: int, pipeline: Callable[[int], str]) -> Mapping:
    routes = "".join(f"  - {{name: r{each}, pipeline: {pipeline(each)}, dag: d1}}\n" for each in range(amount))
    return read(f"routes:\n{routes}", file="mapping.yaml", airflows=["default"], sources=["planasonix"])


def _least(mapping: Mapping) -> float:
    turns = []
    for _ in range(_TURNS):
        began = time.thread_time()
        mapping.explain(_EVENT, "planasonix")
        turns.append((time.thread_time() - began) * 1e6)
    return min(turns)
