"""What is recorded of a body: its shape and what the bridge reads, and nothing that somebody wrote."""

import json
from typing import Any

from bridge.rules.recording import recorded

BODY: dict[str, Any] = {
    "id": "evt_1",
    "type": "job.succeeded",
    "data": {
        "pipelineId": "pl_1",
        "status": {"id": "deep"},
        "finishedAt": "2025-03-27T02:18:42Z",
        "metrics": {"rows_loaded": 7, "salary": 5000, "is_full": True},
        "parameters": {"email": "a@example.com", "a/b": {"c": "kept"}},
        "notes": ["secret", 3, None],
    },
}


def read(*keep: str) -> Any:
    """Return what is recorded of it."""
    found = recorded(json.dumps(BODY).encode(), keep)
    assert found is not None
    return json.loads(found)


def test_what_the_bridge_reads_stays_and_the_rest_is_masked() -> None:
    """Every name, every kind of value; no text and no number of somebody's."""
    data = read()["data"]
    assert (read()["id"], read()["type"]) == ("evt_1", "job.succeeded")
    assert (data["pipelineId"], data["finishedAt"], data["status"]) == ("pl_1", "2025-03-27T02:18:42Z", {"id": "deep"})
    assert data["metrics"] == {"rows_loaded": 7, "salary": 0, "is_full": True}
    assert data["parameters"] == {"email": "[redacted]", "a/b": {"c": "[redacted]"}}
    assert data["notes"] == ["[redacted]", 0, None]


def test_a_pointer_keeps_what_is_below_it_and_nothing_beside() -> None:
    """`~1` is a slash in a name."""
    assert read("/data/parameters/a~1b")["data"]["parameters"] == {"email": "[redacted]", "a/b": {"c": "kept"}}
    assert read("/data/parameters")["data"]["parameters"] == BODY["data"]["parameters"]
    assert read("/data/param")["data"]["parameters"]["email"] == "[redacted]"


def test_a_body_is_written_to_be_read_by_people() -> None:
    """Two blanks for each level, letters as they are, and a line break at the end."""
    assert recorded('{"id":"für_1","data":{"x":"geheim"}}'.encode(), ()) == (
        '{\n  "id": "für_1",\n  "data": {\n    "x": "[redacted]"\n  }\n}\n'.encode()
    )


def test_a_whole_list_or_a_single_value_is_kept() -> None:
    """As its pointer says."""
    assert read("/data/notes")["data"]["notes"] == ["secret", 3, None]
    assert read("/data/metrics/salary")["data"]["metrics"]["salary"] == 5000


def test_what_cannot_be_read_is_not_recorded() -> None:
    """Nobody could say what must be masked in it."""
    assert recorded(b"{", ()) is None
