"""What a group of triggers or DAG runs that stand still says to a person, and how many groups are shown."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.rules import causes
from bridge.words.causes import Causes, Group
from bridge.words.model import TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import RunState

NOW = datetime(2025, 3, 27, 3, 0, tzinfo=UTC)
PLACE = {"route": "orders", "dag_id": "load", "airflow": "default"}
FAILED = Group(
    TriggerState.FAILED, None, Reason.TEMPLATE, "orders", "load", "default", 5, NOW, NOW, "trg_9", NOW, NOW, "template"
)
RAN = replace(FAILED, state=TriggerState.FIRED, run_state=RunState.FAILED, reason=None, reason_word=None)


def test_a_group_says_what_why_and_what_to_do() -> None:
    """The filter takes the newest of them too, whose id tells a part of the millisecond after `newest`."""
    assert causes.view(FAILED) == PLACE | {
        "state": "failed",
        "run_state": None,
        "reason": "template",
        "why": Reason.TEMPLATE.why,
        "next_step": Reason.TEMPLATE.next_step,
        "count": 5,
        "oldest": "2025-03-27T03:00:00.000Z",
        "newest": "2025-03-27T03:00:00.000Z",
        "example": "trg_9",
        "actions": ["replay", "run_again", "cancel"],
        "filter": PLACE
        | {"state": "failed", "reason": "template", "until": "2025-03-27T03:00:00.001Z", "is_latest": "true"},
    }


@pytest.mark.parametrize(
    ("group", "told", "chosen"),
    [
        (
            RAN,
            ("failed", None, "The DAG run was started, and it failed in Airflow.", ["run_again"]),
            {"run_state": "failed"},
        ),
        (
            replace(FAILED, reason=Reason.UNKNOWN_REASON, reason_word="of_tomorrow"),
            (None, "unknown_reason", Reason.UNKNOWN_REASON.why, ["replay", "run_again", "cancel"]),
            {"state": "failed", "reason": "of_tomorrow"},
        ),
        (
            replace(FAILED, state=TriggerState.HELD, reason_word=None),
            (None, "template", Reason.TEMPLATE.why, ["replay", "cancel"]),
            {"state": "held", "reason": "template"},
        ),
        (
            replace(FAILED, state=TriggerState.CANCELLED, reason=None, reason_word=None),
            (None, None, None, []),
            {"state": "cancelled"},
        ),
    ],
    ids=["a failed run", "a word of a newer release", "held", "without a reason"],
)
def test_a_group_is_chosen_by_what_it_has(group: Group, told: tuple[Any, ...], chosen: dict[str, str]) -> None:
    """Its state or that of its DAG runs, and its reason as it is stored, if there is one."""
    shown = causes.view(group)
    assert (shown["run_state"], shown["reason"], shown["why"], shown["actions"]) == told
    assert (shown["next_step"] is None) is (shown["why"] is None)
    until = {"until": "2025-03-27T03:00:00.001Z", "is_latest": "true"}
    assert shown["filter"] == PLACE | chosen | until


@pytest.mark.parametrize(("amount", "shown", "left_out"), [(0, 0, 0), (200, 200, 0), (201, 200, 1)])
def test_the_largest_200_groups_are_shown(amount: int, shown: int, left_out: int) -> None:
    """All of them are counted."""
    found = causes.view_all(Causes((FAILED,) * amount, is_whole=False))
    assert len(found.pop("causes")) == shown
    assert found == {"count": 5 * amount, "left_out": left_out, "is_whole": False}
