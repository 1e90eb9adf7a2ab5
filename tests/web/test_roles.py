"""Who may what on the admin listener: every role at every path and method, and what each may see."""

import re
from collections.abc import Callable, Iterator

import httpx
import pytest

from bridge.words.roles import Caller, Role
from scripts.write_docs import offered
from tests.support.service import BridgeProcess, body, wait_for
from tests.web.conftest import TOKENS
from tests.web.support import Answer, request

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
# The least role that each path needs; what is more than these may do it, too. None: open to everybody.
NEEDS: dict[str, Role | None] = {
    "GET /metrics": Role.METRICS,
    "GET /api/v1/status": Role.VIEWER,
    "GET /api/v1/openapi.json": Role.VIEWER,
    "GET /api/v1/deliveries": Role.VIEWER,
    "GET /api/v1/deliveries/{id}": Role.VIEWER,
    "GET /api/v1/triggers": Role.VIEWER,
    "GET /api/v1/stream": Role.VIEWER,
    "GET /api/v1/verify": Role.OPERATOR,
    "GET /api/v1/missed": Role.OPERATOR,
    "GET /api/v1/replicas": Role.OPERATOR,
    "GET /api/v1/export/{id}": Role.OPERATOR,
    "GET /api/v1/triggers/{id}": Role.VIEWER,
    "GET /api/v1/routes": Role.VIEWER,
    "GET /api/v1/causes": Role.VIEWER,
    "GET /api/v1/why/{id}": Role.OPERATOR,
    "GET /api/v1/examination": Role.OPERATOR,
    "POST /api/v1/examine": Role.OPERATOR,
    "POST /api/v1/explain": Role.VIEWER,
    "GET /api/v1/orders": Role.VIEWER,
    "GET /api/v1/orders/{id}": Role.VIEWER,
    "POST /api/v1/replay": Role.OPERATOR,
    "POST /api/v1/cancel": Role.OPERATOR,
    "GET /api/v1/pauses": Role.VIEWER,
    "POST /api/v1/pause": Role.OPERATOR,
    "POST /api/v1/resume": Role.OPERATOR,
    "POST /api/v1/orders/{id}/stop": Role.OPERATOR,
    "POST /api/v1/outcomes": Role.OUTCOMES,
    "GET /api/v1/history": Role.VIEWER,
    "GET /api/v1/wait": Role.VIEWER,
    "GET /api/v1/completion": Role.VIEWER,
    "GET /api/v1/refusals": Role.OPERATOR,
    "GET /api/v1/bodies": Role.OPERATOR,
    "GET /api/v1/audit": Role.ADMIN,
    "POST /api/v1/erase": Role.ADMIN,
    "GET /sign-in": None,
    "POST /sign-in": None,
    "GET /sign-in/openid": None,
    "GET /sign-in/openid/back": None,
    "GET /static/{digest}/{name}": None,
    "POST /sign-out": Role.VIEWER,
    "GET /": Role.VIEWER,
    "GET /examination": Role.OPERATOR,
    "POST /examine": Role.OPERATOR,
    "GET /deliveries": Role.VIEWER,
    "GET /deliveries/{id}": Role.VIEWER,
    "GET /triggers/{id}": Role.VIEWER,
    "GET /attention": Role.VIEWER,
    "GET /routes": Role.VIEWER,
    "POST /pause": Role.OPERATOR,
    "POST /resume": Role.OPERATOR,
    "GET /try": Role.VIEWER,
    "POST /try": Role.VIEWER,
    "GET /refusals": Role.OPERATOR,
    "GET /audit": Role.ADMIN,
    "GET /orders": Role.VIEWER,
    "POST /orders": Role.OPERATOR,
    "GET /orders/new": Role.OPERATOR,
    "GET /orders/{id}": Role.VIEWER,
    "POST /orders/{id}/stop": Role.OPERATOR,
}
MAY = {
    Role.METRICS: {Role.METRICS},
    Role.OUTCOMES: {Role.OUTCOMES},
    Role.VIEWER: {Role.METRICS, Role.VIEWER},
    Role.OPERATOR: {Role.METRICS, Role.OUTCOMES, Role.VIEWER, Role.OPERATOR},
    Role.ADMIN: {Role.METRICS, Role.OUTCOMES, Role.VIEWER, Role.OPERATOR, Role.ADMIN},
}
OPEN = {key.split()[1] for key, role in NEEDS.items() if role is None}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
CANARY = "canary-of-a-payload"


