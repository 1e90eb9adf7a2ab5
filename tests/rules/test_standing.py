"""What stands still, as lines: each with its sentence, and one for all that has no line of its own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge.rules import causes, standing
from bridge.rules.need import Need
from bridge.words.causes import Group
from bridge.words.model import TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import RunState

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FAILED = Group(
    TriggerState.FAILED,
    None,
    Reason.TEMPLATE,
    "orders",
    "load",
    "default",
    5,
    NOW - 3 * HOUR,
    NOW - 2 * HOUR,
    "trg_9",
    NOW - HOUR,
    NOW,
)
RAN = replace(FAILED, state=TriggerState.FIRED, reason=None, run_state=RunState.FAILED)


def needs(*groups: Group) -> list[Need]:
    """Return their lines; no hold is about to end."""
    return list(standing.needs(groups, NOW, ending={}))


@pytest.mark.parametrize(
    ("group", "what", "says", "next_step", "reason"),
    [
        (FAILED, "failed", Reason.TEMPLATE.why, Reason.TEMPLATE.next_step, "template"),
        (replace(FAILED, reason=None), "failed", "triggers are failed", "Look at one of them.", None),
        (RAN, "run_failed", *causes.RUNS[RunState.FAILED], None),
        (
            replace(FAILED, state=TriggerState.CANCELLED, reason=Reason.TOO_LATE),
            "too_late",
            Reason.TOO_LATE.why,
            Reason.TOO_LATE.next_step,
            "too_late",
        ),
    ],
)
def test_a_line_says_what_stands_still_and_why(
    group: Group, what: str, says: str, next_step: str, reason: str | None
) -> None:
    """Since it came to be so, and with what chooses all of it."""
    assert needs(group) == [
        Need(
            what,
            "orders -> load at default",
            says,
            next_step,
            NOW - HOUR,
            5,
            reason,
            "trg_9",
            causes.view(group)["filter"],
            NOW,
        )
    ]


@pytest.mark.parametrize(
    ("group", "what", "listed", "chosen"),
    [
        (FAILED, "failed", "causes` with --route or --reason", None),
        (
            replace(FAILED, state=TriggerState.CANCELLED, reason=Reason.DUPLICATE_RUN),
            "duplicate_run",
            "triggers --state cancelled --reason duplicate_run`",
            {"state": "cancelled", "reason": "duplicate_run"},
        ),
    ],
)
def test_beyond_200_lines_the_others_are_one(
    group: Group, what: str, listed: str, chosen: dict[str, str] | None
) -> None:
    """It says how many they are, since when, and where they are listed."""
    assert len(needs(*[group] * 200)) == 200
    older = replace(group, first_at=NOW - 9 * HOUR, last_at=NOW - 8 * HOUR, example="trg_1", count=2)
    lines = needs(*[group] * 200, older, group)
    assert {line.about for line in lines[:200]} == {"orders -> load at default"}
    assert lines[200:] == [
        Need(
            what,
            "smaller causes",
            "more stands still than the 200 largest causes, which have a line each",
            f"Begin with the largest; `planasonix-bridge {listed} has the others.",
            NOW - 9 * HOUR,
            7,
            None,
            "trg_1",
            chosen,
            NOW,
        )
    ]


def test_what_is_counted_in_part_names_the_kind_of_which_there_is_the_largest_number() -> None:
    """Of all groups of that kind together."""
    held = replace(FAILED, state=TriggerState.HELD, count=6)
    note = standing.uncounted([held, FAILED, RAN, replace(FAILED, count=2)])
    assert (note.what, note.count, note.is_note) == ("failed", 7, True)
    assert note.says == "there are so many that only the newest are counted: what is older may have other causes"
    assert standing.uncounted([held]).what == "held"
