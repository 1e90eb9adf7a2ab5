"""The server's side: it imports what the command may need, and then forks one child after the other.

It has one thread, so a child begins with no lock held by anybody. Children are told apart by their ids; as each ends,
its exit status goes to whoever asked for it. The server ends with the channel, and its children get their signal.
"""

import ctypes
import gc
import importlib
import io
import json
import os
import pkgutil
import selectors
import signal
import socket
import sys
from typing import Any, TextIO

import bridge

_PR_SET_PDEATHSIG = 1
_LIBRARIES = (
    *("airflow_client.client", "alembic.command", "alembic.config", "httpx", "rich.console", "rich.progress"),
    *("prometheus_client", "psycopg", "sqlalchemy.dialects.sqlite", "uvicorn", "uvloop"),
)


def _import_everything() -> None:
    for found in pkgutil.walk_packages(bridge.__path__, "bridge."):
        if not found.name.endswith((".__main__", ".child")) and "migrations" not in found.name:
            importlib.import_module(found.name)
    for name in _LIBRARIES:
        importlib.import_module(name)


def _serve(channel: socket.socket) -> list[str]:
    """Fork children until the channel is closed; returns in a child, with the words of its command line."""
    awake, wake = socket.socketpair()
    for end in (awake, wake):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    waiting: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        selector.register(awake, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is awake:
                    awake.recv(4096)
                    _report(waiting)
                    continue
                size = channel.recv(4)
                if not size:
                    raise SystemExit(0)
                _, fds, _, _ = socket.recv_fds(channel, 1, 4)
                asked = json.loads(_exactly(channel, int.from_bytes(size)))
                pid = os.fork()
                if pid == 0:
                    for end in (channel, awake, wake):
                        end.close()
                    _become(asked, fds, [*fds, *waiting.values()])
                    return [str(word) for word in asked["words"]]
                waiting[pid] = fds.pop()
                for fd in fds:
                    os.close(fd)
                channel.sendall(str(pid).encode())


def _exactly(channel: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        part = channel.recv(size - len(read))
        if not part:
            raise SystemExit(1)  # whoever asked has died meanwhile
        read += part
    return read


def _report(waiting: dict[int, int]) -> None:
    """Send the exit status of each child that has ended to whoever waits for it."""
    while waiting:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        fd = waiting.pop(pid)
        try:
            os.write(fd, str(os.waitstatus_to_exitcode(status)).encode())
        except BrokenPipeError:
            pass  # nobody waits any more
        finally:
            os.close(fd)


def _become(asked: dict[str, Any], fds: list[int], needless: list[int]) -> None:
    """Be a process of its own: session, leash, files, variables, folder, and signals as at any start."""
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, asked["leash"])
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, fd in enumerate(fds[:3]):
        os.dup2(fd, number)
    for fd in needless:
        os.close(fd)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["folder"])
    sys.stdin, sys.stdout, sys.stderr = _text(0, "r"), _text(1, "w"), _text(2, "w")
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr


def _text(fd: int, mode: str) -> TextIO:
    """Open a standard stream as the interpreter does."""
    before = (sys.stdin, sys.stdout, sys.stderr)[fd]
    raw = open(fd, mode + "b", closefd=False)  # noqa: SIM115 - a standard stream is never closed
    return io.TextIOWrapper(raw, encoding=before.encoding, errors=before.errors, line_buffering=fd == 2)


if __name__ == "__main__":
    _import_everything()
    gc.collect()
    gc.freeze()
    words = _serve(socket.socket(fileno=int(sys.argv[1])))
    from bridge.cli import main

    sys.argv = ["planasonix-bridge", *words]
    __package__ = None  # or usage messages would name this module
    sys.exit(main())
