"""Attention, routes, try, refusals and audit as pages: what they show, and what a form of them does."""

import html
import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.status import print_status
from bridge.edges.inbox import Inbox, loaded
from bridge.rules.samples import SHAPES
from bridge.rules.signature import PRESETS, Key, sign
from bridge.web.pages.asking import Asked
from bridge.web.pages.drawing import Drawing, place_of_need
from bridge.words.replicas import LoadedMapping
from bridge.words.roles import SIGN_INS, Caller, Role
from tests.support.service import BridgeProcess, body, signed, wait_for
from tests.web.browsing import Person, fields_of, text_of
from tests.web.conftest import TOKENS

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
HOSTILE = "</pre></textarea><script>alert(1)</script>"
BODY = {"type": "job.succeeded", "data": {"id": "job_1", "status": "succeeded", "pipeline_id": "pl_8f2a9c1d4e"}}


@pytest.fixture(scope="module")
def people(bridge: BridgeProcess) -> Iterator[dict[Role, Person]]:
    """Somebody of every role; three webhooks whose template fails, one copy, one that is not signed."""
    for number in range(3):
        bridge.send(body(event=f"evt_{number}", pipeline="pl_bad"))
    bridge.send(body(event="evt_0", pipeline="pl_bad"))
    wait_for(lambda: len(bridge.api("triggers", state="failed")["triggers"]) == 3, seconds=10, what="failures")
    made = {role: Person(bridge.admin_port, role) for role in SIGN_INS}
    made[Role.ADMIN].client.post(f"http://127.0.0.1:{bridge.port}/hooks/planasonix", json={})
    yield made
    for item in made.values():
        item.close()


def test_failures_of_one_cause_are_one_line_that_is_acted_on(people: dict[Role, Person], bridge: BridgeProcess) -> None:
    """With the next step; the buttons say how many, lead to the question, and that to the order; only for who may."""
    text = people[Role.OPERATOR].text("/attention")
    assert "3 failed of open_incident" in text
    assert "Next step:" in text
    assert "Replay 3" in text
    assert "Replay 3" not in people[Role.VIEWER].text("/attention")
    page = people[Role.OPERATOR].look("/attention")
    link = page.partition('href="/orders/new?action=cancel')[2].partition('"')[0].replace("&amp;", "&")
    asked = people[Role.OPERATOR].look("/orders/new?action=cancel" + link)
    assert "Cancel 3 triggers?" in text_of(asked)
    answer = people[Role.OPERATOR].send("/orders", **fields_of(asked) | {"why": "no incident", "key": "cancel"})
    assert answer.status_code == 303
    place = answer.headers["location"]
    wait_for(lambda: "3 of 3 done" in people[Role.OPERATOR].text(place), seconds=10, what="the order's end")
    assert "no incident" in people[Role.OPERATOR].text(place)
    assert len(bridge.api("triggers", state="cancelled")["triggers"]) == 3


AGAIN = "Each is tried again under the DAG run id that it has, so nothing runs twice."
NEW_RUN = "Each gets one more DAG run; those that ran before stay as they are."
ROUTED = "Their deliveries go through today's mapping once more. What else failed of these deliveries is tried too, and"


@pytest.mark.parametrize(
    ("action", "chosen", "says"),
    [
        ("replay", {"reason": "template"}, (ROUTED,)),
        ("replay", {"reason": "condition"}, (ROUTED,)),
        ("replay", {"reason": "conf_refused"}, (ROUTED,)),
        ("replay", {"reason": "conf_too_large"}, (ROUTED,)),
        ("replay", {"reason": "dag_not_found", "state": "held"}, (ROUTED,)),
        ("replay", {"reason": "attempts_used_up"}, (AGAIN,)),
        ("replay", {}, (AGAIN, ROUTED)),
        ("run_again", {"reason": "template"}, (ROUTED,)),
        ("run_again", {"reason": "conf_refused"}, (NEW_RUN,)),
        ("run_again", {"run_state": "failed", "state": "fired"}, (NEW_RUN,)),
        ("cancel", {"reason": "template"}, ()),
    ],
)
def test_the_question_says_what_will_be_done_with_this_cause(
    people: dict[Role, Person], action: str, chosen: dict[str, str], says: tuple[str, ...]
) -> None:
    """What has no call yet, or would fail with the same again, has its whole delivery routed once more."""
    text = people[Role.OPERATOR].text("/orders/new", **{"action": action, "state": "failed"} | chosen)
    assert tuple(each for each in (AGAIN, NEW_RUN, ROUTED) if each in text) == says


