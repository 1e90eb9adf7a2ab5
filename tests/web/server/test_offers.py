"""Offers that common clients make are ignored, on raw sockets: the request is answered as plain HTTP/1.1.

The rule: an offer (RFC 9110: Upgrade, Expect, TE, Priority and the like) may be ignored and is no attack; a webhook
that carries one is a webhook. What the parser would do about it must change neither the body nor what is read behind.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.processes import free_port
from tests.support.service import TOKEN, BridgeProcess, body, signed
from tests.web.conftest import MAPPING
from tests.web.support import Answer, chunked, read_answer, request

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]

H2C = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAEAAEAAAAIAAAABAAMAAABk")]
UPGRADES = {
    "Java's HttpClient and curl --http2": H2C,
    "Apache HttpClient 5.4": [("Connection", "keep-alive, Upgrade"), ("Upgrade", "TLS/1.2")],
    "a websocket": [("Connection", "upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
    "two Connection headers": [("Connection", "Upgrade"), ("Connection", "keep-alive"), ("Upgrade", "h2c, h3")],
}
OTHERS = {
    "an Upgrade that is no offer without Connection": [("Upgrade", "h2c")],
    "a Connection without Upgrade": [("Connection", "Upgrade")],
    "trailers, if wanted": [("TE", "trailers"), ("Connection", "TE")],
    "compressed answers": [("Accept-Encoding", "gzip, br"), ("Accept", "text/html;q=0.1")],
    "the old keep-alive": [
        ("Connection", "Keep-Alive"),
        ("Keep-Alive", "timeout=60"),
        ("Proxy-Connection", "keep-alive"),
    ],
    "HTTP/2's priorities": [("Priority", "u=1"), ("Alt-Used", "bridge"), ("Upgrade-Insecure-Requests", "1")],
    "an expectation in capitals": [("Expect", "100-Continue")],
    "conditions": [("If-None-Match", "*"), ("Range", "bytes=0-1"), ("Cookie", "a=b")],
    "a body that is not encoded": [("Content-Encoding", "Identity")],
    "digests": [("Digest", "sha-256=x"), ("Content-MD5", "eA=="), ("Want-Digest", "sha-256")],
}


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A bridge for small bodies, whose idle connections stay."""
    item = BridgeProcess(
        tmp_path_factory.mktemp("bridge"),
        airflow_url=f"http://127.0.0.1:{free_port()}",
        mapping=MAPPING,
        settings={"BRIDGE_MAX_BODY_BYTES": "65536", "BRIDGE_IDLE_SECONDS": "600"},
    )
    item.start()
    yield item
    item.close()


def ask(bridge: BridgeProcess, *pieces: bytes) -> tuple[Answer, bytes]:
    """Send pieces; return the answer, and what comes behind it until the bridge ends the connection."""
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        answer = read_answer(connection)
        rest = b""
        while piece := connection.recv(1000):
            rest += piece
        return answer, rest


def stored(bridge: BridgeProcess, event: str) -> list[str]:
    """Return the states of the deliveries with this event id."""
    return [item["state"] for item in bridge.api("deliveries", event_id=event)["deliveries"]]


@pytest.mark.parametrize("name", UPGRADES)
def test_an_offered_upgrade_is_ignored_and_the_webhook_taken(bridge: BridgeProcess, name: str) -> None:
    """202 with the whole body, and `connection: close`; in one piece, and cut at any place that matters."""
    for number, cut in enumerate((None, 40, -len(body(event="evt_0_offer")), -5)):
        event = f"evt_{number}_offer_{list(UPGRADES).index(name)}"
        sent = request(body(event=event), more=UPGRADES[name])
        answer, rest = ask(bridge, sent) if cut is None else ask(bridge, sent[:cut], sent[cut:])
        assert (answer.status, answer.headers["connection"], rest) == (202, "close", b"")
        assert len(stored(bridge, event)) == 1


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_offer_is_ignored_and_the_connection_stays(bridge: BridgeProcess, name: str) -> None:
    """A second webhook on the same connection is taken, too."""
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        for number in range(2):
            payload = body(event=f"evt_{number}_other_{list(OTHERS).index(name)}")
            connection.sendall(request(payload, more=OTHERS[name]))
            answer = read_answer(connection)
            assert (answer.status, answer.headers.get("connection")) == (202, None)


