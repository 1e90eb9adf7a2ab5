"""PlanasonixHook and its connection, in a real Airflow 3.3 and 2.11."""

from typing import Any

import pytest

from tests.support.airflow_python import AirflowPython
from tests.support.runs_api import KEY, Fault, RunsApi

pytestmark = pytest.mark.xdist_group("provider")

HOOK = """
from planasonix_provider.hooks.api import PlanasonixHook, read_settings
from airflow.models import Connection

hook = PlanasonixHook()
"""


def in_hook(airflow: AirflowPython, api: RunsApi, code: str, *, key: str = KEY) -> Any:
    """Execute code with a `hook` whose connection leads to the stand-in."""
    connection = f'{{"conn_type": "planasonix", "host": "{api.url}", "password": "{key}"}}'
    setting = f"import os; os.environ['AIRFLOW_CONN_PLANASONIX_DEFAULT'] = {connection!r}\n"
    return airflow.python(setting + HOOK + code)


def test_the_button_says_that_the_key_is_accepted(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """`test_connection` asks for one pipeline."""
    found = in_hook(airflow_python, planasonix, "result = hook.test_connection()")
    assert found == [True, "Planasonix answered, and accepted the key"]


@pytest.mark.parametrize(
    ("key", "status", "said"),
    [("wrong-key-0123456789", 0, "401 (UNAUTHORIZED: the key is not known)"), (KEY, 503, "503 (FAULT")],
)
def test_the_button_says_what_is_wrong(
    airflow_python: AirflowPython, planasonix: RunsApi, key: str, status: int, said: str
) -> None:
    """With the code and the message of the answer, and never with the key."""
    planasonix.faults.extend([Fault("GET", status)] if status else [])
    works, message = in_hook(airflow_python, planasonix, "result = hook.test_connection()", key=key)
    assert not works
    assert said in message
    assert key not in message + airflow_python.output()


def test_both_ways_tell_the_same_of_a_run(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """Blocking and not."""
    planasonix.add("run_1", "pl_01hqxyz", ["succeeded"], startedAt="2026-08-01T10:00:00Z")
    code = """
import asyncio

async def ask():
    try:
        return (await hook.get_run_async("run_1")).as_result()
    finally:
        await hook.close_async()

result = [hook.get_run("run_1").as_result(), asyncio.run(ask())]
"""
    blocking, other = in_hook(airflow_python, planasonix, code)
    assert blocking == other
    assert blocking["status"] == "succeeded"
    assert blocking["metrics"] == {"rowsWritten": 44802}


def test_a_pipeline_is_found_by_its_exact_name(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """The API's search also finds names that only contain it; two of one name are an error that names them."""
    planasonix.pipelines = [("pl_1", "sales"), ("pl_2", "sales_eu"), ("pl_3", "crm"), ("pl_4", "crm")]
    code = """
def outcome(name):
    try:
        return hook.find_pipeline(name)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

result = [outcome("sales"), outcome("crm"), outcome("nothing")]
"""
    found, several, none = in_hook(airflow_python, planasonix, code)
    assert found == "pl_1"
    assert several == "Rejected: 2 pipelines are named 'crm': pl_3, pl_4; give pipeline_id"
    assert none == "NotThere: no pipeline is named 'nothing'"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        (None, "https://api.planasonix.com"),
        ("eu.example.com", "https://eu.example.com"),
        ("https://acme.example.com/v1/", "https://acme.example.com/v1"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://eu.example.com", "Rejected"),
        ("https://key@eu.example.com", "Rejected"),
        ("ftp://eu.example.com", "Rejected"),
    ],
)
def test_the_host_may_be_a_name_or_an_address(airflow_python: AirflowPython, host: str | None, url: str) -> None:
    """The key never travels in the clear."""
    code = f"""
try:
    result = read_settings(Connection(conn_id="c", host={host!r}, password="secret-key-0123456789")).url
except Exception as error:
    result = type(error).__name__
"""
    assert airflow_python.python(HOOK + code) == url


def test_the_form_has_a_field_for_each_row_of_the_table(airflow_python: AirflowPython) -> None:
    """Airflow 3.3 reads it without importing the hook; 2.11 asks the hook for widgets."""
    found = airflow_python.python("""
        from airflow.providers_manager import ProvidersManager

        manager = ProvidersManager()
        result = {
            "name": manager.hooks["planasonix"].hook_name,
            "fields": sorted(manager.connection_form_widgets),
            "labels": manager.field_behaviours["planasonix"]["relabeling"],
        }
    """)
    names = ["agent_pool", "app_url", "bridge_source", "bridge_token", "bridge_url", "environment", "organization_id"]
    assert found["name"] == "Planasonix"
    assert [item for item in found["fields"] if "planasonix" in item] == [
        f"extra__planasonix__{name}" for name in names
    ]
    assert found["labels"]["password"] == "API key"


def test_neither_the_hook_nor_its_settings_show_the_key(airflow_python: AirflowPython, planasonix: RunsApi) -> None:
    """Not in `repr`, which ends up in logs and tracebacks."""
    code = "hook.test_connection(); result = [repr(hook.settings), repr(hook), repr(vars(hook))]"
    assert KEY not in str(in_hook(airflow_python, planasonix, code))