def test_what_deliveries_need_is_on_the_page_of_what_stands_still(
    people: dict[Role, Person], bridge: BridgeProcess
) -> None:
    """With the list of them and the next step: the overview and this page never disagree whether a person is needed."""
    bridge.send(b'{"type":"job.finished","data":{"id":"j1","pipeline_id":"pl_x","status":"OK"}}')
    bridge.send(body(event="evt_invalid", pipeline="two words"))
    wait_for(
        lambda: len(bridge.api("deliveries", event_id="evt_invalid", state="invalid")["deliveries"]) == 1,
        seconds=10,
        what="routing",
    )
    page = people[Role.VIEWER].look("/attention")
    assert "deliveries of source planasonix start nothing" in text_of(page).lower()
    assert "Nothing stands still" not in text_of(page)
    for chosen in (
        "state=invalid&amp;source=planasonix",
        "state=ignored&amp;source=planasonix&amp;reason=status_unknown",
    ):
        assert f'href="/deliveries?{chosen}' in page
        assert f'href="/deliveries?{chosen}' in people[Role.VIEWER].look("/")


def test_what_has_no_line_of_its_own_is_said() -> None:
    """How many smaller causes there are, and where the newest alone are counted; neither where nothing is left out."""
    viewer = Asked(Caller("token:viewer", Role.VIEWER), None, False, "/attention", {}, {}, {})
    at = "2026-03-27T02:40:00.000Z"
    group = {"state": "failed", "run_state": None, "reason": "template", "why": "w", "next_step": "n", "route": "r"}
    group |= {"dag_id": "d", "airflow": "a", "count": 5, "oldest": at, "newest": at, "example": "trg_1", "list": "/"}

    def text(left_out: int, *, is_whole: bool) -> str:
        facts = {"groups": [group], "needs": [], "total": 17, "left_out": left_out, "is_whole": is_whole}
        return text_of(bytes(Drawing(framed_by=None).page("attention.html", viewer, **facts).body).decode())

    assert "17 stand still, for 13 causes" in text(12, is_whole=True)
    assert "Shown are the 1 largest; 12 smaller causes have no line of their own." in text(12, is_whole=True)
    assert "only the newest 20 000 are" not in text(12, is_whole=True)
    assert "only the newest 20 000 are" in text(0, is_whole=False)
    assert "smaller" not in text(0, is_whole=False)


def test_the_mapping_in_use_is_shown_with_each_route(people: dict[Role, Person]) -> None:
    """What it starts, when, and where it stands in which file."""
    text = people[Role.VIEWER].text("/routes")
    assert "2 routes" in text
    assert "pipeline: pl_bad" in text
    assert "mapping.yaml:4" in text
    assert "3 failed last" in text or "3 others last" in text  # they may have been cancelled by now
    assert "1 route has matched nothing that is stored: refresh_sales_marts" in text
    assert "Pause it" not in text


def test_the_api_has_what_the_page_shows_of_a_route(people: dict[Role, Person], bridge: BridgeProcess) -> None:
    """Its counts of a day, when it last started something, and that it has matched nothing that is stored."""

    seen: list[tuple[str, list[dict[str, Any]]]] = []

    def is_of_one_count() -> bool:
        before = bridge.api("routes")["routes"]
        seen.append((people[Role.VIEWER].look("/routes"), before))
        return bool(before == bridge.api("routes")["routes"])  # else the hour was counted anew meanwhile

    wait_for(is_of_one_count, seconds=30, what="the page and the API at one count")
    page, (idle, busy) = seen[-1]
    rows = {name: text_of(page).partition(f"{name} ")[2] for name in (idle["name"], busy["name"])}
    counted = {word: busy[word] for word in ("fired", "failed", "others")}
    assert sum(counted.values()) == 3
    for word, amount in counted.items():
        assert (f"{amount} {word}" in rows[busy["name"]]) is bool(amount)
    assert f'datetime="{busy["last_at"]}"' in page
    assert (busy["has_none"], idle["has_none"], idle["last_at"]) == (False, True, None)
    assert f"matched nothing that is stored: {idle['name']}" in text_of(page)