def test_an_offer_with_a_chunked_body_or_an_expectation_is_answered(bridge: BridgeProcess) -> None:
    """The body is read as it would be without the offer: in chunks, and after 100 Continue."""
    payload = body(event="evt_offer_in_chunks")
    more = [*H2C, ("Transfer-Encoding", "chunked")]
    answer, _ = ask(bridge, request(payload, more=more, length=False)[: -len(payload)] + chunked(payload, 7))
    assert answer.status == 202
    payload = body(event="evt_offer_expects")
    sent = request(payload, more=[*H2C, ("Expect", "100-continue")])
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.sendall(sent[: -len(payload)])
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(payload)
        assert read_answer(connection).status == 202


def test_nothing_behind_an_offer_is_read(bridge: BridgeProcess) -> None:
    """Neither frames of the other protocol nor a request that hides there."""
    hidden = request(body(event="evt_hidden_behind_an_offer"))
    for number, behind in enumerate((hidden, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), b"\x81\x05hello")):
        answer, rest = ask(bridge, request(body(event=f"evt_{number}_front"), more=H2C) + behind)
        assert (answer.status, rest) == (202, b"")
    assert stored(bridge, "evt_hidden_behind_an_offer") == []


@pytest.mark.parametrize(
    ("lines", "content"),
    [
        ([("Content-Length", "6"), ("Transfer-Encoding", "chunked")], b"0\r\n\r\nG"),
        ([("Content-Length", "3"), ("Content-Length", "5")], b"abcde"),
        ([("Transfer-Encoding", "gzip, chunked")], b"0\r\n\r\n"),
        ([("Transfer-Encoding", "chunked")], b"0x5\r\nabcde\r\n0\r\n\r\n"),
        ([("Content-Length", "0"), ("Host", "other")], b""),
    ],
)
def test_an_offer_hides_no_broken_message(bridge: BridgeProcess, lines: list[tuple[str, str]], content: bytes) -> None:
    """What is refused without an offer is refused with one."""
    hidden = request(body(event="evt_hidden_in_an_offer"))
    sent = request(more=[*lines, *H2C], length=False) + content
    answer, rest = ask(bridge, sent + hidden)
    assert (answer.status, rest) == (400, b"")
    assert stored(bridge, "evt_hidden_in_an_offer") == []


def test_an_offer_counts_as_head_and_body_do(bridge: BridgeProcess) -> None:
    """413 for a body that is too large, 400 for a head that is."""
    assert ask(bridge, request(b"x" * 70_000, more=H2C)[:2000])[0].status == 413
    assert ask(bridge, request(b"{}", more=[*H2C, ("X-Filler", "x" * 70_000)]))[0].status == 400
    assert ask(bridge, request(b"{}", more=[*H2C, *(("X-Filler", "x") for _ in range(100))]))[0].status == 400


def test_connect_is_no_offer(bridge: BridgeProcess) -> None:
    """It asks for a tunnel, which nothing here may be."""
    answer, _ = ask(bridge, b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n")
    assert answer.status in (0, 400)


def test_the_admin_listener_ignores_offers_too(bridge: BridgeProcess) -> None:
    """Both listeners read alike."""
    more = [*H2C, ("Authorization", f"Bearer {TOKEN}")]
    with socket.create_connection(("127.0.0.1", bridge.admin_port), timeout=60) as connection:
        connection.sendall(request(method="GET", path="/api/v1/status", headers={}, more=more))
        assert read_answer(connection).status == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl_with_http2_gets_its_answer(bridge: BridgeProcess, tmp_path: Path) -> None:
    """The command that a person tries first."""
    (tmp_path / "body.json").write_bytes(payload := body(event="evt_curl_http2"))
    headers = [argument for line in signed(payload).items() for argument in ("-H", ": ".join(line))]
    url = f"http://127.0.0.1:{bridge.port}/hooks/planasonix"
    command = ["curl", "-sS", "--http2", "--data-binary", f"@{tmp_path}/body.json", *headers, url]
    env = {"PATH": os.environ["PATH"], "NO_PROXY": "*"}
    said = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert '"accepted"' in said.stdout, said
