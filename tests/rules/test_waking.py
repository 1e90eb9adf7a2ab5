"""What a parked task waits for, and what it is told."""

import pytest

from bridge.rules import waking
from bridge.rules.waking import About, Hint
from bridge.words.model import Event, Status


@pytest.mark.parametrize(
    ("subject", "about"),
    [
        ("Planasonix bridge: run run_1", About("run_1")),
        ("Planasonix bridge: run run_1 pipeline pl_1 source eu", About("run_1", "pl_1", "eu")),
        ("Planasonix bridge: run a%20b%2Fc pipeline p%25", About("a b/c", "p%")),
        ("Planasonix bridge: run run_1 environment test", About("run_1")),
        ("Planasonix bridge: run ", None),
        ("Planasonix bridge: run run_1 pipeline", None),
        ("Re: Planasonix bridge: run run_1", None),
        ("Release the figures?", None),
    ],
)
def test_a_subject_is_read_as_the_provider_writes_it(subject: str, about: About | None) -> None:
    """Ids are quoted; words of a later provider are passed over; anything else is no request of ours."""
    assert waking.read(subject) == about


def test_a_task_is_told_to_look_ever_more_rarely() -> None:
    """Once for each webhook; 30 s, a minute, and so on, an hour at most."""
    first = Hint().next("dlv_1", now=100.0)
    assert not first.may_follow("dlv_1", now=10_000.0)
    assert not first.may_follow("dlv_2", now=129.9)
    assert first.may_follow("dlv_2", now=130.0)
    assert first.next("dlv_2", now=130.0) == Hint("dlv_2", 2, 190.0)
    assert Hint("dlv_9", 30, 0.0).next("dlv_a", now=0.0).not_before == 3600.0


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
