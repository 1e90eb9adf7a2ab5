"""What is made up for, in the store: each job once, none that a webhook tells of, and none that was erased."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, reconciling
from bridge.edges.inbox.engine.ids import delivery_text
from bridge.edges.inbox.rows import first_since
from bridge.rules.completion import Completion, Kind
from bridge.rules.reconciling import Ended, Seen
from tests.support.store import NOW, Store, stored

JOB = Completion("s", Kind.JOB, "job_1", "failed", "pl_1")
ENDED = Ended(JOB, "pipeline.failed", b"{}", NOW)
HOUR = timedelta(hours=1)
Tell = Callable[..., None]


@pytest.fixture
def tell(store: Store) -> Tell:
    """Store a delivery and what it tells."""

    def add(*, also: str | None = None, has_row: bool = True, told_by: str = "s", **other: Any) -> None:
        each = replace(JOB, **other)
        store.rows(
            "INSERT INTO deliveries (id, dedup_key, source, state, received_at, due_at, key_id, headers, body)"
            " VALUES (1, ?, ?, 'routed', 1, 1, 'k', '{}', ?)",
            *(b"key", told_by, b"{}"),
        )
        if has_row:
            store.rows(
                "INSERT INTO completions (delivery_id, about_id, kind, source, status, pipeline_id, nth)"
                " VALUES (1, ?, ?, ?, ?, 'pl_1', 0)",
                *(each.id, each.kind, each.source, each.status),
            )
        if also:
            store.rows("INSERT INTO completion_ids (id, delivery_id) VALUES (?, 1)", also)

    return add


def untold(inbox: Inbox, *ended: Ended) -> list[Ended]:
    """Return those that nobody tells of."""
    return inbox.read(reconciling.untold, ended)


@pytest.mark.parametrize(
    ("told", "is_told"),
    [
        ({}, True),
        ({"id": "job_2"}, False),
        ({"kind": Kind.RUN}, False),
        ({"source": "other"}, False),
        ({"status": "succeeded"}, False),
    ],
)
def test_a_job_that_a_webhook_tells_of_is_not_made_up_for(
    inbox: Inbox, tell: Tell, told: dict[str, Any], is_told: bool
) -> None:
    """Another job, kind, source or status is another completion."""
    tell(**told)
    assert untold(inbox, ENDED) == ([] if is_told else [ENDED])
    assert untold(inbox) == []


@pytest.mark.parametrize(
    ("told", "of_type", "is_told"),
    [
        ({}, "pipeline.failed", True),
        ({}, "job.failed", False),
        ({"status": "succeeded"}, "pipeline.failed", False),
        ({"also": "job_2"}, "pipeline.failed", False),
        ({"told_by": "other"}, "pipeline.failed", False),
        ({"kind": Kind.JOB}, "pipeline.failed", False),
        ({"has_row": False}, "pipeline.failed", True),
    ],
)
def test_a_job_that_is_named_beside_its_run_is_told_of(
    inbox: Inbox, tell: Tell, told: dict[str, Any], of_type: str, is_told: bool
) -> None:
    """By the end of the run; where its type tells of jobs alone, the run is another completion."""
    tell(**{"kind": Kind.RUN, "id": "run_1", "also": "job_1"} | told)
    ended = replace(ENDED, type=of_type)
    assert untold(inbox, ended) == ([] if is_told else [ended])


def test_a_job_is_made_up_for_once(inbox: Inbox, store: Store) -> None:
    """However often it is asked for before it is routed; another source's is another job."""
    other = replace(ENDED, completion=replace(JOB, source="other"))
    rows = iter(range(11, 20))

    def add(*ended: Ended) -> list[str]:
        return inbox.write(reconciling.add, ended, new_id=lambda: next(rows), now=NOW)

    assert add(ENDED) == [delivery_text(11)]
    assert untold(inbox, ENDED, other) == [other]
    assert add(ENDED, other) == [delivery_text(12)]
    assert add(ENDED, other) == add() == []
    assert [bytes(key) for (key,) in store.rows("SELECT dedup_key FROM deliveries ORDER BY id")] == [
        reconciling.dedup_key(JOB),
        reconciling.dedup_key(other.completion),
    ]
    # As every release has stored it: a job that one has made up for is not made up for by the next.
    assert reconciling.dedup_key(JOB).hex() == "2ca5f5e88f56ea6dc9b9f223bf63b053"


