"""The public door as a stranger finds it: a real process, raw sockets, every row of the table of answers."""

import gzip
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.service import BridgeProcess, body, signed, wait_for
from tests.web.support import Answer, chunked, read_answer, request

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]
Ask = Callable[..., Answer]
UNAUTHORIZED = b'{"error": "unauthorized"}'
LIMIT = 65_536


# --- what is answered with 2xx ---------------------------------------------------------------------


def test_202_then_200(ask: Ask) -> None:
    """A new event is accepted, its copy is the same delivery."""
    payload = body(event="evt_web_1")
    first, second = ask(request(payload)), ask(request(payload))
    assert (first.status, first.json["status"]) == (202, "accepted")
    assert (second.status, second.json["status"]) == (200, "duplicate")
    assert first.json.keys() == {"delivery_id", "status"}
    assert first.json["delivery_id"] == second.json["delivery_id"]
    assert first.headers["content-type"] == "application/json"


def test_a_stale_one_is_kept_and_answered_202(ask: Ask, bridge: BridgeProcess) -> None:
    """Authentic but old: the sender need not know that it was set aside."""
    payload = body(event="evt_web_stale")
    answer = ask(request(payload, headers=signed(payload, at=1_700_000_000)))
    assert (answer.status, answer.json["status"]) == (202, "accepted")
    assert bridge.api(f"deliveries/{answer.json['delivery_id']}")["state"] == "stale"
    fresh = ask(request(payload, headers=signed(payload)))
    assert (fresh.status, fresh.json["status"]) == (202, "accepted")
    again = ask(request(payload, headers=signed(payload, at=1_700_000_000)))
    assert again.status == 200


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not json",
        b"[]",
        b"\xef\xbb\xbf{}",
        b'{"a":1,"a":2}',
        b"\xff\xfe",
        b"[" * 5000,
        b'{"id":"evt_x","data":7}',
    ],
    ids=["empty", "text", "array", "BOM", "duplicate key", "UTF-16", "deep", "odd"],
)
def test_whatever_is_authentic_is_taken(ask: Ask, payload: bytes) -> None:
    """A refusal would be retried and may trip the sender's breaker for every pipeline."""
    assert ask(request(payload)).status in (200, 202)


def test_a_byte_order_mark_is_read(ask: Ask, bridge: BridgeProcess) -> None:
    """Some senders write one; it can mean one thing only."""
    answer = ask(request(b"\xef\xbb\xbf" + body(event="evt_bom")))
    path = f"deliveries/{answer.json['delivery_id']}"
    wait_for(lambda: bridge.api(path)["state"] != "received", seconds=10, what="routed")
    found = bridge.api(path)
    assert (found["event_id"], found["state"]) == ("evt_bom", "routed")


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"])
def test_json_by_any_name(ask: Ask, content_type: str) -> None:
    """The type's case and parameters do not matter."""
    payload = body(event=f"evt_type_{len(content_type)}")
    headers = signed(payload) | {"Content-Type": content_type}
    assert ask(request(payload, headers=headers)).status == 202


def test_chunks_and_trickles_are_put_together(ask: Ask) -> None:
    """A body in chunks, and one that comes in two packets, are one body each."""
    payload = body(event="evt_chunked")
    head = request(b"", headers=signed(payload), more=[("Transfer-Encoding", "chunked")], length=False)
    assert ask(head + chunked(payload, 7)).status == 202
    payload = body(event="evt_packets")
    whole = request(payload)
    assert ask(whole[:-20], whole[-20:]).status == 202


def test_a_connection_serves_many(bridge: BridgeProcess) -> None:
    """Two requests at once on one connection get two answers in order."""
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.sendall(request(body(event="evt_pipelined_1")))
        first = read_answer(connection)
        connection.sendall(request(body(event="evt_pipelined_1")))
        assert (first.status, read_answer(connection).status) == (202, 200)


@pytest.mark.parametrize("path", ["/hooks/planasonix/", "/hooks/planasonix/pl_x", "/hooks/planasonix/pl_x/"])
def test_paths_that_name_a_source(ask: Ask, path: str) -> None:
    """With a pipeline or without, with a slash behind or without."""
    assert ask(request(body(event=f"evt_path_{len(path)}"), path=path)).status == 202


def test_the_pipeline_of_the_path_is_used(ask: Ask, bridge: BridgeProcess) -> None:
    """A body that names none gets the one of the URL it was sent to."""
    payload = b'{"id":"evt_by_path","type":"job.succeeded","job_id":"job_by_path"}'
    answer = ask(request(payload, path="/hooks/planasonix/pl_8f2a9c1d4e"))
    wait_for(
        lambda: bridge.api(f"deliveries/{answer.json['delivery_id']}")["state"] == "routed", seconds=10, what="routed"
    )