@pytest.fixture(scope="module")
def clients(bridge: BridgeProcess) -> Iterator[dict[Role | None, httpx.Client]]:
    """A client with the token of each role, and one without any."""
    url = f"http://127.0.0.1:{bridge.admin_port}"
    made = {
        role: httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {TOKENS[role]}"} if role else {},
            trust_env=False,
            timeout=120,
        )
        for role in (None, *Role)
    }
    yield made
    for item in made.values():
        item.close()


def test_every_path_names_its_role() -> None:
    """A new path without one, or that is not in the table above, fails here."""
    assert {f"{method} {path}": getattr(endpoint, "role", None) for method, path, endpoint in offered()} == NEEDS


@pytest.mark.parametrize("role", list(Role))
def test_a_role_may_what_the_lesser_ones_may(role: Role) -> None:
    """A table of literals; the tokens of one path open nothing else."""
    assert {needed for needed in Role if Caller("x", role).may(needed)} == MAY[role]


def _answer(client: httpx.Client, method: str, path: str) -> httpx.Response:
    """Ask; of a stream only the head is read, since it does not end."""
    wrong = {"since": "x"} if path.endswith("/verify") else None  # there is one at a time
    with client.stream(method, path, json={}, params=wrong) as answer:
        if "event-stream" not in answer.headers.get("content-type", ""):
            answer.read()
    return answer


@pytest.mark.parametrize("role", [None, *Role])
@pytest.mark.parametrize("path", sorted({key.split()[1] for key in NEEDS}))
def test_every_role_at_every_path_and_method(
    clients: dict[Role | None, httpx.Client], role: Role | None, path: str
) -> None:
    """401 without a token, 403 with too little, 405 for a method that is not there; never kept by a cache."""
    for method in METHODS:
        answer = _answer(clients[role], method, re.sub("{[a-z]+}", "x", path))
        key = f"{'GET' if method == 'HEAD' else method} {path}"
        needed = NEEDS.get(key)
        if key in NEEDS and needed is None:
            assert answer.status_code in (200, 400, 404), method
        elif role is None and path not in OPEN:
            assert answer.status_code == 401, method
        elif needed is None:
            assert answer.status_code == 405, method
        elif role is not None and needed in MAY[role]:
            assert answer.status_code in (200, 400, 404), method
        else:
            assert answer.status_code == 403, method
            if method != "HEAD" and path.startswith("/api/"):
                assert answer.json() == {
                    "error": "forbidden",
                    "detail": f"this needs the role {needed}, and token:{role} has another one",
                    "next_step": f"use a token of the role {needed}",
                }
        assert answer.headers["cache-control"] == "no-store", method


@pytest.fixture(scope="module")
def stored(bridge: BridgeProcess) -> dict[str, str]:
    """A delivery with a payload of which a trigger failed, and one that waits; an order about them."""
    bad = bridge.send(body(event="evt_seen", pipeline="pl_bad", secret=CANARY)).json()["delivery_id"]
    good = bridge.send(body(event="evt_good", secret=CANARY)).json()["delivery_id"]
    for id_ in (bad, good):
        wait_for(lambda item=id_: bridge.api(f"deliveries/{item}")["triggers"], seconds=10, what="a trigger")
    order = bridge.api("replay", post={"ids": [good]})
    assert order["count"] == 1
    return {
        "deliveries": good,
        "triggers": bridge.api(f"deliveries/{good}")["triggers"][0]["id"],
        "failed": bridge.api(f"deliveries/{bad}")["triggers"][0]["id"],
        "orders": bridge.api("orders")["orders"][0]["id"],
    }


def test_a_viewer_sees_no_value_of_a_stored_payload(
    clients: dict[Role | None, httpx.Client], stored: dict[str, str]
) -> None:
    """Whatever can be read with its token: states and reasons, but no body, no conf and no detail."""
    viewer, operator = clients[Role.VIEWER], clients[Role.OPERATOR]
    paths = {key.split()[1] for key, role in NEEDS.items() if key.startswith("GET") and role is Role.VIEWER}
    for path in paths - {"/api/v1/stream"}:  # which has a test of its own
        kind = path.removeprefix("/api/v1").split("/")[1]
        query = {"wait": {"delivery": stored["deliveries"]}, "completion": {"run": "run_1"}}.get(kind, {})
        answer = viewer.get(path.replace("{id}", stored.get(kind, "x")), params=query)
        assert answer.status_code == 200, path
        assert CANARY not in answer.text, path
    failed = viewer.get(f"/api/v1/triggers/{stored['failed']}").json()
    assert (failed["reason"], failed["detail"], failed["conf"]) == ("template", None, None)
    assert failed["withheld"]
    assert failed["next_step"]
    for path in (f"/api/v1/deliveries/{stored['deliveries']}", f"/api/v1/triggers/{stored['triggers']}"):
        assert CANARY in operator.get(path).text
        assert "withheld" not in operator.get(path).json()


