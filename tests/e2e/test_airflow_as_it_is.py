"""Airflow as it really is: a long story on a real Airflow 3 with its scheduler, and what Airflow 2 has of it.

`make test-all` runs them. On Airflow 3, 200 events meet a DAG that is paused for their time, with each setting of
`if_paused`, and 200 a route that a person has paused; the file of a DAG is removed, broken and mended while events
come; a run fails, another is deleted; the api-server comes back with another signing key; and `verify` finds exactly
what was planted. Airflow 2 has all of it but the signing key, with fewer events, since its SQLite bears few.
"""

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow_server import AirflowServer, legacy, server
from tests.support.airflow_server.legacy import LegacyAirflowServer
from tests.support.forkserver import COMMAND
from tests.support.service import BridgeProcess, body, wait_for

pytestmark = [pytest.mark.airflow, pytest.mark.scenario, pytest.mark.timeout(3600)]
SECONDS = 600.0
SETTINGS = {"BRIDGE_FOLLOW_SECONDS": "2", "BRIDGE_DAGS_SECONDS": "2"}
PROCESSOR = {"AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "2", "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "1"}
DAG = '''\
"""Takes any conf and succeeds."""

from {operators}.empty import EmptyOperator
from airflow import DAG

with DAG("{name}", schedule=None, max_active_runs=64):
    EmptyOperator(task_id="done")
'''
PAUSED = ("waits_there", "held", "newest", "refused")
OWN = (*PAUSED, "waits_here", "moving")
MAPPING = """\
routes:
  - {name: there, pipeline: pl_there, dag: waits_there}
  - {name: held, pipeline: pl_held, dag: held, if_paused: hold}
  - {name: newest, pipeline: pl_newest, dag: newest, if_paused: hold, release: latest}
  - {name: refused, pipeline: pl_refused, dag: refused, if_paused: fail}
  - {name: here, pipeline: pl_here, dag: waits_here}
  - {name: moving, pipeline: pl_moving, dag: moving}
  - {name: failing, pipeline: pl_failing, dag: fails_on_demand, conf: {fail: true}}
"""


