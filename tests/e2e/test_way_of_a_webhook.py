"""The promise, seen from outside: a signed webhook in, exactly one DAG run out, whatever breaks on the way."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.airflow_server import AirflowServer
from tests.support.fault_proxy import DropAnswer, FaultProxy, Hold
from tests.support.service import BridgeProcess, body, wait_for

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(180)]
Start = Callable[..., BridgeProcess]


def test_a_webhook_becomes_a_run_with_its_conf(start_bridge: Start, airflow: AirflowServer) -> None:
    """The run carries the route's conf and the key `planasonix`, exactly as the contract lists it."""
    bridge = start_bridge(airflow_url=airflow.url)
    answer = bridge.send(body(event="evt_1", job="job_1", business_date="2025-03-27"))
    assert answer.status_code == 202
    assert answer.json() == {"delivery_id": answer.json()["delivery_id"], "status": "accepted"}
    trigger = bridge.wait_for_trigger("fired")
    (run,) = airflow.runs("refresh_sales_marts")
    assert run["dag_run_id"] == trigger["dag_run_id"] == "planasonix__job_1__succeeded__refresh_sales_marts"
    assert run["conf"] == {
        "rows": 44802,
        "planasonix": {
            "delivery_id": answer.json()["delivery_id"],
            "source": "planasonix",
            "event_id": "evt_1",
            "event_type": "job.succeeded",
            "status": "succeeded",
            "pipeline_id": "pl_8f2a9c1d4e",
            "pipeline_name": None,
            "connection_id": "conn_sf_prod",
            "run_id": None,
            "job_id": "job_1",
            "environment": "production",
            "occurred_at": "2025-03-27T14:26:20Z",
            "parameters": {"business_date": "2025-03-27"},
            "route": "refresh_sales_marts",
            "trigger_id": trigger["id"],
            "hops": run["conf"]["planasonix"]["hops"],
        },
    }


def test_fifty_concurrent_copies_make_one_run(start_bridge: Start, airflow: AirflowServer) -> None:
    """One 202, forty-nine 200 with the same delivery id, one DAG run."""
    bridge = start_bridge(airflow_url=airflow.url)
    payload = body(event="evt_copies")
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: bridge.send(payload), range(50)))
    assert Counter(answer.status_code for answer in answers) == {202: 1, 200: 49}
    assert len({answer.json()["delivery_id"] for answer in answers}) == 1
    bridge.wait_for_trigger("fired")
    assert len(bridge.triggers()) == 1
    assert len(airflow.runs("refresh_sales_marts")) == 1


def test_two_events_of_one_completion_make_one_run(start_bridge: Start, airflow: AirflowServer) -> None:
    """`job.completed` after `job.succeeded` of the same job is kept as a duplicate and starts nothing."""
    bridge = start_bridge(airflow_url=airflow.url)
    first = json.loads(body(event="evt_a", job="job_same"))
    second = first | {"id": "evt_b", "type": "job.completed"}
    for value in (first, second):
        assert bridge.send(json.dumps(value).encode()).status_code == 202
    wait_for(lambda: len(bridge.triggers()) == 2, seconds=20, what="both routed")
    wait_for(lambda: bridge.triggers(state="fired") != [], seconds=20, what="one fired")
    (cancelled,) = bridge.triggers(state="cancelled")
    assert cancelled["reason"] == "duplicate_run"
    assert len(airflow.runs("refresh_sales_marts")) == 1


@pytest.mark.parametrize(
    ("pipeline", "state", "reason"),
    [
        ("pl_bad_conf", "failed", "conf_refused"),
        ("pl_paused", "fired", "dag_paused"),
        ("pl_unknown_dag", "held", "dag_not_found"),
        ("pl_bad_template", "failed", "template"),
        ("pl_bad_condition", "failed", "condition"),
    ],
)
def test_trouble_is_visible_with_its_reason(
    start_bridge: Start, airflow: AirflowServer, pipeline: str, state: str, reason: str
) -> None:
    """Each kind of trouble ends in its own state, with its reason and the next step."""
    bridge = start_bridge(airflow_url=airflow.url)
    bridge.send(body(event=f"evt_{pipeline}", pipeline=pipeline))
    trigger = bridge.wait_for_trigger(state)
    assert trigger["reason"] == reason
    assert trigger["next_step"]


def test_wrong_password_holds_and_loses_nothing(start_bridge: Start, airflow: AirflowServer) -> None:
    """A refused sign-in parks the whole Airflow; with the right password the held trigger fires."""
    bridge = start_bridge(airflow_url=airflow.url, password="not-the-password")
    bridge.send(body(event="evt_password"))
    trigger = bridge.wait_for_trigger("held")
    assert trigger["reason"] == "airflow_unauthorized"
    assert trigger["attempts"] == 0
    (lane,) = bridge.api("status")["airflows"]
    assert (lane["is_available"], lane["reason"]) == (False, "airflow_unauthorized")
    bridge.stop()
    bridge.process._env["AIRFLOW_PASSWORD"] = "bridge-password"
    bridge.start()
    assert bridge.wait_for_trigger("fired")["id"] == trigger["id"]


