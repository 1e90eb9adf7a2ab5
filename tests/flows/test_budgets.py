"""A budget runs only while a trigger may be tried, and each limit counts its own cause."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, replays, triggers
from bridge.words.model import Limits, TriggerState
from bridge.words.reasons import Reason
from tests.support.firing import Firing, Make
from tests.support.standin import Answer, Broken, Standin
from tests.support.store import Store, wait_for

DAY = timedelta(days=1)
_DATABASE_ERROR = (500, {"detail": {"reason": "Database error"}})


def _lose_once(standin: Standin) -> Callable[[dict[str, Any]], Answer | None]:
    """Break the first call: the hiccup of an Airflow that has just returned."""

    def lose(_: dict[str, Any]) -> Answer | None:
        standin.before = lambda _: None
        raise Broken

    return lose


def _go_down(standin: Standin) -> None:
    standin.is_healthy = False
    standin.before = lambda _: _DATABASE_ERROR


def _forbid(standin: Standin) -> None:
    standin.before = lambda _: (403, {"detail": "Forbidden"})


def _refuse_sign_in(standin: Standin) -> None:
    standin.passwords = {"bridge": "another"}


OUTSIDE: dict[str, tuple[Callable[[Standin], None], Reason]] = {
    "Airflow is down": (_go_down, Reason.AIRFLOW_DOWN),
    "the right is missing": (_forbid, Reason.AIRFLOW_FORBIDDEN),
    "the sign-in is refused": (_refuse_sign_in, Reason.AIRFLOW_UNAUTHORIZED),
}


@pytest.mark.parametrize("cause", OUTSIDE)
def test_an_outage_longer_than_max_age_fails_nothing_at_the_first_hiccup(
    make: Make, standin: Standin, store: Store, cause: str
) -> None:
    """Twenty-five hours after it began everything is fired, although the first answer is lost."""
    begin, reason = OUTSIDE[cause]
    begin(standin)
    firing = make()
    ids = [firing.add(f"evt_{number}") for number in range(5)]
    firing.start()
    for id_ in ids:
        assert firing.wait(id_, TriggerState.HELD).reason is reason
    firing.clock_is_ahead = DAY + timedelta(hours=1)
    standin.is_healthy, standin.passwords = True, {}
    standin.before = _lose_once(standin)
    firing.dispatcher.wake()
    for id_ in ids:
        firing.wait(id_, TriggerState.FIRED, TriggerState.FAILED)
    assert store.rows("SELECT DISTINCT state FROM triggers") == [("fired",)]


def test_a_queue_behind_a_ceiling_longer_than_max_age_fails_nothing(make: Make, standin: Standin, store: Store) -> None:
    """What waited thirty hours for its turn has its whole day from its first try on."""
    firing = make()
    at = datetime.now(UTC) + timedelta(hours=30)
    id_ = firing.add(state=TriggerState.HELD, reason=Reason.HOURLY_CEILING, due_at=at)
    firing.clock_is_ahead = timedelta(hours=31)
    standin.before = _lose_once(standin)
    firing.start()
    firing.wait(id_, TriggerState.FIRED, TriggerState.FAILED)
    assert firing.trigger(id_).state is TriggerState.FIRED


def test_a_bridge_that_was_stopped_for_longer_than_max_age_fails_nothing(
    make: Make, standin: Standin, store: Store
) -> None:
    """Nobody tries while nobody runs, also between a lost answer and the next try."""
    standin.before = _lose_once(standin)
    first = make()
    id_ = first.add()
    first.dispatcher.step()
    first.is_started = True  # its pool is
    wait_for(lambda: first.trigger(id_).reason is Reason.ANSWER_LOST)
    first.stop()
    standin.before = _lose_once(standin)
    second = make()
    second.clock_is_ahead = 2 * DAY
    second.start()
    assert second.wait(id_, TriggerState.FIRED, TriggerState.FAILED).state is TriggerState.FIRED


def test_max_age_is_used_up_by_trying(make: Make, standin: Standin) -> None:
    """A trigger whose answers are lost for longer than its route allows fails as `expired`, with its last cause."""

    def lose(_: dict[str, Any]) -> Answer | None:
        raise Broken

    standin.before = lose
    firing = make().start()
    found = firing.wait(firing.add(limits=Limits(max_age_seconds=1.0)), TriggerState.FAILED)
    assert found.reason is Reason.EXPIRED
    assert str(found.detail).startswith("last: answer_lost")


# --- causes ----------------------------------------------------------------------------------------


def _hurry(firing: Firing, store: Store, id_: str) -> TriggerState:
    """Make a trigger due that waits for its next try; returns where it stands."""
    store.rows("UPDATE triggers SET due_at = 0 WHERE state = 'pending'")
    firing.dispatcher.wake()
    return firing.trigger(id_).state


def test_lost_answers_use_up_nothing_of_what_a_server_error_may(make: Make, standin: Standin, store: Store) -> None:
    """Five lost answers, four database errors, and then one plain 500: it is tried again, and fires."""
    troubles: list[Answer | None] = [None] * 5 + [_DATABASE_ERROR] * 4 + [(500, "Internal Server Error")]

    def next_one(_: dict[str, Any]) -> Answer | None:
        if not troubles:
            return None
        problem = troubles.pop(0)
        if problem is None:
            raise Broken
        return problem

    standin.before = next_one
    firing = make().start()
    id_ = firing.add()
    wait_for(lambda: _hurry(firing, store, id_) in (TriggerState.FIRED, TriggerState.FAILED))
    assert (firing.trigger(id_).state, firing.trigger(id_).attempts) == (TriggerState.FIRED, 11)


def test_a_replay_by_any_release_gives_the_whole_budget(
    make: Make, standin: Standin, store: Store, inbox: Inbox
) -> None:
    """What was used counts from the moment of that replay, although only `age_from` says so."""
    standin.before = lambda _: (500, "Internal Server Error")
    firing = make().start()
    id_ = firing.add()
    wait_for(lambda: _hurry(firing, store, id_) is TriggerState.FAILED)
    used = json.loads(store.one("SELECT spent FROM triggers"))
    assert used["causes"] == {"airflow_error": 4}
    inbox.write(replays.replay_trigger, id_, now=datetime.now(UTC))
    found = inbox.read(triggers.get, id_)
    assert found is not None
    assert (found.spent.seconds, found.spent.causes) == (0.0, {})
    wait_for(lambda: _hurry(firing, store, id_) is TriggerState.FAILED)
    assert len(firing.attempts(id_)) == 10
