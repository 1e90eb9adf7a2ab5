"""What has changed in the bodies of a source is kept for a week, each change once, and said at its newest."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from bridge.edges.inbox import Inbox, shapes
from bridge.rules.drift import Learned
from bridge.words.drifts import Change, Drift, Drifted, DriftKind
from tests.support.store import NOW, ON_SQLITE, Store

WEEK, MOMENT = timedelta(days=7), timedelta(microseconds=1)
FIELD = Drift(DriftKind.FIELD, Change.NEW, "of", "/b", "dlv_1")
Keep = Callable[..., None]


@pytest.fixture
def keep(inbox: Inbox) -> Keep:
    """Keep what was learned of a source."""

    def keep(*drifts: Drift, at: datetime = NOW, source: str = "s", over: tuple[Drift, ...] = ()) -> None:
        revision, _ = inbox.read(shapes.known, source)
        learned = Learned(f"known at {at}", list(drifts), [(each.kind, each.of, each.path) for each in over])
        assert inbox.write(shapes.keep, source, learned, revision=revision, now=at)

    return keep


def recent(inbox: Inbox, since: datetime = NOW - WEEK) -> list[Drifted]:
    """Return what has changed."""
    return inbox.read(shapes.recent, since=since)


def changed(drift: Drift, **other: str) -> Drift:
    """Return a change that is another one."""
    values = {name: getattr(drift, name) for name in ("kind", "change", "of", "path", "delivery_id")} | other
    return Drift(**values)


def test_what_is_known_grows_by_one_revision(inbox: Inbox, keep: Keep) -> None:
    """Of each source alone."""
    for seconds in range(2):
        keep(at=NOW + timedelta(seconds=seconds))
    keep(source="other")
    assert inbox.read(shapes.known, "s") == (2, f"known at {NOW + timedelta(seconds=1)}")
    assert inbox.read(shapes.known, "other") == (1, f"known at {NOW}")
    assert inbox.read(shapes.known, "none") == (0, None)


def test_changes_of_one_kind_are_one_line(inbox: Inbox, keep: Keep) -> None:
    """With how many, since when, and the newest of them; by source, kind and change."""
    keep(FIELD)
    newest = changed(FIELD, path="/a", delivery_id="dlv_2")
    keep(newest, changed(FIELD, path="/0"), at=NOW + MOMENT)
    gone = changed(FIELD, change=Change.GONE, path="/c")
    keep(gone, changed(FIELD, kind=DriftKind.TYPE), at=NOW + 2 * MOMENT)
    keep(FIELD, source="other")
    later = NOW + 2 * MOMENT
    assert recent(inbox) == [
        Drifted("other", DriftKind.FIELD, Change.NEW, "/b", "dlv_1", 1, NOW, NOW),
        Drifted("s", DriftKind.FIELD, Change.GONE, "/c", "dlv_1", 1, later, later),
        Drifted("s", DriftKind.FIELD, Change.NEW, "/a", "dlv_2", 3, NOW, NOW + MOMENT),
        Drifted("s", DriftKind.TYPE, Change.NEW, "/b", "dlv_1", 1, later, later),
    ]
    assert [each.count for each in recent(inbox, NOW + MOMENT)] == [1, 2, 1]


def test_a_change_is_kept_once(inbox: Inbox, keep: Keep) -> None:
    """As it was said last."""
    keep(FIELD)
    keep(changed(FIELD, change=Change.GONE, delivery_id="dlv_2"), at=NOW + MOMENT)
    (found,) = recent(inbox)
    assert (found.change, found.delivery_id, found.oldest_at) == (Change.GONE, "dlv_2", NOW + MOMENT)


def test_what_is_over_leaves_alone(inbox: Inbox, keep: Keep) -> None:
    """Whatever another change has in common with it."""
    others = [changed(FIELD, **{name: value}) for name, value in (("kind", "type"), ("of", "x"), ("path", "/x"))]
    keep(FIELD, *others)
    keep(FIELD, source="other")
    keep(over=(FIELD,))
    assert sum(each.count for each in recent(inbox)) == 4
    assert {(each.source, each.path) for each in recent(inbox)} == {("other", "/b"), ("s", "/b"), ("s", "/x")}
    keep(over=tuple(others))
    assert [each.source for each in recent(inbox)] == ["other"]


def test_what_was_said_a_week_ago_is_forgotten(inbox: Inbox, keep: Keep) -> None:
    """To the microsecond; once there is something else to say of that source."""
    keep(FIELD)
    keep(FIELD, source="other")
    keep(changed(FIELD, path="/c"), at=NOW + WEEK)
    keep(at=NOW + WEEK + MOMENT)
    assert {each.source: each.count for each in recent(inbox)} == {"other": 1, "s": 2}
    keep(changed(FIELD, path="/d"), at=NOW + WEEK + MOMENT)
    assert {each.source: (each.count, each.oldest_at) for each in recent(inbox)} == {
        "other": (1, NOW),
        "s": (2, NOW + WEEK),
    }


@ON_SQLITE
def test_five_thousand_changes_are_read(inbox: Inbox, store: Store) -> None:
    """The oldest; a source of a thousand that all have changed is still one line."""
    store.rows(
        "WITH RECURSIVE each(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM each WHERE n < 5000)"
        " INSERT INTO drifts (source, kind, about, path, change, delivery_id, at)"
        " SELECT 's', 'field', n, '/a', 'new', 'dlv_' || n, 1 FROM each"
    )
    (found,) = recent(inbox, datetime.fromtimestamp(0, NOW.tzinfo))
    assert found.count == 5000
