"""What is said at start about the keys of the sources."""

import io
import json
from pathlib import Path

import pytest

from bridge.edges import logs
from bridge.edges.settings import read_config
from bridge.wiring.preparing import warn_of_keys

_TEXT = """
sources:
  signed: {signature: {preset: stripe, secrets: [{id: k, env: SECRET}]}}
  bare: {signature: {preset: bearer, secrets: [{id: k, env: SECRET}]}}
  over: {signature: {preset: stripe, secrets: [{id: k, env: SECRET, not_after: 2001-01-01}]}}
airflow: {default: {url: http://localhost}}
"""


@pytest.mark.usefixtures("standard_logging")
def test_bearer_and_keys_out_of_their_time_are_loud_at_start() -> None:
    """A warning for each source that is weaker than it looks, none for the others, no secret in any."""
    environ = {"SECRET": "canary-of-a-secret-that-is-long-enough"}
    config = read_config(_TEXT, file="bridge.yaml", environ=environ, base_dir=Path("/nowhere"))

    stream = io.StringIO()
    logs.configure("info", "json", stream)
    warn_of_keys(config)

    logged = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["source"], line["level"]) for line in logged] == [("bare", "warning")] + [("over", "warning")] * 2
    assert "nothing is signed" in logged[0]["detail"]
    assert "canary" not in repr(logged)
