"""A chain of DAG runs is followed through the store: by keys, so far and no further, and whatever an event claims."""

import itertools
import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, chains, deliveries
from bridge.edges.inbox.deliveries import settle_routing
from bridge.edges.inbox.engine.ids import number
from bridge.flows.routing import drafts
from bridge.flows.routing.tracing import plan_traced
from bridge.rules.hops import Cause, Chain, Link
from bridge.rules.mapping import read
from bridge.rules.planning import Subject
from bridge.rules.sealing import Ring
from bridge.words.model import Trigger, TriggerState
from bridge.words.reasons import Reason
from tests.support.store import NOW, Store, add, stored, whole

# Pipeline pl_x starts the DAG x, whatever x is.
DAGS = ["a", "b", "c", "d", *(f"dag_{number}" for number in range(25))]
MAPPING = read(
    "routes:\n" + "".join(f"  - {{pipeline: pl_{dag}, dag: {dag}}}\n" for dag in DAGS),
    file="mapping.yaml",
    airflows=["default", "other"],
    sources=["planasonix"],
)
_events = itertools.count()


def route(inbox: Inbox, dag: str, *, max_hops: int = 3, **fields: Any) -> Trigger:
    """Store an event that starts a DAG, and route it; returns its trigger."""
    id_ = f"evt_{next(_events)}"
    body = {"id": id_, "type": "job.succeeded", "status": "succeeded", "pipeline_id": f"pl_{dag}", **fields}
    delivery_id = stored(inbox, id_, body=json.dumps(body).encode())
    found = inbox.read(deliveries.get, delivery_id)
    assert found is not None
    made = plan_traced(inbox, Subject.of(found), MAPPING, max_hops=max_hops)
    inbox.write(settle_routing, [drafts.routing(found, made, None, {})], now=NOW)
    (trigger,) = whole(inbox, delivery_id)
    return trigger


def after(trigger: Trigger) -> dict[str, Any]:
    """Return the metadata of a pipeline that a trigger's DAG run started and passed its conf on to."""
    return {"planasonix": trigger.call.conf["planasonix"]}


def detail(inbox: Inbox, trigger: Trigger) -> str | None:
    """Return what the delivery of a trigger says."""
    found = inbox.read(deliveries.get, trigger.delivery_id)
    assert found is not None
    return found.detail


def hops(trigger: Trigger) -> int:
    """Return the hops that a trigger passes on."""
    return int(trigger.call.conf["planasonix"]["hops"])


def test_a_chain_that_comes_back_to_its_dag_is_held_and_shown(inbox: Inbox) -> None:
    """a -> b -> a: the first turn of the circle is the last."""
    first = route(inbox, "a")
    second = route(inbox, "b", metadata=after(first))
    third = route(inbox, "a", metadata=after(second))
    assert [item.state for item in (first, second, third)] == [TriggerState.PENDING] * 2 + [TriggerState.HELD]
    assert third.reason is Reason.LOOP_GUARD
    shown = f"{first.delivery_id} -> {first.id} (a) -> {second.delivery_id} -> {second.id} (b) -> {third.delivery_id}"
    assert third.detail == f"comes back to a: {shown}"
    chain = inbox.read(chains.behind, third.delivery_id)
    assert [(link.trigger_id, link.dag_id, link.dag_run_id) for link in chain.links] == [
        (second.id, "b", second.call.dag_run_id),
        (first.id, "a", first.call.dag_run_id),
    ]
    assert inbox.read(chains.behind, first.delivery_id).links == ()


def test_a_chain_that_is_too_long_is_held(inbox: Inbox) -> None:
    """Three DAGs in a row may be; the fourth waits for a person."""
    item = route(inbox, "a")
    for dag in ("b", "c"):
        item = route(inbox, dag, metadata=after(item))
        assert item.state is TriggerState.PENDING
    last = route(inbox, "d", metadata=after(item))
    assert (last.state, last.reason, hops(last)) == (TriggerState.HELD, Reason.LOOP_GUARD, 4)
    assert (last.detail or "").startswith("hop 3: ")


