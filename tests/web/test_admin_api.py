"""The admin side: who gets in, what every endpoint answers, and that nothing a client sends is an error of ours."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.demo.processes import free_port
from tests.support.service import TOKEN, BridgeProcess, body, wait_for
from tests.web.conftest import MAPPING
from tests.web.support import Answer, chunked, request

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]
Ask = Callable[..., Answer]
RIVALS = """\
routes:
  - {name: daily, pipeline: pl_1, dag: [marts, other]}
  - {name: hourly, pipeline: pl_1, dag: marts}
  - {name: alone, pipeline: pl_1, dag: more}
"""
READ = ("status", "deliveries", "triggers", "routes", "orders")


@pytest.fixture(scope="module")
def client(bridge: BridgeProcess) -> Iterator[httpx.Client]:
    """A client with the token."""
    url = f"http://127.0.0.1:{bridge.admin_port}/api/v1/"
    with httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=120
    ) as client:
        yield client


@pytest.fixture(scope="module")
def ids(bridge: BridgeProcess) -> dict[str, str]:
    """What is stored: a routed delivery with its trigger, and one whose template failed."""
    good = bridge.send(body(event="evt_api")).json()["delivery_id"]
    bad = bridge.send(body(event="evt_api_bad", pipeline="pl_bad")).json()["delivery_id"]
    unrouted = bridge.send(body(event="evt_api_other", pipeline="pl_other")).json()["delivery_id"]
    found = {"good": good, "bad": bad, "unrouted": unrouted}
    for name, delivery_id in found.items():
        wait_for(lambda id_=delivery_id: bridge.api(f"deliveries/{id_}")["state"] != "received", seconds=10, what=name)
    (trigger,) = bridge.api(f"deliveries/{good}")["triggers"]
    (failed,) = bridge.api(f"deliveries/{bad}")["triggers"]
    return found | {"trigger": trigger["id"], "failed": failed["id"]}


# --- who gets in -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer{TOKEN}",
        f"Token {TOKEN}",
        f"Bearer Bearer {TOKEN}",
        f"Bearer {TOKEN} ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \xff",
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/status", "//api/v1/nowhere"])
def test_without_the_token_nobody_gets_in(
    ask: Ask, bridge: BridgeProcess, authorization: str | None, path: str
) -> None:
    """One answer for every path and every wrong token, also where nothing is."""
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = ask(request(method="GET", path=path, headers=headers, length=False), port=bridge.admin_port)
    if authorization == f"Bearer {TOKEN} ":
        assert answer.status in (200, 404, 401)  # blanks around a value are no part of it
        return
    assert answer.status == 401
    assert answer.json["error"] == "unauthorized"
    assert "BRIDGE_ADMIN_TOKEN" in answer.json["next_step"]


@pytest.mark.parametrize("authorization", [f"bearer {TOKEN}", f"BEARER {TOKEN}", f"Bearer  {TOKEN}"])
def test_the_scheme_of_the_token_is_written_in_any_case(ask: Ask, bridge: BridgeProcess, authorization: str) -> None:
    """RFC 9110, 11.1; some clients write `bearer`. The token itself is compared exactly."""
    headers = {"Authorization": authorization}
    wanted = request(method="GET", path="/api/v1/routes", headers=headers, length=False)
    assert ask(wanted, port=bridge.admin_port).status == 200
    wanted = request(
        method="GET", path="/api/v1/routes", headers={"Authorization": authorization.upper()}, length=False
    )
    assert ask(wanted, port=bridge.admin_port).status == 401


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize(("size", "what"), [(2_097_152, "the body is not JSON"), (2_097_153, "larger than 2097152")])
def test_a_change_of_more_than_2_mib_is_refused(
    ask: Ask, bridge: BridgeProcess, size: int, what: str, is_chunked: bool
) -> None:
    """At the exact byte, with and without Content-Length; nothing reads what is larger."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    payload = b"x" * size
    if is_chunked:
        head = request(path="/api/v1/explain", headers=headers, more=[("Transfer-Encoding", "chunked")], length=False)
        answer = ask(head, chunked(payload, 65_536), port=bridge.admin_port)
    else:
        answer = ask(request(payload, path="/api/v1/explain", headers=headers), port=bridge.admin_port)
    assert answer.status == 400
    assert what in answer.json["detail"]


