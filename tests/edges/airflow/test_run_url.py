"""Where people look at a DAG run, in either version of Airflow."""

import pytest

from bridge.edges.airflow import Airflow
from bridge.words.targets import AirflowTarget


@pytest.mark.parametrize(
    ("version", "url"),
    [
        ("auto", "https://airflow.example/base/dags/load_orders/runs/planasonix__job_1%3F__succeeded"),
        ("3", "https://airflow.example/base/dags/load_orders/runs/planasonix__job_1%3F__succeeded"),
        ("2", "https://airflow.example/base/dags/load_orders/grid?dag_run_id=planasonix__job_1%3F__succeeded"),
    ],
)
def test_a_run_has_a_page(version: str, url: str) -> None:
    """By the version that is configured, without asking; what an id has of a URL's own characters is quoted."""
    airflow = Airflow(AirflowTarget("default", "https://airflow.example/base/", version=version))
    assert airflow.run_url("load_orders", "planasonix__job_1?__succeeded") == url
