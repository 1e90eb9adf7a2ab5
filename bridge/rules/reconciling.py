"""What the Planasonix API says of its jobs, held against what webhooks have told. Pure.

    1. read_page    jobs and the next cursor, out of any of the envelopes below
    2. type_of      the type that this source's own webhook of such a job has; none: its kind is not reconciled
       coming       of those seen: which the source still delivers, and for which ends
    3. body_of      what is stored: `{"type", "job_id", "timestamp", "data": <the API's answer>}`, as a webhook has it
    4. completions of these bodies are found by the reader and the rule that webhooks meet, so both agree

Assumptions about the API, each with its source, stand here and nowhere else:

- `GET /api/v1/jobs` has cursor pages and the filters `since` and `until` (documented). Not documented: the names of the
  cursor, and what `since` compares. So the cursor is looked for under its usual names, and a look begins `LONGEST_JOB`
  earlier than it has to: `since` may mean when a job was made.
- `data` may wrap an answer or not; both casings occur (documented).
- A job has `finished_at` once it has ended (documented). Without one it counts as ended when it started.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bridge.rules.completion import Completion, Kind, of
from bridge.rules.event import Spelling, read, set_aside
from bridge.rules.event.grammar import id_text
from bridge.rules.event.statuses import is_neutral
from bridge.words.errors import Unreadable
from bridge.words.model import Event

LONGEST_JOB = timedelta(hours=24)
STOPPED_AFTER = timedelta(days=2)  # one webhook that was lost, of a daily load, stops nothing
CLOCKS_DIFFER = timedelta(hours=1)
_LISTS = ("data", "jobs", "items", "results")
_CURSORS = ("next_cursor", "nextCursor")
_MORE = ("has_more", "hasMore")
_BOXES = ("pagination", "meta", "page", "paging")


@dataclass(frozen=True, slots=True)
class Seen:
    """A type that a source was seen to deliver, or that a person names; without a status it is for any that fits it."""

    kind: Kind
    type: str
    status: str | None = None
    last_at: datetime | None = None  # None: nobody knows when it was last delivered
    not_for: frozenset[str | None] = frozenset()  # ends of which it tells no more


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that has ended, as a delivery of its own would tell of it."""

    completion: Completion
    type: str
    body: bytes
    ended_at: datetime


def read_page(answer: Any) -> tuple[list[Mapping[str, Any]], str | None]:
    """Return the jobs of a page, and the cursor of the next one. Raises ValueError if it is no page of jobs."""
    found, outer = answer, {}
    for _ in range(2):  # `data` may wrap the answer, and be the list itself
        if isinstance(found, dict):
            outer = found
            found = next((found[name] for name in _LISTS if isinstance(found.get(name), list | dict)), None)
    if not isinstance(found, list):
        raise ValueError("the answer holds no list of jobs")  # noqa: TRY004 - the sender is wrong, no caller
    boxes = [outer, *(outer[name] for name in _BOXES if isinstance(outer.get(name), dict))]
    if isinstance(answer, dict) and answer is not outer:
        boxes += [answer, *(answer[name] for name in _BOXES if isinstance(answer.get(name), dict))]
    cursors = [box[name] for box in boxes for name in _CURSORS if box.get(name) not in (None, "", False)]
    cursor = next((str(each) for each in cursors if isinstance(each, str | int)), None)
    if cursor is None and any(box.get(name) is True for box in boxes for name in _MORE):
        raise ValueError("it says that there are more, and not how to ask for them")
    return [job for job in found if isinstance(job, dict)], cursor


def type_of(status: str, seen: Iterable[Seen]) -> str | None:
    """Return the type with which the source would tell of a job that ended so; None: it would not.

    The exact one counts most: `job.succeeded` says nothing of failures. One that leaves the end open (`job.completed`)
    is for any status but those of which it tells no more.
    """
    jobs = [each for each in seen if each.kind is Kind.JOB]
    exact = [each.type for each in jobs if each.status == status and not is_neutral(each.type)]
    open_ = [each for each in jobs if is_neutral(each.type) or each.status is None]
    neutral = [each.type for each in open_ if status not in each.not_for]
    return next(iter([*exact, *neutral]), None)


