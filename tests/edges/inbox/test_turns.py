"""What was put back for a DAG is found a stretch at a time and made due; nothing else that is held is."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, turns
from bridge.edges.inbox.engine.ids import number
from bridge.edges.inbox.rows import microseconds
from bridge.words.model import TriggerState
from bridge.words.reasons import Reason
from tests.support.store import NOW, Store, add, stored

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
INSTANT = timedelta(microseconds=1)
_OTHERS: dict[str, dict[str, Any]] = {
    "another route": {"route": "invoices"},
    "another Airflow": {"airflow": "other"},
    "another DAG": {"dag_id": "publish"},
    "no longer held": {"state": TriggerState.PENDING},
    "held for something else": {"reason": Reason.DAG_PAUSED},
    "what was refused itself": {"detail": "asked to wait"},
    "due at the instant it begins after": {"due_at": NOW},
    "due after the span": {"due_at": NOW + 100 * SECOND + INSTANT},
}


def _held(inbox: Inbox, event: str, *, now: datetime = NOW, **more: Any) -> str:
    usual = {"state": TriggerState.HELD, "reason": Reason.THROTTLED, "due_at": NOW + 100 * SECOND}
    return add(inbox, stored(inbox, event), now=now, **usual | more)


def _put_back(inbox: Inbox, *, limit: int) -> tuple[list[str], datetime | None]:
    where = {"airflow": "default", "dag_id": "load_orders", "route": "orders"}
    return inbox.read(turns.put_back, **where, after=NOW, until=NOW + 100 * SECOND, limit=limit)


@pytest.mark.parametrize("other", _OTHERS)
def test_what_waits_with_its_dag_is_found_and_nothing_else(inbox: Inbox, other: str) -> None:
    """Throttled or forbidden without a word of its own, up to the end of the span; the first due comes first."""
    last = _held(inbox, "evt_1")
    first = _held(inbox, "evt_2", reason=Reason.AIRFLOW_FORBIDDEN, due_at=NOW + INSTANT)
    _held(inbox, "evt_other", **_OTHERS[other])
    assert _put_back(inbox, limit=9) == ([first, last], None)


_NEXT = {
    "the span ends": ([1, 2], True, 3, None),
    "one instant": ([2, 2, 2], True, 3, 2 * SECOND - INSTANT),
    "the last may be cut off": ([1, 2, 3, 4], True, 3, 3 * SECOND - INSTANT),
    "none is of the DAG": ([1, 2, 3], False, 3, 3 * SECOND - INSTANT),
    "none of the last two is": ([1, 3, 3], False, 3, 3 * SECOND - INSTANT),
    "none of one instant is": ([2, 2, 2], False, 3, 2 * SECOND),
}


@pytest.mark.parametrize("case", _NEXT)
def test_the_next_stretch_begins_where_the_last_was_cut_off(inbox: Inbox, case: str) -> None:
    """With what is due at the instant of the last, unless a whole stretch of that instant was looked at in vain."""
    dues, is_found, limit, after = _NEXT[case]
    more = {} if is_found else {"reason": Reason.DAG_PAUSED}
    ids = [_held(inbox, f"evt_{place}", due_at=NOW + due * SECOND, **more) for place, due in enumerate(dues)]
    found, next_after = _put_back(inbox, limit=limit)
    assert set(found) == (set(ids[:limit]) if is_found else set())
    assert next_after == (None if after is None else NOW + after)


@pytest.mark.parametrize(
    ("age_from", "due_at"), [(-HOUR - INSTANT, -HOUR), (-HOUR, -HOUR), (-SECOND, -SECOND), (SECOND, timedelta())]
)
def test_what_is_made_due_goes_by_its_age(inbox: Inbox, store: Store, age_from: timedelta, due_at: timedelta) -> None:
    """The oldest first, but none before what was due an hour ago already, and none later than now."""
    id_ = _held(inbox, "evt_1", now=NOW + age_from)
    assert inbox.write(turns.make_due, [id_], now=NOW, within=HOUR) == 1
    assert store.rows("SELECT state, reason, due_at FROM triggers") == [("pending", None, microseconds(NOW + due_at))]


@pytest.mark.parametrize(
    "other",
    [
        {"state": TriggerState.FIRING},
        {"reason": Reason.DAG_PAUSED},
        {"detail": "asked to wait"},
        {"due_at": NOW},
    ],
)
def test_what_waits_with_its_dag_no_longer_is_not_made_due(inbox: Inbox, store: Store, other: dict[str, Any]) -> None:
    """It was found beside the writer, and has changed since."""
    id_ = _held(inbox, "evt_1", **other)
    before = store.rows("SELECT * FROM triggers WHERE id = ?", number(id_, "trg"))
    assert inbox.write(turns.make_due, [id_], now=NOW, within=HOUR) == 0
    assert store.rows("SELECT * FROM triggers WHERE id = ?", number(id_, "trg")) == before
