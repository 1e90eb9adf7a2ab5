"""Which DAG runs of the bridge led to an event, so that a DAG that starts its own pipeline cannot run in circles.

A chain goes delivery -> trigger -> DAG run -> event -> delivery. conf["planasonix"] goes to the DAG. A DAG that starts
a pipeline and passes it on as `metadata`, or among the `parameters`, gets it back in the event:

    1. cause   what the event names: the trigger's id, or DAG and DAG run id
    2. trace   the store looks that up by its key, and from each trigger on the one that led to its delivery
    3. count   the hops, and whether a DAG is already among those that led here

Anybody who can start a pipeline can write all of this. So an id counts only if the store has its trigger, and then the
store's count is the count, whatever the event claims. An event that names no trigger of this store keeps its claim, up
to a bound: another bridge may have started the run, and the worst that a lie does is a trigger that a person has to
release. No document promises that Planasonix echoes anything, so its absence means 0.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.words.model import Event

MOST_LINKS = 20  # that are followed and shown; the hops that the last of them carried count further back
_OWN_RUN = "planasonix__"
_LIMIT = 1_000_000
_MOST_TEXT = 250  # Airflow's own limit of a DAG id and of a DAG run id
_is_trigger = re.compile(r"trg_[0-9a-f]{16}").fullmatch


@dataclass(frozen=True, slots=True)
class Cause:
    """What an event names as the run that led to it; nothing of it is proven.

    Of several triggers the newest comes first: a DAG may pass on what it got itself, beside its own.
    """

    trigger_ids: tuple[str, ...] = ()
    dag_id: str | None = None
    dag_run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One trigger that led to an event, and the delivery that it was made of."""

    trigger_id: str
    delivery_id: str
    route: str
    airflow: str
    dag_id: str
    dag_run_id: str


@dataclass(frozen=True, slots=True)
class Chain:
    """The triggers that led to an event, the nearest first; `carried`: the hops in the conf of the nearest."""

    links: tuple[Link, ...] = ()
    carried: int = 0

    @property
    def hops(self) -> int:
        """Return how many DAG runs led here."""
        return max(len(self.links), self.carried)

    @property
    def caused_by(self) -> str | None:
        """Return the trigger that led here directly."""
        return self.links[0].trigger_id if self.links else None

    def has(self, airflow: str, dag_id: str) -> bool:
        """Whether a run of this DAG is among those that led here."""
        return any((link.airflow, link.dag_id) == (airflow, dag_id) for link in self.links)

    def line(self, delivery_id: str) -> str:
        """Return it as one line that ends at this delivery, the oldest first."""
        steps = [f"{link.delivery_id} -> {link.trigger_id} ({link.dag_id})" for link in reversed(self.links)]
        return " -> ".join([*(["..."] if self.hops > len(self.links) else []), *steps, delivery_id])


def cause(event: Event) -> Cause | None:
    """Return what the event names as its cause; None if it names nothing that could be looked up."""
    ids = {item for item in _values(event, "trigger_id") if isinstance(item, str) and _is_trigger(item)}
    dag_id, dag_run_id = (_text(event, name) for name in ("dag_id", "dag_run_id"))
    run = (dag_id, dag_run_id) if dag_id and dag_run_id else (None, None)
    return Cause(tuple(sorted(ids, reverse=True)), *run) if ids or any(run) else None


def claimed(event: Event) -> int:
    """Return how many of the bridge's DAG runs led to this event, as the event itself says; 0 if it does not."""
    run = event.metadata.get("dag_run_id")
    is_own = isinstance(run, str) and run.startswith(_OWN_RUN)
    return max(_written(event) or 0, int(is_own))


def _written(event: Event) -> int | None:
    """Return the greatest count that the event has: `metadata.hops` may be anybody's own number."""
    return max((hops for hops in map(carried, _values(event, "hops")) if hops is not None), default=None)


def carried(count: Any) -> int | None:
    """Read a count of hops; None for anything else."""
    if isinstance(count, str) and count.isascii() and count.isdigit() and len(count) <= len(str(_LIMIT)):
        count = int(count)
    is_count = isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= _LIMIT
    return count if is_count else None


def count(event: Event, chain: Chain | None) -> int:
    """Return how many DAG runs led to this event: the store's count if it knows the last of them."""
    return claimed(event) if chain is None or not chain.links else chain.hops


def disagreement(event: Event, chain: Chain | None) -> str | None:
    """Return what is to be said of an event that claims other hops than the store knows."""
    written = _written(event)
    if chain is None or not chain.links or written in (None, chain.hops):
        return None
    return f"the event says {written} hops, the store knows {chain.hops}"


def problem(
    event: Event, chain: Chain | None, *, limit: int, airflow: str, dag_id: str, delivery_id: str
) -> str | None:
    """Return why this event must not start a run of a DAG, with the chain; None if it may."""
    hops, known = count(event, chain), chain if chain is not None and chain.links else None
    if known is not None and known.has(airflow, dag_id):
        return f"comes back to {dag_id}: {known.line(delivery_id)}"
    if hops < limit:
        return None
    if known is None:
        return f"hop {hops}, as the event says; the store knows no trigger that led to it"
    return f"hop {hops}: {known.line(delivery_id)}"


def _values(event: Event, name: str) -> Iterator[Any]:
    """Yield what stands under a name of conf["planasonix"], wherever it may have been passed on."""
    yield from _in(event.metadata, name, is_bare=True)
    # A bare word there may be anybody's own parameter.
    yield from _in(event.parameters, name, is_bare=False)


def _in(box: Mapping[str, Any], name: str, *, is_bare: bool) -> Iterator[Any]:
    if is_bare and name in box:
        yield box[name]
    inner = box.get("planasonix")
    if isinstance(inner, Mapping) and name in inner:
        yield inner[name]
    if f"planasonix.{name}" in box:
        yield box[f"planasonix.{name}"]


def _text(event: Event, name: str) -> str | None:
    value = event.metadata.get(name)
    return value if isinstance(value, str) and len(value) <= _MOST_TEXT and "\0" not in value else None
