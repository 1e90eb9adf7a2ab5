"""What a delivery asks for: `explain` and the router ask this one function."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.rules.event.spelling import Spelling
from bridge.rules.mapping import Mapping, read
from bridge.rules.planning import Plan, Subject, given_up, plan
from bridge.rules.samples import SHAPES, compact
from bridge.words.errors import Locked
from bridge.words.model import Delivery, DeliveryState, Status, TriggerState
from bridge.words.reasons import Reason
from bridge.words.via import RECONCILED_KEY

ROUTES = """
routes:
  - {name: all, dag: everything, "on": [succeeded, failed, cancelled, skipped]}
  - {pipeline: pl_inventory_hourly, dag: [stock, shelves]}
  - {name: rows, pipeline: pl_01hqxyz, when: event.rows_loaded > 1000, dag: big, conf: {n: "{{ event.rows_loaded }}"}}
  - {name: condition, event: bad.condition, when: event.parameters.size > 3, dag: never}
  - {name: template, event: bad.template, dag: never, conf: {x: "{{ event.parameters.size }}"}}
"""
MAPPING = read(ROUTES, file="mapping.yaml", airflows=["default"], sources=["planasonix"])


def planned(body: bytes | dict[str, Any], **more: Any) -> Plan:
    """Plan one delivery; trigger ids count up."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    count = itertools.count(1)
    subject = Subject("dlv_0000000000000001", "planasonix", "2026-08-01T10:00:00Z", content, **more)
    return plan(subject, MAPPING, new_trigger_id=lambda: f"trg_{next(count):016x}", max_hops=3)


@pytest.mark.parametrize(
    ("name", "state", "reason", "routes", "wants_lookup"),
    [
        ("job.completed", DeliveryState.ROUTED, None, ["all"], True),
        ("job.succeeded.short", DeliveryState.ROUTED, None, ["all"], True),
        ("job.failed", DeliveryState.ROUTED, None, ["all"], True),
        ("job.succeeded", DeliveryState.ROUTED, None, ["all", "rows"], False),
        ("backfill.completed", DeliveryState.ROUTED, None, ["all"], False),
        ("pipeline.run.succeeded", DeliveryState.ROUTED, None, ["all"], False),
        ("job.cancelled", DeliveryState.ROUTED, None, ["all"], True),
        ("test", DeliveryState.IGNORED, Reason.TEST_EVENT, [], False),
        ("governance.contract_violation", DeliveryState.IGNORED, Reason.NO_COMPLETION, [], False),
        ("webhook_action", DeliveryState.ROUTED, None, ["all", "stock+shelves", "stock+shelves"], False),
    ],
)
def test_where_each_documented_body_goes(
    name: str, state: DeliveryState, reason: Reason | None, routes: list[str], wants_lookup: bool
) -> None:
    """State, reason, routes, and whether the API has to be asked."""
    made = planned(compact(SHAPES[name].body))
    assert (made.state, made.reason, made.wants_lookup) == (state, reason, wants_lookup)
    assert [item.route.name for item in made.triggers] == routes


def test_every_route_gives_a_verdict() -> None:
    """Also those that do not match say why."""
    made = planned(compact(SHAPES["job.succeeded"].body))
    assert [(item.route.name, item.matches) for item in made.verdicts] == [
        ("all", True),
        ("stock+shelves", False),
        ("rows", True),
        ("condition", False),
        ("template", False),
    ]
    assert all(item.matches or item.why_not for item in made.verdicts)


