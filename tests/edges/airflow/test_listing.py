"""Lists of DAG runs: what each version is asked, what its answers mean, and that the real one understands."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.edges.airflow import Airflow, listing
from bridge.edges.airflow.wire import Answer
from bridge.words.outcomes import Misconfigured, TargetDown
from bridge.words.reasons import Reason
from bridge.words.runs import RunPage, RunSeen
from bridge.words.targets import AirflowAuth, AirflowTarget, Secret
from tests.edges.airflow.support import MARTS, Connect, Serve, says
from tests.support.airflow_server import AirflowServer

SINCE = datetime(2030, 1, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(hours=1)
_AIRFLOW_2 = {
    "conf": {}, "dag_id": "d", "dag_run_id": "r", "end_date": None, "external_trigger": True,
    "logical_date": "2030-01-01T00:00:01.5+00:00", "execution_date": "2030-01-01T00:00:01.5+00:00",
    "start_date": "2030-01-01T00:00:02+00:00", "state": "running",
}  # fmt: skip


def answer(value: Any, status: int = 200) -> Answer:
    """Return an answer in JSON."""
    return Answer(status, "application/json", json.dumps(value).encode())


@pytest.mark.parametrize(("version", "made"), [("2", "execution_date"), ("3", "run_after")])
def test_each_version_is_asked_in_its_own_words(version: str, made: str) -> None:
    """Both ends belong to the stretch of time; the order is one that every version takes."""
    assert listing.question(version, dag_ids={"b", "a"}, since=SINCE, until=UNTIL, limit=7) == {
        "dag_ids": ["a", "b"],
        f"{made}_gte": "2030-01-01T00:00:00+00:00",
        f"{made}_lte": "2030-01-01T01:00:00+00:00",
        "order_by": "id",
        "page_limit": 7,
    }


def test_a_run_of_airflow_2_was_made_at_its_logical_date() -> None:
    """It has no `run_after`."""
    made_at, started_at = SINCE + timedelta(seconds=1.5), SINCE + timedelta(seconds=2)
    assert listing.seen(_AIRFLOW_2) == RunSeen("d", "r", "running", made_at, started_at, None)


@pytest.mark.parametrize("item", [None, "x", {}, {"dag_id": "d", "dag_run_id": "r", "state": None}, {"dag_id": 1}])
def test_what_is_no_run_is_left_out(item: Any) -> None:
    """One odd row costs the others nothing."""
    page = listing.page(answer({"dag_runs": [item, _AIRFLOW_2], "total_entries": 2}), limit=10)
    assert page is not None
    assert [run.dag_run_id for run in page.runs] == ["r"]


@pytest.mark.parametrize("text", ["", "soon", "2030-01-01T00:00:00", "2030-13-01T00:00:00Z", "9999-12-31T23:59:59Z", 5])
def test_an_odd_instant_stops_nothing(text: Any) -> None:
    """The state is what counts."""
    assert listing.seen(_AIRFLOW_2 | {"end_date": text, "state": "success"}) is not None


@pytest.mark.parametrize(
    ("amount", "total", "limit", "is_whole"), [(1, 1, 2, True), (1, None, 2, True), (2, 2, 2, False), (1, 5, 2, False)]
)
def test_a_page_says_whether_something_is_missing(amount: int, total: int | None, limit: int, is_whole: bool) -> None:
    """A full page may hide more, whatever the total says."""
    page = listing.page(answer({"dag_runs": [_AIRFLOW_2] * amount, "total_entries": total}), limit=limit)
    assert page is not None
    assert page.is_whole is is_whole


@pytest.mark.parametrize(
    ("value", "status", "is_gone"),
    [
        ({"detail": "The DagRun with dag_id: `d` and run_id: `r` was not found"}, 404, True),
        ({"title": "DAGRun not found", "detail": "DAGRun with DAG ID: 'd' and DagRun ID: 'r' not found"}, 404, True),
        ({"detail": "Not Found"}, 404, False),
        ({"error": "/api/v1 has been removed in Airflow 3, please use /api/v2 instead."}, 404, False),
        ({"detail": "The DagRun with dag_id: `d` and run_id: `r` was not found"}, 500, False),
    ],
)
def test_only_airflows_own_words_say_that_a_run_is_gone(value: Any, status: int, is_gone: bool) -> None:
    """A proxy's 404, or that of another version, says nothing about the run."""
    assert listing.is_gone(answer(value, status)) is is_gone


