"""What the provider makes of answers and of waits: tables."""

from typing import Any

import pytest

from tests.support.airflow_python import AirflowPython

pytestmark = pytest.mark.xdist_group("provider")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"id": "run_1", "status": "succeeded"}, "succeeded"),
        ({"data": {"id": "job_1", "status": "Completed", "started_at": "2026-08-01T10:00:00Z"}}, "succeeded"),
        ({"runId": "run_1", "status": "queued"}, "active"),
        ({"data": {"job": {"id": "job_1", "status": "cancel_requested"}}}, "active"),
        ({"id": "run_1", "status": "canceled"}, "cancelled"),
        ({"id": "run_1", "status": "cancelled"}, "cancelled"),
        ({"id": "run_1", "status": "skipped"}, "skipped"),
        ({"id": "run_1", "status": "paused"}, "active"),
        ({"id": "run_1", "status": "exploded", "endedAt": "2026-08-01T10:00:00Z"}, "failed"),
        ({"status": "succeeded"}, None),
        ([], None),
        ("<html>", None),
    ],
)
def test_a_run_is_read_in_every_spelling(airflow_python: AirflowPython, answer: Any, outcome: str | None) -> None:
    """An unknown word is a run that goes on, and with an end a failed one: never a success."""
    code = "from planasonix_provider.runs import read_run; run = read_run(answer); result = run and run.outcome.value"
    assert airflow_python.python(code, answer=answer) == outcome


def test_a_list_of_runs_is_read_bare_or_wrapped(airflow_python: AirflowPython) -> None:
    """What is no run is left out."""
    code = (
        "from planasonix_provider.runs import read_runs; result = [[run.id for run in read_runs(one)] for one in lists]"
    )
    row = {"id": "run_1", "status": "running"}
    lists = [[row, 7, {}], {"data": [row], "meta": {}}, {"runs": [row]}, {"data": "?"}, None]
    assert airflow_python.python(code, lists=lists) == [["run_1"], ["run_1"], ["run_1"], [], []]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7),
        ("999999999999", 900),
        ("-1", None),
        ("soon", None),
        ("Sat, 01 Aug 2026 10:00:30 GMT", 30),
        ("Sat, 01 Aug 2026 09:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(airflow_python: AirflowPython, text: str | None, seconds: float) -> None:
    """At most a quarter of an hour: a mistake of the other side must not park a task for ever."""
    code = """
        from datetime import UTC, datetime
        from planasonix_provider.calls import retry_after
        result = retry_after(text, now=datetime(2026, 8, 1, 10, tzinfo=UTC))
    """
    assert airflow_python.python(code, text=text) == seconds


def test_waits_spread_grow_with_failures_and_keep_to_the_wish(airflow_python: AirflowPython) -> None:
    """A quarter up and down; doubled for each failure up to five minutes; never before `Retry-After`."""
    code = """
        from planasonix_provider.pacing import next_wait
        result = [
            next_wait(30, failures=0, wish=None, share=0.0),
            next_wait(30, failures=0, wish=None, share=1.0),
            next_wait(30, failures=2, wish=None, share=0.5),
            next_wait(30, failures=50, wish=None, share=0.5),
            next_wait(600, failures=3, wish=None, share=0.5),
            next_wait(30, failures=0, wish=100, share=0.0),
            next_wait(30, failures=0, wish=100, share=1.0),
        ]
    """
    assert airflow_python.python(code) == [22.5, 37.5, 120, 300, 600, 100, 125]


@pytest.mark.parametrize(
    ("method", "status", "error"),
    [
        ("GET", 401, "KeyRefused"),
        ("GET", 403, "KeyRefused"),
        ("GET", 404, "NotThere"),
        ("POST", 409, "AlreadyRunning"),
        ("POST", 422, "Rejected"),
        ("GET", 302, "Rejected"),
        ("POST", 429, "Unavailable"),
        ("POST", 503, "Unavailable"),
        ("POST", 500, "InDoubt"),
        ("POST", 504, "InDoubt"),
        ("GET", 500, "Unavailable"),
    ],
)
def test_a_start_that_may_have_happened_is_in_doubt(
    airflow_python: AirflowPython, method: str, status: int, error: str
) -> None:
    """Only what was certainly not carried out is `Unavailable`."""
    code = """
        from datetime import UTC, datetime
        from planasonix_provider import calls
        call = calls.start_run("pl_1", {}, key="k") if method == "POST" else calls.get_run("run_1")
        try:
            calls.read(call, status, {}, b"{}", now=datetime.now(UTC))
        except Exception as error:
            result = type(error).__name__
    """
    assert airflow_python.python(code, method=method, status=status) == error


def test_an_id_cannot_lead_to_another_path(airflow_python: AirflowPython) -> None:
    """Ids are percent-encoded; dots alone are refused."""
    code = """
        from planasonix_provider import calls
        result = [calls.get_run("../pipelines/pl_1?x=1").path]
        for id_ in ("", ".", ".."):
            try:
                calls.get_run(id_)
            except calls.Rejected:
                result.append("rejected")
    """
    path, *others = airflow_python.python(code)
    assert path == "/api/runs/..%2Fpipelines%2Fpl_1%3Fx%3D1"
    assert others == ["rejected"] * 3
