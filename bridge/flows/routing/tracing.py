"""Plans a delivery with what the store knows of its cause: the router, the API and `explain --delivery` alike.

An event that names none of the bridge's DAG runs, as nearly all do, is planned once and the store is not asked.
"""

from collections.abc import Callable
from dataclasses import replace

from bridge.edges.inbox import Inbox, chains
from bridge.rules import hops
from bridge.rules.mapping import Mapping
from bridge.rules.planning import Plan, Subject, plan


def plan_traced(
    inbox: Inbox,
    subject: Subject,
    mapping: Mapping,
    *,
    max_hops: int,
    new_trigger_id: Callable[[], str] | None = None,
) -> Plan:
    """Return what the mapping makes of a delivery. Raises InboxUnavailable.

    1. plan it
    2. look up by its key what the event names as its cause
    3. if the store has it, plan again with the whole chain
    """
    new_id = new_trigger_id or inbox.new_trigger_id
    first = plan(subject, mapping, new_trigger_id=new_id, max_hops=max_hops)
    cause = hops.cause(first.event) if first.event is not None and first.triggers else None
    if cause is None:
        return first
    airflows = {route.airflow for route in mapping.routes}
    chain = inbox.read(chains.trace, cause, airflows=airflows)
    if not chain.links:
        return first
    return plan(replace(subject, chain=chain), mapping, new_trigger_id=new_id, max_hops=max_hops)