# --- 401 -------------------------------------------------------------------------------------------


def _without(name: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda headers: {key: value for key, value in headers.items() if key != name}


def _with(name: str, value: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda headers: headers | {name: value}


SIGNATURE, STAMP = "X-Planasonix-Signature", "X-Planasonix-Timestamp"


@pytest.mark.parametrize(
    "change",
    [
        _without(SIGNATURE),
        _without(STAMP),
        _with(SIGNATURE, ""),
        _with(SIGNATURE, "v1="),
        _with(SIGNATURE, "v1=" + "0" * 64),
        _with(SIGNATURE, "v1=" + "A" * 64),
        _with(SIGNATURE, "v0=" + "0" * 64),
        _with(SIGNATURE, "0" * 64),
        _with(SIGNATURE, "\xff\xfe"),
        _with(STAMP, ""),
        _with(STAMP, "-1"),
        _with(STAMP, "1e9"),
        _with(STAMP, "1_0"),
        _with(STAMP, "9" * 5000),
        _with(STAMP, "99999999999"),
        _with(STAMP, "\xb2"),
    ],
)
def test_401_is_one_answer_for_every_failure(ask: Ask, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    """The same bytes, whatever was wrong; nothing tells an attacker what."""
    payload = body(event="evt_forged")
    answer = ask(request(payload, headers=change(signed(payload))))
    assert (answer.status, answer.body) == (401, UNAUTHORIZED)
    assert sorted(answer.headers) == ["content-length", "content-type", "date"]


@pytest.mark.parametrize("name", [SIGNATURE, STAMP])
def test_a_repeated_header_is_401(ask: Ask, name: str) -> None:
    """Also when both say the same: nobody may choose which one counts."""
    payload = body(event="evt_repeated")
    headers = signed(payload)
    answer = ask(request(payload, headers=headers, more=[(name, headers[name])]))
    assert (answer.status, answer.body) == (401, UNAUTHORIZED)


def test_a_changed_byte_is_401(ask: Ask) -> None:
    """Also a blank at the end: the bytes are what is signed."""
    payload = body(event="evt_changed")
    assert ask(request(payload + b" ", headers=signed(payload))).status == 401


def test_a_copy_of_a_known_event_with_a_wrong_signature_is_401(ask: Ask) -> None:
    """Nobody without the secret learns whether an event is known."""
    payload = body(event="evt_known")
    assert ask(request(payload)).status == 202
    assert ask(request(payload, headers=_with(SIGNATURE, "v1=" + "0" * 64)(signed(payload)))).status == 401


# --- broken before the signature is looked at ------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/hooks/",
        "/hooks",
        "/hooks/unknown",
        "/hooks/PLANASONIX",
        "/hooks/planasonix/pl_x/more",
        "/hooks//planasonix",
        "/hooks/planasonix/../planasonix",
        "/hooks/planasonix/..%2f..%2fadmin",
        "/hooks/%2e%2e/api/v1/status",
        "/hooks/planasonix%00",
        "/hooks/planasonix%0a",
        "/hooks/planasonix/%F0%9F%98%80",
        "/hooks/planasonix/" + "x" * 129,
        "/hooks/" + "x" * 8000,
        "/api/v1/status",
        "/metrics",
        "/",
        "/livez/",
        "/hooks/planasonix;x",
        "http://elsewhere/hooks/unknown",
    ],
)
def test_404_for_any_other_path(ask: Ask, path: str) -> None:
    """Unknown sources, traversals and encodings lead nowhere, and never to the admin side."""
    assert ask(request(body(event="evt_404"), path=path)).status in (404, 307)


@pytest.mark.parametrize("path", [b"/hooks/\xff", b"/hooks/%ff", b"*", b"/hooks/planasonix?a=b"])
def test_odd_targets_are_no_error_of_ours(ask: Ask, path: bytes) -> None:
    """Whatever the request line holds: never a 5xx."""
    assert ask(request(body(event="evt_target"), path=path)).status in (202, 200, 400, 404)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_405_for_any_other_method(ask: Ask, method: str) -> None:
    """And it says which one is meant."""
    answer = ask(request(b"", method=method, headers={}, more=[("Connection", "close")], length=False))
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/hooks/planasonix", "/hooks/nobody", "/livez", "/nothing"])
def test_an_answer_to_head_has_no_body(bridge: BridgeProcess, path: str) -> None:
    """Else the next answer on the connection would begin in the middle of this one."""
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.sendall(request(method="HEAD", path=path))
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65_536)
        connection.sendall(request(body(event="evt_after_head")))
        assert received.endswith(b"\r\n\r\n")
        assert read_answer(connection).status in {200, 202}


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "NONSENSE"])
def test_odd_methods_are_refused(ask: Ask, method: str) -> None:
    """Never a 5xx."""
    assert 400 <= ask(request(b"", method=method, headers={}, length=False)).status < 500


