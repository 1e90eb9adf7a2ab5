"""One run for each completion and matching route: whatever events tell of it, in whatever order, at any replica.

The rule (bridge/rules/completion.py) hangs on what the event tells of, never on a label, a place of the configuration
or an id that another source, pipeline or kind may use as well.
"""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from bridge.edges.inbox import (
    Inbox,
    browsing,
    claiming,
    completions,
    deliveries,
    erasing,
    holds,
    replays,
    triggers,
    waits,
)
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.edges.inbox.engine.ids import made_at, number
from bridge.edges.inbox.pruning import old, prune
from bridge.edges.inbox.replays import Cancelled, Replayed
from bridge.edges.inbox.rows import instant
from bridge.flows import attending
from bridge.flows.routing import drafts
from bridge.rules.completion import Kind
from bridge.rules.mapping import Mapping, read
from bridge.rules.planning import Subject, plan
from bridge.words.holds import Awaits
from bridge.words.model import Delivery, DeliveryState, Trigger, TriggerState
from bridge.words.reasons import Reason
from bridge.words.waits import TaskKey, Wait
from tests.support.store import LATER, NOW, Store, add, attempt, claim, settlement, stored, wait_for, whole

Open = Callable[..., Inbox]
SOURCES = ["planasonix", "other"]


def mapping(*routes: str) -> Mapping:
    """Return a mapping of these routes, each in YAML's short form."""
    text = "routes:\n" + "".join(f"  - {{{route}}}\n" for route in routes)
    return read(text, file="mapping.yaml", airflows=["default"], sources=SOURCES)


ORDERS = mapping("name: orders, event: '*', dag: load_orders")


def event(inbox: Inbox, id_: str = "evt_1", *, source: str = "planasonix", **fields: Any) -> str:
    """Store a webhook about a job unless said otherwise; returns its delivery."""
    body = {"id": id_, "type": "job.succeeded", "job_id": "job_1", "status": "succeeded"} | fields
    return stored(inbox, id_, source=source, body=json.dumps(body).encode())


def delivery(inbox: Inbox, delivery_id: str) -> Delivery:
    """Return a delivery as it stands."""
    found = inbox.read(deliveries.get, delivery_id)
    assert found is not None
    return found


def planned(inbox: Inbox, delivery_id: str, routes: Mapping) -> Routing:
    """Return what routing stores of a delivery."""
    found = delivery(inbox, delivery_id)
    made = plan(Subject.of(found), routes, new_trigger_id=inbox.new_trigger_id, max_hops=3)
    return drafts.routing(found, made, None, {})


def route(inbox: Inbox, delivery_id: str, routes: Mapping = ORDERS) -> list[str]:
    """Route a delivery; returns the state of each of its triggers, and why it is in it."""
    inbox.write(settle_routing, [planned(inbox, delivery_id, routes)], now=NOW)
    return [f"{item.state} {item.reason}" if item.reason else str(item.state) for item in of(inbox, delivery_id)]


def of(inbox: Inbox, delivery_id: str) -> list[Trigger]:
    """Return the triggers of a delivery, oldest first."""
    return whole(inbox, delivery_id)


def fail(inbox: Inbox) -> None:
    """Let the trigger that is due fail."""
    (claimed,) = claim(inbox)
    inbox.write(triggers.settle, claimed, settlement(TriggerState.FAILED, reason=Reason.EXPIRED), attempt())


def fire(inbox: Inbox) -> None:
    """Let every trigger that is due start its DAG run."""
    for claimed in claim(inbox):
        inbox.write(triggers.settle, claimed, settlement(), attempt())


def replay(inbox: Inbox, id_: str, now: datetime = NOW + LATER) -> Replayed:
    """Replay as the command line does."""
    return inbox.write(replays.replay, id_, actor="test", reason=None, new_id=None, now=now)


PENDING, FIRED, COPY, TAKEN_BACK = "pending", "fired", "cancelled duplicate_run", "cancelled superseded"


@pytest.mark.parametrize(
    ("first", "second", "states"),
    [
        # one completion: one run
        ({"type": "job.succeeded"}, {"type": "job.completed"}, [COPY]),
        ({"run_id": "run_1"}, {}, [COPY]),
        ({}, {"run_id": "run_1"}, [COPY]),
        ({"pipeline_id": "pl_1"}, {}, [COPY]),
        ({}, {"pipeline_id": "pl_1"}, [COPY]),
        # another one: another run, although a text of it is the same
        ({"run_id": "run_1"}, {"run_id": "run_1", "job_id": "job_2"}, [PENDING]),
        ({"pipeline_id": "pl_1"}, {"pipeline_id": "pl_2"}, [PENDING]),
        ({"status": "succeeded"}, {"source": "other"}, [PENDING]),
        (
            {"type": "load.finished", "job_id": None, "run_id": "42"},
            {"type": "job.succeeded", "job_id": "42"},
            [PENDING],
        ),
    ],
)
def test_two_events_make_one_run_when_and_only_when_they_tell_of_one_completion(
    inbox: Inbox, first: dict[str, Any], second: dict[str, Any], states: list[str]
) -> None:
    """Whichever ids they carry besides, and whoever else uses the same ids."""
    item, other = event(inbox, "evt_1", **first), event(inbox, "evt_2", **second)
    assert route(inbox, item) == [PENDING]
    assert route(inbox, other) == states
    names = [trigger.call.dag_run_id for id_ in (item, other) for trigger in of(inbox, id_) if trigger.state == PENDING]
    assert len(set(names)) == len(names)


def test_the_same_event_id_of_two_sources_is_two_completions(inbox: Inbox) -> None:
    """Each source makes its own ids."""
    nothing = {"type": "load.finished", "job_id": None}
    item, other = (event(inbox, "evt_1", source=source, **nothing) for source in SOURCES)
    assert (route(inbox, item), route(inbox, other)) == ([PENDING], [PENDING])


@pytest.mark.parametrize("at_once", [False, True])
def test_an_event_without_a_pipeline_is_of_the_first_pipeline_that_its_completion_names(
    inbox: Inbox, at_once: bool
) -> None:
    """A missing pipeline agrees with any, until one is named; the next one is another completion then."""
    named: list[dict[str, str]] = [{}, {"pipeline_id": "pl_1"}, {"pipeline_id": "pl_2"}]
    ids = [event(inbox, f"evt_{number}", **fields) for number, fields in enumerate(named)]
    for each in [ids] if at_once else [[id_] for id_ in ids]:
        inbox.write(settle_routing, [planned(inbox, id_, ORDERS) for id_ in each], now=NOW)
    assert [[str(item.state) for item in of(inbox, id_)] for id_ in ids] == [[PENDING], ["cancelled"], [PENDING]]


@pytest.mark.parametrize(
    ("now", "pipeline"),
    [
        ({"pipeline_id": None}, "pl_1"),  # what another event has added stays
        ({"pipeline_id": "pl_2"}, "pl_2"),
        ({"pipeline_id": "pl_2", "id": "job_2"}, "pl_2"),
        ({"pipeline_id": None, "id": "job_2"}, None),
    ],
)
def test_what_is_routed_again_tells_what_it_says_now(
    inbox: Inbox, now: dict[str, str | None], pipeline: str | None
) -> None:
    """A setting of the source was mended since: what it told before is forgotten, unless that only adds to it."""
    item = event(inbox, pipeline_id="pl_1")
    first = planned(inbox, item, mapping("event: no.such.type, dag: d"))
    assert first.completion is not None
    inbox.write(settle_routing, [first], now=NOW)
    replay(inbox, item)
    inbox.write(settle_routing, [replace(first, completion=replace(first.completion, **now))], now=NOW)
    assert inbox.read(completions.pipelines, [item]) == {item: pipeline}


