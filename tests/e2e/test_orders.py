"""An order that was accepted goes on after a crash, and does each item once."""

from pathlib import Path

import pytest

from bridge.edges.inbox import Inbox, prepare
from tests.support.service import BridgeProcess, wait_for
from tests.support.store import Store, accept

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]
_MANY = 4000  # far more than two seconds of slices and rests


def test_an_order_goes_on_after_a_crash(tmp_path: Path) -> None:
    """Killed in the middle: what was done is not done again, what was not is done after the start."""
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    prepare(url)
    inbox, store = Inbox(url), Store(tmp_path / "bridge.db")
    accept(inbox, *[f"evt_{number}" for number in range(_MANY)])
    inbox.close()
    store.rows("UPDATE deliveries SET state = 'unrouted', reason = 'no_route'")
    bridge = BridgeProcess(tmp_path, airflow_url="http://127.0.0.1:1", mapping="routes: []\n")
    try:
        bridge.start()
        answer = bridge.api("replay", post={"filter": {"state": "unrouted"}, "idempotency_key": "k"})
        id_ = answer["order"]["id"]
        assert (answer["count"], answer["order"]["state"]) == (_MANY, "running")
        wait_for(lambda: bridge.api(f"orders/{id_}")["done"] > 0, seconds=10, what="a slice")
        bridge.kill()
        done = store.one("SELECT COUNT(*) FROM audit WHERE action = 'routed_again'")
        assert 0 < done < _MANY
        bridge.start()
        assert bridge.api("replay", post={"filter": {"state": "unrouted"}, "idempotency_key": "k"})["count"] == _MANY
        wait_for(lambda: bridge.api(f"orders/{id_}")["state"] == "done", seconds=60, what="the order is done")
        assert bridge.api(f"orders/{id_}")["outcomes"] == {"routed_again": _MANY}
        assert store.rows("SELECT COUNT(*), COUNT(DISTINCT subject) FROM audit WHERE action = 'routed_again'") == [
            (_MANY, _MANY)
        ]
    finally:
        bridge.close()
        store.close()
