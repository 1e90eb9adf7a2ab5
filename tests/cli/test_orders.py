"""A long replay by the command: it can be stopped from the keyboard, and goes on if the command is killed."""

import json
import signal
import subprocess
from collections.abc import Iterator

import pytest

from bridge.edges.inbox import Inbox, orders
from bridge.flows.ordering import carry_out
from tests.cli.conftest import Place
from tests.support.forkserver import COMMAND
from tests.support.service import wait_for
from tests.support.store import Store, accept

pytestmark = pytest.mark.crash
_MANY = 4000


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    """A store with far more to replay than a moment is enough for."""
    item = Store(place.store())
    inbox = Inbox(place.variables["BRIDGE_DATABASE_URL"])
    accept(inbox, *[f"evt_{number}" for number in range(_MANY)])
    inbox.close()
    item.rows("UPDATE deliveries SET state = 'unrouted'")
    yield item
    item.close()


def _end(place: Place, store: Store, number: signal.Signals) -> subprocess.Popen[bytes]:
    """Start a replay, and send it a signal when it has begun."""
    words = [str(COMMAND), "replay", "--state", "unrouted", "--yes", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(words, env=place.variables, cwd=place.folder, **pipes)
    wait_for(lambda: bool(store.one("SELECT COUNT(*) FROM audit")), seconds=10, what="a slice")
    process.send_signal(number)
    return process


def test_ctrl_c_stops_the_order(place: Place, store: Store) -> None:
    """It says how much was done; the service does not go on with the rest."""
    process = _end(place, store, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    answer = json.loads(out)
    (listed,) = place.run("orders", "--json").json
    assert (process.returncode, listed["state"]) == (1, "stopped")
    assert answer == {"count": _MANY, "replayed": listed["outcomes"]}
    assert f"stopped: {listed['done']} of {_MANY} were done" in err.decode()
    assert 0 < listed["done"] == store.one("SELECT COUNT(*) FROM audit WHERE action = 'routed_again'") < _MANY


def test_a_command_that_was_killed_leaves_its_order_to_others(place: Place, store: Store) -> None:
    """What works on orders next does what is left, and nothing twice."""
    process = _end(place, store, signal.SIGKILL)
    process.communicate(timeout=60)
    done = store.one("SELECT COUNT(*) FROM audit")
    assert 0 < done < _MANY
    inbox = Inbox(place.variables["BRIDGE_DATABASE_URL"])
    (order,) = inbox.read(orders.newest, limit=9)
    assert (str(order.state), order.done) == ("running", done)
    assert carry_out(inbox, order, rest=lambda _: None).outcomes == {"routed_again": _MANY}
    inbox.close()
    assert store.rows("SELECT COUNT(*), COUNT(DISTINCT subject) FROM audit") == [(_MANY, _MANY)]


def test_a_store_that_is_away_keeps_the_order(place: Place, store: Store) -> None:
    """The command says which one it is, and that nothing has to be sent again."""
    process = _end(place, store, signal.SIGCONT)  # which changes nothing
    store.rows("BEGIN IMMEDIATE")
    out, err = process.communicate(timeout=120)
    store.rows("ROLLBACK")
    (listed,) = place.run("orders", "--json").json
    assert (process.returncode, out, listed["state"]) == (1, b"", "running")
    assert f"{listed['id']} is stored" in err.decode()
