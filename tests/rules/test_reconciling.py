"""Which types of jobs a source still delivers."""

from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.rules.completion import Kind
from bridge.rules.reconciling import Seen, coming, stopped, type_of

NOW = datetime(2026, 8, 1, 10, tzinfo=UTC)
OLD = NOW - timedelta(days=3)


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
