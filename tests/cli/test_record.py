"""record and send --from: what was received becomes tests that pass, and can be sent again."""

import json
from pathlib import Path

from bridge.edges.inbox import Inbox
from tests.cli.conftest import Place
from tests.support.service import body
from tests.support.store import stored


def test_recorded_bodies_pass_as_tests_and_hold_no_value_of_a_person(place: Place) -> None:
    """With what the mapping starts for them today, a failing template included."""
    place.store()
    inbox = Inbox(f"sqlite:///{place.folder / 'bridge.db'}")
    found = [
        stored(inbox, f"evt_{pipeline}", body=body(event=f"evt_{pipeline}", pipeline=pipeline, email="a@example.com"))
        for pipeline in ("pl_8f2a9c1d4e", "pl_bad", "pl_unknown")
    ]
    inbox.close()
    ended = place.here("record", "--out", "recorded")
    assert (ended.code, ended.out.split()[0]) == (0, "3")
    written = {path.name: path.read_text() for path in (place.folder / "recorded").iterdir()}
    assert set(written) == {"tests.yaml", *(f"{item}.json" for item in found)}
    assert "example.com" not in "".join(written.values())
    assert place.here("test", "recorded/tests.yaml").code == 0
    assert "no_route" in written["tests.yaml"]
    assert "template" in written["tests.yaml"]
    assert place.here("record", "--out", "recorded").code == 2
    assert place.here("record", "--out", "none", "--source", "another").code == 1


def test_send_takes_a_folder_or_a_file_and_not_both(place: Place, tmp_path: Path) -> None:
    """Every *.json in the order of their names; an empty folder is wrong usage."""
    folder = tmp_path / "bodies"
    folder.mkdir()
    assert place.here("send", "--from", str(folder)).code == 2
    for name in ("b", "a"):
        (folder / f"{name}.json").write_bytes(body(event=f"evt_{name}"))
    (folder / "tests.yaml").write_text("x")
    assert place.here("send", str(folder / "a.json"), "--from", str(folder)).code == 2
    assert place.here("send").code == 2
    ended = place.here("send", "--from", str(folder), "--json", "--url", "http://127.0.0.1:1/hooks/planasonix")
    assert (ended.code, [item["http_status"] for item in json.loads(ended.out)]) == (1, [0, 0])
