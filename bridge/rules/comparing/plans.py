"""What a change does to a body, told from what both mappings make of it.

What matters is what would be started and sent. The name of a route alone is no difference: a rename starts nothing
twice (`rules/completion`). Nor is `conf.planasonix`: what it says of the event is the same, the rest are labels.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bridge.rules.comparing.values import differences, spell, view_values
from bridge.rules.planning import Plan, Planned
from bridge.words.model import TriggerState

_OWN_KEY = "planasonix"


class Kind(StrEnum):
    """What a change does to one body, the gravest first."""

    FAILS = "fails"  # a route fails on it that did not
    NOTHING = "nothing"  # it started something, and would start nothing
    OTHER_DAGS = "other_dags"
    OTHER_CONF = "other_conf"  # the same DAGs; conf, note, or a DAG run id of the route's own
    SOMETHING = "something"  # it started nothing, and would start something
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Difference:
    """What a change does to one body: what it starts now and then (or why nothing), and the values that differ."""

    name: str
    kind: Kind
    now: tuple[str, ...]
    then: tuple[str, ...]
    why: tuple[str, str]
    values: tuple[tuple[str, Any, Any], ...]


def describe(name: str, kind: Kind, before: Plan, after: Plan) -> Difference:
    """Return what people read of a body that a change does something to."""
    return Difference(
        name,
        kind,
        starts(before),
        starts(after),
        (str(before.reason or before.state), str(after.reason or after.state)),
        conf_changes(before, after) if kind is Kind.OTHER_CONF else (),
    )


def view(found: Difference) -> dict[str, Any]:
    """Return what a change does to one body as plain JSON values."""
    return {
        "body": found.name,
        "kind": str(found.kind),
        "now": found.now,
        "then": found.then,
        "why": found.why,
        "values": view_values(found.values),
    }


def compare_triggers(
    old: Sequence[Planned], new: Sequence[Planned], *, others_start: Callable[[], bool] = lambda: False
) -> Kind:
    """Return what a change does to one body.

    What both mappings make of it alike may be left out; `others_start` then says whether any of that is started.
    """
    if _failing(new) - _failing(old):
        return Kind.FAILS
    before, after = _dags(old), _dags(new)
    if before != after:
        if (before and after) or others_start():
            return Kind.OTHER_DAGS
        return Kind.NOTHING if not after else Kind.SOMETHING
    return Kind.SAME if _call_alike(_pending(old), _pending(new)) else Kind.OTHER_CONF


def starts_any(triggers: Sequence[Planned]) -> bool:
    """Whether a DAG run would be started."""
    return bool(_pending(triggers))


def starts(plan: Plan) -> tuple[str, ...]:
    """Return what a plan starts, and what fails, for people: a DAG and its route."""
    return tuple(
        f"{planned.dag_id} (route {planned.route.name}"
        + (")" if planned.state is TriggerState.PENDING else f"; {planned.state}: {planned.reason})")
        for planned in plan.triggers
    )


def conf_changes(old: Plan, new: Plan) -> tuple[tuple[str, Any, Any], ...]:
    """Return the values of the calls that differ, as (place, old, new); for plans that start the same DAGs."""

    def place_of(planned: Planned) -> tuple[str, ...]:
        return (planned.route.airflow, planned.dag_id, _spelled_call(planned))

    pairs = zip(*(sorted(_pending(triggers), key=place_of) for triggers in (old.triggers, new.triggers)), strict=True)
    return tuple(
        (f"{first.dag_id}: {place}", before, after)
        for first, second in pairs
        for place, before, after in differences(_call(first), _call(second))
    )


def _pending(triggers: Sequence[Planned]) -> list[Planned]:
    return [planned for planned in triggers if planned.state is TriggerState.PENDING]


def _dags(triggers: Sequence[Planned]) -> Counter[tuple[str, str]]:
    return Counter((planned.route.airflow, planned.dag_id) for planned in _pending(triggers))


def _failing(triggers: Sequence[Planned]) -> Counter[tuple[str, str, str]]:
    return Counter(
        (planned.route.airflow, planned.dag_id, str(planned.reason))
        for planned in triggers
        if planned.state is TriggerState.FAILED
    )


def _call_alike(old: Sequence[Planned], new: Sequence[Planned]) -> bool:
    """Whether the same would be sent, where the same DAGs start; in which order says nothing."""
    if len(old) == 1 and _call(*old) != _call(*new):
        return False  # usual, and far cheaper than to spell them; what Python takes for equal may be spelled otherwise
    return sorted(map(_spelled_call, old)) == sorted(map(_spelled_call, new))


def _spelled_call(planned: Planned) -> str:
    return spell(_call(planned))


def _call(planned: Planned) -> dict[str, Any]:
    """Return what is sent and may differ."""
    call = planned.call
    assert call is not None  # noqa: S101 - what is pending has one
    return {
        "airflow": call.airflow,
        "dag": call.dag_id,
        "conf": {key: value for key, value in call.conf.items() if key != _OWN_KEY},
        "note": call.note,
        "dag_run_id": None if planned.route.dag_run_id is None else call.dag_run_id,
    }
