"""What needs a person, grouped by cause: each kind of trouble, and nothing that was mended."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, browsing, deadlines, grouping, refusals, triggers
from bridge.edges.inbox.browsing import Filter
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.edges.inbox.engine import ids as spelled
from bridge.edges.inbox.orders import NewOrder, newest, place, work
from bridge.edges.inbox.rows import microseconds
from bridge.flows import ordering
from bridge.rules.completion import Completion, Kind
from bridge.words.causes import Group
from bridge.words.errors import BadFilter, Changed
from bridge.words.model import DeliveryState, TriggerState
from bridge.words.orders import Action
from bridge.words.reasons import Reason
from bridge.words.refusals import Refusal, RefusalKind
from bridge.words.roles import Caller, Role
from bridge.words.runs import RunState
from tests.support.store import NOW, Store, add, attempt, claim, new_trigger, settlement, stored


def failed(inbox: Inbox, event: str, *, reason: Reason = Reason.CONF_REFUSED, **more: Any) -> str:
    """Store a trigger that failed."""
    id_ = add(inbox, stored(inbox, event), **more)
    (claimed,) = [each for each in claim(inbox, limit=100) if each.trigger.id == id_]
    inbox.write(triggers.settle, claimed, settlement(TriggerState.FAILED, reason=reason), attempt())
    return id_


def ran(inbox: Inbox, store: Store, event: str, state: str, **more: Any) -> str:
    """Store a trigger of which the DAG run ended."""
    id_ = add(inbox, stored(inbox, event), **more)
    (claimed,) = [each for each in claim(inbox, limit=100) if each.trigger.id == id_]
    inbox.write(triggers.settle, claimed, settlement(run_after=NOW), attempt())
    statement = "UPDATE triggers SET run_state = {}, run_due_at = NULL WHERE dag_run_id = {}"
    call = inbox.read(triggers.get, id_)
    assert call is not None
    store.rows(statement.format(f"'{state}'", f"'{call.call.dag_run_id}'"))
    return id_


def groups(inbox: Inbox, **wanted: Any) -> list[Group]:
    """Return the groups of a filter."""
    return list(inbox.read(grouping.causes, wanted=Filter(**wanted)).groups)


def test_failures_of_one_cause_at_one_place_are_one_group(inbox: Inbox) -> None:
    """With how many, since when, and the newest as the example; the largest group is first."""
    alone = failed(inbox, "evt_0", reason=Reason.EXPIRED)
    many = [failed(inbox, f"evt_{number}") for number in range(1, 4)]
    elsewhere = failed(inbox, "evt_9", route="other", dag_id="other_dag")
    first, *others = groups(inbox)
    assert (first.state, first.run_state, first.reason, first.count) == (
        TriggerState.FAILED,
        None,
        Reason.CONF_REFUSED,
        3,
    )
    assert (first.route, first.dag_id, first.airflow, first.example) == ("orders", "load_orders", "default", many[-1])
    assert first.oldest_at <= first.newest_at
    assert {each.example for each in others} == {alone, elsewhere}


def test_the_groups_of_one_delivery_or_pipeline_alone_can_be_asked_for(inbox: Inbox) -> None:
    """So from a delivery a person comes to its cause."""
    mine, _ = failed(inbox, "evt_1"), failed(inbox, "evt_2")
    found = inbox.read(triggers.get, mine)
    assert found is not None
    assert [(each.count, each.example) for each in groups(inbox, delivery_id=found.delivery_id)] == [(1, mine)]
    assert groups(inbox, pipeline_id="pl_none") == groups(inbox, job_id="j") == groups(inbox, run_id="r") == []


def test_held_triggers_and_dag_runs_that_went_wrong_are_there(inbox: Inbox, store: Store) -> None:
    """A run that succeeded, one that runs, and what simply waits are not."""
    held = add(inbox, stored(inbox, "evt_held"), state=TriggerState.HELD, reason=Reason.LOOP_GUARD)
    bad = {state: ran(inbox, store, f"evt_{state}", state) for state in ("failed", "deleted", "unknown")}
    for state in ("success", "running"):
        ran(inbox, store, f"evt_{state}", state)
    add(inbox, stored(inbox, "evt_waits"))
    found = {(each.state, each.run_state): each for each in groups(inbox)}
    assert {key: each.example for key, each in found.items()} == {
        (TriggerState.HELD, None): held,
        **{(TriggerState.FIRED, RunState(state)): id_ for state, id_ in bad.items()},
    }
    assert found[TriggerState.HELD, None].reason is Reason.LOOP_GUARD


def again(inbox: Inbox, *ids: str) -> None:
    """Run some again, as a person does."""
    new = NewOrder(Action.RUN_AGAIN, "test", "asked")
    order = inbox.write(place, new, id_=inbox.new_order_id(), ids=list(ids), now=NOW)
    inbox.write(work, order.id, new_trigger_id=inbox.new_trigger_id, now=NOW)


def test_what_was_run_again_counts_no_more(inbox: Inbox, store: Store) -> None:
    """Its later trigger does, however that ends."""
    first = ran(inbox, store, "evt_1", "failed")
    assert [each.example for each in groups(inbox)] == [first]
    again(inbox, first)
    assert groups(inbox) == []
    later = inbox.read(browsing.triggers, wanted=Filter(state="pending"), limit=9)
    assert [each.rerun for each in later] == [1]


def test_a_failure_that_was_run_again_counts_no_more(inbox: Inbox) -> None:
    """The trigger that failed stays as it is; its later one stands for it."""
    first = failed(inbox, "evt_1")
    again(inbox, first)
    assert [each.state for each in inbox.read(browsing.triggers, wanted=Filter(state="failed"), limit=9)] == ["failed"]
    assert groups(inbox) == []


def test_what_was_run_again_hides_no_older_failure(inbox: Inbox) -> None:
    """However much of it is newer: what counts no more does not count towards the bound either."""
    older = failed(inbox, "evt_0", route="other")
    again(inbox, *[failed(inbox, f"evt_{number}") for number in range(1, 4)])
    found = inbox.read(grouping.causes, wanted=Filter(), limit=3)
    assert ([each.example for each in found.groups], found.is_whole) == ([older], True)


def test_the_filters_narrow_it(inbox: Inbox) -> None:
    """By state, reason, place and time."""
    first = failed(inbox, "evt_1")
    failed(inbox, "evt_2", reason=Reason.EXPIRED, route="other", dag_id="other_dag")
    for wanted in ({"reason": "conf_refused"}, {"route": "orders"}, {"dag_id": "load_orders"}):
        assert [each.example for each in groups(inbox, **wanted)] == [first], wanted
    for wanted in ({"state": "held"}, {"run_state": "failed"}, {"airflow": "x"}, {"reason": "x"}):
        assert groups(inbox, **wanted) == [], wanted
    assert len(groups(inbox, airflow="default", state="failed", source="planasonix")) == 2
    assert groups(inbox, source="other") == []
    assert groups(inbox, until=groups(inbox)[-1].oldest_at.replace(year=2020)) == []


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"state": "fired"}, "causes are of triggers that are failed or held, not fired"),
        ({"run_state": "success"}, "causes are of DAG runs that are failed, deleted, unknown, not success"),
        (
            {"state": "failed", "run_state": "failed"},
            "say a state or a run_state: a DAG run is of a fired trigger",
        ),
    ],
)
def test_what_is_no_trouble_cannot_be_asked_for(inbox: Inbox, wanted: dict[str, str], said: str) -> None:
    """It would be a list of everything."""
    with pytest.raises(BadFilter, match=f"^{said}$"):
        groups(inbox, **wanted)


def test_a_flood_is_counted_up_to_a_bound_and_that_is_said(inbox: Inbox) -> None:
    """The newest rows of each kind count."""
    for number in range(4):
        failed(inbox, f"evt_{number}", route=f"route_{number}")
    found = inbox.read(grouping.causes, wanted=Filter(), limit=3)
    assert [(each.route, each.count) for each in found.groups] == [("route_1", 1), ("route_2", 1), ("route_3", 1)]
    assert not found.is_whole
    assert not inbox.read(grouping.causes, wanted=Filter(), limit=4).is_whole
    assert inbox.read(grouping.causes, wanted=Filter(), limit=5).is_whole
    assert not inbox.read(grouping.causes, wanted=Filter(route="route_0"), limit=3).is_whole
    assert inbox.read(grouping.causes, wanted=Filter(route="route_0"), limit=5).is_whole


def test_no_group_is_left_out_and_a_view_says_how_many_it_leaves_out(inbox: Inbox) -> None:
    """The largest are shown; how many stand still counts all."""
    from bridge.rules import causes

    for number in range(4):
        failed(inbox, f"evt_{number}", route=f"route_{number}")
    found = inbox.read(grouping.causes, wanted=Filter())
    many = replace(found, groups=found.groups * causes.MOST_SHOWN)
    assert (len(found.groups), found.is_whole) == (4, True)
    assert {name: value for name, value in causes.view_all(many).items() if name != "causes"} == {
        "count": 4 * causes.MOST_SHOWN,
        "left_out": 3 * causes.MOST_SHOWN,
        "is_whole": True,
    }
    assert len(causes.view_all(many)["causes"]) == causes.MOST_SHOWN
    assert causes.view_all(found)["left_out"] == 0


def test_the_filter_of_a_group_means_what_was_counted(inbox: Inbox, store: Store) -> None:
    """As the filter of an order it selects exactly those, and nothing that fails afterwards."""
    from bridge.rules import causes
    from bridge.web.queries import filter_of

    mine = [failed(inbox, f"evt_{number}") for number in range(2)]
    run = ran(inbox, store, "evt_run", "failed")
    newer = [failed(inbox, f"evt_newer_{word}") for word in ("one", "two")]
    for id_, word in zip(newer, ("a_reason_to_come", "another_to_come"), strict=True):  # of a newer release
        store.rows("UPDATE triggers SET reason = ? WHERE id = ?", word, spelled.number(id_, "trg"))
    failed(inbox, "evt_other", route="other")
    shown = [causes.view(each) for each in groups(inbox)]
    chosen = [
        ordering.select(inbox, filter_of(each["filter"], browsing.TRIGGER_FILTERS), Action.RUN_AGAIN) for each in shown
    ]
    assert mine in chosen
    assert [run] in chosen
    assert all([id_] in chosen for id_ in newer)
    assert sorted(map(len, chosen)) == [1, 1, 1, 1, 2]


@pytest.mark.parametrize("leaves", [False, True], ids=["one joins", "one joins and one leaves"])
def test_what_fails_after_the_count_is_not_acted_on(inbox: Inbox, store: Store, leaves: bool) -> None:
    """A DAG run that was started before the newest of the group may fail hours later: then nothing is done at all."""
    from bridge.flows.ordering import OrdersBeside
    from bridge.rules import causes
    from bridge.web.orders import OrdersApi

    older = ran(inbox, store, "evt_older", "running")
    failed_by_then = [ran(inbox, store, f"evt_{number}", "failed") for number in range(3)]
    (group,) = groups(inbox)
    asked = {"filter": causes.view(group)["filter"]}
    api, caller = OrdersApi(inbox=inbox, working=OrdersBeside()), Caller("cli:ada", Role.OPERATOR)
    counted = api.count(asked, Action.RUN_AGAIN)
    assert counted.count == 3
    set_run = "UPDATE triggers SET run_state = ? WHERE id = ?"
    store.rows(set_run, "failed", spelled.number(older, "trg"))
    if leaves:
        store.rows(set_run, "success", spelled.number(failed_by_then[0], "trg"))
    with pytest.raises(Changed, match=f"{3 if leaves else 4} match now; nothing was done"):
        api.place(asked | {"expected": counted.expected}, Action.RUN_AGAIN, caller)
    assert inbox.read(newest, limit=9) == []
    again = api.count(asked, Action.RUN_AGAIN)
    order = api.place(asked | {"expected": again.expected}, Action.RUN_AGAIN, caller)
    assert order is not None
    assert order.count == again.count


def test_deliveries_that_start_nothing_are_grouped(inbox: Inbox, store: Store) -> None:
    """By state, reason and source; not what no route wants, nor what is ignored for a good reason."""
    words = [
        ("invalid", "unreadable_json"),
        ("invalid", "unreadable_json"),
        ("stale", "timestamp_too_old"),
        ("ignored", "same_event"),
        ("ignored", "status_unknown"),
        ("ignored", "test_event"),
        ("ignored", "no_completion"),
        ("unrouted", "no_route"),
    ]
    ids = [stored(inbox, f"evt_{number}") for number in range(len(words))]
    for number, (state, reason) in enumerate(words):
        store.rows(f"UPDATE deliveries SET state = '{state}', reason = '{reason}' WHERE event_id = 'evt_{number}'")  # noqa: S608
    found = inbox.read(grouping.odd, since=NOW.replace(year=2020))
    assert [(str(each.state), str(each.reason), each.count, each.example) for each in found] == [
        ("invalid", "unreadable_json", 2, ids[1]),
        ("stale", "timestamp_too_old", 1, ids[2]),
        ("ignored", "same_event", 1, ids[3]),
        ("ignored", "status_unknown", 1, ids[4]),
    ]
    assert inbox.read(grouping.odd, since=NOW.replace(year=2120)) == []


def test_what_is_ignored_on_purpose_hides_nothing(inbox: Inbox, store: Store) -> None:
    """However much of it is newer."""
    words = ["same_event", "status_unknown", *["test_event"] * 5]
    for number, reason in enumerate(words):
        stored(inbox, f"evt_{number}")
        store.rows(f"UPDATE deliveries SET state = 'ignored', reason = '{reason}' WHERE event_id = 'evt_{number}'")  # noqa: S608
    found = inbox.read(grouping.odd, since=NOW.replace(year=2020), limit=3)
    assert [(str(each.reason), each.count) for each in found] == [("same_event", 1), ("status_unknown", 1)]


def test_what_was_routed_long_after_it_came_is_as_old_as_that(inbox: Inbox) -> None:
    """A paused source keeps it waiting: it is shown from when it was judged."""
    id_ = stored(inbox, "evt_1")
    now = datetime.now(UTC)
    routing = Routing(id_, DeliveryState.INVALID, Reason.UNREADABLE_FIELD, None, None, [])
    inbox.write(settle_routing, [routing], now=now + timedelta(days=3))
    (found,) = inbox.read(grouping.odd, since=now + timedelta(days=2), received_since=now - timedelta(days=4))
    assert (found.example, found.newest_at) == (id_, now + timedelta(days=3))
    assert inbox.read(grouping.odd, since=now + timedelta(days=4), received_since=now - timedelta(days=3)) == []


def test_a_group_says_when_the_last_of_it_came_to_be_so(inbox: Inbox, store: Store) -> None:
    """A run that ended days after its trigger was made is as new as its end; what was replayed is held since then."""
    moment = NOW + timedelta(days=3)
    ran(inbox, store, "evt_run", "failed")
    store.rows("UPDATE triggers SET run_ended_at = ?", microseconds(moment))
    held = add(inbox, stored(inbox, "evt_held"), state=TriggerState.HELD, reason=Reason.LOOP_GUARD)
    store.rows("UPDATE triggers SET age_from = ? WHERE id = ?", microseconds(moment), spelled.number(held, "trg"))
    lost = failed(inbox, "evt_lost")
    store.rows("UPDATE triggers SET settled_at = ? WHERE id = ?", microseconds(moment), spelled.number(lost, "trg"))
    assert {(each.state, each.first_at, each.last_at) for each in groups(inbox)} == {
        (TriggerState.FIRED, moment, moment),
        (TriggerState.HELD, moment, moment),
        (TriggerState.FAILED, moment, moment),
    }


def test_how_a_dag_run_ended_does_not_depend_on_its_call(inbox: Inbox, store: Store) -> None:
    """Runs that failed are one group, whatever was noted when they were started."""
    for number in range(2):
        ran(inbox, store, f"evt_{number}", "failed")
    store.rows("UPDATE triggers SET reason = 'dag_paused' WHERE id = (SELECT MIN(id) FROM triggers)")
    assert [(each.reason, each.count) for each in groups(inbox)] == [(None, 2)]


@pytest.mark.parametrize("other", [{"route": "other"}, {"dag_id": "other"}, {"airflow": "other"}])
def test_what_another_route_started_again_stands_for_itself_alone(inbox: Inbox, other: dict[str, str]) -> None:
    """Of one delivery; whatever the two differ in."""
    delivery_id = stored(inbox)
    both = [
        new_trigger(inbox, delivery_id, state=TriggerState.FAILED, dag_run_id=name, **more)
        for name, more in (("a", {}), ("b", other))
    ]
    inbox.write(settle_routing, [Routing(delivery_id, DeliveryState.ROUTED, None, None, None, both)], now=NOW)
    again(inbox, both[0].id)
    assert [each.example for each in groups(inbox)] == [both[1].id]


def test_what_came_too_late_is_grouped_until_it_is_run_after_all(inbox: Inbox, store: Store) -> None:
    """By when it was given up, and not by when it was made."""
    day = timedelta(days=1)
    late = [add(inbox, stored(inbox, f"evt_{number}"), late_at=NOW) for number in range(2)]
    other = add(inbox, stored(inbox, "evt_other"), route="other", late_at=NOW)
    add(inbox, stored(inbox, "evt_waits"), route="other")
    assert len(inbox.write(deadlines.give_up, now=NOW + 3 * day, limit=9)) == 3
    found = inbox.read(grouping.too_late, since=NOW + 2 * day)
    assert [(each.route, each.count, each.example, each.last_at) for each in found] == [
        ("orders", 2, late[-1], NOW + 3 * day),
        ("other", 1, other, NOW + 3 * day),
    ]
    assert inbox.read(grouping.too_late, since=NOW + 4 * day) == []
    again(inbox, *late)
    assert [each.route for each in inbox.read(grouping.too_late, since=NOW + 2 * day)] == ["other"]


def test_what_was_given_up_is_grouped_however_much_no_route_matched(inbox: Inbox, store: Store) -> None:
    """Of every state, without what still waits; from an instant of its own, since it came long before."""
    words = [("unrouted", "lookup_failed"), ("ignored", "lookup_failed"), ("received", "lookup_failed")]
    words += [("unrouted", "lookup_failed"), ("ignored", "lookup_not_found"), ("ignored", "no_completion")]
    words += [("routed", "lookup_failed")] + [("unrouted", "no_route")] * 5
    ids = [stored(inbox, f"evt_{number}") for number in range(len(words))]
    for number, (state, reason) in enumerate(words):
        store.rows(f"UPDATE deliveries SET state = '{state}', reason = '{reason}' WHERE event_id = 'evt_{number}'")  # noqa: S608
    late, early = NOW.replace(year=2120), NOW.replace(year=2020)
    found = inbox.read(grouping.odd, since=late, received_since=early, limit=3)
    assert [(str(each.state), str(each.reason), each.count, each.example) for each in found] == [
        ("unrouted", "lookup_failed", 2, ids[3]),
        ("ignored", "lookup_failed", 1, ids[1]),
        ("ignored", "lookup_not_found", 1, ids[4]),
        ("routed", "lookup_failed", 1, ids[6]),
    ]
    assert inbox.read(grouping.odd, since=early, received_since=late) == []


def test_refusals_are_grouped(inbox: Inbox) -> None:
    """Those that were refused, not the copies; the largest group first, and then by name."""
    late = NOW.replace(year=2120)
    places = [("b", "x"), ("b", "y"), ("b", "y"), ("a", "z"), ("a", "x")]
    for kind in RefusalKind:
        inbox.write(refusals.append, [Refusal(NOW, kind, source, reason) for source, reason in places])
    found = inbox.read(grouping.refused, since=NOW)
    assert [(item.source, item.reason, item.count) for item in found] == [
        ("b", "y", 2),
        ("a", "x", 1),
        ("a", "z", 1),
        ("b", "x", 1),
    ]
    assert [(item.oldest_at, item.newest_at, item.example) for item in found] == [(NOW, NOW, None)] * 4
    assert [(item.source, item.reason) for item in inbox.read(grouping.doubtful_copies, since=NOW)] == [
        ("b", "y"),
        ("a", "x"),
        ("a", "z"),
        ("b", "x"),
    ]
    for which in (grouping.refused, grouping.doubtful_copies):
        assert inbox.read(which, since=late) == []


def test_copies_that_may_have_been_another_event_name_their_delivery(inbox: Inbox) -> None:
    """The newest of them; a group may have none."""
    ids = [stored(inbox, f"evt_{number}") for number in range(2)]
    copies = [Refusal(NOW, RefusalKind.DOUBTFUL, "planasonix", "x", delivery_id=id_) for id_ in ids]
    inbox.write(refusals.append, [*copies, Refusal(NOW, RefusalKind.DOUBTFUL, "planasonix", "y")])
    found = inbox.read(grouping.doubtful_copies, since=NOW)
    assert [(item.reason, item.count, item.example) for item in found] == [("x", 2, ids[1]), ("y", 1, None)]


def test_the_largest_group_of_deliveries_is_first(inbox: Inbox, store: Store) -> None:
    """Of one state; what no reason was stored for is counted, too, and nothing from before it came."""
    words = ["NULL", "'unreadable_json'", "'unreadable_field'", "'unreadable_json'"]
    for number, word in enumerate(words):
        stored(inbox, f"evt_{number}")
        store.rows(f"UPDATE deliveries SET state = 'invalid', reason = {word} WHERE event_id = 'evt_{number}'")  # noqa: S608
    early, late = NOW.replace(year=2020), NOW.replace(year=2120)
    found = inbox.read(grouping.odd, since=early)
    assert (found[0].reason, found[0].count) == (Reason.UNREADABLE_JSON, 2)
    assert {(each.reason, each.count) for each in found[1:]} == {(None, 1), (Reason.UNREADABLE_FIELD, 1)}
    assert sum(each.count for each in inbox.read(grouping.odd, since=early, limit=3)) == 3
    assert inbox.read(grouping.odd, since=early, received_since=late) == []
    assert inbox.read(grouping.odd, since=late, received_since=early) == []


def copied(inbox: Inbox, store: Store, *, settled_at: datetime = NOW) -> list[str]:
    """Store a job that started a run of its route's own name, and a copy that did not; returns their triggers."""
    triggers = []
    for number, reason in enumerate((None, "duplicate_run")):
        id_ = stored(inbox, f"evt_{number}_{settled_at}")
        name = f"mine_{number}"
        new = new_trigger(inbox, id_, dag_run_id=name)
        job = Completion("planasonix", Kind.JOB, f"job_{settled_at}", "failed", "pl_1")
        inbox.write(settle_routing, [Routing(id_, DeliveryState.ROUTED, None, None, None, [new], job)], now=NOW)
        row = spelled.number(new.id, "trg")
        if reason:
            store.rows("UPDATE triggers SET state = 'cancelled', reason = ? WHERE id = ?", reason, row)
        store.rows(
            "UPDATE triggers SET dag_run_id = ?, settled_at = ? WHERE id = ?",
            *(f"mine {settled_at}", microseconds(settled_at), row),
        )
        triggers.append(new.id)
    return triggers


