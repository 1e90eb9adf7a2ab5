"""What the numbers were measured on, and what a process uses of it."""

import contextlib
import os
import platform
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Iterable, Sequence, Set
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("uvicorn", "uvloop", "httptools", "starlette", "msgspec", "sqlalchemy", "apache-airflow-client")
_LOOK_SECONDS = 0.5
_TICKS = os.sysconf("SC_CLK_TCK")


def describe(folder: Path, date: str) -> list[str]:
    """Return the facts that a reader needs to judge the numbers; `folder` is where the store lies."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.release()}"
    return [
        f"- {date}; {os.cpu_count()} cores of {_processor()}, {memory:.0f} GB; {system}",
        f"- Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {libraries}",
        "- the store: SQLite in WAL mode with `synchronous=FULL` (fsync before every answer) on "
        f"{_filesystem(folder)}; a 64 kB append with fsync took {fsync_ms(folder):.2f} ms (median of 50)",
        f"- load at the start: {os.getloadavg()[0]:.1f} runnable processes of others and our own",
    ]


def fsync_ms(folder: Path) -> float:
    """Return the median of 50 appends of 64 kB with fdatasync."""
    path, block, seconds = folder / "fsync.probe", os.urandom(65_536), []
    with path.open("wb", buffering=0) as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(block)
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - began)
    path.unlink()
    return statistics.median(seconds) * 1e3


def cpu_share(pid: int, seconds: float) -> float:
    """Return how much of a core a process uses, measured over so long."""
    before, began = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / (time.monotonic() - began)


def pin(pid: int, cores: Set[int]) -> None:
    """Keep every thread of a process, and those it will start, on these cores."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def pin_children(pid: int, cores: Set[int]) -> None:
    """Keep a process, those it started and those it will start on these cores."""
    for item in (pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())):
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it has ended meanwhile
            pin(item, cores)


def cores() -> list[int]:
    """Return the cores that this process may use, those first that others use least just now."""
    before = _busy_ticks()
    time.sleep(_LOOK_SECONDS)
    after = _busy_ticks()
    return sorted(os.sched_getaffinity(0), key=lambda core: after[core] - before[core])


def _busy_ticks() -> dict[int, int]:
    """Return the ticks that each core has worked."""
    found = {}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name.startswith("cpu") and name != "cpu":
            found[int(name[3:])] = sum(map(int, ticks)) - int(ticks[3])
    return found


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mb(pid: int) -> tuple[float, float]:
    """Return a process's RSS and PSS (shared pages divided among those who share them)."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) / 1024
    return found["Rss"], found["Pss"]


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that so many percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Spell a median and its range."""
    return f"**{statistics.median(values):.{digits}f}** ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _filesystem(folder: Path) -> str:
    command = ["df", "--output=fstype", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]
