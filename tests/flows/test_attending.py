"""What needs a person, as the store has it."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.chores.heard import Heard
from bridge.edges.inbox import Inbox, dags, pausing, refusals, silences
from bridge.edges.inbox.filtering import REASONS_OF_BOTH, TRIGGER_REASONS
from bridge.edges.inbox.orders import NewOrder, place, work
from bridge.edges.inbox.rows import microseconds
from bridge.edges.metrics import Metrics
from bridge.flows import attending
from bridge.rules import views
from bridge.rules.attention import Need
from bridge.rules.mapping import read
from bridge.words.causes import LOOKUPS_GIVEN_UP
from bridge.words.dags import DagFacts, DagState, KnownDag
from bridge.words.model import DeliveryState, TriggerState
from bridge.words.orders import Action
from bridge.words.pauses import Pause, PauseKind
from bridge.words.reasons import Reason
from bridge.words.refusals import Refusal, RefusalKind
from bridge.words.silences import Silence
from bridge.words.via import RECONCILED_KEY
from tests.support.store import NOW, Store, accept, add, empty_store, stored

# What a delivery or a trigger may end with, if not all of its state needs a person.
_ENDS = {
    DeliveryState.UNROUTED: {Reason.NO_ROUTE, *LOOKUPS_GIVEN_UP},
    DeliveryState.IGNORED: {
        *(Reason.TEST_EVENT, Reason.STATUS_RUNNING, Reason.STATUS_UNKNOWN, Reason.NO_COMPLETION, Reason.SAME_EVENT),
        *(Reason.ERASED, *LOOKUPS_GIVEN_UP),
    },
    TriggerState.CANCELLED: {Reason.DUPLICATE_RUN, Reason.SUPERSEDED, Reason.TOO_LATE, Reason.BY_OPERATOR},
}
# Of those, what needs nobody, and why.
_MEANT = {
    (DeliveryState.UNROUTED, Reason.NO_ROUTE): "most pipelines have no route",
    (DeliveryState.IGNORED, Reason.TEST_EVENT): "a person sent it to see the way",
    (DeliveryState.IGNORED, Reason.STATUS_RUNNING): "the end comes later",
    (DeliveryState.IGNORED, Reason.NO_COMPLETION): "it is news of something else",
    (DeliveryState.IGNORED, Reason.ERASED): "a person erased it",
    (TriggerState.CANCELLED, Reason.DUPLICATE_RUN): "another trigger of its completion stands for that DAG run",
    (TriggerState.CANCELLED, Reason.SUPERSEDED): "a newer one stands for it, as the route or a replay says",
    (TriggerState.CANCELLED, Reason.BY_OPERATOR): "a person cancelled it",
}
_ALWAYS = (DeliveryState.INVALID, DeliveryState.STALE, TriggerState.FAILED)
_REFUSED = {
    *(Reason.SIGNATURE_MISSING, Reason.SIGNATURE_MALFORMED, Reason.SIGNATURE_MISMATCH, Reason.TIMESTAMP_IN_FUTURE),
    *(Reason.KEY_OUT_OF_TIME, Reason.KEYS_UNAVAILABLE, Reason.CLAIMS_MISMATCH, Reason.ADDRESS_NOT_ALLOWED),
    *(Reason.CERTIFICATE_NOT_ALLOWED, Reason.URL_CONFLICT, Reason.SAME_BODY),
}
_OF_INVALID = {
    *(Reason.TIMESTAMP_TOO_OLD, Reason.UNREADABLE_JSON, Reason.UNREADABLE_FIELD, Reason.CONTRADICTION),
    Reason.UNKNOWN_REASON,
}
_OF_WAITING = {Reason.LOOKUP_QUEUED, Reason.INTERNAL_ERROR, Reason.KEY_MISSING, Reason.MAPPING_BROKEN}
_OF_DELIVERIES = _ENDS[DeliveryState.UNROUTED] | _ENDS[DeliveryState.IGNORED]
# A trigger that fails with one of these always needs a person, and one that waits or is fired has not ended.
_OF_TRIGGERS = TRIGGER_REASONS | REASONS_OF_BOTH


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    """An empty store."""
    item = Inbox(f"sqlite:///{empty_store(tmp_path / 'bridge.db')}")
    yield item
    item.close()


def test_an_airflow_that_is_configured_no_more_needs_nobody(inbox: Inbox) -> None:
    """What was last said of its DAGs stays in the store; where nobody knows the configuration, it is shown."""
    gone = KnownDag("gone", "load", DagState.MISSING, NOW, NOW)
    inbox.write(dags.store, [(gone, None), (KnownDag("default", "load", DagState.BROKEN, NOW, NOW), None)])
    names = {PauseKind.ROUTE: [], PauseKind.SOURCE: [], PauseKind.AIRFLOW: ["default"]}
    assert [need.about for need in attending.needs(inbox, names=names)] == ["load at default"]
    assert len(attending.needs(inbox, names=names | {PauseKind.AIRFLOW: None})) == 2
    assert len(attending.needs(inbox)) == 2


def test_a_param_that_a_route_leaves_out_needs_a_person(inbox: Inbox) -> None:
    """From when Airflow was asked on, not from the first event on; a mapping or a DAG that is mended ends it."""
    text = "routes:\n  - {name: orders, pipeline: a, dag: load}\n"
    inbox.write(dags.store, [(KnownDag("default", "load", DagState.OK, NOW, NOW), None)])
    facts = DagFacts(exists=True, params={"day": {}}, required=("day",))
    inbox.write(dags.set_params, airflow="default", dag_id="load", found=facts, now=NOW)

    def lines(text: str) -> list[tuple[str, str]]:
        routes = read(text, file="mapping.yaml", airflows=["default"], sources=[]).routes
        return [(need.what, need.about) for need in attending.needs(inbox, routes=routes)]

    assert lines(text) == [("dag", "orders -> load at default")]
    assert lines(text.replace("load}", "load, conf: {day: '1'}}")) == []
    inbox.write(dags.set_params, airflow="default", dag_id="load", found=DagFacts(exists=True), now=NOW)
    assert lines(text) == []


def test_since_when_all_is_well_begins_anew_after_each_need() -> None:
    """With the first look that found nothing; a note is no need."""
    clock = iter([NOW, NOW + timedelta(hours=1)])
    wellness = attending.Wellness(clock=lambda: next(clock))
    need = Need("failed", "a", "b", "c")
    assert wellness.note([need]) is None
    assert wellness.note([]) == NOW
    assert wellness.note([replace(need, is_note=True)]) == NOW
    assert wellness.note([need]) is None
    assert wellness.note([]) == NOW + timedelta(hours=1)


def _refuse(inbox: Inbox, now: datetime) -> None:
    """Refuse three signatures over ten minutes."""
    refused = [
        Refusal(now + timedelta(minutes=at), RefusalKind.REFUSED, "planasonix", "signature_mismatch")
        for at in (-10, -5, -1)
    ]
    inbox.write(refusals.append, refused)


def test_what_a_stranger_sends_is_judged_by_what_came_since(inbox: Inbox) -> None:
    """Refusals over ten minutes are our secret's fault, unless the source has sent something right meanwhile."""
    _refuse(inbox, datetime.now(UTC))
    assert [need.what for need in attending.needs(inbox)] == ["refused"]
    stored(inbox, "evt_right", source="planasonix")
    assert attending.needs(inbox) == []
    assert [need.what for need in attending.look(inbox)] == ["refused"]


