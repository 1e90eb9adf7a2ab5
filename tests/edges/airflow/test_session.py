"""Which REST API is there, and Airflow 2's differences, against a small server on loopback with canned answers."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bridge.edges.airflow import Airflow
from bridge.words.dags import DagFacts
from bridge.words.outcomes import AlreadyThere, Later, Misconfigured, Started, TargetDown
from bridge.words.reasons import Reason
from bridge.words.targets import AirflowAuth, AirflowTarget, Secret
from deploy.demo.processes import free_port
from tests.edges.airflow.support import RUN_ID, trigger

PAGE = (404, "text/html", b"<html>not found</html>")
USER = AirflowAuth(Secret("ann"), Secret("word"))
BASIC = "Basic YW5uOndvcmQ="


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


# Each below `max_conf_bytes`, and spelled at more than a mebibyte.
CONFS: dict[str, dict[str, Any]] = {
    "deep": {"deep": _nested([1] * 20_000, 29)},
    "not ASCII": {"rows": _nested(["\u00fc"] * 40_000, 5)},
    "many short values": {"rows": [{"a": 1, "b": [2, 3]} for _ in range(12_000)]},
}


@dataclass
class Canned:
    """Answers by method and path; everything else is a 404 in HTML. `seen` holds path, Authorization and body."""

    answers: dict[tuple[str, str], tuple[int, str, bytes]] = field(default_factory=dict)
    seen: list[tuple[str, str | None, Any]] = field(default_factory=list)
    url: str = ""

    def says(self, method: str, path: str, value: Any, status: int = 200) -> None:
        """Answer with JSON."""
        self.answers[method, path] = (status, "application/json", json.dumps(value).encode())

    def airflow(self, auth: AirflowAuth = USER, **more: Any) -> Airflow:
        """The object under test, connected here."""
        return Airflow(AirflowTarget("default", self.url, auth, **more))


@pytest.fixture
def canned() -> Iterator[Canned]:
    """A server with canned answers."""
    made = Canned()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            made.seen.append((self.path, self.headers.get("Authorization"), body))
            status, content_type, raw = made.answers.get((self.command, self.path.partition("?")[0]), PAGE)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def airflow_2(canned: Canned) -> Canned:
    """The same with what Airflow 2.11 answers."""
    canned.says("GET", "/api/v1/version", {"version": "2.11.2"})
    canned.says("GET", "/api/v1/health", {"metadatabase": {"status": "healthy"}})
    canned.says("GET", "/api/v1/dags", {"dags": []})
    canned.says("GET", "/api/v1/dags/marts", {"is_paused": False})
    return canned


def test_airflow_2_is_found_and_called_its_way(airflow_2: Canned) -> None:
    """REST v1, Basic, no `logical_date`, no sign-in call; nothing of it is asked twice."""
    airflow_2.says("POST", "/api/v1/dags/marts/dagRuns", {"dag_run_id": RUN_ID})
    item = trigger("marts")
    bridge = airflow_2.airflow()
    assert bridge.fire(item) == Started(is_paused=False, http_status=200)
    assert bridge.fire(item) == Started(is_paused=False, http_status=200)
    paths = [path for path, _, _ in airflow_2.seen]
    run = "/api/v1/dags/marts/dagRuns"
    assert paths == ["/api/v2/version", "/api/v1/version", run, "/api/v1/dags/marts", run]
    _, authorization, body = airflow_2.seen[2]
    assert authorization == BASIC
    assert body == {"dag_run_id": RUN_ID, "conf": dict(item.call.conf)}
    bridge.close()


def test_airflow_2_duplicate_is_read_back(airflow_2: Canned) -> None:
    """A 409 in problem+json, and the run with the ids that Airflow 2 gives it."""
    item = trigger("marts")
    airflow_2.says("POST", "/api/v1/dags/marts/dagRuns", {"title": "Conflict", "detail": "exists"}, 409)
    airflow_2.says("GET", f"/api/v1/dags/marts/dagRuns/{RUN_ID}", {"dag_run_id": RUN_ID, "conf": dict(item.call.conf)})
    bridge = airflow_2.airflow()
    assert bridge.fire(item) == AlreadyThere(Reason.ALREADY_THERE, 409)
    bridge.close()


def test_airflow_2_probe(airflow_2: Canned) -> None:
    """Healthy and let in; a 403 there is as likely a wrong password, so it is told as one."""
    bridge = airflow_2.airflow()
    assert bridge.probe() is None
    airflow_2.says("GET", "/api/v1/dags", {"title": "Forbidden", "detail": None}, 403)
    problem = bridge.probe()
    assert isinstance(problem, Misconfigured)
    assert problem.reason is Reason.AIRFLOW_UNAUTHORIZED
    bridge.close()


def test_a_header_in_a_file_is_read_again(airflow_2: Canned) -> None:
    """What a rotation puts into `headers` is sent with the next call, without a restart."""
    gate = AirflowTarget("default", airflow_2.url, AirflowAuth(), headers={"Authorization": Secret("old")})
    bridge = Airflow(gate)
    assert bridge.probe() is None
    airflow_2.seen.clear()
    bridge.take_over(replace(gate, headers={"Authorization": Secret("new")}))
    assert bridge.probe() is None
    assert {authorization for _, authorization, _ in airflow_2.seen} == {"new"}
    bridge.close()


def test_airflow_2_that_became_3_is_found_anew(airflow_2: Canned) -> None:
    """An upgrade under a running bridge costs one probe; a version that is configured stays, and is told as wrong."""
    bridge, fixed = airflow_2.airflow(AirflowAuth()), airflow_2.airflow(AirflowAuth(), version="2")
    assert bridge.probe() is None
    assert fixed.probe() is None
    gone = {"error": "/api/v1 has been removed in Airflow 3, please use its upgraded version /api/v2 instead."}
    for path in ("version", "health", "dags"):
        airflow_2.says("GET", f"/api/v1/{path}", gone, 404)
    airflow_2.says("GET", "/api/v2/version", {"version": "3.3.2"})
    airflow_2.says("GET", "/api/v2/monitor/health", {"metadatabase": {"status": "healthy"}})
    airflow_2.says("GET", "/api/v2/dags", {"dags": []})
    airflow_2.says("GET", "/api/v1/dags/marts", gone, 404)
    assert isinstance(bridge.look_at_dag("marts"), Misconfigured)  # and not a DAG that is missing
    assert isinstance(bridge.probe(), Misconfigured)
    assert bridge.probe() is None
    assert [isinstance(fixed.probe(), Misconfigured) for _ in range(2)] == [True, True]
    bridge.close()
    fixed.close()


def test_airflow_2_facts(airflow_2: Canned) -> None:
    """`is_active: false` is a DAG that left its file."""
    airflow_2.says("GET", "/api/v1/dags/marts/details", {"is_paused": True, "is_active": False, "params": {}})
    airflow_2.says("GET", "/api/v1/dags/other/details", {"title": "DAG not found"}, 404)
    bridge = airflow_2.airflow()
    assert bridge.look_at("marts") == DagFacts(exists=True, is_paused=True, is_stale=True)
    assert bridge.look_at("other") == DagFacts(exists=False)
    bridge.close()


@pytest.mark.parametrize(
    ("said", "status", "kind", "reason"),
    [
        (None, 404, Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        ({}, 200, Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        ({}, 401, Misconfigured, Reason.AIRFLOW_UNAUTHORIZED),
        ({}, 500, TargetDown, Reason.AIRFLOW_DOWN),
        ({}, 429, TargetDown, Reason.THROTTLED),
    ],
)
def test_version_that_is_not_told(canned: Canned, said: Any, status: int, kind: type, reason: Reason) -> None:
    """Nothing is fired at what may not be an Airflow; and it is asked again at the next call."""
    canned.says("GET", "/api/v2/version", said, status)
    bridge = canned.airflow()
    outcome = bridge.fire(trigger("marts"))
    assert (type(outcome), getattr(outcome, "reason", None)) == (kind, reason)
    assert [path for path, _, _ in canned.seen if "dagRuns" in path] == []
    tried = f"neither {canned.url}/api/v2/version nor {canned.url}/api/v1/version tells a version"
    assert (getattr(outcome, "detail", None) == tried) is (reason is Reason.AIRFLOW_MISCONFIGURED)
    canned.says("GET", "/api/v2/version", {"version": "3.3.2"})
    canned.says("POST", "/auth/token", {"access_token": "t"}, 201)
    canned.says("POST", "/api/v2/dags/marts/dagRuns", {"dag_run_id": RUN_ID})
    assert isinstance(bridge.fire(trigger("marts")), Started)
    bridge.close()


def test_a_place_that_tells_no_version_is_named_with_its_whole_url(canned: Canned) -> None:
    """With the path, which is what is wrong as a rule. (No URL of an Airflow may hold a user or a password.)"""
    place = AirflowTarget("default", f"{canned.url}/team/", AirflowAuth())
    bridge = Airflow(place)
    problem = bridge.probe()
    bridge.close()
    assert isinstance(problem, Misconfigured)
    assert problem.detail == (
        f"neither {canned.url}/team/api/v2/version nor {canned.url}/team/api/v1/version tells a version"
    )


def test_fixed_token_goes_along_everywhere(canned: Canned) -> None:
    """A managed Airflow's gateway wants it for the version and the health as well."""
    canned.says("GET", "/api/v2/version", {"version": "3.3.2"})
    canned.says("GET", "/api/v2/monitor/health", {"metadatabase": {"status": "healthy"}})
    canned.says("GET", "/api/v2/dags", {"dags": []})
    bridge = canned.airflow(AirflowAuth(token=Secret("abc")))
    assert bridge.probe() is None
    assert {authorization for _, authorization, _ in canned.seen} == {"Bearer abc"}
    bridge.close()


