"""The document of the API holds: every path is in it and none more, and a running bridge answers as it says."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks

from bridge.web import openapi
from bridge.web.described import DESCRIBED
from bridge.words.roles import Role
from scripts.write_docs import offered
from tests.support.service import TOKEN, BridgeProcess, body, wait_for
from tests.web.conftest import TOKENS

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]
PREFIX = "/api/v1"
OFFERS = [
    openapi.Offer(method, path.removeprefix(PREFIX).replace(":path}", "}"), endpoint.__doc__, endpoint.role)
    for method, path, endpoint in offered()
    if path.startswith(PREFIX)
]
CONFIG = schemathesis.Config.from_dict({"phases": {"coverage": {"enabled": False}}, "generation": {"max-examples": 6}})
# Streams go on; test_steering_by_command.py reads them.
OPEN = {name: part for name, part in openapi.document(OFFERS).items() if name != "security"}  # the token is ours
SCHEMA = schemathesis.openapi.from_dict(OPEN, config=CONFIG).exclude(path=["/stream", "/verify"])

_NEEDS_MORE = ("/wait", "/completion", "/missed")  # than a path: what to wait for, a source with an `api`


@pytest.fixture(scope="module")
def stored(bridge: BridgeProcess) -> str:
    """Something of everything, and the id of a delivery."""
    ids = [bridge.send(body(event=f"evt_{name}", pipeline=name)).json()["delivery_id"] for name in ("pl_bad", "pl_x")]
    for id_ in ids:
        wait_for(lambda item=id_: bridge.api(f"deliveries/{item}")["state"] != "received", seconds=10, what="routed")
    bridge.api("replay", post={"ids": ids})
    bridge.api("pause", post={"kind": "route", "name": "bad_template"})
    return str(ids[0])


def test_every_path_is_described() -> None:
    """And nothing that is not there."""
    assert {f"{each.method} {each.path}" for each in OFFERS} == set(DESCRIBED)


@pytest.mark.parametrize("path", sorted(each.path for each in OFFERS if each.method == "GET"))
def test_a_query_is_described_as_it_is_taken(bridge: BridgeProcess, path: str) -> None:
    """A path that is asked for what it does not know names what it takes; one that ignores it takes nothing."""
    found: set[str] = set()
    for id_ in ("deliveries", "triggers") if path == "/export/{id}" else ("x",):
        url = f"http://127.0.0.1:{bridge.admin_port}{PREFIX}{path.replace('{id}', id_)}"
        answer = httpx.get(
            url, params={"nonsense": "1"}, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=60
        )
        unknown, _, known = str(answer.json().get("detail", "")).partition("; there is ")
        if unknown == "unknown: nonsense":
            found |= set(known.split(", "))
    assert found == set(DESCRIBED[f"GET {path}"].query)


def test_the_document_is_served(bridge: BridgeProcess) -> None:
    """As it is written here, with what each path does and the role that it needs."""
    served = bridge.api("openapi.json")
    assert served == json.loads(json.dumps(openapi.document(OFFERS)))
    replay = served["paths"]["/replay"]["post"]
    assert (replay["x-role"], replay["summary"][:7]) == ("operator", "Replay ")
    assert {"200", "202", "400", "401", "403", "404", "503"} <= set(replay["responses"])
    names = [operation["operationId"] for path in served["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("method", "path", "role", "status", "error"),
    [
        ("GET", "/status", None, 401, "unauthorized"),
        ("GET", "/audit", Role.VIEWER, 403, "forbidden"),
        ("GET", "/nothing", Role.ADMIN, 404, "not_found"),
        ("GET", "/deliveries/dlv_0000000000000001", Role.ADMIN, 404, "not_found"),
        ("DELETE", "/status", Role.ADMIN, 405, "method_not_allowed"),
        ("GET", "/deliveries?limit=x", Role.ADMIN, 400, "bad_request"),
    ],
)
def test_every_error_has_one_shape(  # noqa: PLR0917 - a row of the table
    bridge: BridgeProcess, method: str, path: str, role: Role | None, status: int, error: str
) -> None:
    """A word for programs, a sentence for people."""
    headers = {} if role is None else {"Authorization": f"Bearer {TOKENS[role]}"}
    url = f"http://127.0.0.1:{bridge.admin_port}{PREFIX}{path}"
    answer = httpx.request(method, url, headers=headers, trust_env=False, timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert answer.json()["error"] == error
    assert answer.json()["detail"]


def test_a_page_that_is_not_there_is_no_json(bridge: BridgeProcess) -> None:
    """People read it."""
    url = f"http://127.0.0.1:{bridge.admin_port}/nothing"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")


@SCHEMA.parametrize()
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_a_running_bridge_answers_as_the_document_says(case: Any, bridge: BridgeProcess, stored: str) -> None:
    """No 5xx, no answer of another form, and what the document forbids is refused."""
    held: list[Callable[..., Any]] = [
        checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    if "{id}" in case.operation.path and case.operation.path.startswith("/deliveries"):
        case.path_parameters = {"id": stored}
    answer = case.call_and_validate(
        base_url=f"http://127.0.0.1:{bridge.admin_port}{PREFIX}",
        headers={"Authorization": f"Bearer {TOKEN}"},
        checks=held,
        timeout=60,
    )
    if case.method == "GET" and not case.query and case.path_parameters in ({}, {"id": stored}):
        assert answer.status_code == (400 if case.operation.path in _NEEDS_MORE else 200)
