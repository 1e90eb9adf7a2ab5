"""A new release on the store of the one before, and the other way round: nothing lost, nothing twice.

The release before is a wheel in tests/data/releases; it runs as it is, with the libraries of this environment.
"""

import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.edges.inbox import prepare
from bridge.edges.inbox.engine.migrate import SCHEMA
from bridge.rules import samples
from tests.support import forkserver
from tests.support.jobs_api import JobsApi
from tests.support.jobs_api import body as unnamed
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Broken, Standin
from tests.support.store import Store

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]
_DATA = Path(__file__).parents[1] / "data"
_OLD_SCHEMA = "0001"
MAPPING = """\
routes:
  - pipeline: pl_8f2a9c1d4e
    dag: load_orders
  - name: refused
    pipeline: pl_refused
    dag: needs_params
  - name: unknown
    pipeline: pl_unknown
    dag: there_is_no_such_dag
  - name: busy
    pipeline: pl_busy
    dag: busy
  - name: slow
    pipeline: pl_slow
    dag: slow
"""
# What a route of each pipeline comes to in `_write_every_state`.
TRIGGERS = {"fired": 4, "cancelled": 1, "failed": 1, "held": 1, "pending": 1, "firing": 1}
DELIVERIES = {"routed": 9, "unrouted": 1, "ignored": 1, "invalid": 1, "stale": 1, "received": 1}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the unpacked release before."""
    (wheel,) = (_DATA / "releases").glob("*.whl")
    folder = tmp_path_factory.mktemp("release")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres"))
    return f"sqlite:///{tmp_path / 'bridge.db'}"


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening."""
    with Standin() as standin:
        standin.dags |= {"needs_params": {"is_paused": False, "required": ["day"]}}
        standin.dags |= {name: {"is_paused": False} for name in ("busy", "slow")}
        yield standin


@pytest.fixture
def make_bridge(tmp_path: Path, url: str, standin: Standin) -> Iterator[Callable[..., BridgeProcess]]:
    """Make a bridge on the store of the test, not started; every one is gone afterwards."""
    made: list[BridgeProcess] = []

    def make(**options: Any) -> BridgeProcess:
        folder = tmp_path / f"bridge{len(made)}"
        folder.mkdir()
        settings = {"BRIDGE_DATABASE_URL": url, "BRIDGE_LEASE_SECONDS": "2", "PLANASONIX_API_KEY": "k" * 30}
        made.append(BridgeProcess(folder, airflow_url=standin.url, mapping=MAPPING, settings=settings, **options))
        return made[-1]

    yield make
    for bridge in made:
        bridge.close()


def events(standin: Standin, dag_id: str = "load_orders") -> Counter[str]:
    """Return how many runs each event has."""
    return Counter(run["conf"]["planasonix"]["event_id"] for run in standin.runs(dag_id))


def revision(url: str) -> str:
    """Return the schema of a store."""
    store = Store(url)
    try:
        return str(store.one("SELECT version_num FROM alembic_version"))
    finally:
        store.close()


def states(url: str, table: str) -> dict[str, int]:
    """Return how many rows of a table are in each state."""
    store = Store(url)
    try:
        return dict(store.rows(f"SELECT state, COUNT(*) FROM {table} GROUP BY state"))  # noqa: S608
    finally:
        store.close()


def test_the_release_before_on_a_store_of_today(
    url: str, release: Path, standin: Standin, make_bridge: Callable[..., BridgeProcess]
) -> None:
    """Who has to go back after an upgrade can: the old code serves the new schema, and today's goes on after it."""
    assert prepare(url) == (None, SCHEMA)
    bridge = make_bridge()
    bridge.use_release(release)
    bridge.start()
    assert bridge.send(body(event="evt_1")).status_code == 202
    assert bridge.wait_for_trigger("fired")["dag_id"] == "load_orders"
    assert bridge.send(body(event="evt_1")).json()["status"] == "duplicate"
    assert bridge.stop() == 0
    bridge.use_release(None)
    bridge.start()
    assert bridge.send(body(event="evt_1")).json()["status"] == "duplicate"
    assert bridge.send(body(event="evt_2")).status_code == 202
    wait_for(lambda: len(standin.runs()) == 2, seconds=15, what="the second run")
    assert events(standin) == {"evt_1": 1, "evt_2": 1}
    assert revision(url) == SCHEMA


def _write_every_state(bridge: BridgeProcess, standin: Standin, planasonix: JobsApi) -> threading.Event:
    """Leave deliveries and triggers in every state; the event lets the call that is under way end."""
    gate = threading.Event()

    def problem(run: dict[str, Any]) -> Any:
        event = run["conf"]["planasonix"]["event_id"]
        if event == "evt_busy":
            return 503, {"detail": "busy"}
        if event == "evt_slow":
            gate.wait(20)
            raise Broken
        return None

    standin.before = problem
    planasonix.status = 503
    sent = [
        *(body(event=f"evt_{number}") for number in range(4)),
        body(event="evt_same", job="job_evt_0"),
        body(event="evt_refused", pipeline="pl_refused"),
        body(event="evt_unknown", pipeline="pl_unknown"),
        body(event="evt_nobody", pipeline="pl_of_nobody"),
        samples.compact(samples.SHAPES["test"].body),
        b'{"id": "evt_invalid"',
        unnamed("evt_unnamed"),
    ]
    for payload in sent:
        assert bridge.send(payload).status_code == 202
    assert bridge.send(body(event="evt_stale"), at=1_700_000_000).status_code == 202
    wait_for(lambda: len(standin.runs()) == 4, seconds=15, what="four runs")
    # Last, since an answer of this kind makes the bridge careful with the whole Airflow.
    assert bridge.send(body(event="evt_slow", pipeline="pl_slow")).status_code == 202
    assert bridge.send(body(event="evt_busy", pipeline="pl_busy")).status_code == 202
    return gate


