"""A process under a clock that a fault sets lives as on a machine whose clock is set: nothing else changes for it."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.crash.clock import Clock, library
from tests.support.service import PYTHON

_HOUR = 3600
_TURNS = """\
import resource, threading, time

def work():
    while time.process_time() < 1:
        pass

threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw)
"""


@pytest.mark.skipif(library() is None, reason="libfaketime is not there")
@pytest.mark.parametrize("offset_seconds", [-_HOUR, 0, _HOUR])
def test_a_process_whose_clock_is_set_still_sleeps(offset_seconds: int, tmp_path: Path) -> None:
    """It wakes up after its time by the monotonic clock, and reads the wall clock that was set."""
    clock = Clock(tmp_path / "clock", is_faked=True)
    clock.set(offset_seconds)
    code = "import time; began = time.monotonic(); time.sleep(0.1); print(time.monotonic() - began, time.time())"
    environment = {**os.environ, **clock.variables}
    done = subprocess.run([PYTHON, "-c", code], env=environment, check=True, capture_output=True, text=True)
    slept, now = map(float, done.stdout.split())
    assert slept >= 0.1
    assert abs(now - offset_seconds - time.time()) < _HOUR / 2


@pytest.mark.skipif(library() is None, reason="libfaketime is not there")
def test_threads_of_a_process_whose_clock_is_set_take_turns(tmp_path: Path) -> None:
    """Who waits for the interpreter waits a turn of 1 ms: a second of work has a thousand, each seen by three."""
    clock = Clock(tmp_path / "clock", is_faked=True)
    environment = {**os.environ, **clock.variables}
    done = subprocess.run([PYTHON, "-c", _TURNS], env=environment, check=True, capture_output=True, text=True)
    assert int(done.stdout) < 10_000