NOTHING = mapping("event: no.such.type, dag: d")


@pytest.mark.parametrize("at_once", [False, True])
def test_every_pipeline_that_has_a_run_of_one_number_is_known(inbox: Inbox, store: Store, at_once: bool) -> None:
    """However many there are, and although no route matches any: a task that waits for the last one learns of it."""
    number = {"type": "pipeline.run.completed", "job_id": None, "run_id": "42"}
    ids = [event(inbox, f"evt_{n}", **number, pipeline_id=f"pl_{n}") for n in range(1, 21)]
    for each in [ids] if at_once else [[id_] for id_ in ids]:
        inbox.write(settle_routing, [planned(inbox, id_, NOTHING) for id_ in each], now=NOW)
    assert inbox.read(completions.pipelines, ids) == {id_: f"pl_{n}" for n, id_ in enumerate(ids, 1)}
    assert sorted(row[0] for row in store.rows("SELECT nth FROM completions")) == list(range(20))
    wait = Wait("default", TaskKey("d", "r", "t", -1), 1, "42", "pl_20", None, NOW)
    inbox.write(waits.add, [wait])
    assert [(fact.delivery_id, fact.status) for fact in inbox.read(waits.facts, airflow="default")] == [
        (ids[-1], "succeeded")
    ]


def test_an_event_without_a_pipeline_is_known_beside_many_that_have_one(inbox: Inbox) -> None:
    """It is of one of them, or of one that has not come yet: a task that waits for that learns of it."""
    number = {"type": "pipeline.run.completed", "job_id": None, "run_id": "42"}
    names = [*(f"pl_{n}" for n in range(20)), None]
    ids = [event(inbox, f"evt_{name}", **number, pipeline_id=name) for name in names]
    for id_ in ids:
        route(inbox, id_, NOTHING)
    inbox.write(waits.add, [Wait("default", TaskKey("d", "r", "t", -1), 1, "42", "pl_20", None, NOW)])
    assert [fact.delivery_id for fact in inbox.read(waits.facts, airflow="default")] == [ids[-1]]


def test_of_one_pipeline_some_rows_are_enough(inbox: Inbox, store: Store) -> None:
    """A stolen secret that repeats one completion fills no table: sixteen, and those of deliveries that own a run."""
    for n in range(20):
        route(inbox, event(inbox, f"evt_{n}", pipeline_id="pl_1" if n % 2 else None), NOTHING)
    assert store.one("SELECT COUNT(*) FROM completions") == 16
    assert route(inbox, event(inbox, "evt_20", pipeline_id="pl_1")) == [PENDING]
    assert store.one("SELECT COUNT(*) FROM completions") == 17


def test_a_dag_run_id_stays_as_it_was_and_gets_a_digest_when_another_completion_has_it(inbox: Inbox) -> None:
    """The DAG run id is a name, not the identity."""
    item, other = (
        event(inbox, "evt_1", run_id="42", pipeline_id="a"),
        event(inbox, "evt_2", run_id="42", pipeline_id="b"),
    )
    route(inbox, item), route(inbox, other)
    names = [of(inbox, id_)[0].call.dag_run_id for id_ in (item, other)]
    assert names[0] == "planasonix__42__succeeded__orders"
    assert names[1].startswith(f"{names[0]}--")


def test_what_starts_nothing_names_whose_copy_it_is(inbox: Inbox) -> None:
    """A person sees which trigger stands for the run, and of which delivery."""
    item, other = event(inbox, "evt_1"), event(inbox, "evt_2")
    route(inbox, item), route(inbox, other)
    detail = of(inbox, other)[0].detail or ""
    assert item in detail
    assert of(inbox, item)[0].id in detail


# --- the mapping changes ---------------------------------------------------------------------------

RENAMED = mapping("name: sales, event: '*', dag: load_orders")
TWO = mapping("name: orders, event: '*', dag: load_orders", "name: audit, event: '*', dag: load_orders, conf: {a: 1}")


@pytest.mark.parametrize("how", ["replay", "another event"])
def test_a_renamed_route_doubles_nothing(inbox: Inbox, how: str) -> None:
    """A label is no identity: the run under the old name counts."""
    item = event(inbox)
    assert route(inbox, item) == [PENDING]
    fire(inbox)
    if how == "replay":
        assert replay(inbox, item) is Replayed.ROUTED_AGAIN
        assert route(inbox, item, RENAMED) == [FIRED, COPY]
    else:
        assert route(inbox, event(inbox, "evt_2"), RENAMED) == [COPY]
        assert route(inbox, event(inbox, "evt_3"), RENAMED) == [COPY]


def fired_again(inbox: Inbox) -> str:
    """Return a delivery whose trigger has started its DAG run, and waits since a person replayed it."""
    item = event(inbox)
    route(inbox, item)
    fire(inbox)
    assert replay(inbox, of(inbox, item)[0].id, NOW) is Replayed.QUEUED
    return item


def test_what_was_fired_and_is_replayed_may_have_its_run(inbox: Inbox) -> None:
    """A renamed route starts no second one beside it, and a person who cancels it is told to look in Airflow."""
    item = fired_again(inbox)
    (found,) = of(inbox, item)
    assert found.doubted_at is not None
    replay(inbox, item)
    assert route(inbox, item, RENAMED) == [PENDING, COPY]
    assert of(inbox, item)[0].call.dag_run_id == USUAL
    cancelled = inbox.write(replays.cancel, found.id, actor="a", reason=None, now=NOW)
    assert cancelled is Cancelled.IN_DOUBT


def test_what_was_fired_and_fails_at_a_replay_keeps_the_name_of_its_run(inbox: Inbox) -> None:
    """The next event of the job names a run id, so the DAG run would be called differently: it is looked for first."""
    item = fired_again(inbox)
    fail(inbox)
    assert route(inbox, event(inbox, "evt_2", run_id="run_1")) == [PENDING]
    assert [claimed.trigger.call.dag_run_id for claimed in claim(inbox)] == [of(inbox, item)[0].call.dag_run_id]


def test_a_replay_of_what_still_waits_asks_for_one_run_in_its_place(inbox: Inbox) -> None:
    """The call that was taken back owns the run for other events, and not for its own delivery."""
    item = event(inbox)
    route(inbox, item)
    replay(inbox, item)
    assert route(inbox, event(inbox, "evt_2")) == [COPY]
    assert route(inbox, item, RENAMED) == [TAKEN_BACK, PENDING]
    replay(inbox, item)
    assert route(inbox, item) == [PENDING, TAKEN_BACK]
    assert route(inbox, event(inbox, "evt_3")) == [COPY]


