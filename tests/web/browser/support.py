"""The pages by name, where each is on a bridge that was planted, and a story that every Airflow has to hear."""

from tests.support.chromium import Reader
from tests.support.service import BridgeProcess, body, wait_for

# `{event}` stands for the id of the delivery of that event, `{state!}` for a trigger in that state, `{order}` for the
# newest order.
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
    "try-sample": "/try?sample=pipeline.run.succeeded",
    "try-delivery": "/try?delivery={evt_3}",
    "refusals": "/refusals",
    "audit": "/audit",
    "orders": "/orders",
    "order": "/orders/{order}",
    "orders-new": "/orders/new?action=replay&state=failed&route=by_day",
}


def address(bridge: BridgeProcess, path: str) -> str:
    """Return the path with the ids that it stands for."""
    place, brace, rest = path.partition("{")
    if not brace:
        return place
    word = rest.rstrip("}")
    if word == "order":
        return place + str(bridge.api("orders")["orders"][0]["id"])
    if word.endswith("!"):
        return place + str(bridge.triggers(state=word.rstrip("!"))[0]["id"])
    return place + str(bridge.api("deliveries", event_id=word)["deliveries"][-1]["id"])


def mend(bridge: BridgeProcess, reader: Reader, *, mapping: str, mended: str) -> None:
    """Find by pipeline why nothing ran, read why, give `pl_story` a route, replay, and come back to the delivery."""
    bridge.send(body(event="evt_story", pipeline="pl_story"))
    wait_for(lambda: bool(bridge.api("deliveries", pipeline_id="pl_story")["deliveries"]), seconds=10, what="routing")
    reader.open("/deliveries")
    reader.page.get_by_label("Pipeline").fill("pl_story")
    reader.page.get_by_role("button", name="Show", exact=True).click()
    reader.page.get_by_role("link", name="dlv_").first.click()
    reader.page.get_by_role("heading", name="Why").wait_for()
    assert "no_route" in reader.text()
    assert "pl_8f2a9c1d4e" in reader.page.get_by_role("table").inner_text()
    count = len(bridge.api("routes")["routes"])
    bridge.write_mapping(mapping + mended)
    wait_for(lambda: len(bridge.api("routes")["routes"]) > count, seconds=10, what="the route")
    reader.page.get_by_role("button", name="Replay this delivery").click()
    reader.page.get_by_role("link", name="Back to where you were").click()
