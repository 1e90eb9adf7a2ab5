"""Hands messages to apprise, which knows a hundred and more services by their URLs. The only user of that library.

It runs in a process of its own (`child`), started for a few messages and ended with them. apprise takes seconds of a
core and 60 MB to load, its plugins wait as long as they like, and their log lines may hold what is secret: none of
that can touch the bridge. The URL goes in by a pipe; BRIDGE_* and other variables of the bridge do not go in at all.

    start    write what to send, and return at once
    poll     look whether it has ended; at the deadline its whole process group is killed
    outcome  for each message None if it was sent, or why it was not; also of one that was killed half-way
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from bridge.rules.scrubbing import scrub
from bridge.words.notices import Kind, Message
from bridge.words.targets import Secret

MAX_AT_ONCE = 3  # messages at once: what is written stays far below a pipe's 64 KiB, so writing waits for nobody
DEADLINE_SECONDS = 60.0  # loading it takes 4 s on a quiet machine
_CHILD = str(Path(__file__).with_name("child.py"))
_PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "LD_LIBRARY_PATH")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_TYPES = {Kind.NEW: "failure", Kind.MORE: "failure", Kind.OVER: "success"}
_LONGEST = 300
_POLL_SECONDS = 0.05
_KILLED_SECONDS = 1.0


def is_installed() -> bool:
    """Whether apprise is there."""
    return find_spec("apprise") is not None


class Sending:
    """Messages under way to one URL."""

    def __init__(self, url: Secret, messages: Sequence[Message], *, seconds: float = DEADLINE_SECONDS) -> None:
        """Start it; `MAX_AT_ONCE` messages at most. With none, it is tried whether apprise understands the URL."""
        self._url = url
        self._amount = max(1, len(messages))
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._is_late = False
        environ = {name: value for name, value in os.environ.items() if name in _PASSED_ON or name.lower() in _PROXIES}
        self._process = subprocess.Popen(  # noqa: S603 - our own file, and no shell
            [sys.executable, "-I", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
            start_new_session=True,
        )
        asked = {
            "url": url.reveal(),
            "messages": [{"title": m.title, "text": m.text, "type": _TYPES[m.kind]} for m in messages],
        }
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        with suppress(OSError):  # it is gone already: its outcome says so
            self._process.stdin.write(json.dumps(asked).encode())
            self._process.stdin.close()

    def poll(self) -> bool:
        """Whether it has ended; ends what is late."""
        if self._process.poll() is not None:
            return True
        if time.monotonic() < self._deadline:
            return False
        self._is_late = True
        self.kill()
        return True

    def wait(self, seconds: float) -> bool:
        """Wait so long at most, and return whether it has ended."""
        until = time.monotonic() + seconds
        while not self.poll():
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def kill(self) -> None:
        """End it, and whatever it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILLED_SECONDS)

    def outcome(self) -> list[str | None]:
        """Return for each message None if it was sent, or why not. To be called once, after its end."""
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        os.set_blocking(self._process.stdout.fileno(), False)  # a process that left its group may hold it open
        with self._process.stdout as pipe:
            lines = (pipe.read() or b"").decode("utf-8", "replace").splitlines()
        said = [self._problem(line) for line in lines[: self._amount]]
        rest = (
            f"it did not end within {self._seconds:g} s" if self._is_late else "the process that sends it ended early"
        )
        return said + [rest] * (self._amount - len(said))

    def _problem(self, line: str) -> str | None:
        try:
            problem = json.loads(line)["problem"]
        except (ValueError, KeyError, TypeError):
            problem = "the process that sends it said nothing readable"
        return None if problem is None else scrub(str(problem), [self._url.reveal()])[:_LONGEST]
