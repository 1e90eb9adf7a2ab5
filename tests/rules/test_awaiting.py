"""What a wait says of deliveries and triggers in every state."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.rules.awaiting import Outcome, judge, judge_job, judge_place
from bridge.words.model import Delivery, DeliveryState, TriggerEntry, TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import Run, RunState

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DELIVERY = Delivery(
    "dlv_1", "planasonix", "evt", DeliveryState.ROUTED, None, None, NOW, "k", None, None, {}, b"", None, 0
)
FIRED = TriggerEntry(
    "trg_1", "dlv_1", "orders", "default", "d", "r", TriggerState.FIRED, None, None, 1, 0, NOW, NOW, NOW, NOW
)


def run(state: RunState | None, *, rerun: int = 0, route: str = "orders", **more: Any) -> TriggerEntry:
    """Return a fired trigger whose run is in a state."""
    return replace(FIRED, route=route, rerun=rerun, run=None if state is None else Run(state), **more)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (DeliveryState.RECEIVED, "open"),
        *((state, "failed") for state in DeliveryState if state not in ("received", "routed")),
    ],
)
def test_a_delivery_that_starts_nothing_has_failed(state: DeliveryState, outcome: str) -> None:
    """One that waits for routing may still start something."""
    assert judge(replace(DELIVERY, state=state), []).outcome == outcome


@pytest.mark.parametrize(
    ("state", "outcome"),
    [("pending", "open"), ("held", "open"), ("firing", "open"), ("failed", "failed"), ("cancelled", "failed")],
)
def test_a_trigger_that_is_not_fired_has_not_succeeded(state: str, outcome: str) -> None:
    """What may still be fired by itself, or by a person, is open; a dead letter is not."""
    found = judge(DELIVERY, [replace(FIRED, state=TriggerState(state), reason=Reason.DAG_NOT_FOUND)])
    assert found.outcome == outcome
    assert "dag_not_found" in found.why


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (None, "success"),
        ("queued", "open"),
        ("running", "open"),
        ("success", "success"),
        ("failed", "failed"),
        ("deleted", "failed"),
        ("unknown", "failed"),
    ],
)
def test_the_run_decides(state: str | None, outcome: str) -> None:
    """One that nobody follows counts as soon as it is started."""
    assert judge(DELIVERY, [run(None if state is None else RunState(state))]).outcome == outcome


@pytest.mark.parametrize(
    ("state", "reason", "why"),
    [
        (DeliveryState.RECEIVED, None, "dlv_1 waits to be routed"),
        (DeliveryState.UNROUTED, Reason.NO_ROUTE, "dlv_1 is unrouted (no_route): it starts nothing"),
        (DeliveryState.STALE, None, "dlv_1 is stale: it starts nothing"),
        (DeliveryState.ROUTED, None, "nothing has arrived yet"),
    ],
)
def test_why_a_delivery_stands_as_it_does(state: DeliveryState, reason: Reason | None, why: str) -> None:
    """Its state, with the reason if it has one."""
    assert judge(replace(DELIVERY, state=state, reason=reason), []).why == why


@pytest.mark.parametrize(
    ("trigger", "why"),
    [
        (replace(FIRED, state=TriggerState.FAILED, reason=Reason.EXPIRED), "trg_1 of route orders is failed (expired)"),
        (replace(FIRED, state=TriggerState.CANCELLED), "trg_1 of route orders is cancelled"),
        (
            replace(FIRED, state=TriggerState.HELD, reason=Reason.DAG_PAUSED),
            "trg_1 of route orders is held (dag_paused)",
        ),
        (replace(FIRED, state=TriggerState.PENDING), "trg_1 of route orders is pending"),
        (run(None), "trg_1 of route orders is started, and nobody follows its run"),
        (run(RunState.RUNNING), "the DAG run r of d is running"),
        (run(RunState.FAILED), "the DAG run r of d is failed"),
    ],
)
def test_why_a_trigger_stands_as_it_does(trigger: TriggerEntry, why: str) -> None:
    """Its state, or that of its DAG run once there is one."""
    assert judge(DELIVERY, [trigger]).why == why


def test_a_route_with_two_dags_has_succeeded_when_both_have() -> None:
    """Each of them stands for itself, in whatever order they ended."""
    both = [
        run(RunState.FAILED, dag_id="first", settled_at=NOW),
        run(RunState.SUCCESS, dag_id="second", created_at=NOW),
    ]
    assert judge(DELIVERY, both).outcome is Outcome.FAILED
    assert judge_place(both[0], DELIVERY, both).outcome is Outcome.FAILED


def test_the_worst_of_several_decides() -> None:
    """A failure at once, also while others are open; success when all have succeeded."""
    good, open_, bad = (run(RunState(word), route=word) for word in ("success", "running", "failed"))
    assert judge(DELIVERY, [good, open_, bad]).outcome is Outcome.FAILED
    assert judge(DELIVERY, [good, open_]).outcome is Outcome.OPEN
    assert judge(DELIVERY, [good]).outcome is Outcome.SUCCESS


def test_of_a_run_that_was_started_again_the_newest_counts() -> None:
    """A person has mended what failed."""
    again = [run(RunState.FAILED), run(RunState.SUCCESS, rerun=1), run(RunState.FAILED, route="other")]
    assert judge(DELIVERY, again[:2]).outcome is Outcome.SUCCESS
    assert judge(DELIVERY, again).outcome is Outcome.FAILED


def test_a_job_is_open_until_something_of_it_arrives() -> None:
    """Also while its events only say that it runs."""
    running = replace(DELIVERY, state=DeliveryState.IGNORED, reason=Reason.STATUS_RUNNING)
    assert judge_job([]).outcome is Outcome.OPEN
    assert judge_job([(running, [])]).outcome is Outcome.OPEN


def test_an_event_that_no_route_wants_does_not_decide_for_a_job_that_another_one_started() -> None:
    """Alone it does: nothing starts."""
    unrouted = replace(DELIVERY, id="dlv_2", state=DeliveryState.UNROUTED)
    assert judge_job([(unrouted, [])]).outcome is Outcome.FAILED
    assert judge_job([(unrouted, []), (DELIVERY, [run(RunState.SUCCESS)])]).outcome is Outcome.SUCCESS
    assert judge_job([(unrouted, []), (DELIVERY, [run(RunState.RUNNING)])]).outcome is Outcome.OPEN


def test_one_trigger_is_judged_by_the_newest_run_of_its_place() -> None:
    """Neighbours do not count; while its delivery is routed again, nothing is said."""
    mine, other = run(RunState.FAILED), run(RunState.FAILED, route="other")
    again = run(RunState.SUCCESS, rerun=1)
    assert judge_place(mine, DELIVERY, [other, mine, again]).outcome is Outcome.SUCCESS
    assert judge_place(again, DELIVERY, [mine, other]).outcome is Outcome.FAILED
    assert judge_place(mine, replace(DELIVERY, state=DeliveryState.RECEIVED), [mine]).outcome is Outcome.OPEN


SECOND = timedelta(seconds=1)
TAKEN_BACK = replace(FIRED, state=TriggerState.CANCELLED, reason=Reason.SUPERSEDED, dag_id="wrong")


@pytest.mark.parametrize("state", list(RunState))
def test_what_was_taken_back_is_judged_by_what_took_its_place(state: RunState) -> None:
    """After a mended DAG name: by the trigger for the right one, whether the delivery or the wrong one is asked for."""
    right = run(state, dag_id="right")
    both = [TAKEN_BACK, right]
    assert judge(DELIVERY, both) == judge(DELIVERY, [right]) == judge_place(TAKEN_BACK, DELIVERY, both)


@pytest.mark.parametrize(
    "other",
    [
        run(RunState.SUCCESS, dag_id="b", created_at=NOW - SECOND, age_from=NOW - SECOND),
        run(RunState.SUCCESS, dag_id="b", route="other"),
        run(RunState.SUCCESS, dag_id="b", airflow="other"),
        run(RunState.SUCCESS, dag_id="b", rerun=1),
    ],
)
def test_what_was_superseded_with_nothing_in_its_place_has_failed(other: TriggerEntry) -> None:
    """What the route asked for beside it was there before; another route, or a person, asked for something else."""
    for found in (judge(DELIVERY, [TAKEN_BACK, other]), judge_place(TAKEN_BACK, DELIVERY, [TAKEN_BACK, other])):
        assert found.outcome is Outcome.FAILED


@pytest.mark.parametrize("state", list(RunState))
def test_what_was_made_anew_takes_the_place_of_what_was_tried_between(state: RunState) -> None:
    """A DAG name was changed and changed back: the first trigger is made anew in its own row."""
    anew = run(state, dag_id="first", age_from=NOW + 2 * SECOND)
    between = replace(TAKEN_BACK, dag_id="between", created_at=NOW + SECOND, settled_at=NOW + 2 * SECOND)
    both = [anew, between]
    assert judge(DELIVERY, both) == judge(DELIVERY, [anew])
    assert judge_place(anew, DELIVERY, both) == judge_place(between, DELIVERY, both) == judge(DELIVERY, [anew])


def test_what_was_taken_back_in_turn_decides_for_nothing_before_it() -> None:
    """A DAG name was mended twice."""
    second = replace(TAKEN_BACK, dag_id="second", created_at=NOW + SECOND, age_from=NOW + SECOND)
    three = [
        TAKEN_BACK,
        replace(second, settled_at=NOW + 2 * SECOND),
        run(RunState.SUCCESS, dag_id="right", created_at=NOW + 2 * SECOND),
    ]
    assert judge(DELIVERY, three).outcome is Outcome.SUCCESS
    assert [judge_place(each, DELIVERY, three).outcome for each in three] == [Outcome.SUCCESS] * 3
    assert judge(DELIVERY, three[:2]).outcome is Outcome.FAILED


def test_a_sibling_that_was_replayed_takes_nobodys_place() -> None:
    """A route starts two DAGs: that one of them was replayed says nothing of the other, which never ran."""
    sibling = run(RunState.SUCCESS, dag_id="sibling", age_from=NOW + 2 * SECOND)
    gone = replace(TAKEN_BACK, dag_id="gone", created_at=NOW, settled_at=NOW + SECOND)
    assert judge(DELIVERY, [sibling, gone]).outcome is Outcome.FAILED
    assert judge_place(gone, DELIVERY, [sibling, gone]).outcome is Outcome.FAILED
