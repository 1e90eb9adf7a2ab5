"""A whole bridge leaves, holds or fails what comes for a paused DAG, as each route says, on each database."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]
EVENTS = 4
MAPPING = """\
routes:
  - {name: left, pipeline: pl_8f2a9c1d4e, dag: load_orders}
  - {name: held, pipeline: pl_8f2a9c1d4e, dag: load_orders, if_paused: hold}
  - {name: newest, pipeline: pl_8f2a9c1d4e, dag: load_orders, if_paused: hold, release: latest}
  - {name: refused, pipeline: pl_8f2a9c1d4e, dag: load_orders, if_paused: fail}
"""


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening, whose DAG is paused."""
    with Standin() as standin:
        standin.dags["load_orders"]["is_paused"] = True
        yield standin


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_what_comes_while_a_dag_is_paused_goes_as_each_route_says(
    store: str, standin: Standin, start_bridge: Callable[..., BridgeProcess], request: pytest.FixtureRequest
) -> None:
    """Left to Airflow's queue, held and all or the latest fired, or failed. Two replicas double nothing."""
    settings, replicas = {"BRIDGE_DAGS_SECONDS": "1.2"}, 1
    if store == "postgresql":
        settings["BRIDGE_DATABASE_URL"], replicas = request.getfixturevalue("postgres"), 2
    bridges = [
        start_bridge(airflow_url=standin.url, mapping=MAPPING, settings=settings, more="    rate: 200")
        for _ in range(replicas)
    ]

    def stands(*expected: tuple[str, str, str | None, int]) -> Callable[[], bool]:
        def is_so() -> bool:
            found = Counter((each["route"], each["state"], each["reason"]) for each in bridges[0].triggers())
            return found == {(route, state, reason): count for route, state, reason, count in expected}

        return is_so

    for number in range(EVENTS):
        bridges[number % replicas].send(body(event=f"evt_{number}"))
    settled = [("left", "fired", "dag_paused", EVENTS), ("refused", "failed", "dag_paused", EVENTS)]
    held = [(name, "held", "dag_paused", EVENTS) for name in ("held", "newest")]
    wait_for(stands(*settled, *held), seconds=60, what=lambda: str(bridges[0].triggers()))
    standin.dags["load_orders"]["is_paused"] = False
    last = [("held", "fired", None, EVENTS), ("newest", "fired", None, 1), ("newest", "cancelled", "superseded", 3)]
    wait_for(stands(*settled, *last), seconds=60, what=lambda: str(bridges[0].triggers()))
    runs = Counter(str(run["dag_run_id"]).rpartition("__")[2] for run in standin.runs())
    assert runs == {"left": EVENTS, "held": EVENTS, "newest": 1}
