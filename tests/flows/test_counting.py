"""The last 24 hours are counted hour by hour, and an hour that is over is counted once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from bridge.edges.inbox import Inbox
from bridge.edges.inbox.asked import received_at
from bridge.edges.inbox.engine.ids import first_id, number
from bridge.flows.counting import HOURS, Counting
from bridge.rules.mapping import Mapping
from tests.support.store import Store, accept, add, stored

_ROUTES = """
routes:
- {name: orders, source: planasonix, pipeline: pl_1, dag: load}
- {name: misspelled, source: planasonix, pipeline: pl_l, dag: load}
"""


def hour_of(delivery_id: str) -> datetime:
    """Return the beginning of the hour in which a delivery came."""
    return received_at(delivery_id).replace(minute=0, second=0, microsecond=0)


def test_an_hour_says_what_came_and_what_became_of_it(inbox: Inbox, store: Store) -> None:
    """Accepted, fired, failed, and how long the data took from the webhook to the end of the run."""
    first, second, third = (item.delivery_id for item in accept(inbox, "evt_1", "evt_2", "evt_3"))
    add(inbox, first)
    add(inbox, second)
    store.rows("UPDATE triggers SET state = 'failed'")
    ended = int((received_at(third) + timedelta(minutes=5)).timestamp()) * 1_000_000
    add(inbox, third)
    store.rows(
        "UPDATE triggers SET state = 'fired', run_state = 'success', run_ended_at = ? WHERE state = 'pending'", ended
    )
    now = hour_of(third) + timedelta(minutes=59)
    day = Counting(inbox=inbox, clock=lambda: now).day()
    assert len(day) == HOURS
    assert [hour.begin_at for hour in day] == sorted(hour.begin_at for hour in day)
    found = day[-1]
    assert (found.accepted, found.fired, found.failed) == (3, 1, 2)
    assert found.ready_seconds is not None
    assert 298 < found.ready_seconds <= 300
    assert day[0].accepted == 0
    assert day[0].ready_seconds is None


def test_an_hour_that_is_over_is_not_counted_again(inbox: Inbox, store: Store) -> None:
    """The newest two are, once they are old; so a page costs little, however much is stored."""
    begin = hour_of(stored(inbox, "evt_1"))
    now, ticks = [begin + timedelta(hours=5)], [0.0]
    counting = Counting(inbox=inbox, clock=lambda: now[0], monotonic=lambda: ticks[0])
    assert counting.day()[-6].accepted == 1
    now[0] = begin
    ticks[0] = 100.0
    assert counting.day()[-1].accepted == 1
    stored(inbox, "evt_2")
    ticks[0] += 10
    assert counting.day()[-1].accepted == 1
    ticks[0] += 10
    assert counting.day()[-1].accepted == 2
    store.rows("DELETE FROM deliveries")
    now[0] = begin + timedelta(hours=1)
    ticks[0] += 20
    assert counting.day()[-2].accepted == 0
    now[0] = begin + timedelta(hours=2)
    ticks[0] += 20
    counting.day()
    stored(inbox, "evt_3")
    ticks[0] += 20
    assert counting.day()[-3].accepted == 0


def test_an_hour_that_was_looked_at_too_early_is_counted_again(inbox: Inbox) -> None:
    """Whoever looked in the evening does not keep it as it was then."""
    begin = hour_of(stored(inbox, "evt_1"))
    now, ticks = [begin + timedelta(minutes=10)], [0.0]
    counting = Counting(inbox=inbox, clock=lambda: now[0], monotonic=lambda: ticks[0])
    assert counting.day()[-1].accepted == 1
    stored(inbox, "evt_2")
    now[0], ticks[0] = begin + timedelta(hours=5), 18_000.0
    assert counting.day()[-6].accepted == 2


def test_what_still_changes_in_an_old_hour_is_counted_again(inbox: Inbox, store: Store) -> None:
    """A trigger that waits and a run that goes on, at most every ten minutes; what has ended is kept."""
    add(inbox, stored(inbox, "evt_1"))
    begin = hour_of(stored(inbox, "evt_2"))
    now, ticks = [begin + timedelta(hours=3)], [0.0]
    counting = Counting(inbox=inbox, clock=lambda: now[0], monotonic=lambda: ticks[0])

    def fired_after(minutes: int) -> int:
        now[0] += timedelta(minutes=minutes)
        ticks[0] += minutes * 60
        return sum(hour.fired for hour in counting.day())

    assert fired_after(0) == 0
    store.rows("UPDATE triggers SET state = 'fired', run_state = 'running', run_due_at = 0")
    assert [fired_after(5), fired_after(5)] == [0, 1]
    ended = int((begin + timedelta(hours=3)).timestamp()) * 1_000_000
    store.rows("UPDATE triggers SET run_state = 'success', run_due_at = NULL, run_ended_at = ?", ended)
    fired_after(10)
    assert any(hour.ready_seconds for hour in counting.day())
    store.rows("DELETE FROM triggers")
    assert fired_after(10) == 1


@pytest.mark.parametrize(("minutes", "failed"), [(11, [4, 2, 0, 0]), (61, [0])], ids=["looked at", "not looked at"])
def test_a_question_counts_two_old_hours_again_and_no_more(
    inbox: Inbox, store: Store, minutes: int, failed: list[int]
) -> None:
    """So a page is never slow, however many have what failed; but all, where nobody has asked for an hour."""
    begin = hour_of(stored(inbox, "evt_1"))
    for hours in range(6):
        row = number(add(inbox, stored(inbox, f"evt_2_{hours}")), "trg")
        there = first_id(int((begin - timedelta(hours=hours)).timestamp()) * 1_000_000) + hours
        store.rows("UPDATE triggers SET id = ?, state = 'failed' WHERE id = ?", there, row)
    now, ticks = [begin + timedelta(hours=4)], [0.0]
    counting = Counting(inbox=inbox, clock=lambda: now[0], monotonic=lambda: ticks[0])
    assert sum(hour.failed for hour in counting.day()) == 6
    store.rows("DELETE FROM triggers")
    found = []
    for _ in failed:
        now[0] += timedelta(minutes=minutes)
        ticks[0] += minutes * 60
        found.append(sum(hour.failed for hour in counting.day()))
    assert found == failed


def test_what_a_person_runs_after_all_is_counted_again(inbox: Inbox, store: Store) -> None:
    """It was cancelled, as it was too late, and is replayed hours later."""
    add(inbox, stored(inbox, "evt_1"))
    store.rows("UPDATE triggers SET state = 'cancelled', reason = 'too_late'")
    begin = hour_of(stored(inbox, "evt_2"))
    now, ticks = [begin + timedelta(hours=3)], [0.0]
    counting = Counting(inbox=inbox, clock=lambda: now[0], monotonic=lambda: ticks[0])
    assert sum(hour.fired for hour in counting.day()) == 0
    store.rows("UPDATE triggers SET state = 'fired', reason = NULL")
    now[0] += timedelta(minutes=11)
    ticks[0] += 660
    assert sum(hour.fired for hour in counting.day()) == 1


def test_nothing_that_came_before_or_will_come_counts(inbox: Inbox) -> None:
    """Only the hour's own."""
    begin = hour_of(stored(inbox, "evt_1"))
    for hours in (-30, 30):
        day = Counting(inbox=inbox, clock=lambda hours=hours: begin.astimezone(UTC) + timedelta(hours=hours)).day()
        assert sum(hour.accepted for hour in day) == 0


