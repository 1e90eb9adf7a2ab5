"""The README is short and true: what it shows is what happens."""

import json

from bridge.rules.mapping import read
from bridge.rules.planning import Subject, plan
from deploy.demo.airflow import REPOSITORY
from tests.docs.pages import blocks

README = (REPOSITORY / "README.md").read_text()
MOST_LINES = 150


def test_the_readme_is_short() -> None:
    """At most 150 lines: whoever needs more is led to a page."""
    assert len(README.splitlines()) <= MOST_LINES


def test_the_mapping_and_the_webhook_make_the_run_that_is_named() -> None:
    """Three lines of mapping, the body as shown: the DAG and the DAG run id are those of the text."""
    (mapping,) = blocks(README, "yaml")
    assert len(mapping.splitlines()) == 3
    (request,) = [block for block in blocks(README) if block.startswith("POST /hooks/")]
    body = request.partition("\n\n")[2]
    assert json.loads(body)["data"]["pipeline_id"] in mapping
    subject = Subject(id="dlv_1", source="planasonix", received_at="2025-03-27T14:26:21Z", body=body.encode())
    routes = read(mapping, file="README.md", airflows=["default"], sources=["planasonix"])
    (trigger,) = plan(subject, routes, new_trigger_id=lambda: "trg_1", max_hops=3).triggers
    assert trigger.call is not None
    assert f"`{trigger.dag_id}`" in README
    assert f"`{trigger.call.dag_run_id}`" in README