@pytest.mark.parametrize("length", [str(LIMIT + 1), "9" * 18, "9" * 30])
def test_413_by_the_declared_length(ask: Ask, length: str) -> None:
    """Answered before a byte of the body is read."""
    head = request(headers=signed(b""), more=[("Content-Length", length)], length=False)
    assert ask(head).status in (400, 413)
    assert ask(request(headers=signed(b""), more=[("Content-Length", str(LIMIT + 1))], length=False)).status == 413


def test_413_while_reading_chunks(ask: Ask) -> None:
    """Without a length the limit holds all the same; exactly the limit is taken."""
    payload = b"x" * LIMIT
    head = request(headers=signed(payload), more=[("Transfer-Encoding", "chunked")], length=False)
    assert ask(head + chunked(payload)).status == 202
    assert ask(head + chunked(payload + b"y")).status == 413


def test_a_large_body_of_an_unknown_source_is_not_waited_for(ask: Ask) -> None:
    """404 at once."""
    head = request(path="/hooks/unknown", more=[("Content-Length", "1000000")], length=False)
    assert ask(head).status == 404


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "text/json", "json", ""],
)
def test_415_for_another_type(ask: Ask, content_type: str) -> None:
    """A form is never parsed, however well it is signed."""
    payload = body(event="evt_form")
    assert ask(request(payload, headers=signed(payload) | {"Content-Type": content_type})).status == 415


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip", "x"])
def test_415_for_an_encoded_body(ask: Ask, encoding: str) -> None:
    """Nothing is ever unpacked: a few kilobytes could become gigabytes."""
    payload = gzip.compress(body(event="evt_gzip"))
    assert ask(request(payload, more=[("Content-Encoding", encoding)])).status == 415


@pytest.mark.parametrize(
    "more",
    [
        [("Content-Length", "5"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "chunked"), ("Content-Length", "5")],
        [("Content-Length", "5"), ("Content-Length", "6")],
        [("Content-Length", "5"), ("Content-Length", "5")],
        [("Content-Length", "-1")],
        [("Content-Length", "+5")],
        [("Content-Length", "5 5")],
        [("Content-Length", "0x5")],
        [("Content-Length", "")],
        [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "chunked, identity")],
        [("Content-Type", "application/json"), ("Content-Type", "application/json")],
        [("Content-Encoding", "identity"), ("Content-Encoding", "identity")],
    ],
)
def test_400_for_an_ambiguous_request(ask: Ask, more: list[tuple[str, str]]) -> None:
    """Two readers could see two different requests in it, so nobody reads it."""
    headers = {name: value for name, value in signed(b"").items() if name != "Content-Type"}
    answer = ask(request(headers=headers, more=more, length=False) + b"0\r\n\r\n")
    assert answer.status in (400, 415)


def test_a_smuggled_request_is_not_answered(ask: Ask, bridge: BridgeProcess) -> None:
    """What hides behind an ambiguous length never becomes a request of its own."""
    hidden = request(body(event="evt_smuggled"))
    more = [("Content-Length", "4"), ("Transfer-Encoding", "chunked")]
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.sendall(request(headers=signed(b""), more=more, length=False) + b"0\r\n\r\n" + hidden)
        assert read_answer(connection).status == 400
        assert read_answer(connection).status == 0
    assert bridge.api("deliveries", event_id="evt_smuggled")["deliveries"] == []


def test_a_slow_body_is_given_up(bridge: BridgeProcess) -> None:
    """After `BRIDGE_BODY_SECONDS` the sender is told, and the connection ends."""
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.sendall(request(headers=signed(b""), more=[("Content-Length", "100")], length=False))
        began = time.monotonic()
        answer = read_answer(connection)
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert time.monotonic() - began > 0.5
        assert read_answer(connection).status == 0


def test_a_sender_that_leaves_is_no_error(bridge: BridgeProcess) -> None:
    """Half a request, then nothing: the bridge goes on, and nothing is stored or logged as its own fault."""
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
            connection.sendall(request(body(event="evt_half"))[:-10])
    assert bridge.is_ready()
    assert bridge.api("deliveries", event_id="evt_half")["deliveries"] == []
    assert "Traceback" not in bridge.log


