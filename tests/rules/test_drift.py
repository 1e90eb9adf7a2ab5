"""What has changed in how a source spells its bodies is said once, and only when it is known what is usual."""

import json
import random
from datetime import timedelta

import pytest

from bridge.rules.drift import Batch, Learned, learn, needs
from bridge.rules.drift.learning import ALWAYS, GONE, GROUP_LEARNED, LEARNED, MAX_KNOWN
from bridge.rules.drift.outlines import outline
from bridge.rules.event import read
from bridge.words.drifts import Change, Drifted, DriftKind
from tests.support.drifting import BODY, NOW, Source, changed

DAY = timedelta(days=1)


@pytest.fixture
def source() -> Source:
    """One that has learned what is usual."""
    item = Source()
    assert item.take(BODY, times=LEARNED) == []
    item.now += 3 * DAY
    assert item.take(BODY) == []
    return item


def test_a_new_type_a_new_word_and_a_new_field_are_said_once_with_path_and_delivery(source: Source) -> None:
    """Each of them, at its first delivery; later ones change nothing, in the same batch or another."""
    new = [
        ({**BODY, "type": "job.retried"}, DriftKind.TYPE, "/type"),
        (changed(status="WARN"), DriftKind.STATUS, "/data/status"),
        (changed(run_mode="full"), DriftKind.FIELD, "/data/run_mode"),
    ]
    for body, kind, path in new:
        (drift,) = source.take(body, BODY, body)
        assert (drift.kind, drift.change, drift.path) == (kind, Change.NEW, path)
        assert drift.delivery_id == f"dlv_{source.number - 2}"
        assert source.take(body, BODY) == []


def test_nothing_is_said_in_the_first_days_nor_of_the_first_deliveries() -> None:
    """Neither many deliveries on one day, nor a few over many days, make a source known."""
    busy, rare = Source(), Source()
    assert busy.take(BODY, times=5 * LEARNED) == []
    busy.now += timedelta(days=1, hours=23)
    assert busy.take(changed(new=1)) == []
    assert rare.take(BODY, times=LEARNED - 2) == []
    rare.now += 30 * DAY
    assert rare.take(changed(new=1)) == []


def test_fields_of_a_group_that_is_hardly_known_are_learned_in_silence(source: Source) -> None:
    """A new type is said once, and not again for each of its fields."""
    failed = {**BODY, "type": "job.failed", "data": {"status": "failed", "error": {"code": "X"}}}
    (drift,) = [each for each in source.take(failed) if each.kind is not DriftKind.STATUS]
    assert drift.kind is DriftKind.TYPE
    assert source.take(failed, times=GROUP_LEARNED) == []
    more = {**failed, "data": {"status": "failed", "error": {"code": "X", "hint": "Y"}}}
    assert [each.path for each in source.take(more)] == ["/data/error/hint"]


def test_a_new_object_is_said_without_each_of_its_fields(source: Source) -> None:
    """One line for what came together."""
    body = changed(pipeline={"uuid": "pl_1", "owner": {"name": "ann"}})
    assert [each.path for each in source.take(body)] == ["/data/pipeline"]


