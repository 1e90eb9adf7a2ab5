"""Deliveries, triggers and orders as pages: what came is found and told, to each role what it may see and do."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from bridge.web.pages.asking import Asked
from bridge.web.pages.drawing import Drawing
from bridge.words.roles import SIGN_INS, Caller, Role
from tests.support.service import BridgeProcess, body, wait_for
from tests.web.browsing import Person, text_of

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
CANARY = "canary-of-a-payload"
HOSTILE = "</pre><script>alert(1)</script>{{ 7 * 7 }}\"'&"


@pytest.fixture(scope="module")
def people(bridge: BridgeProcess) -> Iterator[dict[Role, Person]]:
    """Somebody of every role."""
    made = {role: Person(bridge.admin_port, role) for role in SIGN_INS}
    yield made
    for item in made.values():
        item.close()


@pytest.fixture(scope="module")
def stored(bridge: BridgeProcess) -> dict[str, str]:
    """One that waits for its Airflow, one whose template failed, one that no route wants, all with hostile words."""
    sent = {
        "good": body(event="evt_good", job="job_77", secret=CANARY),
        "bad": body(event="evt_bad", pipeline="pl_bad", secret=CANARY),
        "none": body(event="evt_none", job="ord_daily", pipeline="pl_none", words=HOSTILE),
    }
    ids = {name: bridge.send(each).json()["delivery_id"] for name, each in sent.items()}
    wait_for(lambda: bridge.api(f"deliveries/{ids['good']}")["triggers"], seconds=10, what="a trigger")
    wait_for(lambda: bridge.api("triggers", state="failed")["triggers"], seconds=10, what="a failed trigger")
    wait_for(lambda: bridge.api("deliveries", state="unrouted")["deliveries"], seconds=10, what="an unrouted one")
    (good,) = bridge.api(f"deliveries/{ids['good']}")["triggers"]
    ids |= {"trigger": good["id"], "dag_run": good["dag_run_id"]}
    ids["failed"] = bridge.api(f"deliveries/{ids['bad']}")["triggers"][0]["id"]
    return ids


def test_the_list_has_the_newest_first_and_says_what_it_shows(
    people: dict[Role, Person], stored: dict[str, str]
) -> None:
    """Its filters stand in the address; the title has the number and the state."""
    page = people[Role.VIEWER].look("/deliveries")
    assert page.index(stored["none"]) < page.index(stored["bad"]) < page.index(stored["good"])
    unrouted = people[Role.VIEWER].look("/deliveries", state="unrouted")
    assert "<title>1 unrouted - Deliveries" in unrouted
    assert stored["none"] in unrouted
    assert stored["good"] not in unrouted
    failed = people[Role.VIEWER].look("/deliveries", state="failed")
    assert stored["failed"] in failed
    assert stored["trigger"] not in failed


@pytest.mark.parametrize(
    "query",
    [
        {"pipeline_id": "pl_bad"},
        {"job_id": "job_evt_bad"},
        {"pipeline_id": "pl_bad", "status": "succeeded"},
        {"pipeline_id": "pl_bad", "state": "routed", "status": "succeeded"},
        {"since": "1h", "reason": "x"},
        {"status": "failed"},
        {"status": "failed", "state": "failed"},
    ],
)
def test_filters_are_those_of_the_api(
    people: dict[Role, Person], stored: dict[str, str], query: dict[str, str]
) -> None:
    """Pipeline, job, status, time as people write it; nothing that matches is said with the filter, and a way out."""
    page = people[Role.VIEWER].look("/deliveries", **query)
    assert stored["good"] not in page
    if "reason" in query or query.get("status") == "failed":
        assert "Nothing matches" in text_of(page)
        assert 'href="/deliveries">Show all' in page
    else:
        assert stored["bad"] in page


def test_a_reason_that_only_triggers_have_lists_triggers(people: dict[Role, Person], stored: dict[str, str]) -> None:
    """Deliveries never have it, so a list of those would be empty whatever there is; one that both have says so."""
    viewer = people[Role.VIEWER]
    page = viewer.look("/deliveries", reason="template")
    assert f'href="/triggers/{stored["failed"]}"' in page
    assert f'href="/triggers/{stored["trigger"]}"' not in page
    assert stored["none"] in viewer.look("/deliveries", reason="no_route")
    both = viewer.look("/deliveries", reason="paused_by_person")
    assert 'href="/deliveries?reason=paused_by_person&amp;state=held"' in both
    assert "Triggers can have" not in viewer.look("/deliveries", reason="no_route")


def test_a_page_of_a_list_leads_to_the_older_ones(people: dict[Role, Person], stored: dict[str, str]) -> None:
    """By a link that keeps the filter; and back to the newest."""
    page = people[Role.VIEWER].look("/deliveries", limit="1", source="planasonix")
    assert stored["none"] in page
    older = re.search(r'href="(/deliveries\?[^"]*after=[^"]*)" rel="next"', page)
    assert older is not None
    following = people[Role.VIEWER].look(older[1].replace("&amp;", "&"))
    assert stored["bad"] in following
    assert f'"/deliveries/{stored["none"]}"' not in following
    assert ">Newest</a>" in following


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("state=x", "no such state"),
        ("since=x", "is no instant"),
        ("since=2h..3h", "ends before it begins"),
        ("since=1h&until=2h", "ends before it begins"),
        ("since=3h..2h&until=1h", "the range of since has an end"),
        ("since=%00", "is no instant"),
        ("since=02:40&zone=Berlin", '"Berlin" is not a time zone'),
        ("zone=../../etc/passwd", "is not a time zone"),
        ("limit=0", "limit must be"),
        ("stat=failed", "unknown: stat"),
        ("state=failed&event_id=evt_bad", "triggers cannot be filtered by event_id: leave that out"),
        ("state=unrouted&route=bad_template", "no such state of triggers: unrouted"),
    ],
)
def test_a_filter_that_cannot_be_read_is_said(people: dict[Role, Person], query: str, says: str) -> None:
    """As a page, with 400; never is a part of it left out."""
    answer = people[Role.VIEWER].client.get(f"/deliveries?{query}")
    assert answer.status_code == 400
    assert "That cannot be done" in answer.text
    assert says in text_of(answer.text)


@pytest.mark.parametrize("page", ["/refusals", "/audit"])
def test_a_misspelled_filter_is_said_on_every_list(people: dict[Role, Person], page: str) -> None:
    """What is shown would else be taken for all that matches."""
    assert people[Role.ADMIN].client.get(f"{page}?sinc=1h").status_code == 400
    assert people[Role.ADMIN].client.get(f"{page}?since=1h").status_code == 200


@pytest.mark.parametrize("page", ["/deliveries", "/refusals", "/audit"])
def test_a_time_has_its_zone_beside_it(people: dict[Role, Person], page: str) -> None:
    """Also while something stands in the field: everywhere else on the page times are those of the reader's zone."""
    text = people[Role.ADMIN].text(page, since="02:40", until="1s")
    assert "Since (UTC)" in text
    assert "Until (UTC)" in text


