"""sample: a body to try things with, from a command that needs no configuration."""

import hashlib
import json
from pathlib import Path

import pytest

from bridge.rules.samples import SHAPES
from tests.cli.conftest import Place

pytestmark = pytest.mark.crash
_NOTHING = {"BRIDGE_CONFIG": None, "BRIDGE_MAPPING": None, "BRIDGE_DATABASE_URL": None}


def test_the_documented_body_byte_for_byte(place: Place) -> None:
    """The 190 bytes for which a signature is published."""
    ended = place.run("sample", "job.completed", "--compact", **_NOTHING)
    assert (ended.code, ended.err, len(ended.out)) == (0, "", 190)
    assert hashlib.sha256(ended.out.encode()).hexdigest()[:12] == "2e1a0169f3c2"


def test_without_a_type_it_is_a_job_that_succeeded(place: Place) -> None:
    """Of the pipeline, connection and environment that are asked for, with any other value."""
    words = ("--pipeline", "pl_x", "--connection", "conn_x", "--environment", "test")
    body = place.run("sample", *words, "--set", "rows_loaded=0", "--set", "/data/x=some text", **_NOTHING).json
    data = body["data"]
    assert (body["type"], data["pipeline_id"], data["connection_id"]) == ("job.succeeded", "pl_x", "conn_x")
    assert (data["environment"], data["metrics"]["rows_loaded"], data["x"]) == ("test", 0, "some text")


def test_list_names_every_shape(place: Place) -> None:
    """With a word on each."""
    out = place.run("sample", "--list", **_NOTHING).out
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(SHAPES)


@pytest.mark.parametrize("words", [("job.suceeded",), ("--set", "x"), ("--set", "pipline_id=x")])
def test_what_is_not_there_is_2(place: Place, words: tuple[str, ...]) -> None:
    """Nothing on stdout."""
    ended = place.run("sample", *words, **_NOTHING)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err


def test_fresh_ones_are_different_events(place: Place) -> None:
    """So that a second one is no duplicate."""
    first, second = (place.run("sample", "--fresh", **_NOTHING).json for _ in range(2))
    assert first["id"] != second["id"]
    assert first["job_id"] == first["data"]["id"] != second["job_id"]
    assert first["timestamp"] > "2026"


def test_it_can_be_explained_at_once(place: Place) -> None:
    """A pipe into `explain -`."""
    body = place.run("sample", "--pipeline", "pl_8f2a9c1d4e").out.encode()
    made = place.run("explain", "-", "--json", stdin=body).json
    assert [planned["dag_id"] for planned in made["triggers"]] == ["load_orders"]


def test_send_takes_it_from_stdin(place: Place) -> None:
    """Nobody listens here, so it says so; what it was to send was read."""
    ended = place.run("send", "-", "--json", stdin=place.run("sample").out.encode())
    assert ended.code == 1
    assert ended.json[0]["http_status"] == 0
    assert json.dumps(ended.json).count("Refused") == 1


def test_the_page_shows_what_it_prints(place: Place) -> None:
    """docs/register.md has a body, printed by the command above it."""
    page = (Path(__file__).parents[2] / "docs" / "register.md").read_text("utf-8")
    shown = page.partition("$ planasonix-bridge sample job.completed\n")[2].partition("```")[0]
    assert place.run("sample", "job.completed", **_NOTHING).out == shown
