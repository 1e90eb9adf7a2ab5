"""nginx and Caddy, as deploy/proxy sets them up, in front of a real bridge: body and headers arrive as they were sent.

Where a program is not installed its tests are left out, and say so. `scripts/debian.sh` gets neither: they are servers
with files of their own, installed with `apt-get install nginx-light caddy`.
"""

import contextlib
import hashlib
import itertools
import os
import shutil
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.demo.airflow import REPOSITORY
from deploy.demo.processes import Process, free_port, wait_until
from tests.support.certificates import self_signed
from tests.support.service import BridgeProcess, body, signed, wait_for
from tests.support.standin import Standin

PROXY = REPOSITORY / "deploy" / "proxy"
MAPPING = "routes:\n  - pipeline: pl_8f2a9c1d4e\n    dag: load_orders\n"
PROXIES = "proxies: {addresses: [127.0.0.1], header: X-Forwarded-For}\n"
IDLE_SECONDS = 75 + 5  # past what the bridge allows, and so past what any of the two keeps a connection
NAMES = ("nginx", "caddy")
_numbers = itertools.count(1)
pytestmark = pytest.mark.xdist_group("proxies")


def event(text: str = "") -> bytes:
    """Return a body that no other test sends, with letters, blanks and an order of its own."""
    return body(event=f"evt_proxy_{next(_numbers)}", text="größer ☃ \\u00e9 " + text).replace(b": ", b" :\t")


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A bridge that believes the proxy on this machine."""
    with Standin() as airflow:
        item = BridgeProcess(
            tmp_path_factory.mktemp("behind"), airflow_url=airflow.url, mapping=MAPPING, source=f"{PROXIES}"
        )
        item.start()
        yield item
        item.close()


def nginx(folder: Path, certificate: Path, port: int, bridge_port: int) -> list[str]:
    """Write the shipped file with another port and certificate, and what Debian's nginx.conf says around it."""
    text = (PROXY / "nginx.conf").read_text().replace("127.0.0.1:8080", f"127.0.0.1:{bridge_port}")
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    text = text.replace("/etc/ssl/hooks.example.com.pem", str(certificate))
    (folder / "site.conf").write_text(text.replace("/etc/ssl/private/hooks.example.com.key", str(certificate)))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''}\ndaemon off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}include {folder}/site.conf;\n}}\n"
    )
    return ["-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, certificate: Path, port: int, bridge_port: int) -> list[str]:
    """Write the shipped file with another address, and a certificate of the test's own."""
    text = (PROXY / "Caddyfile").read_text().replace("127.0.0.1:8080", f"127.0.0.1:{bridge_port}")
    site = f"https://127.0.0.1:{port} {{\n\ttls {certificate} {certificate}"
    text = text.replace("hooks.example.com {", site)
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{text}")
    return ["run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@contextlib.contextmanager
def standing(name: str, folder: Path, bridge_port: int) -> Iterator[httpx.Client]:
    """Start one of them in front of a bridge; gives who speaks to it. Skips if it is not installed."""
    program = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))
    if program is None:
        pytest.skip(f"{name} is not installed: apt-get install {'nginx-light' if name == 'nginx' else name}")
    port, certificate = free_port(), self_signed(folder / "certificate.pem")
    words = {"nginx": nginx, "caddy": caddy}[name](folder, certificate, port, bridge_port)
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    process = Process(name, [program, *words], env=env, log=folder / f"{name}.log")
    trust = ssl.create_default_context(cafile=str(certificate))
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trust, trust_env=False, timeout=60) as client:

        def answers() -> bool:
            try:
                return client.get("/").status_code == httpx.codes.NOT_FOUND
            except httpx.TransportError:
                return False

        try:
            process.start()
            wait_until(answers, of=process, timeout_seconds=90)
            yield client
        finally:
            process.stop()


