"""What a message says, to the letter: its title, its places and steps, and where it is cut."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bridge.rules.attention import Need
from bridge.rules.notifying.wording import message, title
from bridge.words.notices import Kind, Message

NEED = Need("failed", "orders", "its template fails", "mend it", reason="template")


def _nobody(_: str) -> None:
    """Know no owner."""


def worded(
    found: Sequence[Need],
    kind: Kind = Kind.NEW,
    *,
    owner: Callable[[str], str | None] = _nobody,
    link: str | None = None,
) -> Message:
    """Word one cause; a link leads to the first of it."""
    return message(kind, found, link=lambda need: link and f"{link}/{need.about}", owner=owner)


def places(amount: int, need: Need = NEED) -> list[Need]:
    """Return as many places of one cause."""
    return [replace(need, about=f"place {number}") for number in range(1, amount + 1)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (places(1), "failed: place 1"),
        (places(2), "failed, template: at 2 places"),
        (places(3), "failed, template: at 3 places"),
        (places(1, replace(NEED, reason=None)), "failed: place 1"),
        (places(2, replace(NEED, reason=None)), "failed: place 1 and 1 more"),
        (places(3, replace(NEED, reason=None)), "failed: place 1 and 2 more"),
        ([NEED, replace(NEED, about="other", reason="condition")], "failed: orders and 1 more"),
        ([NEED, NEED, replace(NEED, reason="condition")], "failed: orders and 2 more"),
    ],
)
def test_a_title_says_how_many_places_have_the_one_reason(found: Sequence[Need], expected: str) -> None:
    """Else it names the first, and how many there are beside it."""
    assert title(found) == expected
    assert worded(found, Kind.MORE).title == f"more: {expected}"
    assert worded(found, Kind.NEW).title == expected


@pytest.mark.parametrize(("amount", "named", "more"), [(8, 8, []), (9, 8, ["- and 1 more"]), (11, 8, ["- and 3 more"])])
def test_eight_places_are_named_and_the_others_counted(amount: int, named: int, more: list[str]) -> None:
    """Nothing is said of no others."""
    assert worded(places(amount)).text.split("\n\n")[1].split("\n") == [
        *(f"- place {number}: 1" for number in range(1, named + 1)),
        *more,
    ]


def test_what_is_alike_is_said_once() -> None:
    """Sentences, steps and owners, each in the order of the places; the link is that of the first."""
    found = [
        replace(NEED, filter={"route": "a"}, since=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), example="trg_1"),
        replace(NEED, about="b", filter={"route": "b"}, says="its DAG is paused", next_step="unpause it", count=2),
        replace(NEED, about="c", filter={"route": "c"}),
        replace(NEED, about="d", filter={"state": "failed"}),
        replace(NEED, about="e", filter={"route": "nobodys"}),
    ]
    owners = {"a": "sales", "b": "stock", "c": "sales"}
    assert worded(found, owner=owners.get, link="https://bridge").text.split("\n\n") == [
        "its template fails\nits DAG is paused",
        "- orders: 1, since 2030-01-02 03:04 UTC (trg_1)\n- b: 2\n- c: 1\n- d: 1\n- e: 1",
        "Next: mend it\nNext: unpause it",
        "Owner: sales, stock",
        "https://bridge/orders",
    ]


@pytest.mark.parametrize(("length", "is_whole"), [(599, True), (600, True), (601, False), (5000, False)])
def test_a_sentence_of_more_than_600_characters_is_cut(length: int, is_whole: bool) -> None:
    """And says so with three dots; so does a next step."""
    shown = "x" * length if is_whole else "x" * 597 + "..."
    text = worded([replace(NEED, says="x" * length, next_step="x" * length)]).text
    assert text.split("\n\n") == [shown, "- orders: 1", f"Next: {shown}"]


@pytest.mark.parametrize(("length", "shown"), [(150, "x" * 150), (151, "x" * 147 + "...")])
def test_a_place_of_more_than_150_characters_is_cut(length: int, shown: str) -> None:
    """In its line."""
    text = worded([replace(NEED, about="x" * length)]).text
    assert text.split("\n\n")[1] == f"- {shown}: 1"


@pytest.mark.parametrize(("length", "shown"), [(142, "x" * 142), (143, "x" * 139 + "...")])
def test_a_title_of_more_than_150_characters_is_cut(length: int, shown: str) -> None:
    """With its first word; what comes before it (`more:`) is never cut."""
    found = [replace(NEED, about="x" * length)]
    assert (title(found), len(title(found))) == (f"failed: {shown}", 150)