def test_an_unnamed_route_that_moved_doubles_nothing(inbox: Inbox) -> None:
    """The names of unnamed routes hang on their order, the runs do not."""
    first = mapping("event: 'job.*', dag: d", "event: '*', dag: d, conf: {b: 1}")
    moved = mapping("event: '*', dag: d, conf: {b: 1}", "event: 'job.*', dag: d")
    item = event(inbox)
    assert route(inbox, item, first) == [PENDING, PENDING]
    fire(inbox)
    replay(inbox, item)
    assert set(route(inbox, item, moved)) == {FIRED, COPY}
    assert route(inbox, event(inbox, "evt_2"), moved) == [COPY, COPY]


def test_a_second_route_to_the_same_dag_makes_its_own_run(inbox: Inbox) -> None:
    """At once, and also when it was added to the mapping later."""
    assert route(inbox, event(inbox, "evt_1"), TWO) == [PENDING, PENDING]
    item = event(inbox, "evt_2", job_id="job_2")
    route(inbox, item)
    fire(inbox)
    replay(inbox, item)
    assert route(inbox, item, TWO) == [FIRED, PENDING]


def test_a_routes_own_run_id_is_the_identity_of_its_runs(inbox: Inbox) -> None:
    """A second completion under it starts nothing, and names the owner."""
    daily = mapping("name: daily, event: '*', dag: d, dag_run_id: 'day-{{ event.parameters.day }}'")
    item = event(inbox, "evt_1", parameters={"day": "1"})
    other = event(inbox, "evt_2", job_id="job_2", parameters={"day": "1"})
    assert (route(inbox, item, daily), route(inbox, other, daily)) == ([PENDING], [COPY])
    assert item in (of(inbox, other)[0].detail or "")


LATEST = "event: '*', if_paused: hold, release: latest"
DAILY = mapping(f"name: daily, {LATEST}, dag: d, dag_run_id: 'day-{{{{ event.parameters.day }}}}'")
DAY_1 = {"pipeline_id": "pl_1", "parameters": {"day": "1"}}


def cancel(inbox: Inbox, delivery_id: str) -> str:
    """Cancel the first trigger of a delivery as the command line does; returns its id."""
    id_ = of(inbox, delivery_id)[0].id
    inbox.write(replays.cancel, id_, actor="test", reason=None, now=NOW)
    return id_


def supersede(inbox: Inbox) -> None:
    """Let the trigger that is due be held for its DAG, and give way to a newer one once that is back."""
    (claimed,) = claim(inbox)
    away = settlement(TriggerState.HELD, reason=Reason.DAG_PAUSED, awaits=Awaits.UNPAUSED)
    inbox.write(triggers.settle, claimed, away, attempt())
    newer = holds.Newer("trg_7000000000000000", is_fired=True)
    change = holds.Change(holds.HeldRow(claimed.trigger.id, claimed.trigger.call.route, NOW, newer))
    assert len(inbox.write(holds.change, [change], now=NOW)) == 1


@pytest.mark.parametrize("how", ["by_operator", "superseded"])
@pytest.mark.parametrize("asked", ["first", "second"])
def test_what_was_stopped_under_a_routes_own_run_id_keeps_it(inbox: Inbox, how: str, asked: str) -> None:
    """Another job of that day starts nothing, until a person asks for one of them: then that has the run."""
    item, other = (event(inbox, f"evt_{job}", job_id=job, **DAY_1) for job in ("job_1", "job_2"))
    assert route(inbox, item, DAILY) == [PENDING]
    if how == "by_operator":
        cancel(inbox, item)
    else:
        supersede(inbox)
    assert route(inbox, other, DAILY) == [COPY]
    (first,), (second,) = of(inbox, item), of(inbox, other)
    assert (second.detail or "").startswith(f"{first.id} of {item} (route daily, cancelled, {how})")
    wanted, rest = (first, second) if asked == "first" else (second, first)
    assert replay(inbox, wanted.id) is Replayed.QUEUED
    assert replay(inbox, rest.id) is (Replayed.ROUTED_AGAIN if asked == "first" else Replayed.DUPLICATE)
    assert [claimed.trigger.call.dag_run_id for claimed in claim(inbox, now=NOW + LATER)] == ["day-1"]


@pytest.mark.parametrize(
    ("more", "is_said"),
    [
        ({"job_id": "job_2"}, True),
        ({"status": "failed", "type": "job.failed"}, True),
        ({"pipeline_id": "pl_2"}, True),
        ({"type": "job.completed"}, False),  # the usual second event of a job
        ({"pipeline_id": None}, False),
    ],
)
def test_what_another_completion_stands_for_needs_a_person_for_a_day(
    inbox: Inbox, more: dict[str, Any], is_said: bool
) -> None:
    """Never a silent no: a route's own run id may have been meant to differ. What was run again is mended."""
    both = mapping("name: daily, event: '*', dag: d, 'on': [succeeded, failed], dag_run_id: day-1")
    item = event(inbox, "evt_1", pipeline_id="pl_1")
    other = event(inbox, "evt_2", **{"pipeline_id": "pl_1"} | more)
    assert (route(inbox, item, both), route(inbox, other, both)) == ([PENDING], [COPY])
    (copy,) = of(inbox, other)
    needs = attending.needs(inbox, now=NOW)
    assert [(need.what, need.about, need.example) for need in needs] == [
        ("duplicate_run", "daily -> d at default", copy.id)
    ] * is_said
    assert all("replay --run-again" in need.next_step for need in needs)
    assert "duplicate_run" not in [need.what for need in attending.needs(inbox, now=NOW + timedelta(days=1, hours=1))]
    again = {"actor": "test", "reason": None, "new_id": inbox.new_trigger_id(), "now": NOW}
    assert inbox.write(replays.replay, copy.id, **again) is Replayed.NEW_RUN
    assert attending.needs(inbox, now=NOW) == []


def test_what_a_stopped_one_stands_for_needs_a_person_too(inbox: Inbox) -> None:
    """Somebody cancelled that day's first load, and may not know of the second."""
    item, other = (event(inbox, f"evt_{job}", job_id=job, **DAY_1) for job in ("job_1", "job_2"))
    route(inbox, item, DAILY)
    cancel(inbox, item)
    route(inbox, other, DAILY)
    assert [need.what for need in attending.needs(inbox, now=NOW)] == ["duplicate_run"]


def test_what_waited_behind_what_a_replay_took_back_still_needs_a_person(inbox: Inbox) -> None:
    """Nothing stands for that day's run any more, and nobody fires the second by itself."""
    item, other = (event(inbox, f"evt_{job}", job_id=job, **DAY_1) for job in ("job_1", "job_2"))
    route(inbox, item, DAILY)
    route(inbox, other, DAILY)
    replay(inbox, item)
    route(inbox, item, mapping("event: no.such.type, dag: d"))
    assert [need.example for need in attending.needs(inbox, now=NOW) if need.what == "duplicate_run"] == [
        of(inbox, other)[0].id
    ]


def test_what_was_stopped_keeps_no_other_days_run_id(inbox: Inbox) -> None:
    """Nor that of another DAG."""
    item = event(inbox, "evt_1", **DAY_1)
    route(inbox, item, DAILY)
    cancel(inbox, item)
    second = event(inbox, "evt_2", job_id="job_2", parameters={"day": "2"})
    assert route(inbox, second, DAILY) == [PENDING]
    elsewhere = mapping("name: daily, event: '*', dag: e, dag_run_id: 'day-{{ event.parameters.day }}'")
    assert route(inbox, event(inbox, "evt_3", job_id="job_3", **DAY_1), elsewhere) == [PENDING]


