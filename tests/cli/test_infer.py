"""infer and explain: from recorded bodies to a setting, and from the setting to a route that matches."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Place

pytestmark = pytest.mark.crash
_BODY = {
    "event": {"uuid": "1f0c", "type": "load.ended"},
    "payload": {"pipeline": {"uuid": "pl_8f2a9c1d4e"}, "result": {"code": "OK"}},
}


def _configured(place: Place, block: str) -> None:
    path = place.folder / "bridge.yaml"
    lines = path.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip().startswith("signature:"))
    indent = " " * (len(lines[at]) - len(lines[at].lstrip()))
    lines[at:at] = [indent + line for line in block.splitlines()]
    path.write_text("\n".join(lines) + "\n")


def test_what_is_proposed_makes_the_body_start_its_dag(place: Place) -> None:
    """Pasted as it is printed; `explain` says where each field was found, and `check` what is wrong with a pointer."""
    body = place.folder / "body.json"
    body.write_text(json.dumps(_BODY))
    assert place.run("explain", str(body)).code == 1

    proposed = place.run("infer", str(body))
    assert proposed.code == 0
    _configured(place, proposed.out)
    explained = place.run("explain", "--source", "planasonix", str(body), "--expect", "load_orders")
    assert (explained.code, explained.err) == (0, "")
    (row,) = [line.split() for line in explained.out.splitlines() if line.startswith("pipeline_id")]
    assert row == ["pipeline_id", '"pl_8f2a9c1d4e"', "/payload/pipeline/uuid"]

    path = place.folder / "bridge.yaml"
    path.write_text(path.read_text().replace('"/payload/pipeline/uuid"', "payload.pipeline"))
    checked = place.run("check")
    assert checked.code == 2
    assert "is not a JSON pointer" in checked.err


def test_what_a_person_must_complete_is_1(place: Place, tmp_path: Path) -> None:
    """And what is no body is 2, with its file."""
    (tmp_path / "a.json").write_text(json.dumps(_BODY | {"payload": {"result": {"code": "X7"}}}))
    (tmp_path / "b.json").write_text("[")
    ended = place.run("infer", str(tmp_path / "a.json"), BRIDGE_CONFIG=None)
    assert (ended.code, "X7" in ended.out, "pipeline_id was found in none" in ended.err) == (1, True, True)
    wrong = place.run("infer", str(tmp_path / "b.json"))
    assert (wrong.code, wrong.out, "b.json" in wrong.err) == (2, "", True)