def test_where_nothing_came_the_list_says_what_was_refused(people: dict[Role, Person], bridge: BridgeProcess) -> None:
    """A webhook that was signed with another secret names no pipeline that anybody believes: the time leads to it."""
    payload = body(event="evt_forged", pipeline="pl_forged")
    headers = sign(PRESETS["planasonix"], Key("k", b"whsec_of_somebody_else_0000000"), payload, int(time.time()))
    url = f"http://127.0.0.1:{bridge.port}/hooks/planasonix"
    people[Role.ADMIN].client.post(url, content=payload, headers=headers | {"Content-Type": "application/json"})
    wait_for(
        lambda: bool(bridge.api("refusals", reason="signature_mismatch")["refusals"]), seconds=10, what="the refusal"
    )
    for query in ("pipeline_id=pl_forged", "job_id=pl_forged&since=1h", "run_id=pl_forged&until=2100-01-01"):
        page = people[Role.OPERATOR].look(f"/deliveries?{query}")
        text = text_of(page)
        assert "Nothing matches" in text
        assert "signature_mismatch" in text
        assert "Source planasonix: last webhook" in text
        assert "Requests were refused at that time" in text
        place = re.search(r'href="(/refusals\?kind=refused&amp;since=[^"]+)"', page)
        assert place is not None
        assert "signature_mismatch" in people[Role.OPERATOR].text(html.unescape(place[1]))
    for query in ("pipeline_id=pl_forged&status=failed", "pipeline_id=dlv_0000000000000000", "pipeline_id=pl_bad"):
        assert "Requests were refused" not in people[Role.OPERATOR].text(f"/deliveries?{query}")
    assert "signature_mismatch" not in people[Role.VIEWER].text("/deliveries?pipeline_id=pl_forged")
    before = people[Role.OPERATOR].text("/deliveries?pipeline_id=pl_bad&until=2020-01-02T03:00:00Z")
    assert "It came at another time: dlv_" in before
    assert "Requests were refused" not in before


def test_the_routes_page_says_which_replica_has_which_mapping(
    people: dict[Role, Person], bridge: BridgeProcess
) -> None:
    """Each file with its instant and digest, each replica with what it uses.

    One that is behind stands out once a change has had its time: a row of the store is some seconds old, and a
    ConfigMap takes a minute to reach every pod.
    """
    now = datetime.now(UTC)
    behind = LoadedMapping("beh1nd", "pod-behind", "0123456789ab", now - timedelta(days=2))
    fresh = replace(behind, loaded_at=now)  # however long this bridge has run
    mark = 'class="state is-failed">another mapping than this page shows<'
    page = people[Role.VIEWER]
    wait_for(lambda: len(bridge.api("replicas")["replicas"]) == 1, seconds=10, what="the replica itself")
    (own,) = bridge.api("status")["replicas"]
    assert own["mapping"] == bridge.api("status")["mapping"]["digest"]
    long = LoadedMapping("l0ng", "pod-long", own["mapping"], now - timedelta(minutes=6))
    with closing(Inbox(f"sqlite:///{bridge.folder / 'bridge.db'}")) as inbox:
        inbox.write(loaded.say, [fresh], gone=(), now=now, seconds=600)
        try:
            found = {each["replica"]: each["mapping"] for each in bridge.api("replicas")["replicas"]}
            text, is_marked = page.text("/routes"), mark in page.look("/routes")
            inbox.write(loaded.say, [behind, long], gone=[fresh], now=now, seconds=600)
            assert page.look("/routes").count(mark) == 1
        finally:
            inbox.write(loaded.say, (), gone=[fresh, behind, long], now=now, seconds=600)
    assert not is_marked
    assert found == {own["replica"]: own["mapping"], "beh1nd": "0123456789ab"}
    assert re.search(r"mapping\.yaml ?, loaded .+, digest " + own["mapping"], text)
    assert f"{own['host']} {own['replica']} uses {own['mapping']} since" in text
    assert re.search("pod-behind beh1nd uses 0123456789ab since .+ another mapping than this page shows", text)
    assert text.count("another mapping than") == 1


