"""Malformed and smuggled HTTP on raw sockets: one clean refusal or a closed connection, and honest senders go on.

docs/security.md, "What a stranger may cost": the bounds of a head. Content-Length with Transfer-Encoding is refused.
"""

import contextlib
import re
import socket
import time
from collections.abc import Iterator

import pytest

from deploy.demo.processes import free_port
from tests.support.service import BridgeProcess, body, signed
from tests.web.conftest import MAPPING
from tests.web.support import chunked, read_answer, request

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]

_NUMBERS = iter(range(1_000_000))
HEAD = b"POST /hooks/planasonix HTTP/1.1\r\nHost: bridge\r\n"


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A bridge with little patience."""
    item = BridgeProcess(
        tmp_path_factory.mktemp("bridge"),
        airflow_url=f"http://127.0.0.1:{free_port()}",
        mapping=MAPPING,
        settings={"BRIDGE_MAX_BODY_BYTES": "65536", "BRIDGE_HEAD_SECONDS": "2", "BRIDGE_IDLE_SECONDS": "1"},
    )
    item.start()
    yield item
    item.close()


def converse(bridge: BridgeProcess, sent: bytes, *, is_half_closed: bool = False) -> bytes:
    """Send and return everything that comes back until the bridge ends the connection, as it does with an idle one."""
    received = b""
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        try:
            connection.sendall(sent)
            if is_half_closed:
                with contextlib.suppress(OSError):  # it may be closed already
                    connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65_536):
                received += piece
        except ConnectionError:
            pass
    return received


def is_cut_off(connection: socket.socket, piece: bytes, *, times: int, pause_seconds: float = 0) -> bool:
    """Send a piece again and again; whether the bridge ended that."""
    try:
        for _ in range(times):
            connection.sendall(piece)
            time.sleep(pause_seconds)
    except ConnectionError:
        return True
    return False


def statuses(received: bytes) -> list[int]:
    """Return the status of every answer in what came back."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def fields(payload: bytes) -> bytes:
    """Return the signed headers of a payload as they travel."""
    return b"".join(f"{name}: {value}\r\n".encode() for name, value in signed(payload).items())


@pytest.fixture(autouse=True)
def _honest_senders_go_on(bridge: BridgeProcess) -> Iterator[None]:
    """After whatever a test did, the next honest request works, and the bridge blames nobody but the sender."""
    yield
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:  # no pool: none is idle
        connection.sendall(request(body(event=f"evt_honest_{next(_NUMBERS)}")))
        assert read_answer(connection).status == 202
    assert "Traceback" not in bridge.log


def is_stored(bridge: BridgeProcess, event: str) -> bool:
    """Whether a delivery with this event id is there."""
    return bool(bridge.api("deliveries", event_id=event)["deliveries"])


# --- one reading, or none ------------------------------------------------------------------

BROKEN = {
    "CL and TE": b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "TE and CL": b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG",
    "two CL": b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    "two equal CL": b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "CL list": b"Content-Length: 5, 5\r\n\r\nabcde",
    "CL sign": b"Content-Length: +5\r\n\r\nabcde",
    "CL negative": b"Content-Length: -5\r\n\r\nabcde",
    "CL hex": b"Content-Length: 0x5\r\n\r\nabcde",
    "CL overflow": b"Content-Length: 18446744073709551621\r\n\r\nabcde",
    "CL digits": b"Content-Length: " + b"0" * 40 + b"x\r\n\r\nabcde",
    "CL before colon": b"Content-Length : 5\r\n\r\nabcde",
    "TE unknown": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE not last": b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "TE gzip": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "TE vertical tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE folded": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "obs-fold": b"X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "obs-fold tab": b"X-A: b\r\n\tc\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"X-A: b\nContent-Length: 0\r\n\r\n",
    "bare LF end": b"Content-Length: 0\n\n",
    "bare CR": b"X-A: b\rContent-Length: 0\r\n\r\n",
    "NUL in value": b"X-A: b\0c\r\nContent-Length: 0\r\n\r\n",
    "NUL in name": b"X-A\0: b\r\nContent-Length: 0\r\n\r\n",
    "no name": b": b\r\nContent-Length: 0\r\n\r\n",
    "blank before colon": b"X-A : b\r\nContent-Length: 0\r\n\r\n",
    "no colon": b"X-A\r\nContent-Length: 0\r\n\r\n",
    "two hosts": b"Host: other\r\nContent-Length: 0\r\n\r\n",
    "chunk size hex": b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n",
    "chunk size negative": b"Transfer-Encoding: chunked\r\n\r\n-5\r\nabcde\r\n0\r\n\r\n",
    "chunk size blank": b"Transfer-Encoding: chunked\r\n\r\n 5\r\nabcde\r\n0\r\n\r\n",
    "chunk size none": b"Transfer-Encoding: chunked\r\n\r\n\r\nabcde\r\n0\r\n\r\n",
    "chunk size overflow": b"Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nabcde\r\n0\r\n\r\n",
    "chunk too long": b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n0\r\n\r\n",
    "chunk with LF": b"Transfer-Encoding: chunked\r\n\r\n5\nabcde\n0\n\n",
    "chunk extension with a line": b'Transfer-Encoding: chunked\r\n\r\n5;a="\r\n"\r\nabcde\r\n0\r\n\r\n',
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_message_is_refused_once(bridge: BridgeProcess, name: str) -> None:
    """400 and the end of the connection; what hides behind it never becomes a request of its own."""
    hidden = body(event="evt_hidden_behind_a_broken_one")
    received = converse(bridge, HEAD + BROKEN[name] + request(hidden))
    assert statuses(received) == [400]
    assert b"connection: close" in received
    assert not is_stored(bridge, "evt_hidden_behind_a_broken_one")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /livez\r\n\r\n",
        b"GET /livez HTTP/0.9\r\nHost: b\r\n\r\n",
        b"GET /livez HTTP/2.0\r\nHost: b\r\n\r\n",
        b"GET /livez HTTP/1.2\r\nHost: b\r\n\r\n",
        b"GET /livez HTTP/11.1\r\nHost: b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
        b"GET evil.example:443 HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET livez HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET /livez HTTP/1.1\nHost: b\n\n",
        b"A" * 5000 + b" / HTTP/1.1\r\nHost: b\r\n\r\n",
        b"get /livez HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 30_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
        b"{}\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[:24]),
)
def test_a_broken_first_line_or_head_is_refused_once(bridge: BridgeProcess, sent: bytes) -> None:
    """HTTP/0.9, HTTP/2's preface, authority-form, TLS, huge methods, paths, heads and counts: one 400 or nothing."""
    assert statuses(converse(bridge, sent, is_half_closed=True)) in ([400], [])