def test_a_viewer_tries_what_was_pasted_and_nothing_that_is_stored(
    clients: dict[Role | None, httpx.Client], stored: dict[str, str]
) -> None:
    """The pasted body is the viewer's own; a stored one would show its values."""
    viewer, operator = clients[Role.VIEWER], clients[Role.OPERATOR]
    pasted = {"payload": {"type": "job.succeeded", "data": {"pipeline_id": "pl_8f2a9c1d4e", "status": "succeeded"}}}
    assert viewer.post("/api/v1/explain", json=pasted).json()["triggers"][0]["call"]["dag_id"] == "refresh_sales_marts"
    asked = {"delivery_id": stored["deliveries"]}
    assert viewer.post("/api/v1/explain", json=asked).status_code == 403
    assert CANARY in operator.post("/api/v1/explain", json=asked).text


def test_the_audit_log_names_the_token(
    clients: dict[Role | None, httpx.Client], bridge: BridgeProcess, stored: dict[str, str]
) -> None:
    """Who replayed, cancelled or erased: the token's name."""
    order = {"ids": [stored["triggers"]], "reason": "by hand"}
    assert clients[Role.OPERATOR].post("/api/v1/cancel", json=order).status_code == 200
    with bridge.database() as database:
        found = database.execute("SELECT actor, subject FROM audit WHERE reason = 'by hand'").fetchall()
    assert found == [("token:operator", stored["triggers"])]


def test_the_audit_log_is_read_by_person_and_time(
    clients: dict[Role | None, httpx.Client], bridge: BridgeProcess, stored: dict[str, str]
) -> None:
    """Sign-ins and those that failed, with the address, and the mapping; a filter that is misspelled is refused."""
    admin, url = clients[Role.ADMIN], "/api/v1/audit"
    httpx.get(f"{admin.base_url}{url}", headers={"Authorization": "Bearer wrong"}, trust_env=False, timeout=60)

    def told() -> set[tuple[str, str]]:
        return {(line["actor"], line["action"]) for line in admin.get(url, params={"limit": "500"}).json()["audit"]}

    wanted = {("unknown", "sign_in_failed"), ("token:admin", "signed_in"), ("mapping file", "mapping_loaded")}
    wait_for(lambda: wanted <= told(), seconds=10, what="the lines")
    (mapping,) = admin.get(url, params={"actor": "mapping file"}).json()["audit"]
    assert mapping["subject"] == bridge.api("status")["mapping"]["digest"]
    assert admin.get(url, params={"until": mapping["at"]}).json() == {"audit": [], "next": None}
    assert admin.get(url, params={"subject": mapping["subject"]}).json() == {"audit": [mapping], "next": None}
    assert admin.get(url, params={"actor": "token:admin", "limit": "1"}).json()["next"]
    for query in ("actr=x", "limit=0", "since=x", "after=x", "actor=%00"):
        assert admin.get(f"{url}?{query}").status_code == 400, query


def test_refusals_of_the_admin_listener_are_counted(
    clients: dict[Role | None, httpx.Client], bridge: BridgeProcess
) -> None:
    """By what was wrong; every word is there from the start."""
    assert clients[Role.METRICS].get("/api/v1/status").status_code == 403
    found = dict(re.findall(r'bridge_sign_in_failures_total\{reason="(\w+)"\} (\d+)', bridge.metrics()))
    words = {
        "token_missing",
        "token_wrong",
        "too_many",
        "role",
        "session",
        "form_token",
        "openid",
        "no_group",
        "provider",
    }
    assert found.keys() == words
    assert int(found["role"]) > 0


def test_a_token_is_no_other_tokens_beginning_or_end(ask: Callable[..., Answer], bridge: BridgeProcess) -> None:
    """Tokens are compared whole."""
    for token in (TOKENS[Role.VIEWER][:-1], TOKENS[Role.VIEWER] + "x", TOKENS[Role.VIEWER].upper()):
        wanted = request(
            method="GET", path="/api/v1/status", headers={"Authorization": f"Bearer {token}"}, length=False
        )
        assert ask(wanted, port=bridge.admin_port).status == 401


def test_a_role_is_one_word() -> None:
    """It stands in names of settings, in the audit log and in the documentation."""
    assert all(re.fullmatch("[a-z]+", role) for role in Role)
