"""What a person agreed to is what is done: a filter that means something else by then is counted once more."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from bridge.words.roles import Role
from tests.support.forkserver import COMMAND
from tests.support.service import TOKEN, BridgeProcess, body, wait_for
from tests.web.asking import PLACES
from tests.web.browsing import Person, fields_of, text_of

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]


class Failures:
    """Triggers of one job whose template failed, however many."""

    def __init__(self, bridge: BridgeProcess) -> None:
        self.job = f"job_{time.monotonic_ns()}"
        self.filter = {"state": "failed", "job_id": self.job}
        self._bridge = bridge
        self._count = 0

    def one_more(self) -> None:
        """Let one more fail."""
        self._count += 1
        self._bridge.send(body(event=f"evt_{self.job}_{self._count}", pipeline="pl_bad", job=self.job))
        wait_for(lambda: len(self.found) == self._count, seconds=10, what="one more failed")

    @property
    def found(self) -> list[str]:
        """The ids of those that failed."""
        return [each["id"] for each in self._bridge.api("triggers", **self.filter)["triggers"]]

    @property
    def orders(self) -> list[int]:
        """How many items each order for them had."""
        every = self._bridge.api("orders")["orders"]
        return [each["count"] for each in every if each["reason"] == self.job]


@pytest.fixture
def failures(bridge: BridgeProcess) -> Failures:
    """One that failed."""
    made = Failures(bridge)
    made.one_more()
    return made


@pytest.fixture
def operator(bridge: BridgeProcess) -> Iterator[Person]:
    """Somebody who may."""
    made = Person(bridge.admin_port, Role.OPERATOR)
    yield made
    made.close()


def test_a_page_asks_once_more_when_more_matches(operator: Person, failures: Failures) -> None:
    """With the new count, and what the person wrote; nothing was done. The new question does what it says."""
    asked = operator.look("/orders/new", action="cancel", **failures.filter)
    assert "Cancel 1 trigger?" in text_of(asked)
    failures.one_more()
    answer = operator.send("/orders", **fields_of(asked) | {"why": failures.job})
    assert answer.status_code == 409
    text = text_of(answer.text)
    assert "What matches has changed since it was counted: 2 now. Nothing was done." in text
    assert "Cancel 2 triggers?" in text
    assert f'value="{failures.job}" maxlength' in answer.text
    assert failures.orders == []
    assert operator.send("/orders", **fields_of(answer.text) | {"why": failures.job}).status_code == 303
    assert failures.orders == [2]


def test_a_form_that_was_never_counted_asks_first(operator: Person, failures: Failures) -> None:
    """As one of a page that was open while the bridge was upgraded."""
    answer = operator.send("/orders", action="cancel", **failures.filter)
    assert (answer.status_code, "Cancel 1 trigger?" in text_of(answer.text)) == (409, True)
    assert len(failures.found) == 1


def test_a_group_is_of_one_cause(operator: Person, failures: Failures) -> None:
    """Its reason is a part of what is asked for; why somebody acts on it is another field."""
    asked = operator.look("/orders/new", action="cancel", reason="expired", **failures.filter)
    assert "Nothing matches any more" in asked
    asked = operator.look("/orders/new", action="cancel", reason="template", **failures.filter)
    assert fields_of(asked)["reason"] == "template"
    assert "Cancel 1 trigger?" in text_of(asked)


def test_the_api_does_what_was_counted_or_nothing(bridge: BridgeProcess, failures: Failures) -> None:
    """409 with the next step; sent again under its key, an order that was placed is answered as before."""
    head = {"Authorization": f"Bearer {TOKEN}"}
    url = f"http://127.0.0.1:{bridge.admin_port}/api/v1/cancel"
    order = {"filter": failures.filter, "reason": failures.job}

    def send(**more: object) -> httpx.Response:
        return httpx.post(url, json=order | more, headers=head, trust_env=False, timeout=60)

    expected = send(dry_run=True).json()["expected"]
    failures.one_more()
    refused = send(expected=expected)
    assert (refused.status_code, refused.json()["error"]) == (409, "changed")
    assert "2 match now; nothing was done" in refused.json()["detail"]
    assert refused.json()["next_step"]
    assert failures.orders == []
    expected = send(dry_run=True).json()["expected"]
    answers = [send(expected=expected, idempotency_key=failures.job).json() for _ in range(2)]
    assert [(each["count"], each["is_repeat"]) for each in answers] == [(2, False), (2, True)]


def test_what_was_counted_and_is_gone_has_changed(bridge: BridgeProcess, operator: Person, failures: Failures) -> None:
    """409 by the API; the page says that nothing matches any more. Without a count, nothing is simply done."""
    head = {"Authorization": f"Bearer {TOKEN}"}
    url = f"http://127.0.0.1:{bridge.admin_port}/api/v1/cancel"

    def send(**more: object) -> httpx.Response:
        return httpx.post(url, json={"filter": failures.filter} | more, headers=head, trust_env=False, timeout=60)

    asked = operator.look("/orders/new", action="cancel", **failures.filter)
    expected = send(dry_run=True).json()["expected"]
    send()
    wait_for(lambda: not failures.found, seconds=10, what="the order's end")
    refused = send(expected=expected)
    assert (refused.status_code, refused.json()["error"]) == (409, "changed")
    assert "0 match now; nothing was done" in refused.json()["detail"]
    assert (send().status_code, send().json()["count"]) == (200, 0)
    answer = operator.send("/orders", **fields_of(asked))
    assert (answer.status_code, "Nothing matches any more" in text_of(answer.text)) == (409, True)


@pytest.fixture(params=PLACES)
def terminal(
    request: pytest.FixtureRequest, bridge: BridgeProcess
) -> Iterator[Callable[..., tuple["subprocess.Popen[bytes]", int]]]:
    """Start a command at a terminal, against the running bridge or beside it; gives where to type, too."""
    url = {"BRIDGE_URL": f"http://127.0.0.1:{bridge.admin_port}"} if request.param == "--url" else {}
    begun: list[subprocess.Popen[bytes]] = []
    ends: list[int] = []

    def start(*words: str) -> tuple["subprocess.Popen[bytes]", int]:
        mine, its = os.openpty()
        ends.extend((mine, its))
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        begun.append(subprocess.Popen([COMMAND, *words], env=bridge.environment | url, stdin=its, **pipes))
        return begun[-1], mine

    yield start
    for process in begun:
        process.kill()
        process.communicate()
    for end in ends:
        os.close(end)


def _said(process: "subprocess.Popen[bytes]") -> bytes:
    """Read what a command says until it asks."""
    said = b""
    assert process.stderr is not None
    while b"Do it?" not in said:
        piece = process.stderr.read(1)
        assert piece, said
        said += piece
    return said


def test_a_command_does_what_the_person_agreed_to(
    terminal: Callable[..., tuple["subprocess.Popen[bytes]", int]], failures: Failures
) -> None:
    """It says how many match, and asks."""
    process, keys = terminal("cancel", "--state", "failed", "--job", failures.job, "--reason", failures.job)
    assert b"1 match" in _said(process)
    os.write(keys, b"y\n")
    _, more = process.communicate(timeout=60)
    assert (process.returncode, failures.orders) == (0, [1]), more


@pytest.mark.parametrize(("answer", "code", "done"), [(b"y\n", 0, [2]), (b"n\n", 1, [])])
def test_a_command_counts_once_more_when_the_set_moved(
    terminal: Callable[..., tuple["subprocess.Popen[bytes]", int]],
    failures: Failures,
    answer: bytes,
    code: int,
    done: list[int],
) -> None:
    """It does nothing, says the new count and asks again, as the page does; and it names what needs no count."""
    process, keys = terminal("cancel", "--state", "failed", "--job", failures.job, "--reason", failures.job)
    assert b"1 match" in _said(process)
    failures.one_more()
    os.write(keys, b"y\n")
    again = _said(process)
    assert b"2 match now; nothing was done" in again
    assert b"With --yes" in again
    os.write(keys, answer)
    _, more = process.communicate(timeout=60)
    assert (process.returncode, failures.orders) == (code, done), more


def test_a_command_says_that_nothing_matches_any_more(
    terminal: Callable[..., tuple["subprocess.Popen[bytes]", int]], operator: Person, failures: Failures
) -> None:
    """Exit 1, and why: somebody else was faster."""
    process, keys = terminal("cancel", "--state", "failed", "--job", failures.job, "--reason", failures.job)
    assert b"1 match" in _said(process)
    operator.send("/orders", action="cancel", ids=" ".join(failures.found))
    wait_for(lambda: not failures.found, seconds=10, what="the order of somebody else")
    os.write(keys, b"y\n")
    _, more = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"0 match now; nothing was done" in more
