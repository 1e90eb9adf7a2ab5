"""The plugin reports ends to the bridge and shows its page: in a real Airflow 3.3 and 2.11, and to a real bridge."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.provider.conftest import OUTCOMES_TOKEN, TAB_URL
from tests.support.airflow_python import AirflowPython
from tests.support.runs_api import REPORT, Fault, RunsApi
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin

pytestmark = pytest.mark.xdist_group("provider")

DAG = """
from datetime import datetime
from airflow import DAG
from airflow.providers.common.compat.sdk import BaseOperator

class Work(BaseOperator):
    def execute(self, context):
        if context["dag_run"].conf.get("fail"):
            raise RuntimeError("as the test wants")

with DAG(dag_id="DAG_ID", start_date=datetime(2025, 1, 1), schedule=None) as dag:
    Work(task_id="work")
"""
OURS = {"planasonix": {"trigger_id": "trg_1"}}
MAPPING = "routes: [{name: orders, pipeline: pl_8f2a9c1d4e, dag: load_orders}]\n"
NOTE = """
    from datetime import UTC, datetime
    from airflow.models.dagrun import DagRun
    from planasonix_provider.reporting import RunEnds

    ends = RunEnds(url=url, token=token, airflow="default", back_off=0.01)
    run = DagRun(dag_id=dag_id, run_id=run_id, conf={"planasonix": {"trigger_id": "trg_1"}})
    run.start_date = run.end_date = datetime(2026, 8, 1, 10, tzinfo=UTC)
    ends.on_dag_run_success(dag_run=run, msg="success")
"""


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A real bridge in front of a stand-in for Airflow; it asks so rarely that only a report can tell it an end."""
    settings = {"BRIDGE_OUTCOMES_TOKEN": OUTCOMES_TOKEN, "BRIDGE_FOLLOW_SECONDS": "60"}
    with Standin() as standin:
        place = tmp_path_factory.mktemp("bridge")
        running = BridgeProcess(place, airflow_url=standin.url, mapping=MAPPING, settings=settings)
        running.start()
        yield running
        running.close()


@pytest.mark.parametrize(("more", "state"), [({}, "success"), ({"fail": True}, "failed")])
def test_airflow_reports_the_end_of_a_run_that_the_bridge_started(
    airflow_python: AirflowPython, planasonix: RunsApi, more: dict[str, Any], state: str
) -> None:
    """At once, with the instants, and the token that opens nothing else."""
    result = airflow_python.run_dag(DAG, conf=OURS | more)
    wait_for(lambda: len(planasonix.reports) == 1, seconds=60, what=airflow_python.output)
    authorization, told = planasonix.reports[0]
    assert authorization == f"Bearer {OUTCOMES_TOKEN}"
    assert told["airflow"] == "default"
    (run,) = told["runs"]
    assert [run["dag_id"], run["dag_run_id"], run["state"]] == [result["dag_id"], result["run_id"], state]
    assert run["started_at"] <= run["ended_at"]


def test_of_other_runs_nothing_is_reported(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """Neither of one without conf nor of one with somebody else's; the next report is of the bridge's own."""
    airflow_python.run_dag(DAG)
    airflow_python.run_dag(DAG, conf={"planasonix": "?"})
    last = airflow_python.run_dag(DAG, conf=OURS)
    wait_for(lambda: bool(planasonix.reports), seconds=60, what="a report")
    assert [run["dag_run_id"] for _, told in planasonix.reports for run in told["runs"]] == [last["run_id"]]


def test_a_real_bridge_takes_the_report(airflow_python: AirflowPython, bridge: BridgeProcess) -> None:
    """The trigger shows the end, long before the bridge would have asked."""
    sent = bridge.send(body(event=f"evt_{airflow_python.version}", job=f"job_{airflow_python.version}"))
    delivery = sent.json()["delivery_id"]
    wait_for(lambda: bool(bridge.triggers(delivery_id=delivery, state="fired")), seconds=60, what="fired")
    (trigger,) = bridge.triggers(delivery_id=delivery)
    names = {"url": f"http://127.0.0.1:{bridge.admin_port}", "token": OUTCOMES_TOKEN}
    airflow_python.python(NOTE, dag_id=trigger["dag_id"], run_id=trigger["dag_run_id"], **names)
    wait_for(
        lambda: bridge.api(f"triggers/{trigger['id']}")["run_state"] == "success",
        seconds=60,
        what=airflow_python.output,
    )


def test_a_bridge_that_is_away_is_told_later(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """429, 503 and a lost connection are tried again, and Airflow does not wait for it."""
    planasonix.faults.extend([Fault(REPORT, 503), Fault(REPORT, 429)])
    airflow_python.python(NOTE, dag_id="d", run_id="r", url=planasonix.url, token=OUTCOMES_TOKEN)
    wait_for(lambda: len(planasonix.reports) == 1, seconds=60, what=airflow_python.output)


def test_a_refusal_is_logged_and_never_with_the_token(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """It is not repeated, and the next report goes out all the same."""
    airflow_python.output()
    planasonix.faults.append(Fault(REPORT, 401))
    airflow_python.python(NOTE, dag_id="d", run_id="r", url=planasonix.url, token=OUTCOMES_TOKEN)
    seen: list[str] = []

    def said() -> bool:
        seen.append(airflow_python.output())
        return "is not told of 1 DAG runs (401)" in "".join(seen)

    wait_for(said, seconds=60, what=lambda: "".join(seen))
    assert planasonix.count(REPORT) == 1
    assert OUTCOMES_TOKEN not in "".join(seen)


def test_it_is_off_unless_configured(airflow_python: AirflowPython) -> None:
    """And an address without a token is an error in the log, not a report without one."""
    code = """
        from planasonix_provider.plugins.bridge import listeners, tabs

        nothing = {"url": "", "outcomes_token": "", "airflow": "", "tab_url": ""}
        result = [listeners(nothing), tabs(nothing), listeners(nothing | {"url": "http://b"}),
                  listeners(nothing | {"url": "b", "outcomes_token": "t"}), tabs(nothing | {"tab_url": "javascript:1"})]
    """
    assert airflow_python.python(code) == [[], [], [], [], []]


def test_airflow_3_shows_a_tab_for_runs_and_tasks(airflow_python: AirflowPython) -> None:
    """As its API tells its pages; Airflow 2 loads the plugin and has no tabs."""
    found = airflow_python.python(
        """
        from airflow import plugins_manager

        if version != "2.11":
            found = plugins_manager.get_plugin_info()
            (plugin,) = [one for one in found if one["name"] == "planasonix_bridge"]
            from airflow.api_fastapi.core_api.datamodels.plugins import ExternalViewResponse
            result = [ExternalViewResponse.model_validate(one).model_dump() for one in plugin["external_views"]]
        else:
            plugins_manager.ensure_plugins_loaded()
            result = [one.name for one in plugins_manager.plugins if one.name == "planasonix_bridge"]
    """,
        version=airflow_python.version,
    )
    if airflow_python.version == "2.11":
        assert found == ["planasonix_bridge"]
        return
    assert [(item["destination"], item["href"]) for item in found] == [("dag_run", TAB_URL), ("task_instance", TAB_URL)]
    assert all(item["url_route"] for item in found)
