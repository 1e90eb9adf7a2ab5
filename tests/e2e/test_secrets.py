"""Secrets in files, swapped as Kubernetes does while webhooks come: nothing is refused, nothing is restarted."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bridge.rules.signature import PRESETS, Key, sign
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import TOKEN, Standin

MAPPING = "routes:\n  - pipeline: pl_8f2a9c1d4e\n    dag: load_orders\n"
_OLD, _NEW = "whsec_4f7d1c0b9a8e7d6c5b4a39281706f5e4", "whsec_00c1d2e3f405162738495a6b7c8d9eaf"
_ADMIN = ("admin-token-4f7d1c0b9a8e7d6c", "admin-token-a39281706f5e4d3c")
_VIEWER = ("viewer-token-5c6d7e8f9a0b1c2d", "viewer-token-d2c1b0a9f8e7d6c5")


class Mounted:
    """A folder as the kubelet mounts a Secret: files are links into ..data, which is a link that is swapped."""

    def __init__(self, folder: Path, **files: str) -> None:
        """Mount it."""
        self.folder = folder
        self._count = 0
        folder.mkdir()
        self.swap(**files)
        for name in files:
            (folder / name).symlink_to(f"..data/{name}")

    def swap(self, **files: str) -> None:
        """Write all files anew and swap the link, in one step."""
        self._count += 1
        made = self.folder / f"..{self._count}"
        made.mkdir()
        for name, text in files.items():
            (made / name).write_text(text)
        beside = self.folder / "..data_tmp"
        beside.symlink_to(made.name)
        beside.rename(self.folder / "..data")


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening."""
    with Standin() as standin:
        yield standin


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    """The secrets of a source (old and new), the admin's token and the viewer's."""
    return Mounted(tmp_path / "secrets", old=_OLD, new=_OLD[::-1], admin=_ADMIN[0], viewer=_VIEWER[0])


@pytest.fixture
def airflow_token(tmp_path: Path) -> Path:
    """The file of the bearer token that Airflow is sent."""
    file = tmp_path / "airflow-token"
    file.write_text(TOKEN)
    return file


@pytest.fixture
def bridge(tmp_path: Path, standin: Standin, mounted: Mounted, airflow_token: Path) -> Iterator[BridgeProcess]:
    """A bridge whose secrets are these files."""
    settings = {f"BRIDGE_{role.upper()}_TOKEN_FILE": str(mounted.folder / role) for role in ("admin", "viewer")}
    (tmp_path / "bridge").mkdir()
    item = BridgeProcess(
        tmp_path / "bridge", airflow_url=standin.url, mapping=MAPPING, settings=settings, more="    rate: 500"
    )
    item.remove_variable("BRIDGE_ADMIN_TOKEN")
    config = item.folder / "bridge.yaml"
    keys = "".join(f"\n        - {{id: {name}, file: {mounted.folder / name}}}" for name in ("old", "new"))
    text = config.read_text()
    before, _, after = text.partition("\n        - {id: current, env: PLANASONIX_WEBHOOK_SECRET}")
    sign_in = "{username: {env: AIRFLOW_USERNAME}, password: {env: AIRFLOW_PASSWORD}}"
    config.write_text(before + keys + after.replace(sign_in, f"{{token: {{file: {airflow_token}}}}}"))
    item.start()
    yield item
    item.close()


def _send(bridge: BridgeProcess, event: str, secret: str) -> int:
    payload = body(event=event)
    headers = sign(PRESETS["planasonix"], Key("k", secret.encode()), payload, int(time.time()))
    url = f"http://127.0.0.1:{bridge.port}/hooks/planasonix"
    return httpx.post(url, content=payload, headers=headers, trust_env=False, timeout=120).status_code


def _status(bridge: BridgeProcess, token: str) -> httpx.Response:
    url = f"http://127.0.0.1:{bridge.admin_port}/api/v1/status"
    return httpx.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=60)


def _metrics(bridge: BridgeProcess) -> str:
    url = f"http://127.0.0.1:{bridge.admin_port}/metrics"
    return httpx.get(url, headers={"Authorization": f"Bearer {_ADMIN[0]}"}, trust_env=False, timeout=60).text


def test_rotation_refuses_nothing(bridge: BridgeProcess, mounted: Mounted, standin: Standin) -> None:
    """The new secret is mounted, the sender changes over, the old one goes: 202 all the time, and the same process."""
    pid = bridge.process.pid
    secret = [_OLD]
    answers: Counter[int] = Counter()
    is_over = threading.Event()

    def sender() -> None:
        while not is_over.is_set():
            answers[_send(bridge, f"evt_{sum(answers.values())}", secret[0])] += 1

    sending = threading.Thread(target=sender)
    sending.start()
    try:
        mounted.swap(old=_OLD, new=_NEW, admin=_ADMIN[0], viewer=_VIEWER[0])
        wait_for(lambda: _send(bridge, "evt_new", _NEW) in (200, 202), seconds=10, what="the new secret is known")
        secret[0] = _NEW
        time.sleep(0.5)
        mounted.swap(old=_OLD[::-1], new=_NEW, admin=_ADMIN[1], viewer=_VIEWER[1])
        wait_for(lambda: _send(bridge, "evt_old", _OLD) == 401, seconds=10, what="the old secret is forgotten")
        wait_for(lambda: _status(bridge, _ADMIN[1]).status_code == 200, seconds=10, what="the admin token is new")
    finally:
        is_over.set()
        sending.join()
    assert set(answers) == {202}
    assert [_status(bridge, token).status_code for token in (_ADMIN[0], *_VIEWER)] == [401, 401, 200]
    assert (bridge.process.pid, bridge.process.is_running) == (pid, True)
    wait_for(lambda: len(standin.runs()) > answers[202], seconds=30, what="all fired")