@pytest.mark.parametrize(
    ("changed", "is_another"),
    [
        ("completions SET nth = nth", False),
        ("completions SET pipeline_id = NULL", False),
        ("triggers SET state = 'failed'", False),
        ("completions SET about_id = 'other'", True),
        ("completions SET kind = 'run'", True),
        ("completions SET source = 'other'", True),
        ("completions SET status = 'succeeded'", True),
        ("completions SET pipeline_id = 'other'", True),
        ("triggers SET airflow = 'other'", True),
        ("triggers SET dag_id = 'other'", True),
        ("triggers SET dag_run_id = 'other'", True),
        ("triggers SET reason = 'duplicate_run'", True),
    ],
)
def test_what_another_completion_has_started_is_grouped(
    inbox: Inbox, store: Store, changed: str, is_another: bool
) -> None:
    """A copy of the same completion is meant to start nothing, whatever became of the first."""
    _, second = copied(inbox, store)
    delivery_id = store.one("SELECT MIN(id) FROM deliveries")
    store.rows(f"UPDATE {changed} WHERE delivery_id = ?", delivery_id)
    found = inbox.read(grouping.repeated, since=NOW)
    assert [each.example for each in found] == ([second] if is_another else [])


def test_what_was_not_started_counts_since_an_instant_until_it_is_run_again(inbox: Inbox, store: Store) -> None:
    """The newest first, where there are many."""
    ids = [copied(inbox, store, settled_at=NOW + timedelta(days=day))[1] for day in (1, 2, 0)]
    store.rows("DELETE FROM completions")
    (found,) = inbox.read(grouping.repeated, since=NOW)
    assert (found.count, found.first_at, found.last_at) == (3, NOW, NOW + timedelta(days=2))
    (found,) = inbox.read(grouping.repeated, since=NOW, limit=1)
    assert (found.count, found.example) == (1, ids[1])
    (found,) = inbox.read(grouping.repeated, since=NOW + timedelta(days=1))
    assert found.count == 2
    again(inbox, ids[1])
    (found,) = inbox.read(grouping.repeated, since=NOW)
    assert found.count == 2
