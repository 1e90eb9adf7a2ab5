"""Many rounds, a few at a time, and what came of them."""

import multiprocessing
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from deploy.demo.airflow import REPOSITORY
from tests.crash.plans import CLOCKS, Plan, make
from tests.crash.rounds import Result, run
from tests.crash.system import HAS_CLOCKS, postgres_for

STORES = ("sqlite", "postgresql")
_LOGS = REPOSITORY / ".cache"  # of rounds that failed


def run_seeds(seeds: Sequence[int], stores: tuple[str, ...], *, at_once: int, say: bool) -> tuple[list[Result], int]:
    """Do the rounds of these seeds, `at_once` beside each other; returns the results and how many were left out."""
    plans = [make(seed, stores) for seed in seeds]
    able = [plan for plan in plans if HAS_CLOCKS or not CLOCKS & set(plan.kinds)]
    shares = [able[number::at_once] for number in range(at_once)]
    with ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn")) as pool:
        done = list(pool.map(_share, shares, [stores] * at_once, [say] * at_once))
    return [result for results in done for result in results], len(plans) - len(able)


def _share(plans: Sequence[Plan], stores: tuple[str, ...], say: bool) -> list[Result]:
    _end_with_parent()
    _LOGS.mkdir(exist_ok=True)
    results = []
    with postgres_for(stores) as postgres:
        for plan in plans:
            try:
                result = run(plan, postgres)
            except Exception as error:  # noqa: BLE001 - a round that cannot be done is a failure with a seed
                result = Result(plan)
                result.audit.faults.append(f"the round itself failed: {type(error).__name__}: {error}")
                if postgres is not None:
                    postgres.start()
            results.append(result)
            if say or not result.audit.is_clean:
                print(_line(result), flush=True)
            if result.audit.is_clean:
                result.logs = ""
            else:
                (_LOGS / f"crash-{plan.seed}.log").write_text(result.logs)
    return results


def _end_with_parent() -> None:
    """End with whoever asked for the rounds, so that no process outlives it."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _line(result: Result) -> str:
    plan, audit = result.plan, result.audit
    faults = " + ".join(f"{fault.kind} at {fault.at_seconds:.2f} s" for fault in plan.faults)
    head = f"{'ok  ' if audit.is_clean else 'FAIL'} SEED={plan.seed} {plan.store} x{plan.replicas}: {faults}"
    told = f"{audit.acknowledged} acknowledged, {audit.runs} runs, {audit.calls} calls, {result.recovery_seconds:.1f} s"
    return "\n       ".join([f"{head}: {told}", *audit.faults[:8]])


def totals(results: Sequence[Result], left_out: int) -> str:
    """Return the table of a run."""
    times = sorted(result.recovery_seconds for result in results) or [0.0]
    kinds: Counter[str] = Counter(f"{kind}" for result in results for kind in result.plan.kinds)
    alone = sum(len(result.plan.kinds) == 1 for result in results)
    answers: Counter[str] = sum((result.answers for result in results), Counter())
    failed = [result for result in results if not result.audit.is_clean]
    lines = [
        f"rounds        {len(results)} ({alone} with one fault, {len(results) - alone} with two), {len(failed)} failed"
        + (f", {left_out} left out: no libfaketime (apt install faketime)" if left_out else ""),
        *(f"  {kind:<18} {amount}" for kind, amount in sorted(kinds.items())),
        f"stores        {dict(Counter(result.plan.store for result in results))}",
        f"disk full by  {dict(Counter(result.disk for result in results if result.disk))}",
        f"answers       {dict(answers)}",
        f"acknowledged  {sum(result.audit.acknowledged for result in results)}",
        f"DAG runs      {sum(result.audit.runs for result in results)}"
        f" from {sum(result.audit.calls for result in results)} calls",
        f"lost          {sum(result.audit.lost for result in results)}",
        f"doubled       {sum(result.audit.doubled for result in results)}",
        f"stuck         {sum(result.audit.stuck for result in results)}",
        f"zero-row      {sum(result.leases_lost for result in results)} settlements of a lease that was taken over",
        f"recovery      p50 {statistics.median(times):.1f} s, max {times[-1]:.1f} s",
        *(f"again         make crash ROUNDS=1 SEED={result.plan.seed}" for result in failed),
    ]
    return "\n".join(lines)