@pytest.mark.parametrize(("pipeline", "is_said"), [({"pipeline_id": "pl_1"}, False), ({}, True)])
def test_an_event_without_a_pipeline_that_starts_nothing_says_so(pipeline: dict[str, str], is_said: bool) -> None:
    """And only such a one: elsewhere the sentence would lead astray."""
    mapping = read("routes: [{pipeline: pl_other, dag: never}]", file="m", airflows=["default"], sources=["planasonix"])
    content = json.dumps({"id": "evt_1", "type": "job.succeeded", "status": "succeeded"} | pipeline).encode()
    subject = Subject("dlv_0000000000000001", "planasonix", "2026-08-01T10:00:00Z", content)
    made = plan(subject, mapping, new_trigger_id=lambda: "trg_0000000000000001", max_hops=3)
    assert (made.state, made.reason) == (DeliveryState.UNROUTED, Reason.NO_ROUTE)
    assert ("names no pipeline" in (made.detail or "")) is is_said


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        ({"job_id": "job_1"}, ("planasonix__job_1__succeeded__all", None)),
        ({"job_id": "job_1", "run_id": "r"}, ("planasonix__r__succeeded__all", "planasonix__job_1__succeeded__all")),
    ],
)
def test_a_run_has_a_spare_name_and_its_former_one_where_that_differs(
    ids: dict[str, str], names: tuple[str, str | None]
) -> None:
    """The id that the release before gave is looked for too; the spare one ends with the completion's digest."""
    (found,) = planned({"id": "evt_1", "type": "job.succeeded", "status": "succeeded"} | ids).triggers
    assert found.call is not None
    assert (found.call.dag_run_id, found.former_run_id) == names
    assert found.spare_run_id is not None
    assert found.spare_run_id.startswith(f"{names[0]}--")


def test_a_route_that_names_its_runs_has_no_other_name() -> None:
    """Its `dag_run_id` is the identity of its runs."""
    text = 'routes: [{name: own, event: "*", dag: d, dag_run_id: "own-{{ event.job_id }}"}]'
    mapping = read(text, file="m", airflows=["default"], sources=["planasonix"])
    content = b'{"id": "evt_1", "type": "job.succeeded", "status": "succeeded", "job_id": "job_1", "run_id": "r"}'
    subject = Subject("dlv_0000000000000001", "planasonix", "2026-08-01T10:00:00Z", content)
    (found,) = plan(subject, mapping, new_trigger_id=lambda: "trg_0000000000000001", max_hops=3).triggers
    assert found.call is not None
    assert (found.call.dag_run_id, found.spare_run_id, found.former_run_id) == ("own-job_1", None, None)


def test_a_lookup_fills_in_what_the_event_leaves_out() -> None:
    """What was looked up counts as if the event had said it, and nobody asks again."""
    body = compact(SHAPES["job.completed"].body)
    made = planned(body, lookup={"pipeline_id": "pl_01hqxyz", "metrics": {"rows_loaded": 5000}})
    assert [item.route.name for item in made.triggers] == ["all", "rows"]
    assert not made.wants_lookup
    assert planned(body, lookup={}).wants_lookup is False


def test_the_url_names_the_pipeline_when_the_body_does_not() -> None:
    """And a contradiction is invalid, never a guess."""
    body = {"id": "evt_1", "type": "job.succeeded", "job_id": "job_1"}
    made = planned(body, path_pipeline_id="pl_inventory_hourly")
    assert [item.dag_id for item in made.triggers] == ["everything", "stock", "shelves"]
    assert not made.wants_lookup
    made = planned(body | {"pipeline_id": "pl_x"}, path_pipeline_id="pl_inventory_hourly")
    assert (made.state, made.reason, made.triggers) == (DeliveryState.INVALID, Reason.CONTRADICTION, ())


@pytest.mark.parametrize(
    ("event_type", "reason"), [("bad.condition", Reason.CONDITION), ("bad.template", Reason.TEMPLATE)]
)
def test_a_route_that_errs_is_a_failed_trigger(event_type: str, reason: Reason) -> None:
    """Never a silent no, and the other routes fire all the same."""
    made = planned({"id": "evt_1", "type": event_type, "status": "succeeded", "pipeline_id": "pl_1"})
    assert [(item.state, item.reason) for item in made.triggers] == [
        (TriggerState.PENDING, None),
        (TriggerState.FAILED, reason),
    ]
    assert made.triggers[1].call is None
    assert "size" in (made.triggers[1].detail or "")


@pytest.mark.parametrize(("hops", "is_held"), [(0, False), (2, False), (3, True), (99, True)])
def test_a_circle_is_held_at_the_limit(hops: int, is_held: bool) -> None:
    """The call is made all the same, so that a person can let it pass."""
    body = {"id": "evt_1", "type": "job.succeeded", "pipeline_id": "pl_1", "metadata": {"hops": hops}}
    (item,) = planned(body).triggers
    assert (item.state is TriggerState.HELD, item.reason is Reason.LOOP_GUARD) == (is_held, is_held)
    assert item.call is not None
    assert item.call.conf["planasonix"]["hops"] == hops + 1


