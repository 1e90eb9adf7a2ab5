"""People are notified through a real service, and whatever that service does holds up nothing and loses nothing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.chores.loop import FINISHED
from bridge.edges.inbox import Inbox, notices
from bridge.edges.metrics import Metrics
from bridge.flows import attending
from bridge.flows.notifying import Notifying
from bridge.rules.attention import WHATS, Need
from bridge.words.notices import Notice
from bridge.words.targets import NotifyTarget, Secret
from tests.support.receiver import Receiver
from tests.support.service import wait_for

NOW = datetime(2030, 1, 1, 3, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
FAILED = Need("failed", "orders -> load at default", "its template fails", "mend it", NOW, 2, "template", newest=NOW)
BROKEN = Need("mapping_broken", "mapping", "the mapping cannot be used", "mend it")
_PATIENCE = 300.0  # apprise takes seconds of a core to load


@pytest.fixture
def chat() -> Iterator[Receiver]:
    """Where messages go."""
    with Receiver() as receiver:
        yield receiver


class Replica:
    """One process that notifies, with its own way to the store, at a time that the test sets."""

    def __init__(self, url: str, *targets: NotifyTarget, deadline_seconds: float = 600.0) -> None:
        """Nothing needs anybody yet."""
        self.needs: list[Need] = []
        self.now = NOW
        self.inbox = Inbox(url)
        self.metrics = Metrics(keys_by_source={}, airflows=[])
        self.notifying = Notifying(
            inbox=self.inbox,
            metrics=self.metrics,
            targets=targets,
            needs=self._standing,
            deadline_seconds=deadline_seconds,
            clock=lambda: self.now,
            monotonic=self._seconds,
        )

    def _seconds(self) -> float:
        return self.now.timestamp()

    def _standing(self) -> list[Need]:
        return self.needs

    def look(self, *needs: Need, later: timedelta = MINUTE) -> None:
        """Look once, so much later, and wait until nothing is under way."""
        self.begin(*needs, later=later)
        wait_for(lambda: self.notifying.step() is None, seconds=_PATIENCE, what="the end of every message")

    def begin(self, *needs: Need, later: timedelta = MINUTE) -> None:
        """Look once, so much later, and wait for nothing."""
        self.needs = list(needs)
        self.now += later
        self.notifying.step()

    def stop(self) -> None:
        """End as the service does."""
        self.notifying.loop.stop(60.0)
        self.inbox.close()

    def problems(self) -> dict[str, str]:
        """Return whom messages do not reach, and why."""
        return {each.to: each.problem for each in self.inbox.read(notices.failing)}

    def counted(self, target: str, outcome: str) -> float:
        """Return how many messages ended so."""
        return float(self.metrics.notifying.messages.labels(target, outcome)._value.get())


@pytest.fixture
def start(path: Path) -> Iterator[Callable[..., Replica]]:
    """Start replicas on one store."""
    running: list[Replica] = []

    def one(*targets: NotifyTarget, **more: Any) -> Replica:
        running.append(Replica(f"sqlite:///{path}", *targets, **more))
        return running[-1]

    yield one
    for each in running:
        each.stop()


def _target(chat: Receiver, name: str = "CHAT_URL") -> NotifyTarget:
    return NotifyTarget(name, Secret(chat.url), frozenset(WHATS), 0.0)


def test_what_was_sent_survives_a_restart(chat: Receiver, start: Callable[..., Replica]) -> None:
    """Nothing is sent twice, and the word that it is over is sent by whoever runs by then."""
    first = start(_target(chat))
    first.look(FAILED, BROKEN)
    assert chat.titles == ["failed: orders -> load at default", "mapping_broken: mapping"]
    assert (chat.taken[0]["type"], "Next: mend it" in chat.taken[0]["message"]) == ("failure", True)
    assert first.counted("CHAT_URL", "sent") == 2
    first.stop()
    second = start(_target(chat))
    second.now = first.now
    second.look(FAILED, BROKEN)
    assert len(chat.taken) == 2
    second.look(FAILED, later=HOUR)
    second.look(FAILED)
    second.look(FAILED)
    assert [message["type"] for message in chat.taken[2:]] == ["success"]
    assert chat.titles[2:] == ["over: mapping_broken: mapping"]


def test_of_two_replicas_one_sends(chat: Receiver, start: Callable[..., Replica]) -> None:
    """The other one goes on when the first is gone, and repeats nothing."""
    first, second = start(_target(chat)), start(_target(chat))
    first.look(FAILED)
    second.look(FAILED, BROKEN)
    assert chat.titles == ["failed: orders -> load at default"]
    first.stop()
    second.look(FAILED, BROKEN)
    assert chat.titles[1:] == ["mapping_broken: mapping"]


def test_a_service_that_refuses_is_counted_shown_and_tried_again(chat: Receiver, start: Callable[..., Replica]) -> None:
    """After a minute, with what is so by then; what is secret in its URL is nowhere."""
    chat.status = 500
    replica = start(_target(chat))
    replica.look(FAILED)
    (problem,) = replica.problems().values()
    assert "error=500" in problem
    assert "hidden" not in problem
    assert (replica.counted("CHAT_URL", "failed"), replica.counted("CHAT_URL", "sent")) == (1, 0)
    (need,) = attending.needs(replica.inbox)
    assert (need.what, need.about) == ("not_notified", "CHAT_URL")
    assert "notify --test" in need.next_step
    asked = chat.asked
    replica.look(FAILED, need, later=MINUTE / 2)
    assert chat.asked == asked
    chat.status = 200
    replica.look(replace(FAILED, count=9), need)
    assert "default: 9," in chat.taken[0]["message"]
    assert (chat.titles, replica.problems()) == (["failed: orders -> load at default"], {})


def test_a_service_that_hangs_holds_up_no_other(chat: Receiver, start: Callable[..., Replica]) -> None:
    """A look waits for nobody; at its deadline the process that sends is killed, and that is said to the others."""
    with Receiver() as slow:
        slow.hangs = True
        replica = start(_target(chat), _target(slow, "SLOW_URL"), deadline_seconds=10.0)
        replica.look(FAILED)
        assert replica.problems() == {"SLOW_URL": "it did not end within 10 s"}
        (need,) = attending.needs(replica.inbox)
        wait_for(lambda: _looked(replica, need) and len(chat.taken) == 2, seconds=_PATIENCE, what="the others")
    assert sorted(chat.titles) == ["failed: orders -> load at default", "not_notified: SLOW_URL"]


def _looked(replica: Replica, need: Need) -> bool:
    replica.look(FAILED, need, later=MINUTE)
    return True


def _failed(name: str) -> Need:
    return replace(FAILED, about=name, reason=name)


def test_messages_that_are_refused_let_the_others_go_first(chat: Receiver, start: Callable[..., Replica]) -> None:
    """A service that dislikes three texts is no reason to keep the fourth from people."""
    bad = [_failed(name) for name in ("one", "two", "three")]
    chat.refused = frozenset(f"failed: {need.about}" for need in bad)
    replica = start(_target(chat))
    replica.look(*bad, _failed("four"))
    assert chat.titles == []
    replica.look(*bad, _failed("four"))
    assert chat.titles == ["failed: four"]
    chat.refused = frozenset()
    replica.look(*bad, _failed("four"), later=HOUR)
    assert sorted(chat.titles) == ["failed: four", "failed: one", "failed: three", "failed: two"]


def test_a_new_cause_does_not_wait_out_the_rest_of_a_refused_one(chat: Receiver, start: Callable[..., Replica]) -> None:
    """The rest of minutes is that of what failed; what is new is sent a minute after the last try at the latest."""
    chat.refused = frozenset({"failed: bad"})
    replica = start(_target(chat))
    for rest in (0, 1, 2):
        replica.look(_failed("bad"), later=rest * MINUTE)
    assert chat.asked == 3
    replica.look(_failed("bad"), _failed("new"), later=MINUTE / 2)
    assert chat.asked == 3
    replica.look(_failed("bad"), _failed("new"), later=MINUTE / 2)
    assert chat.titles == ["failed: new"]


def test_a_service_that_is_down_costs_one_try_for_each_new_cause(chat: Receiver, start: Callable[..., Replica]) -> None:
    """Then it rests with the others."""
    chat.status = 500
    replica = start(_target(chat))
    for rest in (0, 1, 2):
        replica.look(_failed("one"), later=rest * MINUTE)
    for _ in range(3):
        replica.look(_failed("one"), _failed("two"))
    assert chat.asked == 4


def test_new_causes_that_are_refused_do_not_lengthen_the_rest_of_others(
    chat: Receiver, start: Callable[..., Replica]
) -> None:
    """A service that was away is found to be back when the rest of what failed first is over."""
    chat.status = 500
    replica = start(_target(chat))
    for rest in (0, 1, 2):
        replica.look(_failed("one"), later=rest * MINUTE)
    names = ["one"]
    for name in ("two", "three", "four"):  # the rest is four minutes
        names.append(name)
        replica.look(*map(_failed, names), later=MINUTE)
    chat.status = 200
    replica.look(*map(_failed, names), later=MINUTE + MINUTE / 2)
    assert sorted(chat.titles) == sorted(f"failed: {name}" for name in names)


def test_a_message_that_hangs_is_the_last_of_the_next_ones(chat: Receiver, start: Callable[..., Replica]) -> None:
    """Those after it were not even tried."""
    needs = [_failed(name) for name in ("one", "two", "three")]
    chat.unanswered = frozenset({"failed: one"})
    replica = start(_target(chat), deadline_seconds=10.0)
    wait_for(
        lambda: replica.look(*needs, later=HOUR) or len(chat.titles) == 2, seconds=_PATIENCE, what="both of the others"
    )
    assert sorted(chat.titles) == ["failed: three", "failed: two"]


def test_stopping_waits_for_no_service(start: Callable[..., Replica]) -> None:
    """What hangs is ended; it is sent by whoever runs next."""
    with Receiver() as slow:
        slow.hangs = True
        replica = start(_target(slow))
        replica.begin(FAILED)
        wait_for(lambda: slow.asked > 0, seconds=_PATIENCE, what="a message under way")
        replica.notifying.loop.stop(2.0)
        slow.hangs = False
        second = start(_target(slow))
        second.look(FAILED, later=2 * MINUTE)
        assert slow.titles == ["failed: orders -> load at default"]


def test_a_url_that_nobody_knows_is_said_before_it_is_needed(start: Callable[..., Replica]) -> None:
    """At the start, when nothing needs anybody; one that is understood is no news."""
    replica = start(NotifyTarget("TYPO_URL", Secret("jsno://hidden-word"), frozenset(WHATS)))
    replica.look()
    assert replica.problems() == {
        "TYPO_URL": "apprise knows no service by this URL, or the URL lacks what the service needs"
    }


def test_who_is_notified_no_more_is_forgotten(start: Callable[..., Replica]) -> None:
    """Nothing of a target that was taken out of bridge.yaml is shown for good."""
    replica = start()
    known = [Notice("CHAT_URL", "failed", NOW)]
    replica.inbox.write(notices.settle, known, to="CHAT_URL", problem="refused", now=NOW)
    assert replica.notifying.step() == FINISHED
    assert (replica.problems(), replica.inbox.read(notices.read)) == ({}, [])
