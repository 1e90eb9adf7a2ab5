"""Pages of jobs, which types of jobs a source still delivers, and what a webhook of a job would have told."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.rules.completion import Completion, Kind
from bridge.rules.event import USUAL
from bridge.rules.event.spelling import Spelling
from bridge.rules.reconciling import Seen, coming, ended, named_types, read_page, stopped, type_of, window
from bridge.words.model import Status

NOW = datetime(2026, 8, 1, 10, tzinfo=UTC)
OLD = NOW - timedelta(days=3)
ONE = [{"id": "job_1"}]


@pytest.mark.parametrize(
    ("answer", "cursor"),
    [
        (ONE, None),
        *(({name: ONE}, None) for name in ("data", "jobs", "items", "results")),
        *(({"data": {name: ONE}}, None) for name in ("data", "jobs", "items", "results")),
        ({"data": [*ONE, 7, "job_2", None]}, None),
        ({"data": ONE, "next_cursor": "c"}, "c"),
        ({"data": ONE, "nextCursor": 7}, "7"),
        *(({"data": ONE, "nextCursor": nothing}, None) for nothing in (None, "", False, {})),
        *(({"data": ONE, box: {"next_cursor": "c"}}, "c") for box in ("pagination", "meta", "page", "paging")),
        ({"data": ONE, "pagination": None}, None),
        ({"data": {"jobs": ONE, "next_cursor": "c"}}, "c"),
        ({"data": {"jobs": ONE, "paging": {"nextCursor": "c"}}}, "c"),
        ({"data": {"jobs": ONE}, "next_cursor": "c"}, "c"),
        ({"data": {"jobs": ONE}, "meta": {"nextCursor": "c"}}, "c"),
        ({"data": {"jobs": ONE, "next_cursor": "inner"}, "next_cursor": "outer"}, "inner"),
        ({"data": ONE, "has_more": False}, None),
        ({"data": ONE, "has_more": "yes"}, None),
        ({"data": ONE, "has_more": True, "next_cursor": "c"}, "c"),
    ],
)
def test_a_page_of_jobs_is_read_in_any_envelope(answer: Any, cursor: str | None) -> None:
    """With the cursor of the next one, under any of its usual names; what is no job is passed over."""
    assert read_page(answer) == (ONE, cursor)


NO_LIST = "^the answer holds no list of jobs$"
NO_CURSOR = "^it says that there are more, and not how to ask for them$"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, NO_LIST),
        ("jobs", NO_LIST),
        ({}, NO_LIST),
        ({"data": None}, NO_LIST),
        ({"data": {"jobs": "job_1"}}, NO_LIST),
        ({"data": {"data": {"jobs": ONE}}}, NO_LIST),
        ({"data": ONE, "has_more": True}, NO_CURSOR),
        ({"data": ONE, "pagination": {"hasMore": True}}, NO_CURSOR),
        ({"data": {"jobs": ONE}, "has_more": True}, NO_CURSOR),
    ],
)
def test_what_is_no_page_of_jobs_is_an_error(answer: Any, problem: str) -> None:
    """Never taken for the last page, which would hide the rest."""
    with pytest.raises(ValueError, match=problem):
        read_page(answer)


SUCCEEDED, FAILED = Seen(Kind.JOB, "job.succeeded", "succeeded"), Seen(Kind.JOB, "job.failed", "failed")
OPEN = Seen(Kind.JOB, "job.completed", "failed")


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        ([SUCCEEDED], "job.succeeded"),
        ([FAILED], None),
        ([Seen(Kind.RUN, "pipeline.run.succeeded", "succeeded")], None),
        ([Seen(Kind.RUN, "pipeline.run.completed", "succeeded")], None),
        ([OPEN], "job.completed"),
        ([Seen(Kind.JOB, "job.completed", "succeeded"), SUCCEEDED], "job.succeeded"),
        ([Seen(Kind.JOB, "job.told")], "job.told"),
        ([Seen(Kind.JOB, "job.told"), SUCCEEDED], "job.succeeded"),
        ([Seen(Kind.JOB, "job.completed", "failed", not_for=frozenset({"failed"}))], "job.completed"),
        ([Seen(Kind.JOB, "job.completed", "failed", not_for=frozenset({"succeeded"}))], None),
        ([], None),
    ],
)
def test_a_job_that_succeeded_is_told_of_in_the_type_that_its_source_has(seen: list[Seen], found: str | None) -> None:
    """The exact one first, then one that leaves the end open; a type of other ends, or of runs, says nothing of it."""
    assert type_of("succeeded", seen) == found


class Instant(datetime):
    """An instant that counts how often it is held against another one."""

    compared = 0

    def __sub__(self, other: Any) -> Any:
        """Count it."""
        Instant.compared += 1
        return super().__sub__(other)


def test_many_types_are_held_against_the_newest_run_alone() -> None:
    """A sender may make up hundreds of types, and each look asks for them anew."""
    newest = Instant(2026, 8, 1, 10, tzinfo=UTC)
    runs = [Seen(Kind.RUN, f"run.{number}", "succeeded", newest) for number in range(50)]
    jobs = [Seen(Kind.JOB, f"job.{number}", "succeeded", OLD if number % 2 else NOW) for number in range(50)]
    Instant.compared = 0
    assert coming([*runs, *jobs]) == jobs[::2]
    assert Instant.compared <= len(jobs)


def test_the_newest_run_of_another_type_counts() -> None:
    """A type that tells of jobs and runs has not stopped as it goes on to tell of runs."""
    job = Seen(Kind.JOB, "load.finished", "succeeded", OLD)
    own = Seen(Kind.RUN, "load.finished", "succeeded", NOW)
    other = Seen(Kind.RUN, "pipeline.run.succeeded", "succeeded", NOW - timedelta(hours=1))
    assert stopped([job, own]) == []
    assert stopped([job, own, other]) == [job]


def test_a_type_of_any_end_is_not_used_for_the_end_for_which_it_stopped() -> None:
    """For the other ends it is, if it was seen with any of them."""
    jobs = [Seen(Kind.JOB, "job.completed", status, OLD) for status in ("failed", "succeeded")]
    run = Seen(Kind.RUN, "pipeline.run.succeeded", "succeeded", NOW)
    kept = coming([*jobs, run])
    assert [type_of(status, kept) for status in ("failed", "succeeded", "cancelled")] == [
        "job.completed",
        None,
        "job.completed",
    ]


RUN = Seen(Kind.RUN, "pipeline.run.succeeded", "succeeded", NOW)
LIMIT = NOW - timedelta(days=2)


@pytest.mark.parametrize(
    ("job", "others", "has_stopped"),
    [
        (LIMIT, [RUN], False),
        (LIMIT - timedelta(seconds=1), [RUN], True),
        (OLD, [Seen(Kind.RUN, "a", "succeeded", OLD), Seen(Kind.RUN, "b", "succeeded", NOW)], True),
        (OLD, [RUN, Seen(Kind.RUN, "a", "succeeded", OLD)], True),
        (OLD, [Seen(Kind.RUN, "a", "failed", NOW)], False),
        (OLD, [Seen(Kind.RUN, "a", "succeeded")], False),
        (None, [RUN], False),
        (OLD, [Seen(Kind.JOB, "job.done", "succeeded", NOW)], False),
        (OLD, [], False),
    ],
)
def test_a_type_has_stopped_two_days_before_the_newest_run(
    job: datetime | None, others: list[Seen], *, has_stopped: bool
) -> None:
    """To the second; a run of another end is no sign, nor other jobs, nor what has no time."""
    own = Seen(Kind.JOB, "job.succeeded", "succeeded", job)
    assert (own in stopped([own, *others])) is has_stopped
    assert (own in coming([own, *others])) is not has_stopped


def test_the_types_that_a_person_names_are_for_the_end_that_their_last_word_means() -> None:
    """In the words of the source; one that means none is for any end."""
    spelling = Spelling(words=(("ok", Status.SUCCEEDED),))
    named = named_types(["job.OK", "job.failed", "job.completed.now", "done"], spelling)
    assert named == [
        Seen(Kind.JOB, "job.OK", "succeeded"),
        Seen(Kind.JOB, "job.failed", "failed"),
        Seen(Kind.JOB, "job.completed.now"),
        Seen(Kind.JOB, "done"),
    ]


STARTED, FINISHED = "2026-08-01T09:00:00Z", "2026-08-01T09:30:00Z"
JOB = {"id": "job_1", "status": "succeeded", "started_at": STARTED, "finished_at": FINISHED}


@pytest.mark.parametrize(
    ("more", "job_id", "at"),
    [
        ({}, "job_1", FINISHED),
        ({"id": 7}, "7", FINISHED),
        ({"id": None, "job_id": "job_2"}, "job_2", FINISHED),
        ({"id": None, "jobId": "job_3"}, "job_3", FINISHED),
        ({"finished_at": None}, "job_1", STARTED),
        ({"started_at": None}, "job_1", FINISHED),
    ],
)
def test_a_job_that_has_ended_is_told_of_as_its_webhook_would(more: dict[str, Any], job_id: str, at: str) -> None:
    """Its id in any spelling, the instant of its end, else of its start; and the whole answer."""
    found = ended(JOB | more, source="planasonix", seen=[FAILED, SUCCEEDED], spelling=USUAL)
    assert found is not None
    assert (found.completion, found.type) == (Completion("planasonix", Kind.JOB, job_id, "succeeded"), "job.succeeded")
    assert found.ended_at == datetime.fromisoformat(at)
    body = {"type": "job.succeeded", "timestamp": at, "job_id": job_id, "data": JOB | more}
    assert json.loads(found.body) == body


@pytest.mark.parametrize(
    ("more", "seen"),
    [
        ({"id": None}, SUCCEEDED),
        ({"id": "two words"}, SUCCEEDED),
        ({"job_id": "job_2"}, SUCCEEDED),
        ({"status": "running"}, SUCCEEDED),
        ({"status": "odd"}, SUCCEEDED),
        ({"status": None}, SUCCEEDED),
        ({"status": "failed"}, SUCCEEDED),
        ({"pipeline_id": "pl_1", "pipelineId": "pl_2"}, SUCCEEDED),
        ({"started_at": None, "finished_at": None}, SUCCEEDED),
        ({}, Seen(Kind.JOB, "job.failed", "succeeded")),  # its words were other ones when it was seen
        ({"run_id": "run_1"}, Seen(Kind.JOB, "pipeline.run.succeeded", "succeeded")),
    ],
)
def test_what_no_webhook_would_tell_of_is_not_made_up_for(more: dict[str, Any], seen: Seen) -> None:
    """No id, no end, no instant, a contradiction, a type that means another end, or a webhook about something else."""
    assert ended(JOB | more, source="planasonix", seen=[seen], spelling=USUAL) is None


@pytest.mark.parametrize(
    ("days", "begin"), [(1, timedelta(days=1)), (30, timedelta(days=29, hours=23)), (40, timedelta(days=29, hours=23))]
)
def test_a_look_begins_where_nothing_was_removed_yet(days: int, begin: timedelta) -> None:
    """Clocks may differ by an hour; and it ends before what is about to be told."""
    found = window(NOW, since=timedelta(days=days), grace=timedelta(minutes=15), retention=timedelta(days=30))
    assert found == (NOW - begin, NOW - timedelta(minutes=15))
