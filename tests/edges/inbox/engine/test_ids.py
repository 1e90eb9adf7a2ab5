"""Ids grow, each once, and read back only when they are ours."""

import threading
from datetime import UTC, datetime

import pytest

from bridge.edges.inbox.engine import ids
from bridge.edges.inbox.rows import instant, microseconds
from bridge.words.errors import NotThere

_NOON = microseconds(datetime(2026, 8, 1, 12, tzinfo=UTC))


def test_ids_grow_within_one_millisecond() -> None:
    """Many ids of one moment grow, and each is made once."""
    make = ids.IdMaker(node=7, microseconds=lambda: _NOON)
    made = [make() for _ in range(10_000)]
    assert made == sorted(set(made))


def test_ids_grow_when_the_clock_is_set_back() -> None:
    """A clock that goes back an hour makes no id smaller than the last."""
    moments = iter([_NOON, _NOON - 3_600_000_000, _NOON + 1000])
    make = ids.IdMaker(node=7, microseconds=lambda: next(moments))
    made = [make() for _ in range(3)]
    assert made == sorted(set(made))


@pytest.mark.parametrize(("old", "new"), [(0, 1023), (1023, 0), (5, 5)])
def test_ids_grow_over_a_restart(old: int, new: int) -> None:
    """A new process, with whatever number of its own and an earlier clock, goes on above the newest id."""
    newest = ids.IdMaker(node=old, microseconds=lambda: _NOON)()
    assert ids.IdMaker(node=new, microseconds=lambda: _NOON - 1_000_000, after=newest)() > newest


def test_ids_are_made_once_by_many_threads() -> None:
    """Threads that ask at the same time get different ids."""
    make = ids.IdMaker(node=7, microseconds=lambda: _NOON)
    made: list[int] = []
    threads = [threading.Thread(target=lambda: made.extend([make() for _ in range(500)])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 4000


def test_a_cut_in_time_is_a_cut_in_ids() -> None:
    """Everything made before a moment is smaller than its first id, everything made in it is not."""
    before = ids.IdMaker(node=1023, microseconds=lambda: _NOON - 1000)()
    at = ids.IdMaker(node=0, microseconds=lambda: _NOON)()
    assert before < ids.first_id(_NOON) <= at


@pytest.mark.parametrize("year", [1, 1926, 2019, 2089, 2090, 9999])
def test_the_first_id_of_any_moment_fits_a_column(year: int) -> None:
    """A person may ask for any year; SQLite takes whole numbers of 64 bits only."""
    assert 0 <= ids.first_id(microseconds(datetime(year, 6, 1, tzinfo=UTC))) < 1 << 63


def test_the_parts_of_an_id_are_the_same_in_every_release() -> None:
    """Ids of two releases stand side by side in one store: moment, sequence and process are where they always were."""
    moment = 1_750_000_000_123_456
    first = (1_750_000_000_123 - 1_577_836_800_000) << 22
    make = ids.IdMaker(node=777, microseconds=lambda: moment)
    assert [make(), make()] == [first + 777, first + (1 << 10) + 777]
    assert ids.NODES == 1 << 10
    assert ids.first_id(moment) == first
    assert ids.first_id(0) == 0
    assert ids.made_at(ids.delivery_text(first + 777)) == 1_750_000_000_123_000


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("dlv_0000000000000001", "dlv"), ("trg_0000000000000001", "trg"), ("ord_0000000000000001", "ord"), ("pl_1", None)],
)
def test_an_id_says_what_it_is_of(text: str, prefix: str | None) -> None:
    """Any other text is of nothing of ours."""
    assert ids.prefix_of(text) == prefix


def test_an_id_reads_back() -> None:
    """What is spelled for people is read back to the same number."""
    assert ids.number(ids.delivery_text(123_456_789), "dlv") == 123_456_789
    assert ids.number(ids.trigger_text((1 << 63) - 1), "trg") == (1 << 63) - 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dlv_",
        "dlv_1",
        "dlv_00000000000000001",
        "dlv_000000000000000G",
        "dlv_000000000000000A",
        "trg_0000000000000001",
        "dlv_0000000000000001\n",
        " dlv_0000000000000001",
        "dlv_8000000000000000",
        "dlv_ffffffffffffffff",
        "dlv_" + "\N{ARABIC-INDIC DIGIT ONE}" * 16,
        "x" * 10_000,
    ],
)
def test_what_is_not_an_id_of_ours_is_not_there(text: str) -> None:
    """Anything else is NotThere, in a message that does not repeat all of it."""
    with pytest.raises(NotThere) as caught:
        ids.number(text, "dlv")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "prefix", "message"),
    [
        ("x" * 41, "dlv", f"'{'x' * 40}' is not an id of the form dlv_<16 hex digits>"),
        ("trg_1", "trg", "'trg_1' is not an id of the form trg_<16 hex digits>"),
        ("dlv_8000000000000000", "dlv", "'dlv_8000000000000000' is not an id that this bridge makes"),
    ],
)
def test_what_is_no_id_is_named(text: str, prefix: str, message: str) -> None:
    """With what would be one; of a long text the first 40 characters."""
    with pytest.raises(NotThere) as caught:
        ids.number(text, prefix)
    assert str(caught.value) == message


def test_a_machine_without_a_clock_makes_ids_too() -> None:
    """It begins in 1970: every id is above 0 all the same, and they grow."""
    make = ids.IdMaker(node=0, microseconds=lambda: 0)
    assert 0 < make() < make()


def test_instants_are_exact() -> None:
    """An instant survives the way into a column and back to the microsecond."""
    moment = datetime(2026, 8, 1, 12, 0, 0, 123_457, tzinfo=UTC)
    assert instant(microseconds(moment)) == moment
