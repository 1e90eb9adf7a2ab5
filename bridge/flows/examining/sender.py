"""What an examination asks of Planasonix: the key, its clock, the subscription, and a test event sent by Planasonix."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from bridge.edges.planasonix import PlanasonixClient, hooks
from bridge.edges.planasonix.subscriptions import Subscriptions
from bridge.flows.examining.clocks import clock
from bridge.flows.examining.front import Ask
from bridge.rules.mapping import Mapping
from bridge.rules.subscribing import mixes_kinds
from bridge.words.errors import BridgeError
from bridge.words.findings import Finding, fine, unknown, wrong
from bridge.words.subscriptions import Subscription

_LOOK_SECONDS = 0.5
_RUN = "planasonix-bridge"


def examine_sender(
    client: PlanasonixClient,
    *,
    source: str,
    url: str | None,
    mapping: Mapping,
    ask: Ask | None,
    test_seconds: float | None,
) -> Iterator[Finding]:
    """Yield what is found. `url`: where webhooks should go; `test_seconds`: Planasonix is asked for a test event."""
    try:
        at = client.ask("GET", "/api/v1/jobs?limit=1").at
        yield fine("api", source, "the key is accepted")
        yield clock("sender's clock", source, at, datetime.now(UTC), owner="Planasonix'")
        every = Subscriptions(client).every()
    except BridgeError as error:
        yield wrong("api", source, str(error), "Correct `api` of the source in bridge.yaml, or wait if it is down.")
        return
    found = hooks.at_url(every, url) if url else [item for item in every if hooks.source_of(item.url) == source]
    if not found:
        next_step = f"Run `{_RUN} subscribe --url {url or 'https://...'} --secret-out PATH`."
        yield wrong("subscription", source, f"none of {len(every)} delivers to {url or 'this source'}", next_step)
        return
    for item in found:
        yield from _of_one(Subscriptions(client), item)
    yield from _kinds(source, found, mapping)
    if test_seconds is not None:
        yield _test(Subscriptions(client), found[0], source, ask, test_seconds)
    else:
        says = "Planasonix was not asked to send a test event: a tenant's may look like a real one, and start a DAG run"
        yield unknown("sender's test", source, says, "Run `doctor --sender-test`.")


def _of_one(api: Subscriptions, item: Subscription) -> Iterator[Finding]:
    if item.is_enabled is False:
        next_step = f"Run `{_RUN} subscribe --url {item.url}`, which switches it on."
        yield wrong("subscription", item.id, "it is switched off", next_step)
        return
    if item.failures:
        says = f"{item.failures} deliveries failed in the last 24 hours{_last_error(api, item)}"
        yield wrong("subscription", item.id, says, f"Run `{_RUN} subscriptions {item.id}` and `{_RUN} refusals`.")
    elif item.last_delivery_at is None:
        yield unknown("subscription", item.id, "it is there and on; nothing was delivered yet")
    else:
        yield fine(
            "subscription", item.id, f"it is on, delivered {item.last_delivery_at.isoformat()}, without failures"
        )


def _last_error(api: Subscriptions, item: Subscription) -> str:
    try:
        failed = [sent for sent in api.deliveries(item.id) if sent.status == "failed"]
    except BridgeError:
        return ""
    last = max(failed, key=lambda sent: sent.at.timestamp() if sent.at else 0.0, default=None)
    return "" if last is None else f", the last with {last.http_status or last.error or 'no answer'}"


def _kinds(source: str, found: Sequence[Subscription], mapping: Mapping) -> Iterator[Finding]:
    """Say which routes would start twice for a load, since the subscriptions tell of jobs and of runs."""
    routes = [
        route.name
        for route in mapping.routes
        if route.enabled
        and all(test.key != "event" and (test.key != "source" or test.accepts(source)) for test in route.tests)
    ]
    if not mixes_kinds(name for item in found for name in item.events):
        yield fine("kinds", source, "it delivers one kind of event, so each load ends once")
    elif routes:
        says = f"job.* and pipeline.run.* are both delivered, and the route {routes[0]} takes both: two DAG runs a load"
        yield wrong("kinds", source, says, 'Subscribe to one kind, or add to the route: event: "job.*"')
    else:
        yield fine("kinds", source, "it delivers job.* and pipeline.run.*, and every route says which it takes")


def _test(api: Subscriptions, item: Subscription, source: str, ask: Ask | None, seconds: float) -> Finding:
    """Have Planasonix send its test event, and wait until it is in the store."""
    if ask is None:
        return unknown("sender's test", source, "nobody can be asked for its arrival", "Give --url and --token-file.")
    since = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    try:
        known = {row["id"] for row in ask("deliveries", source=source, since=since)["deliveries"]}
        api.test(item.id)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            news = [
                row for row in ask("deliveries", source=source, since=since)["deliveries"] if row["id"] not in known
            ]
            if news:
                return fine("sender's test", source, f"a webhook came after it was asked for: {news[-1]['id']}")
            time.sleep(_LOOK_SECONDS)
    except BridgeError as error:
        return unknown("sender's test", source, f"it cannot be tested: {error}")
    next_step = f"Run `{_RUN} subscriptions {item.id}` to see what it met, and `{_RUN} refusals`."
    return wrong("sender's test", source, f"Planasonix was asked for one, and none came in {seconds:g} s", next_step)