@pytest.mark.parametrize("is_newer_fired", [False, True])
def test_what_a_replay_took_back_keeps_no_run_id(inbox: Inbox, is_newer_fired: bool) -> None:
    """Its delivery was routed again, to a route of another name: that has the run now, and no other delivery."""
    item = event(inbox, "evt_1", **DAY_1)
    route(inbox, item, DAILY)
    if is_newer_fired:
        supersede(inbox)
    replay(inbox, item)
    renamed = mapping("name: every_day, event: '*', dag: d, dag_run_id: 'day-{{ event.parameters.day }}'")
    assert route(inbox, item, renamed) == [TAKEN_BACK, PENDING]
    for claimed in claim(inbox, now=NOW + LATER):
        failed = settlement(TriggerState.FAILED, reason=Reason.EXPIRED)
        inbox.write(triggers.settle, claimed, failed, attempt())
    assert route(inbox, event(inbox, "evt_2", job_id="job_2", **DAY_1), renamed) == [PENDING]


def doubt(inbox: Inbox, state: TriggerState = TriggerState.HELD, **more: Any) -> None:
    """Let the trigger that is due end in doubt: Airflow may have made its DAG run, and does not say."""
    (claimed,) = claim(inbox, **more)
    reason = Reason.EXPIRED if state is TriggerState.FAILED else Reason.AIRFLOW_DOWN
    inbox.write(triggers.settle, claimed, settlement(state, reason=reason, is_doubtful=True), attempt())


@pytest.mark.parametrize("state", [TriggerState.HELD, TriggerState.FAILED])
def test_a_replay_after_a_rename_does_not_double_a_run_in_doubt(inbox: Inbox, state: TriggerState) -> None:
    """The old trigger is fired once more, under its own DAG run id, so that Airflow tells; the new one is its copy."""
    item = event(inbox)
    route(inbox, item)
    doubt(inbox, state)
    assert replay(inbox, item) is Replayed.ROUTED_AGAIN
    assert route(inbox, item, RENAMED) == [PENDING, COPY]
    assert [claimed.trigger.call.dag_run_id for claimed in claim(inbox, now=NOW + LATER)] == [
        "planasonix__job_1__succeeded__orders"
    ]


def test_another_event_after_a_rename_does_not_double_a_run_in_doubt(inbox: Inbox) -> None:
    """What failed in doubt is fired once more, whichever event asks; if it fails again, so does the next replay."""
    item, other = event(inbox, "evt_1"), event(inbox, "evt_2")
    route(inbox, item)
    doubt(inbox, TriggerState.FAILED)
    assert route(inbox, other, RENAMED) == [COPY]
    assert [str(found.state) for found in of(inbox, item)] == [PENDING]
    doubt(inbox, TriggerState.FAILED, now=NOW + LATER)
    assert replay(inbox, of(inbox, other)[0].id) is Replayed.ROUTED_AGAIN
    assert route(inbox, other, RENAMED) == [COPY]
    assert [str(found.state) for found in of(inbox, item)] == [PENDING]


@pytest.mark.parametrize(
    "other", ["dag_id = 'a'", "airflow = 'a'", "dag_run_id = 'a'", "state = 'failed'", "state = 'cancelled'"]
)
def test_a_run_in_doubt_is_asked_for_beside_what_is_not_in_its_way(inbox: Inbox, store: Store, other: str) -> None:
    """Another run of that name elsewhere, under another name, or one that is not to come any more."""
    item = event(inbox, "evt_1")
    route(inbox, item)
    doubt(inbox, TriggerState.FAILED)
    beside = add(inbox, stored(inbox, "evt_beside"), dag_run_id=of(inbox, item)[0].call.dag_run_id)
    store.rows(f"UPDATE triggers SET {other} WHERE id = ?", number(beside, "trg"))  # noqa: S608
    assert route(inbox, event(inbox, "evt_2"), RENAMED) == [COPY]
    assert [str(found.state) for found in of(inbox, item)] == [PENDING]


@pytest.mark.parametrize("run_ids", [("run_1", None), (None, "run_1")])
def test_another_event_under_another_name_does_not_double_a_run_in_doubt(
    inbox: Inbox, run_ids: tuple[str | None, str | None]
) -> None:
    """One event of the job names its run and one does not, so the DAG runs would be called differently."""
    first, second = (event(inbox, f"evt_{n}", run_id=run_id) for n, run_id in enumerate(run_ids))
    route(inbox, first)
    doubt(inbox, TriggerState.FAILED)
    (before,) = of(inbox, first)
    assert route(inbox, second) == [PENDING]
    assert [claimed.trigger.call.dag_run_id for claimed in claim(inbox)] == [before.call.dag_run_id]


def test_what_is_asked_for_under_a_name_in_doubt_is_in_doubt_itself(inbox: Inbox) -> None:
    """The run may be there: it is not given up as too late, nor is it said that nothing ran, before that is known."""
    first, second = event(inbox, "evt_1"), event(inbox, "evt_2")
    route(inbox, first)
    doubt(inbox, TriggerState.FAILED)
    assert route(inbox, second) == [PENDING]
    (found,) = of(inbox, second)
    assert found.doubted_at is not None
    cancelled = inbox.write(replays.cancel, found.id, actor="a", reason=None, now=NOW)
    assert cancelled is Cancelled.IN_DOUBT


@pytest.fixture
def taken(inbox: Inbox) -> tuple[str, str]:
    """Pipeline a's job 1 failed in doubt, and that of pipeline b waits under the same DAG run id; both deliveries."""
    first, second = (event(inbox, f"evt_{pipeline}", pipeline_id=pipeline) for pipeline in ("pl_a", "pl_b"))
    route(inbox, first)
    doubt(inbox, TriggerState.FAILED)
    assert route(inbox, second) == [PENDING]
    return first, second


USUAL = "planasonix__job_1__succeeded__orders"
CONFLICT = "failed run_id_conflict"


@pytest.mark.parametrize("state", ["pending", "held", "firing"])
@pytest.mark.parametrize("is_asked", [True, False], ids=["a person asks", "another event comes"])
def test_what_may_have_its_run_takes_no_other_name_while_another_waits_under_it(
    inbox: Inbox, store: Store, taken: tuple[str, str], state: str, is_asked: bool
) -> None:
    """A second run of it would start; a person looks, and later replays find the name free or surely the other's."""
    first, second = taken
    store.rows("UPDATE triggers SET state = ? WHERE delivery_id = ?", state, number(second, "dlv"))
    item = first
    if is_asked:
        assert replay(inbox, of(inbox, first)[0].id) is Replayed.ROUTED_AGAIN
    else:
        item = event(inbox, "evt_3", pipeline_id="pl_a")
    assert route(inbox, item) == [CONFLICT]
    (found,) = of(inbox, item)
    assert found.call.dag_run_id == USUAL
    assert (
        found.detail == f"a call may have started it under {USUAL}, which {of(inbox, second)[0].id} ({state}) has now"
    )


