"""What changes something may be sent twice, since a caller whose answer got lost has to send it again.

Each changing path of the API is either an order with an idempotency key, or changes nothing the second time. What does
neither says so.
"""

import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.web import openapi
from bridge.words.roles import Role
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin
from tests.web.conftest import MAPPING, TOKENS
from tests.web.test_roles import NEEDS

_READS = {"/explain"}  # it stores nothing
_ANEW = {"/examine"}  # one runs at a time; later, another one is started
_ROUTE = {"kind": "route", "name": "refresh_sales_marts"}
_EVENT = {"source": "planasonix", "event_id": "evt_erased", "reason": "asked for", "cancel": True}
# The body of each, and the status of the second answer. {trigger} and {order} are filled in.
SENT: dict[str, tuple[dict[str, Any], int]] = {
    "/replay": ({"ids": ["{trigger}"], "run_again": True, "idempotency_key": "replay-1"}, 200),
    "/cancel": ({"ids": ["{trigger}"], "idempotency_key": "cancel-1"}, 200),
    "/orders/{id}/stop": ({}, 200),
    "/pause": (_ROUTE | {"for": "2h"}, 200),
    "/resume": (_ROUTE, 404),
    "/erase": (_EVENT, 200),
    "/outcomes": ({"runs": [{"dag_id": "refresh_sales_marts", "dag_run_id": "no_run", "state": "success"}]}, 200),
}


@pytest.fixture(scope="module")
def clients(bridge: BridgeProcess) -> Iterator[dict[Role, httpx.Client]]:
    """One for each role that changes something."""
    base = f"http://127.0.0.1:{bridge.admin_port}/api/v1"
    made = {
        role: httpx.Client(
            base_url=base, headers={"Authorization": f"Bearer {TOKENS[role]}"}, timeout=60, trust_env=False
        )
        for role in (Role.ADMIN, Role.OUTCOMES)
    }
    yield made
    for each in made.values():
        each.close()


@pytest.fixture(scope="module")
def ids(bridge: BridgeProcess, clients: dict[Role, httpx.Client]) -> dict[str, str]:
    """A trigger that waits, and an order that has ended."""
    bridge.send(body(event="evt_erased"))
    found = [bridge.send(body(event=f"evt_{name}")).json()["delivery_id"] for name in ("kept", "ordered")]
    wait_for(lambda: all(bridge.api(f"deliveries/{id_}")["triggers"] for id_ in found), seconds=10, what="triggers")
    trigger, ordered = (bridge.api(f"deliveries/{id_}")["triggers"][0]["id"] for id_ in found)
    order = clients[Role.ADMIN].post("/replay", json={"ids": [ordered]}).json()["order"]["id"]
    return {"trigger": trigger, "order": order}


def test_every_changing_path_of_the_api_is_sent_twice_here() -> None:
    """A new one has to say what its second time does."""
    changing = {path.removeprefix("POST /api/v1") for path in NEEDS if path.startswith("POST /api/v1")}
    assert changing - _READS - _ANEW == set(SENT)


@pytest.mark.parametrize("path", SENT)
def test_the_second_time_changes_nothing(
    clients: dict[Role, httpx.Client], ids: dict[str, str], bridge: BridgeProcess, path: str
) -> None:
    """Neither a delivery, nor a trigger, an order or a pause is another one, or one more, than after the first time."""
    asked, status = SENT[path]
    asked = asked | ({"ids": [ids["trigger"]]} if "ids" in asked else {})
    client = clients[Role.OUTCOMES if path == "/outcomes" else Role.ADMIN]
    place = path.replace("{id}", ids["order"])
    if path == "/resume":
        clients[Role.ADMIN].post("/pause", json=_ROUTE)
    first = client.post(place, json=asked)
    assert first.is_success, first.text
    if "idempotency_key" in asked:
        order = f"orders/{first.json()['order']['id']}"
        wait_for(lambda: bridge.api(order)["state"] != "running", seconds=10, what="the order to have ended")
    after = _stored(clients[Role.ADMIN])
    second = client.post(place, json=asked)
    assert second.status_code == status, second.text
    assert _stored(clients[Role.ADMIN]) == after
    if "idempotency_key" in asked:
        assert (second.json()["is_repeat"], second.json()["order"]["id"]) == (True, first.json()["order"]["id"])
        other = client.post(place, json=asked | {"reason": "another", "ids": [ids["trigger"]], "limit": 1})
        assert other.status_code == 400, other.text


