"""Who is sent what and when: one message a cause and quarter of an hour, a word when it is over, nothing twice."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge.rules.attention import WHATS, Facts, Need, needs
from bridge.rules.notifying import QUARTER, Around, judge
from bridge.words.dags import DagState, KnownDag
from bridge.words.notices import Kind, Message, Notice
from bridge.words.targets import NotifyTarget, Secret

NOW = datetime(2025, 3, 27, 3, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3600, 86_400))
AROUND = Around()
TARGET = NotifyTarget("CHAT", Secret("json://chat"), frozenset(WHATS), 0.0)
FAILED = Need(
    "failed",
    "orders -> load at default",
    "its template fails",
    "mend it",
    NOW - HOUR,
    2,
    "template",
    "trg_1",
    {"route": "orders", "state": "failed"},
    NOW - MINUTE,
)
DOWN = Need("airflow_down", "default", "Airflow default: it is down", "wait", count=5, reason="airflow_down")
HELD = Need("held", "orders -> load at default", "its DAG is paused", "unpause it", NOW, 1, "dag_paused", newest=NOW)
BROKEN = Need("mapping_broken", "mapping", "the mapping cannot be used", "mend it")


class Desk:
    """One target over time: what it is sent, when every message arrives."""

    def __init__(self, target: NotifyTarget = TARGET, around: Around = AROUND) -> None:
        """Nothing is known."""
        self.target = target
        self.around = around
        self.known: dict[str, Notice] = {}
        self.now = NOW
        self.arrives = True

    def look(self, *needs: Need, later: timedelta = timedelta(0)) -> list[Message]:
        """Look once, so much later, and return what is sent."""
        self.now += later
        verdict = judge(self.target, needs, self.known, now=self.now, around=self.around)
        for cause in verdict.forgotten:
            del self.known[cause]
        self.known |= {notice.cause: notice for notice in verdict.kept}
        if self.arrives:
            self.known |= {due.after.cause: due.after for due in verdict.due}
        return [due.message for due in verdict.due]

    def kinds(self, *needs: Need, later: timedelta = timedelta(0)) -> list[Kind]:
        """The same, and of each message what it says of its cause."""
        return [message.kind for message in self.look(*needs, later=later)]


def _many(amount: int) -> Sequence[Need]:
    return [replace(FAILED, about=f"route_{n} -> load at default", count=1) for n in range(amount)]


def test_a_cause_is_one_message_however_many_places_have_it() -> None:
    """It names eight of them and counts the rest; another reason is a cause of its own."""
    (message,) = Desk().look(*_many(20))
    assert message.title == "failed, template: at 20 places"
    assert "- route_7 -> load at default: 1, since 2025-03-27 02:00 UTC (trg_1)\n- and 12 more" in message.text
    assert "route_8 " not in message.text
    assert len(Desk().look(FAILED, replace(FAILED, reason="condition"), BROKEN)) == 3


def test_a_message_says_why_where_since_when_the_next_step_the_owner_and_the_link() -> None:
    """In this order, in plain text."""
    around = Around(link=lambda need: f"https://bridge/{need.what}", owner=lambda route: f"team of {route}")
    (message,) = Desk(around=around).look(FAILED)
    assert (message.kind, message.title) == (Kind.NEW, "failed: orders -> load at default")
    assert message.text.split("\n\n") == [
        "its template fails",
        "- orders -> load at default: 2, since 2025-03-27 02:00 UTC (trg_1)",
        "Next: mend it",
        "Owner: team of orders",
        "https://bridge/failed",
    ]


def test_a_message_about_a_param_that_a_route_leaves_out_names_the_owner_of_the_route() -> None:
    """It is for that team to add it."""
    dag = KnownDag("default", "load", DagState.OK, NOW, NOW)
    found = needs(Facts(NOW, dags=[dag], lacking={("default", "load"): {"orders": "conf lacks day"}}))
    (message,) = Desk(around=Around(owner=lambda route: f"team of {route}")).look(*found)
    assert "Owner: team of orders" in message.text


def test_what_has_been_sent_is_not_sent_again() -> None:
    """Nothing changed: nothing for a day, then once more, so that it is not forgotten."""
    desk = Desk()
    assert desk.kinds(FAILED, BROKEN) == [Kind.NEW, Kind.NEW]
    assert desk.kinds(FAILED, BROKEN, later=HOUR) == []
    assert desk.kinds(FAILED, BROKEN, later=22 * HOUR) == []
    assert desk.kinds(FAILED, BROKEN, later=HOUR) == [Kind.MORE, Kind.MORE]


@pytest.mark.parametrize(
    "more",
    [
        [replace(FAILED, count=3)],
        [replace(FAILED, newest=NOW)],
        [FAILED, replace(FAILED, about="another -> load at default")],
    ],
    ids=["one more", "another one of as many", "another place"],
)
def test_more_of_a_cause_is_sent_at_most_every_quarter_of_an_hour(more: list[Need]) -> None:
    """Not before, then at once; and not a third time."""
    desk = Desk()
    desk.look(FAILED)
    assert desk.kinds(*more, later=QUARTER - SECOND) == []
    assert desk.kinds(*more, later=SECOND) == [Kind.MORE]
    assert desk.kinds(*more, later=QUARTER) == []


def test_how_much_waits_behind_a_cause_is_no_news() -> None:
    """More is held for an Airflow that is down with every webhook; another Airflow that goes down is news."""
    desk = Desk()
    desk.look(DOWN)
    assert desk.kinds(replace(DOWN, count=900), later=HOUR) == []
    assert desk.kinds(DOWN, replace(DOWN, about="second"), later=MINUTE) == [Kind.MORE]
    assert desk.kinds(replace(DOWN, reason="airflow_unauthorized"), later=HOUR) == []


def test_the_end_is_sent_once_it_has_lasted() -> None:
    """Two minutes after it, and a quarter of an hour after the last message: then nothing is left of it."""
    desk = Desk()
    desk.look(DOWN)
    assert desk.kinds(later=20 * MINUTE) == []
    assert desk.kinds(later=2 * MINUTE - SECOND) == []
    (message,) = desk.look(later=SECOND)
    assert (message.kind, message.title) == (Kind.OVER, "over: airflow_down: default")
    assert message.text == "It began 2025-03-27 03:00 UTC and had ended 2025-03-27 03:20 UTC."
    assert desk.kinds(later=MINUTE) == []
    assert desk.kinds(later=QUARTER) == []
    assert desk.known == {}


def test_the_end_of_what_is_counted_may_be_its_age() -> None:
    """A DAG run that failed a day ago needs nobody any more, and nobody may have mended it."""
    desk = Desk()
    desk.look(FAILED)
    desk.look(later=HOUR)
    (message,) = desk.look(later=HOUR)
    assert "or the last of it is more than a day old" in message.text


def test_the_end_waits_for_the_quarter_of_an_hour_too() -> None:
    """At most one message a cause and quarter of an hour, whatever it says."""
    desk = Desk()
    desk.look(DOWN)
    assert desk.kinds(later=MINUTE) == []
    assert desk.kinds(later=10 * MINUTE) == []
    assert desk.kinds(later=4 * MINUTE) == [Kind.OVER]


def test_what_comes_and_goes_makes_four_messages_an_hour_at_most() -> None:
    """Whatever its rhythm."""
    for rhythm in (1, 3, 7):
        desk = Desk()
        sent = [len(desk.look(*[DOWN] * (minute // rhythm % 2 == 0), later=MINUTE)) for minute in range(180)]
        assert 1 <= max(sum(sent[begin : begin + 60]) for begin in range(120)) <= 4, rhythm


def test_a_short_break_is_no_end() -> None:
    """A replica that has just started does not know yet that an Airflow is down."""
    desk = Desk()
    desk.look(DOWN)
    desk.look(later=HOUR)
    assert desk.kinds(DOWN, later=MINUTE) == []
    assert desk.kinds(DOWN, later=HOUR) == []


def test_what_is_over_and_comes_back_is_new() -> None:
    """And counts its `after` anew; not within a quarter of an hour after the word that it was over."""
    desk = Desk(replace(TARGET, after_seconds=60))
    desk.look(BROKEN)
    assert desk.kinds(BROKEN, later=MINUTE) == [Kind.NEW]
    desk.look(later=HOUR)
    assert desk.kinds(later=HOUR) == [Kind.OVER]
    desk.look(later=MINUTE)
    assert desk.kinds(BROKEN, later=SECOND) == []
    assert desk.kinds(BROKEN, later=QUARTER - MINUTE - 2 * SECOND) == []
    assert desk.kinds(BROKEN, later=SECOND) == [Kind.NEW]


def test_what_is_over_before_it_was_sent_is_never_sent() -> None:
    """`after` is for what passes by itself."""
    desk = Desk(replace(TARGET, after_seconds=300))
    assert desk.kinds(DOWN) == []
    assert desk.kinds(DOWN, later=299 * SECOND) == []
    assert desk.kinds(later=SECOND) == []
    assert desk.known == {}
    assert desk.kinds(DOWN, later=SECOND) == []
    assert desk.kinds(DOWN, later=300 * SECOND) == [Kind.NEW]


def test_what_did_not_arrive_is_due_again() -> None:
    """As it is by then."""
    desk = Desk()
    desk.arrives = False
    assert desk.kinds(FAILED) == [Kind.NEW]
    desk.arrives = True
    (message,) = desk.look(replace(FAILED, count=7), later=MINUTE)
    assert (message.kind, "default: 7," in message.text) == (Kind.NEW, True)


def test_only_what_was_asked_for_is_sent() -> None:
    """And what is wanted no more is forgotten without a word that it is over."""
    desk = Desk(replace(TARGET, on=frozenset({"failed"})))
    assert desk.kinds(FAILED, DOWN, BROKEN) == [Kind.NEW]
    desk.target = replace(TARGET, on=frozenset({"airflow_down"}))
    assert desk.kinds(FAILED, later=HOUR) == []
    assert desk.known == {}


def test_held_too_long_is_what_is_held_for_four_hours() -> None:
    """Whoever wants `held` has it at once, and does not get it twice."""
    desk = Desk(replace(TARGET, on=frozenset({"held_too_long"})))
    assert desk.kinds(HELD, later=4 * HOUR - SECOND) == []
    assert desk.kinds(HELD, later=SECOND) == [Kind.NEW]
    assert desk.kinds(later=HOUR) == []
    assert desk.kinds(later=HOUR) == [Kind.OVER]
    both = Desk(replace(TARGET, on=frozenset({"held", "held_too_long"})))
    assert both.kinds(HELD) == [Kind.NEW]
    assert both.kinds(HELD, later=5 * HOUR) == []


def test_a_clock_that_ran_ahead_silences_nothing() -> None:
    """A message that is said to have been sent tomorrow was sent by a replica with a wrong clock."""
    desk = Desk()
    desk.look(FAILED)
    assert desk.kinds(replace(FAILED, count=3), later=-2 * HOUR) == [Kind.MORE]


def test_long_texts_are_cut_and_control_characters_are_blanks() -> None:
    """A mistake in a mapping is shown with its text, and a mail server must not be steered by it."""
    (message,) = Desk().look(replace(BROKEN, says="x" * 5000, about="a\r\nBcc: b" + "y" * 500))
    assert "\r" not in message.title + message.text
    assert len(message.title) == 150
    assert len(message.text) < 2000


def test_what_was_remembered_longest_is_forgotten_first() -> None:
    """Places that are there now are kept, so that none of them is news again."""
    desk = Desk()
    desk.look(*_many(900))
    now = [replace(need, about=f"new {need.about}") for need in _many(800)]
    assert desk.kinds(*now, later=HOUR) == [Kind.MORE]
    assert len(desk.known["failed template"].places) == 1000
    assert desk.kinds(*now, later=HOUR) == []
