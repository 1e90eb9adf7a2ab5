"""The admin listener with TLS: a real certificate, a real service, real clients."""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from deploy.demo.processes import free_port
from tests.support import forkserver
from tests.support.certificates import self_signed
from tests.support.service import TOKEN, BridgeProcess, wait_for
from tests.web.conftest import MAPPING

_PLACES = 8


class Encrypted:
    """A bridge whose admin listener speaks TLS, and what it shows."""

    def __init__(self, folder: Path) -> None:
        """Certificate and key are one file, as some tools write them."""
        self.file = self_signed(folder / "admin.pem", days=90)
        settings = {
            "BRIDGE_ADMIN_TLS_CERT_FILE": str(self.file),
            "BRIDGE_ADMIN_TLS_KEY_FILE": str(self.file),
            "BRIDGE_MAX_CONNECTIONS": str(_PLACES),
            "BRIDGE_HEAD_SECONDS": "3",
        }
        nobody = f"http://127.0.0.1:{free_port()}"
        self.bridge = BridgeProcess(folder, airflow_url=nobody, mapping=MAPPING, settings=settings)
        self.url = f"https://127.0.0.1:{self.bridge.admin_port}"

    def connect(self) -> socket.socket:
        """Connect, and say nothing."""
        return socket.create_connection(("127.0.0.1", self.bridge.admin_port), timeout=60)

    def status(self, trusted: Path | None = None) -> int:
        """Ask for the status by TLS; `trusted` is the authority, by default today's certificate."""
        context = ssl.create_default_context(cafile=trusted or self.file)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx.get(f"{self.url}/api/v1/status", headers=headers, verify=context, timeout=60).status_code

    def shown(self) -> bytes | None:
        """Return the certificate that a newcomer is shown."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with self.connect() as plain, context.wrap_socket(plain) as secure:
            return secure.getpeercert(binary_form=True)

    def ended(self, reason: str) -> float:
        """Return how many connections were ended for this reason."""
        text = httpx.get(
            f"{self.url}/metrics",
            headers={"Authorization": f"Bearer {TOKEN}"},
            verify=ssl.create_default_context(cafile=self.file),
            timeout=60,
        ).text
        wanted = f'bridge_connections_ended_total{{listener="admin",reason="{reason}"}} '
        return float(next(line for line in text.splitlines() if line.startswith(wanted)).removeprefix(wanted))


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    """One for all tests here."""
    running = Encrypted(tmp_path_factory.mktemp("tls"))
    running.bridge.start()
    yield running
    running.bridge.close()


def test_it_speaks_tls_to_whoever_trusts_its_certificate(encrypted: Encrypted) -> None:
    """The public listener stays as it is, for the proxy in front; the log says https."""
    assert encrypted.status() == 200
    assert encrypted.bridge.is_ready()
    assert f'"admin": "https://127.0.0.1:{encrypted.bridge.admin_port}"' in encrypted.bridge.log
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(encrypted.url, timeout=60)


def test_commands_reach_it(encrypted: Encrypted, tmp_path: Path) -> None:
    """`SSL_CERT_FILE` names the authority."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    env = encrypted.bridge.environment | {"SSL_CERT_FILE": str(encrypted.file)}
    done = forkserver.run("refusals", "--url", encrypted.url, "--token-file", str(token), "--json", env=env)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_session_cookie_is_for_tls_alone(encrypted: Encrypted) -> None:
    """Whoever signs in on the pages gets one that no plain connection carries."""
    context = ssl.create_default_context(cafile=encrypted.file)
    with httpx.Client(base_url=encrypted.url, verify=context, timeout=60) as client:
        answer = client.post("/sign-in", data={"token": TOKEN}, headers={"Origin": encrypted.url})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert "Secure" in cookie


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\nHost: b\r\n\r\n", b"\x16\x03\x01\xff\xff", b"\x00" * 100])
def test_what_is_not_tls_is_ended(encrypted: Encrypted, said: bytes) -> None:
    """Plain HTTP, half a hello and noise: nobody waits for ever, and it is counted."""
    before = encrypted.ended("handshake")
    with encrypted.connect() as connection:
        connection.sendall(said)
        with contextlib.suppress(ConnectionError):
            while connection.recv(1000):
                pass
    wait_for(lambda: encrypted.ended("handshake") > before, seconds=10, what="the count")


