"""The story of a webhook: its steps in order, and the next step."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge.rules import stories
from bridge.rules.planning import Plan
from bridge.rules.stories import Branch, Story, next_step, says_unread, silence
from bridge.words.dags import DagState, KnownDag
from bridge.words.model import Attempt, Delivery, DeliveryState, Event, TriggerEntry, TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import Run, RunState
from bridge.words.via import RECONCILED_KEY

NOW = datetime(2025, 3, 27, 2, 47, tzinfo=UTC)
DELIVERY = Delivery(
    id="dlv_1",
    source="planasonix",
    event_id="evt_1",
    state=DeliveryState.ROUTED,
    reason=None,
    detail=None,
    received_at=NOW,
    key_id="current",
    signed_at=NOW,
    path_pipeline_id=None,
    headers={},
    body=b"canary-of-a-payload",
    lookup={"pipeline_id": "canary-of-a-payload"},
    lookups=2,
)
TRIGGER = TriggerEntry(
    id="trg_1",
    delivery_id="dlv_1",
    route="orders",
    airflow="default",
    dag_id="load",
    dag_run_id="planasonix__job_1__succeeded__orders",
    state=TriggerState.FIRED,
    reason=None,
    detail=None,
    attempts=1,
    rerun=0,
    created_at=NOW,
    age_from=NOW,
    due_at=NOW,
    settled_at=NOW + timedelta(seconds=1),
    run=Run(RunState.SUCCESS, NOW, NOW + timedelta(minutes=2)),
)
ATTEMPT = Attempt(1, NOW, 0.25, "started", None, None, 200)


def story(*triggers: TriggerEntry, delivery: Delivery = DELIVERY) -> Story:
    """Return a story of these triggers."""
    return Story(delivery, [Branch(each, [ATTEMPT], None, "http://airflow/x") for each in triggers], [], None, "a note")


def test_the_steps_are_in_the_order_in_which_things_happened() -> None:
    """Received, verified, looked up, routed; then each trigger with its attempts and its DAG run."""
    found = stories.view(story(TRIGGER))
    assert [step["what"] for step in found["steps"]] == [
        "received",
        "verified",
        "looked_up",
        "routed",
        "asked_for",
        "attempt",
        "fired",
        "run_success",
    ]
    assert found["steps"][0]["says"] == "event evt_1 of source planasonix"
    assert found["steps"][1]["says"].endswith("by key current")
    assert found["steps"][1]["signed_at"] == "2025-03-27T02:47:00.000Z"
    assert "asked 2 times and answered" in found["steps"][2]["says"]
    assert "attempt 1 started after 0.25 s, HTTP 200" in found["steps"][5]["says"]
    assert (found["triggers"][0]["link"], found["note"], found["routes"]) == ("http://airflow/x", "a note", None)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (Run(RunState.SUCCESS, NOW, NOW + timedelta(minutes=2)), "2025-03-27T02:49:00.000Z"),
        (Run(RunState.RUNNING, NOW, None), "2025-03-27T02:47:00.000Z"),
        (Run(RunState.QUEUED, None, None), None),
    ],
    ids=["ended", "started", "waits"],
)
def test_the_step_of_a_run_is_when_it_ended_or_else_when_it_started(run: Run, expected: str | None) -> None:
    """What waits in Airflow has no time yet."""
    steps = stories.view(story(replace(TRIGGER, run=run)))["steps"]
    assert [step["at"] for step in steps if step["what"] == f"run_{run.state}"] == [expected]


def test_an_event_without_an_id_is_called_so() -> None:
    """Instead of `None`."""
    (received, *_) = stories.view(story(delivery=replace(DELIVERY, event_id=None)))["steps"]
    assert received["says"] == "an event without an id of source planasonix"


def test_a_story_says_whole_sentences() -> None:
    """With its instants, and of which trigger each step is."""
    busy = replace(ATTEMPT, outcome="retry", reason=Reason.AIRFLOW_DOWN, detail="it does not answer", http_status=None)
    branch = Branch(TRIGGER, [busy, replace(ATTEMPT, number=2)], None, None)
    steps = stories.view(Story(replace(DELIVERY, lookups=1), [branch], [], None))["steps"]
    at, later, ended = "2025-03-27T02:47:00.000Z", "2025-03-27T02:47:01.000Z", "2025-03-27T02:49:00.000Z"
    down = f"airflow_down: {Reason.AIRFLOW_DOWN.why} (it does not answer)"
    assert [(step["at"], step["says"], step["trigger_id"]) for step in steps] == [
        (at, "event evt_1 of source planasonix", None),
        (at, "the signature is right, by key current", None),
        (None, "the Planasonix API was asked once and answered", None),
        (None, "", None),
        (at, "route orders asks for DAG load at Airflow default", "trg_1"),
        (at, f"attempt 1 retry after 0.25 s: {down}", "trg_1"),
        (at, "attempt 2 started after 0.25 s, HTTP 200", "trg_1"),
        (later, "", "trg_1"),
        (ended, "DAG run planasonix__job_1__succeeded__orders", "trg_1"),
    ]


def test_what_no_webhook_brought_was_not_verified() -> None:
    """The Planasonix API told of it: nobody has signed it."""
    found = replace(DELIVERY, key_id=RECONCILED_KEY, lookups=0)
    assert [(step["what"], step["says"]) for step in stories.view(story(delivery=found))["steps"]] == [
        ("received", "event evt_1 of source planasonix"),
        ("reconciled", "no webhook came: the Planasonix API told that the job has ended"),
        ("routed", ""),
    ]


@pytest.mark.parametrize(("event", "pipeline_id"), [(Event(pipeline_id="pl_1"), "pl_1"), (None, None)])
def test_what_the_mapping_in_use_makes_of_it_is_told(event: Event | None, pipeline_id: str | None) -> None:
    """The pipeline of the event, if the body can be read, and what each route says."""
    found = stories.view(Story(DELIVERY, [], [], Plan(DeliveryState.ROUTED, event=event)))
    assert (found["delivery"]["pipeline_id"], found["routes"]) == (pipeline_id, [])


def test_no_value_of_a_payload_stands_in_it() -> None:
    """Neither the body nor the answer of the API."""
    assert "canary" not in str(stories.view(story(TRIGGER)))


def test_what_has_not_happened_is_no_step() -> None:
    """A delivery that waits to be routed was received and verified."""
    waits = replace(DELIVERY, state=DeliveryState.RECEIVED, lookups=0)
    assert [step["what"] for step in stories.view(story(delivery=waits))["steps"]] == ["received", "verified"]


def test_a_delivery_that_waits_says_why() -> None:
    """And what to do meanwhile."""
    waits = replace(DELIVERY, state=DeliveryState.RECEIVED, reason=Reason.LOOKUP_QUEUED, lookups=0)
    found = stories.view(story(delivery=waits))
    assert [step["what"] for step in found["steps"]] == ["received", "verified", "received"]
    assert found["steps"][2]["says"] == f"lookup_queued: {Reason.LOOKUP_QUEUED.why}"
    assert found["next_step"] == Reason.LOOKUP_QUEUED.next_step
    assert next_step(story(delivery=replace(waits, reason=None))) == "Nothing to do: it goes on by itself."


def test_an_answer_that_can_be_read_no_more_is_not_said_to_be_missing() -> None:
    """It was erased, or its key is gone: that the API was asked is known, and no more. A 404 is an answer, too."""
    for lookup, more, says in (
        (None, {}, "asked 2 times and has not answered"),
        ({}, {}, "asked 2 times and has not answered"),  # it was given up
        (None, {"reason": Reason.LOOKUP_NOT_FOUND}, "asked 2 times and does not know the job or run"),
        ({}, {"reason": Reason.LOOKUP_NOT_FOUND}, "asked 2 times and does not know the job or run"),
        (None, {"erased_at": NOW}, "asked 2 times"),
        (None, {"locked": "no key has the id k1"}, "asked 2 times"),
    ):
        delivery = replace(DELIVERY, lookup=lookup, **more)  # type: ignore[arg-type]
        assert stories.view(story(delivery=delivery))["steps"][2]["says"].endswith(says)


def trigger(
    state: TriggerState, reason: Reason | None = None, run: RunState | None = None, *, rerun: int = 0
) -> TriggerEntry:
    """Return a trigger in a state."""
    return replace(TRIGGER, state=state, reason=reason, run=None if run is None else Run(run), rerun=rerun)


@pytest.mark.parametrize(
    ("triggers", "expected"),
    [
        ([TRIGGER], "Nothing to do."),
        ([TRIGGER, replace(trigger(TriggerState.FAILED, Reason.TEMPLATE), route="other")], Reason.TEMPLATE.next_step),
        ([trigger(TriggerState.HELD, Reason.LOOP_GUARD)], Reason.LOOP_GUARD.next_step),
        ([trigger(TriggerState.PENDING)], "Nothing to do: it goes on by itself."),
        ([trigger(TriggerState.PENDING, Reason.AIRFLOW_ERROR)], "Nothing to do: it goes on by itself."),
        ([], "Nothing to do."),
        ([trigger(TriggerState.FIRED, run=RunState.RUNNING)], "Nothing to do: the DAG run has not ended yet."),
        ([trigger(TriggerState.CANCELLED, Reason.BY_OPERATOR)], Reason.BY_OPERATOR.next_step),
        ([trigger(TriggerState.FAILED, Reason.TEMPLATE), trigger(TriggerState.FIRED, rerun=1)], "Nothing to do."),
    ],
)
def test_the_next_step_is_of_what_needs_a_person_first(triggers: list[TriggerEntry], expected: str) -> None:
    """What was run again counts no more."""
    assert next_step(story(*triggers)) == expected


QUEUED = trigger(TriggerState.FIRED, Reason.DAG_PAUSED, RunState.QUEUED)
DAG = KnownDag("default", "load", DagState.PAUSED, since=NOW, read_at=NOW)
BACK = replace(DAG, state=DagState.OK, read_at=NOW + timedelta(minutes=1))
NOT_ENDED = "Nothing to do: the DAG run has not ended yet."


@pytest.mark.parametrize(
    ("item", "dag", "expected"),
    [
        (QUEUED, None, Reason.DAG_PAUSED.next_step),
        (QUEUED, DAG, Reason.DAG_PAUSED.next_step),
        (replace(QUEUED, run=None), None, Reason.DAG_PAUSED.next_step),  # `follow: false`
        (replace(QUEUED, reason=None), DAG, Reason.DAG_PAUSED.next_step),  # paused after the run was asked for
        (QUEUED, replace(BACK, read_at=NOW), Reason.DAG_PAUSED.next_step),  # read before it was fired
        (QUEUED, BACK, NOT_ENDED),
        (QUEUED, replace(BACK, read_at=NOW + timedelta(seconds=1)), Reason.DAG_PAUSED.next_step),  # at that moment
        (replace(QUEUED, settled_at=None), BACK, Reason.DAG_PAUSED.next_step),
        (replace(QUEUED, reason=None), BACK, NOT_ENDED),
        (replace(QUEUED, run=Run(RunState.RUNNING)), DAG, Reason.DAG_PAUSED.next_step),
        (replace(QUEUED, run=Run(RunState.RUNNING, NOW)), DAG, NOT_ENDED),  # read before it began to run
        (replace(QUEUED, run=Run(RunState.RUNNING)), None, NOT_ENDED),
        (replace(QUEUED, run=Run(RunState.SUCCESS)), DAG, "Nothing to do."),
        (replace(QUEUED, reason=None, run=None), DAG, "Nothing to do."),  # nobody knows whether it has ended
        (trigger(TriggerState.PENDING), DAG, "Nothing to do: it goes on by itself."),
    ],
)
def test_a_run_that_waits_for_its_dag_needs_somebody(item: TriggerEntry, dag: KnownDag | None, expected: str) -> None:
    """Airflow starts no task of it until a person unpauses the DAG; what was read of the DAG since then counts."""
    found = stories.view(Story(DELIVERY, [Branch(item, [], dag, None)], [], None))
    assert found["next_step"] == expected
    waits = expected == Reason.DAG_PAUSED.next_step
    assert found["triggers"][0]["waits_for_dag"] is waits
    assert found["triggers"][0]["dag_next_step"] == (expected if waits else None)


@pytest.mark.parametrize("reason", [None, Reason.DAG_PAUSED])
@pytest.mark.parametrize("run", [RunState.QUEUED, RunState.RUNNING])
@pytest.mark.parametrize(
    ("state", "step"),
    [
        (DagState.MISSING, "Correct the route, or look why Airflow has not parsed it."),
        (DagState.STALE, "Put it back, or take it out of the mapping."),
        (DagState.BROKEN, NOT_ENDED),
    ],
)
def test_a_run_of_a_dag_that_is_gone_does_not_go_on_by_itself(
    reason: Reason | None, run: RunState, state: DagState, step: str
) -> None:
    """Airflow looks at it no more, queued or running. What was read before the run was asked for says nothing of it."""
    item, gone = trigger(TriggerState.FIRED, reason, run), replace(BACK, state=state)
    found = stories.view(Story(DELIVERY, [Branch(item, [], gone, None)], [], None))
    assert found["next_step"] == step
    assert found["triggers"][0]["dag_next_step"] == (None if step == NOT_ENDED else step)
    for read_at in (NOW, item.settled_at):
        assert read_at is not None
        before = Branch(replace(item, reason=None), [], replace(gone, read_at=read_at), None)
        assert next_step(Story(DELIVERY, [before], [], None)) == NOT_ENDED


def test_a_run_that_waits_for_its_dag_comes_before_what_goes_on_by_itself() -> None:
    """And after what failed."""
    waits, pending = replace(QUEUED, route="other"), trigger(TriggerState.PENDING)
    assert next_step(story(pending, waits)) == Reason.DAG_PAUSED.next_step
    failed = trigger(TriggerState.FIRED, run=RunState.FAILED)
    assert "replay --run-again" in next_step(story(failed, waits))


GOES_ON = "Nothing to do: it goes on by itself."


@pytest.mark.parametrize(
    ("first", "dag", "then", "expected"),
    [
        (
            trigger(TriggerState.FAILED, Reason.TEMPLATE),
            None,
            trigger(TriggerState.HELD, Reason.AIRFLOW_DOWN),
            Reason.TEMPLATE.next_step,
        ),
        (
            trigger(TriggerState.HELD, Reason.LOOP_GUARD),
            None,
            trigger(TriggerState.FIRED, run=RunState.FAILED),
            Reason.LOOP_GUARD.next_step,
        ),
        (
            trigger(TriggerState.FIRED, run=RunState.DELETED),
            DagState.MISSING,
            trigger(TriggerState.FIRED, run=RunState.QUEUED),
            "Start a new one with `replay --run-again` if it is still needed.",
        ),
        (
            trigger(TriggerState.FIRED, run=RunState.QUEUED),
            DagState.STALE,
            trigger(TriggerState.PENDING),
            "Put it back, or take it out of the mapping.",
        ),
        (trigger(TriggerState.PENDING), None, trigger(TriggerState.FIRED, run=RunState.QUEUED), GOES_ON),
        (trigger(TriggerState.FIRED, run=RunState.QUEUED), None, TRIGGER, NOT_ENDED),
        (TRIGGER, None, trigger(TriggerState.CANCELLED, Reason.UNKNOWN_REASON), "Nothing to do."),
    ],
    ids=["failed", "held", "run failed", "its DAG", "goes on", "open", "done"],
)
def test_what_wants_to_be_read_first_is_the_next_step(
    first: TriggerEntry, dag: DagState | None, then: TriggerEntry, expected: str
) -> None:
    """Each comes before the next of this list, whatever their texts and the order in which they are found."""
    known = None if dag is None else replace(BACK, state=dag)
    branches = [Branch(each, [], known, None) for each in (first, replace(then, route="other"))]
    assert {next_step(Story(DELIVERY, found, [], None)) for found in (branches, branches[::-1])} == {expected}


def test_the_next_step_of_a_failed_run_is_to_look_there() -> None:
    """And to start a new one."""
    assert "replay --run-again" in next_step(story(trigger(TriggerState.FIRED, run=RunState.FAILED)))


def test_a_delivery_that_starts_nothing_has_the_step_of_its_reason() -> None:
    """Such as no route."""
    unrouted = replace(DELIVERY, state=DeliveryState.UNROUTED, reason=Reason.NO_ROUTE)
    assert next_step(story(delivery=unrouted)) == Reason.NO_ROUTE.next_step


def test_silence_has_a_next_step_for_each_cause() -> None:
    """A bridge that is away comes first, then refusals, a source that is silent, and an id that nobody knows."""
    assert "refusals" in silence(has_refusals=True, is_source_heard=True, is_known=False, is_served=False)
    assert "refusals" in silence(has_refusals=True, is_source_heard=False, is_known=False, is_served=True)
    assert "No bridge" in silence(has_refusals=True, is_source_heard=False, is_known=False, is_served=False)
    assert "its URL" in silence(has_refusals=False, is_source_heard=False, is_known=True, is_served=True)
    assert "No bridge" in silence(has_refusals=False, is_source_heard=False, is_known=True, is_served=False)
    assert "no such id" in silence(has_refusals=False, is_source_heard=True, is_known=False, is_served=False)
    assert "none of this one" in silence(has_refusals=False, is_source_heard=True, is_known=True, is_served=True)
    unread = {"has_refusals": True, "is_source_heard": True, "is_known": False, "is_served": True, "has_locked": True}
    assert "cannot be read" in silence(**unread)
    assert "without a time" in silence(**unread | {"has_locked": False, "has_come": True})


def test_what_was_not_read_is_said_in_words() -> None:
    """With the first ones and why, and how many there are beyond them."""
    named = [{"id": "dlv_1", "why": "the key is gone"}]
    assert says_unread({"count": 1, "deliveries": named, "is_cut": False}) == (
        "1 delivery of that time cannot be read yet: dlv_1, the key is gone"
    )
    assert says_unread({"count": 0, "deliveries": [], "is_cut": False}) == ""
    assert says_unread({"count": 3, "deliveries": named, "is_cut": True}) == (
        "3 deliveries of that time cannot be read yet: dlv_1, the key is gone; and 2 more. "
        "Older deliveries that wait or were set aside were not looked at: narrow down the time"
    )


@pytest.mark.parametrize(
    ("reason", "detail", "says"),
    [
        (Reason.CONF_REFUSED, "no such param", f"conf_refused: {Reason.CONF_REFUSED.why} (no such param)"),
        (Reason.CONF_REFUSED, None, f"conf_refused: {Reason.CONF_REFUSED.why}"),
        (None, "no such param", "no such param"),
        (None, None, ""),
    ],
)
def test_a_step_says_reason_and_detail(reason: Reason | None, detail: str | None, says: str) -> None:
    """Whichever of them there is."""
    item = replace(TRIGGER, state=TriggerState.FAILED, reason=reason, detail=detail, run=None)
    (step,) = [step for step in stories.view(story(item))["steps"] if step["what"] == "failed"]
    assert step["says"] == says
