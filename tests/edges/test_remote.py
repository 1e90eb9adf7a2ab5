"""A running bridge is asked over its admin API: what its answers mean, and that the token goes nowhere else."""

import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bridge.edges.remote import Remote
from bridge.words.errors import BadFilter, ConfigError, NotThere, RemoteUnavailable
from bridge.words.targets import Secret
from deploy.demo.processes import free_port
from tests.support.certificates import self_signed

TOKEN = "token-of-a-person-0001"


@dataclass
class Bridge:
    """What the server answers next, and what it was asked."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None  # said to be the body's
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    """A server on loopback."""
    item = Bridge()
    server = _serve(item)
    yield item
    server.shutdown()
    server.server_close()


def _serve(one: Bridge, certificate: Path | None = None) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            one.asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(one.status)
            for name, value in one.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(one.body) if one.length is None else one.length))
            self.end_headers()
            self.wfile.write(one.body)

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
            one.sent.append((self.headers["Content-Type"], sent))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    one.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


def test_an_answer_is_read(bridge: Bridge) -> None:
    """Under the path of the URL, with the token; a query may hold any text."""
    bridge.body = b'{"outcome": "open"}'
    assert Remote(f"{bridge.url}/ops", Secret(TOKEN)).get("wait", job="a&b \udcff") == {"outcome": "open"}
    assert bridge.asked == [("/ops/api/v1/wait?job=a%26b+%3F", f"Bearer {TOKEN}")]
    Remote(bridge.url, None).get("status")
    assert bridge.asked[1] == ("/api/v1/status?", None)


def test_a_change_is_sent_as_json(bridge: Bridge) -> None:
    """The id stands in the path, however it is spelled; 202 is an answer, too."""
    bridge.status, bridge.body = 202, b'{"count": 1}'
    assert Remote(bridge.url, Secret(TOKEN)).post("orders/{id}/stop", {"reason": "x"}, "a/..") == {"count": 1}
    assert bridge.asked == [("/api/v1/orders/a%2F../stop", f"Bearer {TOKEN}")]
    assert bridge.sent == [("application/json", '{"reason": "x"}')]


def test_events_are_read_one_by_one(bridge: Bridge) -> None:
    """Comments only say that somebody is there; what is no event is an error, and so is a refusal."""
    bridge.body = b': still here\n\nid: dlv_1\nevent: delivery\ndata: {"a": 1}\n\nevent: skipped\ndata: {}\n\n'
    remote = Remote(bridge.url, Secret(TOKEN))
    assert list(remote.events("stream", source="a&b")) == [("delivery", {"a": 1}), ("skipped", {})]
    assert bridge.asked == [("/api/v1/stream?source=a%26b", f"Bearer {TOKEN}")]
    bridge.body = b"event: delivery\ndata: [\n\n"
    with pytest.raises(RemoteUnavailable, match="no event"):
        list(remote.events("stream"))
    bridge.status, bridge.body = 429, b'{"error": "too_many_requests", "detail": "too many listeners"}'
    with pytest.raises(RemoteUnavailable, match="too many listeners"):
        list(remote.events("stream"))


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (200, b"<html>sign in</html>", ConfigError, "its answer (200) is no JSON: is this the admin listener"),
        (200, b"[]", ConfigError, "its answer (200) is no JSON"),
        (404, b"Not Found", ConfigError, "its answer (404) is no JSON"),
        (302, b"", ConfigError, "its answer (302) is no JSON"),
        (401, b'{"error": "unauthorized"}', ConfigError, "it refuses the token"),
        (
            403,
            b'{"error": "forbidden", "next_step": "this needs the role viewer"}',
            ConfigError,
            "needs the role viewer",
        ),
        (404, b'{"error": "not_found", "detail": "no delivery dlv_1"}', NotThere, "no delivery dlv_1"),
        (404, b'{"detail": "Not Found"}', ConfigError, "it answers 404: Not Found: is this the admin listener"),
        (400, b'{"error": "bad_request", "detail": "since must be"}', BadFilter, "since must be"),
        (503, b'{"error": "unavailable", "detail": "busy"}', RemoteUnavailable, "answers 503: busy"),
        (502, b"<html>bad gateway</html>", RemoteUnavailable, "answers 502"),
    ],
)
def test_every_other_answer_is_an_error_that_says_what_to_do(
    bridge: Bridge, status: int, body: bytes, error: type[Exception], said: str
) -> None:
    """What passes by itself is told apart from what a person must mend; the token is in no message."""
    bridge.status, bridge.body = status, body
    with pytest.raises(error) as caught:
        Remote(bridge.url, Secret(TOKEN)).get("wait")
    assert said in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_no_redirect_is_followed(bridge: Bridge) -> None:
    """It would carry the token elsewhere."""
    other = Bridge()
    server = _serve(other)
    bridge.status, bridge.headers = 307, {"Location": other.url}
    with pytest.raises(ConfigError):
        Remote(bridge.url, Secret(TOKEN)).get("wait")
    server.shutdown()
    server.server_close()
    assert other.asked == []


def test_an_answer_that_breaks_off_passes_by_itself(bridge: Bridge) -> None:
    """Half of one is never read as a whole."""
    bridge.body, bridge.length = json.dumps({"outcome": "success"}).encode(), 1000
    with pytest.raises(RemoteUnavailable, match="gave no whole answer"):
        Remote(bridge.url, None).get("wait")


def test_a_bridge_that_is_away_may_come_back() -> None:
    """It is being restarted, perhaps."""
    with pytest.raises(RemoteUnavailable, match="cannot be reached: Connection refused"):
        Remote(f"http://127.0.0.1:{free_port()}", None).get("wait")


def test_tls_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's certificate is refused before anything is sent; SSL_CERT_FILE names another authority."""
    bridge = Bridge()
    certificate = self_signed(tmp_path / "both.pem")
    server = _serve(bridge, certificate)
    with pytest.raises(ConfigError, match="its certificate is not accepted: self-signed certificate"):
        Remote(bridge.url, Secret(TOKEN)).get("wait")
    assert bridge.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert Remote(bridge.url, Secret(TOKEN)).get("wait") == {}
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("url", "shows"),
    [
        ("http://bridge.example.com", True),
        ("http://10.0.0.7:8081", True),
        ("https://bridge.example.com", False),
        ("http://127.0.0.1:8081", False),
        ("http://localhost:8081", False),
        ("http://[::1]:8081", False),
    ],
)
def test_a_token_that_goes_unencrypted_is_known(url: str, shows: bool) -> None:
    """Over a network, that is; without a token there is nothing to see."""
    assert Remote(url, Secret(TOKEN)).shows_token is shows
    assert not Remote(url, None).shows_token
