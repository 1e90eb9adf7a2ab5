"""Durable, signed, deduplicated acknowledgements a second, as a ratio to a bare server that does none of that.

Bare and bridge run in turn, in a changing order, and a ratio is taken within one round only: the machine's mood
changes from minute to minute, and both have the same. Every run of the bridge starts a process with an empty store.
"""

import re
import secrets
import statistics
import tempfile
from collections.abc import Callable, Iterator, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import machine, servers
from tests.bench.load import CONNECTIONS, Load, Requests, send
from tests.support.airflow_server.postgres import PostgresServer
from tests.support.service import SECRET, BridgeProcess, wait_for

MOST_A_SECOND = 40_000  # more than any server here has answered: requests are made for so many
MOST_SUSTAINED = 20_000
WARM_UP_SECONDS = 2  # the Airflow client is imported meanwhile
_COUNT_SECONDS = 60
_COUNTED = re.compile(r'^bridge_deliveries_total\{outcome="(\w+)",source="planasonix"\} ([0-9.e+]+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """One server under load: what the generator saw, and the processor time of one answer."""

    load: Load
    cpu_microseconds: float


@dataclass(frozen=True, slots=True)
class Pinning:
    """Which cores the server and the generator may use; None: any."""

    name: str
    server: Set[int]
    generator: Set[int]

    def others(self) -> Set[int]:
        """Return the cores for everything else."""
        cores = set(machine.cores())
        return cores - self.server - self.generator or cores


@dataclass(frozen=True, slots=True)
class Kind:
    """One server to compare: a bridge's mapping and store; without a mapping, the bare server."""

    mapping: str = ""
    is_shared: bool = False  # on PostgreSQL


KINDS = {
    "bare": Kind(),
    "SQLite, unmatched": Kind(servers.MATCHES_NOTHING),
    "SQLite, matched": Kind(servers.MATCHES),
    "PostgreSQL, unmatched": Kind(servers.MATCHES_NOTHING, is_shared=True),
    "PostgreSQL, matched": Kind(servers.MATCHES, is_shared=True),
}
_BRIDGES = [name for name in KINDS if name != "bare"]


def pinned() -> Pinning:
    """Give the two quietest cores to server and generator; on a machine with one, both share it."""
    server, generator = (machine.cores() * 2)[:2]
    return Pinning("server on one core, generator on another", {server}, {generator})


def unpinned() -> Pinning:
    """Let both run where they like."""
    return Pinning("unpinned", set(machine.cores()), set(machine.cores()))


def measure(*, rounds: int, seconds: int, sustained_seconds: int) -> list[str]:
    """Run everything and return the section of the report."""
    lines = [
        "## Acknowledgements a second",
        "",
        f"{CONNECTIONS} connections, {rounds} rounds of {seconds} s each way, every request another. Bare: uvicorn, "
        "uvloop, httptools, a Starlette route that reads the body and answers 202. Unmatched: the bridge with a "
        "mapping that matches nothing, so every delivery is stored, read and set `unrouted`. Matched: every delivery "
        "matches a route whose Airflow refuses connections, so its trigger is made and held as well. PostgreSQL has "
        "the cores that the bridge and the generator leave.",
    ]
    with servers.postgres() as server:
        done = measure_rounds(pinned, server, rounds=rounds, seconds=seconds)
        bare = statistics.median(runs["bare"].load.per_second for runs in done)
        lines += ["", "### Server on one core, generator on another", "", *_table(done)]
        for name in ("SQLite, matched", "PostgreSQL, matched"):
            lines.append(measure_sustained(name, server, bare, seconds=sustained_seconds))
        done = measure_rounds(unpinned, server, rounds=max(1, rounds // 2), seconds=seconds)
    return [*lines, "", "### Unpinned", "", *_table(done)]


def measure_rounds(
    pin: Callable[[], Pinning], server: PostgresServer, *, rounds: int, seconds: int
) -> list[dict[str, Run]]:
    """Run all kinds in turn, forth and back, each round on the cores that are quiet when it begins."""
    done = []
    for number in range(rounds):
        pinning = pin()
        names = list(KINDS) if number % 2 == 0 else list(reversed(KINDS))
        with made_requests(seconds * MOST_A_SECOND) as requests:
            runs = {name: run_one(KINDS[name], pinning, requests, server, seconds=seconds) for name in names}
        done.append(runs)
        told = ", ".join(f"{name} {runs[name].load.per_second:,.0f}/s" for name in KINDS)
        print(f"  {pinning.name}, round {number + 1}: {told}", flush=True)
    return done


def measure_sustained(name: str, server: PostgresServer, bare_per_second: float, *, seconds: int) -> str:
    """Run the bridge once for so long that keys of events no longer all stay in memory; return a line."""
    with made_requests(seconds * MOST_SUSTAINED) as requests:
        run = run_one(KINDS[name], pinned(), requests, server, seconds=seconds)
    rate = run.load.per_second
    return (
        f"- {name}, {seconds} s without a pause ({run.load.answers:,} webhooks): {rate:,.0f}/s, "
        f"{rate / bare_per_second:.2f} of bare, p99 {run.load.p99_ms:.1f} ms"
    )


@contextmanager
def made_requests(amount: int, *, secret: str = SECRET) -> Iterator[tuple[Requests, Requests]]:
    """Make the requests of a warm-up and of a run; each server that gets them has an empty store."""
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=servers.FOLDER) as folder:
        warm, run = Path(folder, "warm"), Path(folder, "run")
        yield (
            Requests(warm, amount=WARM_UP_SECONDS * MOST_A_SECOND, secret=secret),
            Requests(run, amount=amount, secret=secret),
        )


def run_one(
    kind: Kind, pinning: Pinning, requests: tuple[Requests, Requests], server: PostgresServer, *, seconds: int
) -> Run:
    """Start one server, warm it up, load it, and check that it did what it acknowledged."""
    with ExitStack() as stack:
        store = stack.enter_context(empty_database(server)) if kind.is_shared else None
        if kind.mapping:
            bridge = stack.enter_context(servers.bridge(mapping=kind.mapping, store=store))
            pid, port = bridge.process.pid, bridge.port
        else:
            process, port = stack.enter_context(servers.bare())
            bridge, pid = None, process.pid
        machine.pin(pid, pinning.server)
        if store is not None:
            machine.pin_children(server.pid, pinning.others())
        warm = send(requests[0], port=port, seconds=WARM_UP_SECONDS, cores=pinning.generator)
        used = machine.cpu_seconds(pid)
        load = send(requests[1], port=port, seconds=seconds, cores=pinning.generator)
        run = Run(load, (machine.cpu_seconds(pid) - used) / load.answers * 1e6)
        if bridge is not None:
            check_kept(bridge, store, answers=warm.answers + load.answers, loads=2)
    return run


@contextmanager
def empty_database(server: PostgresServer) -> Iterator[str]:
    """Make an empty database, and drop it."""
    name = f"bench_{secrets.token_hex(4)}"
    yield server.create_database(name)
    server.drop_database(name)


def check_kept(bridge: BridgeProcess, store: str | None, *, answers: int, loads: int) -> None:
    """Assert that the store holds exactly what was acknowledged, once each.

    The generator hangs up at the end without reading the last answers, at most one a connection and load. Their
    webhooks are stored and counted a moment later.
    """

    def seen() -> tuple[dict[str, int], int]:
        counted = {outcome: int(float(amount)) for outcome, amount in _COUNTED.findall(bridge.metrics())}
        return counted, servers.ask(bridge, store, "SELECT count(*) FROM deliveries")

    def is_counted() -> bool:
        counted, rows = seen()
        return counted == {"accepted": rows, "duplicate": 0, "stale": 0}

    wait_for(is_counted, seconds=_COUNT_SECONDS, what=lambda: f"every stored webhook counted: {seen()}")
    _, rows = seen()
    assert answers <= rows <= answers + loads * CONNECTIONS, (answers, rows)


def _table(rounds: list[dict[str, Run]]) -> list[str]:
    lines = [
        f"| round | bare/s | {' | '.join(f'{name}/s | ratio' for name in _BRIDGES)} |",
        f"|---|---|{'---|---|' * len(_BRIDGES)}",
    ]
    for number, runs in enumerate(rounds, 1):
        rates = {name: run.load.per_second for name, run in runs.items()}
        cells = [f"{rates['bare']:,.0f}"]
        for name in _BRIDGES:
            cells += [f"{rates[name]:,.0f}", f"{rates[name] / rates['bare']:.2f}"]
        lines.append(f"| {number} | {' | '.join(cells)} |")
    lines.append("")
    for name in _BRIDGES:
        ratios = [runs[name].load.per_second / runs["bare"].load.per_second for runs in rounds]
        costs = [runs["bare"].cpu_microseconds / runs[name].cpu_microseconds for runs in rounds]
        lines.append(f"- {name}: {machine.spread(ratios)} of bare; by processor time {machine.spread(costs)}")
    for name in KINDS:
        median = {
            "p50": machine.percentile([runs[name].load.p50_ms for runs in rounds], 50),
            "p99": machine.percentile([runs[name].load.p99_ms for runs in rounds], 50),
        }
        cpu = machine.percentile([runs[name].cpu_microseconds for runs in rounds], 50)
        lines.append(
            f"- {name}: latency p50 {median['p50']:.1f} ms, p99 {median['p99']:.1f} ms; "
            f"{cpu:.0f} microseconds of processor time an answer (medians of the rounds)"
        )
    return lines