@pytest.mark.parametrize("size", [1, 3, 2 * GONE])
def test_a_field_that_had_always_been_there_and_is_gone_is_said_once(source: Source, size: int) -> None:
    """However its absence falls into batches; with the first delivery that lacks it; it is in the last ones too."""
    first = source.number + 1
    found = [drift for _ in range(2 * GONE // size + 2) for drift in source.take(changed(pipeline_id=None), times=size)]
    assert [(each.kind, each.change, each.path, each.delivery_id) for each in found] == [
        (DriftKind.FIELD, Change.GONE, "/data/pipeline_id", f"dlv_{first}")
    ]


def test_a_change_in_the_midst_of_a_batch_is_seen() -> None:
    """What came before it and what came after it are told apart."""
    source = Source()
    source.take(BODY)
    source.now += 3 * DAY
    source.take(BODY, times=LEARNED)
    batch = [*[BODY] * 30, *[changed(summary=None)] * GONE]
    (gone,) = source.take(*batch)  # and not again for what stood in it
    assert (gone.path, gone.delivery_id) == ("/data/summary", f"dlv_{source.number - GONE + 1}")


def test_one_delivery_without_a_field_is_no_verdict(source: Source) -> None:
    """And a field that is sometimes missing was never always there."""
    assert source.take(changed(pipeline_id=None), times=GONE - 1) == []
    assert source.take(BODY, times=ALWAYS - 1) == []
    assert source.take(changed(pipeline_id=None), times=10 * GONE) == []


def test_what_is_back_is_gone_no_more_and_can_go_again(source: Source) -> None:
    """After it was always there once more."""
    without = changed(pipeline_id=None)
    (gone,) = source.take(without, times=GONE)
    assert source.take(BODY, times=ALWAYS) == []
    assert source.over == [(DriftKind.FIELD, gone.of, gone.path)]
    assert len(source.take(without, times=GONE)) == 1


def test_a_field_of_succeeded_jobs_is_not_missed_in_failed_ones(source: Source) -> None:
    """What events of another status lack says nothing of it."""
    failed = {**BODY, "type": "job.ended", "data": {"status": "failed"}}
    ended = {**BODY, "type": "job.ended"}
    source.take(ended, times=ALWAYS)
    assert [each for each in source.take(failed, times=ALWAYS) if each.change is Change.GONE] == []


def test_a_type_that_had_always_been_there_and_is_gone_is_said_once(source: Source) -> None:
    """Not after a weekend in which nothing came; and once it is back, it is gone no more."""
    other = {**BODY, "type": "load.checked"}
    source.take(other, BODY, times=LEARNED)
    source.take(other)
    last = source.number
    source.now += 2 * DAY
    assert source.take(BODY, times=2 * LEARNED) == []
    source.now += 2 * DAY
    (gone,) = source.take(BODY)
    assert (gone.kind, gone.change, gone.path, gone.delivery_id) == (
        DriftKind.TYPE,
        Change.GONE,
        "/type",
        f"dlv_{last}",
    )
    assert source.take(BODY) == []
    source.take(other)
    assert source.over == [(DriftKind.TYPE, gone.of, "/type")]


def test_a_weekend_without_webhooks_is_no_drift(source: Source) -> None:
    """A type is away only while others come."""
    source.take({**BODY, "type": "load.checked"}, times=LEARNED)
    source.now += 4 * DAY
    assert source.take(BODY, times=LEARNED // 2) == []


def test_a_sender_that_invents_fields_grows_nothing_and_is_said_once(source: Source) -> None:
    """Neither names in one body, nor another name each time, nor types, nor words."""
    letters = random.Random(7)

    def name() -> str:
        return "".join(letters.choices("abcdefghij", k=12))

    for _ in range(20):
        source.take(*[{**changed(**{name(): 1}), "type": name()} for _ in range(150)])
        source.take(*[changed(status=name()) for _ in range(150)])
    size = len(source.known or "")
    assert size < 400 * MAX_KNOWN
    said = [drift for _ in range(3) for drift in source.take(*[changed(**{name(): 1}) for _ in range(100)])]
    assert said == []
    assert len(source.known or "") < size + 1000
    assert source.take({**BODY, "data": {name(): {name(): 1 for _ in range(50)} for _ in range(50)}}) == []


def test_the_limit_is_said_once_with_a_delivery() -> None:
    """A body with more fields than are learned."""
    source = Source()
    wide = {
        **BODY,
        "data": {f"k{'abcdefgh'[i % 8]}{'x' * i}": {f"{'y' * (j + 1)}": 1 for j in range(50)} for i in range(40)},
    }
    assert [(each.kind, each.delivery_id) for each in source.take(wide)] == [(DriftKind.LIMIT, "dlv_1")]
    assert source.take(wide) == []


def test_too_many_words_in_one_batch_are_said_as_the_limit() -> None:
    """Their types and fields are the same, so that nothing else is too much."""
    words = [f"w{chr(ord('a') + i // 26)}{chr(ord('a') + i % 26)}" for i in range(201)]
    bodies = [{**changed(status=word), "type": "load.ended"} for word in words]
    assert [each.kind for each in Source().take(*bodies[:200])] == []
    assert [each.kind for each in Source().take(*bodies)] == [DriftKind.LIMIT]


def test_free_parts_lists_and_odd_keys_are_not_gone_into() -> None:
    """What a user names himself is no field of the sender; nor is a key that may be a value."""
    body = {
        "data": {
            "parameters": {"my_own": 1},
            "metadata": {"dag_id": "x"},
            "tables": [{"name": "t"}],
            "by_day": {"2026-03-27": 1, "bob@example.org": 2, "a b": {"c": 1}},
            "names": {"x" * (place + 1): 1 for place in range(61)},
        },
        "a": {"a": {"a": {"a": {"a": {"a": 1}}}}},
    }
    found = outline(body) or ()
    assert sorted(found) == [
        "/a",
        "/a/a",
        "/a/a/a",
        "/a/a/a/a",
        "/a/a/a/a/a",
        "/data",
        "/data/by_day",
        "/data/metadata",
        "/data/names",
        "/data/parameters",
        "/data/tables",
    ]
    assert outline({"a": {"b": None}}) == outline({"a": {"b": 1}})


def test_no_value_of_a_body_is_kept_or_said(source: Source) -> None:
    """Not even a type or a status word."""
    body = {**changed(status="canaryword", fresh="canaryvalue"), "type": "canary.type"}
    drifts = source.take(body, times=LEARNED)
    assert drifts
    assert "canary" not in f"{source.known} {drifts}"


def test_batches_of_two_replicas_in_turn_are_as_those_of_one(source: Source) -> None:
    """A field that is always there is so at both, whoever took in more."""
    item, other = Batch(), Batch()
    for number in range(150):
        item.add(read(json.dumps(changed(extra_rows=1)).encode()), f"dlv_a{number}")
        other.add(read(json.dumps(changed(extra_rows=1)).encode()), f"dlv_b{number}")
    first = learn(source.known, item, source.now)
    second = learn(first.known, other, source.now)
    source.known = second.known
    assert [each.path for each in (*first.drifts, *second.drifts)] == ["/data/extra_rows"]
    assert [each.path for each in source.take(BODY, times=GONE)] == ["/data/extra_rows"]


def test_what_another_release_has_learned_is_learned_anew() -> None:
    """It is no reason to fail."""
    learned = learn('{"version": 0}', Batch(), NOW)
    assert isinstance(learned, Learned)
    assert json.loads(learned.known)["total"] == 0


def test_a_person_reads_it_for_a_day_as_a_need_and_then_as_a_note() -> None:
    """Source, path, delivery and what to do; every kind has its words."""
    for kind in DriftKind:
        for change in Change:
            drifted = Drifted("planasonix", kind, change, "/data/x", "dlv_9", 3, NOW - DAY, NOW)
            (need,) = needs([drifted], NOW)
            assert (need.what, need.count, need.example, need.is_note) == ("drift", 3, "dlv_9", False)
            assert "planasonix" in need.says
            assert "/data/x" in need.says
            assert need.filter == {"source": "planasonix"}
            assert "{" not in need.next_step
    (note,) = needs([drifted], NOW + timedelta(days=1, seconds=1))
    assert note.is_note