def test_copies_of_one_completion_have_one_run_id() -> None:
    """`job.completed` after `job.succeeded`, and the same bytes without any id, give the same run."""
    first = planned({"id": "evt_1", "type": "job.succeeded", "job_id": "job_1", "pipeline_id": "pl_1"})
    second = planned(
        {"id": "evt_2", "type": "job.completed", "status": "success", "job_id": "job_1", "pipeline_id": "pl_1"}
    )
    assert first.triggers[0].call is not None
    assert second.triggers[0].call is not None
    assert first.triggers[0].call.dag_run_id == second.triggers[0].call.dag_run_id
    nameless = [planned({"status": "succeeded", "pipeline_id": "pl_1"}).triggers[0].call for _ in range(2)]
    assert nameless[0] is not None
    assert nameless[1] is not None
    assert nameless[0].dag_run_id == nameless[1].dag_run_id


def planned_by(route: str, **fields: Any) -> Plan:
    """Plan an event of pipeline pl_1 by one route."""
    mapping = read(f"routes:\n  - {route}\n", file="mapping.yaml", airflows=["default"], sources=["planasonix"])
    usual = {"id": "evt_1", "job_id": "job_1", "status": "succeeded", "pipeline_id": "pl_1"}
    subject = Subject("dlv_0000000000000001", "planasonix", "2026-08-01T10:00:00Z", json.dumps(usual | fields).encode())
    return plan(subject, mapping, new_trigger_id=lambda: "trg_0000000000000001", max_hops=3)


UNREADABLE = {
    "connection_id": "two words",
    "environment": ["x"],
    "parameters": "a=b",
    "finished_at": "2025-03-27T14:26:20",
    "rows_loaded": "12,000",
}


def test_field_that_no_route_looks_at_stops_nothing() -> None:
    """The DAG run is started, and the delivery says what could not be read."""
    made = planned_by("{pipeline: pl_1, dag: load}", **UNREADABLE)
    assert (made.state, [item.state for item in made.triggers]) == (DeliveryState.ROUTED, [TriggerState.PENDING])
    assert all(f"{name} " in str(made.detail) for name in UNREADABLE)
    assert "two words" not in str(made.detail)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ event.finished_at }}", "finished_at is not an instant: it has no offset from UTC"),
        ("{{ event['finished_at'] | default('never', true) }}", "finished_at is not an instant"),
        ("{{ event.finished_at or 'never' }}", "finished_at is not an instant"),
        ("since {{ event.finished_at }}", "finished_at is not an instant"),
        ("{{ event.rows_loaded }}", "rows_loaded is not a number"),
        ("{{ event.parameters.size }}", "parameters is not an object"),
        ("{{ event }}", " is not "),
    ],
)
def test_template_that_asks_for_what_cannot_be_read_fails(template: str, why: str) -> None:
    """A watermark that is null would be a full reload: it is an error of that trigger, with the reason."""
    made = planned_by(f'{{pipeline: pl_1, dag: load, conf: {{x: "{template}"}}}}', **UNREADABLE)
    (trigger,) = made.triggers
    assert (trigger.state, trigger.reason) == (TriggerState.FAILED, Reason.TEMPLATE)
    assert why in str(trigger.detail)


@pytest.mark.parametrize(
    ("route", "why"),
    [
        ("{pipeline: pl_1, environment: production, dag: load}", "environment: the event's one is not a text"),
        ("{pipeline: pl_1, connection: 'conn_*', dag: load}", "connection: the event's one is not an id"),
        ("{pipeline: pl_1, when: event.rows_loaded > 0, dag: load}", "rows_loaded is not a number"),
    ],
)
def test_route_that_tests_what_cannot_be_read_fails(route: str, why: str) -> None:
    """It might have fired, so it is no silent no."""
    (trigger,) = planned_by(route, **UNREADABLE).triggers
    assert (trigger.state, trigger.reason) == (TriggerState.FAILED, Reason.CONDITION)
    assert why in str(trigger.detail)


def test_other_tests_of_the_route_decide_first() -> None:
    """A route that is for another pipeline is not asked about the environment."""
    made = planned_by("{pipeline: pl_2, environment: production, dag: load}", **UNREADABLE)
    assert (made.state, made.triggers) == (DeliveryState.UNROUTED, ())


