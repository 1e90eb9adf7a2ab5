"""What needs a person, and what passes by itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge.rules import attention
from bridge.rules.attention import Facts, Need, Trouble, needs
from bridge.words.causes import Group, Odd, Refused
from bridge.words.dags import DagState, KnownDag
from bridge.words.errors import Problem
from bridge.words.model import DeliveryState, TriggerState, Waiting
from bridge.words.pauses import Pause, PauseKind
from bridge.words.reasons import Reason
from bridge.words.runs import RunState

NOW = datetime(2025, 3, 27, 3, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FAILED = Group(
    TriggerState.FAILED, None, Reason.TEMPLATE, "orders", "load", "default", 500, NOW - HOUR, NOW - MINUTE, "trg_9"
)
HELD = replace(FAILED, state=TriggerState.HELD, reason=Reason.AIRFLOW_DOWN, count=7)
RAN = replace(FAILED, state=TriggerState.FIRED, reason=None, run_state=RunState.FAILED)
DOWN = Trouble("airflow_down", "default", "it is down", "wait", reason=Reason.AIRFLOW_DOWN)
ODD = Odd(DeliveryState.INVALID, Reason.UNREADABLE_JSON, "planasonix", 3, NOW - HOUR, NOW - MINUTE, "dlv_1")
REFUSED = Refused("planasonix", "signature_mismatch", 12, NOW - HOUR, NOW - MINUTE)
SLOW = Waiting(DeliveryState.RECEIVED, 4, NOW - HOUR, source="planasonix", reason=Reason.LOOKUP_FAILED)
PAUSE = Pause(PauseKind.ROUTE, "orders", "cli:alice", NOW - 2 * DAY)
DAG = KnownDag("default", "load", DagState.MISSING, NOW - HOUR, NOW)


def test_nothing_is_nothing() -> None:
    """All is well."""
    assert needs(Facts(NOW)) == []
    assert attention.view([]) == {"is_well": True, "needs": []}


def test_each_says_what_since_when_how_many_and_the_next_step() -> None:
    """In the order of how much stands still; 500 failures are one line."""
    facts = Facts(
        NOW,
        groups=[FAILED, RAN],
        odd=[ODD],
        waiting=[SLOW],
        refused=[REFUSED],
        dags=[DAG],
        pauses=[(PAUSE, False)],
        troubles=[DOWN],
    )
    found = needs(facts)
    assert [(need.what, need.count, need.since) for need in found] == [
        ("airflow_down", 1, None),
        ("refused", 12, NOW - HOUR),
        ("waiting", 4, NOW - HOUR),
        ("invalid", 3, NOW - HOUR),
        ("failed", 500, NOW - HOUR),
        ("run_failed", 500, NOW - HOUR),
        ("dag", 1, NOW - HOUR),
        ("paused", 1, NOW - 2 * DAY),
    ]
    assert all(need.says and need.next_step and need.about for need in found)
    shown = attention.view(found)
    assert (shown["is_well"], shown["needs"][4]["since"]) == (False, "2025-03-27T02:00:00.000Z")
    assert shown["needs"][4]["next_step"] == Reason.TEMPLATE.next_step


def test_what_waits_for_an_airflow_that_is_down_is_part_of_that() -> None:
    """One line, with how many wait and since when; another cause, or another Airflow, is a line of its own."""
    other = replace(HELD, reason=Reason.LOOP_GUARD)
    elsewhere = replace(HELD, airflow="second")
    first, *rest = needs(Facts(NOW, groups=[HELD, other, elsewhere], troubles=[DOWN]))
    assert (first.what, first.count, first.since) == ("airflow_down", 7, NOW - HOUR)
    assert first.filter == {"state": "held", "airflow": "default"}
    assert [need.what for need in rest] == ["held", "held"]


def _of_a_group(group: Group) -> Facts:
    return Facts(NOW, groups=[group])


@pytest.mark.parametrize(
    ("facts", "is_needed"),
    [
        (_of_a_group(HELD), True),
        (_of_a_group(replace(HELD, reason=Reason.PAUSED_BY_PERSON, oldest_at=NOW - DAY)), False),
        (_of_a_group(replace(HELD, reason=Reason.HOURLY_CEILING, oldest_at=NOW - HOUR + MINUTE)), False),
        (_of_a_group(replace(HELD, reason=Reason.HOURLY_CEILING, oldest_at=NOW - HOUR)), True),
        (_of_a_group(replace(RAN, newest_at=NOW - DAY)), True),
        (_of_a_group(replace(RAN, newest_at=NOW - DAY - MINUTE)), False),
        (_of_a_group(replace(FAILED, newest_at=NOW - 9 * DAY)), True),
        (Facts(NOW, waiting=[replace(SLOW, oldest_at=NOW - 15 * MINUTE)]), True),
        (Facts(NOW, waiting=[replace(SLOW, oldest_at=NOW - 14 * MINUTE)]), False),
        (Facts(NOW, waiting=[replace(SLOW, reason=Reason.PAUSED_BY_PERSON)]), False),
        (Facts(NOW, waiting=[replace(SLOW, state=TriggerState.HELD)]), False),
        (Facts(NOW, waiting=[replace(SLOW, state=TriggerState.PENDING, source="", airflow="a", reason=None)]), True),
        (Facts(NOW, refused=[replace(REFUSED, newest_at=NOW - HOUR - MINUTE)]), False),
        (Facts(NOW, refused=[replace(REFUSED, reason="signature_missing")]), False),
        (Facts(NOW, refused=[replace(REFUSED, reason="word_of_a_newer_release")]), False),
        (Facts(NOW, odd=[replace(ODD, newest_at=NOW - DAY - MINUTE)]), False),
        (Facts(NOW, dags=[replace(DAG, state=DagState.OK)]), False),
        (Facts(NOW, dags=[replace(DAG, state=DagState.PAUSED)]), True),
        (Facts(NOW, pauses=[(replace(PAUSE, ends_at=NOW + DAY), False)]), False),
        (Facts(NOW, pauses=[(replace(PAUSE, paused_at=NOW - DAY + MINUTE), False)]), False),
        (Facts(NOW, pauses=[(replace(PAUSE, ends_at=NOW + DAY), True)]), True),
    ],
)
def test_what_passes_by_itself_needs_nobody(facts: Facts, is_needed: bool) -> None:
    """A pause has its own line, and a stranger's request without a signature says nothing of our secrets."""
    assert bool(needs(facts)) is is_needed


def test_a_contradiction_of_bodies_is_said_by_its_name() -> None:
    """Never a silent no."""
    odd = replace(ODD, state=DeliveryState.IGNORED, reason=Reason.SAME_EVENT)
    (need,) = needs(Facts(NOW, odd=[odd]))
    assert (need.what, need.filter) == (
        "same_event",
        {"state": "ignored", "source": "planasonix", "reason": "same_event"},
    )


def test_a_broken_file_says_its_first_mistake() -> None:
    """And how many more there are."""
    problems = [Problem("mapping.yaml", 3, 1, "an unknown key"), Problem("mapping.yaml", 9, 1, "another")]
    (trouble,) = attention.of_files(problems, ())
    (need,) = needs(Facts(NOW, troubles=[trouble]))
    assert (need.what, need.count, isinstance(need, Need)) == ("mapping_broken", 1, True)
    assert "an unknown key" in need.says
    assert "1 more" in need.says
    assert [each.what for each in attention.of_files((), problems[:1])] == ["secrets_broken"]
