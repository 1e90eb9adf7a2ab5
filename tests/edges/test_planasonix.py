"""The Planasonix API's client against a small server on loopback: what it reads, and how each trouble is named."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bridge.edges import jwks
from bridge.edges.planasonix import PlanasonixClient
from bridge.words.errors import KeysUnavailable, LookupNotFound, LookupUnavailable
from bridge.words.targets import JwksUrl, PlanasonixApi, Secret
from tests.edges.airflow.support import RawServer, over_tls, says
from tests.support.certificates import self_signed

KEY = "plx_test_key"
JOB = {"id": "job_1", "pipeline_id": "pl_1", "status": "succeeded"}


@dataclass
class Api:
    """What the server answers next, and what it was asked."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    pause_seconds: float = 0.0  # between the bytes of the body
    seen: list[tuple[str, str | None]] = field(default_factory=list)
    sent: Mapping[str, str] = field(default_factory=dict)  # the headers of the last question
    url: str = ""

    def says(self, value: object, status: int = 200, **headers: str) -> None:
        """Answer with JSON."""
        self.status, self.body = status, json.dumps(value).encode()
        self.headers |= {name.replace("_", "-"): text for name, text in headers.items()}


@pytest.fixture
def api() -> Iterator[Api]:
    """The API on loopback."""
    made = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.seen.append((self.path, self.headers.get("Authorization")))
            made.sent = dict(self.headers)
            self.send_response(made.status)
            for name, text in made.headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(made.body)))
            self.end_headers()
            try:
                self.send_body()
            except OSError:
                self.close_connection = True  # the client had enough

        def send_body(self) -> None:
            if not made.pause_seconds:
                self.wfile.write(made.body)
                return
            for byte in made.body:
                self.wfile.write(bytes([byte]))
                time.sleep(made.pause_seconds)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def connect(api: Api) -> Iterator[Callable[..., PlanasonixClient]]:
    """A client of the API, or of another URL."""
    opened: list[PlanasonixClient] = []

    def make(url: str | None = None, *, key: str = KEY, seconds: float = 5.0) -> PlanasonixClient:
        opened.append(PlanasonixClient(PlanasonixApi(url or api.url, Secret(key), seconds)))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


Connect = Callable[..., PlanasonixClient]


@pytest.mark.parametrize("body", [{"data": JOB}, JOB, JOB | {"data": None}, JOB | {"data": [1]}])
def test_job_is_read_wrapped_or_flat(api: Api, connect: Connect, body: dict[str, object]) -> None:
    """The documents show both."""
    api.says(body)
    assert connect().job("job_1")["pipeline_id"] == "pl_1"
    assert api.seen == [("/api/v1/jobs/job_1", f"Bearer {KEY}")]


def test_base_url_with_a_path_and_ids_of_any_text(api: Api, connect: Connect) -> None:
    """An id stays one segment of the path."""
    api.says(JOB)
    client = connect(api.url + "/tenant/")
    client.job("a/../b?c#d")
    client.job("..")
    assert [path for path, _ in api.seen] == ["/tenant/api/v1/jobs/a%2F..%2Fb%3Fc%23d", "/tenant/api/v1/jobs/%2E%2E"]


def test_a_tenant_with_other_paths_and_a_gateway_needs_a_setting_and_no_code(api: Api) -> None:
    """`path_prefix` takes the place of /api in every path, and `headers` go along with every call."""
    api.says(JOB)
    for prefix, path in (("/planasonix/public", "/planasonix/public/v1/jobs/job_1"), ("", "/v1/jobs/job_1")):
        gate = {"X-Gate": Secret("word"), "Accept": Secret("text/plain")}
        client = PlanasonixClient(PlanasonixApi(api.url, Secret(KEY), path_prefix=prefix, headers=gate))
        client.job("job_1")
        assert api.seen[-1] == (path, f"Bearer {KEY}")
        assert (api.sent["X-Gate"], api.sent["Accept"]) == ("word", "application/json")
        client.take_over(PlanasonixApi(api.url, Secret(KEY), path_prefix=prefix, headers={"X-Gate": Secret("new")}))
        client.job("job_1")
        assert api.sent["X-Gate"] == "new"
        client.close()


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/problem+json"])
def test_unknown_job(api: Api, connect: Connect, kind: str) -> None:
    """404 from the API itself, which speaks JSON."""
    api.says({"error": {"code": "not_found"}}, 404)
    api.headers["Content-Type"] = kind
    with pytest.raises(LookupNotFound):
        connect().job("job_1")