def test_pipeline_that_cannot_be_read_makes_the_delivery_invalid() -> None:
    """Nobody knows which routes it is for; a route for every pipeline fires all the same."""
    made = planned_by("{pipeline: 'pl_*', dag: load}", pipeline_id="pl 1")
    assert (made.state, made.reason) == (DeliveryState.INVALID, Reason.UNREADABLE_FIELD)
    assert "pipeline_id is not an id" in str(made.detail)
    assert planned_by("{connection: c1, dag: load}", pipeline_id="pl 1", connection_id="c1").triggers


def test_completion_without_a_status_is_looked_up() -> None:
    """`job.completed` does not say how the job ended; an error in it starts no success DAG."""
    event = {"id": "evt_1", "type": "job.completed", "job_id": "job_1", "pipeline_id": "pl_1", "error": {"code": "X"}}
    made = planned(event)
    assert (made.state, made.reason, made.wants_lookup) == (DeliveryState.IGNORED, Reason.STATUS_UNKNOWN, True)
    asked = planned(event, lookup={"status": "failed"})
    assert asked.event is not None
    assert (asked.state, asked.event.status) == (DeliveryState.ROUTED, Status.FAILED)


@pytest.mark.parametrize(
    ("body", "lookup"),
    [
        ({"type": "job.completed", "pipeline_id": "pl_1"}, None),
        ({"type": "job.completed", "job_id": "job_1"}, {"pipeline_id": "pl_1"}),
        ({"type": "job.succeeded", "job_id": "job_1"}, {}),
        ({"type": "job.completed", "job_id": "job_1", "test": True}, None),
        (b"{", None),
    ],
)
def test_what_no_look_up_can_tell_is_not_looked_up(body: Any, lookup: dict[str, Any] | None) -> None:
    """There is no job to ask for, or it was asked, or nothing may run whatever the answer is."""
    content = body if isinstance(body, bytes) else {"id": "evt_1"} | body
    assert not planned(content, lookup=lookup).wants_lookup


_ODD = (Reason.STATUS_UNKNOWN, "OK")


@pytest.mark.parametrize(
    ("body", "reason", "detail"),
    [
        ({"type": "job.finished", "data": {"id": "j1", "pipeline_id": "pl_x", "status": "OK"}}, *_ODD),
        ({"type": "pipeline.ended", "pipeline_id": "pl_x", "status": "OK"}, *_ODD),
        ({"type": "pipeline.finished", "pipeline_id": "pl_x"}, Reason.STATUS_UNKNOWN, None),
        ({"type": "job.told", "job_id": "job_1"}, Reason.STATUS_UNKNOWN, None),
        ({"type": "pipeline.updated", "pipeline_id": "pl_x"}, Reason.NO_COMPLETION, None),
        ({"type": "load.told", "status": "odd"}, Reason.NO_COMPLETION, "odd"),
        ({"type": "load.told"}, Reason.NO_COMPLETION, None),
        ({"type": "job.succeeded", "status": "succeeded", "test": True}, Reason.TEST_EVENT, None),
    ],
)
def test_a_status_that_nobody_knows_is_named(body: dict[str, Any], reason: Reason, detail: str | None) -> None:
    """So that a person sees which word to add; what is set aside for another cause says nothing of its status."""
    made = planned({"id": "evt_1"} | body)
    assert (made.reason, made.detail) == (reason, detail)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)
_NAMES = st.sampled_from(
    ["id", "type", "status", "data", "job_id", "pipeline_id", "parameters", "metadata", "metrics", "test", "error"]
)


@settings(max_examples=300, deadline=None)
@given(body=st.dictionaries(_NAMES, _JSON | st.dictionaries(_NAMES, _JSON, max_size=4), max_size=6))
def test_planning_never_raises_for_a_body(body: dict[str, Any]) -> None:
    """Whatever JSON says, it is a state with a reason, or calls that can be sent."""
    made = planned(body)
    assert (made.reason is None) == (made.state is DeliveryState.ROUTED)
    for item in made.triggers:
        assert (item.call is None) == (item.state is TriggerState.FAILED)
        json.dumps(item.call.conf if item.call else {}, allow_nan=False).encode()


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=200), path=st.none() | st.text(max_size=20), lookup=st.none() | _JSON)
def test_planning_never_raises_for_bytes(body: bytes, path: str | None, lookup: Any) -> None:
    """Nor for anything else that a sender or the API can put there."""
    told = lookup if isinstance(lookup, dict) else None
    assert planned(body, path_pipeline_id=path, lookup=told).state in set(DeliveryState)


