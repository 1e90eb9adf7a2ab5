"""Runs whose task waits no longer, in the store: kept with the wait's end, and moved on by one process only."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, abandoned, auditing, waits
from bridge.edges.inbox.auditing import AuditFilter
from bridge.words.audit import AuditLine
from bridge.words.waits import Abandoned, TaskKey, Wait
from tests.support.store import NOW, Store

TASK = TaskKey("loads", "run/1", "load", -1)
RUN = Abandoned("default", TASK, 1, "run_1", "pl_1", "planasonix", NOW)
WAIT = Wait("default", TASK, 1, "run_1", "pl_1", None, NOW, is_own=True)
LINE = AuditLine(NOW, "bridge", "run_cancelled", "planasonix: run_1", "cleared")
LATER = NOW + timedelta(minutes=2)


def keep(inbox: Inbox, *runs: Abandoned) -> None:
    """Let a wait end, and keep runs."""
    inbox.write(abandoned.let_go, airflow="default", ended=[WAIT], kept=runs, due_at=LATER)


def due(inbox: Inbox, *but: str) -> list[Abandoned]:
    """Return what is due in the end."""
    return inbox.read(abandoned.due, airflow="default", now=LATER, but=but, limit=20)


def test_a_wait_says_whether_its_task_has_started_the_run(inbox: Inbox) -> None:
    """As it was stored."""
    other = replace(WAIT, task=TASK._replace(task_id="other"), is_own=False)
    inbox.write(waits.add, [WAIT, other])
    known = inbox.read(waits.known, airflow="default")
    assert (known[TASK].is_own, known[other.task].is_own) == (True, False)
    assert inbox.read(abandoned.is_waited_for, "run_1")
    assert not inbox.read(abandoned.is_waited_for, "run_2")


def test_a_run_is_kept_in_the_transaction_that_forgets_its_wait(inbox: Inbox) -> None:
    """So no crash lies between; one that is kept again has its grace again."""
    inbox.write(waits.add, [WAIT])
    keep(inbox, RUN)
    assert (inbox.read(waits.known, airflow="default"), inbox.read(abandoned.count)) == ({}, {"default": 1})
    assert inbox.read(abandoned.due, airflow="default", now=NOW, but=(), limit=20) == []
    assert inbox.read(abandoned.due, airflow="other", now=LATER, but=(), limit=20) == []
    assert (due(inbox), due(inbox, "planasonix")) == ([RUN], [])
    inbox.write(abandoned.look_again, RUN, at=LATER)
    keep(inbox, replace(RUN, try_number=2))
    assert due(inbox) == [replace(RUN, try_number=2)]


def test_only_who_has_seen_a_run_last_moves_it_on(inbox: Inbox) -> None:
    """A process that has lost its lease writes nothing, and audits nothing."""
    keep(inbox, RUN)
    assert inbox.write(abandoned.ask, RUN, again_at=LATER)
    assert not inbox.write(abandoned.ask, RUN, again_at=LATER)
    assert not inbox.write(abandoned.settle, RUN, line=LINE)
    inbox.write(abandoned.look_again, RUN, at=LATER)
    (seen,) = due(inbox)
    assert seen == replace(RUN, asked=1)
    assert inbox.write(abandoned.settle, seen, line=LINE)
    assert not inbox.write(abandoned.settle, seen, line=LINE)
    assert len(inbox.read(auditing.page, wanted=AuditFilter(), limit=5)) == 1


def test_a_run_has_ended_when_its_source_says_so(inbox: Inbox, store: Store) -> None:
    """Of another source or pipeline it is another run."""
    for about, source, pipeline in (
        ("run_1", "planasonix", None),
        ("run_2", "other", None),
        ("run_3", "planasonix", "p"),
        ("job_4", "planasonix", None),
    ):
        store.rows(
            "INSERT INTO completions (delivery_id, about_id, kind, source, status, pipeline_id, nth)"
            " VALUES (?, ?, ?, ?, 'failed', ?, 0)",
            int(about[-1]),
            about,
            about[:3],
            source,
            pipeline,
        )
    ended = {
        name: inbox.read(abandoned.has_ended, replace(RUN, run_id=name))
        for name in ("run_1", "run_2", "run_3", "job_4")
    }
    assert ended == {"run_1": True, "run_2": False, "run_3": False, "job_4": False}
    assert inbox.read(abandoned.has_ended, replace(RUN, run_id="run_3", pipeline_id=None))


@pytest.mark.parametrize(
    "other",
    [
        {"airflow": "other"},
        {"run_id": "run_2"},
        *({"task": TASK._replace(**{name: value})} for name, value in (("dag_id", "x"), ("dag_run_id", "x"))),
        *({"task": TASK._replace(**{name: value})} for name, value in (("task_id", "x"), ("map_index", 0))),
    ],
)
def test_a_run_is_moved_on_alone(inbox: Inbox, other: dict[str, Any]) -> None:
    """Whatever another one has in common with it."""
    beside = replace(RUN, **other)
    keep(inbox, RUN, beside)
    assert inbox.write(abandoned.ask, RUN, again_at=LATER)
    assert inbox.write(abandoned.settle, replace(RUN, asked=1), line=None)
    assert inbox.read(abandoned.due, airflow=beside.airflow, now=LATER, but=(), limit=9) == [beside]
    assert sum(inbox.read(abandoned.count).values()) == 1
    assert inbox.read(auditing.page, wanted=AuditFilter(), limit=5) == []


def test_who_has_missed_a_look_settles_nothing(inbox: Inbox) -> None:
    """Another process has looked meanwhile, and may have seen that the task waits again."""
    keep(inbox, RUN)
    inbox.write(abandoned.look_again, RUN, at=LATER)
    assert not inbox.write(abandoned.settle, RUN, line=LINE)
    assert not inbox.write(abandoned.ask, RUN, again_at=LATER)
    assert due(inbox) == [replace(RUN, looks=1)]


def test_the_longest_due_is_looked_at_first(inbox: Inbox) -> None:
    """Each is due again when it was said; what is kept anew is gone since then."""
    first, second = RUN, replace(RUN, run_id="run_2")
    keep(inbox, first, second)
    inbox.write(abandoned.look_again, first, at=LATER + timedelta(seconds=1))
    assert due(inbox) == [second]
    inbox.write(abandoned.ask, second, again_at=LATER + timedelta(seconds=2))
    assert due(inbox) == []
    late = LATER + timedelta(seconds=2)
    found = inbox.read(abandoned.due, airflow="default", now=late, but=(), limit=1)
    assert found == [replace(first, looks=1)]
    inbox.write(abandoned.postpone, found[0], at=late + timedelta(seconds=1))
    found = inbox.read(abandoned.due, airflow="default", now=late, but=(), limit=2)
    assert found == [replace(second, asked=1)]
    keep(inbox, replace(second, gone_at=LATER))
    assert due(inbox) == [replace(second, gone_at=LATER, asked=1)]