@pytest.mark.parametrize(
    "bytes_",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"\x00" * 100, b"POST /x\r\nHost: x\r\n\r\n"],
    ids=["TLS", "no path", "zeros", "no version"],
)
def test_what_is_not_http_is_refused(bridge: BridgeProcess, bytes_: bytes) -> None:
    """400 or a closed connection."""
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.sendall(bytes_)
        connection.shutdown(socket.SHUT_WR)
        assert read_answer(connection).status in (0, 400, 404)


def test_a_head_is_bounded_in_size(bridge: BridgeProcess) -> None:
    """Headers without end are cut off long before they cost memory."""
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.sendall(b"POST /hooks/planasonix HTTP/1.1\r\nHost: x\r\n")
        sent = 0
        try:
            while sent < 60_000_000:  # some megabytes fit into the kernel's buffers
                sent += connection.send(b"X-Filler: " + b"x" * 10_000 + b"\r\n")
        except (ConnectionError, TimeoutError):
            pass
        assert sent < 60_000_000
    assert bridge.is_ready()


@pytest.mark.parametrize("first", [b"", b"POST /hooks/planasonix HTTP/1.1\r\nHost: x\r\nX-A: ", None])
def test_a_head_is_bounded_in_time(bridge: BridgeProcess, first: bytes | None) -> None:
    """Who sends nothing, or a byte now and then, holds no connection for ever; also not after a good request."""
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        if first is None:
            connection.sendall(request(body(event="evt_before_a_slow_one")))
            assert read_answer(connection).status in (200, 202)
            first = b"POST /hooks/"
        began = time.monotonic()
        connection.sendall(first)
        connection.settimeout(0.5)
        while time.monotonic() - began < 60:
            try:
                connection.sendall(b"a" if first else b"")
                if connection.recv(1000) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert 2 < time.monotonic() - began < 60


def test_a_large_head_in_one_packet_with_its_body_is_taken(bridge: BridgeProcess) -> None:
    """Requests that follow each other on one connection are each measured by themselves."""
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        for number in range(6):
            payload = body(event=f"evt_large_{number}", filler="x" * 30_000)
            connection.sendall(request(payload, more=[("X-Filler", "y" * 8_000), ("X-More", "z" * 20_000)]))
            assert read_answer(connection).status == 202


def test_unsigned_bytes_never_reach_log_or_metrics(ask: Ask, bridge: BridgeProcess) -> None:
    """What a stranger writes into path, header or body is in no output."""
    canary = "canary-of-a-stranger"
    ask(request(canary.encode(), headers=signed(b"") | {"X-Other": canary}))
    ask(request(b"", path=f"/hooks/{canary}", headers={}))
    ask(request(b"", path=f"/{canary}", headers={}, method="GET"))
    assert canary not in bridge.log + bridge.metrics()


def test_probes(ask: Ask) -> None:
    """Alive and ready are told to anybody; Airflow being down makes neither red."""
    for path, word in (("/livez", "alive"), ("/readyz", "ready")):
        answer = ask(request(method="GET", path=path, headers={}, length=False))
        assert (answer.status, answer.json) == (200, {"status": word})


def test_answers_name_no_server(ask: Ask) -> None:
    """Nobody needs to know what runs here."""
    answer = ask(request(method="GET", path="/livez", headers={}, length=False))
    assert "server" not in answer.headers


def test_fifty_copies_at_once(bridge: BridgeProcess) -> None:
    """One 202 and forty-nine 200, whoever comes first."""
    payload = body(event="evt_crowd")
    with ThreadPoolExecutor(50) as pool:
        statuses = sorted(answer.status_code for answer in pool.map(lambda _: bridge.send(payload), range(50)))
    assert statuses == [200] * 49 + [202]


def test_the_store_being_locked_is_503_with_retry_after(bridge: BridgeProcess) -> None:
    """Nothing is answered 2xx that is not stored, and the sender is told when to come again."""
    database = bridge.database()
    database.execute("BEGIN IMMEDIATE")
    try:
        answer = bridge.send(body(event="evt_locked"))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert json.loads(answer.content) == {"error": "unavailable"}
        wait_for(lambda: not bridge.is_ready(), seconds=10, what="not ready")
    finally:
        database.execute("ROLLBACK")
        database.close()
    wait_for(bridge.is_ready, seconds=10, what="ready again")
    assert bridge.send(body(event="evt_locked")).status_code == 202
