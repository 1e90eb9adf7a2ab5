"""The provider's wheel in the Python of a real Airflow 3 and of a real Airflow 2."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.airflow_python import VENVS, AirflowPython
from tests.support.runs_api import RunsApi

OUTCOMES_TOKEN = "outcomes-token-of-the-tests-0001"
TAB_URL = "https://bridge.example.com/triggers?dag_id={DAG_ID}"


@pytest.fixture(scope="session", params=VENVS)
def airflow_python(request: pytest.FixtureRequest, unpacked: Path, _runs_api: RunsApi) -> Iterator[AirflowPython]:
    """The Python of each Airflow, one after the other; the stand-in is also the bridge that it reports to."""
    settings = {"URL": _runs_api.url, "OUTCOMES_TOKEN": OUTCOMES_TOKEN, "AIRFLOW": "default", "TAB_URL": TAB_URL}
    more = {f"AIRFLOW__PLANASONIX_BRIDGE__{name}": value for name, value in settings.items()}
    running = AirflowPython(request.param, beside=unpacked, more=more)
    yield running
    running.close()


@pytest.fixture(scope="session")
def _runs_api() -> Iterator[RunsApi]:
    with RunsApi() as api:
        yield api


@pytest.fixture
def planasonix(_runs_api: RunsApi) -> RunsApi:
    """A Planasonix that starts runs, as a test finds it: without any."""
    _runs_api.reset()
    return _runs_api
