"""docs/other-senders.md: its settings are accepted, and make of its body what the page says."""

import json
import re
from pathlib import Path

from bridge.edges.settings import Config, read_config
from bridge.rules.completion import of
from bridge.rules.event import read
from bridge.words.model import Event, Status

_PAGE = (Path(__file__).parents[2] / "docs" / "other-senders.md").read_text("utf-8")
_AIRFLOW = "airflow: {default: {url: http://localhost:8080}}\n"


def _blocks(language: str) -> list[str]:
    return [
        re.sub("^   ", "", found, flags=re.M) if found.startswith("   ") else found
        for found in re.findall(rf"```{language}\n(.*?)```", _PAGE, re.S)
    ]


def _config() -> Config:
    (text,) = [block for block in _blocks("yaml") if "signature_header" in block]
    return read_config(
        text + _AIRFLOW,
        file="bridge.yaml",
        environ={"DBT_WEBHOOK_SECRET": "whsec_01jq8secretxxxxxxxxxxxxxxxx"},
        base_dir=Path(),
    )


def _event(**changes: str) -> Event:
    (text,) = _blocks("json")
    body = json.loads(text)
    return read(
        json.dumps(body | {"data": body["data"] | changes}).encode(), spelling=_config().sources["dbt"].spelling
    )


def test_the_body_of_the_page_is_read() -> None:
    """Its job is the pipeline, and its run is what ended."""
    event = _event()
    assert (event.pipeline_id, event.run_id, event.job_id, event.status) == ("123", "12345", None, Status.SUCCEEDED)
    assert (event.unreadable, event.occurred_at) == ({}, "2023-01-31T19:28:15.742843Z")
    assert event.origins["pipeline_id"] == "/data/jobId"


def test_two_runs_of_one_job_are_two_completions() -> None:
    """Although the type begins with `job.`, and both name the same job."""
    item, other = (of(_event(runId=run), source="dbt", delivery_id="dlv_1") for run in ("1", "2"))
    assert (item.id, other.id) == ("1", "2")


def test_the_words_of_the_page_are_known() -> None:
    """In any case."""
    words = {
        "Success": Status.SUCCEEDED,
        "ERRORED": Status.FAILED,
        "Error": Status.FAILED,
        "cancelled": Status.CANCELLED,
    }
    assert {word: _event(runStatus=word).status for word in words} == words
    assert _event(runStatus="Running").is_running
