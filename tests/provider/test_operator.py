"""PlanasonixRunPipelineOperator starts a load once and waits for it: in a real Airflow 3.3 and 2.11, both ways."""

import os
import signal
import threading
from typing import Any

import pytest

from tests.support.airflow_python import AirflowPython
from tests.support.runs_api import KEY, Fault, RunsApi

pytestmark = pytest.mark.xdist_group("provider")

DAG = """
from datetime import datetime, timedelta
from airflow import DAG
from planasonix_provider.operators.planasonix import PlanasonixRunPipelineOperator

with DAG(dag_id="DAG_ID", start_date=datetime(2025, 1, 1), schedule=None) as dag:
    PlanasonixRunPipelineOperator(task_id="load", poll_interval=0.05, ARGUMENTS)
"""
BOTH_WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferrable"])


def connection(api: RunsApi, **more: Any) -> dict[str, Any]:
    """The connection that leads to the stand-in."""
    return {"conn_type": "planasonix", "host": api.url, "password": KEY, **more}


def run(
    airflow: AirflowPython,
    api: RunsApi,
    arguments: str = "",
    *,
    conf: dict[str, Any] | None = None,
    poll_interval: float = 0.05,
    **more: Any,
) -> dict[str, Any]:
    """Run a DAG of one task, `load`, and return what became of the task; `more` is of its connection."""
    if "pipeline" not in arguments:
        arguments = f'pipeline_id="pl_01hqxyz", {arguments}'
    airflow.output()
    connections = {"planasonix_default": connection(api, **more)}
    text = DAG.replace("ARGUMENTS", arguments).replace("poll_interval=0.05", f"poll_interval={poll_interval}")
    result = airflow.run_dag(text, connections=connections, conf=conf)
    return dict(result["tasks"]["load"], dag_id=result["dag_id"], run_id=result["run_id"], output=airflow.output())


@BOTH_WAYS
def test_the_run_is_started_and_its_result_is_in_xcom(
    airflow_python: AirflowPython, planasonix: RunsApi, deferrable: bool
) -> None:
    """Once, with variables and environment; the result is plain JSON."""
    arguments = f'parameters={{"day": "{{{{ ds }}}}"}}, environment="production", deferrable={deferrable}'
    planasonix.story = ["queued", "running", "running", "succeeded"]
    task = run(airflow_python, planasonix, arguments)
    assert task["state"] == "success", task["output"]
    (body,) = planasonix.bodies
    assert body["environmentId"] == "production"
    assert len(body["variables"]["day"]) == len("2026-08-01")
    assert task["xcom"]["return_value"]["status"] == "succeeded"
    assert task["xcom"]["return_value"]["metrics"] == {"rowsWritten": 44802}
    assert task["xcom"]["planasonix_run_id"] == "run_0001"
    assert task["xcom"]["planasonix_run_url"] == "https://app.planasonix.com/runs/run_0001"


