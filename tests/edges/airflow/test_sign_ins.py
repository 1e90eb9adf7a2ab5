"""Signing in: what is posted, what a command may print, and what goes along with every call; on loopback."""

import base64
import json
import os
import re
import socket
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from bridge.edges.airflow import commands
from bridge.edges.airflow.tokens import SignedIn
from bridge.words.outcomes import Later, Misconfigured, Started, TargetDown
from bridge.words.reasons import Reason
from bridge.words.targets import AirflowAuth, Secret
from tests.edges.airflow.support import RUN_ID, Behaviour, RawServer, receive, trigger
from tests.edges.airflow.test_session import Canned, canned
from tests.support.service import wait_for

__all__ = ["canned"]  # a fixture
TOKEN = {"access_token": "granted"}
CLIENT = {"client_id": Secret("bridge"), "client_secret": Secret("hidden")}


def script(text: str) -> tuple[str, ...]:
    """A command that runs this."""
    return (sys.executable, "-c", text)


def printing(value: Any) -> tuple[str, ...]:
    """A command that prints this as JSON."""
    return script(f"print({json.dumps(value)!r})")


@pytest.fixture
def airflow_3(canned: Canned) -> Canned:
    """A server with what Airflow 3 answers."""
    canned.says("GET", "/api/v2/version", {"version": "3.3.2"})
    canned.says("GET", "/api/v2/monitor/health", {"metadatabase": {"status": "healthy"}})
    canned.says("GET", "/api/v2/dags", {"dags": []})
    canned.says("GET", "/api/v2/dags/marts", {"is_paused": False})
    canned.says("POST", "/api/v2/dags/marts/dagRuns", {"dag_run_id": RUN_ID})
    return canned


@pytest.mark.parametrize(
    ("auth", "path", "body"),
    [
        (
            AirflowAuth(Secret("ann"), Secret("word")),
            "/auth/token",
            {"username": "ann", "password": "word"},
        ),
        (
            AirflowAuth(
                Secret("ann"),
                Secret("word"),
                way="login",
                path="/api/v1/security/login",
                body={"username": "{username}", "password": "{password}", "provider": "ldap", "refresh": True},
            ),
            "/api/v1/security/login",
            {"username": "ann", "password": "word", "provider": "ldap", "refresh": True},
        ),
        (
            AirflowAuth(**CLIENT),
            "/auth/token",
            {"grant_type": "client_credentials", "client_id": "bridge", "client_secret": "hidden"},
        ),
    ],
)
def test_sign_in_posts_what_the_auth_manager_takes(
    airflow_3: Canned, auth: AirflowAuth, path: str, body: dict[str, Any]
) -> None:
    """Once, before the first call; the token then goes with every call."""
    airflow_3.says("POST", path, TOKEN, 201)
    airflow = airflow_3.airflow(auth)
    assert airflow.fire(trigger("marts")) == Started(is_paused=False)
    assert airflow.probe() is None
    posted = [seen for seen in airflow_3.seen if seen[0] == path]
    assert posted == [(path, None, body)]
    signed = [seen[1] for seen in airflow_3.seen if seen[0].startswith("/api/v2/dags")]
    assert signed
    assert set(signed) == {"Bearer granted"}
    airflow.close()


def test_command_signs_every_call_and_is_run_once(airflow_3: Canned, tmp_path: Path) -> None:
    """Version and health too, since a gateway asks for it everywhere; a refused token runs it once more."""
    count = tmp_path / "runs"
    text = f"import json; open({str(count)!r}, 'a').write('x'); print(json.dumps({{'token': 'of the command'}}))"
    airflow = airflow_3.airflow(AirflowAuth(command=script(text)))
    assert airflow.fire(trigger("marts")) == Started(is_paused=False)
    assert airflow.probe() is None
    assert {seen[1] for seen in airflow_3.seen} == {"Bearer of the command"}
    assert count.read_text() == "x"

    airflow_3.says("POST", "/api/v2/dags/marts/dagRuns", {"detail": "Token Expired"}, 401)
    outcome = airflow.fire(trigger("marts"))
    assert isinstance(outcome, Later)  # everything else there takes the token
    assert outcome.reason is Reason.CALL_BLOCKED
    assert count.read_text() == "xx"
    airflow.close()