@pytest.mark.parametrize(("claim", "is_held"), [(0, True), (2, True), (99, True)])
def test_a_lie_about_the_hops_changes_nothing(inbox: Inbox, claim: int, is_held: bool) -> None:
    """An event that names one of our triggers has as many hops as the store knows; what it claims is said."""
    item = route(inbox, "a")
    metadata = {"planasonix": item.call.conf["planasonix"] | {"hops": claim}}
    second = route(inbox, "b", metadata=metadata)
    assert (second.state, hops(second)) == (TriggerState.PENDING, 2)
    assert detail(inbox, second) == f"the event says {claim} hops, the store knows 1"
    third = route(inbox, "c", metadata=after(second) | {"hops": claim})
    fourth = route(inbox, "d", metadata=after(third) | {"hops": claim})
    assert (fourth.state is TriggerState.HELD) is is_held


def test_an_id_that_is_no_trigger_of_ours_proves_nothing(inbox: Inbox) -> None:
    """Then the claim alone counts, and is said to be one."""
    strange = {"trigger_id": "trg_7fffffffffffffff", "planasonix": {"trigger_id": "trg_ffffffffffffffff"}}
    assert route(inbox, "a", metadata=strange).state is TriggerState.PENDING
    held = route(inbox, "b", metadata=strange | {"hops": 3})
    assert held.state is TriggerState.HELD
    assert held.detail == "hop 3, as the event says; the store knows no trigger that led to it"
    assert inbox.read(chains.behind, held.delivery_id).links == ()


def test_the_names_of_a_dag_run_are_enough(inbox: Inbox) -> None:
    """The vendor's own example of metadata has `dag_id` and `dag_run_id`, and nothing of the bridge's."""
    first = route(inbox, "a")
    named = {"triggered_by": "airflow", "dag_id": "a", "dag_run_id": first.call.dag_run_id}
    again = route(inbox, "a", metadata=named)
    assert (again.state, again.reason) == (TriggerState.HELD, Reason.LOOP_GUARD)
    scheduled = route(inbox, "a", metadata=named | {"dag_run_id": "scheduled__2025-03-27T02:00:00+00:00"})
    assert scheduled.state is TriggerState.PENDING
    trace = {"cause": Cause((), "a", first.call.dag_run_id)}
    assert inbox.read(chains.trace, **trace, airflows=["other", "default"]).caused_by == first.id
    assert inbox.read(chains.trace, **trace, airflows=["other"]).links == ()
    assert inbox.read(chains.trace, **trace, airflows=[]).links == ()


def test_parameters_may_carry_the_conf(inbox: Inbox) -> None:
    """A run of a pipeline takes no metadata."""
    first = route(inbox, "a")
    assert route(inbox, "a", parameters=after(first)).reason is Reason.LOOP_GUARD


def test_a_chain_that_is_closed_ends(inbox: Inbox, store: Store) -> None:
    """As a forged id could make it."""
    first = route(inbox, "a")
    second = route(inbox, "b", metadata=after(first))
    store.rows(
        "UPDATE deliveries SET caused_by = ? WHERE id = ?", number(second.id, "trg"), number(first.delivery_id, "dlv")
    )
    chain = inbox.read(chains.behind, second.delivery_id)
    assert [link.trigger_id for link in chain.links] == [first.id, second.id]


def test_a_long_chain_is_followed_so_far_and_counted_whole(inbox: Inbox) -> None:
    """20 links are read and shown; the hops of all go on."""
    item, routed = route(inbox, "dag_0"), 1
    for dag in DAGS[5:]:
        item = route(inbox, dag, max_hops=100, metadata=after(item))
        routed += 1
    assert hops(item) == routed == 25
    chain = inbox.read(chains.behind, item.delivery_id)
    assert (len(chain.links), chain.hops) == (20, 24)
    assert chain.line("dlv_1").startswith("... -> ")


