"""deploy/auth: each script against a stand-in of the documented shape, and then as the `exec` of an Airflow.

Nothing more could be tried: the services themselves cannot be reached from a test.
"""

import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bridge.edges.airflow import commands
from bridge.edges.airflow.tokens import Headers, SignedIn
from tests.edges.airflow.support import RawServer, receive
from tests.support.certificates import self_signed

RECIPES = Path(__file__).parents[3] / "deploy" / "auth"
BOTO3 = Path(__file__).parents[3] / ".venv-chart" / "bin" / "python"  # it does not install beside the bridge


class Request(NamedTuple):
    """What a stand-in was asked."""

    path: str
    form: dict[str, list[str]]


class Reply(NamedTuple):
    """What it answers."""

    status: int
    headers: dict[str, str]
    body: bytes


def as_json(value: object, status: int = 200) -> Reply:
    """A reply in JSON."""
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(value).encode())


@contextmanager
def standing_in(answer: Callable[[Request], Reply], certificate: Path | None = None) -> Iterator[int]:
    """Serve POSTs on loopback, over TLS with a certificate; gives the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            reply = answer(Request(self.path, urllib.parse.parse_qs(content)))
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without a proxy and without anybody's cloud credentials."""
    for name in os.environ:
        if name.upper().startswith(("AWS_", "AZURE_", "GOOGLE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return monkeypatch


def command(script: str, *options: str) -> tuple[str, ...]:
    """What `exec` of an Airflow would be."""
    return (sys.executable, str(RECIPES / script), *options)


class Mwaa(NamedTuple):
    """What the two major versions of Airflow differ in there."""

    version: str
    path: str
    cookie: str
    headers: Headers


@pytest.mark.parametrize(
    "mwaa",
    [
        Mwaa("3", "/pluginsv2/aws_mwaa/login", "_token", (("Authorization", "Bearer opened"),)),
        Mwaa("2", "/aws_mwaa/login", "session", (("Cookie", "session=opened"),)),
    ],
)
def test_mwaa(environ: pytest.MonkeyPatch, tmp_path: Path, mwaa: Mwaa) -> None:
    """A web login token from the AWS API is exchanged at the web server for a session."""
    asked: list[Request] = []
    certificate = self_signed(tmp_path / "web.pem")

    def web(request: Request) -> Reply:
        asked.append(request)
        return Reply(302, {"Set-Cookie": f"{mwaa.cookie}=opened; Path=/; HttpOnly; Secure", "Location": "/"}, b"")

    with standing_in(web, certificate) as web_port:

        def aws(request: Request) -> Reply:
            asked.append(request)
            return as_json({"WebServerHostname": f"127.0.0.1:{web_port}", "WebToken": "one-time"})

        with standing_in(aws) as aws_port:
            set_aws(environ, aws_port)
            environ.setenv("SSL_CERT_FILE", str(certificate))
            options = ("--name", "orders", "--region", "eu-central-1", "--version", mwaa.version)
            found = commands.run((str(BOTO3), str(RECIPES / "mwaa.py"), *options), 60)
    assert isinstance(found, SignedIn), found
    assert found.headers == mwaa.headers
    assert [item.path for item in asked] == ["http://env.mwaa.example/webtoken/orders", mwaa.path]
    assert asked[1].form == {"token": ["one-time"]}


def test_composer(environ: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A service account's key becomes an access token with the scope of the cloud platform."""
    asked: list[Request] = []

    def google(request: Request) -> Reply:
        asked.append(request)
        return as_json({"access_token": "ya29.granted", "expires_in": 3600, "token_type": "Bearer"})

    with standing_in(google) as port:
        set_google(environ, tmp_path, f"http://127.0.0.1:{port}/token")
        found = commands.run(command("composer.py"), 60)
    assert isinstance(found, SignedIn), found
    assert found.headers == (("Authorization", "Bearer ya29.granted"),)
    assert found.life_seconds is not None
    assert 3000 < found.life_seconds <= 3600
    assert asked[0].form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]


def test_entra(environ: pytest.MonkeyPatch) -> None:
    """Client credentials of the tenant become a token for the scope."""
    asked: list[Request] = []

    def entra(request: Request) -> Reply:
        asked.append(request)
        return as_json({"access_token": "eyJ.granted", "expires_in": 3599, "token_type": "Bearer"})

    with standing_in(entra) as port:
        set_azure(environ, f"http://127.0.0.1:{port}")
        found = commands.run(command("entra.py", "--scope", "api://airflow/.default"), 60)
    assert isinstance(found, SignedIn), found
    assert found.headers == (("Authorization", "Bearer eyJ.granted"),)
    assert found.life_seconds is not None
    assert 3000 < found.life_seconds <= 3599
    assert asked == [
        Request(
            "/tenant/oauth2/v2.0/token",
            {
                "grant_type": ["client_credentials"],
                "client_id": ["bridge"],
                "client_secret": ["canary"],
                "scope": ["api://airflow/.default"],
            },
        )
    ]


def test_entra_that_refuses_is_named_without_the_secret(environ: pytest.MonkeyPatch) -> None:
    """Status and error code; the description, which may quote what was sent, is left out."""
    refusal = as_json({"error": "invalid_client", "error_description": "secret canary is wrong"}, 401)
    with standing_in(lambda _: refusal) as port:
        set_azure(environ, f"http://127.0.0.1:{port}")
        ended = ran(sys.executable, "entra.py", "--scope", "x/.default")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "Entra answers 401: invalid_client\n"


@pytest.mark.parametrize(
    ("host", "connected"), [("login.example", ["login.example:443"]), ("inner.test", [])], ids=["proxy", "NO_PROXY"]
)
@pytest.mark.parametrize("script", ["entra.py", "composer.py", "mwaa.py"])
def test_each_goes_through_the_proxy_of_the_environment(
    environ: pytest.MonkeyPatch, tmp_path: Path, script: str, host: str, connected: list[str]
) -> None:
    """With its user and password, unless NO_PROXY names the host."""
    asked: list[tuple[str, str | None]] = []

    def aws(_: Request) -> Reply:
        return as_json({"WebServerHostname": host, "WebToken": "one-time"})

    with refusing(asked) as proxy_port, standing_in(aws) as aws_port:
        environ.setenv("HTTPS_PROXY", f"http://ann:pass%20word@127.0.0.1:{proxy_port}")
        environ.setenv("NO_PROXY", ".test")
        if script == "entra.py":
            set_azure(environ, f"https://{host}")
            ended = ran(sys.executable, script, "--scope", "x/.default")
        elif script == "composer.py":
            set_google(environ, tmp_path, f"https://{host}/token")
            ended = ran(sys.executable, script)
        else:
            set_aws(environ, aws_port)
            ended = ran(BOTO3, script, "--name", "orders", "--region", "eu-central-1")
    assert ended.returncode == 1
    assert set(asked) == {(place, "Basic YW5uOnBhc3Mgd29yZA==") for place in connected}, ended.stderr


@contextmanager
def refusing(asked: list[tuple[str, str | None]]) -> Iterator[int]:
    """A proxy that notes where it is asked to connect, and by whom, and then does not; gives the port."""

    def behave(connection: socket.socket) -> None:
        head = receive(connection).decode()
        user = re.search(r"(?im)^proxy-authorization: (.+?)\r$", head)
        asked.append((head.split()[1], user and user[1]))
        connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with RawServer(behave) as proxy:
        yield proxy.port


def ran(python: Path | str, script: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run a script to its end."""
    command = (str(python), str(RECIPES / script), *options)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def set_aws(environ: pytest.MonkeyPatch, port: int) -> None:
    """What boto3 reads. It puts `env.` before the host, so the stand-in has to be its proxy to be reached."""
    environ.setenv("AWS_ENDPOINT_URL_MWAA", "http://mwaa.example")
    environ.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    environ.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    environ.setenv("AWS_SECRET_ACCESS_KEY", "example")


def set_google(environ: pytest.MonkeyPatch, folder: Path, token_uri: str) -> None:
    """A service account's key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = {
        "type": "service_account",
        "client_email": "bridge@example.iam.gserviceaccount.com",
        "private_key": pem,
        "private_key_id": "one",
        "project_id": "example",
        "token_uri": token_uri,
    }
    (folder / "account.json").write_text(json.dumps(account))
    environ.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(folder / "account.json"))


def set_azure(environ: pytest.MonkeyPatch, host: str) -> None:
    """What Azure's libraries read."""
    environ.setenv("AZURE_AUTHORITY_HOST", host)
    environ.setenv("AZURE_TENANT_ID", "tenant")
    environ.setenv("AZURE_CLIENT_ID", "bridge")
    environ.setenv("AZURE_CLIENT_SECRET", "canary")
