"""Intake, claims, start and pages with millions of settled deliveries, against an empty store; SQLite and PostgreSQL.

The history is written by SQL beside the bridge, as retention would leave it: every delivery routed a while ago, with
its key, one trigger and one attempt, random ids throughout. Empty and full take turns within one round.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bridge.edges.inbox import Inbox, prepare, triggers
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.words.model import DeliveryState
from tests.bench import acks, filling, machine, servers
from tests.bench.load import Requests, send
from tests.support.airflow_server.postgres import PostgresServer
from tests.support.store import accept, attempt, claim, new_trigger, settlement

_CLAIMS = 2_000
_AT_ONCE = 8
_PAGES = {
    "newest deliveries": ("deliveries", {}),
    "unrouted deliveries": ("deliveries", {"state": "unrouted"}),
    "newest triggers": ("triggers", {}),
    "failed triggers": ("triggers", {"state": "failed"}),
}
_LOOKS = 30
_SETTLE_SECONDS = 3.0  # the Airflow client is imported meanwhile
Make = Callable[[], AbstractContextManager[str]]


@dataclass(frozen=True, slots=True)
class Turn:
    """What is the same for both stores of a round."""

    server: PostgresServer
    pinning: acks.Pinning
    requests: tuple[Requests, Requests]
    seconds: int


@dataclass(slots=True)
class Seen:
    """What was measured of one store; a value a round."""

    ready_seconds: list[float] = field(default_factory=list)
    acks: list[float] = field(default_factory=list)
    claims: list[float] = field(default_factory=list)
    pages_ms: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    amount: int  # deliveries of the full store
    rounds: int
    seconds: int


def measure(plan: Plan) -> list[str]:
    """Fill both stores, take turns, and return the section of the report."""
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    lines = [
        f"## With {plan.amount:,} stored deliveries",
        "",
        f"{plan.rounds} rounds of {plan.seconds} s; each delivery with its key, a trigger and an attempt. Acks: a "
        f"mapping that matches nothing. Claims: {_CLAIMS:,} triggers claimed {_AT_ONCE} at a time, and settled one by "
        f"one. Pages: the admin API, 50 rows, median of {_LOOKS}.",
    ]
    with servers.postgres() as server, acks.made_requests(plan.seconds * acks.MOST_A_SECOND) as requests:
        makers: dict[str, Make] = {"SQLite": _sqlite, "PostgreSQL": lambda: _postgresql(server)}
        for name, make in makers.items():
            lines += ["", f"### {name}", "", *_compare(make, server, requests, plan)]
    return lines


@contextmanager
def _sqlite() -> Iterator[str]:
    path = servers.FOLDER / f"history-{time.monotonic_ns()}.db"
    try:
        yield f"sqlite:///{path}"
    finally:
        for item in path.parent.glob(f"{path.name}*"):
            item.unlink()


@contextmanager
def _postgresql(server: PostgresServer) -> Iterator[str]:
    name = f"history_{time.monotonic_ns()}"
    yield server.create_database(name)
    server.drop_database(name)


def _compare(make: Make, server: PostgresServer, requests: tuple[Requests, Requests], plan: Plan) -> list[str]:
    empty, full = Seen(), Seen()
    with make() as filled:
        began = time.monotonic()
        prepare(filled)
        filling.fill(filled, plan.amount)
        note = f"Filled in {time.monotonic() - began:.0f} s; {filling.gigabytes(filled):.1f} GB."
        for number in range(plan.rounds):
            turn = Turn(server, acks.pinned(), requests, plan.seconds)
            with make() as fresh:
                prepare(fresh)
                turns = [(fresh, empty), (filled, full)]
                for url, seen in turns if number % 2 == 0 else reversed(turns):
                    _look(url, seen, turn)
            print(f"  round {number + 1}: acks {empty.acks[-1]:,.0f} -> {full.acks[-1]:,.0f}/s", flush=True)
    return [note, "", *_table(empty, full)]


def _look(url: str, seen: Seen, turn: Turn) -> None:
    """Start a bridge on a store and measure it; then claim there without one."""
    began = time.monotonic()
    with servers.bridge(mapping=servers.MATCHES_NOTHING, store=url) as bridge:
        seen.ready_seconds.append(time.monotonic() - began)
        time.sleep(_SETTLE_SECONDS)
        for name, (what, query) in _PAGES.items():
            seen.pages_ms.setdefault(name, []).append(_page_ms(bridge, what, query))
        machine.pin(bridge.process.pid, turn.pinning.server)
        if not url.startswith("sqlite"):
            machine.pin_children(turn.server.pid, turn.pinning.others())
        cores = turn.pinning.generator
        send(turn.requests[0], port=bridge.port, seconds=acks.WARM_UP_SECONDS, cores=cores)
        seen.acks.append(send(turn.requests[1], port=bridge.port, seconds=turn.seconds, cores=cores).per_second)
    filling.forget_loads(url)
    seen.claims.append(_claims_per_second(url))


def _page_ms(bridge: servers.BridgeProcess, what: str, query: dict[str, str]) -> float:
    times = []
    for _ in range(_LOOKS):
        began = time.perf_counter()
        bridge.api(what, limit=50, **query)
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def _claims_per_second(url: str) -> float:
    """Claim and settle triggers that wait beside the history."""
    inbox = Inbox(url)
    try:
        now = datetime.now(UTC)
        accepted = accept(inbox, *(f"evt_claim_{time.monotonic_ns()}_{number}" for number in range(_CLAIMS)))
        routings = [
            Routing(item.delivery_id, DeliveryState.ROUTED, None, None, None, [new_trigger(inbox, item.delivery_id)])
            for item in accepted
        ]
        inbox.write(settle_routing, routings, now=now)
        done, began = 0, time.monotonic()
        while claims := claim(inbox, now=now + timedelta(seconds=1), limit=_AT_ONCE):
            for claimed in claims:
                assert inbox.write(triggers.settle, claimed, settlement(), attempt())
            done += len(claims)
        assert done == _CLAIMS
        return done / (time.monotonic() - began)
    finally:
        inbox.close()


def _table(empty: Seen, full: Seen) -> list[str]:
    lines = ["| what | empty | full | ratio |", "|---|---|---|---|"]
    for name, before, after in (("acks", empty.acks, full.acks), ("claims", empty.claims, full.claims)):
        ratio = machine.spread([more / less for less, more in zip(before, after, strict=True)])
        lines.append(f"| {name}/s | {statistics.median(before):,.0f} | {statistics.median(after):,.0f} | {ratio} |")
    lines.append(_row("start to ready, s", empty.ready_seconds, full.ready_seconds, digits=2))
    return lines + [_row(f"page of {name}, ms", empty.pages_ms[name], full.pages_ms[name]) for name in _PAGES]


def _row(name: str, empty: list[float], full: list[float], *, digits: int = 1) -> str:
    return f"| {name} | {statistics.median(empty):.{digits}f} | {statistics.median(full):.{digits}f} | |"
