"""Compares the plan of a body with what its test expects of it.

1. What is expected is matched with what would be started: as many of the expected runs as possible get one that is all
   as they say, the others the one of the same DAG that differs least.
2. Each difference is told at the word of the file that is not so: an expected run that is not there with the reason why
   its routes do not match, a run too many with the line of its route.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.rules.expecting.forms import StartForm
from bridge.rules.expecting.reading import Case
from bridge.rules.planning import Plan, Planned
from bridge.rules.yamltree import Path
from bridge.words.errors import Problem
from bridge.words.model import TriggerState

_OWN_KEY = "planasonix"
_MAX_SHOWN = 200
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test, what is not as it says (nothing: it passed), and the routes that its body reached."""

    case: Case
    differences: tuple[Problem, ...]
    routes: frozenset[str]

    @property
    def has_passed(self) -> bool:
        """Whether all is as the test says."""
        return not self.differences


def judge(case: Case, plan: Plan) -> Outcome:
    """Return every difference between what a test expects and what its body would do."""
    found = [*_of_runs(case, plan), *_of_reasons(case, plan)]
    return Outcome(case, tuple(sorted(found)), frozenset(planned.route.name for planned in plan.triggers))


def _of_runs(case: Case, plan: Plan) -> Iterator[Problem]:
    expected = case.form.starts
    pairs = _pair(expected, plan.triggers)
    for index, start in enumerate(expected):
        path = case.start_path(index)
        if index in pairs:
            for below, what in _differences(start, plan.triggers[pairs[index]]):
                yield case.problem((*path, *below), what)
        else:
            yield case.problem(path, _missing(start, plan))
    for index, planned in enumerate(plan.triggers):
        if index not in pairs.values():
            place = f"route {planned.route.name}, {planned.route.file}:{planned.route.line}"
            yield case.problem(("starts",), f"{_fate(planned)} too ({place})")


def _of_reasons(case: Case, plan: Plan) -> Iterator[Problem]:
    form = case.form
    if form.because is not None and str(plan.reason) != form.because and not plan.triggers:
        why = f"the reason is {plan.reason or plan.state}" + (f" ({plan.detail})" if plan.detail else "")
        yield case.problem(("because",), f"because: expected {form.because}, {why}")
    verdicts = {verdict.route.name: verdict for verdict in plan.verdicts} if form.why_not else {}
    for name, words in (form.why_not or {}).items():
        path: Path = ("why_not", name)
        if name not in verdicts:
            yield case.problem(path, f'no route "{name}" was asked about this body')
        elif words not in (why_not := verdicts[name].why_not or str(verdicts[name].error or "it matches")):
            yield case.problem(path, f'why_not.{name}: expected "{words}", it is: {why_not}')


def _pair(expected: Sequence[StartForm], planned: Sequence[Planned]) -> dict[int, int]:
    """Match expected runs with planned ones: by index, as many exact ones as there can be."""
    exact = {
        index: [place for place, item in enumerate(planned) if not any(_differences(start, item))]
        for index, start in enumerate(expected)
    }
    owner: dict[int, int] = {}  # of a planned run

    def find(index: int, seen: set[int]) -> bool:
        for place in exact[index]:
            if place not in seen:
                seen.add(place)
                if place not in owner or find(owner[place], seen):
                    owner[place] = index
                    return True
        return False

    for index in range(len(expected)):
        find(index, set())
    pairs = {index: place for place, index in owner.items()}
    for index, start in enumerate(expected):
        free = [place for place, item in enumerate(planned) if item.dag_id == start.dag and place not in pairs.values()]
        if index not in pairs and free:
            pairs[index] = min(free, key=lambda place: len(list(_differences(start, planned[place]))))
    return pairs


