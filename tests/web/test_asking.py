"""A command asks a running bridge, or the store beside it: both answer the same. Run in this process, to be cheap."""

import json
import re

import httpx
import pytest

from bridge.words.errors import NotThere
from tests.support import forkserver
from tests.support.service import BridgeProcess, body, wait_for
from tests.web.asking import PLACES, Ask, Run, runner

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def ids(bridge: BridgeProcess) -> dict[str, str]:
    """What is stored: a delivery that waits for Airflow, one whose template failed, and one that no route wants."""
    found = {
        "good": bridge.send(body(event="evt_ask", job="job_ask")).json()["delivery_id"],
        "bad": bridge.send(body(event="evt_ask_bad", pipeline="pl_bad", job="job_bad")).json()["delivery_id"],
        "other": bridge.send(body(event="evt_ask_other", pipeline="pl_other", job="job_other")).json()["delivery_id"],
    }
    httpx.post(f"http://127.0.0.1:{bridge.port}/hooks/planasonix", json={}, trust_env=False, timeout=60)
    for name, id_ in found.items():
        wait_for(lambda id_=id_: bridge.api(f"deliveries/{id_}")["state"] != "received", seconds=10, what=name)
    wait_for(lambda: bridge.api("refusals")["refusals"], seconds=10, what="the refusal in the store")
    (failed,) = bridge.api(f"deliveries/{found['bad']}")["triggers"]
    return found | {"failed": failed["id"]}


@pytest.fixture(params=PLACES)
def run(request: pytest.FixtureRequest, bridge: BridgeProcess, ids: dict[str, str]) -> Run:
    """Run a verb against the running bridge, or beside it; returns its exit code and what it printed."""
    return runner(bridge, request.param)


@pytest.fixture
def ask(run: Run) -> Ask:
    """Run a verb with --json and return what it says."""
    return lambda *words: json.loads(run(*words, "--json")[1])


def test_lists_are_filtered_alike(ask: Ask, ids: dict[str, str]) -> None:
    """By pipeline, job, reason, DAG and delivery, as far as each has them."""
    for words, wanted in (
        (("--pipeline", "pl_other"), "other"),
        (("--job", "job_bad"), "bad"),
        (("--reason", "no_route", "--since", "1h"), "other"),
        (("--event", "evt_ask"), "good"),
        (("--job", "job_bad", "--status", "succeeded"), "bad"),
    ):
        assert [each["id"] for each in ask("deliveries", *words)] == [ids[wanted]], words
    assert ask("deliveries", "--status", "failed") == []
    for words in (
        ("--pipeline", "pl_bad"),
        ("--job", "job_bad"),
        ("--reason", "template"),
        ("--dag", "open_incident"),
        ("--delivery", ids["bad"]),
        ("--source", "planasonix", "--state", "failed"),
        ("--status", "succeeded", "--state", "failed"),
    ):
        assert [each["id"] for each in ask("triggers", *words)] == [ids["failed"]], words
    assert ask("triggers", "--source", "another", "--state", "failed") == []
    assert ask("causes", "--source", "another")["causes"] == []
    assert ask("causes", "--status", "failed")["causes"] == []
    for verb in ("replay", "cancel"):
        assert ask(verb, "--source", "planasonix", "--state", "failed", "--dry-run")["count"] == 1
        assert ask(verb, "--source", "another", "--state", "failed", "--dry-run")["count"] == 0
        assert ask(verb, "--status", "failed", "--state", "failed", "--dry-run")["count"] == 0


def test_one_of_them_is_shown_whole(ask: Ask, run: Run, ids: dict[str, str]) -> None:
    """With its triggers, or its attempts."""
    assert [each["id"] for each in ask("deliveries", ids["bad"])["triggers"]] == [ids["failed"]]
    assert ask("triggers", ids["failed"])["attempt_log"] == []
    code, out = run("deliveries", ids["bad"])
    assert (code, "triggers:" in out, ids["failed"] in out) == (0, True, True)


def test_times_are_local_and_say_so(run: Run, ids: dict[str, str]) -> None:
    """JSON has UTC."""
    _, out = run("deliveries", "--pipeline", "pl_bad")
    assert " UTC " in out
    assert not any(word.endswith("Z") for word in out.split())


def test_a_list_goes_over_pages(ask: Ask, bridge: BridgeProcess, ids: dict[str, str]) -> None:
    """However few rows a page has."""
    assert len(ask("deliveries", "--limit", "2")) == 2
    assert len({each["id"] for each in ask("deliveries", "--limit", "10000")}) >= 3


def test_causes_are_grouped(ask: Ask, run: Run, ids: dict[str, str]) -> None:
    """The next step stands beside; exit 1 while there is any."""
    (found,) = ask("causes", "--dag", "open_incident")["causes"]
    assert (found["count"], found["reason"], found["route"], found["example"]) == (
        1,
        "template",
        "bad_template",
        ids["failed"],
    )
    assert found["next_step"]
    assert run("causes", "--reason", "template")[0] == 1
    none = (0, "nothing of this failed or is held; `causes` without filters shows all\n")
    assert run("causes", "--reason", "expired") == none
    assert run("causes", "--until", "2020-01-01T03:00:00Z") == none


def test_refusals_and_the_audit_log_are_there(ask: Ask) -> None:
    """The same lines."""
    assert ask("refusals")[0]["reason"] == "signature_missing"
    assert "mapping_loaded" in {each["action"] for each in ask("audit", "--actor", "mapping file")}