def test_copies_are_listed_with_the_delivery_that_they_are_of(
    people: dict[Role, Person], bridge: BridgeProcess
) -> None:
    """For whoever may see refusals; and the list has the pipeline of each."""
    (delivery,) = bridge.api("deliveries", event_id="evt_0")["deliveries"]
    assert delivery["pipeline_id"] == "pl_bad"
    wait_for(lambda: bridge.api("refusals", copy_of=delivery["id"])["refusals"], seconds=10, what="the copy")
    place = f"/deliveries/{delivery['id']}"
    assert "Copies of it that came" in people[Role.OPERATOR].text(place)
    assert "Copies of it that came" not in people[Role.VIEWER].text(place)
    assert "pl_bad" in people[Role.VIEWER].text("/deliveries")


def test_a_copy_that_was_routed_again_is_not_said_to_have_started_nothing(tmp_path: Path) -> None:
    """Its delivery was unrouted; the mapping is mended and the webhook sent again. With where it came from."""
    settings = {f"BRIDGE_{role.upper()}_TOKEN": token for role, token in TOKENS.items()}
    mapping = "routes: [{pipeline: pl_other, dag: load}]"
    with closing(
        BridgeProcess(tmp_path, airflow_url="http://127.0.0.1:9", mapping=mapping, settings=settings)
    ) as bridge:
        bridge.start()
        id_ = bridge.send(body(event="evt_1", pipeline="pl_1")).json()["delivery_id"]
        wait_for(lambda: bridge.api(f"deliveries/{id_}")["state"] == "unrouted", seconds=30, what="no route")
        bridge.write_mapping(mapping.replace("pl_other", "pl_1"))
        wait_for(lambda: bridge.api("routes")["routes"][0]["matches"]["pipeline"] == ["pl_1"], seconds=30, what="it")
        assert bridge.send(body(event="evt_1", pipeline="pl_1")).status_code == 200
        wait_for(lambda: bridge.api(f"deliveries/{id_}")["state"] == "routed", seconds=30, what="its trigger")
        wait_for(lambda: bridge.api("refusals", reason="routed_again")["refusals"], seconds=10, what="the copy")
        person = Person(bridge.admin_port, Role.OPERATOR)
        copies = person.text(f"/deliveries/{id_}").partition("Copies of it that came")[2]
        assert "started nothing" not in copies
        assert "routed_again : what is stored was routed again 127.0.0.1" in copies
        assert f"routed_again of {id_} : what is stored was routed again" in person.text("/refusals", kind="copy")
        person.close()


@pytest.mark.parametrize("query", [{"route": "x"}, {"route": "x", "after": "trg_2"}])
def test_a_stretch_in_which_nothing_fits_leads_on(query: dict[str, str]) -> None:
    """It says how far was looked, and where to look further."""
    viewer = Asked(Caller("token:viewer", Role.VIEWER), None, False, "/deliveries", {}, query, {})
    none: dict[str, list[str]] = {name: [] for name in ("rows", "states", "run_states", "statuses")}
    lists = none | {"sources": ["planasonix"], "alike": [], "aside": [], "unread": None}
    page = Drawing(framed_by=None).page(
        "deliveries.html", viewer, kind="triggers", query=query, newest=None, older="/deliveries?after=trg_1", **lists
    )
    text = bytes(page.body).decode()
    assert "Nothing of the newest 20 000 matches" in text
    assert '<a href="/deliveries?after=trg_1" rel="next">' in text


def test_a_route_is_paused_and_resumed_by_its_button(people: dict[Role, Person], bridge: BridgeProcess) -> None:
    """As by the API; a time that cannot be read is said."""
    operator = people[Role.OPERATOR]
    answer = operator.send("/pause", kind="route", name="bad_template", **{"for": "2h", "reason": HOSTILE})
    assert (answer.status_code, answer.headers["location"]) == (303, "/routes")
    page = operator.look("/routes")
    assert "Resume route bad_template" in page
    assert "<script>alert" not in page
    assert [each["name"] for each in bridge.api("status")["paused"]] == ["bad_template"]
    assert operator.send("/resume", kind="route", name="bad_template").status_code == 303
    assert bridge.api("status")["paused"] == []
    assert operator.send("/pause", kind="route", name="bad_template", **{"for": "soon"}).status_code == 400
    assert people[Role.VIEWER].send("/pause", kind="route", name="bad_template").status_code == 403