@pytest.mark.parametrize("page", ["/deliveries", "/refusals", "/audit"])
def test_a_time_may_have_a_zone_beside_it(people: dict[Role, Person], page: str) -> None:
    """Then it stands for that zone on every list, as does the next "Show"."""
    query = {"zone": "Pacific/Kiritimati", "since": "2020-01-02T00:00..2020-01-02T01:00"}
    text = people[Role.ADMIN].look(page, **query)
    assert "Since (Pacific/Kiritimati)" in text_of(text)
    assert 'name="zone" value="Pacific/Kiritimati"' in text


@pytest.mark.parametrize(("zone", "is_there"), [("Pacific/Kiritimati", False), ("Etc/GMT+12", True)])
def test_a_time_without_a_zone_is_in_the_zone_of_the_form(
    people: dict[Role, Person], stored: dict[str, str], zone: str, is_there: bool
) -> None:
    """An hour from now in the last zone on earth is yesterday in the first: that leaves out what came just now."""
    until = (datetime.now(ZoneInfo("Etc/GMT+12")) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
    page = people[Role.VIEWER].look("/deliveries", until=until, zone=zone)
    assert (stored["bad"] in page) is is_there


def test_a_source_with_a_state_of_triggers_is_not_dropped(people: dict[Role, Person], stored: dict[str, str]) -> None:
    """Both stand in one form, and both count."""
    assert stored["failed"] in people[Role.VIEWER].look("/deliveries", source="planasonix", state="failed")
    other = people[Role.VIEWER].look("/deliveries", source="another", state="failed")
    assert stored["failed"] not in other
    assert "Nothing matches" in text_of(other)


def test_a_filter_that_a_link_has_is_kept_by_the_form(people: dict[Role, Person], stored: dict[str, str]) -> None:
    """So that the next "Show" means no more than this page, and so that each can be taken out."""
    query = {"state": "failed", "airflow": "default", "delivery_id": stored["bad"], "is_latest": "true"}
    page = people[Role.VIEWER].look("/deliveries", **query)
    assert stored["failed"] in page
    assert 'name="airflow" value="default"' in page
    assert f'name="delivery_id" value="{stored["bad"]}"' in page
    assert re.search(r'(?s)name="is_latest">.*<option selected>true</option>', page)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("evt_bad", "bad"),
        ("job_77", "good"),
        ("pl_none", "none"),
        ("ord_daily", "none"),  # begins as an order of the bridge does, and is a job's
        ("{good}", "good"),
        (" {bad} ", "bad"),
        ("{dag_run}", "good"),
    ],
)
def test_one_field_finds_any_id(people: dict[Role, Person], stored: dict[str, str], text: str, place: str) -> None:
    """Event, job, pipeline, delivery, DAG run: it leads to the one that has it."""
    answer = people[Role.VIEWER].client.get("/deliveries", params={"find": text.format(**stored)})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/deliveries/{stored[place]}")