@pytest.mark.parametrize(
    ("health", "kind"),
    [
        ({"metadatabase": {"status": "unhealthy"}}, TargetDown),
        ({"metadatabase": {}}, Misconfigured),
        ({"status": "ok"}, Misconfigured),
        ([], Misconfigured),
        ({"metadatabase": {"status": "healthy"}, "scheduler": {"status": "unhealthy"}}, type(None)),
        ({"metadatabase": {"status": "healthy"}, "scheduler": {"status": None}}, type(None)),
    ],
)
def test_health_is_read_and_not_the_status(canned: Canned, health: Any, kind: type) -> None:
    """200 says nothing; the database decides, and without a scheduler runs are accepted and wait."""
    canned.says("GET", "/api/v2/monitor/health", health)
    canned.says("GET", "/api/v2/dags", {"dags": []})
    bridge = canned.airflow(AirflowAuth(), version="3")
    assert type(bridge.probe()) is kind
    bridge.close()


def test_run_that_airflow_cannot_tell_of_does_not_hold_the_others(canned: Canned) -> None:
    """Reading back one run fails for ever: few attempts, and the place stays open."""
    canned.says("GET", "/api/v2/monitor/health", {"metadatabase": {"status": "healthy"}})
    canned.says("GET", "/api/v2/dags", {"dags": []})
    canned.says("POST", "/api/v2/dags/marts/dagRuns", {}, 409)
    bridge = canned.airflow(AirflowAuth(), version="3")
    for status, value in ((500, {"detail": "x"}), (200, {"dag_run_id": "another"})):
        canned.says("GET", f"/api/v2/dags/marts/dagRuns/{RUN_ID}", value, status)
        outcome = bridge.fire(trigger("marts"))
        assert isinstance(outcome, Later)
        assert outcome.attempts_allowed == 5
    bridge.close()


