"""What the store says to somebody who asks whether a run has ended: a table of literals."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge.rules.telling import Answer, Found, Match, Question, Verdict, answer

NOW = datetime(2026, 8, 1, 10, tzinfo=UTC)
ENDED = Answer(Verdict.ENDED, "dlv_5", "succeeded")
LOOK = Answer(Verdict.LOOK, "dlv_5")
OPEN = Answer()


def question(run: str | None = "run_1", *, pipeline: str | None = "pl_1", **more: str | None) -> Question:
    """Somebody who asks."""
    return Question(run, pipeline, more.get("source"), NOW, more.get("after"))


def found(
    match: Match, name: str = "run_1", *, pipeline: str | None = "pl_1", at: datetime = NOW, id_: str = "dlv_5"
) -> Found:
    """A completion of the source `planasonix`."""
    return Found(match, name, id_, "planasonix", pipeline, "succeeded", at)


@pytest.mark.parametrize(
    ("asked", "known", "said"),
    [
        (question(), found(Match.OWN), ENDED),
        (question(), found(Match.OWN, pipeline=None), ENDED),
        (question(pipeline=None), found(Match.OWN), ENDED),
        (question(source="planasonix"), found(Match.OWN), ENDED),
        (question(after="dlv_9"), found(Match.OWN), ENDED),
        (question(), found(Match.OWN, at=NOW - timedelta(days=1)), ENDED),
        (question(), found(Match.OWN, "run_0"), OPEN),
        (question(), found(Match.OWN, pipeline="pl_2"), OPEN),
        (question(source="staging"), found(Match.OWN), OPEN),
        (question(), found(Match.BESIDE), LOOK),
        (question(), found(Match.BESIDE, "run_0"), OPEN),
        (question(), found(Match.BESIDE, pipeline="pl_2"), OPEN),
        (question(after="dlv_5"), found(Match.BESIDE), OPEN),
        (question(after="dlv_4"), found(Match.BESIDE), LOOK),
        (question(source="staging"), found(Match.BESIDE), OPEN),
        (question(), found(Match.VAGUE, "pl_1"), LOOK),
        (question(), found(Match.VAGUE, "pl_1", at=NOW - timedelta(seconds=1)), OPEN),
        (question(after="dlv_5"), found(Match.VAGUE, "pl_1"), OPEN),
        (question(pipeline=None), found(Match.VAGUE, "pl_1"), OPEN),
        (question(), found(Match.OF_PIPELINE, "pl_1"), OPEN),
        (question(None), found(Match.OF_PIPELINE, "pl_1"), LOOK),
        (question(None), found(Match.VAGUE, "pl_1"), LOOK),
        (question(None), found(Match.OF_PIPELINE, "pl_1", at=NOW - timedelta(seconds=1)), OPEN),
        (question(None), found(Match.OWN, "pl_1"), OPEN),
    ],
)
def test_only_the_completion_of_the_very_id_is_an_end(asked: Question, known: Found, said: Answer) -> None:
    """What may be of it says to look, once; what is of another run, pipeline or source says nothing."""
    assert answer(asked, [known]) == said


def test_the_newest_end_counts_before_any_hint() -> None:
    """Whatever the order in which they are found."""
    first = replace(found(Match.OWN, id_="dlv_3"), status="failed")
    rows = [found(Match.OWN, id_="dlv_7"), found(Match.VAGUE, "pl_1", id_="dlv_9"), first]
    assert answer(question(), rows) == Answer(Verdict.ENDED, "dlv_7", "succeeded")
    assert answer(question(), [found(Match.BESIDE, id_="dlv_8"), *rows[1:2]]) == Answer(Verdict.LOOK, "dlv_9")
    assert answer(question(), []) == OPEN
