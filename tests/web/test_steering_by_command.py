"""Verbs that change something, or go on: a running bridge does the same as the command beside the store."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from bridge.flows.tailing import LISTENERS
from bridge.words.errors import BadFilter, ConfigError, NotThere
from bridge.words.roles import Role
from tests.support.forkserver import COMMAND
from tests.support.service import BridgeProcess, body, wait_for
from tests.web.asking import PLACES, Ask, Run, runner
from tests.web.conftest import TOKENS

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]
Start = Callable[..., "subprocess.Popen[str]"]


class Failed:
    """A delivery of its own, whose trigger failed by its template."""

    def __init__(self, bridge: BridgeProcess) -> None:
        self.job = f"job_{time.monotonic_ns()}"
        self.event = f"evt_{self.job}"
        self.bridge = bridge
        self.delivery = bridge.send(body(event=self.event, pipeline="pl_bad", job=self.job)).json()["delivery_id"]
        self.wait()

    def wait(self) -> None:
        """Until it was routed."""
        wait_for(lambda: self._shown["state"] == "routed", seconds=10, what="it was routed")

    @property
    def _shown(self) -> Any:
        return self.bridge.api(f"deliveries/{self.delivery}")

    @property
    def trigger(self) -> str:
        """The id of the trigger, which changes when the delivery is routed again."""
        (found,) = self._shown["triggers"]
        return str(found["id"])


@pytest.fixture
def failed(bridge: BridgeProcess) -> Failed:
    """What failed."""
    return Failed(bridge)


@pytest.fixture(params=PLACES)
def run(request: pytest.FixtureRequest, bridge: BridgeProcess) -> Run:
    """Run a verb against the running bridge, or beside it; returns its exit code and what it printed."""
    return runner(bridge, request.param)


@pytest.fixture
def ask(run: Run) -> Ask:
    """Run a verb with --json and return what it says."""
    return lambda *words: json.loads(run(*words, "--json")[1])


@pytest.fixture(params=PLACES)
def start(request: pytest.FixtureRequest, bridge: BridgeProcess) -> Iterator[Start]:
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


def test_a_wait_asks_about_one_trigger(bridge: BridgeProcess, failed: Failed) -> None:
    """And of one of the three things only."""
    assert bridge.api("wait", trigger=failed.trigger)["outcome"] == "failed"
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        bridge.api("wait", trigger=failed.trigger, delivery=failed.delivery)


def test_an_order_is_counted_first(run: Run, ask: Ask, failed: Failed) -> None:
    """By any of the filters; nothing is done, and nothing matches is exit 1."""
    before = ask("orders")
    for words in (
        ("--state", "failed", "--pipeline", "pl_bad", "--job", failed.job),
        ("--state", "failed", "--cause", "template", "--since", "2h", "--job", failed.job),
        ("--state", "failed", "--dag", "open_incident", "--limit", "1"),
        ("--delivery", failed.delivery),
        ("--job", failed.job),
    ):
        assert ask("replay", *words, "--dry-run") == {"count": 1, "replayed": {}}, words
        assert ask("cancel", *words, "--dry-run") == {"count": 1, "cancelled": {}}, words
    nothing = ("--state", "failed", "--pipeline", "pl_8f2a9c1d4e", "--dry-run")
    assert run("replay", *nothing) == (1, "0 match; nothing was done\n")
    assert ask("orders") == before


def test_an_order_is_done_once_under_its_key(run: Run, ask: Ask, bridge: BridgeProcess) -> None:
    """Sent again it says what became of it, whatever matches by then; another order under the key is refused."""
    key = f"key-{time.monotonic_ns()}"
    id_ = bridge.send(body(event=f"evt_{key}", pipeline="pl_other", job=key)).json()["delivery_id"]
    wait_for(lambda: ask("deliveries", id_)["state"] == "unrouted", seconds=10, what="it was routed")
    words = ("--state", "unrouted", "--job", key, "--since", "7d", "--reason", key, "--yes")
    first = ask("replay", *words, "--key", key)
    assert first == {"count": 1, "replayed": {"routed_again": 1}}
    assert ask("replay", *words, "--key", key) == first
    (order,) = [item for item in ask("orders") if item["reason"] == key]
    assert (order["state"], order["done"]) == ("done", 1)
    assert ask("orders", order["id"]) == order
    assert ask("orders", order["id"], "--stop")["state"] == "done"
    with pytest.raises(BadFilter, match="asks for something else"):
        run("replay", "--state", "unrouted", "--yes", "--key", key)


def test_a_replay_is_followed_to_its_end(run: Run, ask: Ask, failed: Failed) -> None:
    """Exit 1, since its template fails once more; ids and filters alike."""
    for words in ((failed.trigger,), (failed.delivery,), ("--state", "failed", "--job", failed.job, "--yes")):
        answer = ask("replay", *words, "--follow")
        assert (answer["count"], answer["followed"]) == (1, {"success": 0, "failed": 1, "open": 0})
        failed.wait()
    code, out = run("replay", failed.trigger, "--follow")
    assert (code, "1  failed" in out) == (1, True)
    assert run("replay", "--state", "failed", "--follow", "--key", "k", "--yes")[0] == 2


def test_what_is_ordered_says_who_ordered_it(ask: Ask, failed: Failed) -> None:
    """Cancelled is cancelled; the audit log names the token, or the user."""
    why = f"not wanted {failed.job}"
    assert ask("cancel", "--delivery", failed.delivery, "--reason", why, "--yes")["cancelled"] == {"cancelled": 1}
    (line,) = [each for each in ask("audit") if each["reason"] == why]
    assert line["actor"].split(":")[0] in ("token", "cli")


def test_pausing_is_the_same(ask: Ask, run: Run) -> None:
    """What is paused is shown, a name that is not there is refused, and it is resumed."""
    assert (run("pause")[0], ask("pause")) == (1, [])
    paused = ask("pause", "route", "bad_template", "--for", "2h", "--reason", "a move")
    assert (paused["name"], paused["reason"], paused["is_gone"]) == ("bad_template", "a move", False)
    assert [(item["kind"], item["name"]) for item in ask("pause")] == [("route", "bad_template")]
    with pytest.raises(BadFilter, match='did you mean "bad_template"'):
        run("pause", "route", "bad_templat")
    assert ask("resume", "route", "bad_template") == {"resumed": "route", "name": "bad_template"}
    with pytest.raises(NotThere, match="is not paused"):
        run("resume", "route", "bad_template")


def test_an_event_is_erased(ask: Ask, run: Run, failed: Failed) -> None:
    """The count first; nobody is asked where there is no terminal, so it needs --yes."""
    words = ("erase", failed.event, "--source", "planasonix", "--reason", "asked for", "--cancel")
    assert run(*words)[0] == 1
    assert ask("deliveries", failed.delivery)["erased_at"] is None
    erased = ask(*words, "--yes")
    assert (erased["deliveries"], "is_clean" in erased) == ([failed.delivery], True)
    assert ask("deliveries", failed.delivery)["erased_at"] is not None


def test_news_is_told_in_a_line_each_time_that_something_changes(bridge: BridgeProcess, start: Start) -> None:
    """What comes, by the filters, with what became of it; Ctrl-C ends it, exit 0."""
    process = start("tail", "--pipeline", "pl_bad", "--json", "--since", datetime.now(UTC).isoformat())
    bridge.send(body(event=f"evt_{time.monotonic_ns()}", pipeline="pl_other"))
    failed = Failed(bridge)
    assert process.stdout is not None
    while (line := json.loads(process.stdout.readline()))["delivery"]["id"] != failed.delivery or not line["triggers"]:
        assert line["delivery"]["pipeline_id"] == "pl_bad"
    (trigger,) = line["triggers"]
    assert (line["delivery"]["state"], trigger["state"], trigger["reason"]) == ("routed", "failed", "template")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_a_tail_may_end_by_itself(run: Run, failed: Failed) -> None:
    """A line for people has the local time, the delivery, and what became of it; exit 0."""
    lasting = "1s"
    while not (lines := run("tail", "--since", "1d", "--for", lasting, "--job", failed.job)[1].splitlines()):
        lasting = f"{int(lasting[:-1]) * 2}s"  # a slow machine
    assert lines[-1].endswith("routed: open_incident failed (template)")
    assert f" UTC  {failed.delivery}" in lines[-1]
    with pytest.raises(BadFilter, match="no such state: misspelt"):
        run("tail", "--state", "misspelt", "--for", "1m")


def test_one_delivery_is_followed(bridge: BridgeProcess, failed: Failed, start: Start, run: Run) -> None:
    """First how it stands, whatever came since; then what a replay makes of it. One that is not there is said."""
    Failed(bridge)
    process = start("tail", "--delivery", failed.delivery, "--json")
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert (first["delivery"]["id"], first["triggers"][0]["id"]) == (failed.delivery, failed.trigger)
    replayed = {"ids": [failed.delivery], "run_again": False}
    assert httpx.post(
        f"http://127.0.0.1:{bridge.admin_port}/api/v1/replay",
        json=replayed,
        headers={"Authorization": f"Bearer {TOKENS[Role.ADMIN]}"},
        trust_env=False,
        timeout=60,
    ).is_success
    again = json.loads(process.stdout.readline())
    assert (again["delivery"]["id"], again == first) == (failed.delivery, False)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    with pytest.raises(NotThere, match="no delivery"):
        run("tail", "--delivery", "dlv_0000000000000001", "--for", "1m")


def test_a_stream_is_for_those_who_may(bridge: BridgeProcess, failed: Failed) -> None:
    """A viewer gets no detail; who comes back gets what was missed; nobody else is let in when it is full."""
    later = Failed(bridge)
    url = f"http://127.0.0.1:{bridge.admin_port}/api/v1/stream"
    with ExitStack() as stack:
        client = stack.enter_context(_viewer())
        answer = stack.enter_context(client.stream("GET", url, params={"since": "7d", "job_id": failed.job}))
        found = _first(answer)
        assert (found["triggers"][0]["state"], found["triggers"][0]["detail"]) == ("failed", None)
        again = client.stream("GET", url, params={"job_id": later.job}, headers={"Last-Event-ID": failed.delivery})
        assert _first(stack.enter_context(again))["delivery"]["id"] == later.delivery
        answers = [stack.enter_context(client.stream("GET", url)) for _ in range(LISTENERS + 1)]
        assert {each.status_code for each in answers} == {200, 429}
        assert answers[-1].headers["retry-after"] == "1"
    with _viewer() as client:
        gone = ("delivery_id", "dlv_0000000000000001")
        for query, status in (
            (("after", "x"), 404),
            (("delivery_id", "x"), 404),
            (gone, 404),
            (("state", "x"), 400),
            (("sorce", "x"), 400),
        ):
            assert client.get(url, params=[query]).status_code == status
        wait_for(lambda: _is_let_in(client, url), seconds=10, what="those who left made room")


def _viewer() -> httpx.Client:
    head = {"Authorization": f"Bearer {TOKENS[Role.VIEWER]}"}
    limits = httpx.Limits(max_connections=LISTENERS * 2)
    return httpx.Client(headers=head, trust_env=False, timeout=60, limits=limits)


def _first(answer: httpx.Response) -> Any:
    line = next(line for line in answer.iter_lines() if line.startswith("data: "))
    return json.loads(line.removeprefix("data: "))


def _is_let_in(client: httpx.Client, url: str) -> bool:
    with client.stream("GET", url) as answer:
        return answer.status_code == httpx.codes.OK


def test_an_airflow_that_is_away_is_not_taken_for_well(run: Run, ask: Ask, failed: Failed) -> None:
    """What was compared, and who could not be asked; exit 1."""
    report = ask("verify", "--since", "1h")
    assert (report["is_well"], list(report["unasked"])) == (False, ["default"])
    assert report["deliveries"]["routed"] >= 1
    code, out = run("verify")
    assert (code, "deliveries, of which" in out) == (1, True)


def test_a_comparison_is_streamed(bridge: BridgeProcess) -> None:
    """In the end it has the report; a time that cannot be read is refused."""
    url = f"http://127.0.0.1:{bridge.admin_port}/api/v1/verify"
    with httpx.Client(
        headers={"Authorization": f"Bearer {TOKENS[Role.OPERATOR]}"}, trust_env=False, timeout=60
    ) as item:
        assert item.get(url, params={"since": "x"}).status_code == 400
        assert item.get(url, params={"sinc": "1h"}).status_code == 400
        answer = item.get(url, params={"since": "1h"})
        assert (answer.headers["content-type"], "event: report" in answer.text) == (
            "text/event-stream; charset=utf-8",
            True,
        )


def test_everything_is_exported_in_lines(run: Run, failed: Failed) -> None:
    """Whole, the oldest first, and from where it was cut off."""
    later = Failed(failed.bridge)
    lines = _lines(run("export", "deliveries", "--since", "1d"))
    ids = [line["id"] for line in lines]
    assert ids == sorted(ids)
    (mine,) = [line for line in lines if line["id"] == failed.delivery]
    assert json.loads(mine["body"])["job_id"] == failed.job
    words = ("export", "deliveries", "--after", failed.delivery, "--limit", "1", "--job", later.job)
    assert [line["id"] for line in _lines(run(*words))] == [later.delivery]
    (trigger,) = _lines(run("export", "triggers", "--job", failed.job))
    assert (trigger["id"], trigger["state"], "conf" in trigger) == (failed.trigger, "failed", True)
    with pytest.raises(BadFilter, match="route"):
        run("export", "deliveries", "--route", "x")


def test_attempts_are_exported_with_whose_they_are(run: Run, bridge: BridgeProcess) -> None:
    """By the filters of their triggers."""
    bridge.send(body(event="evt_tried"))  # at an Airflow that is not there, so only the first is tried
    wait_for(lambda: _lines(run("export", "attempts")), seconds=10, what="an attempt")
    first = _lines(run("export", "attempts"))[0]
    (line, *_) = _lines(run("export", "attempts", "--delivery", first["delivery_id"], "--dag", "refresh_sales_marts"))
    assert (line["number"], line["trigger_id"]) == (1, first["trigger_id"])
    assert _lines(run("export", "attempts", "--dag", "open_incident")) == []


def test_a_viewer_exports_nothing(bridge: BridgeProcess, failed: Failed) -> None:
    """Bodies and confs are in it: the API says which role is needed; exit 2."""
    run = runner(bridge, "--url", TOKENS[Role.VIEWER])
    with pytest.raises(ConfigError, match="this needs the role operator"):
        run("export", "deliveries", "--job", failed.job)
    (line,) = _lines(runner(bridge, "--url", TOKENS[Role.OPERATOR])("export", "deliveries", "--job", failed.job))
    assert json.loads(line["body"])["job_id"] == failed.job


def _lines(ended: tuple[int, str]) -> list[Any]:
    code, out = ended
    assert code == 0
    return [json.loads(line) for line in out.splitlines()]


def test_a_viewer_may_order_nothing(bridge: BridgeProcess, failed: Failed) -> None:
    """The API says which role is needed; exit 2."""
    run = runner(bridge, "--url", TOKENS[Role.VIEWER])
    for words in (("replay", failed.trigger), ("pause", "route", "bad_template"), ("orders", "ord_1", "--stop")):
        with pytest.raises(ConfigError, match="this needs the role operator"):
            run(*words)
