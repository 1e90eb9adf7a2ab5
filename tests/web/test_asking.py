"""A command asks a running bridge, or the store beside it: both answer the same. Run in this process, to be cheap."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from bridge.cli import app
from bridge.flows.tailing import LISTENERS
from bridge.words.errors import BadFilter, ConfigError, NotThere
from bridge.words.roles import Role
from tests.support.service import COMMAND, TOKEN, BridgeProcess, body, wait_for
from tests.web.conftest import TOKENS

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]
Ask = Callable[..., Any]
PLACES = ("--url", "store")


@pytest.fixture(scope="module")
def ids(bridge: BridgeProcess) -> dict[str, str]:
    """What is stored: a delivery that waits for Airflow, one whose template failed, and one that no route wants."""
    found = {
        "good": bridge.send(body(event="evt_ask", job="job_ask")).json()["delivery_id"],
        "bad": bridge.send(body(event="evt_ask_bad", pipeline="pl_bad", job="job_bad")).json()["delivery_id"],
        "other": bridge.send(body(event="evt_ask_other", pipeline="pl_other", job="job_other")).json()["delivery_id"],
    }
    httpx.post(f"http://127.0.0.1:{bridge.port}/hooks/planasonix", json={}, trust_env=False)
    for name, id_ in found.items():
        wait_for(lambda id_=id_: bridge.api(f"deliveries/{id_}")["state"] != "received", seconds=10, what=name)
    wait_for(lambda: bridge.api("refusals")["refusals"], seconds=10, what="the refusal in the store")
    (failed,) = bridge.api(f"deliveries/{found['bad']}")["triggers"]
    return found | {"failed": failed["id"]}


@pytest.fixture(params=PLACES)
def run(request: pytest.FixtureRequest, bridge: BridgeProcess, ids: dict[str, str]) -> Callable[..., tuple[int, str]]:
    """Run a verb against the running bridge, or beside it; returns its exit code and what it printed."""

    def one(*words: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{bridge.admin_port}" if request.param == "--url" else None
        variables = {
            "BRIDGE_URL": url,
            "BRIDGE_ADMIN_TOKEN": TOKEN,
            "BRIDGE_DATABASE_URL": f"sqlite:///{bridge.folder / 'bridge.db'}",
            "BRIDGE_CONFIG": str(bridge.folder / "bridge.yaml"),
            "BRIDGE_MAPPING": str(bridge.folder / "mapping.yaml"),
            "PLANASONIX_WEBHOOK_SECRET": bridge.environment["PLANASONIX_WEBHOOK_SECRET"],
            "TZ": "UTC",
        }
        ended = CliRunner().invoke(app, words, env=variables)
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return ended.exit_code, ended.stdout

    return one


@pytest.fixture(params=PLACES)
def start(
    request: pytest.FixtureRequest, bridge: BridgeProcess, ids: dict[str, str]
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command that goes on, against the running bridge, or beside it."""
    url = {"BRIDGE_URL": f"http://127.0.0.1:{bridge.admin_port}"} if request.param == "--url" else {}
    begun: list[subprocess.Popen[str]] = []

    def one(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([COMMAND, *words], env=bridge.environment | url, stdout=subprocess.PIPE, text=True)
        begun.append(process)
        return process

    yield one
    for process in begun:
        process.kill()
        process.communicate()


@pytest.fixture
def ask(run: Callable[..., tuple[int, str]]) -> Ask:
    """Run a verb with --json and return what it says."""
    return lambda *words: json.loads(run(*words, "--json")[1])


def test_lists_are_filtered_alike(ask: Ask, ids: dict[str, str]) -> None:
    """By pipeline, job, reason, DAG and delivery, as far as each has them."""
    for words, wanted in (
        (("--pipeline", "pl_other"), "other"),
        (("--job", "job_bad"), "bad"),
        (("--reason", "no_route", "--since", "1h"), "other"),
        (("--event", "evt_ask"), "good"),
    ):
        assert [each["id"] for each in ask("deliveries", *words)] == [ids[wanted]], words
    for words in (
        ("--pipeline", "pl_bad"),
        ("--job", "job_bad"),
        ("--reason", "template"),
        ("--dag", "open_incident"),
        ("--delivery", ids["bad"]),
    ):
        assert [each["id"] for each in ask("triggers", *words)] == [ids["failed"]], words


def test_one_of_them_is_shown_whole(ask: Ask, run: Callable[..., tuple[int, str]], ids: dict[str, str]) -> None:
    """With its triggers, or its attempts."""
    assert [each["id"] for each in ask("deliveries", ids["bad"])["triggers"]] == [ids["failed"]]
    assert ask("triggers", ids["failed"])["attempt_log"] == []
    code, out = run("deliveries", ids["bad"])
    assert (code, "triggers:" in out, ids["failed"] in out) == (0, True, True)


def test_times_are_local_and_say_so(run: Callable[..., tuple[int, str]], ids: dict[str, str]) -> None:
    """JSON has UTC."""
    _, out = run("deliveries", "--pipeline", "pl_bad")
    assert " UTC " in out
    assert not any(word.endswith("Z") for word in out.split())


def test_a_list_goes_over_pages(ask: Ask, bridge: BridgeProcess, ids: dict[str, str]) -> None:
    """However few rows a page has."""
    assert len(ask("deliveries", "--limit", "2")) == 2
    assert len({each["id"] for each in ask("deliveries", "--limit", "10000")}) >= 3


def test_causes_are_grouped(ask: Ask, run: Callable[..., tuple[int, str]], ids: dict[str, str]) -> None:
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
    assert run("causes", "--reason", "expired") == (0, "nothing failed, and nothing is held\n")


def test_refusals_and_the_audit_log_are_there(ask: Ask) -> None:
    """The same lines."""
    assert ask("refusals")[0]["reason"] == "signature_missing"
    assert "mapping_loaded" in {each["action"] for each in ask("audit", "--actor", "mapping file")}


def test_a_group_is_acted_on_by_its_filter(bridge: BridgeProcess, ids: dict[str, str]) -> None:
    """Counted first, and then done, by the stored orders."""
    (found,) = bridge.api("causes", dag_id="open_incident")["causes"]
    assert bridge.api("cancel", post={"filter": found["filter"], "dry_run": True})["count"] == 1
    assert bridge.api("replay", post={"filter": found["filter"], "dry_run": True})["count"] == 1


def test_what_is_not_there_is_not_found(run: Callable[..., tuple[int, str]]) -> None:
    """The same words either way."""
    with pytest.raises(NotThere, match="no delivery dlv_0000000000000001"):
        run("deliveries", "dlv_0000000000000001")


def test_status_says_what_needs_a_person(ask: Ask, run: Callable[..., tuple[int, str]], ids: dict[str, str]) -> None:
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


def test_why_tells_the_story_of_any_id(ask: Ask, run: Callable[..., tuple[int, str]], ids: dict[str, str]) -> None:
    """Every route with the first condition that did not fit and both values, every step, and the next step."""
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
    assert "explain --delivery ID" in story["next_step"]
    code, out = run("why", "pl_other")
    assert (code, "unrouted" in out, 'event has "pl_other"' in out, "next: " in out) == (0, True, True, True)


def test_why_nothing_came_is_said(ask: Ask, run: Callable[..., tuple[int, str]], ids: dict[str, str]) -> None:
    """When the pipeline and the source were last heard of, and what was refused about that time; exit 1."""
    silence = ask("why", "pl_never")["silence"]
    assert silence["last_of_pipeline"] is None
    assert "planasonix" in silence["sources"]
    assert silence["refusals"][0]["reason"] == "signature_missing"
    assert "refused" in silence["next_step"]
    code, out = run("why", "pl_never", "--since", "2h")
    assert (code, "nothing of pl_never came between" in out) == (1, True)
    old = ask("why", "pl_other", "--since", "2020-01-01T02:40:00Z..2020-01-01T03:00:00Z")["silence"]
    assert (old["until"], old["refusals"]) == ("2020-01-01T03:00:00.000Z", [])
    assert "any source" in old["next_step"]


def test_a_wait_asks_about_one_trigger(bridge: BridgeProcess, ids: dict[str, str]) -> None:
    """And of one of the three things only."""
    assert bridge.api("wait", trigger=ids["failed"])["outcome"] == "failed"
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        bridge.api("wait", trigger=ids["failed"], delivery=ids["bad"])


def test_an_order_is_counted_first(run: Callable[..., tuple[int, str]], ask: Ask, ids: dict[str, str]) -> None:
    """By any of the filters; nothing is done, and nothing matches is exit 1."""
    before = ask("orders")
    for words in (
        ("--state", "failed", "--pipeline", "pl_bad"),
        ("--state", "failed", "--cause", "template", "--since", "2h"),
        ("--state", "failed", "--dag", "open_incident", "--limit", "1"),
        ("--delivery", ids["bad"]),
        ("--job", "job_bad"),
    ):
        assert ask("replay", *words, "--dry-run") == {"count": 1, "replayed": {}}, words
        assert ask("cancel", *words, "--dry-run") == {"count": 1, "cancelled": {}}, words
    assert run("replay", "--state", "failed", "--pipeline", "pl_8f2a9c1d4e", "--dry-run") == (
        1,
        "0 match; nothing was done\n",
    )
    assert ask("orders") == before


def test_an_order_is_done_once_under_its_key(
    request: pytest.FixtureRequest, run: Callable[..., tuple[int, str]], ask: Ask, ids: dict[str, str]
) -> None:
    """Sent again it says what became of it, whatever matches by then; another order under the key is refused."""
    key = f"key-{request.node.name}"
    words = ("--state", "unrouted", "--pipeline", "pl_other", "--since", "7d", "--reason", "a test", "--yes")
    first = ask("replay", *words, "--key", key)
    assert first == {"count": 1, "replayed": {"routed_again": 1}}
    assert ask("replay", *words, "--key", key) == first
    (order,) = [one for one in ask("orders") if one["state"] == "done"][:1]
    assert (order["reason"], order["done"]) == ("a test", 1)
    assert ask("orders", order["id"]) == order
    assert ask("orders", order["id"], "--stop")["state"] == "done"
    with pytest.raises(BadFilter, match="asks for something else"):
        run("replay", "--state", "unrouted", "--yes", "--key", key)
    wait_for(lambda: ask("deliveries", ids["other"])["state"] == "unrouted", seconds=10, what="it was routed again")


def test_a_replay_is_followed_to_its_end(run: Callable[..., tuple[int, str]], ask: Ask, ids: dict[str, str]) -> None:
    """Exit 1, since its template fails once more; ids and filters alike."""
    for words in ((ids["failed"],), ("--state", "failed", "--dag", "open_incident", "--yes")):
        answer = ask("replay", *words, "--follow")
        assert (answer["count"], answer["followed"]) == (1, {"success": 0, "failed": 1, "open": 0})
    code, out = run("replay", ids["failed"], "--follow")
    assert (code, "1  failed" in out) == (1, True)
    assert run("replay", "--state", "failed", "--follow", "--key", "k", "--yes")[0] == 2


def test_what_is_ordered_is_done_by_whom_it_was_ordered(ask: Ask, bridge: BridgeProcess, ids: dict[str, str]) -> None:
    """Cancelled is cancelled; the audit log names the token, or the user."""
    id_ = bridge.send(body(event=f"evt_cancel_{len(ask('audit'))}")).json()["delivery_id"]
    wait_for(lambda: bridge.api(f"deliveries/{id_}")["triggers"], seconds=10, what="a trigger")
    wait_for(
        lambda: ask("cancel", "--delivery", id_, "--reason", "not wanted", "--yes")["cancelled"].get("cancelled") == 1,
        seconds=10,
        what="no call is under way, and it is cancelled",
    )
    (line,) = [each for each in ask("audit") if each["reason"] == "not wanted"][:1]
    assert line["actor"].split(":")[0] in ("token", "cli")


def test_pausing_is_the_same(ask: Ask, run: Callable[..., tuple[int, str]]) -> None:
    """What is paused is shown, a name that is not there is refused, and it is resumed."""
    assert (run("pause")[0], ask("pause")) == (1, [])
    paused = ask("pause", "route", "bad_template", "--for", "2h", "--reason", "a move")
    assert (paused["name"], paused["reason"], paused["is_gone"]) == ("bad_template", "a move", False)
    assert [(one["kind"], one["name"]) for one in ask("pause")] == [("route", "bad_template")]
    with pytest.raises(BadFilter, match='did you mean "bad_template"'):
        run("pause", "route", "bad_templat")
    assert ask("resume", "route", "bad_template") == {"resumed": "route", "name": "bad_template"}
    with pytest.raises(NotThere, match="is not paused"):
        run("resume", "route", "bad_template")


def test_an_event_is_erased(ask: Ask, run: Callable[..., tuple[int, str]], bridge: BridgeProcess) -> None:
    """The count first; nobody is asked where there is no terminal, so it needs --yes."""
    event = f"evt_erase_{len(ask('audit'))}"
    id_ = bridge.send(body(event=event, pipeline="pl_other")).json()["delivery_id"]
    wait_for(lambda: bridge.api(f"deliveries/{id_}")["state"] == "unrouted", seconds=10, what="it was routed")
    words = ("erase", event, "--source", "planasonix", "--reason", "asked for")
    assert run(*words)[0] == 1
    assert ask("deliveries", id_)["erased_at"] is None
    erased = ask(*words, "--yes")
    assert (erased["deliveries"], "is_clean" in erased) == ([id_], True)
    assert ask("deliveries", id_)["erased_at"] is not None


def test_news_is_told_in_a_line_each_time_that_something_changes(
    bridge: BridgeProcess, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """What comes, by the filters, with what became of it; Ctrl-C ends it, exit 0."""
    process = start("tail", "--pipeline", "pl_bad", "--json", "--since", "1s")
    event = f"evt_tail_{time.monotonic_ns()}"
    bridge.send(body(event=f"{event}_other", pipeline="pl_other"))
    bridge.send(body(event=event, pipeline="pl_bad"))
    assert process.stdout is not None
    while (line := json.loads(process.stdout.readline()))["delivery"]["event_id"] != event or not line["triggers"]:
        assert line["delivery"]["pipeline_id"] in ("pl_bad", None)
    (trigger,) = line["triggers"]
    assert (line["delivery"]["state"], trigger["state"], trigger["reason"]) == ("routed", "failed", "template")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_a_tail_may_end_by_itself(
    run: Callable[..., tuple[int, str]], bridge: BridgeProcess, ids: dict[str, str]
) -> None:
    """A line for people has the local time, the delivery, and what became of it; exit 0."""
    code, out = run("tail", "--since", "1d", "--for", "3s", "--source", "planasonix")
    lines = [line for line in out.splitlines() if ids["bad"] in line]
    assert code == 0
    assert lines[-1].endswith("routed: open_incident failed (template)")
    assert " UTC  dlv_" in lines[-1]
    with pytest.raises(BadFilter, match="no such state: misspelt"):
        run("tail", "--state", "misspelt", "--for", "1s")


def test_a_stream_is_for_those_who_may(bridge: BridgeProcess, ids: dict[str, str]) -> None:
    """A viewer gets no detail; who comes back gets what was missed; nobody else is let in when it is full."""
    url = f"http://127.0.0.1:{bridge.admin_port}/api/v1/stream"
    head = {"Authorization": f"Bearer {TOKENS[Role.VIEWER]}"}
    with ExitStack() as stack:
        client = stack.enter_context(httpx.Client(headers=head, trust_env=False, timeout=60))
        answer = stack.enter_context(client.stream("GET", url, params={"since": "7d", "state": "failed"}))
        lines = answer.iter_lines()
        first = next(line for line in lines if line.startswith("data: "))
        found = json.loads(first.removeprefix("data: "))
        assert (found["triggers"][0]["state"], found["triggers"][0]["detail"]) == ("failed", None)
        again = stack.enter_context(client.stream("GET", url, headers={"Last-Event-ID": ids["bad"]}))
        back = next(json.loads(line[6:]) for line in again.iter_lines() if line.startswith("data: "))
        assert back["delivery"]["id"] > ids["bad"]
        answers = [stack.enter_context(client.stream("GET", url)) for _ in range(LISTENERS)]
        statuses = [each.status_code for each in answers]
        assert statuses == [200] * (LISTENERS - 2) + [429] * 2
        assert answers[-1].headers["retry-after"] == "1"
    with httpx.Client(headers=head, trust_env=False, timeout=60) as client:
        for query, status in ((("after", "x"), 404), (("state", "x"), 400), (("sorce", "x"), 400)):
            assert client.get(url, params=[query]).status_code == status
        wait_for(lambda: _is_let_in(client, url), seconds=10, what="those who left make room")


def _is_let_in(client: httpx.Client, url: str) -> bool:
    with client.stream("GET", url) as answer:
        return answer.status_code == 200


def test_a_viewer_may_order_nothing(bridge: BridgeProcess, ids: dict[str, str]) -> None:
    """The API says which role is needed; exit 2."""
    variables = {"BRIDGE_URL": f"http://127.0.0.1:{bridge.admin_port}", "BRIDGE_ADMIN_TOKEN": TOKENS[Role.VIEWER]}
    for words in (("replay", ids["failed"]), ("pause", "route", "bad_template"), ("orders", "ord_1", "--stop")):
        ended = CliRunner().invoke(app, words, env=variables)
        assert isinstance(ended.exception, ConfigError)
        assert "this needs the role operator" in str(ended.exception.problems[0])
