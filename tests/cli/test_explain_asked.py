"""explain --delivery of a running bridge: its delivery, planned with the mapping here; no store is needed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.conftest import MAPPING, Place
from tests.support.service import BridgeProcess, body, wait_for

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]
VIEWER = "viewer-token-of-the-tests-0001"


@pytest.fixture
def running(place: Place) -> Iterator[BridgeProcess]:
    """A bridge elsewhere; it has a token for viewers, too."""
    folder = place.folder / "running"
    folder.mkdir()
    bridge = BridgeProcess(
        folder, airflow_url="http://127.0.0.1:9", mapping=MAPPING, settings={"BRIDGE_VIEWER_TOKEN": VIEWER}
    )
    bridge.start()
    yield bridge
    bridge.close()


def send(bridge: BridgeProcess, **event: Any) -> str:
    """Send a webhook and wait until it was routed; returns the delivery."""
    id_ = str(bridge.send(body(**event)).json()["delivery_id"])
    wait_for(lambda: bridge.api(f"deliveries/{id_}")["state"] != "received", seconds=10, what="it was routed")
    return id_


def address(bridge: BridgeProcess) -> str:
    """Return where its admin listener is."""
    return f"http://127.0.0.1:{bridge.admin_port}"


def test_explain_of_a_delivery_asks_the_bridge_that_url_names(place: Place, running: BridgeProcess) -> None:
    """By --url or BRIDGE_URL; what the mapping here makes of it, in which the route is mended already."""
    id_ = send(running, event="evt_bad", pipeline="pl_bad")
    words = ("explain", "--delivery", id_, "--json")
    assert place.here(*words, BRIDGE_URL=address(running)).code == 1
    mended = MAPPING.replace("event.parameters.business_date", "event.job_id")
    (place.folder / "mapping.yaml").write_text(mended)
    asked = place.here(*words, "--url", address(running))
    assert (asked.code, asked.err) == (0, "")
    (call,) = asked.json["triggers"]
    assert (call["call"]["dag_id"], call["call"]["conf"]["date"]) == ("load_orders", "job_evt_bad")
    assert place.here(*words, BRIDGE_URL=address(running)).json == asked.json
    assert not (place.folder / "bridge.db").exists()


def test_the_chain_is_the_one_of_the_bridge(place: Place, running: BridgeProcess) -> None:
    """An event that its own DAG run led to is held here as it is there, with the same detail."""
    (first,) = running.api(f"deliveries/{send(running, event='evt_1')}")["triggers"]
    id_ = send(running, event="evt_2", planasonix={"trigger_id": first["id"]})
    (held,) = running.api(f"deliveries/{id_}")["triggers"]
    assert (held["reason"], first["id"] in held["detail"]) == ("loop_guard", True)
    (planned,) = place.here("explain", "--delivery", id_, "--url", address(running), "--json").json["triggers"]
    assert (planned["reason"], planned["detail"]) == (held["reason"], held["detail"])


def test_what_cannot_be_explained_says_why(place: Place, running: BridgeProcess) -> None:
    """A viewer may see no body, a delivery is not there or was erased, and a file needs no bridge."""
    id_, url = send(running, event="evt_1"), ("--url", address(running))
    withheld = place.here("explain", "--delivery", id_, *url, BRIDGE_ADMIN_TOKEN=VIEWER)
    assert (withheld.code, withheld.out, "needs the token of an operator" in withheld.err) == (2, "", True)
    missing = place.here("explain", "--delivery", "dlv_0000000000000001", *url)
    assert (missing.code, missing.out, "no delivery" in missing.err) == (1, "", True)
    gone = send(running, event="evt_gone", pipeline="pl_none")
    erasing = {"source": "planasonix", "event_id": "evt_gone", "reason": "asked for"}
    assert running.api("erase", post=erasing)["erased"] is True
    erased = place.here("explain", "--delivery", gone, *url)
    assert (erased.code, erased.out, "its payload was erased" in erased.err) == (2, "", True)
    (place.folder / "payload.json").write_bytes(json.dumps({}).encode())
    file = place.here("explain", "payload.json", *url)
    assert (file.code, file.out, "--delivery ID" in file.err) == (2, "", True)
