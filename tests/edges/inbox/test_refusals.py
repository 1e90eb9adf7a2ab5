"""The ring of refusals, on both databases: the newest of each kind, page by page."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge.edges.inbox import Inbox, refusals
from bridge.edges.inbox.refusals import KEPT, RefusalFilter
from bridge.words.errors import BadFilter
from bridge.words.refusals import Refusal, RefusalKind
from tests.support.store import Store

_NOW = datetime(2026, 3, 27, 14, tzinfo=UTC)


def kept(inbox: Inbox, limit: int = 5000, **wanted: object) -> list[Refusal]:
    """Return what is kept, newest first."""
    return inbox.read(refusals.page, wanted=RefusalFilter(**wanted), limit=limit)  # type: ignore[arg-type]


def test_the_newest_thousand_of_each_kind_are_kept(inbox: Inbox, store: Store) -> None:
    """A flood of refusals pushes out no copy."""

    def some(kind: RefusalKind, amount: int, first: int = 0) -> list[Refusal]:
        return [Refusal(_NOW, kind, "planasonix", f"r{first + place}") for place in range(amount)]

    inbox.write(refusals.append, some(RefusalKind.COPY, 3))
    for first in range(0, 1060, 20):
        inbox.write(refusals.append, some(RefusalKind.REFUSED, 20, first))
    assert store.one("SELECT COUNT(*) FROM refusals") == 1003
    assert kept(inbox, 1, kind="refused")[0].reason == "r1059"
    assert len(kept(inbox, kind="copy")) == 3
    assert kept(inbox, reason="r0", kind="refused") == []


def test_a_page_behind_what_was_forgotten_is_empty(inbox: Inbox) -> None:
    """While somebody reads, the ring moves on: that is the end of its kind, and no mistake. The other kind goes on."""
    inbox.write(refusals.append, [Refusal(_NOW, RefusalKind.COPY, "planasonix", "duplicate")])
    later = [Refusal(_NOW + timedelta(minutes=1), RefusalKind.REFUSED, "planasonix", "x")] * (KEPT // 2)
    inbox.write(refusals.append, later)
    oldest = kept(inbox, kind="refused")[-1].id
    inbox.write(refusals.append, later * 2)
    assert oldest == "refused_1"
    assert kept(inbox, kind="refused", after=oldest) == []
    assert [item.reason for item in kept(inbox, after=oldest)] == ["duplicate"]


def test_pages_join_and_filters_narrow(inbox: Inbox) -> None:
    """Newest first, also among those of one moment."""
    inbox.write(
        refusals.append, [Refusal(_NOW, RefusalKind.REFUSED, f"s{place % 2}", f"r{place}") for place in range(5)]
    )
    seen: list[str] = []
    after = None
    while found := kept(inbox, 2, after=after):
        seen += [item.reason for item in found]
        after = found[-1].id
    assert seen == ["r4", "r3", "r2", "r1", "r0"]
    assert [item.reason for item in kept(inbox, source="s1")] == ["r3", "r1"]
    assert kept(inbox, until=_NOW) == kept(inbox, since=_NOW + timedelta(microseconds=1)) == []
    assert len(kept(inbox, since=_NOW, until=_NOW + timedelta(microseconds=1))) == 5
    for wrong in ({"kind": "odd"}, {"after": "refused_99"}, {"after": "x"}, {"after": "refused_x"}):
        with pytest.raises(BadFilter):
            kept(inbox, **wrong)


def test_a_refusal_comes_back_as_it_was_kept(inbox: Inbox) -> None:
    """With what a copy is a copy of, by which it is found; other kinds have none."""
    whole = Refusal(_NOW, RefusalKind.COPY, "planasonix", "x", "::1", ("a:1", "b:2"), "f", "dlv_0000000000000007")
    plain = Refusal(_NOW, RefusalKind.REFUSED, "planasonix", "x")
    inbox.write(refusals.append, [whole, plain])
    assert kept(inbox) == [replace(plain, id="refused_1"), replace(whole, id="copy_1")]
    assert [item.id for item in kept(inbox, copy_of="dlv_0000000000000007")] == ["copy_1"]
    assert kept(inbox, copy_of="dlv_0000000000000008") == []


def test_when_each_source_was_last_refused_is_known(inbox: Inbox) -> None:
    """And why; a copy is no refusal."""
    later = _NOW + timedelta(minutes=1)
    found = [(_NOW, "s", "old"), (later, "s", "new"), (_NOW, "t", "x")]
    inbox.write(refusals.append, [Refusal(at, RefusalKind.REFUSED, source, reason) for at, source, reason in found])
    inbox.write(refusals.append, [Refusal(later, RefusalKind.COPY, "t", "duplicate")])
    assert inbox.read(refusals.newest) == {"s": (later, "new"), "t": (_NOW, "x")}


def test_a_kind_or_a_place_that_is_not_there_is_said(inbox: Inbox) -> None:
    """In a sentence that tells what there is."""
    with pytest.raises(BadFilter, match=r"^no such kind of refusal: odd; there is refused, copy, doubtful$"):
        kept(inbox, kind="odd")
    said = "^after must be the id of a refusal, as `next` of the page before says it$"
    for after in ("refused_1", "refused_-1", "refused_" + "9" * 19, "refused", "refused_²"):
        with pytest.raises(BadFilter, match=said):
            kept(inbox, after=after)
