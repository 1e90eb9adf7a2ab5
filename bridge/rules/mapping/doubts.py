"""What is valid in a mapping and yet hardly meant: each a warning with its place. Pure.

Rule: a text that no id can match is an error (`globs`); what can match but never will, or starts more than one would
think, is a warning. Nothing is said that is not certain: of two routes whose events may differ, nothing is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice

from bridge.rules.event import statuses
from bridge.rules.mapping.globs import doubt, is_literal
from bridge.rules.mapping.routes import Route, Test
from bridge.rules.rendering import Gives
from bridge.rules.yamltree import Place
from bridge.words.errors import Problem
from bridge.words.model import Status

_RUNS = "running"
_NOT_ENDED = "no route sees an event of a job that has not ended"
_SAME_ID = (
    "its `dag_run_id` is the same for every event, so one event starts a DAG run and all later ones are duplicate_run; "
    "write what tells them apart, such as {{ event.job_id }}, or leave it out"
)
_MAX_WARNINGS = 100
_MAX_PAIRS = 100_000  # of routes that are compared; a file with more of them at one DAG is not read for this


@dataclass(frozen=True, slots=True)
class Written:
    """A route, its `when` and `name` as written, where it stands, and where its name stands (the same without one)."""

    route: Route
    when: str | None
    name: str | None
    place: Place
    name_place: Place

    def problem(self, what: str) -> Problem:
        """Return a problem at the place of the route."""
        return Problem(self.route.file, *self.place, what)

    @property
    def order(self) -> tuple[str, Place]:
        """Where it stands among all."""
        return self.route.file, self.place


def doubts(
    written: Sequence[Written], begin: Sequence[Problem], of_texts: Sequence[Problem] = ()
) -> tuple[Problem, ...]:
    """Return the warnings about a mapping without mistakes, in its order.

    `begin` is where its first routes stand, `of_texts` the warnings about its texts, each alone.
    """
    if not written:
        return tuple(replace(place, what="there is no route, so no event starts anything") for place in begin)
    if not any(item.route.enabled for item in written):
        return tuple(replace(place, what="no route is enabled, so no event starts anything") for place in begin)
    enabled = [item for item in written if item.route.enabled]
    found = [*of_texts, *(item.problem(what) for item in enabled for what in _of_one(item))]
    found += (second.problem(what) for first, second in _pairs(enabled) if (what := _of_two(first, second)))
    return tuple(sorted(set(found))[:_MAX_WARNINGS])


def _of_one(item: Written) -> Iterator[str]:
    tests = {test.key: test for test in item.route.tests}
    if set(tests) <= {"on", "source"} and item.when is None:
        yield f"has no condition: every event that is {' or '.join(tests['on'].wanted)} starts it"
    on = tests["on"].wanted
    if "event" in tests:
        yield from _of_endings(tests["event"].wanted, on)
    if item.route.condition is not None:
        if what := _of_statuses(item.route.condition.statuses, on):
            yield what
        yield from item.route.condition.doubts
    if item.route.dag_run_id is not None and item.route.dag_run_id.gives is Gives.CONSTANT:
        yield _SAME_ID
    for key in ("event", "pipeline_name", "environment"):
        for text in tests[key].wanted if key in tests else ():
            if what := doubt(text):
                yield f'{key}: "{text}" {what}'


def _of_endings(types: Sequence[str], on: Sequence[str]) -> Iterator[str]:
    """Return what is wrong with types of events that say how a job ended, or that it runs still."""
    dead = {text: meaning for text in sorted(types) if (meaning := _ended(text)) is not None and meaning not in on}
    unseen = [text for text, meaning in dead.items() if meaning != _RUNS]
    if len(dead) < len(set(types)):
        yield from (f'event: "{text}" can never match: {_NOT_ENDED}' for text in dead if text not in unseen)
        if unseen:
            named = " and ".join(f'"{text}"' for text in unseen)
            wanted = ", ".join([*on, *dict.fromkeys(dead[text] for text in unseen)])
            yield f"event: {named} can never match: `on` is {', '.join(on)}; write `on: [{wanted}]`"
    elif dead:
        said = " or ".join(sorted({text.rpartition(".")[2] for text in dead}))
        why = f"`on` is {', '.join(on)}" if unseen else _NOT_ENDED
        yield f"can never match: its `event` is {said}, and {why}"


def _ended(text: str) -> str | None:
    """Return how an event of this type says that its job ended, or `_RUNS`; None if it leaves that open."""
    found = None if statuses.is_neutral(text) else statuses.meaning(text.rpartition(".")[2])
    return _RUNS if isinstance(found, statuses.Progress) else found


def _of_statuses(asked: Sequence[frozenset[str]], on: Sequence[str]) -> str | None:
    """Return what is wrong with a `when` that asks for a status which `on` does not let through."""
    possible = set(on).intersection(*asked)
    if possible or not asked:
        return None
    words = sorted(set().union(*asked) - set(on))
    quoted = " or ".join(f'"{word}"' for word in words)
    if not words:
        return "can never match: `when` asks for two statuses at once"
    return f"can never match: `when` asks for the status {quoted}, and `on` is {', '.join(on)}; {_instead(words)}"


def _instead(words: Sequence[str]) -> str:
    """Return the next step for status words that `on` does not name."""
    known = [str(word) for word in Status]
    if here := [word for word in words if word in known]:
        listed = ", ".join(here)
        return f"write `on: {listed}`" if len(here) == 1 else f"write `on: [{listed}]`"
    meant = dict.fromkeys(str(each) for word in words if isinstance(each := statuses.meaning(word), Status))
    return f"a route sees {' or '.join(meant or known)} instead"


def _pairs(written: Sequence[Written]) -> Iterator[tuple[Written, Written]]:
    """Return the pairs that start the same DAG and may do so for one pipeline."""
    groups: dict[tuple[str, str, str | None], list[Written]] = {}
    open_ones: dict[tuple[str, str], list[Written]] = {}
    for item in written:
        pipelines = next((test.wanted for test in item.route.tests if test.key == "pipeline"), ())
        for dag in item.route.dags:
            place = (item.route.airflow, dag)
            if pipelines and all(map(is_literal, pipelines)):
                for text in pipelines:
                    groups.setdefault((*place, text), []).append(item)
            else:
                open_ones.setdefault(place, []).append(item)
    spelled = (pair for group in groups.values() for pair in combinations(group, 2))
    yield from islice(spelled, _MAX_PAIRS)
    among = (pair for group in open_ones.values() for pair in combinations(group, 2))
    yield from islice(among, _MAX_PAIRS)
    mixed = (
        (first, second) if first.order < second.order else (second, first)
        for (airflow, dag, _), group in groups.items()
        for first in group
        for second in open_ones.get((airflow, dag), ())
    )
    yield from islice(mixed, _MAX_PAIRS)


def _of_two(first: Written, second: Written) -> str | None:
    if first.when != second.when or not _certainly_meet(first.route, second.route):
        return None
    dags = ", ".join(dag for dag in first.route.dags if dag in second.route.dags)
    is_beside = first.route.file != second.route.file
    where = f"{first.route.file}:{first.route.line}" if is_beside else f"line {first.route.line}"
    return (
        f"starts {dags} for events of the route of {where} too: two runs for each, told apart by conf.planasonix.route"
    )


def _certainly_meet(first: Route, second: Route) -> bool:
    """Whether some event is sure to match both: none asks for a field that the other does not look at."""
    tests, others = ({test.key: test for test in route.tests} for route in (first, second))
    if tests.keys() - others.keys() and others.keys() - tests.keys():
        return False
    return all(_meet(tests[key], others[key]) for key in tests.keys() & others.keys())


def _meet(first: Test, second: Test) -> bool:
    if "*" in first.wanted or "*" in second.wanted or set(first.wanted) & set(second.wanted):
        return True
    return any(
        test.accepts(text)
        for test, other in ((first, second), (second, first))
        for text in other.wanted
        if is_literal(text)
    )
