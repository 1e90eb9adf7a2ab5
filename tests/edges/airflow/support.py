"""A trigger to fire, and a server on loopback that answers with exactly the bytes a test gives it."""

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bridge.edges.airflow import Airflow
from bridge.edges.airflow.wire import Answer, Failure
from bridge.words import model
from bridge.words.model import Limits, Trigger, TriggerState
from tests.support.airflow_server import AirflowServer

MARTS = "refresh_sales_marts"
RUN_ID = "planasonix__job_1__succeeded__marts"
NOW = datetime(2025, 3, 27, tzinfo=UTC)
Connect = Callable[..., Airflow]
Call = Callable[..., Answer | Failure]
Behaviour = Callable[[socket.socket], None]


def carried(trigger_id: str = "trg_1", **changed: Any) -> dict[str, Any]:
    """The key `planasonix` of a conf."""
    usual = {
        "trigger_id": trigger_id,
        "route": "marts",
        "status": "succeeded",
        "run_id": None,
        "job_id": "job_1",
        "event_id": "evt_1",
    }
    return usual | changed


def trigger(
    dag_id: str = "refresh_sales_marts",
    dag_run_id: str = RUN_ID,
    *,
    trigger_id: str = "trg_1",
    conf: Mapping[str, Any] | None = None,
    note: str | None = None,
) -> Trigger:
    """A trigger as firing hands it over; `conf` is put over the usual one."""
    return Trigger(
        id=trigger_id,
        delivery_id="dlv_1",
        call=model.Call(
            route="marts",
            airflow="default",
            dag_id=dag_id,
            dag_run_id=dag_run_id,
            conf={"planasonix": carried(trigger_id)} | dict(conf or {}),
            note=note,
            limits=Limits(),
        ),
        state=TriggerState.FIRING,
        reason=None,
        detail=None,
        attempts=1,
        rerun=0,
        created_at=NOW,
        age_from=NOW,
        due_at=NOW,
        settled_at=None,
    )


def run_ids(airflow: AirflowServer, dag_id: str = MARTS) -> list[str]:
    """The ids of the runs that there are."""
    return [run["dag_run_id"] for run in airflow.runs(dag_id)]


class RawServer:
    """Gives every connection to a behaviour, in a thread."""

    def __init__(self, behaviour: Behaviour) -> None:
        """Listen at once."""
        self._behaviour = behaviour
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._connections: list[socket.socket] = []
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Start to accept."""
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End every connection and thread."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._behaviour(connection)


def receive(connection: socket.socket) -> bytes:
    """One whole request; empty at the end of the connection. What is left unread would make the close a reset."""
    received = b""
    while b"\r\n\r\n" not in received and not received.startswith(b"\x16"):  # the first byte of TLS
        if not (part := connection.recv(65536)):
            return received
        received += part
    length = re.search(rb"(?i)content-length: (\d+)", received)
    missing = int(length[1]) - len(received.partition(b"\r\n\r\n")[2]) if length else 0
    while missing > 0 and (part := connection.recv(missing)):
        received += part
        missing -= len(part)
    return received


Serve = Callable[[Behaviour], RawServer]


def says(raw: bytes) -> Behaviour:
    """Read a request, send these bytes, and close."""

    def behave(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(raw)

    return behave


def trickles(raw: bytes, *, seconds: float = 0.05) -> Behaviour:
    """Read a request and send a byte at a time."""

    def behave(connection: socket.socket) -> None:
        receive(connection)
        for byte in raw:
            connection.sendall(bytes([byte]))
            time.sleep(seconds)

    return behave


def floods(head: bytes) -> Behaviour:
    """Read a request and send without end."""

    def behave(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(head)
        while True:
            connection.sendall(b"x" * 65536)

    return behave


def over_tls(behaviour: Behaviour, certificate: Path, *, asks_client: bool = False) -> Behaviour:
    """The same behaviour behind TLS, perhaps only for clients that have a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if asks_client:
        context.load_verify_locations(certificate)
        context.verify_mode = ssl.CERT_REQUIRED

    def behave(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            behaviour(secured)

    return behave