def test_headers_of_a_command_and_of_the_target_go_along(tmp_path: Path) -> None:
    """A cookie of the command, and what the configuration adds to every call."""
    seen: list[bytes] = []

    def behaviour(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(65536)
        seen.append(request)
        body = b'{"version": "3.3.2"}'
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        connection.sendall(head % len(body) + body)

    with RawServer(behaviour) as server:
        auth = AirflowAuth(command=printing({"headers": {"Cookie": "session=abc"}}))
        canned = Canned(url=server.url)
        airflow = canned.airflow(auth, headers={"X-Gate": Secret("open")})
        airflow.probe()
        airflow.close()
    assert seen
    assert all(b"Cookie: session=abc\r\n" in item and b"X-Gate: open\r\n" in item for item in seen)


def test_proxy_is_asked_with_its_own_password(airflow_3: Canned) -> None:
    """Every call goes to the proxy, which is told user and password in a header of its own."""
    seen: list[bytes] = []

    def behaviour(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(65536)
        seen.append(request)
        connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with RawServer(behaviour) as proxy:
        url = proxy.url.replace("://", "://ann:pass%20word@")
        airflow = airflow_3.airflow(AirflowAuth(), proxy=Secret(url))
        airflow.probe()
        airflow.close()
    expected = b"Basic " + base64.b64encode(b"ann:pass word")
    assert seen
    assert seen[0].startswith(f"GET {airflow_3.url}/api/v2/version HTTP/1.1\r\n".encode())
    assert expected in seen[0]
    assert airflow_3.seen == []


def _note(lines: list[bytes]) -> Behaviour:
    """Keep each request, and answer 407 to those without a user and a password, else 502."""

    def behave(connection: socket.socket) -> None:
        lines.append(receive(connection))
        status = b"502" if b"\r\nproxy-authorization: basic " in lines[-1].lower() else b"407"
        connection.sendall(b"HTTP/1.1 " + status + b" X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    return behave


@pytest.mark.parametrize("spelled", ["http://", ""])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_proxy_of_the_environment_is_asked_with_its_password_too(
    monkeypatch: pytest.MonkeyPatch, scheme: str, spelled: str
) -> None:
    """And what goes wrong there is said of the proxy, as with `proxy`."""
    seen: list[bytes] = []
    monkeypatch.setenv("NO_PROXY", "elsewhere.test")
    with RawServer(_note(seen)) as proxy:
        for user in ("ann:pass%20word@", ""):
            monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"{spelled}{user}127.0.0.1:{proxy.port}")
            airflow = Canned(url=f"{scheme}://airflow.test").airflow(AirflowAuth())
            found = airflow.probe()
            airflow.close()
            assert isinstance(found, TargetDown if user else Misconfigured)
    assert base64.b64encode(b"ann:pass word") in seen[0]
    assert "write http://user:password@host:port where `proxy` points to, or into HTTPS_PROXY" in str(found)


@pytest.mark.parametrize(("no_proxy", "amount"), [("elsewhere.test", 1), ("127.0.0.1", 0)])
def test_a_bracket_in_the_password_of_the_environments_proxy_is_a_bracket(
    airflow_3: Canned, monkeypatch: pytest.MonkeyPatch, no_proxy: str, amount: int
) -> None:
    """Where NO_PROXY names this Airflow, nobody looks at it."""
    seen: list[bytes] = []
    monkeypatch.setenv("NO_PROXY", no_proxy)
    with RawServer(_note(seen)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://ann:p[x@127.0.0.1:{proxy.port}")
        airflow = airflow_3.airflow(AirflowAuth())
        found = airflow.probe()
        airflow.close()
    assert len(seen) == amount
    assert isinstance(found, TargetDown) if amount else found is None
    assert all(base64.b64encode(b"ann:p[x") in request for request in seen)


def test_no_proxy_is_about_the_proxy_of_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """`proxy` names this Airflow's own, which is not passed by in silence."""
    seen: list[bytes] = []
    monkeypatch.setenv("NO_PROXY", ".test")
    with RawServer(_note(seen)) as proxy:
        airflow = Canned(url="https://airflow.test").airflow(AirflowAuth(), proxy=Secret(proxy.url))
        airflow.probe()
        airflow.close()
    assert seen[0].startswith(b"CONNECT airflow.test:443 ")


def _answering(status: int) -> Behaviour:
    """Answer every request, a CONNECT as well, with this status."""

    def behave(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request and (part := connection.recv(65536)):
            request += part
        head = f"HTTP/1.1 {status} canary\r\nContent-Type: text/html\r\nContent-Length: 6\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + b"canary")

    return behave


@pytest.mark.parametrize(
    ("url", "status", "outcome", "said"),
    [
        ("https://airflow.test", 407, Misconfigured, "407: .* write http://user:password@host:port where `proxy`"),
        ("http://airflow.test", 407, Misconfigured, "407: .* write http://user:password@host:port where `proxy`"),
        ("https://airflow.test", 403, Misconfigured, "403 from the proxy: let it open this Airflow's host and port"),
        ("https://airflow.test", 404, Misconfigured, "404 from the proxy: .*or correct `proxy`"),
        ("https://airflow.test", 502, TargetDown, "502 from the proxy: it cannot reach this Airflow; correct `url`"),
    ],
)
def test_a_proxy_that_refuses_is_named_with_what_to_write(
    url: str, status: int, outcome: type[Misconfigured | TargetDown], said: str
) -> None:
    """Not Airflow is at fault, and no trigger: nothing uses an attempt up, and nothing of the proxy's page is shown."""
    with RawServer(_answering(status)) as proxy:
        airflow = Canned(url=url).airflow(AirflowAuth(), proxy=Secret(proxy.url.replace("://", "://ann:hidden@")))
        outcomes = [airflow.probe(), airflow.fire(trigger())]
        airflow.close()
    for found in outcomes:
        assert isinstance(found, outcome)
        assert re.search(said, found.detail or "")
        assert "hidden" not in str(found)
        assert "canary" not in str(found)


@pytest.mark.parametrize("url", ["https://airflow.test", "http://airflow.test"])
def test_a_proxy_that_is_not_there_is_named(url: str, free_port: int) -> None:
    """What is to be mended is the proxy or its address, not Airflow."""
    airflow = Canned(url=url).airflow(AirflowAuth(), proxy=Secret(f"http://127.0.0.1:{free_port}"))
    found = airflow.probe()
    airflow.close()
    assert isinstance(found, TargetDown)
    assert found.detail == (
        "ConnectionRefusedError: Connection refused, at the proxy:"
        " start it, or correct host and port in `proxy` (or HTTPS_PROXY)"
    )


def test_a_proxy_without_tls_is_named() -> None:
    """`https://` before a proxy that speaks plain HTTP says to write `http://`."""

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    with RawServer(behave) as proxy:
        url = proxy.url.replace("http:", "https:")
        airflow = Canned(url="https://airflow.test").airflow(AirflowAuth(), proxy=Secret(url))
        found = airflow.probe()
        airflow.close()
    assert isinstance(found, Misconfigured)
    assert "at the proxy: write http:// in `proxy`" in (found.detail or "")


@pytest.mark.parametrize("wrap", [lambda status: status, lambda status: {"kind": "ExecCredential", "status": status}])
def test_command_may_say_when_its_token_ends(wrap: Any) -> None:
    """As kubectl's plugins do, with or without `status` around it."""
    ends_at = datetime.now(UTC) + timedelta(hours=1)
    found = commands.run(printing(wrap({"token": "abc", "expirationTimestamp": ends_at.isoformat()})), 30)
    assert isinstance(found, SignedIn)
    assert found.headers == (("Authorization", "Bearer abc"),)
    assert found.life_seconds is not None
    assert 0 < found.life_seconds <= 3600


@pytest.mark.parametrize(
    ("command", "detail"),
    [
        (("/does/not/exist",), "cannot be run: No such file or directory"),
        (script("import sys; sys.exit('no credentials found')"), "ended with 1: no credentials found"),
        (script("raise SystemExit(3)"), "ended with 3"),
        (script("print('token')"), "printed no JSON object"),
        (script("print('[]')"), "printed no JSON object"),
        (script("pass"), "printed no JSON object"),
        (printing({"status": {}}), "printed no JSON object with `token` or `headers`"),
        (printing({"token": "two\nlines"}), "not printable ASCII"),
        (printing({"token": 5}), "not printable ASCII"),
        (printing({"token": ""}), "not printable ASCII"),
        (printing({"headers": {"Host": "elsewhere"}}), "a header that cannot be sent: 'Host'"),
        (printing({"headers": {"A b": "c"}}), "a header that cannot be sent: 'A b'"),
        (printing({"headers": {"Cookie": "a\r\nb: c"}}), "a header that cannot be sent: 'Cookie'"),
        (printing({"token": "a", "expirationTimestamp": "soon"}), "not an instant with an offset"),
        (printing({"token": "a", "expirationTimestamp": "2030-01-01T00:00:00"}), "not an instant with an offset"),
        (printing({"token": "a", "expirationTimestamp": "2020-01-01T00:00:00Z"}), "ended at 2020-01-01"),
        (script("print('x' * 70000)"), "printed more than 65536 bytes"),
    ],
)
def test_command_that_gives_nothing_usable_is_named(command: tuple[str, ...], detail: str) -> None:
    """The command and why; it is a matter of configuration, so that no trigger is given up because of it."""
    found = commands.run(command, 30)
    assert isinstance(found, Misconfigured)
    assert found.reason is Reason.AIRFLOW_MISCONFIGURED
    assert found.detail.startswith("the sign-in command ")
    assert detail in found.detail


def test_command_that_prints_without_end_is_ended() -> None:
    """As soon as it has printed too much, and not at its limit: by then it would have filled the memory."""
    found = commands.run(("yes", "token"), 30)
    assert isinstance(found, Misconfigured)
    assert "'yes' printed more than 65536 bytes" in found.detail


def test_command_that_says_much_on_stderr_fills_no_memory() -> None:
    """Only its last line is shown."""
    tracemalloc.start()
    try:
        found = commands.run(("sh", "-c", "yes | head -c 50000000 >&2; echo no credentials >&2; exit 1"), 30)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(found, Misconfigured)
    assert "ended with 1: no credentials" in found.detail
    assert most < 10_000_000


def test_command_that_may_not_be_killed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that runs as another user, by sudo: its sign-in is what is wrong, not the trigger."""

    def refuse(group: int, number: int) -> None:
        os.kill(group, number)  # so that nothing is left of it
        raise PermissionError

    monkeypatch.setattr(os, "killpg", refuse)
    found = commands.run(script("import time; time.sleep(600)"), 0.5)
    assert isinstance(found, Misconfigured)
    assert "did not end within 0.5 s" in found.detail


def test_command_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    """It ends at its limit, and so does its child, which holds the pipe open."""
    noted = tmp_path / "pid"
    text = (
        "import subprocess, sys, pathlib, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(noted)!r}).write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    for limit in (5, 20, 80):  # a busy machine may not have begun it within the first
        found = commands.run(script(text), limit)
        assert isinstance(found, Misconfigured)
        assert f"did not end within {limit} s" in found.detail
        if noted.exists() and noted.read_text():
            break
    child = int(noted.read_text())
    wait_for(lambda: _is_gone(child), seconds=10, what="the child is gone")


def _is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_command_sees_no_secret_of_the_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    """BRIDGE_* stays here; the rest of the environment goes along, since cloud credentials stand there."""
    monkeypatch.setenv("BRIDGE_ADMIN_TOKEN", "canary")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    text = (
        "import os, json\n"
        "has_secret = any(name.startswith('BRIDGE_') for name in os.environ)\n"
        "print(json.dumps({'token': os.environ['AWS_REGION'] + str(has_secret)}))\n"
    )
    assert commands.run(script(text), 30) == SignedIn((("Authorization", "Bearer eu-central-1False"),))