def test_what_retention_removed_still_counts(inbox: Inbox, store: Store) -> None:
    """The beginning of a chain is gone; the conf of the last trigger has the count."""
    first = route(inbox, "a")
    second = route(inbox, "b", metadata=after(first))
    third = route(inbox, "c", metadata=after(second))
    store.rows("DELETE FROM triggers WHERE id = ?", number(first.id, "trg"))
    store.rows("DELETE FROM deliveries WHERE id = ?", number(first.delivery_id, "dlv"))
    last = route(inbox, "d", metadata=after(third))
    assert last.reason is Reason.LOOP_GUARD
    assert (last.detail or "").startswith(f"hop 3: ... -> {second.delivery_id}")


def test_what_was_erased_is_counted_by_its_links(inbox: Inbox, store: Store) -> None:
    """A person had the conf removed: the chain itself says nothing of what the events said."""
    first = route(inbox, "a")
    second = route(inbox, "b", metadata=after(first))
    store.rows("UPDATE triggers SET conf = '{}'")
    third = route(inbox, "c", metadata=after(second))
    assert hops(third) == 3


def test_a_run_is_found_by_its_names_where_it_stands(inbox: Inbox, store: Store) -> None:
    """Of two Airflows the newest trigger counts; what failed or was cancelled started nothing."""
    wanted = Cause((), "load_orders", "mine")
    both = ["default", "other"]
    rows = [("mine", "default", "load_orders"), ("mine", "other", "load_orders"), ("mine", "default", "x")]
    rows += [("yours", "default", "load_orders"), ("mine", "third", "load_orders")]
    ids = [
        add(inbox, stored(inbox, f"evt_{n}"), dag_run_id=run, airflow=airflow, dag_id=dag_id)
        for n, (run, airflow, dag_id) in enumerate(rows)
    ]

    def trace(cause: Cause, airflows: list[str] = both) -> tuple[str, ...]:
        return tuple(link.trigger_id for link in inbox.read(chains.trace, cause, airflows=airflows).links)

    assert (trace(wanted), trace(wanted, ["default"]), trace(wanted, [])) == ((ids[1],), (ids[0],), ())
    for row, state in ((1, "failed"), (0, "cancelled")):
        store.rows("UPDATE triggers SET state = ? WHERE id = ?", state, number(ids[row], "trg"))
        assert trace(wanted) == ((ids[0],) if row else ())
    assert trace(Cause()) == ()
    assert trace(Cause(("trg_ffffffffffffffff", "trg_0000000000000001", ids[1]), "x", "mine")) == (ids[1],)
    assert trace(Cause(("trg_0000000000000001",), "x", "mine")) == (ids[2],)


def test_a_link_says_all_of_its_trigger(open_inbox: Callable[..., Inbox], store: Store) -> None:
    """With the hops of its conf, if that can be opened; a run that was never named has no name."""
    inbox = open_inbox(ring=Ring({"old": bytes(32)}, os.urandom))
    delivery_id = stored(inbox)
    id_ = add(inbox, delivery_id, conf={"planasonix": {"hops": 7}})
    link = Link(id_, delivery_id, "orders", "default", "load_orders", f"run-of-{delivery_id}")
    cause = Cause((id_,))
    assert inbox.read(chains.trace, cause, airflows=[]) == Chain((link,), 7)
    assert open_inbox().read(chains.trace, cause, airflows=[]) == Chain((link,), 0)
    for conf in ({}, {"planasonix": "x"}, {"planasonix": {}}, {"planasonix": {"hops": "x"}}):
        store.rows("UPDATE triggers SET conf = ?, dag_run_id = NULL", json.dumps(conf))
        assert inbox.read(chains.trace, cause, airflows=[]) == Chain((replace(link, dag_run_id=""),), 0)
    assert inbox.read(chains.behind, delivery_id) == Chain()
    store.rows("UPDATE deliveries SET caused_by = ?", number(id_, "trg"))
    assert inbox.read(chains.behind, delivery_id).caused_by == id_
    store.rows("UPDATE deliveries SET caused_by = 1")
    assert inbox.read(chains.behind, delivery_id) == Chain()