def test_a_route_without_a_name_has_no_button(tmp_path: Path) -> None:
    """The page says why, and what is sent all the same is refused with the step."""
    settings = {f"BRIDGE_{role.upper()}_TOKEN": token for role, token in TOKENS.items()}
    mapping = "routes: [{pipeline: pl_1, dag: load}, {name: orders, pipeline: pl_1, dag: orders}]"
    with closing(
        BridgeProcess(tmp_path, airflow_url="http://127.0.0.1:9", mapping=mapping, settings=settings)
    ) as bridge:
        bridge.start()
        person = Person(bridge.admin_port, Role.OPERATOR)
        page = person.look("/routes")
        assert "Pause route orders" in page
        assert "Pause route load" not in page
        assert "give it a name first" in text_of(page)
        answer = person.send("/pause", kind="route", name="load")
        assert (answer.status_code, "add `name: load` to it" in answer.text) == (400, True)
        assert bridge.api("status")["paused"] == []
        person.close()


def test_a_pasted_body_is_tried_and_nothing_is_stored(people: dict[Role, Person], bridge: BridgeProcess) -> None:
    """Also against a mapping that is pasted beside it; by a viewer too."""
    before = bridge.api("deliveries")["deliveries"]
    viewer = people[Role.VIEWER]
    text = text_of(viewer.send("/try", payload=json.dumps(BODY), source="planasonix").text)
    assert "1 DAG run would be started" in text
    assert 'pipeline: event has "pl_8f2a9c1d4e", route wants "pl_bad"' in text
    other = "routes: [{pipeline: pl_8f2a9c1d4e, dag: another_dag, name: another}]"
    text = text_of(viewer.send("/try", payload=json.dumps(BODY), mapping=other).text)
    assert "another starts another_dag" in text
    assert "1 route added, 2 removed, 0 changed, 0 renamed" in text
    assert "then another_dag (route another)" in text
    same = viewer.send("/try", payload=json.dumps(BODY), mapping=(bridge.folder / "mapping.yaml").read_text()).text
    assert "This body starts the same." in text_of(same)
    hostile = f"routes: [{{pipeline: pl_8f2a9c1d4e, dag: x, name: h, note: {json.dumps(HOSTILE)}}}]"
    assert "<script>alert" not in viewer.send("/try", payload=json.dumps(BODY), mapping=hostile).text
    assert bridge.api("deliveries")["deliveries"] == before


def test_a_delivery_is_tried_against_another_mapping(people: dict[Role, Person], bridge: BridgeProcess) -> None:
    """By the link on its page, with its own body; a viewer sees no link, and 403 with the address."""
    id_ = bridge.api("deliveries", event_id="evt_0")["deliveries"][0]["id"]
    operator, viewer = people[Role.OPERATOR], people[Role.VIEWER]
    link = f"/try?delivery={id_}"
    assert f'<a class="button" href="{link}">Try it against another mapping</a>' in operator.look(f"/deliveries/{id_}")
    asked = operator.look(link)
    assert fields_of(asked) == {"delivery": id_}
    assert '"pl_bad"' in text_of(asked)
    mended = "routes: [{name: bad_template, pipeline: pl_bad, dag: open_incident}]"
    text = text_of(operator.send("/try", **fields_of(asked), mapping=mended).text)
    assert "bad_template starts open_incident" in text
    assert "What this mapping changes" in text
    assert "1 removed, 1 changed" in text
    broken = operator.send("/try", delivery=id_, mapping="routes: {}")
    assert (broken.status_code, fields_of(broken.text)) == (400, {"delivery": id_})
    assert link not in viewer.look(f"/deliveries/{id_}")
    assert viewer.client.get(link).status_code == 403
    assert viewer.send("/try", delivery=id_, mapping=mended).status_code == 403
    assert operator.client.get("/try?delivery=dlv_0000000000000001").status_code == 404
    assert operator.send("/try", delivery="no id").status_code == 404


@pytest.mark.parametrize("name", SHAPES)
def test_a_sample_is_tried(people: dict[Role, Person], name: str) -> None:
    """Chosen in the form, which then has its body; that is read as any other one."""
    page = people[Role.VIEWER].look("/try")
    assert f'<option value="{name}">' in page
    page = people[Role.VIEWER].look("/try", sample=name)
    assert f'<option value="{name}" selected>' in page
    payload = unescape(page.partition('name="payload"')[2].partition(">")[2].partition("</textarea>")[0])
    assert json.loads(payload) == SHAPES[name].body
    assert "Every route" in text_of(people[Role.VIEWER].send("/try", payload=payload, source="planasonix").text)


