"""The installed command as a process that need not import everything anew.

Nearly all of what `planasonix-bridge serve` costs until its first call to Airflow is imports, and a run of all tests
starts some hundred of them. So a server that has imported everything forks them: the children are processes like any
other, with an id, a session, descriptors, variables and a folder of their own, and are killed like any other.

Only a run of tests forks, and not with `--exec`: benches and `make crash` start what users start. What an interpreter
reads before it runs a line (PYTHON*, LD_*, the locale, the time zone) can't be given to a fork. A test that changes one
of these gets a process that is started the long way. So does a test that runs `COMMAND` by itself.

process = CommandProcess("the bridge", ["serve"], env=environment, log=log); process.start()
done = run("check", "--store", env=environment)
"""

import array
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from deploy.demo import processes
from deploy.demo.airflow import REPOSITORY

COMMAND = REPOSITORY / ".venv" / "bin" / "planasonix-bridge"
_READ_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "TZ", "MALLOC_")


def is_forkable(env: Mapping[str, str]) -> bool:
    """Whether forks are wanted, and can have these variables: what an interpreter reads at its start is as here."""
    early = {name for name in {*env, *os.environ} if name.startswith(_READ_AT_START)}
    return _SERVER.is_wanted and all(env.get(name) == os.environ.get(name) for name in early)


class Child:
    """A process that the server forked; as far as it is used, a subprocess.Popen."""

    def __init__(self, pid: int, words: Sequence[str], ended: socket.socket) -> None:
        """Take what the server answered; `ended` gets the exit status, once."""
        self.pid = pid
        self._words = words
        self._ended = ended
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, minus the signal that ended it; None while it runs."""
        return self._read(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended. Raises subprocess.TimeoutExpired."""
        code = self._read(timeout)
        if code is None:
            raise subprocess.TimeoutExpired([str(COMMAND), *self._words], timeout or 0)
        return code

    def send_signal(self, sig: int) -> None:
        """Send it a signal unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def _read(self, timeout: float | None) -> int | None:
        if self._code is None and select.select([self._ended], [], [], timeout)[0]:
            said = self._ended.recv(16)
            self._code = int(said) if said else -signal.SIGKILL  # the server is gone, and all its children with it
            self._ended.close()
        return self._code


class _Server:
    """The client's side: one server for this process, started when the first child is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.is_wanted = False

    def end(self) -> None:
        """Let it end, and its children with it."""
        if self._channel is not None and self._process is not None:
            self._channel.close()
            self._process.wait()

    def fork(
        self, words: Sequence[str], *, env: Mapping[str, str], folder: Path, files: Sequence[IO[bytes]], leash: int
    ) -> Child:
        """Have a child forked with these three files, which gets the signal `leash` should the server end."""
        ours, theirs = socket.socketpair()
        asked = json.dumps({"words": [*words], "env": {**env}, "folder": str(folder), "leash": leash}).encode()
        fds = array.array("i", [*(file.fileno() for file in files), theirs.fileno()])
        with self._lock, theirs:
            channel = self._channel = self._channel or self._start()
            channel.sendall(len(asked).to_bytes(4))
            socket.send_fds(channel, [b"!"], [*fds])
            channel.sendall(asked)
            said = channel.recv(16)
        assert said, "the fork server has ended; what it said stands above"
        return Child(int(said), words, ours)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forkserver", str(theirs.fileno())],
                cwd=REPOSITORY,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        return ours


_SERVER = _Server()


def use() -> None:
    """Fork from here on, in this process."""
    _SERVER.is_wanted = True


def end() -> None:
    """End the server and whoever still runs."""
    _SERVER.end()


class CommandProcess(processes.Process):
    """A Process that is forked where it can be."""

    def __init__(self, name: str, words: Sequence[str], *, env: Mapping[str, str], log: Path) -> None:
        """Describe a child: `planasonix-bridge` with these words."""
        super().__init__(name, [str(COMMAND), *words], env=env, log=log)
        self._words = words

    def _fork(self) -> processes.Child:
        if not is_forkable(self._env):
            return super()._fork()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log, Path(os.devnull).open("rb") as nothing:
            files = [nothing, log, log]
            leash = self._stop_signal.value
            return _SERVER.fork(self._words, env=self._env, folder=Path.cwd(), files=files, leash=leash)


def run(
    *words: str | Path, env: Mapping[str, str], cwd: Path | None = None, stdin: bytes = b"", timeout: float = 300
) -> "subprocess.CompletedProcess[str]":
    """Run `planasonix-bridge` to its end. Raises subprocess.TimeoutExpired after killing it."""
    command = [str(COMMAND), *map(str, words)]
    if not is_forkable(env):
        done = subprocess.run(command, env=env, cwd=cwd, input=stdin, capture_output=True, check=False, timeout=timeout)
        return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        files, leash = [given, out, err], signal.SIGKILL.value
        child = _SERVER.fork(command[1:], env=env, folder=cwd or Path.cwd(), files=files, leash=leash)
        try:
            code = child.wait(timeout)
        finally:
            child.send_signal(signal.SIGKILL)
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(command, code, out.read().decode(), err.read().decode())
