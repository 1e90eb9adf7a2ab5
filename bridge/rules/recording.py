"""Takes out of a body what a test of the mapping does not need, before it is written beside the mapping. Pure.

Kept are the names of all fields, and the values of what the bridge itself reads: ids, type, status, instants, counts of
rows and seconds. Every other text becomes a marker and every other number 0, so that the shape and each kind of value
stay. What is named by a JSON pointer is kept as well. A body that is no readable JSON is not recorded.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from bridge.rules import strict_json
from bridge.rules.event.reader import spellings
from bridge.words.errors import Unreadable

MARKER = "[redacted]"
_KEPT = frozenset(
    spellings(
        *("id", "event_id", "event", "type", "status", "environment", "pipeline_id", "pipeline_name"),
        *("connection_id", "run_id", "job_id", "backfill_id", "timestamp", "occurred_at", "created_at", "queued_at"),
        *("started_at", "finished_at", "ended_at", "start_at", "end_at", "duration_seconds", "rows_loaded"),
        *("rows_extracted", "rows_read", "rows_written", "rows_processed", "records_written", "total_rows_synced"),
        "bytes_read",
    )
)


def recorded(body: bytes, keep: Collection[str]) -> bytes | None:
    """Return the body as it may be written, None if it cannot be read; `keep` are JSON pointers."""
    try:
        whole = strict_json.parse_body(body)
    except Unreadable:
        return None
    return json.dumps(masked(whole, keep), ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace") + b"\n"


def masked(value: Any, keep: Collection[str], *, at: str = "", is_kept: bool = False) -> Any:
    """Return a value with everything masked that is not kept; `at` is its JSON pointer."""
    if isinstance(value, Mapping):
        return {
            name: masked(
                item, keep, at=f"{at}/{_escaped(name)}", is_kept=_is_kept(name, item, f"{at}/{_escaped(name)}", keep)
            )
            if not is_kept
            else item
            for name, item in value.items()
        }
    if isinstance(value, list):
        return value if is_kept else [masked(item, keep, at=f"{at}/{place}") for place, item in enumerate(value)]
    if is_kept or value is None or isinstance(value, bool):
        return value
    return MARKER if isinstance(value, str) else 0


def _is_kept(name: str, item: Any, at: str, keep: Collection[str]) -> bool:
    is_ours = name in _KEPT and not isinstance(item, Mapping | list)
    return is_ours or any(at == pointer or at.startswith(f"{pointer}/") for pointer in keep)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