@pytest.mark.parametrize(
    ("status", "retry_after", "seconds"),
    [
        (401, None, None),
        (403, None, None),
        (429, "30", 30.0),
        (429, "999999", 3600.0),
        (429, "soon", None),
        (429, "Thu, 27 Mar 2025 00:00:00 GMT", 0.0),
        (503, "Thu, 27 Mar 2999 00:00:00 GMT", 3600.0),
        (500, None, None),
        (301, None, None),
        (204, None, None),
    ],
)
def test_trouble_is_named(
    api: Api, connect: Connect, status: int, retry_after: str | None, seconds: float | None
) -> None:
    """Refused, throttled or down: ask again later, and not before it said."""
    api.says({"error": {"code": "x", "message": "secret of the tenant"}}, status)
    api.body = b"" if status == 204 else api.body
    api.headers |= {"Retry-After": retry_after} if retry_after else {}
    api.headers |= {"Location": f"{api.url}/elsewhere"} if status == 301 else {}
    with pytest.raises(LookupUnavailable, match=str(status)) as caught:
        connect().job("job_1")
    assert ("the key is refused" in str(caught.value)) == (status in (401, 403))
    assert caught.value.retry_after_seconds == seconds
    assert "secret" not in str(caught.value)
    assert len(api.seen) == 1


@pytest.mark.parametrize("status", [200, 404])
def test_page_in_html_is_a_wrong_url(api: Api, connect: Connect, status: int) -> None:
    """A login page or a web server's own 404 must not turn a delivery away for good."""
    api.status, api.body, api.headers = status, b"<html>", {"Content-Type": "text/html"}
    with pytest.raises(LookupUnavailable, match="in HTML"):
        connect().job("job_1")


@pytest.mark.parametrize("kind", ["text/plain; charset=utf-8", "text/json-not", "", None])
def test_a_404_that_is_not_the_apis_is_asked_again(api: Api, connect: Connect, kind: str | None) -> None:
    """ingress-nginx and Traefik answer so while nothing is behind them: it says nothing of job or API."""
    api.status, api.body = 404, b"default backend - 404"
    api.headers = {} if kind is None else {"Content-Type": kind}
    with pytest.raises(LookupUnavailable, match="answers 404, and not in JSON") as caught:
        connect().job("job_1")
    assert (caught.value.is_whole, caught.value.is_refusal) == (False, False)


@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b"{", b"\xff", b"[" * 50_000])
def test_answer_that_is_no_json_object(api: Api, connect: Connect, body: bytes) -> None:
    """It may be a hiccup: ask again later."""
    api.body = body
    with pytest.raises(LookupUnavailable, match="JSON object"):
        connect().job("job_1")


def test_answer_larger_than_a_mebibyte(api: Api, connect: Connect) -> None:
    """Read no further."""
    api.body = b" " * (2 << 20)
    with pytest.raises(LookupUnavailable, match="larger than 1 MiB"):
        connect().job("job_1")


def test_trickle_ends_at_the_timeout(api: Api, connect: Connect) -> None:
    """A byte every 50 ms never hits a read timeout."""
    api.body, api.pause_seconds = b" " * 2000, 0.05
    began = time.monotonic()
    with pytest.raises(LookupUnavailable, match=r"within 0\.5 s"):
        connect(seconds=0.5).job("job_1")
    assert time.monotonic() - began < 60  # 2000 bytes, one every 50 ms, would take 100