def _differences(start: StartForm, planned: Planned) -> Iterator[tuple[Path, str]]:
    """Return what is not as expected, each with its path in the expectation."""
    if start.dag != planned.dag_id:
        yield ("dag",), f"dag: expected {start.dag}, got {planned.dag_id}"
    for key, given in (("route", planned.route.name), ("airflow", planned.route.airflow)):
        if (wanted := getattr(start, key)) is not None and wanted != given:
            yield (key,), _differ(key, wanted, given)
    reason = None if planned.state is TriggerState.PENDING else str(planned.reason)
    if reason != start.reason:
        wanted = f"expected reason {start.reason}, " if start.reason else ""
        yield ("reason",) if start.reason else (), f"{wanted}{_fate(planned)}"
    elif planned.call is not None:
        yield from _of_the_call(start, planned.call.conf, planned.call.note, planned.call.dag_run_id)


def _of_the_call(
    start: StartForm, conf: Mapping[str, Any], note: str | None, dag_run_id: str
) -> Iterator[tuple[Path, str]]:
    if start.conf is not None:
        yield from _compare(start.conf, conf, ("conf",), is_whole=False)
    if start.conf_exactly is not None:
        own = conf if _OWN_KEY in start.conf_exactly else {key: conf[key] for key in conf if key != _OWN_KEY}
        yield from _compare(start.conf_exactly, own, ("conf_exactly",), is_whole=True)
    if start.note is not None and start.note != note:
        yield ("note",), _differ("note", start.note, note)
    if start.dag_run_id is not None and start.dag_run_id != dag_run_id:
        yield ("dag_run_id",), _differ("dag_run_id", start.dag_run_id, dag_run_id)


def _compare(wanted: Any, given: Any, path: Path, *, is_whole: bool) -> Iterator[tuple[Path, str]]:
    """Compare two JSON values; a part may lack keys, at any depth of objects."""
    if isinstance(wanted, Mapping) and isinstance(given, Mapping):
        for key, value in wanted.items():
            yield from _compare(value, given.get(key, _NOTHING), (*path, key), is_whole=is_whole)
        if is_whole:
            for key in given:
                if key not in wanted:
                    yield path, f"{_spell((*path, key))}: expected nothing, got {_show(given[key])}"
    elif given is _NOTHING:
        yield path, f"{_spell(path)}: expected {_show(wanted)}, there is none"
    elif not _are_same(wanted, given):
        yield path, _differ(_spell(path), wanted, given)


def _are_same(wanted: Any, given: Any) -> bool:
    """Whether two JSON values are the same; true is not 1, and 1.0 is 1."""
    if isinstance(wanted, Mapping) and isinstance(given, Mapping):
        return wanted.keys() == given.keys() and all(_are_same(wanted[key], given[key]) for key in wanted)
    if isinstance(wanted, list | tuple) and isinstance(given, list | tuple):
        return len(wanted) == len(given) and all(map(_are_same, wanted, given))
    return isinstance(wanted, bool) == isinstance(given, bool) and bool(wanted == given)


def _missing(start: StartForm, plan: Plan) -> str:
    whys = [
        f"route {verdict.route.name}: {verdict.why_not}"
        for verdict in plan.verdicts
        if start.dag in verdict.route.dags and verdict.why_not and start.route in (None, verdict.route.name)
    ]
    asking = [f"route {planned.route.name}" for planned in plan.triggers if planned.dag_id == start.dag]
    if asking and not whys:
        return f"{start.dag} is not started once more: nothing asks for it but {', '.join(asking)}"
    if not whys and plan.reason is not None:
        whys = [f"{plan.reason}: {plan.detail or plan.reason.why}"]
    route = "no route" if start.route is None else f'no route "{start.route}"'
    return f"{start.dag} is not started: {'; '.join(whys) or f'{route} has this DAG'}"


def _fate(planned: Planned) -> str:
    if planned.state is TriggerState.PENDING:
        return f"{planned.dag_id} is started"
    return f"{planned.dag_id} is {planned.state}, {planned.reason}: {planned.detail}"


def _differ(name: str, wanted: Any, given: Any) -> str:
    return f"{name}: expected {_show(wanted)}, got {_show(given)}"


def _spell(path: Path) -> str:
    return "conf" + "".join(f".{step}" for step in path[1:])


def _show(value: Any) -> str:
    """Spell a value as JSON, shortened; anything else than JSON never gets here."""
    text = json.dumps(value, default=dict, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."
