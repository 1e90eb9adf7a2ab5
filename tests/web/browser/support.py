"""The pages by name, and where each is on a bridge that was planted."""

from tests.support.service import BridgeProcess

# `{event}` stands for the id of the delivery of that event, `{state!}` for a trigger in that state.
PAGES = {
    "overview": "/",
    "examination": "/examination",
    "attention": "/attention",
    "deliveries": "/deliveries",
    "deliveries-none": "/deliveries?pipeline_id=pl_none",
    "triggers": "/deliveries?state=fired",
    "delivery": "/deliveries/{evt_3}",
    "delivery-failed": "/deliveries/{evt_day_1}",
    "delivery-unrouted": "/deliveries/{evt_unknown}",
    "delivery-invalid": "/deliveries/{evt_odd}",
    "trigger": "/triggers/{fired!}",
    "trigger-held": "/triggers/{held!}",
    "routes": "/routes",
    "try": "/try",
    "refusals": "/refusals",
    "audit": "/audit",
    "orders": "/orders",
    "orders-new": "/orders/new?action=replay&state=failed&route=by_day",
}


def address(bridge: BridgeProcess, path: str) -> str:
    """Return the path with the ids that it stands for."""
    place, brace, rest = path.partition("{")
    if not brace:
        return place
    word = rest.rstrip("}")
    if word.endswith("!"):
        return place + str(bridge.triggers(state=word.rstrip("!"))[0]["id"])
    return place + str(bridge.api("deliveries", event_id=word)["deliveries"][-1]["id"])