def test_broken_secret_is_told_and_refuses_nothing(bridge: BridgeProcess, mounted: Mounted) -> None:
    """Too short, and a placeholder: the last good ones stay in use, and `status` says which file is to be mended."""
    mounted.swap(old="short", new="changeme-changeme-changeme", admin=_ADMIN[1], viewer=_VIEWER[0])
    wait_for(lambda: bool(_status(bridge, _ADMIN[0]).json()["secrets"]["problems"]), seconds=10, what="it is told")
    problems = _status(bridge, _ADMIN[0]).json()["secrets"]["problems"]
    assert any("shorter than 24 bytes" in problem for problem in problems)
    assert _send(bridge, "evt_1", _OLD) == 202
    assert "secrets_broken" in bridge.log
    assert "changeme" not in bridge.log


def test_change_beside_a_file_that_cannot_be_read_is_not_lost(bridge: BridgeProcess, mounted: Mounted) -> None:
    """The new secret counts as soon as every file can be read again, and the withdrawn one no more."""
    mounted.swap(old=_NEW, new=_NEW[::-1], viewer=_VIEWER[0])  # the admin token is gone for a while
    wait_for(lambda: bool(_status(bridge, _ADMIN[0]).json()["secrets"]["problems"]), seconds=20, what="it is told")
    mounted.swap(old=_NEW, new=_NEW[::-1], admin=_ADMIN[0], viewer=_VIEWER[0])
    wait_for(lambda: _send(bridge, "evt_new", _NEW) in (200, 202), seconds=20, what="the new secret is known")
    assert _send(bridge, "evt_old", _OLD) == 401
    wait_for(lambda: not _status(bridge, _ADMIN[0]).json()["secrets"]["problems"], seconds=20, what="all is well")


def test_an_optional_secret_comes_and_goes_without_a_restart(bridge: BridgeProcess, tmp_path: Path) -> None:
    """The file of the next secret is not there at the start; written, it verifies, and taken away, it is retired."""
    place = tmp_path / "next"
    bridge.stop()
    config = bridge.folder / "bridge.yaml"
    key = "      secrets:\n"
    config.write_text(config.read_text().replace(key, f"{key}        - {{id: next, file: {place}, optional: true}}\n"))
    bridge.start()
    assert _send(bridge, "evt_early", _NEW) == 401
    assert 'bridge_signatures_verified_total{key="next",source="planasonix"} 0.0' in _metrics(bridge)
    place.write_text(_NEW)
    wait_for(lambda: _send(bridge, "evt_next", _NEW) in (200, 202), seconds=10, what="the next secret is known")
    assert _send(bridge, "evt_old", _OLD) == 202
    assert 'bridge_signatures_verified_total{key="next",source="planasonix"} 1.0' in _metrics(bridge)
    place.unlink()
    wait_for(lambda: _send(bridge, "evt_next_2", _NEW) == 401, seconds=10, what="it is retired")
    assert _send(bridge, "evt_old_2", _OLD) == 202


def test_an_airflows_token_in_a_file_is_read_again(
    bridge: BridgeProcess, standin: Standin, airflow_token: Path
) -> None:
    """What comes while the token is withdrawn waits, and starts by itself once the file has the next one."""
    airflow_token.write_text("a-token-that-was-withdrawn")

    def states() -> set[tuple[str, str | None]]:
        found = httpx.get(
            f"http://127.0.0.1:{bridge.admin_port}/api/v1/triggers",
            headers={"Authorization": f"Bearer {_ADMIN[0]}"},
            trust_env=False,
            timeout=60,
        )
        return {(item["state"], item["reason"]) for item in found.json()["triggers"]}

    def is_refused(sent: int) -> bool:
        assert _send(bridge, f"evt_{sent}", _OLD) == 202
        waits = ("held", "airflow_unauthorized")
        wait_for(lambda: len(standin.runs()) > sent or waits in states(), seconds=60, what="it starts or waits")
        return waits in states()

    sent = 1
    while not is_refused(sent - 1):  # the file is looked at once a second
        sent += 1
        assert sent < 500, "the file is not read again"
    airflow_token.write_text(TOKEN)
    wait_for(lambda: len(standin.runs()) == sent, seconds=120, what=lambda: f"all start; {states()}")