def test_a_sample_that_there_is_not_is_said(people: dict[Role, Person]) -> None:
    """With the nearest one."""
    answer = people[Role.VIEWER].client.get("/try", params={"sample": "job.faild"})
    assert answer.status_code == 400
    assert "job.failed" in text_of(answer.text)


@pytest.mark.parametrize(
    "fields",
    [
        {"payload": "{" + HOSTILE},
        {"payload": "[1]"},
        {},
        {"payload": "{}", "source": "x"},
        {"payload": "{}", "mapping": f"routes: [{{x: '{HOSTILE}'}}]"},
        {"payload": "{}", "mapping": "#" * 300_000},
    ],
)
def test_what_cannot_be_tried_is_said_and_kept_in_the_form(people: dict[Role, Person], fields: dict[str, str]) -> None:
    """With every mistake of a mapping; whatever was pasted is text."""
    answer = people[Role.VIEWER].send("/try", **fields)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert "<script>alert" not in answer.text


def test_refusals_and_copies_are_listed_for_operators(people: dict[Role, Person]) -> None:
    """A copy with what it is a copy of, a refusal with its next step."""
    operator = people[Role.OPERATOR]
    wait_for(lambda: "signature_missing" in operator.text("/refusals"), seconds=10, what="the refusal")
    wait_for(lambda: "duplicate of dlv_" in operator.text("/refusals", kind="copy"), seconds=10, what="the copy")
    assert "duplicate of" not in operator.text("/refusals", kind="refused")
    assert "duplicate of" not in operator.text("/refusals", copy_of="dlv_0000000000000001")


def test_the_audit_log_is_filtered_by_person_and_thing(people: dict[Role, Person], bridge: BridgeProcess) -> None:
    """For admins."""
    admin = people[Role.ADMIN]
    wait_for(lambda: "signed_in" in admin.text("/audit"), seconds=10, what="the lines")
    text = admin.text("/audit", actor="mapping file")
    assert "mapping_loaded" in text
    assert "signed_in" not in text
    assert "Nothing matches" in admin.text("/audit", actor="nobody")
    digest = bridge.api("audit", actor="mapping file")["audit"][0]["subject"]
    of_it = admin.text("/audit", subject=digest)
    assert ("mapping_loaded" in of_it, "signed_in" in of_it) == (True, False)


