"""What an HTTP call brought, as small values: an answer, or why there is none. No I/O; the package builds on it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

ASK_SECONDS = 10.0  # for questions; only the call that starts a run may take the configured deadline
_DETAIL_LIMIT = 300
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
_BOM = "\ufeff"


def longest_seconds(command_seconds: float, *, finds_version: bool) -> float:
    """Return what one question may take where a command signs in: sign-in and question, and both once more (401).

    `finds_version`: two places are asked for the version before it, under the same sign-in and with the same repeat.
    """
    questions = 3 if finds_version else 1
    return questions * 2 * (command_seconds + ASK_SECONDS)


class Kind(StrEnum):
    """What a call without an answer means for the trigger."""

    NOTHING_SENT = "nothing_sent"  # Airflow cannot have seen the request
    UNKNOWN = "unknown"  # it may have: only reading back tells
    MISFIT = "misfit"  # TLS or the URL does not fit; waiting cannot help


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that brought no whole answer; `is_sent`: its request began to leave."""

    kind: Kind
    detail: str
    is_sent: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer; `is_cut`: the body was longer than is read, so the rest is missing. `at`: its Date."""

    status: int
    content_type: str = ""
    body: bytes = b""
    retry_after_seconds: float | None = None
    is_cut: bool = False
    at: datetime | None = field(default=None, compare=False)

    @property
    def is_json(self) -> bool:
        """Whether it says that it is JSON (`application/json`, `application/problem+json`)."""
        media_type = self.content_type.partition(";")[0].strip().lower()
        return media_type == "application/json" or media_type.endswith("+json")

    def json(self) -> Any:
        """Return the body read leniently (bare NaN, as Airflow 2 may send), or None if it is not JSON at all."""
        if self.is_cut:
            return None
        try:
            return json.loads(self.body.decode("utf-8", "replace").removeprefix(_BOM))
        except (ValueError, RecursionError):
            return None

    def object(self) -> dict[str, Any]:
        """Return the body's JSON object; empty if it is anything else."""
        value = self.json()
        return value if isinstance(value, dict) else {}


def instant(value: Any) -> datetime | None:
    """Read an instant of Airflow as UTC; None for anything else, and for years with which nobody can reckon."""
    if not isinstance(value, str) or not value:
        return None
    try:
        at = datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if _FIRST_YEAR <= at.year <= _LAST_YEAR else None


def made_at(run: Mapping[str, Any]) -> datetime | None:
    """Return when a DAG run was made, by Airflow's clock; Airflow 2 has its logical date, which is the same here."""
    values = (run.get(name) for name in ("run_after", "logical_date", "execution_date"))
    return next((at for value in values if (at := instant(value)) is not None), None)


def shown(text: str) -> str:
    """Return a text fit for logs and pages: one line, control characters escaped, at most 300 characters."""
    line = "".join(_escaped(character) for character in text[: _DETAIL_LIMIT * 2])
    return line if len(line) <= _DETAIL_LIMIT else f"{line[: _DETAIL_LIMIT - 3]}..."


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
