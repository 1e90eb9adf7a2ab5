"""What an examination asks of each Airflow: the place, its clock, the sign-in, and every DAG that a route names."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bridge.edges.airflow import Airflow
from bridge.flows.examining.clocks import clock
from bridge.rules.conforming import mistakes, says_lacking
from bridge.rules.mapping import Mapping as Routes
from bridge.rules.mapping import Route
from bridge.words.dags import DagFacts, DagState
from bridge.words.findings import Finding, fine, unknown, wrong
from bridge.words.holds import IfPaused
from bridge.words.outcomes import step_to_read
from bridge.words.runs import RunPage
from bridge.words.targets import AirflowTarget

_PAUSED = "paused: runs are made but wait until it is unpaused"
_PROVIDED_FOR = {
    IfPaused.HOLD: "paused: what comes for it is held here until it is unpaused, as route {} says",
    IfPaused.FAIL: "paused: what comes for it fails until it is unpaused, as route {} says",
}


@dataclass(frozen=True, slots=True)
class DagFact:
    """What a DAG means for a route. `next_step`: what a person has to do; None: nothing."""

    says: str = "ok"
    next_step: str | None = None


def examine_airflows(targets: Mapping[str, AirflowTarget], mapping: Routes) -> Iterator[Finding]:
    """Yield what is found of each Airflow and of each of its DAGs. Starts no DAG run."""
    for name, target in targets.items():
        airflow = Airflow(target)
        try:
            yield from _examine(name, airflow, [r for r in mapping.routes if r.airflow == name and r.enabled])
        finally:
            airflow.close()


def _examine(name: str, airflow: Airflow, routes: list[Route]) -> Iterator[Finding]:
    seen = airflow.look_at_itself()
    if not isinstance(seen, tuple):
        says = f"{seen.reason}: {seen.detail or seen.reason.why}"
        yield wrong("airflow", name, says, seen.reason.next_step)
        return
    version, at = seen
    yield fine("airflow", name, f"Airflow {version} answers")
    yield clock("airflow clock", name, at, datetime.now(UTC), owner="Airflow's")
    problem = airflow.probe()
    if problem is not None:
        says = f"{problem.reason}: {problem.detail or problem.reason.why}"
        yield wrong("sign-in", name, says, problem.reason.next_step)
        return
    yield fine("sign-in", name, "it is well and lets us in")
    if followed := {dag_id for route in routes if route.follow for dag_id in route.dags}:
        yield _runs(name, airflow, followed)
    yield from _dags(name, airflow, routes)


def _runs(name: str, airflow: Airflow, dag_ids: Collection[str]) -> Finding:
    """Ask for a list of DAG runs, as following does."""
    now = datetime.now(UTC)
    page = airflow.list_runs(dag_ids, now - timedelta(minutes=1), now, limit=1)
    if isinstance(page, RunPage):
        return fine("runs", name, "our user may read DAG runs")
    says = f"our user may not read DAG runs, or no list of them: {page.reason}: {page.detail or page.reason.why}"
    return wrong("runs", name, says, step_to_read(page))


def _dags(name: str, airflow: Airflow, routes: list[Route]) -> Iterator[Finding]:
    may_start: dict[str, bool | None] = {}
    for route in routes:
        for dag_id in route.dags:
            about = f"{name} {dag_id}"
            fact = dag_fact(airflow, route, dag_id)
            if fact.next_step is not None:
                yield wrong("dag", about, fact.says, fact.next_step)
            elif fact != DagFact():
                yield fine("dag", about, fact.says)
            elif dag_id not in may_start:
                yield fine("dag", about, "it is there, and takes the conf of its routes")
            if dag_id not in may_start:
                may_start[dag_id] = airflow.may_start(dag_id)
                yield _right(about, may_start[dag_id])


def _right(about: str, may_start: bool | None) -> Finding:
    match may_start:
        case True:
            return fine("right", about, "our user may start runs of it")
        case False:
            says, what = "our user may not start runs of it", "Give the Airflow user the right to create DAG runs."
            return wrong("right", about, says, what)
        case None:
            return unknown("right", about, "this Airflow does not say whether our user may start runs before the first")


def _unpause(dag_id: str) -> str:
    return f"Unpause it in Airflow: airflow dags unpause {dag_id}"


def _mend(route: Route, dag_id: str) -> str:
    place = f"{route.file}:{route.line}" if route.file else f"the route {route.name}"
    return f"Look at the DAG {dag_id} in Airflow, or correct {place}."


def dag_fact(airflow: Airflow, route: Route, dag_id: str) -> DagFact:
    """Return all that keeps a route's runs of a DAG from starting, in a line; `ok` if nothing does.

    A pause comes last. It is said, and is no mistake, if the route provides for it (`if_paused`).
    """
    mend = _mend(route, dag_id)
    facts = airflow.look_at(dag_id)
    if not isinstance(facts, DagFacts):
        return DagFact(f"could not be asked: Airflow {route.airflow!r}: {facts.detail or facts.reason.why}", mend)
    troubles = list(_troubles(route, facts))
    is_paused = facts.state is DagState.PAUSED
    if is_paused and route.if_paused is IfPaused.TRIGGER:
        steps = f"{mend} {_unpause(dag_id)}" if troubles else _unpause(dag_id)
        return DagFact("; ".join([*troubles, _PAUSED]), steps)
    says = [*troubles, *([_PROVIDED_FOR[route.if_paused].format(route.name)] if is_paused else ())]
    return DagFact("; ".join(says) or "ok", mend if troubles else None)


def _troubles(route: Route, facts: DagFacts) -> Iterator[str]:
    """Yield what has to be mended; a DAG that is gone, or whose file is broken, tells no more of its params."""
    if not facts.exists:
        yield f"route {route.name}: Airflow has no such DAG"
    elif facts.has_import_errors:
        yield "the DAG's file has an import error"
    elif facts.is_stale:
        yield "the DAG is no longer in its file"
    else:
        if (lacking := says_lacking(route, facts.required)) is not None:
            yield lacking
        if route.holds_to_params and (found := "; ".join(mistakes(route, facts.params))):
            yield f"route {route.name}: {found}"
