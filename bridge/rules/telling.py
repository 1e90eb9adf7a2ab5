"""What the store says to somebody who asks whether a run of Planasonix has ended. Pure.

    ended   a completion under the very id that is asked for: a run, a job or a backfill, with its status
    look    it may have ended: a job's event names the run, or an event of the pipeline names no run. Of a question that
            names a pipeline only: anything of that pipeline
    open    nothing of it is known

Source and pipeline must agree, as far as both are known, so that no other job's completion is taken for this one's.
A `look` is said of each delivery once: whoever asks names the last one, and since when it is news. An `ended` is said
whenever it is asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bridge.rules.completion import pipelines_agree


class Verdict(StrEnum):
    """How it stands."""

    OPEN = "open"
    ENDED = "ended"
    LOOK = "look"


class Match(StrEnum):
    """How a completion was found."""

    OWN = "own"  # by its own id
    BESIDE = "beside"  # its event names the id as well
    VAGUE = "vague"  # of the pipeline, and names no run
    OF_PIPELINE = "of_pipeline"  # of the pipeline, and names a run: perhaps another one


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for: a run, or whatever comes of a pipeline; at least one of the two.

    `since`: events of the pipeline that came before are no news. `after`: the delivery of the last `look`.
    """

    run_id: str | None
    pipeline_id: str | None
    source: str | None
    since: datetime
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One completion that may be an answer. `name` is the id or the pipeline by which it was found."""

    match: Match
    name: str
    delivery_id: str
    source: str
    pipeline_id: str | None
    status: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said; `status` only of what has ended."""

    verdict: Verdict = Verdict.OPEN
    delivery_id: str | None = None
    status: str | None = None


def answer(question: Question, found: Iterable[Found]) -> Answer:
    """Return what these completions say; of several ends the newest counts, and an end before a look."""
    agreeing = sorted((each for each in found if _agrees(question, each)), key=lambda each: each.delivery_id)
    ends = [each for each in agreeing if each.match is Match.OWN and each.name == question.run_id]
    if ends:
        return Answer(Verdict.ENDED, ends[-1].delivery_id, ends[-1].status)
    looks = [each for each in agreeing if _is_hint(question, each)]
    return Answer(Verdict.LOOK, looks[-1].delivery_id) if looks else Answer()


def _agrees(question: Question, found: Found) -> bool:
    if question.source is not None and question.source != found.source:
        return False
    return pipelines_agree(question.pipeline_id, found.pipeline_id)


def _is_hint(question: Question, found: Found) -> bool:
    if question.after is not None and found.delivery_id <= question.after:
        return False
    match found.match:
        case Match.OWN:
            return False
        case Match.BESIDE:
            return found.name == question.run_id
        case Match.OF_PIPELINE if question.run_id is not None:
            return False
    return found.name == question.pipeline_id and found.received_at >= question.since
