"""keys and send: what they print, what they write, and that what `send` signs verifies."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from bridge.edges.settings import read_config
from bridge.rules.signature import KIND_OF_JWS, check_secret, read_private, read_public, read_whsec
from tests.support import forkserver

pytestmark = pytest.mark.slow

_BODY = b'{"id":"evt_1"}'
_SECRET = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="
_ENVIRON = {"PATH": "/usr/bin:/bin", "BRIDGE_CONFIG": "bridge.yaml", "SECRET": _SECRET}


def _run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return forkserver.run(*words, env=_ENVIRON, cwd=folder)


def _configure(folder: Path, signature: str) -> str:
    text = f"sources: {{s: {{signature: {signature}}}}}\nairflow: {{default: {{url: http://localhost}}}}\n"
    (folder / "bridge.yaml").write_text(text)
    return text


@pytest.mark.parametrize("preset", ["planasonix", "standard-webhooks", "HS256", "bearer"])
def test_generated_secret_may_be_used(tmp_path: Path, preset: str) -> None:
    """A secret that `keys generate` prints is strong, and `whsec_` as Standard Webhooks wants it."""
    done = _run(tmp_path, "keys", "generate", preset)

    assert (done.returncode, done.stderr) == (0, "")
    assert check_secret(done.stdout.strip()) is None
    assert len(read_whsec(done.stdout.strip())) == 32


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-p256", "rsa-pss", "PS256"])
def test_generated_pair_belongs_together(tmp_path: Path, kind: str) -> None:
    """The private half goes to a new file that only its owner reads, the public one is printed."""
    file = tmp_path / "private.pem"
    done = _run(tmp_path, "keys", "generate", kind, "--private-key", str(file))
    again = _run(tmp_path, "keys", "generate", kind, "--private-key", str(file))

    assert done.returncode == 0
    public = read_public(done.stdout, KIND_OF_JWS.get(kind, kind))
    assert read_private(file.read_text()).public_key() == public
    assert os.stat(file).st_mode & 0o777 == 0o600
    assert (again.returncode, again.stdout) == (2, "")


@pytest.mark.parametrize("words", [["jwt"], ["nonsense"], ["ed25519"], ["stripe", "--private-key", "x"]])
def test_generate_refuses_what_has_no_meaning(tmp_path: Path, words: list[str]) -> None:
    """A word that is no preset, a pair without a file, a secret with one."""
    done = _run(tmp_path, "keys", "generate", *words)

    assert (done.returncode, done.stdout) == (2, "")
    assert list(tmp_path.iterdir()) == []


def test_show_and_check(tmp_path: Path) -> None:
    """`show` lists ids, kinds and times and no secret; `check` says what needs attention and exits 1."""
    _configure(tmp_path, "{preset: stripe, secrets: [{id: old, env: SECRET, not_after: 2001-01-01}]}")
    shown, checked, warned = (
        _run(tmp_path, *words) for words in (["keys", "show", "--json"], ["keys", "check"], ["check"])
    )

    (row,) = json.loads(shown.stdout)
    assert (row["source"], row["preset"], row["key"], row["kind"]) == ("s", "stripe", "old", "secret")
    assert row["not_after"] == "2001-01-01T00:00:00Z"
    assert checked.returncode == 1
    assert "key old: not valid since 2001-01-01T00:00:00Z" in checked.stdout
    assert "no key is valid now" in checked.stdout
    assert _SECRET not in shown.stdout + checked.stdout + checked.stderr + warned.stdout + warned.stderr


def test_check_is_content_with_a_key_without_an_end(tmp_path: Path) -> None:
    """Nothing to say, exit 0; a bearer token is always worth a word."""
    _configure(tmp_path, "{preset: stripe, secrets: [{id: k, env: SECRET}]}")
    assert _run(tmp_path, "keys", "check").returncode == 0

    _configure(tmp_path, "{preset: bearer, secrets: [{id: k, env: SECRET}]}")
    done = _run(tmp_path, "keys", "check")
    assert (done.returncode, "nothing is signed" in done.stdout) == (1, True)


class _Catcher(BaseHTTPRequestHandler):
    """Keeps what is posted, and answers as the bridge does."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
        self.server.caught.append((headers, body))  # type: ignore[attr-defined]
        answer = b'{"delivery_id":"dlv_1","status":"accepted"}'
        self.send_response(202)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def catcher() -> Iterator[HTTPServer]:
    """A loopback server that keeps what it is sent."""
    server = HTTPServer(("127.0.0.1", 0), _Catcher)
    server.caught = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "signature",
    [
        "{preset: standard-webhooks, secrets: [{id: k, env: SECRET}]}",
        "{preset: stripe, secrets: [{id: gone, env: OLD, not_after: 2001-01-01}, {id: k, env: SECRET}]}",
        "{preset: jwt, secrets: [{id: k, env: SECRET, algorithm: HS256}]}",
        "{preset: ed25519, public_keys: [{id: k, file: public.pem}]}",
        "{preset: jwt, public_keys: [{id: k, file: public.pem, algorithm: EdDSA}], body: detached}",
    ],
)
def test_send_signs_as_the_source_demands(tmp_path: Path, catcher: HTTPServer, signature: str) -> None:
    """What `send` posts verifies; a source with public keys needs the private one, and says so."""
    import time

    _ENVIRON["OLD"] = "the-secret-of-the-time-before-this-one"
    (tmp_path / "event.json").write_bytes(_BODY)
    public = _run(tmp_path, "keys", "generate", "ed25519", "--private-key", "private.pem").stdout
    (tmp_path / "public.pem").write_text(public)
    text = _configure(tmp_path, signature)
    words = ["send", "event.json", "--url", f"http://127.0.0.1:{catcher.server_port}/hooks/s"]
    if "public_keys" in signature:
        refused = _run(tmp_path, *words)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "--private-key" in refused.stderr
        words += ["--private-key", "private.pem"]

    done = _run(tmp_path, *words)

    assert (done.returncode, done.stdout) == (0, "202  accepted  dlv_1\n")
    ((headers, body),) = catcher.caught  # type: ignore[attr-defined]
    verifier = read_config(text, file="f", environ=_ENVIRON, base_dir=tmp_path).sources["s"].verifier
    assert verifier.verify(headers, body, time.time()).key_id == "k"
