"""What the Planasonix API has answered for a job is found again for its other events."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.edges.inbox import Inbox, answers
from bridge.edges.inbox.deliveries import Postponed, Routing, postpone, settle_routing
from bridge.rules.completion import Completion, Kind
from bridge.rules.sealing import Ring
from bridge.words.model import DeliveryState
from bridge.words.reasons import Reason
from tests.support.store import NOW, stored

BEGIN = datetime.now(UTC) - timedelta(minutes=5)


def look_up(inbox: Inbox, event: str, answer: dict[str, Any] | None, about: str = "job_1", **more: str) -> None:
    """Store an event, and what the API answered for it."""
    id_ = stored(inbox, event, **more)
    if answer is not None:
        inbox.write(postpone, [Postponed(id_, NOW, Reason.LOOKUP_FAILED, "slow", True)])
    completion = Completion(more.get("source", "planasonix"), Kind.JOB, about, event, "pl_1")
    routing = Routing(id_, DeliveryState.UNROUTED, Reason.NO_ROUTE, None, answer, [], completion)
    inbox.write(settle_routing, [routing], now=NOW)


def found(inbox: Inbox, *names: str, since: datetime = BEGIN) -> list[Any]:
    """Return the answers for these ids."""
    return [dict(each) for each in inbox.read(answers.answers, source="planasonix", names=names, since=since)]


def test_the_answers_for_an_id_are_found_newest_first(inbox: Inbox) -> None:
    """Of this source, since an instant; whoever was never asked about adds none."""
    look_up(inbox, "evt_1", {"n": 1})
    look_up(inbox, "evt_2", {"n": 2}, "run_1")
    look_up(inbox, "evt_3", None)
    look_up(inbox, "evt_4", {"n": 4}, "job_2")
    look_up(inbox, "evt_5", {"n": 5}, source="other")
    assert found(inbox, "job_1", "run_1") == [{"n": 2}, {"n": 1}]
    assert found(inbox, "job_1", since=datetime.now(UTC) + timedelta(minutes=5)) == []


def test_the_newest_eight_answers_are_read(inbox: Inbox) -> None:
    """A job of a hundred tasks has as many events; all were answered alike."""
    for number in range(9):
        look_up(inbox, f"evt_{number}", {"n": number})
    assert [each["n"] for each in found(inbox, "job_1")] == list(range(8, 0, -1))


def test_an_answer_that_no_key_opens_is_left_out(open_inbox: Callable[..., Inbox]) -> None:
    """The older ones are given all the same."""
    look_up(open_inbox(), "evt_1", {"n": 1})
    look_up(open_inbox(ring=Ring({"old": bytes(32)}, os.urandom)), "evt_2", {"n": 2})
    assert found(open_inbox(), "job_1") == [{"n": 1}]