def test_a_host_header_opens_nothing(ask: Ask, bridge: BridgeProcess) -> None:
    """Where a token is set, only the token counts."""
    wanted = request(method="GET", path="/api/v1/status", headers={}, length=False, host="127.0.0.1")
    assert ask(wanted, port=bridge.admin_port).status == 401


@pytest.fixture(scope="module")
def open_bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A bridge without a token."""
    bridge = BridgeProcess(
        tmp_path_factory.mktemp("open"), airflow_url=f"http://127.0.0.1:{free_port()}", mapping=MAPPING
    )
    del bridge._env["BRIDGE_ADMIN_TOKEN"]
    bridge.process = bridge._process()
    bridge.start()
    yield bridge
    bridge.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost", 200),
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("[::1]:{port}", 200),
        ("bridge.example.com", 401),
        ("localhost.example.com", 401),
        ("127.0.0.1.example.com:80", 401),
        ("example.com:localhost", 401),
        ("", 401),
    ],
)
def test_without_a_token_only_loopback_names_are_served(
    ask: Ask, open_bridge: BridgeProcess, host: str, status: int
) -> None:
    """A web page that made its own name point at this machine (DNS rebinding) gets nothing."""
    port = open_bridge.admin_port
    wanted = request(method="GET", path="/api/v1/status", headers={}, length=False, host=host.format(port=port))
    answer = ask(wanted, port=port)
    assert answer.status == status
    if status == 401:
        assert "no person's token or OpenID provider is set" in answer.json["next_step"]


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_a_form_of_another_site_changes_nothing(ask: Ask, open_bridge: BridgeProcess, content_type: str | None) -> None:
    """A browser sends such a POST across sites without asking; JSON it does not."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    order = b'{"filter": {"state": "failed"}}'
    answer = ask(request(order, path="/api/v1/replay", headers=headers, host="localhost"), port=open_bridge.admin_port)
    assert answer.status == 400
    assert "application/json" in answer.json["detail"]


# --- reading ---------------------------------------------------------------------------------------


def test_status_tells_where_everything_stands(client: httpx.Client, ids: dict[str, str]) -> None:
    """Mapping, Airflows, what waits and what ended oddly."""
    wait_for(lambda: client.get("status").json()["waiting"]["held"]["count"] >= 1, seconds=10, what="down")
    status = client.get("status").json()
    assert status["mapping"]["routes"] == 2
    assert status["mapping"]["problems"] == []
    assert status["airflows"][0]["reason"] == "airflow_down"
    assert status["airflows"][0]["next_step"]
    assert not status["airflows"][0]["is_available"]
    assert status["airflows"][0]["pace"] == {"concurrency": 4, "rate": 10.0, "is_eased": False, "strain": None}
    assert status["ended"]["failed"] >= 1


def test_a_chain_of_dag_runs_is_shown(bridge: BridgeProcess, client: httpx.Client, ids: dict[str, str]) -> None:
    """delivery -> trigger -> run -> event -> delivery: held, and shown at trigger and delivery and in `explain`."""
    conf = client.get(f"triggers/{ids['trigger']}").json()["conf"]["planasonix"]
    came_back = bridge.send(body(event="evt_api_circle", planasonix=conf)).json()["delivery_id"]
    wait_for(lambda: client.get(f"deliveries/{came_back}").json()["state"] == "routed", seconds=10, what="routed")
    delivery = client.get(f"deliveries/{came_back}").json()
    assert delivery["caused_by"] == ids["trigger"]
    held = client.get(f"triggers/{delivery['triggers'][0]['id']}").json()
    assert (held["state"], held["reason"]) == ("held", "loop_guard")
    assert held["detail"].startswith("comes back to ")
    (link,) = held["chain"]
    assert (link["trigger_id"], link["delivery_id"]) == (ids["trigger"], ids["good"])
    assert (link["dag_id"], link["dag_run_id"]) == (held["dag_id"], held_run(client, ids["trigger"]))
    assert client.get(f"triggers/{ids['trigger']}").json()["chain"] == []
    explained = client.post("explain", json={"delivery_id": came_back}).json()
    assert {item["reason"] for item in explained["triggers"]} == {"loop_guard"}


def held_run(client: httpx.Client, trigger_id: str) -> str:
    """Return the DAG run id of a trigger."""
    return str(client.get(f"triggers/{trigger_id}").json()["dag_run_id"])