def test_what_nothing_has_is_not_found(people: dict[Role, Person]) -> None:
    """With 404, and the words escaped."""
    for text in ("nothing", HOSTILE, "trg_x", "dlv_" + "f" * 16):
        answer = people[Role.VIEWER].client.get("/deliveries", params={"find": text}, follow_redirects=True)
        assert answer.status_code == 404
        assert "<script>alert" not in answer.text
    assert "the newest 20,000 each were looked at" in people[Role.VIEWER].client.get("/deliveries?find=nothing").text


def test_the_way_of_a_delivery_is_told(people: dict[Role, Person], stored: dict[str, str]) -> None:
    """Received, verified with which key, what was asked for, what failed and the next step, and why each route."""
    text = people[Role.OPERATOR].text(f"/deliveries/{stored['bad']}")
    for told in ("verified with the key current", "bad_template starts open_incident", "failed", "Next step:"):
        assert told in text
    assert 'pipeline: event has "pl_bad", route wants "pl_8f2a9c1d4e"' in text
    assert CANARY in text


def test_the_routing_says_the_seconds_since_the_webhook(people: dict[Role, Person], stored: dict[str, str]) -> None:
    """The trigger that failed at once, too."""
    text = people[Role.VIEWER].text(f"/deliveries/{stored['bad']}")
    assert re.search(r"[0-9] m?s later, .* routed", text)
    assert re.search(r"[0-9] m?s later, .* failed", text.partition(" routed ")[2])