@pytest.mark.parametrize("state", ["fired", "failed", "cancelled"])
def test_a_route_that_starts_something_once_a_week_has_a_last_run(
    inbox: Inbox, store: Store, state: str, mapping: Callable[..., Mapping]
) -> None:
    """By its own triggers, whatever became of them: another route to the same DAG has none."""
    route, other = mapping(_ROUTES).routes
    add(inbox, stored(inbox, "evt_1"), route=route.name, dag_id=route.dags[0])
    store.rows("UPDATE triggers SET state = ?", state)
    later = datetime.now(UTC) + timedelta(days=6)
    found = Counting(inbox=inbox, clock=lambda: later).routes([route, other])
    assert (found[route.name]["fired"], found[route.name]["has_none"]) == (0, False)
    assert found[route.name]["last_at"] is not None
    assert (found[other.name]["last_at"], found[other.name]["has_none"]) == (None, True)


def test_what_came_while_nobody_asked_is_found(inbox: Inbox, mapping: Callable[..., Mapping]) -> None:
    """Whoever asks again after days sees the newest run of then."""
    route, _ = mapping(_ROUTES).routes
    first = stored(inbox, "evt_1")
    add(inbox, first, route=route.name)
    now = [hour_of(first) + timedelta(minutes=59) - timedelta(days=3)]
    counting = Counting(inbox=inbox, clock=lambda: now[0])
    counting.routes([route])
    add(inbox, stored(inbox, "evt_2"), route=route.name)
    before = counting.routes([route])[route.name]["last_at"]
    now[0] += timedelta(days=6)
    after = counting.routes([route])[route.name]["last_at"]
    assert before is not None
    assert after > before