def test_a_delivery_is_shown_whole(client: httpx.Client, ids: dict[str, str]) -> None:
    """With body, headers and triggers."""
    found = client.get(f"deliveries/{ids['good']}").json()
    assert (found["id"], found["state"], found["event_id"]) == (ids["good"], "routed", "evt_api")
    assert json.loads(found["body"])["id"] == "evt_api"
    assert ids["trigger"] in [item["id"] for item in found["triggers"]]  # another test may have run it again


def test_a_trigger_is_shown_whole(client: httpx.Client, ids: dict[str, str]) -> None:
    """With the exact conf, its attempts, and what to do."""
    found = client.get(f"triggers/{ids['failed']}").json()
    assert (found["state"], found["reason"], found["dag_run_id"]) == ("failed", "template", None)
    assert found["why"]
    assert found["next_step"]
    assert found["attempt_log"] == []
    assert found["also_started_by"] == []
    assert client.get(f"triggers/{ids['trigger']}").json()["conf"]["planasonix"]["delivery_id"] == ids["good"]


def test_a_trigger_names_the_other_routes_that_start_its_dag(tmp_path: Path) -> None:
    """Two runs that look alike in Airflow are two routes; one that starts another DAG, or the same twice, is none."""
    with closing(BridgeProcess(tmp_path, airflow_url=f"http://127.0.0.1:{free_port()}", mapping=RIVALS)) as bridge:
        bridge.start()
        id_ = bridge.send(body(event="evt_rivals", pipeline="pl_1")).json()["delivery_id"]
        wait_for(lambda: len(bridge.triggers(delivery_id=id_)) == 4, seconds=10, what="the triggers")
        ids = {(item["route"], item["dag_id"]): item["id"] for item in bridge.triggers(delivery_id=id_)}
        shown = {key: bridge.api(f"triggers/{each}")["also_started_by"] for key, each in ids.items()}
    assert shown == {
        ("daily", "marts"): ["hourly"],
        ("daily", "other"): [],
        ("hourly", "marts"): ["daily"],
        ("alone", "more"): [],
    }


def test_pages_join(client: httpx.Client, ids: dict[str, str]) -> None:
    """`next` leads on until it is null."""
    pages: list[str] = []
    after: dict[str, str] = {}
    for _ in range(50):
        page = client.get("deliveries", params={"limit": "1", **after}).json()
        pages += [item["id"] for item in page["deliveries"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert len(pages) == len(set(pages)) >= 3


def test_filters_filter(client: httpx.Client, ids: dict[str, str]) -> None:
    """By state, event, route and time."""
    assert client.get("deliveries", params={"event_id": "evt_api"}).json()["deliveries"][0]["id"] == ids["good"]
    assert ids["unrouted"] in [item["id"] for item in client.get("deliveries?state=unrouted").json()["deliveries"]]
    assert ids["good"] not in [item["id"] for item in client.get("deliveries?state=unrouted").json()["deliveries"]]
    assert [item["id"] for item in client.get("triggers?route=bad_template").json()["triggers"]] == [ids["failed"]]
    assert client.get("deliveries?since=2100-01-01").json() == {"deliveries": [], "next": None}
    assert client.get("deliveries?until=1999-01-01T00:00:00Z").json()["deliveries"] == []
    assert client.get("deliveries?source=").json()["deliveries"] == []


def test_routes_are_those_in_use(client: httpx.Client) -> None:
    """Name, line, DAGs and conditions."""
    first, second = client.get("routes").json()["routes"]
    assert (first["name"], first["line"], first["dags"]) == ("refresh_sales_marts", 2, ["refresh_sales_marts"])
    assert second["matches"]["pipeline"] == ["pl_bad"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=" + "9" * 5000,
        "limit=1.5",
        "since=yesterday",
        "since=2025-13-01",
        "until=",
        "since=1h&until=2h",
        "colour=red",
        "state=odd",
        "state=",
        "state=fired%00",
    ],
)
@pytest.mark.parametrize("what", ["deliveries", "triggers"])
def test_a_query_that_cannot_be_read_is_told(client: httpx.Client, what: str, query: str) -> None:
    """400, and what is there instead."""
    if what == "triggers" and query == "state=fired%00":
        query = "state=unrouted"
    answer = client.get(f"{what}?{query}")
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    "query", ["", "delivery=", "job=", "delivery=dlv_0000000000000001&job=j", "job=j&since=soon", "job=j&state=open"]
)
def test_what_is_waited_for_must_be_said(client: httpx.Client, query: str) -> None:
    """400, and what to send."""
    answer = client.get(f"wait?{query}")
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