def coming(seen: Sequence[Seen]) -> list[Seen]:
    """Return the types of jobs that still come, each with the ends of which it tells no more."""
    gone = set(stopped(seen))
    ends: dict[str, set[str | None]] = {}
    for each in gone:
        ends.setdefault(each.type, set()).add(each.status)
    jobs = [each for each in seen if each.kind is Kind.JOB and each not in gone]
    return [replace(each, not_for=frozenset(ends.get(each.type, ()))) for each in jobs]


def stopped(seen: Sequence[Seen]) -> list[Seen]:
    """Return the types of jobs that came no more while other types went on to tell of runs with the same end.

    So it is when the source is subscribed to runs now, or when somebody has tried a job's type once.
    """
    newest: dict[str | None, list[tuple[datetime, str]]] = {}  # runs by their end
    for each in seen:
        if each.kind is Kind.RUN and each.last_at is not None:
            newest.setdefault(each.status, []).append((each.last_at, each.type))
    for runs in newest.values():
        runs.sort(reverse=True)
    return [each for each in seen if each.kind is Kind.JOB and _is_outlived(each, newest.get(each.status, []))]


def _is_outlived(job: Seen, runs: Iterable[tuple[datetime, str]]) -> bool:
    """Whether the newest run of another type came so much later."""
    run_at = next((at for at, run_type in runs if run_type != job.type), None)
    return job.last_at is not None and run_at is not None and run_at - job.last_at > STOPPED_AFTER


def named_types(types: Sequence[str], spelling: Spelling) -> list[Seen]:
    """Return the types that a person names, each for the status that its last word means."""
    return [Seen(Kind.JOB, each, _status_of(each, spelling)) for each in types]


def _status_of(event_type: str, spelling: Spelling) -> str | None:
    meaning = spelling.meanings.get(event_type.rpartition(".")[2].lower())
    return None if meaning is None else str(meaning.value)


def ended(job: Mapping[str, Any], *, source: str, seen: Sequence[Seen], spelling: Spelling) -> Ended | None:
    """Return what a delivery of a job would tell; None if it has not ended, or the source never tells of such."""
    job_id = id_text(job.get("id")) or id_text(job.get("job_id")) or id_text(job.get("jobId"))
    event = None if job_id is None else _event(_written(job, job_id, None, None), spelling)
    if job_id is None or event is None or set_aside(event) is not None:
        return None
    event_type = type_of(str(event.status), seen)
    at = event.finished_at or event.started_at
    if event_type is None or at is None:
        return None
    body = _written(job, job_id, event_type, at)
    typed = _event(body, spelling)
    if typed is None or typed.status is not event.status:
        return None
    completion = of(typed, source=source, delivery_id="")
    return Ended(completion, event_type, body, datetime.fromisoformat(at)) if completion.kind is Kind.JOB else None


def _written(job: Mapping[str, Any], job_id: str, event_type: str | None, at: str | None) -> bytes:
    head = {"type": event_type, "timestamp": at, "job_id": job_id}
    return json.dumps({name: value for name, value in head.items() if value} | {"data": job}).encode()


def _event(body: bytes, spelling: Spelling) -> Event | None:
    try:
        return read(body, spelling=spelling.of_answers)
    except Unreadable:
        return None


def window(now: datetime, *, since: timedelta, grace: timedelta, retention: timedelta) -> tuple[datetime, datetime]:
    """Return between which instants a job must have ended to be looked at.

    It begins where retention has surely removed nothing that told of it, since then nobody would know any more.
    """
    begin = max(now - since, now - retention + CLOCKS_DIFFER)
    return begin, now - grace