def test_two_events_that_come_together_take_no_other_name_either(inbox: Inbox, taken: tuple[str, str]) -> None:
    """What the first of them leaves in the same transaction is in doubt for the second."""
    first, _ = taken
    replay(inbox, first)
    other = event(inbox, "evt_3", pipeline_id="pl_a")
    inbox.write(settle_routing, [planned(inbox, id_, ORDERS) for id_ in (first, other)], now=NOW)
    assert [found.reason for id_ in (first, other) for found in of(inbox, id_)] == [Reason.RUN_ID_CONFLICT] * 2


def test_what_may_have_its_run_takes_its_spare_name_once_the_other_has_its_own(
    inbox: Inbox, taken: tuple[str, str]
) -> None:
    """Then the run under the usual name is the other's for sure."""
    first, second = taken
    fire(inbox)
    assert [str(found.state) for found in of(inbox, second)] == [FIRED]
    replay(inbox, of(inbox, first)[0].id)
    assert route(inbox, first) == [PENDING]
    (found,) = of(inbox, first)
    assert found.call.dag_run_id.startswith(f"{USUAL}--")
    assert found.doubted_at is None  # no call was ever under this name


def test_what_may_have_its_run_owns_none_once_the_other_has_its_own(inbox: Inbox, taken: tuple[str, str]) -> None:
    """Also where the route was renamed: until then a person looks, and then each completion has its run."""
    first, second = taken
    other = event(inbox, "evt_3", pipeline_id="pl_a")
    assert route(inbox, other, RENAMED) == [CONFLICT]
    fire(inbox)
    assert [str(found.state) for found in of(inbox, second)] == [FIRED]
    replay(inbox, other)
    assert route(inbox, other, RENAMED) == [PENDING]
    replay(inbox, first)
    assert route(inbox, first, RENAMED) == [TAKEN_BACK, COPY]
    assert of(inbox, other)[0].call.dag_run_id.startswith("planasonix__job_1__succeeded__sales--")


def test_what_may_have_its_run_takes_its_routes_own_name_once_the_other_has_its_own(
    inbox: Inbox, taken: tuple[str, str]
) -> None:
    """The route names its runs itself by now, and another completion waits under the name in doubt."""
    own = mapping("name: loads, event: '*', dag: load_orders, dag_run_id: 'load-{{ event.job_id }}'")
    other = event(inbox, "evt_3", pipeline_id="pl_a")
    assert route(inbox, other, own) == [CONFLICT]
    fire(inbox)
    replay(inbox, other)
    assert route(inbox, other, own) == [PENDING]
    assert [found.call.dag_run_id for found in of(inbox, other)] == ["load-job_1"]


def test_what_may_have_its_run_is_looked_for_once_the_other_has_another_name(
    inbox: Inbox, store: Store, taken: tuple[str, str]
) -> None:
    """Airflow refused the other's call, since the run was there: a replay, of whichever event, finds it."""
    _, second = taken
    other = event(inbox, "evt_3", pipeline_id="pl_a")
    assert route(inbox, other) == [CONFLICT]
    store.rows("UPDATE triggers SET dag_run_id = 'spare' WHERE delivery_id = ?", number(second, "dlv"))
    assert replay(inbox, of(inbox, other)[0].id) is Replayed.QUEUED
    assert [found.call.dag_run_id for found in of(inbox, other)] == [USUAL]


def test_a_spare_name_that_is_taken_as_well_makes_a_copy_of_its_owner(inbox: Inbox, store: Store) -> None:
    """The spare name has the completion in it: what has it already is for the same run."""
    assert route(inbox, event(inbox, pipeline_id="pl_a")) == [PENDING]
    owner, late = event(inbox, "evt_2", job_id="job_2"), event(inbox, "evt_3", pipeline_id="pl_b")
    assert route(inbox, owner) == [PENDING]
    (wanted,) = planned(inbox, late, ORDERS).triggers
    store.rows("UPDATE triggers SET dag_run_id = ? WHERE delivery_id = ?", wanted.spare_run_id, number(owner, "dlv"))
    assert route(inbox, late) == [COPY]
    (found,) = of(inbox, late)
    assert str(found.detail).startswith(f"{of(inbox, owner)[0].id} of {owner}")


def test_a_route_that_is_gone_fires_nothing_in_doubt(inbox: Inbox) -> None:
    """Nobody asks for the run any more; once somebody does, under whatever name, it is found."""
    item = event(inbox)
    route(inbox, item)
    doubt(inbox)
    replay(inbox, item)
    assert route(inbox, item, mapping("event: no.such.type, dag: d")) == [TAKEN_BACK]
    assert route(inbox, event(inbox, "evt_2"), RENAMED) == [COPY]
    assert [str(found.state) for found in of(inbox, item)] == [PENDING]


def test_what_is_made_anew_in_doubt_keeps_its_dag_run_id(inbox: Inbox) -> None:
    """The route names its runs otherwise by now; under the old name Airflow finds the run. The conf is today's."""
    item = event(inbox)
    route(inbox, item)
    doubt(inbox)
    replay(inbox, item)
    daily = mapping("name: orders, event: '*', dag: load_orders, dag_run_id: 'day-1', conf: {a: 1}")
    assert route(inbox, item, daily) == [PENDING]
    (found,) = of(inbox, item)
    assert (found.call.dag_run_id, found.call.conf["a"]) == ("planasonix__job_1__succeeded__orders", 1)


@pytest.mark.parametrize("again", ["orders", "renamed"])
def test_what_is_fired_once_more_waits_for_no_dag(inbox: Inbox, again: str) -> None:
    """Made anew, or under its own DAG run id: held for another cause by then, it does not go when that DAG is back."""
    item = event(inbox)
    route(inbox, item)
    away = settlement(TriggerState.HELD, reason=Reason.DAG_NOT_FOUND, awaits=Awaits.THERE, is_doubtful=True)
    inbox.write(triggers.settle, claim(inbox)[0], away, attempt())
    wanted = {"airflow": "default", "dag_id": "load_orders", "awaits": list(Awaits), "after": 0, "limit": 9}
    assert len(inbox.read(holds.page, **wanted)) == 1
    replay(inbox, item)
    route(inbox, item, {"orders": ORDERS, "renamed": RENAMED}[again])
    assert inbox.write(claiming.hold, airflow="default", reason=Reason.AIRFLOW_DOWN, limit=9) == 1
    assert inbox.read(holds.page, **wanted) == []


def test_what_is_made_anew_is_as_its_route_says_by_then(inbox: Inbox) -> None:
    """Followed or not, and within its limits: like its conf, what the mapping says when a person asks for it."""
    item = event(inbox)
    route(inbox, item)
    inbox.write(triggers.settle, claim(inbox)[0], settlement(TriggerState.FAILED, reason=Reason.EXPIRED), attempt())
    replay(inbox, item)
    limits = "max_attempts: 7, max_age: 3h, concurrency: 2, hold_at_most: 3d"
    route(inbox, item, mapping(f"name: orders, event: '*', dag: load_orders, follow: false, {limits}"))
    (call,) = (found.call for found in of(inbox, item))
    assert call.follow is False
    assert (call.limits.max_attempts, call.limits.max_age_seconds, call.limits.concurrency) == (7, 10_800, 2)
    assert call.limits.hold_seconds == 259_200


def test_a_refusal_does_not_end_the_doubt(inbox: Inbox) -> None:
    """Airflow refuses a conf before it looks for the run, which an earlier call may have started."""
    item = event(inbox)
    route(inbox, item)
    doubt(inbox)
    (claimed,) = claim(inbox)
    inbox.write(triggers.settle, claimed, settlement(TriggerState.FAILED, reason=Reason.CONF_REFUSED), attempt(2))
    replay(inbox, item)
    assert route(inbox, item, RENAMED) == [PENDING, COPY]


