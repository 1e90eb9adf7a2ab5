"""What the bridge relies on in Airflow's REST API: one suite for the real Airflow and for the stand-in.

The crash rounds and most tests of firing run against the stand-in; here it is held to the real one, so that it cannot
drift. Whatever the bridge calls stands here, with the status and the keys that it reads.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.airflow_server.server import PASSWORDS
from tests.support.standin import Standin

DAG = "refresh_sales_marts"
RUNS = f"/api/v2/dags/{DAG}/dagRuns"
BODY = {"dag_run_id": "run_1", "logical_date": None, "conf": {"rows": 3}, "note": "by a test"}


@pytest.fixture(params=["standin", pytest.param("airflow", marks=[pytest.mark.airflow, pytest.mark.timeout(180)])])
def client(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client of each of them, not signed in."""
    with Standin() as standin:
        standin.passwords = PASSWORDS
        standin.dags |= {
            DAG: {"is_paused": False},
            "paused_dag": {"is_paused": True},
            "needs_params": {"is_paused": False, "required": ["city"]},
        }
        url = standin.url if request.param == "standin" else request.getfixturevalue("airflow").url
        with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
            yield client


@pytest.fixture
def signed_in(client: httpx.Client) -> httpx.Client:
    """The same, signed in as the bridge."""
    answer = client.post("/auth/token", json={"username": "bridge", "password": PASSWORDS["bridge"]})
    assert answer.status_code == 201
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return client


def told(answer: httpx.Response) -> tuple[int, Any]:
    """Return the status and the detail; everything of Airflow's own is JSON."""
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status_code, answer.json()["detail"]


def test_sign_in(client: httpx.Client) -> None:
    """A wrong password is 401; without a token it is 401, with a bad one 403."""
    wrong = {"username": "bridge", "password": "wrong"}
    assert told(client.post("/auth/token", json=wrong)) == (401, "Invalid credentials")
    for method, path in (("GET", "/api/v2/dags?limit=1"), ("POST", RUNS), ("GET", f"{RUNS}/run_1")):
        body = BODY if method == "POST" else None
        assert told(client.request(method, path, json=body)) == (401, "Not authenticated")
        bad = {"Authorization": "Bearer nonsense"}
        assert told(client.request(method, path, json=body, headers=bad)) == (403, "Invalid JWT token")


def test_what_needs_no_sign_in(client: httpx.Client) -> None:
    """The version and the health; the API of Airflow 2 is gone."""
    version = client.get("/api/v2/version")
    assert version.status_code == 200
    assert version.json()["version"].startswith("3.")
    assert version.json().keys() == {"version", "git_version"}
    assert client.get("/api/v1/version").status_code == 404
    health = client.get("/api/v2/monitor/health")
    assert health.status_code == 200
    assert health.json().keys() == {"metadatabase", "scheduler", "triggerer", "dag_processor"}
    assert health.json()["metadatabase"]["status"] == "healthy"


def test_dags(signed_in: httpx.Client) -> None:
    """The list, one DAG, its details, and one that is not there."""
    listed = signed_in.get("/api/v2/dags?limit=1")
    assert listed.status_code == 200
    assert listed.json().keys() == {"dags", "total_entries"}
    for path in (f"/api/v2/dags/{DAG}", f"/api/v2/dags/{DAG}/details"):
        answer = signed_in.get(path)
        assert (answer.status_code, answer.json()["dag_id"]) == (200, DAG)
        assert (answer.json()["is_paused"], answer.json()["is_stale"]) == (False, False)
    assert signed_in.get("/api/v2/dags/paused_dag").json()["is_paused"] is True
    for path in ("/api/v2/dags/nowhere", "/api/v2/dags/nowhere/details"):
        assert told(signed_in.get(path)) == (404, "The Dag with ID: `nowhere` was not found")


