"""What a filter means: each condition keeps out what only it keeps out, and what cannot be is said."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, browsing
from bridge.edges.inbox.browsing import Filter
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.edges.inbox.engine.ids import number
from bridge.edges.inbox.rows import first_since
from bridge.rules.completion import Completion, Kind
from bridge.words.errors import BadFilter
from bridge.words.model import DeliveryState
from tests.support.store import NOW, Store, add, new_trigger, stored


@pytest.mark.parametrize(
    ("table", "wanted", "said"),
    [
        (
            "deliveries",
            {"state": "fired"},
            "no such state of deliveries: fired; there is received, routed, unrouted, ignored, invalid, stale",
        ),
        (
            "triggers",
            {"state": "routed"},
            "no such state of triggers: routed; there is pending, firing, fired, held, failed, cancelled",
        ),
        (
            "triggers",
            {"run_state": "odd"},
            "no such state of DAG runs: odd; there is queued, running, success, failed, deleted, unknown",
        ),
        ("deliveries", {"route": "x", "dag_id": "x"}, "deliveries cannot be filtered by dag_id, route"),
        ("triggers", {"event_id": "x"}, "triggers cannot be filtered by event_id"),
    ],
)
def test_what_cannot_be_asked_for_is_said(inbox: Inbox, table: str, wanted: dict[str, str], said: str) -> None:
    """In a sentence that tells what there is."""
    with pytest.raises(BadFilter) as refused:
        inbox.read(browsing.count, table=table, wanted=Filter(**wanted))  # type: ignore[arg-type]
    assert str(refused.value) == said


def test_a_status_that_no_event_has_is_said(inbox: Inbox) -> None:
    """A status is a word of ours, whatever the source calls it."""
    with pytest.raises(BadFilter, match=r"^no such status of an event: odd; there is succeeded, "):
        inbox.read(browsing.count, table="deliveries", wanted=Filter(status="odd"))


def told(inbox: Inbox, event: str, kind: Kind, about: str, pipeline: str = "pl_1") -> tuple[str, str]:
    """Store an event with a trigger, and what it tells of; returns the ids of both."""
    id_ = stored(inbox, event)
    new = new_trigger(inbox, id_)
    completion = Completion("planasonix", kind, about, "succeeded", pipeline)
    inbox.write(settle_routing, [Routing(id_, DeliveryState.ROUTED, None, None, None, [new], completion)], now=NOW)
    return id_, new.id


def ids(inbox: Inbox, table: str, **wanted: Any) -> list[str]:
    """Return what a filter means, newest first."""
    return inbox.read(browsing.ids, table=table, wanted=Filter(**wanted), limit=9)


def test_a_job_is_no_run_of_the_same_id(inbox: Inbox) -> None:
    """Both are found by what routing read in the event."""
    job, run = (told(inbox, str(kind), kind, "the_id") for kind in (Kind.JOB, Kind.RUN))
    for place, table in enumerate(("deliveries", "triggers")):
        assert ids(inbox, table, job_id="the_id") == [job[place]]
        assert ids(inbox, table, run_id="the_id") == [run[place]]
        assert ids(inbox, table, job_id="other") == []


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_pipeline_is_the_one_that_is_named(inbox: Inbox, is_busy: bool) -> None:
    """Whichever way it is looked for."""
    mine = told(inbox, "evt_1", Kind.JOB, "job_1")
    told(inbox, "evt_2", Kind.JOB, "job_2", "pl_2")
    for place, table in enumerate(("deliveries", "triggers")):
        assert ids(inbox, table, pipeline_id="pl_1", is_busy=is_busy) == [mine[place]]


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_time_is_that_of_what_is_listed(inbox: Inbox, store: Store, is_busy: bool) -> None:
    """A trigger may be made long after its delivery came, by a replay or after a pause."""
    delivery, trigger = told(inbox, "evt_1", Kind.JOB, "job_1")
    day = timedelta(days=1)
    now = datetime.now(UTC)
    store.rows("UPDATE triggers SET id = ? WHERE id = ?", first_since(now + 9 * day), number(trigger, "trg"))
    wanted = {"pipeline_id": "pl_1", "is_busy": is_busy}
    assert len(ids(inbox, "triggers", since=now + day, **wanted)) == 1
    assert ids(inbox, "triggers", until=now + day, **wanted) == []
    assert ids(inbox, "deliveries", until=now + day, **wanted) == [delivery]
    assert ids(inbox, "deliveries", since=now + day, **wanted) == []


def test_how_a_run_ended_is_of_what_was_fired(inbox: Inbox, store: Store) -> None:
    """What is replayed has its run of before no more, whatever still stands in its row."""
    fired, again = (add(inbox, stored(inbox, event)) for event in ("evt_1", "evt_2"))
    store.rows("UPDATE triggers SET run_state = 'failed'")
    store.rows("UPDATE triggers SET state = 'fired' WHERE id = ?", number(fired, "trg"))
    assert ids(inbox, "triggers", run_state="failed") == [fired]
    assert ids(inbox, "triggers", state="pending") == [again]