def test_a_strangers_run_under_its_name_ends_the_doubt(inbox: Inbox) -> None:
    """Its own is not there, then: once the mapping gives another name, a replay takes that one."""
    item = event(inbox)
    route(inbox, item)
    doubt(inbox)
    (claimed,) = claim(inbox)
    conflict = settlement(TriggerState.FAILED, reason=Reason.RUN_ID_CONFLICT, is_certain=True)
    inbox.write(triggers.settle, claimed, conflict, attempt(2))
    replay(inbox, item)
    daily = mapping("name: orders, event: '*', dag: load_orders, dag_run_id: 'day-1'")
    assert route(inbox, item, daily) == [PENDING]
    assert [found.call.dag_run_id for found in of(inbox, item)] == ["day-1"]


def test_what_was_erased_in_doubt_is_not_fired(inbox: Inbox) -> None:
    """Its conf is gone. Its run may be there, so the renamed route makes none unasked."""
    item = event(inbox, "evt_1")
    route(inbox, item)
    doubt(inbox, TriggerState.FAILED)
    words = {"actor": "test", "reason": "asked for", "is_cancelling": False, "now": NOW}
    evt_1 = {"source": "planasonix", "event_id": "evt_1"}
    inbox.write(erasing.erase, **evt_1, rows=inbox.read(erasing.rows_of, **evt_1), **words)
    assert route(inbox, event(inbox, "evt_2"), RENAMED) == [COPY]
    assert [str(found.state) for found in of(inbox, item)] == ["failed"]


def test_a_replay_of_a_copy_asks_the_mapping(inbox: Inbox) -> None:
    """The run that it is a copy of may have the name of another route of the same delivery."""
    item = event(inbox)
    route(inbox, item)
    fire(inbox)
    replay(inbox, item)
    assert route(inbox, item, RENAMED) == [FIRED, COPY]
    assert replay(inbox, of(inbox, item)[1].id) is Replayed.ROUTED_AGAIN
    assert route(inbox, item, RENAMED) == [FIRED, COPY]


def test_a_replay_of_what_was_superseded_asks_the_mapping(inbox: Inbox) -> None:
    """Its run has been started under the new name of its route."""
    item = event(inbox)
    route(inbox, item)
    replay(inbox, item)
    assert route(inbox, item, RENAMED) == [TAKEN_BACK, PENDING]
    assert replay(inbox, of(inbox, item)[0].id) is Replayed.ROUTED_AGAIN
    assert route(inbox, item, RENAMED) == [TAKEN_BACK, PENDING]


def test_what_gave_way_to_a_newer_one_is_not_started_after_a_rename(inbox: Inbox) -> None:
    """The older load would run after the newer; a person may still ask for it, and then the new route makes it."""
    item, other = (event(inbox, f"evt_{number}", pipeline_id="pl_1") for number in (1, 2))
    route(inbox, item, mapping(f"name: orders, {LATEST}, dag: load_orders"))
    supersede(inbox)
    assert route(inbox, other, RENAMED) == [COPY]
    assert of(inbox, item)[0].id in (of(inbox, other)[0].detail or "")
    assert replay(inbox, item) is Replayed.ROUTED_AGAIN
    assert route(inbox, item, RENAMED) == [TAKEN_BACK, PENDING]
    assert route(inbox, event(inbox, "evt_3"), mapping("name: newest, event: '*', dag: load_orders")) == [COPY]


# --- who owns what ---------------------------------------------------------------------------------


def test_a_failed_trigger_owns_nothing(inbox: Inbox) -> None:
    """The next event of the completion runs, under the same DAG run id; then the failed one cannot run besides."""
    item, other = event(inbox, "evt_1"), event(inbox, "evt_2")
    route(inbox, item)
    fail(inbox)
    assert route(inbox, other) == [PENDING]
    assert of(inbox, other)[0].call.dag_run_id == of(inbox, item)[0].call.dag_run_id
    assert replay(inbox, of(inbox, item)[0].id) is Replayed.DUPLICATE
    replay(inbox, item)
    assert route(inbox, item) == [COPY]


def test_a_failed_trigger_is_not_replayed_beside_a_run_under_another_name(inbox: Inbox) -> None:
    """The route was renamed and the next event has run: a replay of the failed trigger asks the mapping."""
    item = event(inbox, "evt_1")
    route(inbox, item)
    fail(inbox)
    assert route(inbox, event(inbox, "evt_2"), RENAMED) == [PENDING]
    assert replay(inbox, of(inbox, item)[0].id) is Replayed.ROUTED_AGAIN
    assert route(inbox, item, RENAMED) == ["failed expired", COPY]


def test_a_failed_trigger_whose_name_another_completion_took_is_made_anew_under_another(inbox: Inbox) -> None:
    """Nobody's run is lost because somebody else's has its name."""
    item, other = (
        event(inbox, "evt_1", run_id="42", pipeline_id="a"),
        event(inbox, "evt_2", run_id="42", pipeline_id="b"),
    )
    route(inbox, item)
    fail(inbox)
    assert route(inbox, other) == [PENDING]
    assert replay(inbox, of(inbox, item)[0].id) is Replayed.ROUTED_AGAIN
    assert route(inbox, item) == [PENDING]
    assert of(inbox, item)[0].call.dag_run_id != of(inbox, other)[0].call.dag_run_id


def test_a_copy_whose_owner_failed_runs_when_it_is_replayed(inbox: Inbox) -> None:
    """A copy owns nothing, and is blocked by nothing but a live trigger."""
    item, other = event(inbox, "evt_1"), event(inbox, "evt_2")
    route(inbox, item)
    assert route(inbox, other) == [COPY]
    fail(inbox)
    replay(inbox, other)
    assert route(inbox, other) == [PENDING]
    found = of(inbox, other)[0]
    assert found.call.conf["planasonix"]["trigger_id"] == found.id


def test_what_a_person_cancelled_stays_owned(inbox: Inbox) -> None:
    """Another event of the completion does not start what somebody stopped."""
    item = event(inbox, "evt_1")
    route(inbox, item)
    inbox.write(replays.cancel, of(inbox, item)[0].id, actor="test", reason=None, now=NOW)
    assert route(inbox, event(inbox, "evt_2")) == [COPY]
    assert replay(inbox, of(inbox, item)[0].id) is Replayed.QUEUED


TWICE_42 = [{"run_id": "42", "pipeline_id": pipeline} for pipeline in ("pl_a", "pl_b")]


def test_what_a_person_cancelled_is_fired_beside_another_completion_that_has_its_name(inbox: Inbox) -> None:
    """Two pipelines have a run 42: that is a name, and no reason to refuse a replay."""
    item, other = (event(inbox, f"evt_{fields['pipeline_id']}", **fields) for fields in TWICE_42)
    route(inbox, item)
    id_ = cancel(inbox, item)
    assert route(inbox, other) == [PENDING]
    assert replay(inbox, id_) is Replayed.QUEUED
    names = [found.call.dag_run_id for each in (item, other) for found in of(inbox, each)]
    assert names[1] == "planasonix__42__succeeded__orders"
    assert names[0].startswith(f"{names[1]}--")
    assert {claimed.trigger.call.dag_run_id for claimed in claim(inbox, now=NOW + LATER)} == set(names)
    assert route(inbox, event(inbox, "evt_again", **TWICE_42[0])) == [COPY]


