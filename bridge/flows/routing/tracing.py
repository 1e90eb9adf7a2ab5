"""Plans a delivery with what the store knows of its cause: the router, the API and `explain --delivery` alike.

An event that names none of the bridge's DAG runs, as nearly all do, is planned once and the store is not asked.
Beside a running bridge (`--url`), that one is asked instead.
"""

from collections.abc import Callable
from dataclasses import replace

from bridge.edges.inbox import Inbox, chains
from bridge.rules import hops
from bridge.rules.hops import Cause, Chain
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
    """Return what the mapping makes of a delivery, as `plan_with` does, with this store. Raises InboxUnavailable."""
    airflows = {route.airflow for route in mapping.routes}
    return plan_with(
        lambda cause: inbox.read(chains.trace, cause, airflows=airflows),
        subject,
        mapping,
        max_hops=max_hops,
        new_trigger_id=new_trigger_id or inbox.new_trigger_id,
    )


def plan_with(
    trace: Callable[[Cause], Chain],
    subject: Subject,
    mapping: Mapping,
    *,
    max_hops: int,
    new_trigger_id: Callable[[], str],
) -> Plan:
    """Return what the mapping makes of a delivery. Raises what `trace` raises.

    1. plan it
    2. have `trace` look up what the event names as its cause
    3. if it is found, plan again with the whole chain
    """
    first = plan(subject, mapping, new_trigger_id=new_trigger_id, max_hops=max_hops)
    cause = hops.cause(first.event) if first.event is not None and first.triggers else None
    if cause is None:
        return first
    chain = trace(cause)
    if not chain.links:
        return first
    return plan(replace(subject, chain=chain), mapping, new_trigger_id=new_trigger_id, max_hops=max_hops)
