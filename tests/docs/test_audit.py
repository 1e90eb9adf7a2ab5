"""`make check` fails on a known hole, not on a missing network, and never calls clean what nobody has looked at."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.demo.airflow import REPOSITORY
from deploy.demo.processes import free_port

_SECONDS = 550  # it asks about each package, one by one
pytestmark = pytest.mark.timeout(_SECONDS + 50)

HOLE = {
    "id": "PYSEC-0000-1",
    "summary": "a hole",
    "affected": [
        {
            "package": {"name": "starlette", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999.0"}]}],
        }
    ],
}


class _Osv(ThreadingHTTPServer):
    holes: dict[str, object]


class _Handler(BaseHTTPRequestHandler):
    server: _Osv

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = json.dumps(self.server.holes.get(asked["package"]["name"], {})).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def osv() -> Iterator[_Osv]:
    """A vulnerability service on loopback, as pip-audit asks it."""
    server = _Osv(("127.0.0.1", 0), _Handler)
    server.holes = {}
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def audit(port: int, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the audit of one lock, and of another that is shorter, against a service on this port."""
    env = os.environ | {
        "PIP_AUDIT_VULNERABILITY_SERVICE": "osv",
        "PIP_AUDIT_OSV_URL": f"http://127.0.0.1:{port}/v1/query",
        "NO_PROXY": "127.0.0.1",
        "STRICT": "",
    }
    env |= variables
    command = [sys.executable, "-m", "scripts.audit", "requirements/build.txt", "requirements/runtime.txt"]
    return subprocess.run(
        command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False, timeout=_SECONDS
    )


def test_a_known_hole_fails(osv: _Osv) -> None:
    """It is named with the lock that holds it, the version that mends it, and what to do."""
    osv.holes = {"starlette": {"vulns": [HOLE]}}
    done = audit(osv.server_port)
    assert done.returncode == 1
    assert "runtime.txt: starlette" in done.stdout
    assert "has PYSEC-0000-1, mended in 999.0" in done.stdout
    assert "make lock UPGRADE=1" in done.stdout


def test_without_a_hole_all_is_well(osv: _Osv) -> None:
    """Every locked version was asked for; the next time within a day nobody is asked."""
    done = audit(osv.server_port)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no known hole in" in done.stdout
    osv.holes = {"starlette": {"vulns": [HOLE]}}
    assert "asked within the last day" in audit(osv.server_port).stdout


def test_a_service_that_is_away_is_said_and_no_failure() -> None:
    """Nothing was checked, so nothing is called clean."""
    done = audit(free_port())
    assert done.returncode == 0
    assert "NOT CHECKED, the vulnerability service cannot be asked" in done.stdout
    assert "no known hole" not in done.stdout


def test_strict_fails_where_nobody_could_be_asked() -> None:
    """A release must not be called clean because its machine had no network."""
    done = audit(free_port(), STRICT="1")
    assert done.returncode == 1
    assert "STRICT: what was not checked is a failure" in done.stdout


def test_strict_0_is_not_strict() -> None:
    """A switch that is 0 is off."""
    done = audit(free_port(), STRICT="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "NOT CHECKED, the vulnerability service cannot be asked" in done.stdout


def test_an_answer_hangs_on_the_locks_and_the_accepted_holes_alone(tmp_path: Path) -> None:
    """Another setting of a linter in pyproject.toml asks nobody anew."""
    digests = []
    for number, (lock, accepted, linter) in enumerate(
        [("a==1", "", 1), ("a==1", "", 2), ("a==2", "", 2), ("a==2", "X = 'y'", 2)]
    ):
        place = tmp_path / str(number)
        shutil.copytree(REPOSITORY / "scripts", place / "scripts")
        (place / "a.txt").write_text(lock)
        text = f"[tool.planasonix-bridge.accepted-holes]\n{accepted}\n[tool.ruff]\nline-length = {linter}\n"
        (place / "pyproject.toml").write_text(text)
        asked = "from pathlib import Path; from scripts import audit; print(audit.digest_of([Path('a.txt')]))"
        command = [sys.executable, "-c", asked]
        digests.append(
            subprocess.run(command, cwd=place, capture_output=True, text=True, check=True, timeout=60).stdout
        )
    assert digests[0] == digests[1]
    assert len({*digests}) == 3