def folder_of_dags(folder: Path, usual: Path, operators: str) -> Path:
    """Make a DAG folder of a test's own: the usual files, and one for each of the story's DAGs."""
    shutil.copytree(usual, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in OWN:
        (folder / f"{name}.py").write_text(DAG.format(name=name, operators=operators))
    return folder


@dataclass(frozen=True, slots=True)
class Place:
    """A bridge, its Airflow with the folder of its DAGs, and how many events a part of the story has."""

    bridge: BridgeProcess
    server: AirflowServer | LegacyAirflowServer
    dags: Path
    events: int


@contextmanager
def place_of(
    folder: Path, server: AirflowServer | LegacyAirflowServer, dags: Path, *, events: int, at_once: int
) -> Iterator[Place]:
    """Start the scheduler, and a bridge in front of it. A busy machine must not look like an outage."""
    folder.mkdir()
    more = f"    concurrency: {at_once}\n    read_seconds: 120\n    deadline_seconds: 120\n    connect_seconds: 30"
    bridge = BridgeProcess(folder, airflow_url=server.url, mapping=MAPPING, settings=SETTINGS, more=more)
    try:
        server.start_scheduler()
        wait_for(lambda: all(map(server.has_dag, OWN)), seconds=SECONDS, what="the DAGs are read")
        bridge.start()
        yield Place(bridge, server, dags, events)
    finally:
        bridge.close()
        server.close()


def states(bridge: BridgeProcess, route: str) -> Counter[tuple[str, str | None, str | None]]:
    """Count a route's triggers by state, reason and run state."""
    return Counter((item["state"], item["reason"], item["run_state"]) for item in bridge.triggers(route=route))


def reach(bridge: BridgeProcess, route: str, **expected: int) -> None:
    """Wait until a route's triggers stand like this: `held_dag_paused=200`, or `fired_success=1`."""

    def now() -> Counter[str]:
        found: Counter[str] = Counter()
        for (state, reason, run_state), amount in states(bridge, route).items():
            found["_".join(filter(None, (state, run_state if state == "fired" else reason)))] += amount
        return found

    wait_for(lambda: now() == expected, seconds=SECONDS, what=lambda: f"{route}: {expected}; there is {now()}")


def knows(bridge: BridgeProcess, dag_id: str, *expected: str) -> None:
    """Wait until the bridge has heard that a DAG is in one of these states."""

    def said() -> list[str]:
        return [dag["state"] for dag in bridge.api("status")["dags"] if dag["dag_id"] == dag_id]

    def is_known() -> bool:
        return any(said() == [state] for state in expected)

    wait_for(is_known, seconds=SECONDS, what=lambda: f"{dag_id} is one of {expected}; it is {said()}")


def send(bridge: BridgeProcess, name: str, amount: int = 1, first: int = 1) -> None:
    """Send webhooks of a pipeline, and see each accepted."""
    for number in range(first, first + amount):
        assert bridge.send(body(event=f"evt_{name}_{number}", pipeline=f"pl_{name}")).status_code == 202


def test_airflow_3_as_it_really_is(tmp_path: Path) -> None:
    """Nothing is lost and nothing runs twice, whatever becomes of DAGs, files, runs and keys; and all of it is seen."""
    dags = folder_of_dags(tmp_path / "dags", server.DAGS, "airflow.providers.standard.operators")
    airflow = AirflowServer(more=PROCESSOR, dags=dags)
    with place_of(tmp_path / "bridge", airflow, dags, events=200, at_once=4) as place:
        _what_is_paused_waits_and_loses_nothing(place)
        _a_file_that_goes_breaks_and_comes_back_loses_nothing(place)
        _a_run_that_fails_is_seen(place)
        _a_run_that_is_deleted_is_seen(place)
        _another_signing_key_stops_nothing(place, airflow)
        _verify_finds_what_was_planted(place)


def test_airflow_2_as_it_really_is(tmp_path: Path) -> None:
    """The same, but for the signing key, which its REST API does not have."""
    dags = folder_of_dags(tmp_path / "dags", legacy.DAGS, "airflow.operators")
    airflow = LegacyAirflowServer(dags=dags)
    with place_of(tmp_path / "bridge", airflow, dags, events=20, at_once=1) as place:
        _what_is_paused_waits_and_loses_nothing(place)
        _a_file_that_goes_breaks_and_comes_back_loses_nothing(place)
        _a_run_that_fails_is_seen(place)
        _a_run_that_is_deleted_is_seen(place)
        _verify_finds_what_was_planted(place)


def _what_is_paused_waits_and_loses_nothing(place: Place) -> None:
    """In Airflow's own queue while the DAG is paused there, or here; here while a person has paused the route."""
    bridge, server, events = place.bridge, place.server, place.events
    for dag_id in PAUSED:
        server.pause(dag_id, is_paused=True)
        knows(bridge, dag_id, "paused")
    bridge.api("pause", post={"kind": "route", "name": "here"})
    for name in ("there", "held", "newest", "refused", "here"):
        send(bridge, name, events)
    reach(bridge, "there", fired_queued=events)
    reach(bridge, "held", held_dag_paused=events)
    reach(bridge, "newest", held_dag_paused=events)
    reach(bridge, "refused", failed_dag_paused=events)
    reach(bridge, "here", held_paused_by_person=events)
    runs = {dag_id: len(server.runs(dag_id)) for dag_id in (*PAUSED, "waits_here")}
    assert runs == {"waits_there": events, "held": 0, "newest": 0, "refused": 0, "waits_here": 0}
    for dag_id in PAUSED:
        server.pause(dag_id, is_paused=False)
    bridge.api("resume", post={"kind": "route", "name": "here"})
    for route, dag_id in (("there", "waits_there"), ("held", "held"), ("here", "waits_here")):
        reach(bridge, route, fired_success=events)
        assert len(server.runs(dag_id)) == events
    reach(bridge, "newest", fired_success=1, cancelled_superseded=events - 1)
    reach(bridge, "refused", failed_dag_paused=events)
    (newest,) = server.runs("newest")
    assert newest["conf"]["planasonix"]["event_id"] == f"evt_newest_{events}"
    assert server.runs("refused") == []


def _a_file_that_goes_breaks_and_comes_back_loses_nothing(place: Place) -> None:
    bridge, server, file = place.bridge, place.server, place.dags / "moving.py"
    good = file.read_text()
    file.unlink()
    knows(bridge, "moving", "stale", "broken")  # an import error, if Airflow was about to read it
    send(bridge, "moving", 20)
    wait_for(
        lambda: {state for state, _, _ in states(bridge, "moving")} == {"held"},
        seconds=SECONDS,
        what=lambda: f"held; {states(bridge, 'moving')}",
    )
    # The rest stays: Airflow reads no file that mentions neither itself nor a DAG, so it would call that one removed.
    file.write_text(f"import nothing_of_this_name\n{good}")
    wait_for(
        lambda: any(name.endswith("moving.py") for name in server.broken_files()),
        seconds=SECONDS,
        what=lambda: f"the file is broken; those are: {server.broken_files()}",
    )
    knows(bridge, "moving", "broken")
    send(bridge, "moving", 20, first=21)
    file.write_text(good)
    reach(bridge, "moving", fired_success=40)
    assert len(server.runs("moving")) == 40


def _a_run_that_fails_is_seen(place: Place) -> None:
    send(place.bridge, "failing")
    reach(place.bridge, "failing", fired_failed=1)
    assert len(place.server.runs("fails_on_demand")) == 1


def _a_run_that_is_deleted_is_seen(place: Place) -> None:
    bridge, server = place.bridge, place.server
    server.pause("waits_there", is_paused=True)  # so that its run has not ended when it is deleted
    send(bridge, "there", first=place.events + 1)
    wait_for(lambda: len(server.runs("waits_there")) == place.events + 1, seconds=SECONDS, what="the run is there")
    newest = bridge.triggers(route="there")[0]["dag_run_id"]
    server.delete_run("waits_there", newest)
    reach(bridge, "there", fired_success=place.events, fired_deleted=1)
    server.pause("waits_there", is_paused=False)


def _another_signing_key_stops_nothing(place: Place, airflow: AirflowServer) -> None:
    airflow.change_signing_key()
    send(place.bridge, "here", first=place.events + 1)
    reach(place.bridge, "here", fired_success=place.events + 1)
    assert len(place.server.runs("waits_here")) == place.events + 1


def _verify_finds_what_was_planted(place: Place) -> None:
    """A run deleted, one made by hand, a row of the store lost; before: a run deleted, and what a route refused."""
    bridge, server = place.bridge, place.server
    before = _verified(place)
    refused = {("missing", str(each["dag_run_id"])) for each in bridge.triggers(route="refused")}
    assert len(refused) == place.events
    assert [result for result, _ in before - refused] == ["deleted"]
    deleted, lost = (_run_of(bridge, route) for route in ("there", "here"))
    by_hand = "planasonix__by_hand__succeeded__here"
    server.delete_run("waits_there", deleted)
    server.trigger("waits_here", by_hand, {})
    with bridge.database() as store:
        store.execute("DELETE FROM triggers WHERE dag_run_id = ?", [lost])
    planted = {("deleted", deleted), ("extra", by_hand), ("extra", lost), ("missing", None)}  # the last of the lost row
    assert _verified(place) == before | planted


def _run_of(bridge: BridgeProcess, route: str) -> str:
    found: dict[str, Any] = bridge.triggers(route=route, run_state="success")[0]
    return str(found["dag_run_id"])


def _verified(place: Place) -> set[tuple[str, str | None]]:
    """Run `verify` as a person does, and return what is off."""
    done = subprocess.run(
        [str(COMMAND), "verify", "--since", "24h", "--json"],
        env=place.bridge.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return {(finding["result"], finding["dag_run_id"]) for finding in json.loads(done.stdout)["findings"]}