def test_what_was_called_is_fired_beside_another_only_once_that_has_its_run(inbox: Inbox) -> None:
    """It was fired before, and replayed, and cancelled: its own run may be the one under the usual name."""
    item, other = (event(inbox, f"evt_{fields['pipeline_id']}", **fields) for fields in TWICE_42)
    route(inbox, item)
    fire(inbox)
    replay(inbox, of(inbox, item)[0].id)
    id_ = cancel(inbox, item)
    assert route(inbox, other) == [PENDING]
    assert replay(inbox, id_) is Replayed.DUPLICATE
    fire(inbox)
    assert replay(inbox, id_) is Replayed.QUEUED
    assert of(inbox, item)[0].call.dag_run_id.startswith("planasonix__42__succeeded__orders--")


def test_what_may_have_its_run_is_not_fired_under_another_name(inbox: Inbox) -> None:
    """A call of it may have started it under the usual one, so a person looks first."""
    item, other = (event(inbox, f"evt_{fields['pipeline_id']}", **fields) for fields in TWICE_42)
    route(inbox, item)
    doubt(inbox)
    id_ = cancel(inbox, item)
    assert route(inbox, other) == [PENDING]
    assert replay(inbox, id_) is Replayed.DUPLICATE


def test_age_and_attempts_of_a_trigger_made_anew_start_anew(inbox: Inbox, store: Store) -> None:
    """A cancelled trigger under the same DAG run id is no obstacle."""
    item, other = event(inbox, "evt_1"), event(inbox, "evt_2")
    route(inbox, item), route(inbox, other)
    fail(inbox)
    replay(inbox, item)
    inbox.write(settle_routing, [planned(inbox, item, ORDERS)], now=NOW + 5 * LATER)
    (found,) = of(inbox, item)
    assert (found.state, found.attempts, found.age_from) == (TriggerState.PENDING, 0, NOW + 5 * LATER)
    assert store.one("SELECT COUNT(*) FROM triggers WHERE state = 'cancelled'") == 1


# --- retention, replicas, the release before -----------------------------------------------------


def test_a_completion_is_known_as_long_as_any_of_its_deliveries(inbox: Inbox, store: Store) -> None:
    """Retention removes the first one; the second, which owns the run, still stops a third."""
    item, other = event(inbox, "evt_1"), event(inbox, "evt_2")
    route(inbox, item)
    fail(inbox)
    route(inbox, other)
    wait_for(store.has_folded)
    ended, _ = inbox.read(old, before=NOW, after=0, limit=100)
    assert inbox.write(prune, ended) == 1
    assert inbox.read(deliveries.get, item) is None
    assert route(inbox, event(inbox, "evt_3")) == [COPY]
    assert store.one("SELECT COUNT(*) FROM completions") == 2


def test_two_replicas_judge_one_completion_one_after_the_other(open_inbox: Open) -> None:
    """Many events of the same completions, routed at the same time and in opposite orders: each runs once."""
    replicas = [open_inbox(), open_inbox()] if "postgresql" in str(open_inbox()._store.reading.url) else [open_inbox()]
    ids = [[event(replicas[0], f"evt_{job}_{turn}", job_id=f"job_{job}") for job in range(30)] for turn in range(2)]
    start = threading.Barrier(2)

    def work(turn: int) -> None:
        inbox = replicas[turn % len(replicas)]
        plans = [planned(inbox, id_, ORDERS) for id_ in ids[turn][:: 1 - 2 * turn]]
        start.wait()
        for at in range(0, len(plans), 7):
            inbox.write(settle_routing, plans[at : at + 7], now=NOW)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    found = replicas[0].read(browsing.triggers, wanted=browsing.Filter(), limit=100)
    assert sorted(str(item.state) for item in found) == ["cancelled"] * 30 + ["pending"] * 30


@pytest.mark.parametrize("erased", [False, True])
def test_what_the_release_before_started_is_found_by_its_dag_run_id(inbox: Inbox, store: Store, erased: bool) -> None:
    """It told no completion; its conf says whose run it is, or is gone and leaves the name."""
    item, other = event(inbox, "evt_1", run_id="run_1", pipeline_id="a"), event(inbox, "evt_2", pipeline_id="a")
    route(inbox, item)
    store.rows("DELETE FROM completions")
    if erased:
        store.rows("UPDATE triggers SET conf = '{}'")
    assert route(inbox, event(inbox, "evt_3", run_id="run_1", pipeline_id="a")) == [COPY]
    if not erased:
        assert route(inbox, event(inbox, "evt_4", run_id="run_1", pipeline_id="b")) == [PENDING]
    store.rows("DELETE FROM completions")
    store.rows(
        "UPDATE triggers SET dag_run_id = 'planasonix__job_1__succeeded__orders' WHERE dag_run_id NOT LIKE '%--%'"
    )
    assert route(inbox, other) == [COPY]
    assert route(inbox, event(inbox, "evt_5", run_id="run_9", pipeline_id="a")) == [COPY]


def test_a_replay_of_what_the_release_before_routed_doubles_nothing(inbox: Inbox, store: Store) -> None:
    """Not even when the route was renamed with the upgrade."""
    item = event(inbox)
    route(inbox, item)
    fire(inbox)
    store.rows("DELETE FROM completions")
    replay(inbox, item)
    assert route(inbox, item, RENAMED) == [FIRED, COPY]


def test_an_event_without_any_id_is_named_after_its_delivery(inbox: Inbox) -> None:
    """Two of them with the same bytes are two completions; what makes the second a copy is the time between them."""
    body = b'{"pipeline_id": "pl_x", "status": "success"}'
    item, other = (stored(inbox, None, source=source, body=body) for source in SOURCES)
    loads = mapping("name: orders, pipeline: pl_x, dag: load_orders")
    assert (route(inbox, item, loads), route(inbox, other, loads)) == ([PENDING], [PENDING])
    assert of(inbox, item)[0].call.dag_run_id == f"planasonix__{item}__succeeded__orders"
    assert delivery(inbox, item).state is DeliveryState.ROUTED


# --- the same event id, with another body ---------------------------------------------------------


def test_the_same_event_and_completion_with_another_body_is_ignored_and_names_the_first(inbox: Inbox) -> None:
    """Another body tells of what was routed already: it starts nothing, not even at a route that is new."""
    item, other = event(inbox, "evt_1"), stored(inbox, "evt_2", body=beside("succeeded", rows_loaded=7))
    inbox.write(rename, other, "evt_1")
    assert route(inbox, item) == [PENDING]
    assert route(inbox, other, TWO) == []
    found = delivery(inbox, other)
    assert (found.state, found.reason, found.detail) == (DeliveryState.IGNORED, Reason.SAME_EVENT, item)


