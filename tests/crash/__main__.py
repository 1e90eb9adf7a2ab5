"""`python -m tests.crash --rounds 1000 --seed 1`: run rounds, print what came of them; exit 1 if one has not passed."""

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

from tests.crash.faults import FAULTS
from tests.crash.rounds import Plan, Result, plan, run
from tests.support.airflow_server import PostgresServer

Servers = SimpleQueue[PostgresServer | None]  # None: not needed so far


def play(plans: Iterable[Plan], *, at_once: int, kept: Path | None = None) -> Iterator[Result]:
    """Run rounds, `at_once` side by side, each PostgreSQL one on a server of its own; yields results as they come.

    `kept`: where the folder of a round that failed is copied to.
    """
    with ExitStack() as left, ThreadPoolExecutor(at_once) as pool:
        servers: Servers = SimpleQueue()
        for _ in range(at_once):
            servers.put(None)
        yield from pool.map(lambda item: _play_one(item, servers, kept, left), plans)


def _play_one(one: Plan, servers: Servers, kept: Path | None, left: ExitStack) -> Result:
    server = servers.get()
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    try:
        if one.store == "postgresql":
            if server is None:
                server = PostgresServer()
                left.callback(server.stop)
            server.start()
        try:
            result = run(one, folder, server)
        except AssertionError as error:
            result = Result(one, stuck=[str(error)])
        if result.wrong and kept is not None:
            shutil.copytree(folder, kept / f"{one.store}-{one.seed}", dirs_exist_ok=True)
        return result
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        servers.put(server)


def line(result: Result) -> str:
    """Say what came of a round."""
    made = result.plan
    faults = " + ".join(item.name for item in made.faults)
    said = "passed" if not result.wrong else "FAILED"
    return (
        f"{made.seed:>8} {made.store:<10} {made.replicas} {faults:<46} {result.acknowledged:>4} acknowledged "
        f"{result.runs:>4} runs {result.refused:>4} refused {result.recovery_seconds:>6.1f} s  {said}"
        + (f"\n         again: {made.again}" if result.wrong else "")
    )


def summary(results: list[Result]) -> str:
    """Return the totals."""
    kinds = Counter(item.name for result in results for item in result.plan.faults)
    recoveries = [result.recovery_seconds for result in results]
    lines = [
        f"rounds {len(results)}, of them failed {sum(bool(result.wrong) for result in results)}",
        f"acknowledged {sum(result.acknowledged for result in results)}, runs {sum(result.runs for result in results)}",
        *(
            f"{name} {sum(len(getattr(result, name)) for result in results)}"
            for name in ("lost", "doubled", "stuck", "off")
        ),
        f"writes that hit zero rows, their lease being lost: {sum(result.leases_lost for result in results)}",
        f"recovery p50 {statistics.median(recoveries):.1f} s, max {max(recoveries):.1f} s",
        "faults: " + ", ".join(f"{name} {kinds[name]}" for name in FAULTS),
    ]
    return "\n".join(lines)


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, help="of the first round; by chance if none is given")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), help="both by chance if none is given")
    parser.add_argument("--fault", choices=FAULTS, help="one that must be among a round's")
    parser.add_argument("--at-once", type=int, default=2, help="rounds side by side")
    parser.add_argument("--kept", type=Path, help="where to copy the folders of rounds that failed")
    asked = parser.parse_args()
    first = random.randrange(1_000_000) if asked.seed is None else asked.seed
    plans = [plan(first + n, store=asked.store, fault=asked.fault) for n in range(asked.rounds)]
    possible = [item for item in plans if item.is_possible]
    print(f"{asked.rounds} rounds from seed {first}", flush=True)
    if len(possible) < len(plans):
        print(f"{len(plans) - len(possible)} that set clocks are left out: `apt install faketime`", flush=True)
    if not possible:
        return 2
    began = time.monotonic()
    results = []
    for result in play(possible, at_once=asked.at_once, kept=asked.kept):
        results.append(result)
        print(line(result), flush=True)
        for wrong in result.wrong[:10]:
            print(f"         {wrong}", flush=True)
    print(summary(results))
    print(f"took {time.monotonic() - began:.0f} s")
    return int(any(result.wrong for result in results))


if __name__ == "__main__":
    sys.exit(main())
