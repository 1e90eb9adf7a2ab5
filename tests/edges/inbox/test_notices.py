"""What each target was sent is remembered as it was said, target by target and cause by cause."""

from dataclasses import replace
from datetime import timedelta

from bridge.edges.inbox import Inbox, notices
from bridge.words.notices import Failing, Notice
from tests.support.store import NOW

LATER = NOW + timedelta(hours=1)
NOTICE = Notice("chat", "b", NOW)
SENT = Notice("chat", "b", NOW + timedelta(minutes=1), LATER, LATER + timedelta(1), "1 thing", {"orders": (1, 7)})


def test_a_notice_comes_back_as_it_was_remembered(inbox: Inbox) -> None:
    """All of it, also once it was remembered anew; in one order."""
    others = [replace(NOTICE, cause="a"), replace(NOTICE, to="mail", cause="a")]
    inbox.write(notices.keep, [NOTICE], to="chat")
    inbox.write(notices.keep, [others[1]], to="mail")
    inbox.write(notices.keep, [others[0]], to="chat")
    assert inbox.read(notices.read) == [others[0], NOTICE, others[1]]
    inbox.write(notices.keep, [SENT], to="chat")
    assert inbox.read(notices.read) == [others[0], SENT, others[1]]
    inbox.write(notices.keep, [NOTICE], to="chat")
    assert inbox.read(notices.read) == [others[0], NOTICE, others[1]]


def test_a_cause_is_forgotten_at_its_target_alone(inbox: Inbox) -> None:
    """Other causes, and the same one at another target, stay."""
    kept = [replace(NOTICE, cause="a"), replace(NOTICE, to="mail")]
    inbox.write(notices.keep, [NOTICE, *kept], to="chat")
    inbox.write(notices.keep, [], to="chat", forgotten=["b"])
    assert inbox.read(notices.read) == kept


def test_a_target_that_is_configured_no_more_is_forgotten(inbox: Inbox) -> None:
    """With what did not reach it."""
    for name in ("chat", "mail"):
        inbox.write(notices.settle, [replace(NOTICE, to=name)], to=name, problem="away", now=NOW)
    inbox.write(notices.settle, [], to="gone", problem="away", now=NOW)
    inbox.write(notices.keep_targets, ["mail"])
    assert [each.to for each in inbox.read(notices.read)] == ["mail"]
    assert inbox.read(notices.failing) == [Failing("mail", NOW, "away")]


def test_since_when_messages_do_not_reach_a_target_is_kept_from_the_first(inbox: Inbox) -> None:
    """With the newest problem, until one was sent; nothing to send ends nothing. In the order of their names."""
    inbox.write(notices.settle, [], to="mail", problem="refused", now=LATER)
    for problem, now in (("away", NOW), ("refused", LATER), (None, LATER)):
        inbox.write(notices.settle, [], to="chat", problem=problem, now=now)
    failing = [Failing("chat", NOW, "refused"), Failing("mail", LATER, "refused")]
    assert inbox.read(notices.failing) == failing
    inbox.write(notices.settle, [NOTICE], to="chat", problem=None, now=LATER)
    assert inbox.read(notices.failing) == failing[1:]
