"""What needs a person, as the store has it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.edges.inbox import Inbox, dags, refusals
from bridge.flows import attending
from bridge.rules.attention import Need
from bridge.words.dags import DagState, KnownDag
from bridge.words.pauses import PauseKind
from bridge.words.refusals import Refusal, RefusalKind
from tests.support.store import NOW, empty_store, stored


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


def test_what_a_stranger_sends_is_judged_by_what_came_since(inbox: Inbox) -> None:
    """Refusals over ten minutes are our secret's fault, unless the source has sent something right meanwhile."""
    now = datetime.now(UTC)
    refused = [
        Refusal(now + timedelta(minutes=at), RefusalKind.REFUSED, "planasonix", "signature_mismatch")
        for at in (-10, -5, -1)
    ]
    inbox.write(refusals.append, refused)
    assert [need.what for need in attending.needs(inbox)] == ["refused"]
    stored(inbox, "evt_right", source="planasonix")
    assert attending.needs(inbox) == []
    assert [need.what for need in attending.look(inbox)] == ["refused"]
