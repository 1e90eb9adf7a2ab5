"""The unit of systemd is accepted, keeps the bridge in narrow bounds, and hands it its secrets."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.demo.airflow import REPOSITORY
from tests.support.forkserver import COMMAND

UNIT = REPOSITORY / "deploy" / "systemd" / "planasonix-bridge.service"
CREDENTIALS = "/run/credentials/planasonix-bridge.service"
MOST_EXPOSED = 20  # tenths; systemd calls less than 2.5 "OK" to "SAFE", and a service that says nothing has 9.6


def systemd_analyze(*words: str | Path) -> str:
    """Run it; skips where it is not."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze on this machine: it comes with systemd")
    done = subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say, once the command is there."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/planasonix-bridge/bin/planasonix-bridge", str(COMMAND)))
    assert systemd_analyze("verify", "--man=no", unit) == ""


def test_the_unit_is_bounded() -> None:
    """`systemd-analyze security`: what remains is the network, and the file system of the machine, read-only."""
    try:
        said = systemd_analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", UNIT)
    except AssertionError as error:
        if "unrecognized option" in str(error):
            pytest.skip("this systemd-analyze cannot judge a file: --offline came with 250")
        raise
    assert "Overall exposure level" in said


def test_every_secret_is_a_credential_of_its_own_file() -> None:
    """Each from /etc/planasonix-bridge/secrets, none in the environment; the token is read from where it is put."""
    text = UNIT.read_text()
    credentials = re.findall(r"(?m)^LoadCredential=([\w-]+):/etc/planasonix-bridge/secrets/([\w-]+)$", text)
    assert len(credentials) == text.count("\nLoadCredential=")
    assert all(name == file for name, file in credentials)
    named = re.findall(rf"(?m)^Environment=BRIDGE_\w+_FILE={CREDENTIALS}/([\w-]+)$", text)
    assert named
    assert set(named) <= {name for name, _ in credentials}