ATTEMPT = {"reason": None, "detail": None, "http_status": 200}
WAY = {
    "id": "trg_1",
    "delivery_id": "dlv_1",
    "route": "orders",
    "airflow": "default",
    "dag_id": "load_orders",
    "dag_run_id": "planasonix__job_1",
    "state": "fired",
    "created_at": "2020-03-27T02:40:00.000Z",
    "attempt_log": [
        ATTEMPT | {"number": 1, "started_at": "2020-03-27T02:40:01.500Z", "seconds": 0.5, "outcome": "later"},
        ATTEMPT | {"number": 2, "started_at": "2020-03-27T02:45:02.000Z", "seconds": 0.25, "outcome": "started"},
    ],
    "run_state": "success",
    "run_started_at": "2020-03-27T02:45:05.250Z",
    "run_ended_at": "2020-03-27T04:00:00.000Z",
    "run_url": None,
    "reason": None,
    "dag": None,
    "next_step": None,
    "waits_for_dag": False,
    "dag_next_step": None,
    "also_started_by": [],
    "chain": [],
    "withheld": "values",
}
TRIES = ["1.5 s later, then, took 500 ms", "5 min later, then, took 250 ms"]


@pytest.mark.parametrize(
    ("more", "last"),
    [
        ({}, ["3.0 s later, then, took 74 min"]),
        ({"run_started_at": None}, ["74 min later, then"]),
        ({"run_started_at": "2020-03-27T02:45:02.000Z"}, ["then, took 74 min"]),
        ({"run_started_at": None, "run_ended_at": None, "run_state": "queued"}, []),
        ({"state": "failed", "reason": None, "settled_at": "2020-03-27T02:45:03.250Z"}, ["1.0 s later, then"]),
    ],
)
def test_the_way_says_the_seconds_between(more: dict[str, str | None], last: list[str]) -> None:
    """From the end of each step to the beginning of the next; not where Airflow's clock is behind."""
    viewer = Asked(Caller("token:viewer", Role.VIEWER), None, False, "/triggers/trg_1", {}, {}, {})
    page = bytes(Drawing(framed_by=None).page("trigger.html", viewer, trigger=WAY | more).body).decode()
    steps = re.findall(r'<span class="after">(.*?)</span>', page, re.DOTALL)
    found = [" ".join(re.sub("<time.*?</time>", "then", each, flags=re.DOTALL).split()) for each in steps]
    assert found == TRIES + last


@pytest.mark.parametrize("state", ["queued", "running"])
@pytest.mark.parametrize(
    ("reason", "step", "dag_step", "said"),
    [
        (None, None, None, []),
        (None, None, "Put it back.", ["Put it back."]),
        ("dag_paused", "Unpause it.", None, []),
        ("dag_paused", "Unpause it.", "Unpause it.", ["Unpause it."]),
        ("dag_paused", "Unpause it.", "Put it back.", ["Put it back."]),
    ],
)
def test_a_run_that_its_dag_stops_has_the_next_step(
    state: str, reason: str | None, step: str | None, dag_step: str | None, said: list[str]
) -> None:
    """Once, and that of what its DAG is now; queued as running."""
    viewer = Asked(Caller("token:viewer", Role.VIEWER), None, False, "/triggers/trg_1", {}, {}, {})
    dag = {"state": "stale", "since": "2020-03-27T02:45:00.000Z"}
    run = {"run_state": state, "run_ended_at": None, "dag": dag, "waits_for_dag": bool(dag_step)}
    why = {"reason": reason, "why": "It is paused.", "detail": None, "next_step": step, "dag_next_step": dag_step}
    page = bytes(Drawing(framed_by=None).page("trigger.html", viewer, trigger=WAY | run | why).body).decode()
    assert re.findall("<strong>Next step:</strong> (.*?)</p>", page) == said


