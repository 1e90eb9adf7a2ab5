"""What tells of runs and pipelines that somebody asks about: by which match, and the newest first."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, endings
from bridge.edges.inbox.engine.ids import delivery_text
from bridge.edges.inbox.rows import first_since
from bridge.rules.telling import Found, Match
from tests.support.store import NOW, ON_SQLITE, Store

Tell = Callable[..., str]


@pytest.fixture
def tell(store: Store) -> Tell:
    """Store what a delivery tells, so many rows after an instant; returns its id."""

    def add(after: int, kind: str, about: str, pipeline: str | None = "pl_1", also: str | None = None) -> str:
        row = first_since(NOW) + after
        store.rows(
            "INSERT INTO completions (delivery_id, about_id, kind, source, status, pipeline_id, nth)"
            " VALUES (?, ?, ?, 'planasonix', 'failed', ?, ?)",
            row,
            about,
            kind,
            pipeline,
            row % 1000,
        )
        if also:
            store.rows("INSERT INTO completion_ids (id, delivery_id) VALUES (?, ?)", also, row)
        return delivery_text(row)

    return add


def found(inbox: Inbox, runs: tuple[str, ...] = (), pipelines: tuple[str, ...] = (), **more: Any) -> list[Found]:
    """Ask as those who wait do."""
    return inbox.read(endings.found, **{"runs": runs, "pipelines": pipelines, "since": NOW} | more)


def test_a_run_is_told_of_by_its_own_event_or_beside_another(inbox: Inbox, tell: Tell) -> None:
    """Whenever that came; what is about something else tells nothing of it."""
    own = tell(-9, "run", "run_1", None)
    beside = tell(-8, "job", "job_1", "pl_2", also="run_1")
    tell(0, "event", "run_1")
    tell(1, "run", "run_2", also="run_3")
    moment = NOW - timedelta(milliseconds=1)
    assert found(inbox, ("run_1",)) == [
        Found(Match.OWN, "run_1", own, "planasonix", None, "failed", moment),
        Found(Match.BESIDE, "run_1", beside, "planasonix", "pl_2", "failed", moment),
    ]
    assert found(inbox) == []


def test_a_pipeline_is_told_of_since_an_instant(inbox: Inbox, tell: Tell) -> None:
    """The newest first. What names no run is vague: it may be of any."""
    tell(-1, "run", "run_0")
    ids = [tell(0, "run", "run_1"), tell(1, "job", "job_1"), tell(2, "job", "job_2", also="run_2")]
    tell(3, "run", "run_9", "pl_2")
    assert [(each.match, each.name, each.delivery_id) for each in found(inbox, (), ("pl_1", "pl_3"))] == [
        (Match.OF_PIPELINE, "pl_1", ids[2]),
        (Match.VAGUE, "pl_1", ids[1]),
        (Match.OF_PIPELINE, "pl_1", ids[0]),
    ]


@ON_SQLITE
def test_the_newest_two_thousand_of_a_pipeline_are_looked_at(inbox: Inbox, store: Store) -> None:
    """Of a pipeline that floods; who is told of none of them looks for itself."""
    store.rows(
        "INSERT INTO completions (delivery_id, about_id, kind, source, status, pipeline_id, nth)"
        " WITH RECURSIVE each(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM each WHERE n < 2000)"
        " SELECT ? + n, 'run_' || n, 'run', 's', 'failed', 'pl_1', 0 FROM each",
        first_since(NOW),
    )
    assert [each.delivery_id for each in found(inbox, (), ("pl_1",))] == [
        delivery_text(first_since(NOW) + n) for n in range(2000, 0, -1)
    ]
