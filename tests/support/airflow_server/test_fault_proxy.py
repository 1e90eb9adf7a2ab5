"""The lossy network between a caller and a real Airflow."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from tests.support.airflow_server import AirflowServer
from tests.support.fault_proxy import BAD_GATEWAY, Answer, Delay, DropAnswer, Fault, FaultProxy, HalfAnswer, Reset

RUNS = "/api/v2/dags/refresh_sales_marts/dagRuns"


class Counting(BaseHTTPRequestHandler):
    """Answers every POST with its own body and counts them."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_POST(self) -> None:
        """Echo."""
        type(self).count += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def proxy(fault_proxy: Callable[[str], FaultProxy]) -> Iterator[FaultProxy]:
    """A proxy in front of a server that counts what reaches it."""
    Counting.count = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield fault_proxy(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


@pytest.mark.airflow
def test_the_run_exists_although_the_answer_was_lost(
    airflow: AirflowServer, fault_proxy: Callable[[str], FaultProxy]
) -> None:
    """A dropped answer is the hard case: the caller sees an error, Airflow has the run."""
    proxy = fault_proxy(airflow.url)
    proxy.fail_next(DropAnswer(), method="POST", path="/dagRuns$")
    headers = {"Authorization": f"Bearer {airflow.token()}"}
    body = {"dag_run_id": "run-1", "logical_date": None}
    with httpx.Client(base_url=proxy.url, headers=headers, timeout=60) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(RUNS, json=body)
        again = client.post(RUNS, json=body)
    assert again.status_code == 409
    assert [run["dag_run_id"] for run in airflow.runs("refresh_sales_marts")] == ["run-1"]
    assert [seen.status for seen in proxy.seen] == [200, 409]


def test_forwards_unchanged_without_a_fault(proxy: FaultProxy) -> None:
    """Bytes go through as they are, one connection serves many requests."""
    with httpx.Client(base_url=proxy.url, timeout=60) as client:
        bodies = [client.post("/echo", content=bytes(range(size))).content for size in (0, 1, 255)]
    assert bodies == [b"", b"\x00", bytes(range(255))]
    assert [seen.status for seen in proxy.seen] == [200, 200, 200]


@pytest.mark.parametrize(
    ("fault", "error", "reached"),
    [
        (DropAnswer(), httpx.RemoteProtocolError, 1),
        (HalfAnswer(), httpx.RemoteProtocolError, 1),
        (Reset(), httpx.ReadError, 0),
        (Reset(after_acting=True), httpx.ReadError, 1),
    ],
)
def test_breaks_one_request_and_no_more(proxy: FaultProxy, fault: Fault, error: type[Exception], reached: int) -> None:
    """The caller sees the error, the server saw the request or not, and the next request is fine."""
    proxy.fail_next(fault, method="POST")
    with pytest.raises(error):
        httpx.post(f"{proxy.url}/x", content=b"0123456789" * 20, timeout=60)
    assert Counting.count == reached
    assert httpx.post(f"{proxy.url}/x", content=b"y", timeout=60).content == b"y"


@pytest.mark.parametrize(("after_acting", "reached"), [(False, 0), (True, 1)])
def test_answers_in_the_servers_place(proxy: FaultProxy, after_acting: bool, reached: int) -> None:
    """Status, headers and body are the given ones, whether the server acted or not."""
    proxy.fail_next(Answer(429, b"slow down", {"Retry-After": "7"}, after_acting=after_acting))
    answer = httpx.post(f"{proxy.url}/x", content=b"y", timeout=60)
    assert (answer.status_code, answer.content, answer.headers["Retry-After"]) == (429, b"slow down", "7")
    assert Counting.count == reached


def test_faults_choose_their_request_and_are_used_in_order(proxy: FaultProxy) -> None:
    """A fault waits for its path; several for one path are used one after the other."""
    proxy.fail_next(BAD_GATEWAY, path="^/b")
    proxy.fail_next(Answer(503), path="^/b", times=2)
    codes = [
        httpx.post(f"{proxy.url}{path}", content=b"y", timeout=60).status_code
        for path in ("/a", "/b", "/b", "/b", "/b")
    ]
    assert codes == [200, 502, 503, 503, 200]


@pytest.mark.parametrize("after_acting", [False, True])
def test_delays(proxy: FaultProxy, after_acting: bool) -> None:
    """A delay outlasts the caller's patience; who has more is answered."""
    proxy.fail_next(Delay(0.5, after_acting=after_acting))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{proxy.url}/x", content=b"y", timeout=0.1)
    proxy.fail_next(Delay(0.5, after_acting=after_acting))
    assert httpx.post(f"{proxy.url}/x", content=b"y", timeout=60).status_code == 200


def test_cut_refuses_and_restore_is_at_the_same_address(proxy: FaultProxy) -> None:
    """An outage breaks what is open, refuses what is new, and ends."""
    with httpx.Client(base_url=proxy.url, timeout=60) as client:
        assert client.post("/x", content=b"y").status_code == 200
        proxy.cut()
        with pytest.raises(httpx.TransportError):
            client.post("/x", content=b"y")
        with pytest.raises(httpx.ConnectError):
            client.post("/x", content=b"y")
        proxy.restore()
        assert client.post("/x", content=b"y").status_code == 200