def test_a_quiet_source_beside_a_busy_one_is_heard_of(inbox: Inbox) -> None:
    """However much another one sends: it has its last webhook, and a stranger's signatures are a note."""
    metrics = Metrics(keys_by_source={"planasonix": ["current"], "busy": ["current"]}, airflows=["default"])
    now = datetime.now(UTC)
    _refuse(inbox, now)
    stored(inbox, "evt_quiet")
    metrics.last_deliveries["planasonix"] = now.timestamp()
    Heard(inbox=inbox, metrics=metrics).step()
    accept(inbox, *(f"evt_{number}" for number in range(1001)), source="busy")
    assert [(need.what, need.is_note) for need in attending.look(inbox)] == [("refused", True)]
    (source,) = [each for each in attending.stored(inbox)["sources"] if each["name"] == "planasonix"]
    assert source["last_delivery"] == views.instant(now)


def test_what_the_bridge_asked_for_proves_no_secret(inbox: Inbox) -> None:
    """While webhooks are refused for a wrong secret, reconciling makes up for them: that is no right signature."""
    _refuse(inbox, datetime.now(UTC))
    stored(inbox, "evt_missed", key_id=RECONCILED_KEY)
    assert [need.what for need in attending.needs(inbox)] == ["refused"]


def test_each_source_has_its_last_refusal(inbox: Inbox) -> None:
    """The newest, with its reason, and no copy; where nobody knows what is configured, of every source in the store."""
    refused = [
        Refusal(NOW, RefusalKind.REFUSED, "planasonix", "signature_missing"),
        Refusal(NOW + timedelta(minutes=1), RefusalKind.REFUSED, "planasonix", "signature_mismatch"),
        Refusal(NOW + timedelta(minutes=2), RefusalKind.COPY, "planasonix", "duplicate"),
        Refusal(NOW, RefusalKind.REFUSED, "gone", "signature_missing"),
    ]
    inbox.write(refusals.append, refused)
    names = {PauseKind.ROUTE: [], PauseKind.SOURCE: ["planasonix", "other"], PauseKind.AIRFLOW: []}
    quiet = {"paused": None, "silent_since": None}
    assert attending.stored(inbox, names)["sources"] == [
        {"name": "other", "last_delivery": None, "last_refusal": None, "last_refusal_reason": None} | quiet,
        {
            "name": "planasonix",
            "last_delivery": None,
            "last_refusal": "2030-01-01T12:01:00.000Z",
            "last_refusal_reason": "signature_mismatch",
            **quiet,
        },
    ]
    assert [each["name"] for each in attending.stored(inbox)["sources"]] == ["gone", "planasonix"]


