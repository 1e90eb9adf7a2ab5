"""The audit log, read: newest first, by person and by time, page by page, and by an index."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from bridge.edges.inbox import Inbox, auditing
from bridge.edges.inbox.auditing import AuditFilter
from bridge.edges.inbox.engine.ids import first_id, trigger_text
from bridge.edges.inbox.rows import microseconds
from bridge.words.audit import AuditLine
from bridge.words.errors import BadFilter
from tests.support.store import Store

_NOW = datetime(2026, 3, 27, 14, tzinfo=UTC)


def _fill(inbox: Inbox, amount: int = 6) -> None:
    """Two people in turn, a minute between two lines; the last two at the same moment."""
    at = [_NOW + timedelta(minutes=number) for number in range(amount - 1)]
    lines = [
        AuditLine(when, f"cli:{'ab'[place % 2]}", "replayed", f"trg_{place}", "why")
        for place, when in enumerate([*at, at[-1]])
    ]
    inbox.write(auditing.append, lines)


def _page(inbox: Inbox, limit: int = 10, **wanted: object) -> list[AuditLine]:
    return inbox.read(auditing.page, wanted=AuditFilter(**wanted), limit=limit)  # type: ignore[arg-type]


def test_pages_join_and_are_newest_first(inbox: Inbox) -> None:
    """Also where a page ends between two lines of one moment."""
    _fill(inbox)
    seen: list[str] = []
    after = None
    while found := _page(inbox, 1, after=after):
        seen += [line.subject for line in found]
        after = found[-1].id
    assert seen == [f"trg_{number}" for number in reversed(range(6))]


def test_a_person_and_a_time_narrow_it(inbox: Inbox) -> None:
    """`since` is inclusive, `until` exclusive."""
    _fill(inbox)
    assert [line.subject for line in _page(inbox, actor="cli:b")] == ["trg_5", "trg_3", "trg_1"]
    window = {"since": _NOW + timedelta(minutes=1), "until": _NOW + timedelta(minutes=3)}
    assert [line.subject for line in _page(inbox, **window)] == ["trg_2", "trg_1"]
    assert [line.subject for line in _page(inbox, actor="cli:a", **window)] == ["trg_2"]
    assert _page(inbox, actor="nobody") == []


def test_what_was_done_to_one_thing(inbox: Inbox) -> None:
    """Of a stretch of lines at a time, so that a log of a million is never read in one go; the parts join."""
    _fill(inbox, 12)
    inbox.write(auditing.append, [AuditLine(_NOW, "cli:c", "replayed", "trg_3")])
    parts, after = [], None
    while True:
        wanted = AuditFilter(subject="trg_3", after=after)
        part = inbox.read(auditing.part, wanted=wanted, stretch=5)
        parts.append([line.actor for line in inbox.read(auditing.page, wanted=part, limit=10)])
        if part.edge is None:
            break
        after = part.edge
    assert parts == [[], ["cli:b"], ["cli:c"]]
    assert [line.actor for line in _page(inbox, subject="trg_3", actor="cli:c")] == ["cli:c"]


def test_nothing_from_before_a_thing_was_made_is_looked_at(inbox: Inbox) -> None:
    """Its id tells when that was; an hour is left for clocks that differ."""
    id_ = trigger_text(first_id(microseconds(_NOW)))
    for wanted, since in (
        (AuditFilter(subject=id_), _NOW - timedelta(hours=1)),
        (AuditFilter(subject=id_, since=_NOW - timedelta(days=1)), _NOW - timedelta(hours=1)),
        (AuditFilter(subject=id_, since=_NOW), _NOW),
        (AuditFilter(subject="route orders"), None),
    ):
        assert inbox.read(auditing.part, wanted=wanted).since == since


@pytest.mark.parametrize("after", ["x", "-1", "9", "9" * 40, "1.0", "²"])
def test_a_page_after_nothing_is_refused(inbox: Inbox, after: str) -> None:
    """Instead of an empty page that looks like the end."""
    with pytest.raises(BadFilter):
        _page(inbox, after=after)


def test_a_mapping_is_told_once_however_many_replicas_load_it(inbox: Inbox) -> None:
    """And again when it comes back after another one."""
    for digest in ("a", "a", "b", "b", "a"):
        inbox.write(auditing.append_mapping, at=_NOW, digest=digest, reason="3 routes")
    assert [line.subject for line in _page(inbox)] == ["a", "b", "a"]


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"actor": "cli:a"},
        {"since": _NOW},
        {"actor": "cli:a", "until": _NOW},
        {"subject": "trg_1", "edge": "1"},
        {"subject": "trg_1", "actor": "cli:a", "edge": "1"},
    ],
)
@pytest.mark.parametrize("is_next", [False, True])
def test_a_page_reads_no_more_than_it_shows(
    inbox: Inbox, store: Store, wanted: dict[str, object], is_next: bool
) -> None:
    """An index gives the order, so nothing is sorted."""
    _fill(inbox)
    told: list[tuple[str, object]] = []
    event.listen(inbox._store.reading, "before_cursor_execute", lambda *given: told.append((given[2], given[3])))
    _page(inbox, 1, **wanted, **({"after": "3"} if is_next else {}))
    statement, parameters = told[-1]
    if not store.is_postgresql:  # which sorts what is little
        rows = store._connection.execute("EXPLAIN QUERY PLAN " + statement, parameters).fetchall()  # type: ignore[call-overload]
        plan = "\n".join(str(row[-1]) for row in rows)
        assert "USING INDEX audit_" in plan
        assert "TEMP B-TREE" not in plan
