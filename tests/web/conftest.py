"""A running bridge whose Airflow is not there, shared by the tests of one module; and raw requests to it."""

import socket
from collections.abc import Callable, Iterator

import pytest

from bridge.words.roles import Role
from deploy.demo.processes import free_port
from tests.support.service import TOKEN, BridgeProcess
from tests.web.support import Answer, read_answer

MAPPING = """\
routes:
  - {name: refresh_sales_marts, pipeline: pl_8f2a9c1d4e,
     dag: refresh_sales_marts}
  - name: bad_template
    pipeline: pl_bad
    dag: open_incident
    conf: {date: "{{ event.parameters.business_date }}"}
"""


TOKENS = {role: f"{role}-token-of-the-tests-0001" for role in Role} | {Role.ADMIN: TOKEN}


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """The bridge, with a token for every role, a small limit for bodies and for the time they take."""
    limits = {"BRIDGE_MAX_BODY_BYTES": "65536", "BRIDGE_BODY_SECONDS": "1", "BRIDGE_HEAD_SECONDS": "3"}
    item = BridgeProcess(
        tmp_path_factory.mktemp("bridge"),
        airflow_url=f"http://127.0.0.1:{free_port()}",
        mapping=MAPPING,
        settings=limits | {f"BRIDGE_{role.upper()}_TOKEN": token for role, token in TOKENS.items()},
    )
    item.start()
    yield item
    item.close()


@pytest.fixture
def ask(bridge: BridgeProcess) -> Callable[..., Answer]:
    """Send bytes as they are to the public listener, in pieces if need be, and return what comes back."""

    def send(*pieces: bytes, port: int | None = None) -> Answer:
        with socket.create_connection(("127.0.0.1", port or bridge.port), timeout=60) as connection:
            for piece in pieces:
                connection.sendall(piece)
            return read_answer(connection)

    return send