def test_a_group_is_acted_on_by_its_filter(bridge: BridgeProcess, ids: dict[str, str]) -> None:
    """Counted first, and then done, by the stored orders."""
    (found,) = bridge.api("causes", dag_id="open_incident")["causes"]
    assert bridge.api("cancel", post={"filter": found["filter"], "dry_run": True})["count"] == 1
    assert bridge.api("replay", post={"filter": found["filter"], "dry_run": True})["count"] == 1


def test_what_is_not_there_is_not_found(run: Run) -> None:
    """The same words either way."""
    with pytest.raises(NotThere, match="no delivery dlv_0000000000000001"):
        run("deliveries", "dlv_0000000000000001")


def test_status_says_what_needs_a_person(ask: Ask, run: Run, ids: dict[str, str]) -> None:
    """What, how many and the next step; exit 1. A template that failed is there either way."""
    found = ask("status")
    (need,) = [each for each in found["needs"] if each["reason"] == "template" and each["example"] == ids["failed"]]
    assert (found["is_well"], need["what"], need["count"]) == (False, "failed", 1)
    assert need["filter"]["route"] == "bad_template"
    assert [source["name"] for source in found["sources"]] == ["planasonix"]
    code, out = run("status")
    assert (code, "failed: bad_template -> open_incident at default: 1" in out, "  next: " in out) == (1, True, True)


def test_status_says_that_the_mapping_is_broken(ask: Ask, bridge: BridgeProcess) -> None:
    """A running bridge by what it last read, the store beside by a look at the file."""
    good = (bridge.folder / "mapping.yaml").read_text()
    bridge.write_mapping("routes: [{dag: x, pipelin: y}]\n")
    try:
        wait_for(lambda: bridge.api("status")["mapping"]["problems"], seconds=10, what="the mistake")
        assert ask("status")["needs"][0]["what"] == "mapping_broken"
    finally:
        bridge.write_mapping(good)
        wait_for(lambda: not bridge.api("status")["mapping"]["problems"], seconds=10, what="the mended file")


def test_why_tells_the_story_of_any_id(ask: Ask, run: Run, ids: dict[str, str]) -> None:
    """Every route with what fits, or the first condition that does not; every step, and the next step."""
    for id_, kind in (
        (ids["bad"], "delivery"),
        (ids["failed"], "trigger"),
        ("evt_ask_bad", "event"),
        ("job_bad", "job"),
    ):
        answer = ask("why", id_)
        assert (answer["kind"], [story["delivery"]["id"] for story in answer["stories"]]) == (kind, [ids["bad"]])
    (story,) = answer["stories"]
    assert [step["what"] for step in story["steps"]] == ["received", "verified", "routed", "asked_for", "failed"]
    assert [(each["route"], each["matches"]) for each in story["routes"]][1] == ("bad_template", True)
    assert story["routes"][0]["why_not"] == 'pipeline: event has "pl_bad", route wants "pl_8f2a9c1d4e"'
    assert story["routes"][0]["because"] == story["routes"][0]["why_not"]
    assert story["routes"][1]["because"] == 'pipeline: "pl_bad"; on: "succeeded"'
    assert "explain --delivery ID" in story["next_step"]
    code, out = run("why", "pl_other")
    assert (code, "unrouted" in out, 'event has "pl_other"' in out, "next: " in out) == (0, True, True, True)


def test_why_says_every_time_in_the_zone_of_its_reader(bridge: BridgeProcess, ids: dict[str, str]) -> None:
    """When it was signed as when it was received: two zones on one line are read as one."""
    done = forkserver.run("why", ids["bad"], env=bridge.environment | {"TZ": "Asia/Tokyo"})
    assert re.search("JST +verified .*, signed [-0-9]+ [:0-9]+ JST$", done.stdout, re.MULTILINE), done.stderr
    assert not re.search("[0-9]Z", done.stdout)


@pytest.mark.parametrize("id_", ["job/2025/03", "/job?x=1&y#z", "job%2F1/", "../job", "job 1 +"])
def test_why_takes_any_id_that_a_person_may_paste(ask: Ask, ids: dict[str, str], id_: str) -> None:
    """With slashes, too, and whatever else means something in an address: both say that the store knows none of it."""
    answer = ask("why", id_)
    assert (answer["id"], answer["stories"], answer["silence"]["refusals"][0]["reason"]) == (
        id_,
        [],
        "signature_missing",
    )


def test_why_without_an_id_is_not_found(bridge: BridgeProcess) -> None:
    """It is no id."""
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        bridge.api("why/")


def test_why_nothing_came_is_said(ask: Ask, run: Run, ids: dict[str, str]) -> None:
    """When its source was last heard of, what came of it at another time, and what was refused then; exit 1.

    Every public address gets requests without a signature: they are listed, and say nothing of this silence.
    """
    silence = ask("why", "pl_never")["silence"]
    assert silence["at_another_time"] is None
    assert "planasonix" in silence["sources"]
    assert silence["refusals"][0]["reason"] == "signature_missing"
    assert "no such id" in silence["next_step"]
    code, out = run("why", "pl_never", "--since", "2h")
    assert (code, "nothing of pl_never came between" in out) == (1, True)
    old = ask("why", "pl_other", "--since", "2020-01-01T02:40:00Z..2020-01-01T03:00:00Z")["silence"]
    assert (old["until"], old["refusals"]) == ("2020-01-01T03:00:00.000Z", [])
    assert old["at_another_time"]["id"] == ids["other"]
    assert "any source" in old["next_step"]
    code, out = run("why", "job_other", "--until", "2020-01-01T03:00:00Z")
    assert (code, f"it came at another time: {ids['other']}, unrouted" in out) == (1, True)
    assert "next: It came at another time" in out