@pytest.fixture(scope="module", params=NAMES)
def client(
    request: pytest.FixtureRequest, bridge: BridgeProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """Whoever sends through the proxy."""
    with standing(request.param, tmp_path_factory.mktemp(request.param), bridge.port) as proxy:
        yield proxy


def test_a_signed_webhook_arrives_byte_for_byte(client: httpx.Client, bridge: BridgeProcess) -> None:
    """The signature over the exact bytes holds, and what is stored is what was sent; again it is a duplicate."""
    payload = event()
    answer = client.post("/hooks/planasonix", content=payload, headers=signed(payload))
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    stored = bridge.api(f"deliveries/{answer.json()['delivery_id']}")
    assert stored["body"] == payload.decode()
    again = client.post("/hooks/planasonix", content=payload, headers=signed(payload))
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    other = signed(payload) | {"X-Planasonix-Timestamp": "1"}
    assert client.post("/hooks/planasonix", content=event(), headers=other).status_code == 401


def test_a_body_in_pieces_and_a_large_one_arrive(client: httpx.Client) -> None:
    """Chunked as well as nearly 1 MiB; a larger one is answered by the bridge."""
    payload = event()
    pieces = (payload[start : start + 7] for start in range(0, len(payload), 7))
    answer = client.post("/hooks/planasonix", content=pieces, headers=signed(payload))
    assert answer.status_code == 202
    large = event("x" * 1_000_000)
    assert client.post("/hooks/planasonix", content=large, headers=signed(large)).status_code == 202
    larger = event("x" * 1_100_000)
    answer = client.post("/hooks/planasonix", content=larger, headers=signed(larger))
    assert (answer.status_code, answer.json()) == (413, {"error": "too_large"})


def test_the_url_of_a_pipeline_arrives_as_it_was_sent(client: httpx.Client, bridge: BridgeProcess) -> None:
    """The path is handed on, and with it the pipeline that the webhook was registered for."""
    payload = event()
    answer = client.post("/hooks/planasonix/pl_8f2a9c1d4e", content=payload, headers=signed(payload))
    assert answer.status_code == 202
    assert bridge.api(f"deliveries/{answer.json()['delivery_id']}")["path_pipeline_id"] == "pl_8f2a9c1d4e"


def test_a_stranger_cannot_give_himself_another_address(client: httpx.Client, bridge: BridgeProcess) -> None:
    """The sender that the bridge counts and records is the one that the proxy saw."""
    payload = event()
    forged = {"X-Forwarded-For": "198.51.100.7", "Content-Type": "application/json"}
    assert client.post("/hooks/planasonix", content=payload, headers=forged).status_code == 401
    mine = hashlib.sha256(payload).hexdigest()

    def recorded() -> list[dict[str, Any]]:
        return [item for item in bridge.api("refusals")["refusals"] if mine.startswith(item["body_sha256"] or "-")]

    wait_for(lambda: bool(recorded()), seconds=30, what="the refusal in the store")
    assert {item["sender"] for item in recorded()} == {"127.0.0.1"}


def test_only_hooks_are_reached(client: httpx.Client) -> None:
    """Neither pages nor health."""
    assert {client.get(path).status_code for path in ("/", "/api/v1/status", "/metrics", "/readyz")} == {404}


@pytest.mark.scenario
@pytest.mark.parametrize("name", NAMES)
def test_a_webhook_after_a_long_pause_arrives(name: str, tmp_path: Path) -> None:
    """No webhook is sent into a connection that the bridge has just closed, a minute and more after the last one."""
    with Standin() as airflow:
        bridge = BridgeProcess(tmp_path, airflow_url=airflow.url, mapping=MAPPING)
        bridge.start()
        with contextlib.closing(bridge), standing(name, tmp_path, bridge.port) as client:
            for _ in range(2):
                payload = event()
                assert client.post("/hooks/planasonix", content=payload, headers=signed(payload)).status_code == 202
                until = time.monotonic() + IDLE_SECONDS
                wait_for(lambda until=until: time.monotonic() > until, seconds=IDLE_SECONDS * 2, what="the pause")
            payload = event()
            assert client.post("/hooks/planasonix", content=payload, headers=signed(payload)).status_code == 202