@pytest.mark.parametrize("more", [{"job_id": "job_2"}, {"status": "failed", "type": "job.failed"}])
def test_the_same_event_id_of_another_completion_is_routed(inbox: Inbox, more: dict[str, Any]) -> None:
    """An id that a Webhook Action uses for `failed` and then for `succeeded` says nothing against the second."""
    both = mapping("name: orders, event: '*', dag: load_orders, 'on': [succeeded, failed]")
    item, other = event(inbox, "evt_1"), stored(inbox, "evt_2", body=beside(**{"status": "succeeded"} | more))
    inbox.write(rename, other, "evt_1")
    assert (route(inbox, item, both), route(inbox, other, both)) == ([PENDING], [PENDING])


def test_the_same_event_runs_when_what_was_routed_first_has_failed(inbox: Inbox) -> None:
    """A failed trigger owns nothing, so a corrected body is no copy."""
    item, other = event(inbox, "evt_1"), stored(inbox, "evt_2", body=beside("succeeded", rows_loaded=7))
    inbox.write(rename, other, "evt_1")
    route(inbox, item)
    fail(inbox)
    assert route(inbox, other) == [PENDING]


def beside(status: str, **fields: Any) -> bytes:
    """Return a body of the event `evt_1` that differs from the usual one."""
    return json.dumps({"id": "evt_1", "type": "job.succeeded", "job_id": "job_1", "status": status} | fields).encode()


def rename(connection: Connection, delivery_id: str, event_id: str) -> None:
    """Give a delivery the event id of another, as one that is stored beside it has."""
    values = {"event_id": event_id, "id": number(delivery_id, "dlv")}
    connection.execute(text("UPDATE deliveries SET event_id = :event_id WHERE id = :id"), values)


@pytest.mark.parametrize(
    "more", [{"source": "other"}, {"status": "failed", "type": "job.failed"}, {"type": "load.done", "run_id": "job_1"}]
)
def test_another_completion_of_the_same_id_is_held_by_itself(
    open_inbox: Open, store: Store, more: dict[str, str]
) -> None:
    """Whoever routes an event of the one waits for nobody who routes one of the other; each counts its own rows."""
    first, second = open_inbox(), open_inbox()
    if "job_1" in more.values():
        more = more | {"job_id": None}  # type: ignore[dict-item]
    ids = [event(first, f"evt_{n}", **(more if n % 2 else {})) for n in range(4)]
    for id_ in ids:
        route(first, id_, NOTHING)
    assert store.rows("SELECT nth FROM completions ORDER BY delivery_id") == [(0,), (0,), (1,), (1,)]

    def both(connection: Connection) -> list[int]:
        told = completions.hold(connection, number(ids[0], "dlv"))
        if store.is_postgresql:
            assert second.write(completions.hold, number(ids[1], "dlv")) == [number(ids[n], "dlv") for n in (1, 3)]
        return told

    assert first.write(both) == [number(ids[n], "dlv") for n in (0, 2)]


def test_the_deliveries_that_tell_of_a_job_are_found(inbox: Inbox) -> None:
    """Since an instant, the oldest first, and as many as are asked for."""
    ids = [event(inbox, f"evt_{n}") for n in range(3)]
    event(inbox, "evt_job", job_id="job_2")
    run = event(inbox, "evt_run", type="load.done", job_id=None, run_id="job_1")
    for id_ in (*reversed(ids), run):
        route(inbox, id_, NOTHING)

    def found(since: datetime, limit: int = 9, kind: Kind = Kind.JOB) -> list[str]:
        return inbox.read(completions.telling_of, kind=kind, about_id="job_1", since=since, limit=limit)

    now = instant(made_at(ids[0]))
    assert found(now) == ids
    assert found(now, 2) == ids[:2]
    assert found(now, kind=Kind.RUN) == [run]
    assert found(instant(made_at(run)) + timedelta(hours=1)) == []


def test_what_is_being_routed_again_is_not_the_first_of_its_event(inbox: Inbox) -> None:
    """Its run counts all the same; the other body is kept as a copy of that."""
    item, other = event(inbox, "evt_1"), stored(inbox, "evt_2", body=beside("succeeded", rows_loaded=7))
    inbox.write(rename, other, "evt_1")
    route(inbox, item)
    fire(inbox)
    replay(inbox, item)
    assert route(inbox, other) == [COPY]


def message(inbox: Inbox, id_: str | None, *, is_stale: bool = False, is_beside: bool = False, **fields: Any) -> str:
    """Store a webhook without an event id under a signed message id; returns its delivery."""
    body = {"type": "job.succeeded", "job_id": "job_1", "status": "succeeded"} | fields
    more = {"is_stale": is_stale, "is_beside": is_beside, "message_id": id_}
    return stored(inbox, None, body=json.dumps(body).encode(), **more)


SAME_MESSAGE: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "another body": ({}, {"rows": 7}, True),
    "another body, and the first was late": ({"is_stale": True}, {"rows": 7}, True),
    "another body, which is late": ({}, {"rows": 7, "is_stale": True}, True),
    "the same bytes without any id": ({"id_": None}, {"id_": None}, False),
    "another message": ({}, {"id_": "msg_2", "rows": 7}, False),
}


@pytest.mark.parametrize("case", SAME_MESSAGE)
def test_another_body_under_a_signed_message_id_is_ignored_and_names_the_first(inbox: Inbox, case: str) -> None:
    """A gateway signs one message id for two bodies. What only tells of the same completion is a copy."""
    first, second, is_same = SAME_MESSAGE[case]
    item = message(inbox, **{"id_": "msg_1"} | first)
    other = message(inbox, **{"id_": "msg_1", "is_beside": True} | second)
    for id_, more in ((item, first), (other, second)):
        if more.get("is_stale"):
            replay(inbox, id_)
    assert route(inbox, item) == [PENDING]
    assert route(inbox, other) == ([] if is_same else [COPY])
    found = delivery(inbox, other)
    ignored = (DeliveryState.IGNORED, Reason.SAME_EVENT, item)
    assert (found.state, found.reason, found.detail) == (ignored if is_same else (DeliveryState.ROUTED, None, None))


@pytest.mark.parametrize("change", ["state = 'received'", "erased_at = 1", "event_id = 'evt_1'"])
def test_only_what_is_routed_and_has_its_body_is_the_first_of_its_message(
    inbox: Inbox, store: Store, change: str
) -> None:
    """Else it is not known that the bodies differ: the second is kept as a copy of its run."""
    item, other = message(inbox, "msg_1"), message(inbox, "msg_1", is_beside=True, rows=7)
    route(inbox, item)
    store.rows(f"UPDATE deliveries SET {change} WHERE id = ?", number(item, "dlv"))  # noqa: S608
    assert route(inbox, other) == [COPY]


def test_an_event_with_an_id_is_the_same_by_that_alone(inbox: Inbox, store: Store) -> None:
    """Whatever key it stands under."""
    item, other = message(inbox, "msg_1"), message(inbox, "msg_1", is_beside=True, rows=7)
    route(inbox, item)
    store.rows("UPDATE deliveries SET event_id = 'evt_1' WHERE id = ?", number(other, "dlv"))
    assert route(inbox, other) == [COPY]


def test_every_further_body_names_the_first_that_was_routed(inbox: Inbox) -> None:
    """Whichever came first."""
    others = [message(inbox, "msg_1", is_beside=bool(n), rows=n) for n in range(3)]
    first = others.pop()
    assert route(inbox, first) == [PENDING]
    for id_ in others:
        assert route(inbox, id_) == []
        assert delivery(inbox, id_).detail == first