def test_a_source_says_that_it_is_paused_or_silent_for_too_long(inbox: Inbox) -> None:
    """So that nobody takes it for one that is heard of and routed."""
    now = datetime.now(UTC)
    names = {PauseKind.ROUTE: [], PauseKind.SOURCE: ["crm", "planasonix"], PauseKind.AIRFLOW: []}
    inbox.write(pausing.put, Pause(PauseKind.SOURCE, "planasonix", "cli:alice", now, now + timedelta(hours=2)))
    day, hour = timedelta(days=1), timedelta(hours=1)
    heard = [Silence("crm", hour, now - 2 * day, now - day, now), Silence("planasonix", hour, now - day, now, now)]
    inbox.write(silences.keep, heard)
    crm, planasonix = attending.stored(inbox, names)["sources"]
    assert (crm["paused"], crm["silent_since"]) == (None, views.instant(now - day))
    assert (planasonix["paused"]["actor"], planasonix["silent_since"]) == ("cli:alice", None)
    assert [need.what for need in attending.look(inbox, names=names) if need.is_note] == ["paused"]


def _end(path: Path, inbox: Inbox, state: DeliveryState | TriggerState, reason: Reason) -> None:
    """Store one that ended just now in a state, with a reason."""
    now = datetime.now(UTC)
    id_ = stored(inbox)
    table = "deliveries" if isinstance(state, DeliveryState) else "triggers"
    if table == "triggers":
        add(inbox, id_, now=now, dag_run_id="planasonix__job_1__succeeded__orders")
    with closing(Store(path)) as store:
        store.rows(f"UPDATE {table} SET state = '{state}', reason = '{reason}'")  # noqa: S608
        store.rows("UPDATE triggers SET settled_at = ?", microseconds(now))


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("state", [*_ALWAYS, *_ENDS])
def test_what_ends_without_a_dag_run_needs_a_person_or_is_meant(
    tmp_path: Path, inbox: Inbox, state: DeliveryState | TriggerState, reason: Reason
) -> None:
    """Never a silent no: what was accepted and started nothing is either listed, or meant to start nothing."""
    if reason not in _ENDS.get(state, Reason):
        assert reason in _REFUSED | _OF_INVALID | _OF_WAITING | _OF_DELIVERIES | _OF_TRIGGERS
        return
    _end(tmp_path / "bridge.db", inbox, state, reason)
    assert bool(attending.needs(inbox)) is ((state, reason) not in _MEANT)


@pytest.mark.parametrize("state", ["failed", "deleted", "unknown"])
@pytest.mark.parametrize(("hours", "is_needed"), [(1, True), (25, False)])
def test_a_dag_run_is_as_new_as_its_end(
    tmp_path: Path, inbox: Inbox, state: str, hours: float, is_needed: bool
) -> None:
    """However long before that its trigger was made: held for days, or run for days."""
    now = datetime.now(UTC)
    add(inbox, stored(inbox), now=now)
    later = now + timedelta(days=3)
    ended = microseconds(later - timedelta(hours=hours))
    with closing(Store(tmp_path / "bridge.db")) as store:
        store.rows("UPDATE triggers SET state = 'fired', run_state = ?, run_ended_at = ?", state, ended)
    found = attending.needs(inbox, now=later)
    assert [(need.what, need.newest) for need in found] == [("run_failed", later - timedelta(hours=hours))] * is_needed


def test_what_was_replayed_waits_since_then(tmp_path: Path, inbox: Inbox) -> None:
    """Not since it was made, three days ago: nobody is called for what has just been asked for."""
    now = datetime.now(UTC)
    failed, held = (add(inbox, stored(inbox, event), now=now) for event in ("evt_1", "evt_2"))
    later = now + timedelta(days=3)
    with closing(Store(tmp_path / "bridge.db")) as store:
        store.rows("UPDATE triggers SET state = 'failed'")
    order = inbox.write(
        place, NewOrder(Action.REPLAY, "test", "asked"), id_=inbox.new_order_id(), ids=[failed, held], now=later
    )
    inbox.write(work, order.id, new_trigger_id=inbox.new_trigger_id, now=later)
    assert attending.needs(inbox, now=later) == []
    with closing(Store(tmp_path / "bridge.db")) as store:
        store.rows("UPDATE triggers SET state = 'held', reason = 'loop_guard'")
    assert [(need.what, need.since) for need in attending.needs(inbox, now=later)] == [("held", later)]
