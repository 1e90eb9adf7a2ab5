"""What a parked task waits for, and what it is told."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.rules import waking
from bridge.rules.waking import About, Hint, Look
from bridge.words.model import Event, Status

PARKED = datetime(2026, 8, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("subject", "about"),
    [
        ("Planasonix bridge: run run_1", About("run_1")),
        ("Planasonix bridge: run run_1 pipeline pl_1 source eu", About("run_1", "pl_1", "eu")),
        ("Planasonix bridge: run a%20b%2Fc pipeline p%25", About("a b/c", "p%")),
        ("Planasonix bridge: run run_1 environment test", About("run_1")),
        ("Planasonix bridge: run run_1 source eu started yes", About("run_1", None, "eu", is_own=True)),
        ("Planasonix bridge: run run_1 started no", About("run_1")),
        ("Planasonix bridge: run ", None),
        ("Planasonix bridge: run  pipeline pl_1", None),
        ("Planasonix bridge: run run_1 pipeline", None),
        ("Re: Planasonix bridge: run run_1", None),
        ("Release the figures?", None),
    ],
)
def test_a_subject_is_read_as_the_provider_writes_it(subject: str, about: About | None) -> None:
    """Ids are quoted; words of a later provider are passed over; anything else is no request of ours."""
    assert waking.read(subject) == about


def test_a_task_is_told_to_look_ever_more_rarely() -> None:
    """Once for each webhook, the first one at once; 30 s, a minute, and so on, an hour at most."""
    assert Hint().may_follow("dlv_1", now=0.0)
    first = Hint().next("dlv_1", now=100.0)
    assert not first.may_follow("dlv_1", now=10_000.0)
    assert not first.may_follow("dlv_2", now=129.9)
    assert first.may_follow("dlv_2", now=130.0)
    assert first.next("dlv_2", now=130.0) == Hint("dlv_2", 2, 190.0)
    assert Hint("dlv_9", 30, 0.0).next("dlv_a", now=0.0).not_before == 3600.0


def test_a_run_is_looked_at_ever_more_rarely() -> None:
    """Half an hour after its task was parked, then after one, two and four hours, and every four hours from then on."""
    look, minutes = Look(PARKED), []
    for _ in range(5):
        minutes.append((look.due_at - look.at) // timedelta(minutes=1))
        look = look.next(look.due_at)
    assert minutes == [30, 60, 120, 240, 240]
    assert look == Look(PARKED + timedelta(minutes=sum(minutes)), 5)


def test_a_task_is_told_what_the_event_has() -> None:
    """Nothing that the event lacks, and of an error its code and message."""
    event = Event(status=Status.FAILED, job_id="job_1", rows_loaded=0, error={"code": "SOURCE", "message": "gone"})
    told = waking.facts(event, run_id="run_1", delivery_id="dlv_1")
    assert told == {
        "run_id": "run_1",
        "delivery_id": "dlv_1",
        "job_id": "job_1",
        "rows_loaded": 0,
        "error": "SOURCE: gone",
    }
    assert waking.facts(Event(error=["odd"]), run_id="r", delivery_id="d") == {"run_id": "r", "delivery_id": "d"}
    assert waking.facts(Event(error="x" * 500), run_id="r", delivery_id="d")["error"] == "x" * 300
    assert waking.facts(None, run_id="r", delivery_id="d") == {"run_id": "r", "delivery_id": "d"}
    assert waking.facts(None, run_id="r", delivery_id=None) == {"run_id": "r"}
    assert waking.facts(Event(error=""), run_id="r", delivery_id=None) == {"run_id": "r"}
    assert waking.facts(Event(error={"code": "SOURCE"}), run_id="r", delivery_id=None)["error"] == "SOURCE"