def test_missing_permission_holds_only_its_trigger(start_bridge: Start, airflow: AirflowServer) -> None:
    """A viewer may not start runs: held with the reason, never failed."""
    bridge = start_bridge(airflow_url=airflow.url, username="viewer", password="viewer-password")
    bridge.send(body(event="evt_viewer"))
    trigger = bridge.wait_for_trigger("held")
    assert trigger["reason"] == "airflow_forbidden"
    assert bridge.api("status")["airflows"][0]["is_available"] is True


def test_airflow_down_then_up_fires_once(start_bridge: Start, airflow: AirflowServer) -> None:
    """A webhook that comes during an outage is answered 202, held without using attempts, and fired after it."""
    airflow.stop()
    bridge = start_bridge(airflow_url=airflow.url)
    assert bridge.send(body(event="evt_outage")).status_code == 202
    trigger = bridge.wait_for_trigger("held")
    assert (trigger["reason"], trigger["attempts"]) == ("airflow_down", 0)
    assert bridge.is_ready()
    airflow.start()
    assert bridge.wait_for_trigger("fired", seconds=60)["attempts"] == 1
    assert len(airflow.runs("refresh_sales_marts")) == 1


def test_a_lost_answer_is_read_back(
    start_bridge: Start, airflow: AirflowServer, fault_proxy: Callable[[str], FaultProxy]
) -> None:
    """Airflow made the run, the answer was lost: exactly one run, state `fired`."""
    proxy = fault_proxy(airflow.url)
    proxy.fail_next(DropAnswer(), method="POST", path="/dagRuns")
    bridge = start_bridge(airflow_url=proxy.url)
    bridge.send(body(event="evt_lost"))
    trigger = bridge.wait_for_trigger("fired", "failed")
    assert (trigger["state"], trigger["reason"]) == ("fired", "already_there")
    assert len(airflow.runs("refresh_sales_marts")) == 1


def test_killed_after_202_before_firing(
    start_bridge: Start, airflow: AirflowServer, fault_proxy: Callable[[str], FaultProxy]
) -> None:
    """kill -9 right after the answers: every acknowledged webhook has its one run after the restart."""
    proxy = fault_proxy(airflow.url)
    proxy.cut()
    bridge = start_bridge(airflow_url=proxy.url)
    answers = [bridge.send(body(event=f"evt_{number}")) for number in range(5)]
    bridge.kill()
    assert {answer.status_code for answer in answers} == {202}
    proxy.restore()
    bridge.start()
    wait_for(lambda: len(bridge.triggers(state="fired")) == 5, seconds=60, what="all fired")
    runs = airflow.runs("refresh_sales_marts")
    acknowledged = {answer.json()["delivery_id"] for answer in answers}
    assert Counter(run["conf"]["planasonix"]["delivery_id"] for run in runs) == dict.fromkeys(acknowledged, 1)


def test_killed_between_airflows_answer_and_the_settle(
    start_bridge: Start, airflow: AirflowServer, fault_proxy: Callable[[str], FaultProxy]
) -> None:
    """kill -9 while the settle waits for the store's lock: the restart finds the run and settles, no second run."""
    proxy = fault_proxy(airflow.url)
    held = threading.Event()
    proxy.fail_next(Hold(held), method="POST", path="/dagRuns")
    bridge = start_bridge(airflow_url=proxy.url)
    bridge.send(body(event="evt_settle"))
    wait_for(lambda: _posted(proxy), seconds=20, what="the POST")
    store = bridge.database()
    store.execute("BEGIN IMMEDIATE")  # from here on the bridge can write nothing
    held.set()
    wait_for(lambda: any("/dagRuns" in path for path in proxy.passed), seconds=20, what="the answer is sent on")
    bridge.kill()
    assert store.execute("SELECT state FROM triggers").fetchall() == [("firing",)]
    store.execute("ROLLBACK")
    store.close()
    assert len(airflow.runs("refresh_sales_marts")) == 1
    bridge.start()
    trigger = bridge.wait_for_trigger("fired")
    assert trigger["reason"] == "already_there"
    assert len(airflow.runs("refresh_sales_marts")) == 1


def test_run_again_makes_a_second_run_on_purpose(start_bridge: Start, airflow: AirflowServer) -> None:
    """Replay keeps the DAG run id and starts nothing; with run_again the id gets `__r1`."""
    bridge = start_bridge(airflow_url=airflow.url)
    bridge.send(body(event="evt_again", job="job_again"))
    trigger = bridge.wait_for_trigger("fired")
    bridge.api("replay", post={"ids": [trigger["id"]]})
    wait_for(lambda: bridge.triggers()[0]["reason"] == "already_there", seconds=20, what="found again")
    assert len(airflow.runs("refresh_sales_marts")) == 1
    bridge.api("replay", post={"ids": [trigger["id"]], "run_again": True})
    wait_for(lambda: len(bridge.triggers(state="fired")) == 2, seconds=20, what="the second run")
    ids = {run["dag_run_id"] for run in airflow.runs("refresh_sales_marts")}
    base = "planasonix__job_again__succeeded__refresh_sales_marts"
    assert ids == {base, f"{base}__r1"}


def _posted(proxy: FaultProxy) -> bool:
    return any(seen.method == "POST" and "/dagRuns" in seen.path for seen in proxy.seen)
