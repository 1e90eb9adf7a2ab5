"""What needs a person, as the store has it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.edges.inbox import Inbox, dags
from bridge.flows import attending
from bridge.words.dags import DagState, KnownDag
from bridge.words.pauses import PauseKind
from tests.support.store import NOW, empty_store


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    """An empty store."""
    one = Inbox(f"sqlite:///{empty_store(tmp_path / 'bridge.db')}")
    yield one
    one.close()


def test_an_airflow_that_is_configured_no_more_needs_nobody(inbox: Inbox) -> None:
    """What was last said of its DAGs stays in the store; where nobody knows the configuration, it is shown."""
    gone = KnownDag("gone", "load", DagState.MISSING, NOW, NOW)
    inbox.write(dags.store, [(gone, None), (KnownDag("default", "load", DagState.BROKEN, NOW, NOW), None)])
    names = {PauseKind.ROUTE: [], PauseKind.SOURCE: [], PauseKind.AIRFLOW: ["default"]}
    assert [need.about for need in attending.needs(inbox, names=names)] == ["load at default"]
    assert len(attending.needs(inbox, names=names | {PauseKind.AIRFLOW: None})) == 2
    assert len(attending.needs(inbox)) == 2