def test_ids_are_encoded_in_the_path(canned: Canned) -> None:
    """Whatever stands in an id stays one segment of the path."""
    canned.says("POST", "/api/v2/dags/caf%C3%A9/dagRuns", {}, 409)
    bridge = canned.airflow(AirflowAuth(), version="3")
    bridge.fire(trigger("café", "a/../b?c#d +:~"))
    bridge.fire(trigger("café", ".."))
    paths = [path for path, _, _ in canned.seen if "dagRuns" in path]
    assert paths[1] == "/api/v2/dags/caf%C3%A9/dagRuns/a%2F..%2Fb%3Fc%23d%20%2B%3A~"
    assert paths[3] == "/api/v2/dags/caf%C3%A9/dagRuns/%2E%2E"
    bridge.close()


@pytest.mark.parametrize("conf", CONFS, ids=list(CONFS))
def test_a_conf_that_airflow_spells_at_length_is_read_back_whole(airflow_2: Canned, conf: str) -> None:
    """Airflow 2.11 echoes it indented: what was sent bounds what may come back, also when the run is read back."""
    item = trigger("marts", conf=CONFS[conf])
    run = {"dag_run_id": RUN_ID, "conf": dict(item.call.conf)}
    spelled = json.dumps(run, indent=4).encode()
    assert len(json.dumps(run, separators=(",", ":"), ensure_ascii=False).encode()) < 262_144
    assert len(spelled) > 1 << 20
    airflow_2.answers["POST", "/api/v1/dags/marts/dagRuns"] = (200, "application/json", spelled)
    airflow_2.answers["GET", f"/api/v1/dags/marts/dagRuns/{RUN_ID}"] = (200, "application/json", spelled)
    bridge = airflow_2.airflow()
    assert isinstance(bridge.fire(item), Started)
    airflow_2.says("POST", "/api/v1/dags/marts/dagRuns", {"title": "Conflict", "detail": "exists"}, 409)
    assert bridge.fire(item) == AlreadyThere(Reason.ALREADY_THERE, 409)
    bridge.close()


