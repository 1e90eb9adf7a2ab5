"""One request against servers on loopback that misbehave in every way seen so far."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import pytest

from bridge.edges.airflow.transport import Transport
from bridge.edges.airflow.wire import Answer, Failure, Kind
from bridge.words.targets import AirflowTarget, Secret
from tests.edges.airflow.support import Call, Serve, floods, receive, says, trickles
from tests.support.service import wait_for

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def test_answer_comes_whole(serve: Serve, call: Call) -> None:
    """Status, content type, Retry-After and body."""
    raw = b"HTTP/1.1 503 Busy\r\nContent-Type: text/plain\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nwait"
    assert call(serve(says(raw)).url) == Answer(503, "text/plain", b"wait", 7.0)


def test_request_is_sent_as_given(serve: Serve, call: Call) -> None:
    """Our headers, JSON with its length, nothing compressed, and the path below the base URL's."""
    got: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        got.append(receive(connection))
        connection.sendall(OK)

    call(serve(behave).url + "/team/airflow/")
    head, _, body = got[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /team/airflow/api HTTP/1.1\r\n")
    assert b"X-Own: 1" in head
    assert b"Accept-Encoding: identity" in head
    assert body == b'{"a": "\\u00fc"}'


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_redirects_are_not_followed(serve: Serve, call: Call, status: int, method: str) -> None:
    """A POST that is sent on could start a run elsewhere, and take the token along."""
    asked: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        while received := receive(connection):
            asked.append(received)
            connection.sendall(b"HTTP/1.1 %d X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" % status)

    answer = call(serve(behave).url, method)
    assert isinstance(answer, Answer)
    assert answer.status == status
    assert len(asked) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: a\r\n" * 200 + b"\r\n",
    ],
)
def test_broken_answer_leaves_the_outcome_unknown(serve: Serve, call: Call, raw: bytes, method: str) -> None:
    """Whatever of the answer is missing or not HTTP: the request was sent once and may have been heard."""
    asked: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        asked.append(receive(connection))
        connection.sendall(raw)

    failure = call(serve(behave).url, method)
    assert isinstance(failure, Failure), failure
    assert failure.kind is Kind.UNKNOWN
    assert len(asked) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n" + b"x" * 4000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1000,
    ],
)
def test_trickle_ends_at_the_deadline(serve: Serve, call: Call, raw: bytes) -> None:
    """A byte every 50 ms never hits a read timeout; the deadline ends it, in the head or in the body."""
    began = time.monotonic()
    failure = call(serve(trickles(raw)).url, seconds=0.6)
    assert failure == Failure(Kind.UNKNOWN, "no whole answer within 0.6 s")
    assert time.monotonic() - began < 30


def test_trickle_without_a_length_ends_at_the_deadline_and_is_not_taken_for_whole(serve: Serve, call: Call) -> None:
    """Here the broken connection would look like the proper end of the body."""

    def behave(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b" ")
            time.sleep(0.05)

    began = time.monotonic()
    assert call(serve(behave).url, seconds=0.6) == Failure(Kind.UNKNOWN, "no whole answer within 0.6 s")
    assert time.monotonic() - began < 30


def test_silence_ends_at_the_read_timeout(serve: Serve, call: Call) -> None:
    """An Airflow that accepts and says nothing costs `read_seconds`, and the outcome is unknown."""

    def behave(connection: socket.socket) -> None:
        while receive(connection):
            pass

    began = time.monotonic()
    failure = call(serve(behave).url, read_seconds=0.3)
    assert isinstance(failure, Failure)
    assert failure.kind is Kind.UNKNOWN
    assert time.monotonic() - began < 30


