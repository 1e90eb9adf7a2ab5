"""verify: the installed command beside a store, in front of a stand-in for Airflow."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bridge.edges.inbox import Inbox, triggers
from bridge.words.model import TriggerState
from tests.cli.conftest import Place
from tests.support.standin import Standin
from tests.support.store import add, attempt, claim, settlement, stored


@pytest.fixture
def airflow(place: Place) -> Iterator[Standin]:
    """A stand-in that the folder's configuration names, and a store with two runs that it has."""
    place.store()
    inbox = Inbox(place.variables["BRIDGE_DATABASE_URL"])
    with Standin() as standin:
        place.configure(standin.url)
        for event in ("evt_1", "evt_2"):
            id_ = add(inbox, stored(inbox, event), now=datetime.now(UTC), dag_run_id=f"run-{event}")
            body = {"dag_run_id": f"run-{event}", "logical_date": None, "conf": {"planasonix": {"trigger_id": id_}}}
            standin.make_run("load_orders", body)
        for claimed in claim(inbox, now=datetime.now(UTC)):
            inbox.write(triggers.settle, claimed, settlement(TriggerState.FIRED, due_at=datetime.now(UTC)), attempt())
        inbox.close()
        yield standin


def test_all_is_well(place: Place, airflow: Standin) -> None:
    """Exit 0, and the sums."""
    ended = place.run("verify", "--since", "1h")
    assert (ended.code, ended.out) == (0, "2 deliveries, of which 2 routed: 2 ok\n")


def test_what_is_off_is_shown(place: Place, airflow: Standin) -> None:
    """Exit 1, a table for people and JSON for programs; a broken mapping is no reason not to look."""
    airflow.delete_run("run-evt_1")
    (place.folder / "mapping.yaml").write_text("routes: [{")
    ended = place.run("verify")
    head, row, *_, sums = ended.out.splitlines()
    assert (ended.code, head.split()[:3], row.split()[:4]) == (
        1,
        ["RESULT", "AIRFLOW", "DAG_ID"],
        ["deleted", "default", "load_orders", "run-evt_1"],
    )
    assert sums == "2 deliveries, of which 2 routed: 1 deleted, 1 ok"
    assert "note: the mapping cannot be used" in ended.err
    answer = place.run("verify", "--json").json
    assert {name: answer[name] for name in ("is_well", "deliveries", "unasked", "waiting")} == {
        "is_well": False,
        "deliveries": {"routed": 2},
        "unasked": {},
        "waiting": {},
    }
    assert answer["results"] == {"ok": 1, "waiting": 0, "missing": 0, "extra": 0, "deleted": 1, "changed": 0}
    assert [(item["result"], item["dag_run_id"]) for item in answer["findings"]] == [("deleted", "run-evt_1")]


def test_an_airflow_that_is_away_is_not_taken_for_well(place: Place, airflow: Standin) -> None:
    """Exit 1, and the reason on stderr."""
    airflow.front = lambda _method, _path: (500, "oops")
    ended = place.run("verify")
    assert ended.code == 1
    assert "error: Airflow 'default' could not be asked: 500" in ended.err


def test_a_dag_that_may_not_be_read_is_not_taken_for_well(place: Place, airflow: Standin) -> None:
    """Exit 1, and how many of its runs were not looked at."""
    airflow.delete_run("run-evt_1")
    airflow.before_read = lambda _: (403, {"detail": "Forbidden"})
    ended = place.run("verify")
    assert (ended.code, ended.out) == (1, "2 deliveries, of which 2 routed: 1 ok\n")
    told = "1 run(s) of DAG 'load_orders', the first of them 'run-evt_1', be looked at: 403: Forbidden"
    assert f"error: Airflow 'default' did not let {told}" in ended.err
    assert place.run("verify", "--json").json["unread"] == [
        {
            "airflow": "default",
            "dag_id": "load_orders",
            "dag_run_id": "run-evt_1",
            "why": "403: Forbidden",
            "runs": 1,
        }
    ]


@pytest.mark.parametrize("words", [["--since", "yesterday"], ["--since", ""], ["--until", "1h"]])
def test_wrong_usage_is_told(place: Place, words: list[str]) -> None:
    """Exit 2, before anything is read."""
    assert place.run("verify", *words).code == 2
