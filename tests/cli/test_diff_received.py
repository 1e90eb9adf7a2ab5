"""diff --since: what a change of the mapping does to what was really received, of the store and of a running bridge."""

from collections.abc import Iterator
from typing import Any

import pytest

from bridge.cli.received import Change, compare_received
from bridge.cli.revisions import files_of
from bridge.edges.inbox import Inbox
from bridge.rules.comparing import Kind
from bridge.web.bodies import BodiesApi
from tests.cli.conftest import MAPPING, Place
from tests.support.service import BridgeProcess, body
from tests.support.store import Store, accept

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]


class Pages:
    """The API's pages of bodies, asked as commands ask."""

    def __init__(self, inbox: Inbox) -> None:
        self._api = BodiesApi(inbox=inbox, spellings={})

    def get(self, path: str, /, *_: str, **query: str) -> dict[str, Any]:
        """Return a page."""
        assert path == "bodies"
        return self._api.bodies(query=query)


@pytest.fixture
def received(place: Place) -> Place:
    """A store with twelve loads of one pipeline, one of another, a stale and an erased one; and two changes."""
    path = place.store()
    inbox = Inbox(f"sqlite:///{path}")
    for number in range(12):
        accept(inbox, f"evt_{number}", body=body(event=f"evt_{number}"))
    accept(inbox, "evt_other", body=body(event="evt_other", pipeline="pl_other"))
    accept(inbox, "evt_stale", body=body(event="evt_stale"), is_stale=True)
    accept(inbox, "evt_gone", body=body(event="evt_gone"))
    inbox.close()
    store = Store(path)
    store.rows("UPDATE deliveries SET erased_at = 1, body = '' WHERE event_id = 'evt_gone'")
    store.close()
    other = MAPPING.replace("dag: load_orders\n    conf", "dag: load_all\n    conf", 1)
    (place.folder / "other_dag.yaml").write_text(other)
    (place.folder / "more.yaml").write_text(MAPPING + "  - {pipeline: pl_other, dag: load_other}\n")
    return place


def test_counts_first_then_the_first_ten(received: Place) -> None:
    """Of everything that routes could see; what is stale or erased is no body."""
    ended = received.run("diff", "mapping.yaml", "other_dag.yaml", "--since", "7d")
    assert (ended.code, ended.err) == (1, "")
    assert "\nbodies: 13\n" in ended.out
    assert "\n  12 would start other DAGs\n" in ended.out
    assert "\n  1 stay the same\n" in ended.out
    assert ended.out.count("    then load_all (route load_all)") == 10
    assert "  ... and 2 more bodies\n" in ended.out
    assert "  dlv_" in ended.out


def test_as_json(received: Place) -> None:
    """The same for programs."""
    said = received.run("diff", "mapping.yaml", "more.yaml", "--since", "7d", "--json").json["bodies"]
    assert (said["counts"]["something"], said["counts"]["same"], said["locked"]) == (1, 12, 0)
    assert [(item["kind"], item["now"], item["then"]) for item in said["different"]] == [
        ("something", [], ["load_other (route load_other)"])
    ]


def test_only_of_the_time_that_is_asked_for(received: Place) -> None:
    """Nothing was received that long ago; no difference in bodies, but one of routes."""
    ended = received.run("diff", "mapping.yaml", "other_dag.yaml", "--since", "9d", "--until", "8d")
    assert "\nbodies: 0\n" in ended.out
    assert ended.code == 1
    same = received.run("diff", "mapping.yaml", "mapping.yaml", "--since", "7d")
    assert (same.code, same.err) == (0, "")
    assert "\nbodies: 13\n" in same.out


def test_a_time_without_since_is_2(received: Place) -> None:
    """A running bridge alone says nothing of which time."""
    ended = received.run("diff", "mapping.yaml", "mapping.yaml", "--url", "http://127.0.0.1:1")
    assert (ended.code, ended.out) == (2, "")
    assert "--since" in ended.err


def test_pages_follow_each_other_to_the_end(received: Place) -> None:
    """Each delivery once, the oldest first, whatever the size of a page."""
    inbox = Inbox(f"sqlite:///{received.folder / 'bridge.db'}")
    beside = Pages(inbox)
    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = beside.get("bodies", limit="5", **after)
        if page["next"] is None:
            break
        found += [item["id"] for item in page["bodies"]]
        after = {"after": page["next"]}
    inbox.close()
    assert len(found) == 13
    assert found == sorted(set(found))


def test_processes_of_their_own_count_the_same(received: Place) -> None:
    """A large history is compared beside; the counts and the first ten are those of one process."""
    files = [tuple(files_of(str(received.folder / name)).items()) for name in ("mapping.yaml", "other_dag.yaml")]
    change = Change(files[0], files[1], None, (), 3)
    inbox = Inbox(f"sqlite:///{received.folder / 'bridge.db'}")
    beside = Pages(inbox)
    here, there = (
        compare_received(beside, change, query={}, on_page=lambda _: None, here=amount) for amount in (100, 0)
    )
    inbox.close()
    assert here == there
    assert here.counts == {Kind.OTHER_DAGS: 12, Kind.SAME: 1}


@pytest.fixture
def running(received: Place) -> Iterator[BridgeProcess]:
    """A bridge over the same kind of history."""
    folder = received.folder / "running"
    folder.mkdir()
    bridge = BridgeProcess(folder, airflow_url="http://127.0.0.1:9", mapping=MAPPING)
    bridge.start()
    for number in range(3):
        assert bridge.send(body(event=f"evt_{number}")).status_code == 202
    yield bridge
    bridge.close()


def test_what_a_running_bridge_received(received: Place, running: BridgeProcess) -> None:
    """The same words, of its store and not of the one beside."""
    url = f"http://127.0.0.1:{running.admin_port}"
    ended = received.run("diff", "mapping.yaml", "other_dag.yaml", "--since", "1d", "--url", url)
    assert (ended.code, ended.err) == (1, "")
    assert "\nbodies: 3\n" in ended.out
    assert "\n  3 would start other DAGs\n" in ended.out
