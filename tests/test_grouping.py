"""Tests that share something dear run on one worker."""

import os

import pytest


@pytest.mark.airflow
def test_what_needs_an_airflow_is_grouped(request: pytest.FixtureRequest) -> None:
    """Without it each worker starts an Airflow of its own, and a run takes minutes more."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("there are no workers")
    assert request.node.nodeid.endswith("@airflow")