def _raw(status: str, body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        (_raw("200 OK", b'{"dag_runs": [], "total_entries": 0}'), RunPage),
        (_raw("200 OK", b'{"dags": []}'), Misconfigured),
        (_raw("200 OK", b"<html>sign in</html>", "text/html"), Misconfigured),
        (_raw("403 Forbidden", b'{"detail": "Forbidden"}'), Misconfigured),
        (_raw("422 Unprocessable", b'{"detail": []}'), Misconfigured),
        (_raw("500 Error", b"oops", "text/plain"), TargetDown),
        (b"", TargetDown),
    ],
)
def test_whatever_answers_becomes_a_page_or_a_problem(serve: Serve, raw: bytes, outcome: type) -> None:
    """Nothing is raised, and an empty page is a page."""
    target = AirflowTarget("default", serve(says(raw)).url, AirflowAuth(token=Secret("t")), version="3")
    airflow = Airflow(target)
    assert isinstance(airflow.list_runs(["d"], SINCE, UNTIL, limit=10), outcome)
    assert not isinstance(airflow.look_at_run("d", "r"), RunSeen)
    airflow.close()


@pytest.mark.airflow
@pytest.mark.timeout(180)
def test_the_real_airflow_lists_runs_of_any_dag(connect: Connect, airflow: AirflowServer) -> None:
    """By when they were made, more than a hundred at once, and with their states; a deleted one is gone."""
    bridge = connect()
    before = datetime.now(UTC) - timedelta(minutes=1)
    for number in range(105):
        airflow.trigger(MARTS, f"run_{number}", {})
    airflow.trigger("open_incident", "other_1", {"planasonix": {}})
    dags = [MARTS, "open_incident"]
    page = bridge.list_runs(dags, before, before + timedelta(hours=1), limit=400)
    assert isinstance(page, RunPage)
    assert page.is_whole
    found = {(run.dag_id, run.dag_run_id): run for run in page.runs}
    assert found.keys() == {*((MARTS, f"run_{number}") for number in range(105)), ("open_incident", "other_1")}
    first = found[MARTS, "run_0"]
    assert first.run_after is not None
    assert (first.state, first.started_at) == ("queued", None)
    exact = bridge.list_runs([MARTS], first.run_after, first.run_after, limit=10)
    assert isinstance(exact, RunPage)
    assert "run_0" in [run.dag_run_id for run in exact.runs]
    short = bridge.list_runs(dags, before, before + timedelta(hours=1), limit=10)
    assert isinstance(short, RunPage)
    assert (len(short.runs), short.is_whole, short.listed, short.total) == (10, False, 10, 106)
    rest = bridge.list_runs(dags, before, before + timedelta(hours=1), limit=100, offset=100)
    assert isinstance(rest, RunPage)
    assert (len(rest.runs), rest.total) == (6, 106)
    assert [run.conf for run in rest.runs if run.dag_id == "open_incident"] == [{"planasonix": {}}]
    assert bridge.look_at_run(MARTS, "run_0") == first
    assert bridge.look_at_run(MARTS, "run_that_is_not_there") is None
    assert bridge.look_at_run("dag_that_is_not_there", "run_0") is None


def test_a_listed_run_has_its_conf_and_what_started_it() -> None:
    """Neither makes it another run, and its conf is never shown."""
    run = listing.seen(_AIRFLOW_2 | {"conf": {"secret": 1}, "triggered_by": "ui"})
    assert run is not None
    assert (run.conf, run.triggered_by) == ({"secret": 1}, "ui")
    assert run == listing.seen(_AIRFLOW_2)
    assert "secret" not in repr(run)


@pytest.mark.airflow
@pytest.mark.timeout(180)
def test_a_viewer_may_read_runs_too(connect: Connect, airflow: AirflowServer) -> None:
    """And whoever is nobody is told so."""
    page = connect(user="viewer").list_runs([MARTS], SINCE, UNTIL, limit=10)
    assert isinstance(page, RunPage)
    problem = connect(auth=None, user="bridge", url=airflow.url + "/nowhere").list_runs([MARTS], SINCE, UNTIL, limit=1)
    assert isinstance(problem, Misconfigured)
    assert problem.reason is Reason.AIRFLOW_MISCONFIGURED
