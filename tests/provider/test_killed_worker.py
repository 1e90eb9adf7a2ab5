"""A worker that is killed while it waits leaves one load: in a real Airflow 3.3 and 2.11."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.provider.test_operator import DAG, connection
from tests.support.airflow_python import VENVS, AirflowPython
from tests.support.runs_api import RunsApi

pytestmark = pytest.mark.xdist_group("provider")

RUN = """
    from datetime import UTC, datetime
    at = datetime(2026, 8, 1, 2, tzinfo=UTC)
    options = {"logical_date": at, "run_after": at} if version != "2.11" else {"execution_date": at}
    result = run_dag(text, dag_id="killed", **options)
"""


@pytest.mark.parametrize("version", VENVS)
def test_whoever_runs_the_task_again_finds_the_run(version: str, unpacked: Path, planasonix: RunsApi) -> None:
    """The first process is killed with the run going on; the second has nothing of the first one's memory."""
    planasonix.story = ["running"]
    text = DAG.replace("DAG_ID", "killed").replace("ARGUMENTS", 'pipeline_id="pl_01hqxyz"')
    variables = {"AIRFLOW_CONN_PLANASONIX_DEFAULT": str(connection(planasonix)).replace("'", '"')}

    first = AirflowPython(version, beside=unpacked, more=variables)

    def kill() -> None:
        while planasonix.count("GET") < 4:
            time.sleep(0.01)
        os.kill(first.pid, signal.SIGKILL)

    killing = threading.Thread(target=kill, daemon=True)
    killing.start()
    with pytest.raises(AssertionError, match="the process has ended"):
        first.python(RUN, text=text, version=version)
    killing.join()
    first.close()

    planasonix.runs["run_0001"]["story"] = ["running", "running", "succeeded"]
    second = AirflowPython(version, beside=unpacked, more=variables)
    try:
        task = second.python(RUN, text=text, version=version)["tasks"]["load"]
    finally:
        second.close()
    assert task["state"] == "success"
    assert planasonix.count("POST") == 2
    assert list(planasonix.runs) == ["run_0001"]
