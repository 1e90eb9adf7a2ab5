"""The load generator: signed requests made beforehand, and wrk, which sends each of them once.

wrk is one thread in C, so that it is never what a run measures; Lua only hands it the next prepared request.
"""

import asyncio
import json
import re
import secrets
import subprocess
import time
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from bridge.rules import samples
from bridge.rules.signature import PRESETS, Key, sign
from deploy.demo.airflow import REPOSITORY
from tests.support.service import SECRET

CONNECTIONS = 64
PATH = "/hooks/planasonix"
_ANSWER_SECONDS = 20  # wrk counts a slower answer as broken; its default of 2 is reached on a busy machine
_WRK = REPOSITORY / ".cache" / "debian" / "wrk"
_SCRIPT = Path(__file__).with_name("load.lua")
TEMPLATE = samples.compact(samples.changed("job.succeeded", {}))
_RESULT = re.compile(r"^RESULT (.*)$", re.MULTILINE)


class NotInstalled(Exception):
    """wrk is missing."""


@dataclass(frozen=True, slots=True)
class Load:
    """One run of the generator."""

    answers: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


class Requests:
    """A file of requests, each with an id and a job of its own, signed with the time of its making."""

    def __init__(
        self, path: Path, *, amount: int, secret: str = SECRET, preset: str = "planasonix", target: str = PATH
    ) -> None:
        """Write the file (7 microseconds and 1.1 kB a request); `target` is the path to post to."""
        self.path = path
        self.amount = amount
        key, scheme, now = Key("current", secret.encode()), PRESETS[preset], int(time.time())
        template = json.loads(TEMPLATE)
        template["id"], template["job_id"], template["data"]["id"] = "evt_ID", "job_ID", "job_ID"
        pieces = json.dumps(template, separators=(",", ":")).encode().split(b"ID")
        with path.open("wb") as file:
            for _ in range(amount):
                body = secrets.token_hex(10).encode().join(pieces)
                raw = _request(target, body, sign(scheme, key, body, now))
                file.write(b"%08d%s" % (len(raw), raw))
        self.body_bytes = len(body)


def _request(target: str, body: bytes, signed: dict[str, str]) -> bytes:
    headers = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": str(len(body)), **signed}
    head = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    return f"POST {target} HTTP/1.1\r\n{head}\r\n".encode() + body


def check_installed() -> None:
    """Take wrk from PATH or out of Debian's package; raise NotInstalled with what to type when neither is there."""
    script = REPOSITORY / "scripts" / "debian.sh"
    done = subprocess.run([str(script), "wrk"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInstalled(f"wrk, the load generator, is missing: apt-get install wrk\n{done.stderr}")


def send(requests: Requests, *, port: int, seconds: int, cores: Set[int], is_refused: bool = False) -> Load:
    """Send for so long over 64 connections, from these cores.

    AssertionError when an answer was not 2xx (4xx if `is_refused`), a connection broke, or a request had to be sent
    twice.
    """
    where = ["taskset", "-c", ",".join(map(str, sorted(cores)))]
    what = [
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        f"--timeout={_ANSWER_SECONDS}s",
        "-s",
        str(_SCRIPT),
        f"http://127.0.0.1:{port}",
    ]
    command = [*where, str(_WRK), *what, "--", str(requests.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    found = _RESULT.search(done.stdout)
    assert found is not None, done.stdout + done.stderr
    told = json.loads(found[1])
    assert told["not_2xx"] == (told["answers"] if is_refused else 0), told
    assert told["broken"] == 0, told
    # wrk asks for one request before it begins, to look at it.
    assert told["sent"] - 1 <= requests.amount, f"{told['sent']} requests were sent, {requests.amount} were made"
    return Load(told["answers"], told["microseconds"] / 1e6, told["p50"] / 1e3, told["p99"] / 1e3)


async def send_all(requests: Requests, *, port: int) -> None:
    """Send every request of the file exactly once over 64 connections; AssertionError for another answer than 202."""
    waiting = _raw(requests.path)

    async def send_some() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for raw in waiting:
            writer.write(raw)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 202"), head
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()

    await asyncio.gather(*(send_some() for _ in range(CONNECTIONS)))


def _raw(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while size := file.read(8):
            yield file.read(int(size))