def test_how_something_stands_is_told_at_once(client: httpx.Client, ids: dict[str, str]) -> None:
    """A delivery by its id, a job by the id that its event names; whatever the calendar."""
    failed = client.get("wait", params={"delivery": ids["bad"]}).json()
    assert failed == {"outcome": "failed", "why": f"{ids['failed']} of route bad_template is failed (template)"}
    assert client.get("wait", params={"job": "job_evt_api_bad", "since": "0001-01-01"}).json() == failed
    for query in ({"job": "job_evt_api_bad", "since": "9999-12-31T23:59:59-23:59"}, {"job": "never_seen"}):
        assert client.get("wait", params=query).json() == {"outcome": "open", "why": "nothing has arrived yet"}
    assert client.get("wait", params={"delivery": "dlv_0000000000000001"}).status_code == 404


@pytest.mark.parametrize("since", ["0001-01-01", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
def test_any_instant_will_do(client: httpx.Client, since: str) -> None:
    """The ends of the calendar are no error of ours."""
    assert client.get("deliveries", params={"since": since}).status_code == 200


@pytest.mark.parametrize("what", ["deliveries", "triggers"])
@pytest.mark.parametrize("id_", ["x", "dlv_1", "trg_0000000000000001", "dlv_0000000000000001", "%00", "..%2f..%2fetc"])
def test_what_is_not_there_is_404(client: httpx.Client, what: str, id_: str) -> None:
    """Whatever stands in the place of an id."""
    assert client.get(f"{what}/{id_}").status_code == 404


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_reading_is_get_only(client: httpx.Client, path: str, method: str) -> None:
    """Nothing else is offered there."""
    assert client.request(method, path, json={}).status_code == 405


# --- explain and replay ----------------------------------------------------------------------------


def test_explain_tells_what_would_happen(client: httpx.Client, ids: dict[str, str]) -> None:
    """For a payload and for a stored delivery alike; nothing is stored."""
    before = client.get("deliveries").json()
    payload = json.loads(body(event="evt_imagined"))
    made = client.post("explain", json={"payload": payload}).json()
    assert made["state"] == "routed"
    assert made["triggers"][0]["call"]["dag_id"] == "refresh_sales_marts"
    assert [item["matches"] for item in made["routes"]] == [True, False]
    made = client.post("explain", json={"delivery_id": ids["bad"]}).json()
    assert (made["triggers"][0]["state"], made["triggers"][0]["reason"]) == ("failed", "template")
    assert client.get("deliveries").json() == before


@pytest.mark.parametrize("path", ["explain", "replay", "cancel"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"x",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"{}",
        b'{"payload": []}',
        b'{"payload": {}, "source": ["x"]}',
        b'{"payload": {}, "source": {}}',
        b'{"payload": {}, "source": null}',
        b'{"payload": {}, "source": "nobody"}',
        b'{"ids": "trg_1"}',
        b'{"ids": [1]}',
        b'{"ids": [], "filter": {}}',
        b'{"filter": []}',
        b'{"filter": {}}',
        b'{"filter": {"state": "odd"}}',
        b'{"filter": {"state": ["failed"]}}',
        b'{"filter": {"state": "failed", "event_id": "x"}}',
        b'{"filter": {"state": "unrouted", "route": "x"}}',
        b'{"filter": {"state": "failed", "limit": 1}}',
        b'{"filter": {"state": "failed", "since": 7}}',
        b'{"ids": [], "dryrun": true}',
        b'{"ids": [], "dry_run": "true"}',
        b'{"ids": [], "run_again": 1}',
        b'{"ids": [], "reason": {"a": 1}}',
        b'{"ids": [], "idempotency_key": 7}',
        b'{"ids": [], "idempotency_key": "\\ud800"}',
        b'{"ids": [], "reason": "\\u0000"}',
        b'{"filter": {"state": "failed", "route": "\\udfff"}}',
    ],
)
def test_an_order_that_cannot_be_read_does_nothing(client: httpx.Client, path: str, content: bytes) -> None:
    """400 with what to send; a misspelled `dry_run` replays nothing."""
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


@pytest.mark.parametrize("wrong", ["source", "event_id", "reason"])
@pytest.mark.parametrize("text", ["\\ud800", "\\u0000"])
def test_what_no_store_can_look_for_is_refused(client: httpx.Client, wrong: str, text: str) -> None:
    """JSON can spell half a surrogate pair; it is no error of the bridge."""
    order = dict.fromkeys(("source", "event_id", "reason"), "planasonix") | {wrong: "HERE"}
    content = json.dumps(order).replace("HERE", text)
    answer = client.post("erase", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


def test_a_body_without_end_is_refused(client: httpx.Client) -> None:
    """Two megabytes are enough for an order."""
    answer = client.post("explain", content=b" " * 2_100_000, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


def test_replay_shows_its_count_first(client: httpx.Client, bridge: BridgeProcess) -> None:
    """A dry run counts and changes nothing; then it is done, and the delivery is routed again."""
    id_ = bridge.send(body(event="evt_replayed", pipeline="pl_nowhere")).json()["delivery_id"]
    wait_for(lambda: client.get(f"deliveries/{id_}").json()["state"] == "unrouted", seconds=10, what="unrouted")
    received_at = client.get(f"deliveries/{id_}").json()["received_at"]
    order: dict[str, Any] = {"filter": {"state": "unrouted", "since": received_at}}
    counted = client.post("replay", json=order | {"dry_run": True}).json()
    assert (counted["count"], counted["replayed"], counted["expected"][:2]) == (1, {}, "1-")
    assert client.get(f"deliveries/{id_}").json()["state"] == "unrouted"
    answer = client.post("replay", json=order | {"reason": "mended"}).json()
    assert (answer["count"], answer["replayed"], answer["is_repeat"]) == (1, {"routed_again": 1}, False)
    assert answer["order"]["reason"] == "mended"
    wait_for(lambda: client.get(f"deliveries/{id_}").json()["state"] == "unrouted", seconds=10, what="routed again")
    assert client.post("replay", json={"ids": []}).json() == {"count": 0, "replayed": {}}


@pytest.mark.parametrize("id_", ["x", "", "trg_0000000000000001", "dlv_0000000000000001"])
@pytest.mark.parametrize("is_dry", [False, True])
def test_replaying_what_is_not_there_is_404(client: httpx.Client, id_: str, is_dry: bool) -> None:
    """And it says which one."""
    answer = client.post("replay", json={"ids": [id_], "dry_run": is_dry})
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_an_order_with_one_id_that_is_not_there_runs_nothing(client: httpx.Client, ids: dict[str, str]) -> None:
    """Every id is looked at before anything is done."""
    before = client.get("triggers").json()
    answer = client.post("replay", json={"ids": [ids["trigger"], "trg_0000000000000001"], "run_again": True})
    assert answer.status_code == 404
    assert "nothing was done" in answer.json()["detail"]
    assert [item["id"] for item in client.get("triggers").json()["triggers"]] == [
        item["id"] for item in before["triggers"]
    ]


def test_an_order_that_is_sent_twice_runs_once(client: httpx.Client, ids: dict[str, str]) -> None:
    """The same answer for the same key; another order under it is refused."""
    order = {"ids": [ids["trigger"]], "run_again": True, "idempotency_key": "again-1"}
    before = len(client.get("triggers").json()["triggers"])
    answers = [client.post("replay", json=order) for _ in range(2)]
    found = [item.json() for item in answers]
    assert [(item["count"], item["replayed"], item["is_repeat"]) for item in found] == [
        (1, {"new_run": 1}, False),
        (1, {"new_run": 1}, True),
    ]
    assert found[0]["order"] == found[1]["order"]
    assert len(client.get("triggers").json()["triggers"]) == before + 1
    refused = client.post("replay", json=order | {"run_again": False})
    assert (refused.status_code, "asks for something else" in refused.text) == (400, True)


def test_cancel_gives_up_what_waits(client: httpx.Client, bridge: BridgeProcess) -> None:
    """By id or by filter; it is never fired, and a second time there is nothing to cancel."""
    delivery_id = bridge.send(body(event="evt_cancelled")).json()["delivery_id"]
    wait_for(lambda: client.get(f"deliveries/{delivery_id}").json()["triggers"], seconds=10, what="a trigger")
    order: dict[str, Any] = {"filter": {"delivery_id": delivery_id}}
    counted = client.post("cancel", json=order | {"dry_run": True}).json()
    assert (counted["count"], counted["cancelled"], counted["expected"][:2]) == (1, {}, "1-")

    def is_cancelled() -> bool:  # "busy" while it is being fired; never in doubt: its Airflow was not reached
        return bool(client.post("cancel", json=order | {"reason": "not today"}).json()["cancelled"] == {"cancelled": 1})

    wait_for(is_cancelled, seconds=10, what="the trigger is cancelled")
    (found,) = client.get(f"deliveries/{delivery_id}").json()["triggers"]
    assert (found["state"], found["reason"]) == ("cancelled", "by_operator")
    assert client.post("cancel", json={"ids": [found["id"]]}).json()["cancelled"] == {"ended": 1}
    assert client.post("cancel", json={"ids": [delivery_id]}).status_code == 400
    assert client.post("cancel", json={"filter": {"state": "fired"}}).status_code == 400


def test_orders_can_be_watched_and_stopped(client: httpx.Client, ids: dict[str, str]) -> None:
    """What ended stays as it is when it is stopped."""
    client.post("replay", json={"ids": [ids["unrouted"]], "reason": "watched"})
    (newest,) = client.get("orders?limit=1").json()["orders"]
    assert (newest["action"], newest["state"], newest["done"], newest["reason"]) == ("replay", "done", 1, "watched")
    assert client.get(f"orders/{newest['id']}").json() == newest
    assert client.post(f"orders/{newest['id']}/stop", json={}).json() == newest
    older = client.get("orders", params={"after": newest["id"]}).json()["orders"]
    assert newest["id"] not in [item["id"] for item in older]
    for id_ in ("x", "ord_0000000000000001", ids["trigger"]):
        assert client.get(f"orders/{id_}").status_code == 404
        assert client.post(f"orders/{id_}/stop", json={}).status_code == 404
    assert client.get("orders?state=done").status_code == 400


def test_a_pause_holds_what_waits_until_it_is_resumed(client: httpx.Client, bridge: BridgeProcess) -> None:
    """It is in the status; a trigger of the route says who paused it; resumed, it waits for Airflow as before."""
    asked = {"kind": "route", "name": "refresh_sales_marts", "for": "2h", "reason": "a move"}
    paused = client.post("pause", json=asked).json()["paused"]
    assert (paused["kind"], paused["name"], paused["actor"], paused["reason"]) == (
        "route",
        "refresh_sales_marts",
        "token:admin",
        "a move",
    )
    assert client.get("status").json()["paused"] == [paused]
    delivery_id = bridge.send(body(event="evt_paused")).json()["delivery_id"]

    def trigger() -> dict[str, Any]:
        return next(iter(client.get(f"deliveries/{delivery_id}").json()["triggers"]), {})

    wait_for(lambda: trigger().get("reason") is not None, seconds=10, what="it is held")
    assert client.post("resume", json={"kind": "route", "name": "refresh_sales_marts"}).json() == {
        "resumed": {"kind": "route", "name": "refresh_sales_marts"}
    }
    assert client.get("status").json()["paused"] == []
    assert client.post("resume", json={"kind": "route", "name": "refresh_sales_marts"}).status_code == 404
    wait_for(lambda: trigger()["reason"] == "airflow_down", seconds=10, what="it waits for Airflow again")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "a kind is one of route, source, airflow"),
        ({"kind": "dag", "name": "x"}, "a kind is one of route, source, airflow"),
        ({"kind": "route", "name": 7}, "name must be text"),
        ({"kind": "route", "name": "refresh_sales_mart"}, 'did you mean "refresh_sales_marts"'),
        ({"kind": "route", "name": "refresh_sales_marts", "for": "2"}, "is not a duration"),
        ({"kind": "route", "name": "refresh_sales_marts", "for": "0s"}, "for must be a duration"),
        ({"kind": "route", "name": "refresh_sales_marts", "for": -1}, "for must be a duration"),
        ({"kind": "route", "name": "refresh_sales_marts", "for": True}, "for must be a duration"),
        ({"kind": "route", "name": "refresh_sales_marts", "for": 1e300}, "for must be a duration"),
        ({"kind": "route", "name": "refresh_sales_marts", "until": "x"}, "unknown: until"),
        ({"kind": "route", "name": "refresh_sales_marts", "reason": ""}, "reason must be text"),
    ],
)
def test_a_pause_that_cannot_be_read_is_refused(client: httpx.Client, asked: dict[str, Any], said: str) -> None:
    """400, and nothing is paused."""
    answer = client.post("pause", json=asked)
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    assert client.get("status").json()["paused"] == []


def test_nothing_of_all_this_is_an_error_of_the_bridge(client: httpx.Client, bridge: BridgeProcess) -> None:
    """No traceback in the log, whatever was sent."""
    client.get("deliveries?limit=x")
    assert "Traceback" not in bridge.log