def test_an_upgrade_with_work_in_every_state(
    url: str, release: Path, standin: Standin, make_bridge: Callable[..., BridgeProcess]
) -> None:
    """The old release is killed amid its work; today's migrates the store and brings everything to its end, once."""
    with JobsApi() as planasonix:
        source = f"    api: {{url: {planasonix.url}, key: {{env: PLANASONIX_API_KEY}}}}"
        bridge = make_bridge(source=source)
        bridge.use_release(release)
        bridge.start()
        assert revision(url) == _OLD_SCHEMA
        gate = _write_every_state(bridge, standin, planasonix)
        wait_for(
            lambda: (states(url, "triggers"), states(url, "deliveries")) == (TRIGGERS, DELIVERIES),
            seconds=15,
            what=lambda: f"{states(url, 'triggers')} {states(url, 'deliveries')}",
        )
        bridge.kill()
        gate.set()
        standin.before = lambda _: None
        planasonix.status = 200
        planasonix.jobs["job_1"] = {"id": "job_1", "pipeline_id": "pl_8f2a9c1d4e"}
        standin.dags["there_is_no_such_dag"] = {"is_paused": False}
        bridge.use_release(None)
        bridge.start()
        assert revision(url) == SCHEMA
        (held,) = bridge.triggers(state="held")
        assert forkserver.run("replay", held["id"], env=bridge.environment).returncode == 0
        done = {"fired": 8, "cancelled": 1, "failed": 1}
        wait_for(lambda: states(url, "triggers") == done, seconds=60, what=lambda: str(states(url, "triggers")))
    assert {"received": 0, **states(url, "deliveries")} == {**DELIVERIES, "routed": 10, "received": 0}
    assert set(events(standin).values()) == {1}
    assert len(standin.runs()) == 5
    assert [len(standin.runs(dag)) for dag in ("busy", "slow", "there_is_no_such_dag")] == [1, 1, 1]
    for number in range(4):
        assert bridge.send(body(event=f"evt_{number}")).json()["status"] == "duplicate"


def test_old_and_new_beside_each_other(postgres: str, release: Path, standin: Standin, tmp_path: Path) -> None:
    """While replicas are exchanged one by one both releases work on the same store, and copies stay copies."""
    assert prepare(postgres) == (None, SCHEMA)
    replicas = []
    for name, folder in (("old", release), ("new", None)):
        (tmp_path / name).mkdir()
        settings = {"BRIDGE_DATABASE_URL": postgres}
        item = BridgeProcess(
            tmp_path / name, airflow_url=standin.url, mapping=MAPPING, settings=settings, more="    rate: 200"
        )
        item.use_release(folder)
        replicas.append(item)
    try:
        for item in replicas:
            item.start()
        for number in range(40):
            answers = [replicas[(number + turn) % 2].send(body(event=f"evt_{number}")) for turn in range(2)]
            assert [answer.status_code for answer in answers] == [202, 200]
            assert len({answer.json()["delivery_id"] for answer in answers}) == 1
        wait_for(lambda: len(standin.runs()) == 40, seconds=20, what="every run")
        assert set(events(standin).values()) == {1}
        assert standin.posts() == 40
    finally:
        for item in replicas:
            item.close()


def test_two_events_of_one_job_make_one_run_at_two_releases(
    postgres: str, release: Path, standin: Standin, tmp_path: Path
) -> None:
    """Whichever release takes in the first: each finds what the other has started, by the DAG run id."""
    assert prepare(postgres) == (None, SCHEMA)
    replicas = []
    for name, folder in (("old", release), ("new", None)):
        (tmp_path / name).mkdir()
        settings = {"BRIDGE_DATABASE_URL": postgres}
        replicas.append(
            BridgeProcess(
                tmp_path / name, airflow_url=standin.url, mapping=MAPPING, settings=settings, more="    rate: 200"
            )
        )
        replicas[-1].use_release(folder)
    try:
        for item in replicas:
            item.start()
        for job in range(20):
            for turn in range(2):
                sent = body(event=f"evt_{job}_{turn}", job=f"job_{job}")
                assert replicas[(job + turn) % 2].send(sent).status_code == 202
        done = {"fired": 20, "cancelled": 20}
        wait_for(
            lambda: states(postgres, "triggers") == done, seconds=40, what=lambda: str(states(postgres, "triggers"))
        )
        assert standin.posts() == len(standin.runs()) == 20
    finally:
        for item in replicas:
            item.close()


@pytest.mark.parametrize("attempt", range(3))
def test_two_that_start_at_once_on_an_empty_store(
    url: str, attempt: int, make_bridge: Callable[..., BridgeProcess]
) -> None:
    """On PostgreSQL both come up; on SQLite one does, and the other says that the file is served."""
    pair = [make_bridge(), make_bridge()]
    for item in pair:
        item.process.start()
    served = [item for item in pair if _comes_up(item)]
    if url.startswith("postgresql"):
        assert len(served) == 2, [item.process.tail() for item in pair]
    else:
        (other,) = (item for item in pair if item not in served)
        assert len(served) == 1
        assert "already serves" in other.process.tail()
        assert "Traceback" not in other.process.tail()
    assert revision(url) == SCHEMA
    assert [item.send(body(event="evt_1")).status_code for item in served] == [202, 200][: len(served)]


def _comes_up(one: BridgeProcess) -> bool:
    wait_for(lambda: one.is_ready() or not one.process.is_running, seconds=30, what=one.process.tail)
    return one.process.is_running
