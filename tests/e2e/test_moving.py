"""From SQLite to PostgreSQL with work waiting: the real command, between a bridge that was killed and the next."""

import subprocess
from collections import Counter
from collections.abc import Callable

import pytest

from tests.support import forkserver
from tests.support.airflow_server import PostgresServer
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]
MAPPING = "routes:\n  - pipeline: pl_8f2a9c1d4e\n    dag: load_orders\n"


def run(bridge: BridgeProcess, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with the bridge's own settings."""
    return forkserver.run(*words, env=bridge.environment, cwd=bridge.folder)


def test_what_waits_in_the_old_store_is_run_once_from_the_new_one(
    postgres_server: PostgresServer, start_bridge: Callable[..., BridgeProcess]
) -> None:
    """Refused while it is served; after a crash everything is moved, the pause too; the old store is served no more."""
    target = postgres_server.create_database("moved_whole")
    with Standin() as standin:
        bridge = start_bridge(airflow_url=standin.url, mapping=MAPPING)
        bridge.api("pause", post={"kind": "airflow", "name": "default", "reason": "a move"})
        sent = [f"evt_{number}" for number in range(3)]
        for event in sent:
            assert bridge.send(body(event=event)).status_code == 202
        wait_for(lambda: len(bridge.triggers(state="held")) == 3, seconds=60, what="three that a pause holds")
        refused = run(bridge, "move", "--to", target)
        assert (refused.returncode, "another planasonix-bridge already serves" in refused.stderr) == (2, True)
        bridge.kill()

        moved = run(bridge, "move", "--to", target)
        assert moved.returncode == 0, moved.stderr
        assert "moved; the counts are the same" in moved.stderr
        with pytest.raises(Exception, match="this store was moved"):
            bridge.start()

        bridge.set_variable("BRIDGE_DATABASE_URL", target)
        bridge.start()
        assert bridge.send(body(event=sent[0])).status_code == 200  # a copy there too
        assert standin.runs() == []
        assert run(bridge, "resume", "airflow", "default").returncode == 0
        wait_for(lambda: len(standin.runs()) == 3, seconds=60, what="a run for each")
        assert Counter(each["conf"]["planasonix"]["event_id"] for each in standin.runs()) == Counter(sent)
        bridge.stop()
