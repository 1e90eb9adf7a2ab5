"""How much has to be seen of a source before anything is said, how much is kept of it, and what is written of it."""

import json
from collections import Counter
from datetime import timedelta
from itertools import islice, product
from string import ascii_lowercase
from typing import Any

import pytest

from bridge.rules.drift import Batch, learn, needs
from bridge.rules.drift.outlines import outline
from bridge.rules.event import read
from bridge.words.drifts import Change, Drifted, DriftKind
from tests.support.drifting import BODY, NOW, Source, changed

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
OTHER = {**BODY, "type": "load.checked"}


def names(count: int) -> list[str]:
    """Return so many names of fields."""
    return ["f" + "".join(letters) for letters in islice(product(ascii_lowercase, repeat=3), count)]


def bodies(count: int) -> list[dict[str, Any]]:
    """Return bodies with so many other fields in all."""
    found = names(count)
    return [changed(**dict.fromkeys(found[place : place + 50], 1)) for place in range(0, count, 50)]


@pytest.fixture
def source() -> Source:
    """One that has learned what is usual."""
    item = Source()
    item.take(BODY, times=200)
    item.now += 2 * DAY
    return item


@pytest.mark.parametrize(
    ("deliveries", "age", "said"),
    [(199, 2 * DAY, 0), (200, 2 * DAY - SECOND, 0), (200, 2 * DAY, 1), (1000, DAY, 0), (2, 300 * DAY, 0)],
)
def test_a_source_is_known_after_200_deliveries_and_two_days(deliveries: int, age: timedelta, said: int) -> None:
    """Both of them."""
    item = Source()
    item.take(BODY, times=deliveries)
    item.now += age
    assert len(item.take(OTHER)) == said


@pytest.mark.parametrize(("deliveries", "said"), [(49, []), (50, ["/data/fresh"])])
def test_a_new_field_is_said_once_its_group_was_seen_50_times(source: Source, deliveries: int, said: list[str]) -> None:
    """A group is a type with a status."""
    source.take(OTHER, times=deliveries)
    assert [each.path for each in source.take({**changed(fresh=1), "type": "load.checked"})] == said