def test_a_delivery_says_whose_it_is_and_why_routes_match(people: dict[Role, Person], stored: dict[str, str]) -> None:
    """Its pipeline leads to what else there is of it; a route that matches says by what, others what does not fit."""
    page = people[Role.OPERATOR].look(f"/deliveries/{stored['bad']}")
    assert 'href="/deliveries?pipeline_id=pl_bad"' in page
    assert "Job job_" in text_of(page)
    text = text_of(page)
    assert 'bad_template yes pipeline: "pl_bad"; on: "succeeded"' in text


def test_each_trigger_of_a_delivery_has_its_conf(people: dict[Role, Person], stored: dict[str, str]) -> None:
    """Closed, until somebody opens it; not for a viewer, and none where there is none."""
    path = f"/deliveries/{stored['good']}"
    (conf,) = re.findall("(?s)<details><summary>What is sent to Airflow.*?</details>", people[Role.OPERATOR].look(path))
    assert stored["trigger"] in conf
    assert 'data-copy="" tabindex="0" aria-label="conf of refresh_sales_marts"' in conf
    assert "What is sent to Airflow" not in people[Role.VIEWER].look(path)
    assert "What is sent to Airflow" not in people[Role.OPERATOR].look(f"/deliveries/{stored['bad']}")


def test_long_confs_do_not_make_the_page_of_a_delivery_heavy() -> None:
    """As many as fit stand on it, the others on the pages of their triggers; one that no key opens is said."""
    at = "2020-03-27T02:40:00.000Z"
    triggers = [
        WAY | {"id": "trg_1", "locked": None, "conf": {"text": "long" * 4000}},
        WAY | {"id": "trg_2", "locked": None, "conf": {"text": "more" * 4000}},
        WAY | {"id": "trg_3", "locked": None, "conf": {"text": "short"}},
        WAY | {"id": "trg_4", "locked": "no key has the id k1", "conf": None},
    ]
    nothing = dict.fromkeys(
        ("reason", "signed_at", "caused_by", "erased_at", "locked", "lookups", "plan", "plan_problem")
    )
    delivery = nothing | {
        "id": "dlv_1",
        "state": "routed",
        "event_id": "evt_1",
        "source": "planasonix",
        "via": "webhook",
    }
    delivery |= {"received_at": at, "key_id": "current", "triggers": [{"created_at": at}], "withheld": "values"}
    operator = Asked(Caller("token:operator", Role.OPERATOR), None, False, "/deliveries/dlv_1", {}, {}, {})
    facts = nothing | {"delivery": delivery, "triggers": triggers, "listed": None, "others": [], "copies": []}
    page = bytes(Drawing(framed_by=None).page("delivery.html", operator, **facts).body).decode()
    assert [word in page for word in ("longlong", "moremore", "short&#34;")] == [True, False, True]
    assert 'Its conf is long: <a href="/triggers/trg_2">' in page
    assert "The conf cannot be decrypted: no key has the id k1" in page


def test_each_trigger_of_a_delivery_has_its_buttons(people: dict[Role, Person], stored: dict[str, str]) -> None:
    """What can be done in its state, by the name of its route; a delivery without triggers has none."""
    text = people[Role.OPERATOR].text(f"/deliveries/{stored['bad']}")
    for label in ("Replay this delivery", "Replay this trigger", "Start a new DAG run", "Cancel this trigger"):
        assert label in text
    assert "Cancel this trigger of bad_template" in text
    assert "Start a new DAG run" not in people[Role.OPERATOR].text(f"/deliveries/{stored['good']}")
    assert "this trigger" not in people[Role.OPERATOR].text(f"/deliveries/{stored['none']}")


def test_values_of_a_body_are_text_and_nothing_else(people: dict[Role, Person], stored: dict[str, str]) -> None:
    """Whoever has the secret may write what he likes into a body."""
    page = people[Role.OPERATOR].look(f"/deliveries/{stored['none']}")
    assert "<script>alert" not in page
    assert "{{ 7 * 7 }}" in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_viewer_sees_no_value_and_no_button(people: dict[Role, Person], stored: dict[str, str]) -> None:
    """Neither on a delivery nor on a trigger nor in a list."""
    for path in (
        f"/deliveries/{stored['bad']}",
        f"/triggers/{stored['failed']}",
        "/deliveries",
        "/deliveries?state=failed",
    ):
        page = people[Role.VIEWER].look(path)
        assert CANARY not in page
        assert 'action="/orders"' not in page
        assert "business_date" not in page  # a detail quotes the template
    assert CANARY in people[Role.OPERATOR].look(f"/triggers/{stored['trigger']}")


