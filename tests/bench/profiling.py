"""Where the time goes: py-spy looks at the loaded bridge from outside, and its samples are summed up.

Two sums over the samples of every thread that was running: by thread, and within a thread by function of the
bridge (with everything that the function called).
"""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.bench import machine, servers
from tests.bench.acks import KINDS, MOST_A_SECOND, pinned
from tests.bench.load import Requests, send

_SECONDS = 6
_SAMPLES_A_SECOND = 400
_TOP = 40
_LEAST_PERCENT = 1.5


def measure(*, only_gil: bool = False) -> list[str]:
    """Load the bridge under py-spy and return the section of the report."""
    lines = ["## Where the time of an acknowledgement goes", ""]
    for kind in ("SQLite, unmatched", "SQLite, matched"):
        lines += [f"### {kind}", "", *summarize(_record(kind, only_gil=only_gil)), ""]
    return lines[:-1]


def _record(kind: str, *, only_gil: bool) -> str:
    """Return py-spy's raw stacks: `thread;function (file:line);... samples`."""
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or "py-spy"
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    requests, raw = servers.FOLDER / "requests", servers.FOLDER / "stacks"
    pinning = pinned()
    with servers.bridge(mapping=KINDS[kind].mapping) as bridge:
        machine.pin(bridge.process.pid, pinning.server)
        made = Requests(requests, amount=_SECONDS * MOST_A_SECOND)
        command = [program, "record", "--threads", "--format", "raw", "--output", str(raw), "--nonblocking"]
        command += ["--rate", str(_SAMPLES_A_SECOND), "--duration", str(_SECONDS - 1), "--pid", str(bridge.process.pid)]
        spy = subprocess.Popen(
            [*command, *(["--gil"] if only_gil else [])], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        send(made, port=bridge.port, seconds=_SECONDS, cores=pinning.generator)
        assert spy.wait(60) == 0, "py-spy needs to be root, or the parent of what it looks at"
    requests.unlink()
    return raw.read_text()


def summarize(raw: str) -> list[str]:
    """Sum up the stacks as two Markdown tables."""
    threads: Counter[str] = Counter()
    within: Counter[tuple[str, str]] = Counter()
    for line in raw.splitlines():
        stack, _, samples = line.rpartition(" ")
        thread, *frames = stack.split(";")
        name = thread.partition('"')[2].rstrip('"') or thread.partition("): ")[2] or thread
        threads[name] += int(samples)
        for frame in {_function(frame) for frame in frames}:
            within[name, frame] += int(samples)
    total = sum(threads.values()) or 1
    lines = ["| thread | % of all samples |", "|---|---|"]
    lines += [f"| {name} | {100 * amount / total:.0f} |" for name, amount in threads.most_common(6)]
    lines += ["", "| thread | function, with all it called | % of all samples |", "|---|---|---|"]
    ranked = [(pair, 100 * amount / total) for pair, amount in within.most_common()]
    shown = [(pair, percent) for pair, percent in ranked if percent >= _LEAST_PERCENT and _is_telling(pair[1])]
    return lines + [f"| {thread} | `{frame}` | {percent:.1f} |" for (thread, frame), percent in shown[:_TOP]]


def _function(frame: str) -> str:
    """Drop the line number: `Intake.insert (.../intake.py:93)` -> `... (.../intake.py)`."""
    return frame.rpartition(":")[0] + ")"


def _is_telling(frame: str) -> bool:
    """Leave out what only stands above everything else: the command line, and the beginning of a thread."""
    return not any(part in frame for part in ("(threading.py", "asyncio/runners", "bridge/cli", "typer/", "<module>"))
