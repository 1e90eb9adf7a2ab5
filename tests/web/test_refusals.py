"""A wrong secret, a broken request and a copy are found afterwards, by API and command line, with what tells why."""

import hashlib
import json
import time

import httpx
import pytest

from bridge.rules.signature import PRESETS, Key, sign
from tests.support import forkserver
from tests.support.service import BridgeProcess, body, signed, wait_for

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]


def test_what_was_not_taken_in_is_listed(bridge: BridgeProcess) -> None:
    """The key that was tried has the fingerprint that `keys show` prints; a copy names its delivery."""
    payload = body(event="evt_refused")
    url = f"http://127.0.0.1:{bridge.port}/hooks/"
    wrong = sign(PRESETS["planasonix"], Key("k", b"another-secret-of-the-sender-1"), payload, int(time.time()))
    refused = httpx.post(url + "planasonix", content=payload, headers=wrong, trust_env=False, timeout=60)
    nowhere = httpx.post(url + "nowhere", content=payload, headers=signed(payload), trust_env=False, timeout=60)
    delivery_id = bridge.send(payload).json()["delivery_id"]
    assert (refused.status_code, nowhere.status_code, bridge.send(payload).status_code) == (401, 404, 200)
    wait_for(lambda: len(bridge.api("refusals")["refusals"]) == 3, seconds=10, what="all three")
    found = {item["reason"]: item for item in bridge.api("refusals")["refusals"]}
    shown = forkserver.run("keys", "show", env=bridge.environment)
    (key,) = found["signature_mismatch"]["keys_tried"]
    name, _, fingerprint = key.partition(":")
    assert (name, len(fingerprint), fingerprint in shown.stdout) == ("current", 12, True)
    assert found["signature_mismatch"]["body_sha256"] == hashlib.sha256(payload).hexdigest()
    assert found["signature_mismatch"]["sender"] == "127.0.0.1"
    assert found["signature_mismatch"]["next_step"]
    assert (found["unknown_source"]["source"], found["unknown_source"]["keys_tried"]) == ("", [])
    assert (found["duplicate"]["kind"], found["duplicate"]["copy_of"]) == ("copy", delivery_id)
    assert [item["reason"] for item in bridge.api("refusals", kind="copy")["refusals"]] == ["duplicate"]
    assert [item["id"] for item in bridge.api("refusals", copy_of=delivery_id)["refusals"]] == [
        found["duplicate"]["id"]
    ]
    assert bridge.api("refusals", copy_of="dlv_0000000000000001")["refusals"] == []
    copies = forkserver.run("refusals", "--copy-of", delivery_id, "--json", env=bridge.environment)
    assert [item["id"] for item in json.loads(copies.stdout)] == [found["duplicate"]["id"]]
    listed = forkserver.run("refusals", "--reason", "signature_mismatch", env=bridge.environment).stdout
    assert key in listed
    assert "evt_refused" not in listed
