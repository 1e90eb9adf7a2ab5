"""The way of a webhook says what it waits for: a DAG that is paused in Airflow, an answer of the Planasonix API."""

import re
from collections.abc import Iterator

import pytest

from bridge.words.roles import SIGN_INS, Role
from tests.support.jobs_api import JobsApi
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin
from tests.web.browsing import Person
from tests.web.conftest import TOKENS

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
MAPPING = """\
routes:
  - {name: queued, pipeline: pl_queued, dag: load_queued}
  - {name: asleep, pipeline: pl_asleep, dag: load_asleep, follow: false}
"""
API = "    api: {url: %s, key: {env: PLANASONIX_API_KEY}}"
LEAN = b'{"id":"evt_%s","type":"job.succeeded","data":{"id":"job_%s","status":"succeeded"}}'  # names no pipeline
UNPAUSE = "Next step: Unpause the DAG in Airflow"


@pytest.fixture(scope="module")
def airflow() -> Iterator[Standin]:
    """An Airflow with two DAGs that are paused."""
    with Standin() as item:
        item.dags |= {name: {"is_paused": True} for name in ("load_queued", "load_asleep")}
        yield item


@pytest.fixture(scope="module")
def planasonix() -> Iterator[JobsApi]:
    """An API that knows one job."""
    with JobsApi() as item:
        item.jobs["job_known"] = {"id": "job_known", "pipeline_id": "pl_other", "status": "succeeded"}
        yield item


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory, airflow: Standin, planasonix: JobsApi) -> Iterator[BridgeProcess]:
    """A bridge between the two."""
    settings = {f"BRIDGE_{role.upper()}_TOKEN": token for role, token in TOKENS.items()}
    item = BridgeProcess(
        tmp_path_factory.mktemp("bridge"),
        airflow_url=airflow.url,
        mapping=MAPPING,
        source=API % planasonix.url,
        settings=settings | {"PLANASONIX_API_KEY": "key-of-the-tests", "BRIDGE_DAGS_SECONDS": "5"},
    )
    item.start()
    yield item
    item.close()


@pytest.fixture(scope="module")
def people(bridge: BridgeProcess) -> Iterator[dict[Role, Person]]:
    """Somebody of every role."""
    found = {role: Person(bridge.admin_port, role) for role in SIGN_INS}
    yield found
    for item in found.values():
        item.close()


@pytest.mark.parametrize("word", ["queued", "asleep"])
def test_a_run_that_waits_for_its_dag_says_so(
    word: str, airflow: Standin, bridge: BridgeProcess, people: dict[Role, Person]
) -> None:
    """With the next step, on both pages and to everybody; and no more once the DAG is back."""
    id_ = bridge.send(body(event=f"evt_{word}", pipeline=f"pl_{word}")).json()["delivery_id"]
    wait_for(lambda: bridge.triggers(delivery_id=id_, state="fired"), seconds=30, what="the run")
    (trigger,) = bridge.triggers(delivery_id=id_)
    one = f"triggers/{trigger['id']}"
    wait_for(lambda: (bridge.api(one)["dag"] or {}).get("state") == "paused", seconds=30, what="a look at the DAG")
    assert bridge.api(one)["waits_for_dag"] is True
    for place in (f"/{one}", f"/deliveries/{id_}"):
        for role in (Role.VIEWER, Role.OPERATOR):
            way = people[role].text(place).partition("DAG run: ")[2]
            assert "The DAG is paused since" in way
            assert UNPAUSE in way
    (story,) = bridge.api(f"why/{id_}")["stories"]
    assert story["next_step"].startswith("Unpause the DAG in Airflow")

    airflow.dags[f"load_{word}"] = {"is_paused": False}
    wait_for(lambda: bridge.api(one)["dag"]["state"] == "ok", seconds=30, what="the next look at the DAG")
    assert bridge.api(one)["waits_for_dag"] is False
    for place in (f"/{one}", f"/deliveries/{id_}"):
        assert UNPAUSE not in people[Role.VIEWER].text(place)


def _asked(person: Person, id_: str) -> str:
    """Return what the page of a delivery says of its look-up."""
    found = re.search(r"Looked up .*?(?:answered|job or run)\.", person.text(f"/deliveries/{id_}"))
    return found[0] if found else ""


def test_a_lookup_says_how_often_it_was_asked_for_and_what_came(
    bridge: BridgeProcess, people: dict[Role, Person], planasonix: JobsApi
) -> None:
    """To a viewer as to an operator, while it waits as after it was given up, or answered."""
    known = bridge.send(LEAN % (b"known", b"known")).json()["delivery_id"]
    wait_for(lambda: bridge.api(f"deliveries/{known}")["state"] == "unrouted", seconds=30, what="the answer")
    lost = bridge.send(LEAN % (b"lost", b"lost")).json()["delivery_id"]
    not_found = "lookup_not_found"
    wait_for(lambda: bridge.api(f"deliveries/{lost}")["reason"] == not_found, seconds=30, what="a first answer")
    for role in (Role.VIEWER, Role.OPERATOR):
        assert "It was asked once, and has answered." in _asked(people[role], known)
        assert "and does not know the job or run." in _asked(people[role], lost)
    assert bridge.api(f"deliveries/{lost}")["lookups"] >= 1

    wait_for(lambda: _is_given_up(bridge, lost), seconds=90, what="the last question")
    for role in (Role.VIEWER, Role.OPERATOR):
        assert "It was asked 3 times, and does not know the job or run." in _asked(people[role], lost)
    none = bridge.send(body(event="evt_whole", pipeline="pl_none")).json()["delivery_id"]
    wait_for(lambda: bridge.api(f"deliveries/{none}")["state"] == "unrouted", seconds=30, what="routing")
    assert "Looked up" not in people[Role.OPERATOR].text(f"/deliveries/{none}")


def _is_given_up(bridge: BridgeProcess, id_: str) -> bool:
    """Have it asked at once rather than in half a minute, and say whether that was the last time."""
    if bridge.api(f"deliveries/{id_}")["state"] != "received":
        return True
    bridge.api("replay", post={"ids": [id_]})
    return False
