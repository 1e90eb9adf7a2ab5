"""What needs a person, as the store has it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.chores.heard import Heard
from bridge.edges.inbox import Inbox, dags, pausing, refusals, silences
from bridge.edges.metrics import Metrics
from bridge.flows import attending
from bridge.rules import views
from bridge.rules.attention import Need
from bridge.words.dags import DagState, KnownDag
from bridge.words.pauses import Pause, PauseKind
from bridge.words.refusals import Refusal, RefusalKind
from bridge.words.silences import Silence
from bridge.words.via import RECONCILED_KEY
from tests.support.store import NOW, accept, empty_store, stored


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