@pytest.mark.parametrize("part", [b"X-Slow: 1\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_head_that_trickles_ends_at_the_timeout(connect: Connect, part: bytes) -> None:
    """A read timeout counts from byte to byte, and interim answers may come for ever."""
    is_over = threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"" if part.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n")
        with contextlib.suppress(OSError):
            for _ in range(600):
                connection.sendall(part)
                if is_over.wait(0.2):
                    return

    with RawServer(behave) as server:
        with pytest.raises(LookupUnavailable, match=r"within 0\.5 s"):
            connect(server.url, seconds=0.5).job("job_1")
        is_over.set()


@pytest.mark.parametrize("url", ["http://planasonix.invalid", "http://127.0.0.1:1", "http://[", "nonsense"])
def test_nobody_there(connect: Connect, url: str) -> None:
    """Whatever the network or the URL: a name of the trouble, and nothing that was sent."""
    with pytest.raises(LookupUnavailable, match="cannot be reached") as caught:
        connect(url).job("job_1")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "said"),
    [(407, "answers 407: write http://user:password@host:port into HTTPS_PROXY"), (403, "answers 403: .*NO_PROXY")],
)
def test_a_proxy_of_the_environment_that_refuses_is_named(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    """What to write stands in the reason for which deliveries wait; the proxy's own words do not."""

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(f"HTTP/1.1 {status} canary\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())

    with RawServer(behave) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(LookupUnavailable, match=said) as caught:
            connect("https://planasonix.test").job("job_1")
        with pytest.raises(KeysUnavailable, match=said):
            jwks.fetch(JwksUrl("https://planasonix.test/keys"))
    assert "canary" not in str(caught.value)


def test_key_that_cannot_be_sent_is_not_shown(connect: Connect) -> None:
    """A key with a line break is refused by httpx, whose message would repeat it."""
    with pytest.raises(LookupUnavailable) as caught:
        connect(key="plx_\r\nsecret").job("job_1")
    assert "secret" not in str(caught.value)


def test_check_asks_for_the_jobs(api: Api, connect: Connect) -> None:
    """Whatever the page holds and however long it is; refused and wrong URLs are told."""
    client = connect()
    for body in (b"[]", b'{"data": []}', b"[" + b" " * (2 << 20) + b"]"):
        api.body = body
        client.check()
    api.says({}, 401)
    with pytest.raises(LookupUnavailable, match="the key is refused"):
        client.check()
    api.says({}, 404)
    with pytest.raises(LookupUnavailable, match=r"api\.url"):
        client.check()


def test_threads_share_a_client(api: Api, connect: Connect) -> None:
    """Eight at once, also for the first call."""
    api.says(JOB)
    client = connect()
    got: list[dict[str, object]] = []
    threads = [threading.Thread(target=lambda: got.append(client.job("job_1"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert got == [JOB] * 8


def test_importing_it_does_not_import_httpx() -> None:
    """0.1 s that most sources and commands need not pay."""
    code = "import sys, bridge.edges.planasonix; print('httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


_ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"id": "j"}\n'


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    return self_signed(tmp_path / "both.pem")


def ask_over_tls(server: RawServer, **files: Path) -> object:
    """Ask for a job over https, with these files; returns what was read, or why nothing was."""
    named = {name: str(path) for name, path in files.items()}
    client = PlanasonixClient(PlanasonixApi(server.url.replace("http:", "https:"), Secret(KEY), **named))
    try:
        return client.job("j")
    except LookupUnavailable as error:
        return str(error)
    finally:
        client.close()


def test_an_authority_of_ones_own_is_believed_where_it_is_named(certificate: Path) -> None:
    """`ca_file` names who signed the API's certificate, or its gateway's; without it nothing is believed."""
    with RawServer(over_tls(says(_ANSWER), certificate)) as server:
        assert ask_over_tls(server, ca_file=certificate) == {"id": "j"}
        assert ask_over_tls(server) == "the Planasonix API cannot be reached: ConnectError"


def test_a_gateway_that_wants_a_certificate_is_shown_one(certificate: Path) -> None:
    """Mutual TLS with certificate and key, which may be one file."""
    with RawServer(over_tls(says(_ANSWER), certificate, asks_client=True)) as server:
        files = {"ca_file": certificate, "client_cert_file": certificate}
        assert ask_over_tls(server, **files, client_key_file=certificate) == {"id": "j"}
        assert ask_over_tls(server, **files) == {"id": "j"}
        assert "cannot be reached" in str(ask_over_tls(server, ca_file=certificate))


def test_files_that_are_no_certificates_are_said(certificate: Path, tmp_path: Path) -> None:
    """Nothing is asked, and nothing asks for a password."""
    (tmp_path / "text").write_text("hello")
    with RawServer(over_tls(says(_ANSWER), certificate)) as server:
        for files in (
            {"ca_file": tmp_path / "gone"},
            {"ca_file": tmp_path / "text"},
            {"ca_file": certificate, "client_cert_file": tmp_path / "text"},
        ):
            assert "the certificates for the Planasonix API cannot be used: " in str(ask_over_tls(server, **files))


def test_certificates_that_change_are_used_from_the_next_question_on(certificate: Path, tmp_path: Path) -> None:
    """As secrets are: when the files were read anew."""
    trusted = self_signed(tmp_path / "ca.pem")
    with RawServer(over_tls(says(_ANSWER), certificate)) as server:
        settings = PlanasonixApi(server.url.replace("http:", "https:"), Secret(KEY), ca_file=str(trusted))
        client = PlanasonixClient(settings)
        with pytest.raises(LookupUnavailable):
            client.job("j")
        trusted.write_bytes(certificate.read_bytes())
        client.take_over(settings)
        assert client.job("j") == {"id": "j"}
        client.close()