def test_what_was_erased_is_never_made_up_for(inbox: Inbox, store: Store) -> None:
    """That job of that source; what is kept says nothing of it, and is the same in every release."""
    inbox.write(reconciling.forget_jobs, "s", ["job_1"])
    inbox.write(reconciling.forget_jobs, "s", ["job_1"])
    inbox.write(reconciling.forget_jobs, "s", [])
    others = [replace(ENDED, completion=replace(JOB, id="job_2")), replace(ENDED, completion=replace(JOB, source="t"))]
    assert untold(inbox, ENDED, *others) == others
    assert [bytes(digest).hex() for (digest,) in store.rows("SELECT digest FROM erased_jobs")] == [
        "dbd5635c33851ac4524ac03b664e9a9b"
    ]


def test_when_a_type_was_last_delivered_is_kept(inbox: Inbox) -> None:
    """Of each type, status and kind of a source; what is older takes nothing back."""
    seen = [Seen(Kind.JOB, "b", "failed"), Seen(Kind.JOB, "a", "succeeded"), Seen(Kind.JOB, "a", "failed")]
    seen.append(Seen(Kind.RUN, "a", "failed"))
    inbox.write(reconciling.note_seen, {("s", each): NOW for each in seen} | {("t", seen[0]): NOW})

    def found(source: str = "s") -> dict[Seen, datetime | None]:
        return {replace(each, last_at=None): each.last_at for each in inbox.read(reconciling.seen, source)}

    assert [(each.type, each.status) for each in inbox.read(reconciling.seen, "s")] == [
        ("a", "failed"),
        ("a", "failed"),
        ("a", "succeeded"),
        ("b", "failed"),
    ]
    assert found() == dict.fromkeys(seen, NOW)
    for number, each in enumerate(seen):
        inbox.write(reconciling.note_again, {("s", each): NOW + (number + 1) * HOUR})
    later = {each: NOW + (number + 1) * HOUR for number, each in enumerate(seen)}
    assert (found(), found("t")) == (later, {seen[0]: NOW})
    inbox.write(reconciling.note_again, {("s", each): NOW for each in seen})
    inbox.write(reconciling.note_seen, {("s", each): NOW for each in seen})
    assert found() == later


@pytest.mark.parametrize(
    ("row", "changed", "is_behind"),
    [
        (0, "", True),
        (-1, "", False),
        (1, "", False),
        (0, ", source = 't'", False),
        (0, ", state = 'routed'", False),
        (0, ", reason = 'key_missing'", False),
        (0, ", reason = 'internal_error'", False),
        (0, ", reason = 'paused_by_person'", True),
        (0, ", lookups = 1", False),
        (0, ", reason = 'lookup_queued'", False),
        (2, ", lookups = 1", True),
        (2, ", reason = 'lookup_queued'", True),
    ],
)
def test_what_is_about_to_be_routed_is_waited_for(
    inbox: Inbox, store: Store, row: int, changed: str, is_behind: bool
) -> None:
    """From the first millisecond of a time to before its last; what waits for a look-up only for so long."""
    since, before = NOW, NOW + HOUR
    stored(inbox, source="s")
    id_ = {-1: first_since(since) - 1, 0: first_since(since), 1: first_since(before), 2: first_since(before) - 1}[row]
    store.rows(f"UPDATE deliveries SET id = ?{changed}", id_)  # noqa: S608 - our own words
    asked_since = before - timedelta(milliseconds=1)
    found = inbox.read(reconciling.is_behind, "s", since=since, before=before, asked_since=asked_since)
    assert found is is_behind
