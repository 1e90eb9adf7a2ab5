"""PostgreSQL: who erases, replays or claims the same thing at once waits for the other, and then sees what it did."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection

from bridge.edges.inbox import Inbox, claiming, erasing, replays
from bridge.edges.inbox.replays import Replayed
from bridge.words.errors import BadFilter
from bridge.words.model import TriggerState
from tests.support.store import LATER, NOW, ON_POSTGRESQL, Store, add, claim, stored, wait_for, whole

pytestmark = ON_POSTGRESQL
_WAITING = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
Together = Callable[[Callable[[Connection], object], Callable[[Connection], Any]], Any]


@pytest.fixture
def together(inbox: Inbox, store: Store) -> Together:
    """Run something that has not committed yet when something else begins; returns what the other gives."""

    def run(first: Callable[[Connection], object], second: Callable[[Connection], Any]) -> Any:
        with ThreadPoolExecutor(1) as pool:
            with inbox._store.writing.begin() as connection:
                first(connection)
                outcome = pool.submit(inbox.write, second)
                wait_for(lambda: store.one(_WAITING) == 1)
            return outcome.result()

    return run


def _erase(connection: Connection) -> erasing.Found:
    event = {"source": "planasonix", "event_id": "evt_1"}
    return erasing.erase(
        connection,
        **event,
        rows=erasing.rows_of(connection, **event),
        actor="test",
        reason="asked to",
        is_cancelling=True,
        now=NOW + LATER,
    )


def _replay(connection: Connection, id_: str) -> Replayed:
    return replays.replay(connection, id_, actor="test", reason=None, new_id=None, now=NOW + LATER)


def _claim(connection: Connection) -> None:
    (claimed,) = claiming.claim(
        connection, airflow="default", now=NOW, until=NOW + 30 * LATER, token="token", limit=9, routes=None
    )
    assert claimed.trigger.state is TriggerState.FIRING


def test_what_is_being_erased_is_not_fired_again(inbox: Inbox, together: Together) -> None:
    """It would be fired without its conf."""
    delivery_id = stored(inbox)
    id_ = add(inbox, delivery_id)
    assert together(_erase, lambda connection: _replay(connection, id_)) is Replayed.ERASED
    assert [item.state for item in whole(inbox, delivery_id)] == [TriggerState.CANCELLED]
    assert claim(inbox, now=NOW + LATER) == []


def test_what_is_being_claimed_is_not_routed_again(inbox: Inbox, together: Together) -> None:
    """Its run is on the way: whoever replays its delivery is told so."""
    delivery_id = stored(inbox)
    add(inbox, delivery_id)
    assert together(_claim, lambda connection: _replay(connection, delivery_id)) is Replayed.BUSY
    assert [item.state for item in whole(inbox, delivery_id)] == [TriggerState.FIRING]


def test_what_is_being_claimed_is_not_erased(inbox: Inbox, together: Together) -> None:
    """A run that is on the way needs its conf."""
    delivery_id = stored(inbox)
    add(inbox, delivery_id, conf={"day": 1})
    with pytest.raises(BadFilter, match="are being fired"):
        together(_claim, _erase)
    assert [item.call.conf for item in whole(inbox, delivery_id)] == [{"day": 1}]