def test_what_it_sends_along_makes_the_run_findable(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """DAG, task, run and try; and from a DAG run that the bridge started, what its loop guard counts."""
    task = run(airflow_python, planasonix, conf={"planasonix": {"trigger_id": "trg_1", "hops": 2, "status": "x"}})
    metadata = planasonix.bodies[0]["metadata"]
    assert metadata["dag_id"] == task["dag_id"]
    assert metadata["task_id"] == "load"
    assert metadata["dag_run_id"] == task["run_id"]
    assert metadata["try_number"] == 1
    assert metadata["planasonix"] == {"trigger_id": "trg_1", "hops": 2}


def test_nothing_is_sent_along_if_so_wished(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """For an API that takes documented fields only."""
    run(airflow_python, planasonix, "metadata=False")
    assert planasonix.bodies == [{"variables": {}}]


def test_the_connection_says_environment_and_agents(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """Where the task names no environment; and a name leads to the pipeline's id."""
    extra = {"environment": "staging", "agent_pool": "eu", "app_url": "https://eu.example.com/"}
    task = run(airflow_python, planasonix, 'pipeline_name="sales_to_warehouse"', extra=extra)
    assert planasonix.bodies[0]["environmentId"] == "staging"
    assert planasonix.bodies[0]["agentPool"] == "eu"
    assert task["xcom"]["return_value"]["url"] == "https://eu.example.com/runs/run_0001"


def test_without_waiting_it_ends_when_the_run_has_started(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """`wait_for_completion=False`."""
    planasonix.story = ["running"]
    task = run(airflow_python, planasonix, "wait_for_completion=False")
    assert task["state"] == "success"
    assert task["xcom"]["return_value"]["status"] == "running"


@BOTH_WAYS
@pytest.mark.parametrize("end", ["failed", "canceled", "skipped"])
def test_an_end_is_what_airflow_expects(
    airflow_python: AirflowPython, planasonix: RunsApi, deferrable: bool, end: str
) -> None:
    """A failure may be retried, and a retry is another load; what was cancelled is not started again."""
    state, tries = {"failed": ("failed", 2), "canceled": ("failed", 1), "skipped": ("skipped", 1)}[end]
    planasonix.story = ["running", "running", end]
    arguments = f"retries=1, retry_delay=timedelta(0), deferrable={deferrable}"
    task = run(airflow_python, planasonix, arguments)
    assert task["state"] == state, task["output"]
    assert len(planasonix.runs) == tries
    if end == "failed":
        assert "SOURCE_ERROR: Connection error" in task["output"]


@pytest.mark.parametrize(("honours", "echoes"), [(True, False), (False, True)], ids=["honoured", "shown"])
@BOTH_WAYS
def test_a_retry_waits_for_the_run_that_is_there(
    airflow_python: AirflowPython, planasonix: RunsApi, deferrable: bool, honours: bool, echoes: bool
) -> None:
    """A try that ends while its run goes on (here by `timeout`) leaves the run for the next one: one load, not two."""
    planasonix.honours_keys, planasonix.echoes_keys = honours, echoes
    planasonix.story = ["running"] * 12 + ["succeeded"]
    arguments = f"timeout=0.2, retries=12, retry_delay=timedelta(0), deferrable={deferrable}"
    task = run(airflow_python, planasonix, arguments)
    assert task["state"] == "success", task["output"]
    assert task["try_number"] > 1
    assert list(planasonix.runs) == ["run_0001"]


@BOTH_WAYS
def test_airflow_3_remembers_the_run_by_itself(
    airflow_python: AirflowPython, planasonix: RunsApi, deferrable: bool
) -> None:
    """Where Planasonix knows nothing of keys; Airflow 2 starts another load there, and the documentation says so."""
    planasonix.honours_keys = False
    planasonix.story = ["running"] * 12 + ["succeeded"]
    arguments = f"timeout=0.2, retries=12, retry_delay=timedelta(0), deferrable={deferrable}"
    task = run(airflow_python, planasonix, arguments)
    assert task["try_number"] > 1
    assert (len(planasonix.runs) == 1) == (airflow_python.version != "2.11")


def test_a_clear_asks_for_another_load(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """A retry of the same try would find the run that succeeded; a person who clears the task wants it again."""
    code = """
        from types import SimpleNamespace as Some
        from planasonix_provider.operators.planasonix import PlanasonixRunPipelineOperator

        def load(task, *, try_number, max_tries):
            names = dict(dag_id="d", run_id="r", task_id="t", map_index=-1)
            instance = Some(**names, try_number=try_number, max_tries=max_tries)
            return task._load({"ti": instance, "dag_run": Some(conf=None)})

        task = PlanasonixRunPipelineOperator(task_id="t", pipeline_id="pl_1", retries=2)
        first, retry = load(task, try_number=1, max_tries=2), load(task, try_number=2, max_tries=2)
        cleared, again = load(task, try_number=3, max_tries=4), load(task, try_number=4, max_tries=4)
        result = [
            [first.key == retry.key, first.key == cleared.key, cleared.key == again.key],
            [one.tries_before for one in (first, retry, cleared, again)],
        ]
    """
    run(airflow_python, planasonix)  # sets the connection
    keys, tries = airflow_python.python(code)
    assert keys == [True, False, True]
    assert tries == [0, 1, 0, 1]


@pytest.mark.parametrize("honours", [True, False], ids=["honoured", "shown"])
def test_an_answer_that_is_lost_starts_no_second_load(
    airflow_python: AirflowPython, planasonix: RunsApi, honours: bool
) -> None:
    """The run is there, and nobody was told its id."""
    planasonix.honours_keys, planasonix.echoes_keys = honours, not honours
    planasonix.faults.append(Fault("POST"))
    task = run(airflow_python, planasonix)
    assert task["state"] == "success", task["output"]
    assert list(planasonix.runs) == ["run_0001"]


def test_starts_whose_answers_are_lost_are_not_repeated_for_ever(
    airflow_python: AirflowPython, planasonix: RunsApi
) -> None:
    """Each may be a load where keys mean nothing: after the second it is for Airflow's retries, and for people."""
    planasonix.honours_keys = False
    planasonix.faults.extend([Fault("POST"), Fault("POST"), Fault("POST")])
    task = run(airflow_python, planasonix, "retries=0")
    assert task["state"] == "failed"
    assert planasonix.count("POST") == 2


@BOTH_WAYS
def test_a_busy_planasonix_is_asked_again(airflow_python: AirflowPython, planasonix: RunsApi, deferrable: bool) -> None:
    """429 with `Retry-After`, 503 and a broken answer, while it starts and while it waits."""
    planasonix.story = ["running", "running", "running", "succeeded"]
    planasonix.faults.extend([Fault("POST", 429, {"Retry-After": "0"}), Fault("POST", 503)])
    planasonix.faults.extend([Fault("GET", 429, {"Retry-After": "0"}), Fault("GET", 500), Fault("GET")])
    task = run(airflow_python, planasonix, f"deferrable={deferrable}, retries=0")
    assert task["state"] == "success", task["output"]
    assert list(planasonix.runs) == ["run_0001"]


def test_a_pipeline_that_is_running_is_waited_for(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """409 names the run that is there."""
    planasonix.add("run_of_others", "pl_01hqxyz", ["running", "running", "succeeded"])
    planasonix.running_elsewhere = "run_of_others"
    task = run(airflow_python, planasonix)
    assert task["xcom"]["return_value"]["run_id"] == "run_of_others"


@pytest.mark.parametrize(
    ("arguments", "key", "said"),
    [
        ('pipeline_id="pl_unknown"', KEY, "404 (NOT_FOUND: no pipeline pl_unknown)"),
        ('pipeline_name="nothing"', KEY, "no pipeline is named 'nothing'"),
        ("", "a-wrong-key-0123456789", "401 (UNAUTHORIZED"),
    ],
)
def test_what_a_retry_cannot_help_fails_for_good(
    airflow_python: AirflowPython, planasonix: RunsApi, arguments: str, key: str, said: str
) -> None:
    """The first try is the last."""
    task = run(airflow_python, planasonix, f"{arguments}{arguments and ', '}retries=3", password=key)
    assert task["state"] == "failed"
    assert task["try_number"] == 1
    assert said in task["output"]


def test_airflows_own_timeout_cancels_the_run(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """`execution_timeout` of a task that waits in a worker. The alarm is rung here, when the wait has begun.

    Python drops what an alarm raises inside a destructor: so it is rung again while the task goes on asking.
    """
    planasonix.story, is_over = ["running"], threading.Event()

    def ring() -> None:
        enough = 4
        while not is_over.wait(0.01):
            if (asked := planasonix.count("GET")) >= enough:
                os.kill(airflow_python.pid, signal.SIGALRM)
                enough = asked + 40

    ringing = threading.Thread(target=ring, daemon=True)
    ringing.start()
    task = run(airflow_python, planasonix, "execution_timeout=timedelta(hours=1)")
    is_over.set()
    ringing.join()
    assert task["state"] == "failed", task["output"]
    assert planasonix.runs["run_0001"]["story"] == ["canceled"]


def test_a_deferred_task_hands_its_ends_on(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """`timeout` and `execution_timeout` are instants there: a triggerer that restarts waits no longer."""
    planasonix.story = ["running"]
    run(airflow_python, planasonix, "wait_for_completion=False")  # sets the connection
    code = """
        import time
        from datetime import timedelta
        from planasonix_provider.operators.planasonix import PlanasonixRunPipelineOperator
        from planasonix_provider.runs import Run

        task = PlanasonixRunPipelineOperator(
            task_id="t", pipeline_id="pl_1", timeout=timedelta(hours=1), execution_timeout=timedelta(hours=2)
        )
        now = time.time()
        task._timeout_at = now + task.timeout
        try:
            task._defer(Run(id="run_0001"), now)
        except BaseException as deferred:
            arguments = deferred.trigger.serialize()[1]
        result = [arguments["sought"], arguments["timeout_at"] - now, arguments["deadline_at"] - now]
    """
    sought, timeout, deadline = airflow_python.python(code)
    assert sought == {"run_id": "run_0001", "pipeline_id": None, "since": None, "is_ours": True}
    assert [round(timeout), round(deadline)] == [3600, 7200]


@pytest.mark.parametrize(("end", "story"), [("deadline_at", ["canceled"]), ("timeout_at", ["running"])])
def test_the_trigger_cancels_at_the_deadline_and_not_at_the_timeout(
    airflow_python: AirflowPython, planasonix: RunsApi, end: str, story: list[str]
) -> None:
    """After a `timeout` the run goes on, for the retry; after the deadline nobody waits any more."""
    run(airflow_python, planasonix, "wait_for_completion=False")  # sets the connection
    planasonix.add("run_1", "pl_01hqxyz", ["running"])
    code = """
        import asyncio
        from planasonix_provider.operators.planasonix import PlanasonixRunPipelineOperator
        from planasonix_provider.triggers.planasonix import PlanasonixRunTrigger

        sought = {"run_id": "run_1", "is_ours": True}
        trigger = PlanasonixRunTrigger(
            planasonix_conn_id="planasonix_default", sought=sought, poll_interval=0.05, **{end: 1.0}
        )

        async def first():
            async for event in trigger.run():
                return event.payload

        result = asyncio.run(first())
    """
    assert airflow_python.python(code, end=end) == {"over": end.removesuffix("_at")}
    assert planasonix.runs["run_1"]["story"] == story


def test_on_kill_cancels_the_run(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """Whoever ends the task ends the load; the wait sees it and fails for good."""
    planasonix.story = ["running"]
    arguments = "on_execute_callback=kill_when_it_runs, retries=2"
    text = DAG.replace("ARGUMENTS", f'pipeline_id="pl_01hqxyz", {arguments}').replace(
        "with DAG",
        """
import threading, time

def kill_when_it_runs(context):
    task = context["task"]

    def kill():
        while task._run_id is None:
            time.sleep(0.01)
        task.on_kill()

    threading.Thread(target=kill, daemon=True).start()

with DAG""",
    )
    result = airflow_python.run_dag(text, connections={"planasonix_default": connection(planasonix)})
    assert result["tasks"]["load"]["state"] == "failed"
    assert result["tasks"]["load"]["try_number"] == 1
    assert planasonix.runs["run_0001"]["story"] == ["canceled"]


def test_a_person_who_ends_a_deferred_task_cancels_the_run(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """The trigger's `on_kill`; somebody else's run is left alone."""
    planasonix.add("run_1", "pl_01hqxyz", ["running"])
    planasonix.add("run_2", "pl_01hqxyz", ["running"])
    run(airflow_python, planasonix, "wait_for_completion=False")
    airflow_python.python("""
        import asyncio
        from planasonix_provider.triggers.planasonix import PlanasonixRunTrigger

        for run_id, is_ours in (("run_1", True), ("run_2", False)):
            sought = {"run_id": run_id, "is_ours": is_ours}
            trigger = PlanasonixRunTrigger(planasonix_conn_id="planasonix_default", sought=sought, poll_interval=1)
            asyncio.run(trigger.on_kill())
    """)
    assert planasonix.runs["run_1"]["story"] == ["canceled"]
    assert planasonix.runs["run_2"]["story"] == ["running"]


@BOTH_WAYS
def test_no_key_is_kept_or_shown(airflow_python: AirflowPython, planasonix: RunsApi, deferrable: bool) -> None:
    """Not in XCom, rendered templates, the log, or the trigger's arguments."""
    task = run(airflow_python, planasonix, f"deferrable={deferrable}")
    assert task["state"] == "success"
    assert KEY not in str(task)
    assert set(task["rendered"]) >= {"pipeline_id", "parameters", "environment"}
    arguments = airflow_python.python("""
        import json
        from planasonix_provider.triggers.planasonix import PlanasonixRunTrigger

        trigger = PlanasonixRunTrigger(planasonix_conn_id="planasonix_default", sought={"run_id": "r"}, poll_interval=1)
        result = json.dumps(trigger.serialize())
    """)
    assert KEY not in arguments


@pytest.mark.parametrize("arguments", ["", 'pipeline_id="a", pipeline_name="b"', 'pipeline_id="a", poll_interval=0'])
def test_what_cannot_be_meant_is_said_when_the_dag_is_read(airflow_python: AirflowPython, arguments: str) -> None:
    """Not only when it runs."""
    code = f"""
from planasonix_provider.operators.planasonix import PlanasonixRunPipelineOperator
try:
    PlanasonixRunPipelineOperator(task_id="t", {arguments})
except Exception as error:
    result = type(error).__name__
"""
    assert airflow_python.python(code) == "ValueError"