@pytest.mark.parametrize("field", ["job_id", "data"])
@pytest.mark.parametrize(("there", "gone", "is_said"), [(199, 9, False), (200, 4, False), (200, 5, True)])
def test_a_field_is_gone_after_200_deliveries_with_it_and_five_without(
    source: Source, field: str, there: int, gone: int, is_said: bool
) -> None:
    """In a row, of its group; with the first delivery that lacks it. What stood inside is not said, too."""
    source.take(OTHER, times=there // 2)
    source.take(OTHER, times=there - there // 2)
    first = f"dlv_{source.number + 1}"
    without = {key: value for key, value in OTHER.items() if key != field} | {"status": "succeeded"}
    found = source.take(without, times=gone - 1) + source.take(without)
    expected = [(Change.GONE, f"/{field}", first)] if is_said else []
    assert [(each.change, each.path, each.delivery_id) for each in found if each.change is Change.GONE] == expected


@pytest.mark.parametrize(
    ("seen", "others", "age", "is_said"),
    [
        (199, 200, 3 * DAY, False),
        (200, 199, 3 * DAY, False),
        (200, 200, 3 * DAY - SECOND, False),
        (200, 200, 3 * DAY, True),
    ],
)
def test_a_type_is_gone_after_three_days_and_200_other_deliveries(
    seen: int, others: int, age: timedelta, is_said: bool
) -> None:
    """If it was seen 200 times."""
    item = Source()
    item.take(BODY, OTHER)
    item.take(OTHER, times=seen - 1)
    item.now += age
    assert [each.change for each in item.take(BODY, times=others)] == [Change.GONE] * is_said


def test_a_rare_type_is_gone_after_20_times_as_many_deliveries_as_usual() -> None:
    """Here there is one of it among eleven deliveries, so 220 without it."""
    item = Source()
    item.take(*([BODY] * 10 + [OTHER]) * 200)
    item.now += 3 * DAY
    assert item.take(BODY, times=219) == []
    assert [each.change for each in item.take(BODY)] == [Change.GONE]


def test_1000_fields_types_words_and_groups_are_learned(source: Source) -> None:
    """The usual body has twelve of them. The next one is not learned, and that is said once."""
    assert Counter(each.kind for each in source.take(*bodies(988))) == {DriftKind.FIELD: 988}
    (limit,) = source.take(BODY, changed(one_more=1), BODY)
    assert (limit.kind, limit.change, limit.of, limit.path) == (DriftKind.LIMIT, Change.NEW, "", "")
    assert limit.delivery_id == f"dlv_{source.number}"
    assert source.take(changed(another=1)) == []


def test_more_than_1000_in_one_batch_are_the_limit_too(source: Source) -> None:
    """As many as there is room for are learned."""
    found = Counter(each.kind for each in source.take(*bodies(989)))
    assert found == {DriftKind.FIELD: 988, DriftKind.LIMIT: 1}


def test_what_is_known_is_counted_on_when_nothing_else_is_learned(source: Source) -> None:
    """Also what comes behind something that there is no room for."""
    source.take(*bodies(989))
    before = _types_seen(source)
    source.take(OTHER, BODY)
    assert _types_seen(source) == before + 1


def _types_seen(source: Source) -> int:
    return sum(each["total"] for each in json.loads(source.known or "")["types"].values())


def test_one_look_takes_in_200_groups() -> None:
    """A group is a type with a status."""
    words = ["succeeded", "failed", "skipped", "canceled"]
    found = [{"type": f"a.{name}", "status": word} for name in names(50) for word in words]
    assert Source().take(*found) == []
    (limit,) = Source().take(*found, {"type": "a.another", "status": "failed"})
    assert (limit.kind, limit.delivery_id) == (DriftKind.LIMIT, "dlv_201")


@pytest.mark.parametrize(("count", "is_full"), [(991, False), (992, True)])
def test_one_look_takes_in_1000_fields_of_a_group(count: int, is_full: bool) -> None:
    """The usual body has nine of them."""
    batch = Batch()
    for body in bodies(count):
        batch.add(read(json.dumps(body).encode()), "dlv_1")
    assert batch.is_full is is_full


def test_60_keys_of_an_object_and_300_fields_of_a_body_are_looked_at() -> None:
    """More are names that a person gave. What stands beside them, or behind an odd key, is looked at all the same."""
    inner = dict.fromkeys(names(60), 1)
    assert len(outline({"a": inner}) or ()) == 61
    assert outline({"a": {"2026": 1, "b": 1}, "c": {**inner, "g": 1}}) == ("/a", "/c", "/a/b")
    body: dict[str, Any] = {name: dict.fromkeys(names(59), 1) for name in names(5)}
    assert len(outline(body) or ()) == 300
    assert outline({**body, "g": 1}) is None


def test_what_an_earlier_release_has_learned_is_still_known() -> None:
    """Its document is read on, and what stands for a type, a word and a group is the same."""
    seen = {"total": 200, "last": 200, "at": 0, "path": "/x", "delivery": "dlv_9"}
    learned = {
        "version": 1,
        "since": 0,
        "total": 200,
        "types": {"ddfa0f5731891416": seen},
        "statuses": {"5dceaeceb6d8a49d": seen},
        "groups": {"ddfa0f5731891416 succeeded": {"total": 200, "fields": {"/old": {"since": 1, "absent": None}}}},
    }
    batch = Batch()
    batch.add(read(b'{"type":"job.succeeded","status":"SUCCEEDED"}'), "dlv_1")
    found = learn(json.dumps(learned), batch, NOW)
    assert [(each.kind, each.path) for each in found.drifts] == [
        (DriftKind.FIELD, "/status"),
        (DriftKind.FIELD, "/type"),
    ]
    assert json.loads(found.known)["total"] == 201


_FITS = (
    "Look at the delivery, and whether the mapping and `body:` of the source still fit it: `explain --delivery dlv_9`."
)
_NEVER, _GONE = "that was never seen before", "in all of its bodies that is gone"


@pytest.mark.parametrize(
    ("kind", "change", "path", "says", "step"),
    [
        (DriftKind.TYPE, Change.NEW, "/type", f"has an event type {_NEVER} (/type)", _FITS),
        (DriftKind.STATUS, Change.NEW, "/status", f"has a status word {_NEVER} (/status)", _FITS),
        (DriftKind.FIELD, Change.NEW, "/a/b", f"has a field {_NEVER} (/a/b)", _FITS),
        (DriftKind.FIELD, Change.GONE, "/a/b", f"had a field {_GONE} (/a/b)", _FITS),
        (
            DriftKind.TYPE,
            Change.GONE,
            "/type",
            "sent an event type all the time that comes no more (/type)",
            "Look at the subscription: `planasonix-bridge subscriptions`. The delivery is the last of that type.",
        ),
        (
            DriftKind.LIMIT,
            Change.NEW,
            "",
            "has more fields, types and status words than are learned; new ones are not said any more",
            "Nothing, if the sender makes up names of fields. Else look at the delivery.",
        ),
    ],
)
def test_each_drift_has_its_sentence_and_its_step(
    kind: DriftKind, change: Change, path: str, says: str, step: str
) -> None:
    """With the place, where there is one."""
    (need,) = needs([Drifted("orders", kind, change, path, "dlv_9", 3, NOW - DAY, NOW)], NOW)
    assert (need.says, need.next_step) == (f"source orders {says}", step)
    assert (need.about, need.since, need.newest) == (f"orders, {change} {kind}", NOW - DAY, NOW)


@pytest.mark.parametrize(("age", "is_note"), [(DAY, False), (DAY + SECOND, True)])
def test_a_drift_is_to_be_looked_at_for_a_day(age: timedelta, is_note: bool) -> None:
    """After the newest delivery that has it."""
    drifted = Drifted("orders", DriftKind.FIELD, Change.NEW, "/a", "dlv_9", 3, NOW - 9 * DAY, NOW)
    assert [need.is_note for need in needs([drifted], NOW + age)] == [is_note]