def test_what_a_person_paused_is_not_said_to_be_well(
    people: dict[Role, Person], bridge: BridgeProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the overview by each part and to know; and by `status`, which asks the same."""
    paused = (("airflow", "default"), ("source", "planasonix"), ("route", "bad_template"))
    for kind, name in paused:
        assert people[Role.OPERATOR].send("/pause", kind=kind, name=name, **{"for": "2h"}).status_code == 303
    try:
        text, answer = people[Role.VIEWER].text("/"), bridge.api("status")
    finally:
        for kind, name in paused:
            people[Role.OPERATOR].send("/resume", kind=kind, name=name)
    parts = text.partition("Each part")[2]
    for says in ("Airflow default paused by token:operator", "Source planasonix paused by token:operator", "1 paused"):
        assert says in parts
    for says in ("takes DAG runs", "heard of"):
        assert says not in parts
    to_know = text.partition("To know")[2].partition("Waiting now")[0]
    assert re.search("airflow default is paused by token:operator airflow default, since .+, until .+ Nothing", to_know)
    assert not re.search("paused by token:operator[^.]*[0-9]Z", to_know)
    print_status(answer)
    printed = capsys.readouterr().out
    for says in ("note: paused: airflow default", "Airflow default: paused by token:operator until"):
        assert says in printed
    assert re.search("note: paused: airflow default: 1, since .+, until .+", printed)
    assert not re.search("[0-9]Z", printed)
    assert re.search("source planasonix: .*, paused by token:operator until", printed)
    assert "takes DAG runs" in people[Role.VIEWER].text("/") or "airflow_down" in people[Role.VIEWER].text("/")


def test_a_source_that_is_silent_for_too_long_is_not_said_to_be_well() -> None:
    """And while something is paused, all is well but for that."""
    at = "2026-03-27T02:40:00.000Z"
    source = {"name": "crm", "last_delivery": at, "last_refusal": None, "paused": None, "silent_since": at}
    mapping = {"problems": [], "routes": 1, "loaded_at": at, "files": [], "is_lacking": False}
    status: dict[str, object] = {"waiting": {}, "ended": {}, "ended_at_least": [], "mapping": mapping, "airflows": []}
    rest = {name: [] for name in ("needs", "notes", "hours", "charts")} | {"height": 1, "width": 1, "paused_routes": 0}
    viewer = Asked(Caller("token:viewer", Role.VIEWER), None, False, "/", {}, {}, {})

    def text(paused: list[str]) -> str:
        facts = rest | {"sources": [source], "status_of": status | {"paused": paused}, "well_since": at}
        return text_of(bytes(Drawing(framed_by=None).page("overview.html", viewer, **facts).body).decode())

    assert "Source crm silent for too long , since" in text([])
    assert "heard of" not in text([])
    assert "what they ask for is started." in text([])
    assert "is started, but for what is paused: it waits." in text(["route orders"])


def test_a_broken_mapping_is_shown_with_what_is_in_use_instead(tmp_path: Path) -> None:
    """None at first, so everything waits; then one file of two, and the other one starts nothing."""
    settings = {f"BRIDGE_{role.upper()}_TOKEN": token for role, token in TOKENS.items()}
    folder = tmp_path / "map"
    folder.mkdir()
    settings["BRIDGE_MAPPING"] = str(folder)
    (folder / "a.yaml").write_text("routes: [{pipline: pl_1, dag: a}]")
    (folder / "b.yaml").write_text("routes: [{pipline: pl_2, dag: b}]")
    with closing(BridgeProcess(tmp_path, airflow_url="http://127.0.0.1:9", mapping="", settings=settings)) as bridge:
        bridge.start()
        person = Person(bridge.admin_port, Role.VIEWER)
        first, routes = person.text("/"), person.text("/routes")
        assert "nor was one in use before" in first
        assert "broken on disk: none was ever good, so every webhook is taken in and waits" in first
        assert "cannot be used: none was ever good, so every webhook is taken in and waits" in routes
        for claim in ("last good", "has no route", "nothing will start"):
            assert claim not in first + routes

        (folder / "a.yaml").write_text("routes: [{pipeline: pl_1, dag: a}]")
        wait_for(lambda: not bridge.api("status")["mapping"]["is_lacking"], seconds=30, what="a file that is good")
        first, routes = person.text("/"), person.text("/routes")
        for says in ("b.yaml cannot be used", "nothing of it is in use", "replay --state unrouted --since"):
            assert says in first
        assert "broken on disk: nothing of 1 file is in use" in first
        assert "cannot be used: nothing of 1 file is in use" in routes
        assert "last good" not in first + routes

        (folder / "a.yaml").write_text("[")
        wait_for(lambda: len(bridge.api("status")["needs"]) == 2, seconds=30, what="two broken files")
        assert "nothing of 1 file is in use, of 1 the last good content is" in person.text("/routes")

        (folder / "b.yaml").unlink()
        wait_for(lambda: len(bridge.api("status")["needs"]) == 1, seconds=30, what="one broken file")
        assert "broken on disk: the last good one is in use" in person.text("/")
        person.close()


def test_nobody_is_led_to_a_page_that_he_may_not_see(people: dict[Role, Person], bridge: BridgeProcess) -> None:
    """Nor to the page that he is on: its line has the next step all the same."""
    content = body(event="evt_wrong")
    url = f"http://127.0.0.1:{bridge.port}/hooks/planasonix"
    assert people[Role.ADMIN].client.post(url, content=content + b" ", headers=signed(content)).status_code == 401
    link = 'href="/refusals?source=planasonix&amp;reason=signature_mismatch"'
    wait_for(lambda: link in people[Role.OPERATOR].look("/"), seconds=10, what="the refusal")
    page = people[Role.VIEWER].look("/")
    assert 'href="/refusals' not in page
    assert "requests to source planasonix were refused" in text_of(page)
    for what, role, place in (
        ("key_expires", Role.ADMIN, None),
        ("not_notified", Role.ADMIN, None),
        ("source_silent", Role.VIEWER, None),
        ("source_silent", Role.OPERATOR, "/refusals"),
        ("paused", Role.VIEWER, "/routes"),
    ):
        assert place_of_need({"what": what, "filter": None}, Caller("x", role)) == place
