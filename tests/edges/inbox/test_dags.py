"""What Airflow says about DAGs is kept in the store, on each database."""

from dataclasses import replace
from datetime import timedelta

from bridge.edges.inbox import Inbox, dags
from bridge.words.dags import DagFacts, DagParams, DagState, KnownDag
from tests.support.store import NOW

SEEN = KnownDag("default", "orders", DagState.PAUSED, NOW, NOW, 5.5, None)


def test_a_look_comes_back_as_it_was_stored(inbox: Inbox) -> None:
    """All of it, by Airflow, by name and in all."""
    other = replace(SEEN, airflow="other", freed=7)
    assert inbox.write(dags.store, [(SEEN, None), (other, None)]) == [SEEN, other]
    assert inbox.read(dags.known, airflow="default") == [SEEN]
    assert sorted(inbox.read(dags.known), key=lambda dag: dag.airflow) == [SEEN, other]
    assert inbox.read(dags.get, airflow="other", dag_id="orders") == other
    assert inbox.read(dags.get, airflow="default", dag_id="sales") is None


def test_of_two_looks_after_the_same_one_the_first_counts(inbox: Inbox) -> None:
    """So a DAG that is back is back once, and its time away is not added twice."""
    inbox.write(dags.store, [(SEEN, None)])
    later = replace(SEEN, state=DagState.OK, read_at=NOW + timedelta(seconds=9), freed=0)
    rival = replace(SEEN, away_seconds=100.0, read_at=NOW + timedelta(seconds=8))
    assert inbox.write(dags.store, [(later, SEEN)]) == [later]
    assert inbox.write(dags.store, [(rival, SEEN), (SEEN, None)]) == []
    assert inbox.read(dags.known) == [later]


def test_params_are_read_in_turn_and_kept(inbox: Inbox) -> None:
    """Of DAGs that are there, the longest unread first; what Airflow does not tell leaves what was told."""
    names = {"a": DagState.OK, "b": DagState.PAUSED, "c": DagState.MISSING, "d": DagState.OK}
    inbox.write(dags.store, [(replace(SEEN, dag_id=name, state=state), None) for name, state in names.items()])
    facts = DagFacts(exists=True, params={"limit": {"type": "integer"}}, required=("limit",))
    inbox.write(dags.set_params, airflow="default", dag_id="d", found=facts, now=NOW)
    for before, unread in ((NOW, {"a", "b"}), (NOW + timedelta(seconds=1), {"a", "b", "d"})):
        assert set(inbox.read(dags.without_params, airflow="default", before=before, limit=9)) == unread
    assert "d" not in inbox.read(dags.without_params, airflow="default", before=NOW + timedelta(seconds=1), limit=2)
    inbox.write(dags.set_params, airflow="default", dag_id="d", found=None, now=NOW + timedelta(seconds=5))
    kept = DagParams(facts.params, facts.required, NOW + timedelta(seconds=5))
    assert inbox.read(dags.params, airflow="default") == {"d": kept}


def test_dags_that_nobody_names_are_forgotten(inbox: Inbox) -> None:
    """Those, at that Airflow."""
    others = [replace(SEEN, dag_id="sales"), replace(SEEN, airflow="other")]
    inbox.write(dags.store, [(item, None) for item in (SEEN, *others)])
    assert inbox.write(dags.forget, airflow="default", dag_ids=["orders", "gone"]) == 1
    assert {(dag.airflow, dag.dag_id) for dag in inbox.read(dags.known)} == {("default", "sales"), ("other", "orders")}


def test_a_look_changes_its_dag_alone(inbox: Inbox) -> None:
    """Not another one of that Airflow, nor the one of its name elsewhere; all that it says is kept."""
    others = [replace(SEEN, airflow="other"), replace(SEEN, dag_id="sales")]
    inbox.write(dags.store, [(item, None) for item in (SEEN, *others)])
    moment = NOW + timedelta(hours=1)
    later = KnownDag("default", "orders", DagState.OK, moment, moment, 9.5, 7)
    assert inbox.write(dags.store, [(later, SEEN)]) == [later]
    assert {(dag.airflow, dag.dag_id): dag for dag in inbox.read(dags.known)} == {
        ("default", "orders"): later,
        ("other", "orders"): others[0],
        ("default", "sales"): others[1],
    }
