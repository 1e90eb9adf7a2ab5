"""A parked task leaves the worker and goes on with what it is answered: in a real Airflow 3.3.

The answers are given in the process, as Airflow's API server and scheduler do it: the real ones are in
tests/e2e/test_waking.py.
"""

from typing import Any

import pytest

from tests.provider.test_operator import DAG, connection
from tests.support.airflow_python import AirflowPython
from tests.support.runs_api import KEY, Fault, RunsApi

pytestmark = pytest.mark.xdist_group("provider")

# Answers each request for input of the DAG while `dag.test()` waits for that, and keeps what was asked. In its own
# thread: two that import Airflow at once wait for each other for ever.
RUN = """
    import time
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import handle_event_submit
    from airflow.triggers.base import TriggerEvent
    from airflow.utils.session import create_session
    from airflow.utils.timezone import utcnow

    asked, waiting = [], list(answers)

    real = time.sleep

    def sleep(seconds):
        if seconds != 1 or not answer():
            real(seconds)

    def answer():
        with create_session(scoped=False) as session:
            task = session.query(TaskInstance).filter_by(dag_id=dag_id, state="awaiting_input").first()
            if task is None:
                return False
            assert waiting, "the task waits, and the test has no answer left"
            request = session.get(HITLDetail, task.id)
            seconds = (task.trigger_timeout - utcnow()).total_seconds()
            asked.append({"subject": request.subject, "options": request.options, "seconds": seconds,
                          "received": request.response_received})
            given = waiting.pop(0)
            request.chosen_options, request.params_input = given["chosen"], given.get("facts", {})
            request.responded_at = utcnow()
            event = request.as_resume_event_payload(timedout=given.get("timedout", False))
            handle_event_submit(TriggerEvent(event), task_instance=task, session=session)
        return True

    time.sleep = sleep
    try:
        ran = run_dag(text, dag_id=dag_id)
    finally:
        time.sleep = real
    result = ran["tasks"]["load"] | {"asked": asked}
"""
FACTS = {"run_id": "run_0001", "rows_loaded": 7, "delivery_id": "dlv_1", "duration_seconds": 248.5}


@pytest.fixture
def airflow(airflow_python: AirflowPython) -> AirflowPython:
    """An Airflow that can park."""
    if airflow_python.version == "2.11":
        pytest.skip("tasks are parked from Airflow 3.3 on")
    return airflow_python


def answered(
    airflow: AirflowPython, api: RunsApi, *answers: dict[str, Any], arguments: str = "", **more: Any
) -> dict[str, Any]:
    """Run a DAG of one parked task, give it these answers in turn, and return what became of the task."""
    airflow.output()
    airflow._next += 1
    dag_id = f"parked_{airflow._next}"
    text = DAG.replace("DAG_ID", dag_id).replace("ARGUMENTS", f'pipeline_id="pl_01hqxyz", parked=True, {arguments}')
    airflow._set({"planasonix_default": connection(api, **more)})
    task = airflow.python(RUN, text=text, dag_id=dag_id, answers=list(answers))
    return dict(task, output=airflow.output())


def test_a_parked_task_goes_on_with_what_the_bridge_says(airflow: AirflowPython, planasonix: RunsApi) -> None:
    """Its result is the webhook's, Planasonix is not asked again, and the request names run, pipeline and source."""
    planasonix.story = ["running"]
    more = {"extra": {"bridge_source": "planasonix eu"}}
    task = answered(airflow, planasonix, {"chosen": ["succeeded"], "facts": FACTS}, **more)
    assert task["state"] == "success", task["output"]
    result = task["xcom"]["return_value"]
    assert (result["run_id"], result["status"], result["metrics"]) == ("run_0001", "succeeded", {"rowsWritten": 7})
    assert result["duration_seconds"] == 248.5
    assert result["url"] == task["xcom"]["planasonix_run_url"]
    assert planasonix.count("GET") == 1, "the look when it started"
    (asked,) = task["asked"]
    assert asked["subject"] == "Planasonix bridge: run run_0001 pipeline pl_01hqxyz source planasonix%20eu started yes"
    assert task["xcom"]["planasonix_started_run_id"] == "run_0001"
    assert asked["options"] == ["succeeded", "failed", "cancelled", "skipped", "look"]
    assert KEY not in str(task)


@pytest.mark.parametrize(("end", "state"), [("failed", "failed"), ("cancelled", "failed"), ("skipped", "skipped")])
def test_an_end_that_is_answered_is_what_airflow_expects(
    airflow: AirflowPython, planasonix: RunsApi, end: str, state: str
) -> None:
    """As an end that was seen."""
    planasonix.story = ["running"]
    facts = FACTS | {"error": "SOURCE_ERROR: Connection error"}
    task = answered(airflow, planasonix, {"chosen": [end], "facts": facts})
    assert task["state"] == state, task["output"]
    if end == "failed":
        assert "SOURCE_ERROR: Connection error" in task["output"]


def test_a_person_may_answer_without_any_facts(airflow: AirflowPython, planasonix: RunsApi) -> None:
    """What they choose is taken as the end of the run."""
    planasonix.story = ["running"]
    task = answered(airflow, planasonix, {"chosen": ["succeeded"]})
    assert (task["state"], task["xcom"]["return_value"]["metrics"]) == ("success", {})


