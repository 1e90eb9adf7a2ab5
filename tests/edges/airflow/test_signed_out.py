"""A sign-in that has ended, at an Airflow or a gateway that does not say so: 403 without a word, or a login page."""

import json
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.edges.airflow.session import Session
from bridge.edges.airflow.transport import Transport
from bridge.edges.airflow.wire import Answer
from bridge.words.targets import AirflowAuth, AirflowTarget
from tests.edges.airflow.support import RawServer, receive

FORBIDDEN = (403, "application/problem+json", b'{"title": "Forbidden", "detail": null}')
MOVED = (302, "text/html", b"")
PAGE = (200, "text/html", b"<html>sign in</html>")
RUN = b'{"dag_run_id": "run"}'


@dataclass
class Gate:
    """Lets in whoever has a cookie that has not ended; to others it says what a test wants."""

    noted: Path
    says: tuple[int, str, bytes] = FORBIDDEN
    ended: set[bytes] = field(default_factory=set)
    asked: list[bytes] = field(default_factory=list)
    now: float = 1000.0

    def behave(self, connection: socket.socket) -> None:
        """Answer one request."""
        request = receive(connection)
        cookie = request.partition(b"session=")[2].partition(b"\r\n")[0]
        self.asked.append(cookie)
        status, kind, body = self.says if cookie in self.ended else (200, "application/json", RUN)
        head = (
            f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        connection.sendall(head.encode() + body)

    def signed_in(self) -> int:
        """How often the command ran."""
        return len(self.noted.read_text())

    def session(self, url: str, version: str) -> Session:
        """One whose command prints cookies 1, 2, ..."""
        text = (
            "import json, pathlib\n"
            f"noted = pathlib.Path({str(self.noted)!r})\n"
            "noted.write_text(noted.read_text() + 'x')\n"
            "print(json.dumps({'headers': {'Cookie': f'session={len(noted.read_text())}'}}))\n"
        )
        auth = AirflowAuth(command=(sys.executable, "-c", text), command_seconds=60)
        target = AirflowTarget("default", url, auth, version=version)
        return Session(target, Transport(target), clock=lambda: self.now)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """One that has let nobody in."""
    (tmp_path / "runs").write_text("")
    return Gate(tmp_path / "runs")


@pytest.fixture
def url(gate: Gate) -> Iterator[str]:
    """Where it stands."""
    with RawServer(gate.behave) as server:
        yield server.url


@pytest.mark.parametrize(
    ("version", "says", "method"),
    [("2", FORBIDDEN, "POST"), ("2", MOVED, "POST"), ("3", MOVED, "POST"), ("3", PAGE, "GET")],
)
def test_a_sign_in_that_ended_is_replaced(
    gate: Gate, url: str, version: str, says: tuple[int, str, bytes], method: str
) -> None:
    """The same call goes well under the next one. A user who lacks the right runs the command once a minute at most."""
    gate.says = says
    session = gate.session(url, version)

    def status() -> int:
        answer = session.call(method, "dags")
        assert isinstance(answer, Answer)
        return 200 if answer.body == RUN else answer.status if answer.is_json else -answer.status

    refused = says[0] if says is FORBIDDEN else -says[0]
    assert status() == 200
    gate.ended.add(b"1")
    assert (status(), gate.signed_in()) == (refused, 1)  # so young that it is hardly the sign-in
    gate.now += 60
    assert (status(), gate.signed_in()) == (200, 2)
    gate.ended.add(b"2")
    assert (status(), gate.signed_in()) == (refused, 2)
    gate.now += 60
    assert (status(), gate.signed_in()) == (200, 3)
    session.close()


def test_a_change_that_was_answered_2xx_is_not_sent_twice(gate: Gate, url: str) -> None:
    """It may have been heard. The next call has the new sign-in."""
    gate.says = PAGE
    session = gate.session(url, "3")
    session.call("GET", "dags")
    gate.ended.add(b"1")
    gate.now += 60
    answer = session.call("POST", "dags", "marts", "dagRuns", body={})
    assert isinstance(answer, Answer)
    assert answer.body == PAGE[2]
    assert gate.asked == [b"1", b"1"]
    session.call("POST", "dags", "marts", "dagRuns", body={})
    assert gate.asked == [b"1", b"1", b"2"]
    session.close()


def test_a_missing_right_of_airflow_3_is_no_end_of_a_sign_in(gate: Gate, url: str) -> None:
    """There a 403 says which of the two it is."""
    gate.says = (403, "application/json", json.dumps({"detail": "Forbidden"}).encode())
    session = gate.session(url, "3")
    session.call("GET", "dags")
    gate.ended.add(b"1")
    gate.now += 3600
    answer = session.call("GET", "dags")
    assert isinstance(answer, Answer)
    assert (answer.status, gate.signed_in()) == (403, 1)
    session.close()
