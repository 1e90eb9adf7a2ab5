"""The wall clock of the bridges, which a fault may set forward or back while they run (libfaketime).

The monotonic clock goes on as it is, as on a machine whose clock is set. libfaketime then makes `clock_nanosleep`, and
with it `time.sleep`, fail with EINVAL. So processes under it sleep by waiting for a lock, which it leaves alone.
It also lets `pthread_cond_timedwait` return at once (https://github.com/wolfcw/libfaketime/pull/503). That is how a
thread waits for its turn of the interpreter: with twenty threads, none got anywhere. Told how long to wait, it waits.
"""

import time
from pathlib import Path

_LIBRARY = Path(__file__).parents[2] / ".cache" / "debian" / "libfaketime"
_SLEEP = """\
import threading
import time


def sleep(seconds):
    threading.Event().wait(seconds)


time.sleep = sleep
"""


def library() -> Path | None:
    """Return libfaketime, None if `scripts/debian.sh libfaketime` could not fetch it."""
    return _LIBRARY if _LIBRARY.exists() else None


class Clock:
    """An offset to the true time, read from a file by every process that runs under it."""

    def __init__(self, file: Path, *, is_faked: bool) -> None:
        """Begin with the true time."""
        self._file = file
        self.offset_seconds = 0
        self.variables: dict[str, str] = {}
        if is_faked:
            self.set(0)
            site = file.with_suffix(".site")
            site.mkdir()
            (site / "sitecustomize.py").write_text(_SLEEP)
            self.variables = {
                "PYTHONPATH": str(site),
                "LD_PRELOAD": str(library()),
                "FAKETIME_TIMESTAMP_FILE": str(file),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_WAIT_MS": "1",
            }

    def set(self, offset_seconds: int) -> None:
        """Set the clock; takes effect at the next look at it."""
        beside = self._file.with_suffix(".new")
        beside.write_text(f"{offset_seconds:+d}s\n")
        beside.rename(self._file)
        self.offset_seconds = offset_seconds

    def now(self) -> float:
        """Return what the bridges take for the time."""
        return time.time() + self.offset_seconds