def test_a_look_that_finds_the_run_going_on_parks_again(airflow: AirflowPython, planasonix: RunsApi) -> None:
    """Ever longer; a run that has ended is judged. A Planasonix that is away is no end."""
    planasonix.story = ["running"] * 3 + ["succeeded"]
    planasonix.faults.extend([Fault("POST", 503)])
    look = {"chosen": ["look"], "timedout": True}
    task = answered(airflow, planasonix, look, look, look)
    assert task["state"] == "success", task["output"]
    assert [round(each["seconds"], -1) for each in task["asked"]] == [21_600, 60, 120]
    assert not any(each["received"] for each in task["asked"]), "the old answer is taken away"
    assert task["xcom"]["return_value"]["metrics"] == {"rowsWritten": 44802}


def test_an_answer_about_another_run_is_a_look(airflow: AirflowPython, planasonix: RunsApi) -> None:
    """Airflow keeps the request of the first try for the second, which waits for another run."""
    planasonix.story = ["running", "failed"]
    wrong = {"chosen": ["succeeded"], "facts": FACTS | {"run_id": "run_0000"}}
    task = answered(airflow, planasonix, wrong)
    assert task["state"] == "failed"
    assert "Woken (dlv_1, about the run run_0000)" in task["output"]


def test_a_retry_is_parked_for_its_own_run(airflow: AirflowPython, planasonix: RunsApi) -> None:
    """A run that failed is started anew; XCom names the new one, whatever the request's subject says."""
    planasonix.stories.extend([["running", "failed"], ["running"]])
    first = {"chosen": ["failed"], "facts": FACTS}
    second = {"chosen": ["succeeded"], "facts": FACTS | {"run_id": "run_0002"}}
    task = answered(airflow, planasonix, first, second, arguments="retries=1, retry_delay=timedelta(0)")
    assert (task["state"], task["try_number"]) == ("success", 2), task["output"]
    assert task["xcom"]["planasonix_run_id"] == "run_0002"
    assert len(planasonix.runs) == 2


def test_a_retry_knows_that_the_task_itself_has_started_the_run(airflow: AirflowPython, planasonix: RunsApi) -> None:
    """The first try's time was up, and its run goes on: the second one waits for it, and may have it cancelled."""
    planasonix.story = ["running"]
    look, end = {"chosen": ["look"], "timedout": True}, {"chosen": ["succeeded"], "facts": FACTS}
    task = answered(airflow, planasonix, look, end, arguments="timeout=0.001, retries=1, retry_delay=timedelta(0)")
    assert (task["state"], task["try_number"], len(planasonix.runs)) == ("success", 2, 1), task["output"]
    assert task["xcom"]["planasonix_started_run_id"] == "run_0001"


def test_a_run_that_was_found_running_is_not_called_the_tasks_own(airflow: AirflowPython, planasonix: RunsApi) -> None:
    """Nobody cancels it when the task is given up."""
    planasonix.add("run_of_others", "pl_01hqxyz", ["running"])
    planasonix.running_elsewhere = "run_of_others"
    task = answered(airflow, planasonix, {"chosen": ["succeeded"]})
    assert task["state"] == "success", task["output"]
    assert task["asked"][0]["subject"] == "Planasonix bridge: run run_of_others pipeline pl_01hqxyz"
    assert "planasonix_started_run_id" not in task["xcom"]


def test_a_task_is_parked_no_longer_than_its_time(airflow: AirflowPython, planasonix: RunsApi) -> None:
    """`timeout` and `execution_timeout`, whichever is first."""
    planasonix.story = ["running"]
    arguments = "timeout=3600, execution_timeout=timedelta(hours=2)"
    task = answered(airflow, planasonix, {"chosen": ["succeeded"]}, arguments=arguments)
    assert 0 < task["asked"][0]["seconds"] <= 3600


@pytest.mark.parametrize(
    ("end", "story", "said"),
    [
        ("timeout_at", "running", "timeout is over; the run run_1 goes on"),
        ("deadline_at", "canceled", "execution_timeout is over; the run run_1 was cancelled"),
    ],
)
def test_a_task_whose_time_is_up_looks_before_it_gives_up(
    airflow: AirflowPython, planasonix: RunsApi, end: str, story: str, said: str
) -> None:
    """Airflow answers `look` then. After `timeout` the run goes on, after `execution_timeout` it is cancelled."""
    planasonix.add("run_1", "pl_01hqxyz", ["running"])
    airflow._set({"planasonix_default": connection(planasonix)})
    code = """
        from types import SimpleNamespace as Some
        from planasonix_provider.operators.planasonix import PlanasonixRunPipelineOperator

        task = PlanasonixRunPipelineOperator(task_id="t", pipeline_id="pl_1", parked=True)
        context = {"ti": Some(map_index=-1, xcom_pull=lambda **_: "run_1")}
        ends = {"timeout_at": None, "deadline_at": None} | {end: 1.0}
        try:
            task.execute_answered(context, {"chosen_options": ["look"], "timedout": True}, looks=0, **ends)
        except Exception as error:
            result = str(error)
    """
    assert said in airflow.python(code, end=end)
    assert planasonix.runs["run_1"]["story"] == [story]
    assert planasonix.count("GET") >= 1


def test_a_run_that_has_ended_already_is_not_waited_for(airflow: AirflowPython, planasonix: RunsApi) -> None:
    """It is looked at once before parking."""
    planasonix.story = ["succeeded"]
    task = answered(airflow, planasonix)
    assert (task["state"], task["asked"]) == ("success", [])


def test_an_airflow_that_cannot_park_waits_all_the_same(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """`parked=True` before Airflow 3.3."""
    if airflow_python.version != "2.11":
        pytest.skip("this one can park")
    planasonix.story = ["running", "running", "succeeded"]
    text = DAG.replace("ARGUMENTS", 'pipeline_id="pl_01hqxyz", parked=True')
    result = airflow_python.run_dag(text, connections={"planasonix_default": connection(planasonix)})
    assert result["tasks"]["load"]["state"] == "success"