def test_endless_answer_is_cut(serve: Serve, call: Call) -> None:
    """1 MiB is read, not more, and the rest does not hold the connection."""
    answer = call(serve(floods(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")).url)
    assert isinstance(answer, Answer)
    assert answer.is_cut
    assert answer.json() is None
    assert len(answer.body) <= (1 << 20) + (1 << 14)


def test_nobody_listens(free_port: int, call: Call) -> None:
    """Refused: nothing was sent."""
    failure = call(f"http://127.0.0.1:{free_port}")
    assert failure == Failure(Kind.NOTHING_SENT, "ConnectionRefusedError: Connection refused")


def test_name_that_does_not_exist(call: Call) -> None:
    """Not resolved: nothing was sent."""
    failure = call("http://airflow.invalid")
    assert isinstance(failure, Failure)
    assert failure.kind is Kind.NOTHING_SENT


def timers() -> int:
    """Return how many deadlines run in this process."""
    return sum(isinstance(thread, threading.Timer) for thread in threading.enumerate())


def test_connections_are_kept_and_outlive_a_deadline(serve: Serve) -> None:
    """Two calls use one connection, and the timer of the first does not end the second."""
    seen: list[int] = []

    def behave(connection: socket.socket) -> None:
        while receive(connection):
            seen.append(connection.getpeername()[1])
            if len(seen) == 2:
                wait_for(lambda: timers() == 1, seconds=60, what="only the second call's time runs")
            connection.sendall(OK)

    transport = Transport(AirflowTarget("default", serve(behave).url))
    answers = [transport.call("GET", "/", headers={}, seconds=seconds) for seconds in (10, 100, 100)]
    transport.close()
    assert all(isinstance(answer, Answer) for answer in answers)
    assert len(set(seen)) == 1


def test_connection_that_the_server_closed_is_not_used_again(serve: Serve) -> None:
    """A pooled connection that has died costs a new one, not a failed call."""
    closed = threading.Event()

    def behave(connection: socket.socket) -> None:
        says(OK)(connection)
        connection.close()
        closed.set()

    transport = Transport(AirflowTarget("default", serve(behave).url))
    answers = []
    for _ in range(3):
        answers.append(transport.call("POST", "/", headers={}, seconds=60))
        assert closed.wait(60)
        closed.clear()
    transport.close()
    assert [answer.status for answer in answers if isinstance(answer, Answer)] == [200] * 3


def test_details_never_show_what_was_sent(serve: Serve) -> None:
    """A token that cannot be a header value is not repeated in the failure."""
    transport = Transport(AirflowTarget("default", serve(says(OK)).url))
    failure = transport.call("GET", "/", headers={"Authorization": "Bearer secret\r\nX: 1"}, seconds=5)
    transport.close()
    assert isinstance(failure, Failure)
    assert "secret" not in failure.detail


@dataclass
class Proxied:
    """A small proxy: passes requests on to a port, and keeps their heads. It answers once `may_answer` is set."""

    port: int
    heads: list[bytes] = field(default_factory=list)
    may_answer: threading.Event = field(default_factory=threading.Event)
    has_ended: threading.Event = field(default_factory=threading.Event)

    def behave(self, connection: socket.socket) -> None:
        """Serve one connection to its end."""
        while request := receive(connection):
            self.heads.append(request)
            assert self.may_answer.wait(60)
            with socket.create_connection(("127.0.0.1", self.port)) as behind:
                behind.sendall(request)
                while part := behind.recv(65536):
                    connection.sendall(part)
        self.has_ended.set()


def test_another_proxy_is_used_from_the_next_call_on(serve: Serve) -> None:
    """A call under way ends well through the one before, whose connections are closed then."""
    backend = serve(says(OK))
    first, second = Proxied(backend.port), Proxied(backend.port)
    target = AirflowTarget("default", backend.url, proxy=Secret(serve(first.behave).url))
    transport = Transport(target)

    def ask() -> Answer | Failure:
        return transport.call("GET", "/", headers={}, seconds=60)

    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(ask)
        wait_for(lambda: bool(first.heads), seconds=60, what="the first proxy has the call")
        url = serve(second.behave).url.replace("//", "//ann:word@")
        transport.take_over(replace(target, proxy=Secret(url)))
        second.may_answer.set()
        assert isinstance(ask(), Answer)
        assert not first.has_ended.is_set()
        first.may_answer.set()
        assert isinstance(under_way.result(60), Answer)
    assert first.has_ended.wait(60)
    transport.take_over(replace(target, proxy=None))
    assert isinstance(ask(), Answer)
    assert second.has_ended.wait(60)
    transport.close()
    assert [len(each.heads) for each in (first, second)] == [1, 1]
    assert b"basic yw5uondvcmq=" in second.heads[0].lower()


def test_the_same_proxy_keeps_its_connections(serve: Serve) -> None:
    """A rotation that changes a header alone opens no new connection."""
    got: list[tuple[int, bool]] = []

    def behave(connection: socket.socket) -> None:
        while request := receive(connection):
            got.append((connection.getpeername()[1], b"X-Gate: new" in request))
            connection.sendall(OK)

    target = AirflowTarget("default", "http://airflow.invalid", proxy=Secret(serve(behave).url))
    transport = Transport(target)
    for value in ("old", "new"):
        transport.take_over(replace(target, headers={"X-Gate": Secret(value)}))
        assert isinstance(transport.call("GET", "/", headers={}, seconds=60), Answer)
    transport.close()
    assert [is_new for _, is_new in got] == [False, True]
    assert len({port for port, _ in got}) == 1
