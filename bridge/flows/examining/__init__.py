"""The whole way of a webhook, examined step by step: fine, wrong or unknown, and what to do.

1. Each source: its secret, the public URL's name, TLS and clock, a signed test event there and back (`front`).
2. Planasonix, where the source has `api`: key, clock, subscription, kinds of events, its own test event (`sender`).
3. Each Airflow: version, clock, sign-in, and each DAG with the right to start it (`airflows`).
4. The store: what waits and needs a person, and the room on its disk.

Nothing here starts a DAG run. A step that cannot be done is unknown, and never ends the others.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bridge.edges.planasonix import PlanasonixClient, hooks
from bridge.edges.planasonix.subscriptions import Subscriptions
from bridge.edges.settings import Config
from bridge.flows.examining.airflows import examine_airflows
from bridge.flows.examining.front import Ask, Front
from bridge.flows.examining.sender import examine_sender
from bridge.rules.mapping import Mapping
from bridge.rules.sources import Source
from bridge.words.errors import BridgeError
from bridge.words.findings import Finding, fine, unknown, wrong

_LEAST_FREE = 1 << 30
_LEAST_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Examined:
    """What is examined. `base`: the public URL; `here`: the bridge on this machine; `disk`: the store's folder.

    `ask` answers as the admin API does; None: nobody does. `is_tested`: Planasonix may be asked for its test event.
    """

    config: Config
    mapping: Mapping
    base: str | None
    here: str
    ask: Ask | None
    disk: Path | None = None
    is_tested: bool = False
    wait_seconds: float = 30.0


def examine(what: Examined) -> Iterator[Finding]:
    """Yield each step as it is done."""
    for source in what.config.sources.values():
        yield from _source(what, source)
    yield from examine_airflows(what.config.airflows, what.mapping)
    yield from _store(what)


def _source(what: Examined, source: Source) -> Iterator[Finding]:
    url = _public_url(what, source)
    if url is None:
        next_step = "Run `planasonix-bridge doctor --base https://...`: it looks at name, TLS and everything in front."
        yield unknown("public URL", source.name, f"not known here; {what.here} is tried instead", next_step)
        yield from (
            item
            for item in Front(
                source, hooks.hook_url(what.here, source.name), what.mapping, what.ask, what.wait_seconds
            ).examine()
            if item.step not in ("name", "tls")
        )
    else:
        yield from Front(source, url, what.mapping, what.ask, what.wait_seconds).examine()
    if source.api is None:
        next_step = "Look at the webhook's own list of deliveries in Planasonix, or give the source `api`."
        yield unknown("subscription", source.name, "the source has no `api`", next_step)
        return
    with closing(PlanasonixClient(source.api)) as client:
        tested = what.wait_seconds if what.is_tested else None
        yield from examine_sender(
            client, source=source.name, url=url, mapping=what.mapping, ask=what.ask, test_seconds=tested
        )


def _public_url(what: Examined, source: Source) -> str | None:
    """Return the source's public URL: below `base`, else as a subscription has it."""
    if what.base is not None:
        return hooks.hook_url(what.base, source.name)
    if source.api is None:
        return None
    try:
        with closing(PlanasonixClient(source.api)) as client:
            found = [item.url for item in Subscriptions(client).every() if hooks.source_of(item.url) == source.name]
    except BridgeError:
        return None
    return found[0] if found else None


def _store(what: Examined) -> Iterator[Finding]:
    if what.ask is None:
        yield unknown("store", "-", "nobody can be asked", "Give --url and --token-file.")
    else:
        try:
            answer = what.ask("status")
        except BridgeError as error:
            yield wrong("store", "-", f"it cannot be asked: {error}", "Look at the database, and at the bridge's log.")
        else:
            needs = [need for need in answer["needs"] if not need["what"].startswith("dag_")]
            if needs:
                says = f"{len(needs)} thing(s) need a person; the first: {needs[0]['says']}"
                yield wrong("store", "-", says, "Run `planasonix-bridge status`.")
            else:
                yield fine("store", "-", "it answers, and nothing in it needs a person")
    if what.disk is not None:
        yield _disk(what.disk)


def _disk(folder: Path) -> Finding:
    room = shutil.disk_usage(folder)
    says = f"{room.free / (1 << 30):.1f} GiB of {room.total / (1 << 30):.1f} are free"
    if room.free < _LEAST_FREE or room.free < _LEAST_SHARE * room.total:
        return wrong("disk", str(folder), says, "Make room: a full disk answers 503 to every webhook.")
    return fine("disk", str(folder), says)