def test_what_is_refused_is_counted(bridge: BridgeProcess) -> None:
    """By reason; an operator sees an attack, or a proxy that mangles."""
    converse(bridge, b"nonsense\r\n\r\n")
    found = re.search(r'bridge_connections_ended_total\{listener="public",reason="malformed"} (\S+)', bridge.metrics())
    assert found is not None
    assert float(found[1]) >= 1


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://evil.example/hooks/planasonix", 202),
        (b"http://evil.example/api/v1/status", 404),
        (b"https://evil.example:8081/metrics", 404),
        (b"*", 404),
        (b"//hooks/planasonix", 404),
        (b"/hooks/planasonix?source=other&a=" + b"x" * 2000, 202),
        (b"/hooks/planasonix#/metrics", 202),
        (b"/hooks/planasonix;v=1", 404),
    ],
)
def test_a_target_is_its_path(bridge: BridgeProcess, target: bytes, status: int) -> None:
    """absolute-form is read as RFC 9112 says; its host, a query and a fragment choose nothing."""
    payload = body(event=f"evt_target_{next(_NUMBERS)}")
    found = statuses(converse(bridge, request(payload, path=target)))
    assert found in ([status], [400] if status != 202 else [status])


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "SOURCE"])
def test_no_method_but_post(bridge: BridgeProcess, method: str) -> None:
    """TRACE and OPTIONS tell nothing either."""
    received = converse(bridge, request(body(event="evt_method"), method=method))
    assert statuses(received) == [405]
    assert b"evt_method" not in received
    assert not is_stored(bridge, "evt_method")


# --- chunks --------------------------------------------------------------------------------


def test_chunk_extensions_are_skipped(bridge: BridgeProcess) -> None:
    """They are HTTP, and no part of the body: the signature over the body alone is right."""
    payload = body(event="evt_chunk_extension")
    sent = HEAD + fields(payload) + b'Transfer-Encoding: chunked\r\n\r\n%x;a=b;c="d"\r\n' % len(payload)
    assert statuses(converse(bridge, sent + payload + b"\r\n0;e\r\n\r\n")) == [202]


def test_a_trailer_is_no_header(bridge: BridgeProcess) -> None:
    """A signature that comes behind the body is none."""
    payload = body(event="evt_trailer")
    sent = HEAD + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(payload)[:-2]
    assert statuses(converse(bridge, sent + fields(payload) + b"\r\n")) == [400]
    assert not is_stored(bridge, "evt_trailer")


