"""What a clock that was set back leaves behind is found; what waits in its own time is left alone."""

from datetime import timedelta

import pytest

from bridge.inbox import Inbox, triggers
from bridge.inbox.deliveries import Postponed, due, postpone
from bridge.inbox.sweeping import Swept, sweep
from bridge.reasons import Reason
from tests.edges.inbox.support import NOW, add, attempt, claim, settlement, stored

HOUR = timedelta(hours=1)
LEASE = timedelta(seconds=30)


def swept(inbox: Inbox, *, airflows: tuple[str, ...] = ("default",)) -> Swept:
    """Sweep, at NOW."""
    return inbox.write(sweep, now=NOW, lease=LEASE, airflows=airflows)


def test_a_trigger_due_in_an_hour_is_due_now(inbox: Inbox) -> None:
    """Nothing waits that long of its own; the clock was set back since it was made."""
    id_ = add(inbox, stored(inbox), now=NOW + HOUR)
    assert claim(inbox) == []
    assert swept(inbox).stranded == 1
    assert [one.trigger.id for one in claim(inbox)] == [id_]


def test_a_delivery_due_in_an_hour_is_due_now(inbox: Inbox) -> None:
    """It is routed at once."""
    id_ = stored(inbox)
    inbox.write(postpone, [Postponed(id_, NOW + HOUR, Reason.LOOKUP_FAILED, None, is_lookup=True)])
    assert swept(inbox).stranded == 1
    assert [one.id for one in inbox.read(due, now=NOW, most=9)] == [id_]


def test_a_lease_that_ends_in_an_hour_is_lost(inbox: Inbox) -> None:
    """Its holder may have died before the clock was set back; if it lives, its write hits zero rows."""
    id_ = add(inbox, stored(inbox))
    (claimed,) = claim(inbox, seconds=3600)
    assert swept(inbox).stranded == 1
    assert not inbox.write(triggers.settle, claimed, settlement(), attempt())
    assert [one.trigger.id for one in claim(inbox)] == [id_]


@pytest.mark.parametrize("seconds", [30, 900])
def test_what_waits_in_its_own_time_is_left_alone(inbox: Inbox, seconds: float) -> None:
    """Backing off and Retry-After stay as they are, up to the longest."""
    later = timedelta(seconds=seconds)
    add(inbox, stored(inbox), now=NOW + later)
    add(inbox, stored(inbox, "evt_2"), now=NOW - HOUR)
    claim(inbox)
    inbox.write(postpone, [Postponed(stored(inbox, "evt_3"), NOW + later, None, None, is_lookup=False)])
    assert swept(inbox) == Swept(0, 0, 0)


def test_what_waits_for_a_person_goes_on_waiting(inbox: Inbox) -> None:
    """The loop guard's triggers are due never, which no clock has to do with."""
    add(inbox, stored(inbox), reason=Reason.LOOP_GUARD)
    assert swept(inbox).stranded == 0