def test_a_value_that_is_too_long_is_no_mistake_of_the_template() -> None:
    """The reason says that the conf is too large, and the detail which value is."""
    body = {"id": "evt_1", "type": "bad.template", "status": "succeeded", "parameters": {"size": "x" * 70_000}}
    failed = next(item for item in planned(body).triggers if item.route.name == "template")
    assert (failed.state, failed.reason) == (TriggerState.FAILED, Reason.CONF_TOO_LARGE)
    assert failed.detail == "conf.x: the result is longer than 65536 bytes, which one value may have"


def test_a_body_would_start_something_only_if_no_route_fails_on_it() -> None:
    """`explain` and `test` say so by their exit code."""
    mapping = read(
        'routes: [{event: job.*, dag: d1}, {event: job.failed, on: failed, dag: d2, conf: {x: "{{ event.data.x }}"}}]',
        file="m",
        airflows=["default"],
        sources=["planasonix"],
    )
    would_start = []
    for body in ({"type": "job.succeeded"}, {"type": "job.failed"}, {"type": "load.succeeded"}):
        about = Subject("dlv_1", "planasonix", "2026-08-01T10:00:00Z", json.dumps({"id": "e"} | body).encode())
        made = plan(about, mapping, new_trigger_id=lambda: "trg_1", max_hops=3)
        would_start.append((made.would_start, [str(item.state) for item in made.triggers]))
    assert would_start == [(True, ["pending"]), (False, ["failed"]), (False, [])]


def test_two_routes_that_start_one_dag_are_named() -> None:
    """Each trigger names the other; what is at another Airflow, or another DAG, is none."""
    text = """
routes:
  - {name: a, dag: [d1, d2]}
  - {name: b, dag: d1}
  - {name: c, dag: d2, airflow: eu}
"""
    mapping = read(text, file="mapping.yaml", airflows=["default", "eu"], sources=["planasonix"])
    body = compact(SHAPES["job.succeeded"].body)
    subject = Subject("dlv_0000000000000001", "planasonix", "2026-08-01T10:00:00Z", body)
    made = plan(subject, mapping, new_trigger_id=lambda: "trg_0000000000000001", max_hops=3)
    assert [(item.route.name, item.dag_id, made.rivals(item)) for item in made.triggers] == [
        ("a", "d1", ("b",)),
        ("a", "d2", ()),
        ("b", "d1", ("a",)),
        ("c", "d2", ()),
    ]


def stored(**more: Any) -> Delivery:
    """Return a delivery that waits for routing."""
    at = datetime(2026, 8, 1, tzinfo=UTC)
    delivery = Delivery(
        "dlv_1", "planasonix", "e", DeliveryState.RECEIVED, None, None, at, "k", None, None, {}, b"{}", None, 0
    )
    return replace(delivery, **more)


def test_a_delivery_that_cannot_be_opened_is_no_subject() -> None:
    """It is never planned as if its body were empty; the error says which key is missing."""
    assert Subject.of(stored()).body == b"{}"
    with pytest.raises(Locked, match="dlv_1: key 7 is missing"):
        Subject.of(stored(body=b"", locked="key 7 is missing"))


def test_what_the_bridge_asked_for_is_read_as_the_api_spells_it() -> None:
    """A source whose webhooks have names of their own has the usual ones in its API's answers."""
    spelling = Spelling(fields=(("status", (("data", "result"),)),), is_usual=False)
    assert Subject.of(stored(), spelling=spelling).spelling == spelling
    reconciled = Subject.of(stored(key_id=RECONCILED_KEY), spelling=spelling)
    assert reconciled.spelling == spelling.of_answers != spelling


