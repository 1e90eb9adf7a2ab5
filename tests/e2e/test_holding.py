"""A whole bridge knows what its DAGs are, against a stand-in for Airflow."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bridge.words.roles import Role
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin
from tests.web.browsing import Person

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
MAPPING = """\
routes:
  - {name: orders, pipeline: pl_8f2a9c1d4e, dag: load_orders}
  - {name: sales, pipeline: pl_sales, dag: load_sales}
"""
SETTINGS = {"BRIDGE_DAGS_SECONDS": "1.2"}


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening, with a DAG that wants a param."""
    with Standin() as standin:
        standin.dags["load_orders"]["params"] = {"day": {"value": None, "schema": {"type": "string"}}}
        yield standin


@pytest.fixture
def bridge(tmp_path: Path, standin: Standin) -> Iterator[BridgeProcess]:
    """A bridge in front of the stand-in that looks at DAGs every second."""
    item = BridgeProcess(tmp_path, airflow_url=standin.url, mapping=MAPPING, settings=SETTINGS)
    item.start()
    yield item
    item.close()


def dag(bridge: BridgeProcess, name: str = "load_orders") -> dict[str, Any]:
    """Return what the API says of a DAG; nothing while it was not looked at."""
    return next((dag for dag in bridge.api("status")["dags"] if dag["dag_id"] == name), {})


def test_every_face_tells_what_a_dag_is(bridge: BridgeProcess, standin: Standin) -> None:
    """The status and the routes page with the params that routes leave out, a trigger and the metrics."""
    wait_for(lambda: dag(bridge).get("lacks_params") == {"orders": ["day"]}, seconds=30, what="params")
    assert (dag(bridge)["state"], dag(bridge)["params"]) == ("ok", {"day": {"type": "string"}})
    says = "DAG load_orders: route orders: conf lacks the DAG's required params day"
    assert says in [need["says"] for need in bridge.api("status")["needs"]]
    with closing(Person(bridge.admin_port, Role.ADMIN)) as person:
        assert "load_orders conf lacks day" in person.text("/routes")
        assert person.text("/routes").count("conf lacks") == 1
    wait_for(lambda: dag(bridge, "load_sales").get("state") == "missing", seconds=30, what="missing")
    standin.dags["load_orders"]["is_paused"] = True
    wait_for(lambda: dag(bridge)["state"] == "paused", seconds=30, what="paused")
    delivery_id = bridge.send(body(event="evt_1")).json()["delivery_id"]
    wait_for(lambda: len(bridge.triggers(delivery_id=delivery_id, state="fired")) == 1, seconds=30, what="fired")
    (trigger,) = bridge.triggers(delivery_id=delivery_id)
    shown = bridge.api(f"triggers/{trigger['id']}")
    assert (shown["reason"], shown["dag"]["state"]) == ("dag_paused", "paused")
    assert 'bridge_dag_state{airflow="default",dag="load_orders",state="paused"} 1.0' in bridge.metrics()
