"""What each trick of the fast path buys: the bridge with one switched off (plain.py) against today's, in turn.

By processor time of the bridge for each webhook, since a machine that others use as well says little by throughput.
Both run at once, on the same core, and are loaded in short turns: whatever else the machine does, it does to both.
Routing is off in both, but where it is named: it costs more than the acknowledgement, and how much of it falls into a
turn is chance. A turn lasts until no key waits to be folded: what is put off is not saved.
"""

import contextlib
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.processes import wait_until
from tests.bench import alone, machine, servers
from tests.bench.acks import Pinning, pinned
from tests.bench.load import Requests, send
from tests.support.service import BridgeProcess

_TENTH = 1.1
_MOST_A_SECOND = 25_000  # more than any bridge here has answered
_STORED = "SELECT COUNT(*) FROM deliveries"
_ROUTED = "SELECT NOT EXISTS (SELECT 1 FROM deliveries WHERE state = 'received')"
# Keys are folded in the order of ids, so the newest one is the last.
_FOLDED = (
    "SELECT EXISTS (SELECT 1 FROM dedup WHERE dedup_key = (SELECT dedup_key FROM deliveries ORDER BY id DESC LIMIT 1))"
)
_SETTLE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Trick:
    """One comparison: what is replaced by the plain way, and beside what that is off in both."""

    what: str
    off: tuple[str, ...]
    beside: tuple[str, ...] = ("routing",)
    keys: int = 0  # of earlier webhooks


TRICKS = (
    Trick("none: how far two equal bridges differ", ()),
    Trick("answers without an ASGI task (`take`)", ("take",)),
    Trick("the same with routing", ("take",), ()),
    Trick("keys in memory, folded later; an empty store", ("fold",)),
    Trick("the same with 1,000,000 keys stored", ("fold",), keys=1_000_000),
)


_PARTS = (
    ("event loop's work for a webhook, `take`", "loop", 16, "take"),
    ("a row of a batch of 16 with its key, an empty store", "sqlite", 0, "fold"),
    ("the same, 1,000,000 keys stored", "sqlite", 1_000_000, "fold"),
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: answers a second, and microseconds of processor time a webhook."""

    per_second: float
    microseconds: float


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two bridges."""

    bridge: BridgeProcess
    without: Sequence[str]

    def load(self, requests: Requests, pinning: Pinning, *, seconds: int) -> Turn:
        """Send for a while, and wait until all that came in is done with."""
        pid = self.bridge.process.pid
        stored, used = self._count(), machine.cpu_seconds(pid)
        load = send(requests, port=self.bridge.port, seconds=seconds, cores=pinning.generator)
        self._settle()
        used = machine.cpu_seconds(pid) - used
        return Turn(load.per_second, used / (self._count() - stored) * 1e6)

    def _count(self) -> int:
        return servers.ask(self.bridge, None, _STORED)

    def _settle(self) -> None:
        questions = [_FOLDED, *([] if "routing" in self.without else [_ROUTED])]
        wait_until(
            lambda: all(servers.ask(self.bridge, None, question) for question in questions),
            of=self.bridge.process,
            timeout_seconds=_SETTLE_SECONDS,
        )


def measure(*, rounds: int, seconds: int, names: Sequence[str] = ()) -> list[str]:
    """Run all pairs and return the section of the report; `names`: only comparisons of these tricks."""
    lines = [
        "## What each trick of the fast path buys",
        "",
        f"{rounds} pairs of {seconds} s: today's bridge and one with the trick replaced by the plain way in turn, both "
        "on one core, the generator on another. Microseconds of processor time of the bridge a webhook, until all keys "
        "are folded (medians); the ratio is plain to today's, pair by pair: median and range.",
        "",
        "| trick | today us | plain us | ratio | today/s | plain/s | a tenth |",
        "|---|---|---|---|---|---|---|",
    ]
    for trick in TRICKS:
        if not names or set(trick.off) & set(names):
            lines.append(_line(trick, _pairs(trick, rounds=rounds, seconds=seconds)))
            print(lines[-1], flush=True)
    return [*lines, "", *_alone()]


def _alone() -> list[str]:
    """Measure the parts by themselves: a busy neighbour only ever adds to that, so the least is what they cost."""
    lines = [
        "By itself, one thread's processor time, the least of many turns (`python -m tests.bench.alone`):",
        "",
        "| trick | today us | plain us | more us |",
        "|---|---|---|---|",
    ]
    for what, part, amount, trick in _PARTS:
        today, plain = alone.least(part, amount, []), alone.least(part, amount, [trick])
        lines.append(f"| {what} | {today:.1f} | {plain:.1f} | {plain - today:.1f} |")
    return lines


def _pairs(trick: Trick, *, rounds: int, seconds: int) -> list[tuple[Turn, Turn]]:
    """Load both in turn, in a changing order; return what each pair used. A first pair warms them up."""
    pinning, pairs = pinned(), []
    with ExitStack() as stack:
        variants = (trick.beside, trick.beside + trick.off)
        both = [stack.enter_context(_side(trick, without, pinning)) for without in variants]
        for number in range(rounds + 1):
            with _made_requests(seconds * _MOST_A_SECOND) as requests:
                order = both if number % 2 == 0 else both[::-1]
                turns = [side.load(requests, pinning, seconds=seconds) for side in order]
            pairs.append((turns[0], turns[1]) if number % 2 == 0 else (turns[1], turns[0]))
    return pairs[1:]


@contextlib.contextmanager
def _side(trick: Trick, without: Sequence[str], pinning: Pinning) -> Iterator[Side]:
    with ExitStack() as stack:
        bridge = stack.enter_context(servers.bridge(mapping=servers.MATCHES_NOTHING, without=without))
        machine.pin(bridge.process.pid, pinning.server)
        if trick.keys:
            with contextlib.closing(bridge.database()) as database:
                database.execute(alone.FILL, (trick.keys,))
        yield Side(bridge, without)


@contextlib.contextmanager
def _made_requests(amount: int) -> Iterator[Requests]:
    with tempfile.TemporaryDirectory(dir=servers.FOLDER) as folder:
        yield Requests(Path(folder, "turn"), amount=amount)


def _line(trick: Trick, pairs: Sequence[tuple[Turn, Turn]]) -> str:
    ratios = [plain.microseconds / today.microseconds for today, plain in pairs]
    used = [statistics.median(pair[side].microseconds for pair in pairs) for side in (0, 1)]
    rates = [statistics.median(pair[side].per_second for pair in pairs) for side in (0, 1)]
    is_worth = "yes" if statistics.median(ratios) >= _TENTH else "no"
    return (
        f"| {trick.what} | {used[0]:.1f} | {used[1]:.1f} | {machine.spread(ratios)} "
        f"| {rates[0]:,.0f} | {rates[1]:,.0f} | {is_worth} |"
    )
