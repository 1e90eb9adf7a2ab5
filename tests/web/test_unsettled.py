"""What came and has no completion yet is found by any id, by command and on the pages."""

import json
from uuid import uuid4

import pytest

from bridge.words.roles import Role
from tests.support.service import BridgeProcess, body, wait_for
from tests.web.asking import PLACES, Ask, Run, runner
from tests.web.browsing import Person, text_of

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]


@pytest.fixture(params=PLACES)
def run(request: pytest.FixtureRequest, bridge: BridgeProcess) -> Run:
    """Run a verb against the running bridge, or beside it; returns its exit code and what it printed."""
    return runner(bridge, request.param)


@pytest.fixture
def ask(run: Run) -> Ask:
    """Run a verb with --json and return what it says."""
    return lambda *words: json.loads(run(*words, "--json")[1])


def test_why_finds_what_waits_for_a_paused_source(ask: Ask, run: Run, bridge: BridgeProcess) -> None:
    """It came, and is in the store: nobody is sent to Planasonix for it. Exit 0."""
    name = uuid4().hex  # both faces are asked
    bridge.api("pause", post={"kind": "source", "name": "planasonix"})
    try:
        id_ = bridge.send(body(event=name, pipeline=f"pl_{name}")).json()["delivery_id"]
        wait_for(lambda: bridge.api(f"deliveries/{id_}")["reason"], seconds=10, what="the reason")
        code, out = run("why", f"pl_{name}", "--since", "15m")
        assert (code, id_ in out, "paused_by_person" in out) == (0, True, True)
        (story,) = ask("why", f"job_{name}")["stories"]
        assert story["delivery"]["id"] == id_
        assert run("deliveries", "--pipeline", f"pl_{name}")[0] == 1
    finally:
        bridge.api("resume", post={"kind": "source", "name": "planasonix"})
        wait_for(
            lambda: bridge.api(f"deliveries/{id_}")["state"] == "unrouted", seconds=10, what="the end of the pause"
        )


def test_why_finds_what_nobody_knows_the_status_of(ask: Ask, run: Run, bridge: BridgeProcess) -> None:
    """Set aside, and no completion tells of it."""
    sent = json.loads(body(event="evt_odd", pipeline="pl_odd")) | {"type": "job.completed"}
    sent["data"]["status"] = "odd"
    id_ = bridge.send(json.dumps(sent).encode()).json()["delivery_id"]
    wait_for(lambda: bridge.api(f"deliveries/{id_}")["state"] == "ignored", seconds=10, what="the reason")
    (story,) = ask("why", "pl_odd")["stories"]
    assert (story["delivery"]["id"], story["delivery"]["reason"]) == (id_, "status_unknown")
    assert run("why", "pl_odd", "--since", "15m")[0] == 0


def test_what_was_set_aside_is_found_by_any_id(bridge: BridgeProcess) -> None:
    """By its pipeline or job; of two, the list says that they are not in it, and leads to each."""
    ids = []
    for event in ("evt_two_1", "evt_two_2"):
        sent = json.loads(body(event=event, pipeline="pl_two")) | {"type": "job.completed"}
        sent["data"]["status"] = "odd"
        ids.append(bridge.send(json.dumps(sent).encode()).json()["delivery_id"])
        wait_for(lambda: bridge.api(f"deliveries/{ids[-1]}")["state"] == "ignored", seconds=10, what="it is set aside")
    viewer = Person(bridge.admin_port, Role.VIEWER)
    answer = viewer.client.get("/deliveries", params={"find": "job_evt_two_1"})
    assert answer.headers["location"] == f"/deliveries/{ids[0]}"
    answer = viewer.client.get("/deliveries", params={"find": "pl_two"})
    page = viewer.look(answer.headers["location"])
    assert "Not in this list, since nothing that the bridge knows has ended with them (yet)" in text_of(page)
    assert all(f'href="/deliveries/{id_}"' in page for id_ in ids)
    assert "Not in this list" not in viewer.look("/deliveries", pipeline_id="pl_bad")
    viewer.close()


def test_who_may_see_no_payload_finds_nothing_by_its_words(bridge: BridgeProcess) -> None:
    """A body that cannot be read is found by an operator alone: else a viewer could ask for any word in it."""
    id_ = bridge.send(b'{"pipeline_id": "pl_broken", ').json()["delivery_id"]
    wait_for(lambda: bridge.api(f"deliveries/{id_}")["state"] == "invalid", seconds=10, what="it is set aside")
    for role, status in ((Role.OPERATOR, 303), (Role.VIEWER, 404)):
        person = Person(bridge.admin_port, role)
        assert person.client.get("/deliveries", params={"find": "pl_broken"}).status_code == status, role
        assert (id_ in person.look("/deliveries", pipeline_id="pl_broken")) is (role is Role.OPERATOR)
        person.close()
