"""Child processes that never outlive whoever started them, and free ports for them.

Every child leads a process group of its own, so that stopping it stops what it started itself, and asks the
kernel for a signal should this process die without saying goodbye. Nothing here looks for processes by name.
"""

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

_PR_SET_PDEATHSIG = 1
_LOWEST_PORT, _HIGHEST_PORT = 20_000, 32_000
_ports = range(_LOWEST_PORT, _HIGHEST_PORT)
_given: set[int] = set()

# The kernel sends the signal when the *thread* that forked ends, so one thread forks for all and lives on.
_FORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forker")

# Looked up here: a fork of a threaded process may load nothing. Not on Linux it is None, and orphans are possible.
_prctl = getattr(ctypes.CDLL(None), "prctl", None)


class Child(Protocol):
    """What is needed of a subprocess.Popen."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...


class Process:
    """One child, its log file and its process group; can be started again after it ended."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        user_id: int | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Describe a child; `user_id` is a system user to become, `stop_signal` what ends it politely."""
        self.name = name
        self.log = log
        self._command = list(command)
        self._env = dict(env)
        self._user_id = user_id
        self._stop_signal = stop_signal
        self._child: Child | None = None
        self._is_cleared = True

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None before that."""
        return None if self._child is None else self._child.poll()

    @property
    def pid(self) -> int:
        """The process id, which is also its group's. Raises RuntimeError before the first start."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._child.pid

    def start(self) -> None:
        """Start it, appending to its log. Starting a running one changes nothing."""
        if not self.is_running:
            self._child = _FORKER.submit(self._fork).result()
            self._is_cleared = False

    def stop(self, *, timeout_seconds: float = 15) -> None:
        """Ask it to end, and kill the whole group when it does not, or leaves somebody behind."""
        self.ask_to_end()
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(timeout_seconds)
        self.kill()

    def ask_to_end(self) -> None:
        """Send the polite signal and return at once."""
        if self._child is not None and self.is_running:
            self._child.send_signal(self._stop_signal)

    def kill(self) -> None:
        """End the whole group at once, as a power cut would."""
        if self._child is None or self._is_cleared:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        self._is_cleared = True  # the number may be somebody else's from here on

    def tail(self, lines: int = 30) -> str:
        """The end of its log, for the message that says why it did not start."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _fork(self) -> Child:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - the command is ours
                self._command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self._user_id,
                extra_groups=None if self._user_id is None else [],
                preexec_fn=self._leash,  # noqa: PLW1509 - one system call, looked up before
            )

    def _leash(self) -> None:
        if _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, self._stop_signal.value)


def stop_all(processes: Sequence[Process]) -> None:
    """Stop them side by side; an interrupt meanwhile (a second Ctrl-C) kills them."""
    try:
        for process in processes:
            process.ask_to_end()
        for process in processes:
            process.stop()
    finally:
        for process in processes:
            process.kill()


class DidNotStart(Exception):
    """A child ended, or did not become ready in time; the message ends with the tail of its log."""


def wait_until(ready: Callable[[], bool], *, of: Process, timeout_seconds: float) -> None:
    """Ask `ready` until it says yes. Raises DidNotStart when `of` ends or time runs out."""
    deadline = time.monotonic() + timeout_seconds
    while not ready():
        if not of.is_running:
            raise DidNotStart(f"{of.name} ended with exit code {of.exit_code}\n{of.tail()}")
        if time.monotonic() > deadline:
            raise DidNotStart(f"{of.name} was not ready after {timeout_seconds:.0f} s\n{of.tail()}")
        time.sleep(0.05)


def draw_ports_from(part: int, *, of: int) -> None:
    """Draw ports from one part of several only, so that processes that start servers at once cannot collide."""
    global _ports  # noqa: PLW0603 - what this process was told stands beside it
    _ports = range(_LOWEST_PORT + part, _HIGHEST_PORT, of)


def free_port(preferred: int = 0) -> int:
    """`preferred` if nobody on loopback has it, else any free one that this process was not told of before.

    Whoever asks listens a moment later, so that a free port is not enough: a port is told once, and drawn from the
    system's own randomness, which no seed makes the same in two processes. It lies below the range that the kernel
    takes for outgoing connections (32768 and up on Linux): one of those could have it by then.
    """
    drawn = random.SystemRandom().sample(_ports, 200)
    for port in (*([preferred] if preferred else []), *(port for port in drawn if port not in _given), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found = int(probe.getsockname()[1])
            _given.add(found)
            return found
    raise OSError("no free port on loopback")