@pytest.mark.parametrize(
    ("key", "field", "may_be_looked_up"),
    [
        ("connection", "connection_id", True),
        ("pipeline_name", "pipeline_name", True),
        ("environment", "environment", False),
    ],
)
def test_a_route_that_needs_what_nobody_can_supply_is_named_with_how_to_get_it(
    key: str, field: str, may_be_looked_up: bool
) -> None:
    """The pipeline fits: first the API is asked, if it may have the rest; then the delivery itself says what lacks."""
    text = f"routes: [{{name: orders, pipeline: pl_1, {key}: wanted, dag: load}}]"
    mapping = read(text, file="m", airflows=["default"], sources=["planasonix"])
    content = json.dumps({"id": "evt_1", "type": "job.succeeded", "job_id": "job_1", "data": {"pipeline_id": "pl_1"}})
    subject = Subject("dlv_0000000000000001", "planasonix", "2026-08-01T10:00:00Z", content.encode())
    made = plan(subject, mapping, new_trigger_id=lambda: "trg_0000000000000001", max_hops=3)
    assert made.wants_lookup is may_be_looked_up
    known = replace(subject, lookup={"id": "job_1", "status": "succeeded"})
    made = plan(known, mapping, new_trigger_id=lambda: "trg_0000000000000001", max_hops=3)
    assert (made.state, made.reason, made.wants_lookup) == (DeliveryState.UNROUTED, Reason.NO_ROUTE, False)
    assert str(made.detail).startswith(f"route orders wants {key}: the event has none; ")
    assert f"body: {{fields: {{{field}: /PLACE}}}}" in str(made.detail)


ONE = read("routes:\n  - {pipeline: pl_1, dag: d}\n", file="mapping.yaml", airflows=["default"], sources=["planasonix"])


@pytest.mark.parametrize(
    ("mapping", "more", "state", "is_said", "detail"),
    [
        (MAPPING, {}, DeliveryState.ROUTED, True, "nobody knows whether it is for these routes too"),
        (MAPPING, {"pipeline_id": "pl_other"}, DeliveryState.ROUTED, False, ""),
        (ONE, {}, DeliveryState.UNROUTED, True, ""),
        (ONE, {"pipeline_id": "pl_1"}, DeliveryState.ROUTED, False, ""),
        (ONE, {"pipeline_id": []}, DeliveryState.INVALID, False, ""),
    ],
)
def test_a_look_up_that_was_given_up_is_said_where_it_matters(
    mapping: Mapping, more: dict[str, Any], state: DeliveryState, is_said: bool, detail: str
) -> None:
    """Where nothing matches, or a route could not be judged; whatever else is decided stays as it is."""
    body = {"id": "evt_1", "type": "job.succeeded", "job_id": "job_1", "status": "succeeded"} | more
    subject = Subject("dlv_0000000000000001", "planasonix", "2026-08-01T10:00:00Z", json.dumps(body).encode())
    result = plan(subject, mapping, new_trigger_id=lambda: "trg_0000000000000001", max_hops=3)
    said = given_up(result, Reason.LOOKUP_NOT_FOUND, subject, mapping)
    assert (result.state, said.state) == (state, state)
    assert (said.reason is Reason.LOOKUP_NOT_FOUND) is is_said
    assert (said is result) is not is_said
    assert detail in (said.detail or "")


@pytest.mark.parametrize(("amount", "more"), [(1, ""), (5, ""), (6, " and 1 more"), (8, " and 3 more")])
def test_of_many_routes_that_nobody_could_judge_five_are_named(amount: int, more: str) -> None:
    """And how many more there are."""
    routes = "".join(f"  - {{name: r{number}, pipeline: pl_{number}, dag: d}}\n" for number in range(amount))
    text = f"routes:\n  - {{name: all, dag: e}}\n{routes}"
    mapping = read(text, file="m", airflows=["default"], sources=["planasonix"])
    body = {"id": "evt_1", "type": "job.succeeded", "job_id": "job_1", "status": "succeeded"}
    subject = Subject("dlv_0000000000000001", "planasonix", "2026-08-01T10:00:00Z", json.dumps(body).encode())
    result = plan(subject, mapping, new_trigger_id=lambda: "trg_0000000000000001", max_hops=3)
    said = given_up(result, Reason.LOOKUP_FAILED, subject, mapping)
    named = ", ".join(f"r{number}" for number in range(min(amount, 5)))
    assert said.detail == f"nobody knows whether it is for these routes too: {named}{more}"