def test_pages_of_dags(signed_in: httpx.Client) -> None:
    """By id, from an offset on, each with what the bridge reads of it, and how many there are in all."""
    ids: list[str] = []
    for offset in (0, 1, 2):
        query = f"?limit=1&offset={offset}&order_by=dag_id&exclude_stale=false"
        answer = signed_in.get(f"/api/v2/dags{query}").json()
        (dag,) = answer["dags"]
        assert {"is_paused", "is_stale", "has_import_errors"} <= dag.keys()
        ids.append(dag["dag_id"])
        assert answer["total_entries"] >= 4
    assert ids == sorted(ids)
    assert signed_in.get("/api/v2/dags?limit=100&offset=1000").json()["dags"] == []


def test_a_run_is_made_once_and_read_back(signed_in: httpx.Client) -> None:
    """200 with the run, 409 for its id ever after, and reading it back gives the same."""
    made = signed_in.post(RUNS, json=BODY)
    assert made.status_code == 200
    run = made.json()
    assert {key: run[key] for key in BODY} == BODY
    assert (run["dag_id"], run["state"], run["run_type"], run["triggered_by"]) == (DAG, "queued", "manual", "rest_api")
    again = signed_in.post(RUNS, json=BODY | {"conf": {"rows": 4}})
    status, detail = told(again)
    assert (status, detail["reason"], detail["statement"]) == (409, "Unique constraint violation", "hidden")
    back = signed_in.get(f"{RUNS}/run_1")
    assert back.status_code == 200
    assert {key: back.json()[key] for key in BODY} == BODY
    assert back.json().keys() == run.keys()


def test_the_keys_of_a_run(signed_in: httpx.Client) -> None:
    """The stand-in's runs have the keys of the real one's, so that no code can come to need others."""
    with Standin() as standin:
        standin.dags[DAG] = {"is_paused": False}
        _, imagined = standin.make_run(DAG, BODY)
    assert signed_in.post(RUNS, json=BODY).json().keys() == imagined.keys()


def test_a_run_of_a_paused_dag_is_made(signed_in: httpx.Client) -> None:
    """It stays queued."""
    answer = signed_in.post("/api/v2/dags/paused_dag/dagRuns", json=BODY)
    assert (answer.status_code, answer.json()["state"]) == (200, "queued")


def test_what_is_not_there(signed_in: httpx.Client) -> None:
    """An unknown DAG, and an unknown run of a known and of an unknown DAG."""
    assert told(signed_in.post("/api/v2/dags/nowhere/dagRuns", json=BODY)) == (
        404,
        "Dag with dag_id: 'nowhere' not found",
    )
    for dag in (DAG, "nowhere"):
        words = f"The DagRun with dag_id: `{dag}` and run_id: `run_9` was not found"
        assert told(signed_in.get(f"/api/v2/dags/{dag}/dagRuns/run_9")) == (404, words)


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"dag_run_id": "a b"}, 400, "does not match regex pattern"),
        ({"dag_run_id": "x/y"}, 400, "does not match regex pattern"),
        ({"dag_run_id": ".."}, 400, "path traversal"),
        ({"dag_run_id": "x" * 251}, 422, "Value rejected by database"),
        ({"conf": [1]}, 422, "Input should be a valid dictionary"),
        ({"colour": 1}, 422, "Extra inputs are not permitted"),
        ({"logical_date": ...}, 422, "Field required"),
    ],
)
def test_bad_requests(signed_in: httpx.Client, change: dict[str, Any], status: int, words: str) -> None:
    """What is refused, and with which status; `...` leaves a key out."""
    body = {key: value for key, value in (BODY | change).items() if value is not ...}
    answer = signed_in.post(RUNS, json=body)
    assert answer.status_code == status
    assert words in str(told(answer)[1])


def test_a_conf_that_the_params_refuse(signed_in: httpx.Client) -> None:
    """400, naming the param; with it, the run is made."""
    path = "/api/v2/dags/needs_params/dagRuns"
    assert told(signed_in.post(path, json=BODY)) == (400, "Invalid input for param city: No value passed")
    assert signed_in.post(path, json=BODY | {"conf": {"city": "Lima"}}).status_code == 200
