"""What a pace that follows Airflow costs where it is well, and gains where it is not: in turns with `adaptive: false`.

A real Airflow and a stand-in that are well; stand-ins whose calls get in each other's way, that bear few writers, or
that stand behind a gateway with a limit. Rates are from the first to the last run.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from deploy.demo.processes import free_port
from tests.bench import drain, machine, servers
from tests.bench.load import Requests, send_all
from tests.support.airflow_server import AirflowServer
from tests.support.service import wait_for
from tests.support.standin import Answer, Standin

_DAG = "refresh_sales_marts"
_AT_ONCE = 8
_SETTINGS = (True, False)


class _Strained:
    """Counts the calls under way and those that are refused; `answer` says what becomes of one."""

    def __init__(self) -> None:
        self.refused = 0
        self._now = 0
        self._level, self._filled_at = 10.0, time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, _: dict[str, Any]) -> Answer | None:
        with self._lock:
            self._now += 1
            refusal = self._refusal()
            self.refused += refusal is not None
        time.sleep(self._seconds())
        with self._lock:
            self._now -= 1
        return refusal

    def _seconds(self) -> float:
        return 0.02

    def _refusal(self) -> Answer | None:
        return None


class _Crowded(_Strained):
    """One call takes 50 ms, and more of them at once take 50 ms times the square of their number."""

    def _seconds(self) -> float:
        return 0.05 * self._now**2


class _FewWriters(_Strained):
    """More than two at once fail, after a while."""

    def _seconds(self) -> float:
        return 0.02 if self._now <= 2 else 0.5

    def _refusal(self) -> Answer | None:
        return (500, {"detail": {"reason": "Database error"}}) if self._now > 2 else None


class _Gateway(_Strained):
    """20 calls a second, 10 at once."""

    def _refusal(self) -> Answer | None:
        now = time.monotonic()
        self._level, self._filled_at = min(10.0, self._level + 20 * (now - self._filled_at)), now
        if self._level < 1:
            return 429, {"detail": "slow down"}
        self._level -= 1
        return None


def measure(*, real: int, strained: int, pairs: int) -> list[str]:
    """Let the real one drain `real` triggers and each stand-in `strained`, in turns; return the section."""
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    rows = [_row("a real Airflow, well", _real(real, pairs))]
    scenes: dict[str, Callable[[], _Strained]] = {
        "a stand-in, well": _Strained,
        "calls get in each other's way": _Crowded,
        "more than 2 at once fail": _FewWriters,
        "429 above 20 a second": _Gateway,
    }
    for name, scene in scenes.items():
        turns = [{is_on: _drained(scene(), strained, is_on) for is_on in order} for order in _orders(pairs)]
        rows.append(_row(name, turns))
    return [
        "## The pace under strain",
        "",
        f"`concurrency: {_AT_ONCE}`, `rate: 1000` for the real one and 100 for the stand-ins; {real:,} and "
        f"{strained:,} triggers, {pairs} pairs. Refused: calls that were answered 429 or 500.",
        "",
        "| Airflow | runs/s adaptive | runs/s without | ratio | refused adaptive | refused without |",
        "|---|---|---|---|---|---|",
        *rows,
    ]


def _orders(pairs: int) -> list[tuple[bool, ...]]:
    return [_SETTINGS if number % 2 == 0 else _SETTINGS[::-1] for number in range(pairs)]


def _row(name: str, turns: list[dict[bool, tuple[float, int]]]) -> str:
    middle = {is_on: sorted(turn[is_on] for turn in turns)[len(turns) // 2] for is_on in _SETTINGS}
    ratios = machine.spread([turn[True][0] / turn[False][0] for turn in turns])
    cells = (f"{middle[True][0]:.1f}", f"{middle[False][0]:.1f}", ratios, str(middle[True][1]), str(middle[False][1]))
    print(f"  {name}: {' | '.join(cells)}", flush=True)
    return f"| {name} | {' | '.join(cells)} |"


def _real(amount: int, pairs: int) -> list[dict[bool, tuple[float, int]]]:
    airflow = AirflowServer()
    try:
        return [
            {is_on: (drain.by_bridge(airflow, amount, _AT_ONCE, more=_adaptive(is_on)), 0) for is_on in order}
            for order in _orders(pairs)
        ]
    finally:
        airflow.close()


def _adaptive(is_on: bool) -> str:
    return f"\n    adaptive: {str(is_on).lower()}"


def _drained(strained: _Strained, amount: int, is_on: bool) -> tuple[float, int]:
    """Return the runs a second, and how many calls were refused."""
    path = servers.FOLDER / "requests.pace"
    more = f"    concurrency: {_AT_ONCE}\n    rate: 100{_adaptive(is_on)}"
    ends: list[float] = []
    with Standin(free_port()) as airflow:
        airflow.dags[_DAG] = {"is_paused": False}
        airflow.before = strained
        airflow.after = lambda _: ends.append(time.monotonic())
        with servers.bridge(mapping=servers.MATCHES, airflow_url=airflow.url, more=more) as bridge:
            asyncio.run(send_all(Requests(path, amount=3), port=bridge.port))  # so that a call alone was seen
            wait_for(lambda: len(airflow.runs(_DAG)) == 3, seconds=60, what="the first runs")
            before = len(ends)
            asyncio.run(send_all(Requests(path, amount=amount), port=bridge.port))
            wait_for(lambda: len(airflow.runs(_DAG)) == amount + 3, seconds=900, what="every trigger fired")
            path.unlink()
    return (len(ends) - before - 1) / (ends[-1] - ends[before]), strained.refused