def test_trailers_without_end_are_cut_off(bridge: BridgeProcess) -> None:
    """They are bounded as headers are, although they come when nobody counts headers any more."""
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.sendall(HEAD + fields(b"{}") + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Filler: ")
        assert is_cut_off(connection, b"x" * 65_536, times=900)


# --- several requests on one connection ----------------------------------------------------


def test_pipelined_requests_are_answered_in_order(bridge: BridgeProcess) -> None:
    """Each once, also if they come in one packet."""
    payloads = [body(event=f"evt_in_line_{number}") for number in range(3)]
    received = converse(bridge, b"".join(request(payload) for payload in (*payloads, payloads[0])))
    assert statuses(received) == [202, 202, 202, 200]


def test_a_broken_request_does_not_overtake_the_one_before(bridge: BridgeProcess) -> None:
    """The first sender reads the answer to what it sent, not a 400 for what somebody put behind it."""
    received = converse(bridge, request(body(event="evt_overtaken")) + b"nonsense\r\n\r\n")
    assert statuses(received) == [202]
    assert b"connection: close" in received
    assert is_stored(bridge, "evt_overtaken")


def test_a_body_that_breaks_after_its_answer_gets_no_second_one(bridge: BridgeProcess) -> None:
    """404 is answered at once; the broken chunk behind it ends the connection in silence."""
    head = b"POST /hooks/nobody HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.sendall(head)
        assert read_answer(connection).status == 404
        connection.sendall(b"zzz\r\n")
        assert read_answer(connection).status == 0


@pytest.mark.parametrize("path", ["/hooks/nobody", "/livez", "/nothing"])
def test_the_body_of_an_unwanted_request_is_not_a_request(bridge: BridgeProcess, path: str) -> None:
    """What is answered without reading its body does not leave the body to be read as the next request."""
    hidden = request(body(event="evt_in_a_body"))
    after = request(body(event=f"evt_after_a_refusal_{next(_NUMBERS)}"))
    first, second = statuses(converse(bridge, request(hidden, path=path, headers={}) + after))
    assert (first in (404, 405), second) == (True, 202)
    assert not is_stored(bridge, "evt_in_a_body")


def test_an_unwanted_body_is_not_read_for_ever(bridge: BridgeProcess) -> None:
    """After 404 a sender may finish its body, but not hold the connection or send gigabytes."""
    head = b"POST /hooks/nobody HTTP/1.1\r\nHost: b\r\nContent-Length: 10000000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.sendall(head)
        assert read_answer(connection).status == 404
        assert read_answer(connection).status == 0
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.sendall(head)
        assert is_cut_off(connection, b"x" * 65_536, times=900)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_the_sender_of_a_large_body_reads_413(bridge: BridgeProcess, is_chunked: bool) -> None:
    """And not a reset, of which a proxy would make 502, and nobody would know why; the connection goes on."""
    payload = b"x" * 2_000_000
    length = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % len(payload)
    content = chunked(payload, 100_000) if is_chunked else payload
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.sendall(HEAD + fields(payload) + length + b"\r\n\r\n")
        for start in range(0, len(content), 200_000):
            connection.sendall(content[start : start + 200_000])
            time.sleep(0.01)
        answer = read_answer(connection)
        assert (answer.status, answer.json) == (413, {"error": "too_large"})
        connection.sendall(request(body(event=f"evt_after_413_{is_chunked}")))
        assert read_answer(connection).status == 202


def test_many_requests_in_one_packet_are_too_many(bridge: BridgeProcess) -> None:
    """A packet of 256 KiB could hold 9000 of them, each with objects of its own."""
    received = converse(bridge, b"GET /livez HTTP/1.1\r\nHost: b\r\n\r\n" * 1000)
    assert 1 <= len(statuses(received)) <= 20
    assert set(statuses(received)) == {200}


def test_nothing_is_read_behind_connection_close(bridge: BridgeProcess) -> None:
    """The last request of a connection is the last one."""
    payload = body(event="evt_last")
    last = request(payload, more=[("Connection", "close")])
    assert statuses(converse(bridge, last + request(body(event="evt_behind_the_last")))) == [202]
    assert not is_stored(bridge, "evt_behind_the_last")


def test_expect_100_continue(bridge: BridgeProcess) -> None:
    """Who asks first is told to go on, or is refused before the body is sent."""
    payload = body(event="evt_expect")
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.sendall(request(payload, more=[("Expect", "100-continue")])[: -len(payload)])
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(payload)
        assert read_answer(connection).status == 202
    large = HEAD + fields(b"") + b"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n"
    assert statuses(converse(bridge, large)) == [413]


def test_a_sender_that_reads_no_answers_is_cut_off(bridge: BridgeProcess) -> None:
    """uvicorn would wait for it for ever, and keep what it has to say."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", bridge.port))
        assert is_cut_off(connection, b"GET /livez HTTP/1.1\r\nHost: b\r\n\r\n" * 8, times=1_000_000)


def test_blank_lines_do_not_keep_a_connection(bridge: BridgeProcess) -> None:
    """Between two requests the parser skips them, so the time for the next head runs on."""
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: b\r\n\r\n")
        assert read_answer(connection).status == 200
        assert is_cut_off(connection, b"\r\n", times=100, pause_seconds=0.1)


def test_an_idle_connection_is_closed(bridge: BridgeProcess) -> None:
    """After BRIDGE_IDLE_SECONDS without a request; before that it serves the next one."""
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        for _ in range(3):
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: b\r\n\r\n")
            assert read_answer(connection).status == 200
        began = time.monotonic()
        assert connection.recv(1) == b""
        assert time.monotonic() - began > 0.3