def test_who_never_shakes_hands_makes_room(encrypted: Encrypted) -> None:
    """They are counted from the start: many of them keep nobody out, and none stays longer than a head may take."""
    with contextlib.ExitStack() as silent:
        connections = [silent.enter_context(encrypted.connect()) for _ in range(3 * _PLACES)]
        assert encrypted.status() == 200
        for connection in connections:
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1) == b""
    assert encrypted.ended("crowded") > 0


def test_what_comes_with_the_handshake_is_read(encrypted: Encrypted) -> None:
    """A request in the packet that ends the handshake is answered, however often it comes so."""
    context = ssl.create_default_context(cafile=encrypted.file)
    asked = f"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    for _ in range(20):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        with encrypted.connect() as connection:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    incoming.write(connection.recv(65_536))
            tls.write(asked.encode())
            connection.sendall(outgoing.read())  # the end of the handshake and the request, at once
            incoming.write(connection.recv(65_536))
            assert _first_word(tls, incoming, connection) == b"HTTP/1.1"


def _first_word(tls: ssl.SSLObject, incoming: ssl.MemoryBIO, connection: socket.socket) -> bytes:
    while True:
        try:
            return tls.read(8)
        except ssl.SSLWantReadError:
            incoming.write(connection.recv(65_536))


def test_a_renewed_certificate_is_used_without_a_restart(encrypted: Encrypted, tmp_path: Path) -> None:
    """A broken one is said and the last good one stays; then the next good one is shown to newcomers."""
    before = encrypted.shown()
    encrypted.file.rename(tmp_path / "old.pem")
    encrypted.file.write_text("no certificate\n")
    wait_for(lambda: '"secrets_broken"' in encrypted.bridge.log, seconds=30, what="the problem in the log")
    assert encrypted.shown() == before
    assert encrypted.status(trusted=tmp_path / "old.pem") == 200
    self_signed(tmp_path / "new.pem", days=3).replace(encrypted.file)
    wait_for(lambda: encrypted.shown() != before, seconds=30, what="the new certificate")
    assert encrypted.status() == 200


def test_one_that_ends_soon_needs_a_person(encrypted: Encrypted, tmp_path: Path) -> None:
    """Two weeks before, with what to do; and `check` warns of it."""
    before = encrypted.shown()
    self_signed(tmp_path / "new.pem", days=3).replace(encrypted.file)
    wait_for(lambda: encrypted.shown() != before, seconds=30, what="the new certificate")
    wait_for(lambda: _needs(encrypted) == ["admin listener"], seconds=30, what="the need")
    done = forkserver.run("check", env=encrypted.bridge.environment)
    assert done.returncode == 0
    assert "warning: the certificate of the admin listener ends at" in done.stderr


def _needs(encrypted: Encrypted) -> list[str]:
    context = ssl.create_default_context(cafile=encrypted.file)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    found = httpx.get(f"{encrypted.url}/api/v1/status", headers=headers, verify=context, timeout=60).json()
    return [need["about"] for need in found["needs"] if need["what"] == "key_expires"]


def _another_key(folder: Path) -> tuple[str, str]:
    return str(self_signed(folder / "a.pem")), str(self_signed(folder / "b.pem"))


def _no_key(folder: Path) -> tuple[str, str]:
    return str(self_signed(folder / "a.pem")), str(folder / "nothing.pem")


def _text(folder: Path) -> tuple[str, str]:
    (folder / "a.pem").write_text("hello")
    return str(folder / "a.pem"), str(self_signed(folder / "b.pem"))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (_another_key, "is not that of the certificate in"),
        (_no_key, "BRIDGE_ADMIN_TLS_KEY_FILE: the file"),
        (_text, "holds no certificate in PEM"),
        (lambda folder: (str(self_signed(folder / "a.pem")), None), "go together; only one of them is set"),
    ],
)
@pytest.mark.parametrize("verb", ["check", "serve"])
def test_a_pair_that_does_not_fit_is_refused(
    encrypted: Encrypted, tmp_path: Path, files: Callable[[Path], tuple[str, str | None]], says: str, verb: str
) -> None:
    """By `check` and at the start, with what is wrong."""
    certificate, key = files(tmp_path)
    named = {"BRIDGE_ADMIN_TLS_CERT_FILE": certificate, "BRIDGE_ADMIN_TLS_KEY_FILE": key}
    env = {name: value for name, value in (encrypted.bridge.environment | named).items() if value is not None}
    done = forkserver.run(verb, env=env)
    assert done.returncode == 2
    assert says in done.stderr