def order_of(answer: httpx.Response) -> str:
    """Return the id of the order that an answer leads to."""
    assert answer.status_code == 303, text_of(answer.text)
    return answer.headers["location"].partition("?")[0].rpartition("/")[2]


def test_a_button_replays_and_leads_to_what_became_of_it(
    people: dict[Role, Person], stored: dict[str, str], bridge: BridgeProcess
) -> None:
    """The same order as by the API; sent twice it is placed once."""
    fields = {"action": "replay", "ids": stored["none"], "key": "once", "back": f"/deliveries/{stored['none']}"}
    first, second = (people[Role.OPERATOR].send("/orders", **fields) for _ in range(2))
    assert order_of(first) == order_of(second)
    wait_for(lambda: bridge.api(f"orders/{order_of(first)}")["state"] == "done", seconds=30, what="the order done")
    page = people[Role.OPERATOR].look(first.headers["location"])
    assert "1 of 1 done" in text_of(page)
    assert f'href="/deliveries/{stored["none"]}"' in page
    assert bridge.api(f"orders/{order_of(first)}")["actor"] == "token:operator"
    assert order_of(first) in people[Role.VIEWER].look("/orders")


def test_what_is_big_is_counted_and_explained_before_it_is_done(
    people: dict[Role, Person], stored: dict[str, str]
) -> None:
    """The button says how many; the confirmed filter is what is done."""
    query = {"action": "cancel", "state": "failed", "route": "bad_template"}
    page = people[Role.OPERATOR].look("/orders/new", **query)
    assert "Cancel 1 trigger?" in text_of(page)
    assert "None of them will start its DAG run" in text_of(page)
    assert people[Role.VIEWER].client.get("/orders/new", params=query).status_code == 403


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "erase", "ids": "x"},
        {"ids": "{failed}"},
        {"action": "cancel", "state": "fired"},
        {"action": "replay"},
        {"action": "replay", "ids": "nothing"},
        {"action": "replay", "state": "failed", "unknown": "x"},
    ],
)
def test_an_order_that_cannot_be_done_is_said(
    people: dict[Role, Person], stored: dict[str, str], fields: dict[str, str]
) -> None:
    """Nothing is done then."""
    answer = people[Role.OPERATOR].send("/orders", **{name: value.format(**stored) for name, value in fields.items()})
    assert answer.status_code in (400, 404)


def test_a_viewer_orders_nothing(people: dict[Role, Person], stored: dict[str, str]) -> None:
    """Even with the form of somebody else."""
    answer = people[Role.VIEWER].send("/orders", action="cancel", ids=stored["failed"])
    assert answer.status_code == 403


def test_the_overview_says_first_what_needs_somebody(
    people: dict[Role, Person], stored: dict[str, str], bridge: BridgeProcess
) -> None:
    """What, how many and the next step; then where everything stands, and the last day in numbers and as charts."""
    viewer = people[Role.VIEWER]
    page = viewer.look("/")
    text = text_of(page)
    assert "A template of the route's conf" in text
    assert text.index("Go there") < text.index("Waiting now") < text.index("The last 24 hours")
    assert page.count("<svg") == 4
    assert "2 routes in use" in text
    assert "none of the last 1,000 refusals" in text  # more is not known: older ones may have been pushed out
    hours = bridge.api("history")["hours"]
    assert len(hours) == 24
    assert sum(hour["accepted"] for hour in hours) >= 3
