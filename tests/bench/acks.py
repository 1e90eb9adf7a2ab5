"""Durable, signed, deduplicated acknowledgements a second, as a ratio to a bare server that does none of that.

Bare and bridge run in turn, in a changing order, and a ratio is taken within one round only: the machine's mood
changes from minute to minute, and both have the same. Every run of the bridge starts a process with an empty store.
"""

import re
import statistics
from collections.abc import Callable, Iterator, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.bench import machine, servers
from tests.bench.load import CONNECTIONS, Load, Requests, send
from tests.service import BridgeProcess

MOST_A_SECOND = 40_000  # more than any server here has answered: requests are made for so many
MOST_SUSTAINED = 20_000
_WARM_UP_SECONDS = 1
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


KINDS = {
    "bare": "",
    "unmatched": servers.MATCHES_NOTHING,
    "matched": servers.MATCHES,
}


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
        "matches a route whose Airflow refuses connections, so its trigger is made and held as well.",
    ]
    done = measure_rounds(pinned, rounds=rounds, seconds=seconds)
    bare = statistics.median(runs["bare"].load.per_second for runs in done)
    lines += ["", "### Server on one core, generator on another", "", *_table(done)]
    lines += measure_sustained(bare, seconds=sustained_seconds)
    done = measure_rounds(unpinned, rounds=rounds, seconds=seconds)
    return [*lines, "", "### Unpinned", "", *_table(done)]


def measure_rounds(pin: Callable[[], Pinning], *, rounds: int, seconds: int) -> list[dict[str, Run]]:
    """Run all kinds in turn, forth and back, each round on the cores that are quiet when it begins."""
    done = []
    for number in range(rounds):
        pinning = pin()
        kinds = list(KINDS) if number % 2 == 0 else list(reversed(KINDS))
        with made_requests(seconds * MOST_A_SECOND) as requests:
            runs = {kind: run_one(kind, pinning, requests, seconds=seconds) for kind in kinds}
        done.append(runs)
        told = ", ".join(f"{kind} {runs[kind].load.per_second:,.0f}/s" for kind in KINDS)
        print(f"  {pinning.name}, round {number + 1}: {told}", flush=True)
    return done


def measure_sustained(bare_per_second: float, *, seconds: int) -> list[str]:
    """Run the bridge once for so long that keys of events no longer all stay in memory; return lines."""
    with made_requests(seconds * MOST_SUSTAINED) as requests:
        run = run_one("matched", pinned(), requests, seconds=seconds)
    rate = run.load.per_second
    return [
        f"- matched, {seconds} s without a pause ({run.load.answers:,} webhooks, so that most keys were folded into "
        f"their table meanwhile): {rate:,.0f}/s, {rate / bare_per_second:.2f} of bare, p99 {run.load.p99_ms:.1f} ms"
    ]


@contextmanager
def made_requests(amount: int) -> Iterator[tuple[Requests, Requests]]:
    """Make the requests of a warm-up and of a run; each server that gets them has an empty store."""
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    paths = [servers.FOLDER / name for name in ("requests.warm", "requests")]
    try:
        yield Requests(paths[0], amount=_WARM_UP_SECONDS * MOST_A_SECOND), Requests(paths[1], amount=amount)
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def run_one(kind: str, pinning: Pinning, requests: tuple[Requests, Requests], *, seconds: int) -> Run:
    """Start one server, warm it up, load it, and check that it did what it acknowledged."""
    with ExitStack() as stack:
        if kind == "bare":
            process, port = stack.enter_context(servers.bare())
            bridge, pid = None, process.pid
        else:
            bridge = stack.enter_context(servers.bridge(mapping=KINDS[kind]))
            pid, port = bridge.process.pid, bridge.port
        machine.pin(pid, pinning.server)
        warm = send(requests[0], port=port, seconds=_WARM_UP_SECONDS, cores=pinning.generator)
        used = machine.cpu_seconds(pid)
        load = send(requests[1], port=port, seconds=seconds, cores=pinning.generator)
        run = Run(load, (machine.cpu_seconds(pid) - used) / load.answers * 1e6)
        if bridge is not None:
            check_kept(bridge, answers=warm.answers + load.answers, loads=2)
    return run


def check_kept(bridge: BridgeProcess, *, answers: int, loads: int) -> None:
    """Assert that the store holds exactly what was acknowledged, once each.

    The generator hangs up at the end without reading the last answers, at most one a connection and load.
    """
    counted = {outcome: int(float(amount)) for outcome, amount in _COUNTED.findall(bridge.metrics())}
    with bridge.database() as store:
        (rows,) = store.execute("SELECT count(*) FROM deliveries").fetchone()
    assert counted == {"accepted": rows, "duplicate": 0, "stale": 0}, (counted, rows)
    assert answers <= rows <= answers + loads * CONNECTIONS, (answers, rows)


def _table(rounds: list[dict[str, Run]]) -> list[str]:
    lines = ["| round | bare/s | unmatched/s | ratio | matched/s | ratio |", "|---|---|---|---|---|---|"]
    for number, runs in enumerate(rounds, 1):
        rates = {kind: run.load.per_second for kind, run in runs.items()}
        cells = [f"{rates['bare']:,.0f}"]
        for kind in ("unmatched", "matched"):
            cells += [f"{rates[kind]:,.0f}", f"{rates[kind] / rates['bare']:.2f}"]
        lines.append(f"| {number} | {' | '.join(cells)} |")
    lines.append("")
    for kind in ("unmatched", "matched"):
        ratios = [runs[kind].load.per_second / runs["bare"].load.per_second for runs in rounds]
        costs = [runs["bare"].cpu_microseconds / runs[kind].cpu_microseconds for runs in rounds]
        lines.append(f"- {kind}: {machine.spread(ratios)} of bare; by processor time {machine.spread(costs)}")
    for kind in KINDS:
        median = {
            "p50": machine.percentile([runs[kind].load.p50_ms for runs in rounds], 50),
            "p99": machine.percentile([runs[kind].load.p99_ms for runs in rounds], 50),
        }
        cpu = machine.percentile([runs[kind].cpu_microseconds for runs in rounds], 50)
        lines.append(
            f"- {kind}: latency p50 {median['p50']:.1f} ms, p99 {median['p99']:.1f} ms; "
            f"{cpu:.0f} microseconds of processor time an answer (medians of the rounds)"
        )
    return lines
