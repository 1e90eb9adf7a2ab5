"""The examples run as they are written, in a real Airflow 3.3 and 2.11, and the documentation shows them."""

from datetime import UTC, datetime, timedelta

import pytest

from deploy.demo.airflow import REPOSITORY
from tests.docs.pages import blocks, page
from tests.support.airflow_python import AirflowPython
from tests.support.runs_api import KEY, RunsApi

pytestmark = pytest.mark.xdist_group("provider")

EXAMPLES = sorted((REPOSITORY / "deploy" / "airflow" / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_as_written(airflow_python: AirflowPython, planasonix: RunsApi, path: object) -> None:
    """Imports included."""
    planasonix.story = ["succeeded"]
    planasonix.pipelines.append(("pl_publish", "publish"))
    tomorrow = datetime.now(UTC) + timedelta(days=1)  # somebody else's run, after any data interval
    planasonix.add("run_others", "pl_01hqxyz", ["succeeded"], startedAt=tomorrow.isoformat())
    connection = {"conn_type": "planasonix", "host": planasonix.url, "password": KEY}
    text = path.read_text()  # type: ignore[attr-defined]
    result = airflow_python.run_dag(text, connections={"planasonix_default": connection})
    assert result["state"] == "success", airflow_python.output()
    assert planasonix.bodies


def test_the_documentation_shows_the_examples() -> None:
    """Word for word, but for the docstring."""
    texts = [path.read_text().partition('"""\n\n')[2] for path in EXAMPLES]
    shown = blocks(page("airflow-provider.md"), "python")
    assert len(shown) == 2
    assert set(shown) <= set(texts)