def test_a_key_may_be_a_header(clients: dict[Role, httpx.Client], bridge: BridgeProcess, ids: dict[str, str]) -> None:
    """In quotes or without, it is the key of the body; two different ones are no order."""
    asked = {"ids": [ids["trigger"]], "run_again": True}
    send = partial(clients[Role.ADMIN].post, "/replay")
    first, *again = (
        send(json=asked, headers={"Idempotency-Key": "in-a-header"}).json(),
        send(json=asked, headers={"Idempotency-Key": '"in-a-header"'}).json(),
        send(json=asked | {"idempotency_key": "in-a-header"}).json(),
    )
    assert not first["is_repeat"]
    assert [(each["is_repeat"], each["order"]["id"]) for each in again] == [(True, first["order"]["id"])] * 2
    before = _stored(clients[Role.ADMIN])
    refused = send(json=asked | {"idempotency_key": "another"}, headers={"Idempotency-Key": "in-a-header"})
    assert (refused.status_code, "send one of them" in refused.text) == (400, True)
    assert _stored(clients[Role.ADMIN]) == before


def test_an_examination_is_begun_once_while_it_runs_and_anew_after_its_end(tmp_path: Path) -> None:
    """A line in the audit log for each; this one runs on until Airflow answers."""
    may_end = threading.Event()

    def hang(_method: str, _path: str) -> None:
        may_end.wait(60)

    def begun() -> int:
        return [line["action"] for line in bridge.api("audit")["audit"]].count("examined")

    with Standin() as airflow, closing(BridgeProcess(tmp_path, airflow_url=airflow.url, mapping=MAPPING)) as bridge:
        airflow.front = hang
        bridge.start()
        for _ in range(2):
            assert bridge.api("examine", post={})["is_running"]
        assert begun() == 1
        may_end.set()
        wait_for(lambda: not bridge.api("examination")["is_running"], seconds=60, what="the end of it")
        bridge.api("examine", post={})
        assert begun() == 2


def test_the_document_says_of_each_what_the_second_time_does() -> None:
    """An order has a key; everything else changes nothing more, or starts another one after the first has ended."""
    for path in SENT.keys() | _READS | _ANEW:
        offer = openapi.Offer("POST", path, "Do it.", Role.ADMIN)
        operation = openapi.document([offer])["paths"][path]["post"]
        has_key = any(each["name"] == "Idempotency-Key" for each in operation["parameters"])
        assert has_key == ("idempotency_key" in SENT.get(path, ({}, 0))[0]), path
        assert ("changes nothing more." in operation["description"]) != (has_key or path in _ANEW), path
        assert ("afterwards it starts another." in operation["description"]) == (path in _ANEW), path


def _stored(admin: httpx.Client) -> dict[str, Any]:
    """Return what there is, without what the flows themselves move on meanwhile."""
    triggers = admin.get("/triggers", params={"limit": 500}).json()["triggers"]
    return {
        "triggers": [(each["id"], each["state"] in ("failed", "cancelled")) for each in triggers],
        "deliveries": [each["id"] for each in admin.get("/deliveries", params={"limit": 500}).json()["deliveries"]],
        "orders": [(each["id"], each["state"]) for each in admin.get("/orders").json()["orders"]],
        "pauses": admin.get("/pauses").json()["pauses"],
    }
