"""The Airflow that tests run against behaves as the tests that use it expect."""

import httpx
import pytest

from tests.support.airflow_server import AirflowServer
from tests.support.service import PATIENCE_SECONDS, wait_for

pytestmark = pytest.mark.airflow


def test_accepts_a_run_and_leaves_it_queued(airflow: AirflowServer) -> None:
    """Without a scheduler a DAG run is created and stays where it is."""
    airflow.trigger("refresh_sales_marts", "run-1", {"answer": 42})
    (run,) = airflow.runs("refresh_sales_marts")
    assert (run["dag_run_id"], run["state"], run["conf"]) == ("run-1", "queued", {"answer": 42})


def test_starts_every_test_without_runs(airflow: AirflowServer) -> None:
    """Whatever another test left behind is gone, and the paused DAG is the only paused one."""
    dags = ["refresh_sales_marts", "after_planasonix_refresh", "open_incident", "needs_params", "fails_on_demand"]
    paused = [dag for dag in [*dags, "paused_dag"] if airflow.api.call("GET", f"/dags/{dag}").json()["is_paused"]]
    assert paused == ["paused_dag"]
    assert all(airflow.runs(dag) == [] for dag in dags)


def test_conf_that_the_params_refuse_is_400(airflow: AirflowServer) -> None:
    """`needs_params` refuses a missing string and a wrong type, and takes what fits."""

    def status(dag_run_id: str, **conf: str | int) -> int:
        return airflow.api.trigger("needs_params", dag_run_id, conf).status_code

    assert status("nothing") == 400
    assert status("wrong-type", city="Oslo", limit="many") == 400
    assert status("good", city="Oslo", limit=3) == 200


def test_users_have_the_rights_of_their_roles(airflow: AirflowServer) -> None:
    """The bridge's user may start a run, the viewer may not, a wrong password may not sign in."""

    def status(token: str) -> int:
        path = f"{airflow.url}/api/v2/dags/open_incident/dagRuns"
        body = {"dag_run_id": "run-1", "logical_date": None}
        return httpx.post(
            path, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_SECONDS
        ).status_code

    sign_in = {"username": "bridge", "password": "wrong"}
    assert status(airflow.token("viewer")) == 403
    assert status(airflow.token("bridge")) == 200
    assert httpx.post(f"{airflow.url}/auth/token", json=sign_in, timeout=PATIENCE_SECONDS).status_code == 401


def test_an_expired_token_is_told_as_expired(airflow: AirflowServer) -> None:
    """The token is Airflow's own in every way but its age."""
    path = f"{airflow.url}/api/v2/dags/open_incident/dagRuns"
    answer = httpx.get(path, headers={"Authorization": f"Bearer {airflow.expired_token()}"}, timeout=PATIENCE_SECONDS)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Token Expired"})


def test_an_outage_loses_no_run(airflow: AirflowServer) -> None:
    """After a kill nothing listens; started again, it is at the same address and knows its runs."""
    airflow.trigger("open_incident", "run-1")
    airflow.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{airflow.url}/api/v2/version", timeout=60)
    airflow.start()
    assert [run["dag_run_id"] for run in airflow.runs("open_incident")] == ["run-1"]


def test_a_scheduler_executes_runs(executing_airflow: AirflowServer) -> None:
    """With a scheduler a run ends, and ends as its conf says."""
    airflow = executing_airflow
    airflow.trigger("fails_on_demand", "good")
    airflow.trigger("fails_on_demand", "bad", {"fail": True})
    have_ended = {"success", "failed"}
    wait_for(
        lambda: {run["state"] for run in airflow.runs("fails_on_demand")} == have_ended,
        seconds=600,
        what="both runs have ended",
    )
    assert {run["dag_run_id"]: run["state"] for run in airflow.runs("fails_on_demand")} == {
        "good": "success",
        "bad": "failed",
    }
