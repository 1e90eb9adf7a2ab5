"""What a route says to an event: of fields that cannot be read, of fields that only the Planasonix API has."""

from dataclasses import replace
from typing import Any

import pytest

from bridge.rules.mapping import Mapping, Verdict, read
from bridge.words.model import Event, Status

_EVENT = Event(id="evt_1", type="job.completed", status=Status.SUCCEEDED, job_id="job_1")


def _mapping(*routes: str) -> Mapping:
    text = "routes:\n" + "".join(f"  - {{dag: d1, {route}}}\n" for route in routes)
    return read(text, file="m.yaml", airflows=["default"], sources=["planasonix"])


def _verdict(route: str, **fields: Any) -> Verdict:
    (verdict,) = _mapping(route).explain(replace(_EVENT, **fields), "planasonix")
    return verdict


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("[a]", '"a"'),
        ("[a, b, c]", '"a", "b", "c"'),
        ("[a, b, c, d]", '"a", "b", "c" and 1 more'),
    ],
)
def test_a_condition_is_said_with_its_first_three_words(words: str, said: str) -> None:
    """And how many more there are, if there are any."""
    (route,) = _mapping(f"environment: {words}").routes
    assert str(route.tests[0]) == f"environment: {said}"


_NUMBER = {"environment": "is a number", "pipeline_id": "is a number"}


@pytest.mark.parametrize(
    ("route", "error", "why_not"),
    [
        ("environment: eu", "environment: the event's one is a number", None),
        ("environment: eu, when: event.job_id == 'job_1'", "environment: the event's one is a number", None),
        ("environment: eu, on: failed", None, 'on: event has "succeeded", route wants "failed"'),
        ("pipeline: pl_1", None, "pipeline: the event's one is a number"),
        ("event: job.*", None, None),
        ("event: job.failed, environment: eu", None, 'event: event has "job.completed", route wants "job.failed"'),
        ("environment: eu, enabled: false", None, "the route is not enabled"),
    ],
)
def test_a_field_that_cannot_be_read(route: str, error: str | None, why_not: str | None) -> None:
    """An error for a route that asks for it, if all else fits; for the pipeline a no; nothing for who asks for none."""
    verdict = _verdict(route, unreadable=_NUMBER)
    assert (verdict.error and str(verdict.error), verdict.why_not) == (error, why_not)
    assert verdict.matches == (error is None and why_not is None)
    assert verdict.because == (error or why_not or 'event: "job.*"; on: "succeeded"')


def test_a_condition_that_is_false_says_so() -> None:
    """With the key under which it stands."""
    assert _verdict("when: event.job_id == 'x'").because == "when: is false for this event"


@pytest.mark.parametrize(
    ("route", "is_unjudged"),
    [
        ("pipeline_name: Sales", True),
        ("pipeline: pl_1, pipeline_name: Sales, connection: c", True),
        ("connection: c, event: job.*", True),
        ("connection: c, when: event.job_id == 'x'", True),
        ("connection: c, event: job.failed", False),
        ("connection: c, on: failed", False),
        ("connection: c, source: planasonix", True),
        ("connection: c, enabled: false", False),
        ("connection: c, environment: eu", False),
        ("environment: eu", False),
        ("event: job.*", False),
    ],
)
def test_a_route_that_lacks_only_what_the_api_has_is_not_judged(route: str, is_unjudged: bool) -> None:
    """Whatever else it asks for must fit; what the API has not is not waited for."""
    assert _mapping(f"name: r, {route}").unjudged(_EVENT, "planasonix") == ("r",) * is_unjudged


def test_a_note_that_gives_nothing_is_none() -> None:
    """And no text that says None."""
    (route,) = _mapping("note: '{{ event.run_id }}'").routes
    assert route.note is not None
    assert _mapping("name: x").routes[0].note is None