def test_an_answer_that_is_cut_is_doubt(airflow_2: Canned) -> None:
    """It is neither a run nor a refusal: the run is read back, and without one it is tried a few times."""
    item = trigger("marts")
    run = {"dag_run_id": RUN_ID, "conf": dict(item.call.conf)}
    airflow_2.says("POST", "/api/v1/dags/marts/dagRuns", run | {"padding": "x" * (1 << 21)})
    airflow_2.says("GET", f"/api/v1/dags/marts/dagRuns/{RUN_ID}", run)
    bridge = airflow_2.airflow()
    assert bridge.fire(item) == AlreadyThere(Reason.ALREADY_THERE, 200)
    airflow_2.says("GET", f"/api/v1/dags/marts/dagRuns/{RUN_ID}", {"title": "DAGRun not found"}, 404)
    outcome = bridge.fire(item)
    assert isinstance(outcome, Later)
    assert (outcome.reason, outcome.attempts_allowed) == (Reason.ANSWER_LOST, 5)
    bridge.close()


@pytest.mark.parametrize("version", ["auto", "3"])
def test_what_was_never_sent_can_have_started_nothing(version: str) -> None:
    """Neither where the version could not be asked for, nor where the call itself found nobody."""
    airflow = Airflow(AirflowTarget("default", f"http://127.0.0.1:{free_port()}", USER, version=version))
    outcome = airflow.fire(trigger())
    airflow.close()
    assert isinstance(outcome, TargetDown)
    assert (outcome.reason, outcome.is_look) == (Reason.AIRFLOW_DOWN, True)


def test_a_sign_in_that_is_refused_can_have_started_nothing(canned: Canned) -> None:
    """The call was not sent."""
    canned.says("GET", "/api/v2/version", {"version": "3.0.6"})
    canned.says("POST", "/auth/token", {"detail": "Invalid credentials"}, status=401)
    outcome = canned.airflow().fire(trigger())
    assert isinstance(outcome, Misconfigured)
    assert (outcome.reason, outcome.is_look) == (Reason.AIRFLOW_UNAUTHORIZED, True)
