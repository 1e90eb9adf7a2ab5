"""Somebody who only reads the store stops neither webhooks nor DAG runs, and a new release only while he reads.

Rule: whatever needs a lock that a reader may hold (a migration) asks for it briefly, lets everyone pass and asks again;
everything else needs no such lock.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.edges.inbox.engine.migrate import SCHEMA
from tests.support.reader import NEXT_SCHEMA, reader, write_next_release
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin
from tests.support.store import Store

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]
_MAPPING = "routes:\n  - {pipeline: pl_8f2a9c1d4e, dag: load_orders}\n"
_WEBHOOKS = 5
Make = Callable[[str], BridgeProcess]


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening."""
    with Standin() as standin:
        yield standin


@pytest.fixture
def make_bridge(tmp_path: Path, standin: Standin) -> Iterator[Make]:
    """Make a bridge on the store at a URL, not started; every one is gone afterwards."""
    made: list[BridgeProcess] = []

    def make(url: str) -> BridgeProcess:
        folder = tmp_path / f"bridge{len(made)}"
        folder.mkdir()
        settings = {"BRIDGE_DATABASE_URL": url}
        made.append(BridgeProcess(folder, airflow_url=standin.url, mapping=_MAPPING, settings=settings))
        return made[-1]

    yield make
    for bridge in made:
        bridge.close()


def _revision(url: str) -> str:
    store = Store(url)
    ((found,),) = store.rows("SELECT version_num FROM alembic_version")
    store.close()
    return str(found)


def _takes_in_and_fires(bridge: BridgeProcess, standin: Standin, name: str) -> None:
    """Every webhook is stored at once and has its run."""
    before = len(standin.runs())
    answers = [bridge.send(body(event=f"evt_{name}_{number}")).status_code for number in range(_WEBHOOKS)]
    assert answers == [202] * _WEBHOOKS
    wait_for(lambda: len(standin.runs()) == before + _WEBHOOKS, seconds=20, what="every run")


def test_a_reader_of_the_shared_store_delays_only_the_migration(
    postgres: str, make_bridge: Make, standin: Standin, tmp_path: Path
) -> None:
    """Meanwhile the replicas of the release before take in and fire; when the reader ends, the new one does too."""
    today, following = make_bridge(postgres), make_bridge(postgres)
    today.start()
    following.use_release(write_next_release(tmp_path / "next"))
    with reader(postgres):
        _takes_in_and_fires(today, standin, "beside")
        following.process.start()
        wait_for(lambda: "migration_waits" in following.log, seconds=60, what=following.process.tail)
        _takes_in_and_fires(today, standin, "waiting")
        assert _revision(postgres) == SCHEMA
    wait_for(following.is_ready, seconds=60, what=following.process.tail)
    assert _revision(postgres) == NEXT_SCHEMA
    _takes_in_and_fires(today, standin, "before")
    _takes_in_and_fires(following, standin, "after")
    assert standin.posts() == len(standin.runs()) == 4 * _WEBHOOKS


def test_a_reader_of_the_file_delays_nothing(make_bridge: Make, standin: Standin, tmp_path: Path) -> None:
    """A bridge works, ends, and starts again with a migration to make beside one that reads all the time."""
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    bridge = make_bridge(url)
    bridge.start()
    with reader(url):
        _takes_in_and_fires(bridge, standin, "beside")
        bridge.stop()
        bridge.use_release(write_next_release(tmp_path / "next"))
        bridge.start()
        assert _revision(url) == NEXT_SCHEMA
        _takes_in_and_fires(bridge, standin, "migrated")
    _takes_in_and_fires(bridge, standin, "after")
    assert standin.posts() == len(standin.runs()) == 3 * _WEBHOOKS
