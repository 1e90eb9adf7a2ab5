"""Firing at a real Airflow 2.11: the same outcomes as at Airflow 3, through the same client's low-level call.

The differences are one small table, bridge/edges/airflow/versions.py; what it rests on is held here.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.edges.airflow import Airflow
from bridge.words.dags import DagFacts, DagPage, DagState
from bridge.words.outcomes import AlreadyThere, Later, Misconfigured, Never, Started
from bridge.words.reasons import Reason
from bridge.words.runs import RunPage, RunSeen
from bridge.words.targets import AirflowAuth, AirflowTarget, Secret
from tests.edges.airflow.support import MARTS, RUN_ID, carried, trigger
from tests.support.airflow_server.legacy import PASSWORDS, LegacyAirflowServer
from tests.support.fault_proxy import DropAnswer, FaultProxy

# Its webserver takes half a minute to start, and a password costs it a tenth of a second.
pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]
Connect = Callable[..., Airflow]


@pytest.fixture(scope="module")
def server() -> Iterator[LegacyAirflowServer]:
    """The server of this module."""
    server = LegacyAirflowServer()
    yield server
    server.close()


@pytest.fixture
def airflow_2(server: LegacyAirflowServer) -> LegacyAirflowServer:
    """A running Airflow 2 without DAG runs."""
    server.reset()
    return server


@pytest.fixture
def connect(airflow_2: LegacyAirflowServer) -> Iterator[Connect]:
    """Connect to it, as the user `bridge` unless said otherwise."""
    opened: list[Airflow] = []

    def make(url: str | None = None, *, user: str = "bridge", password: str | None = None, **more: Any) -> Airflow:
        auth = AirflowAuth(Secret(user), Secret(password or PASSWORDS[user]))
        # It is slow: a busy machine must not look like an outage.
        target = AirflowTarget(
            "default", url or airflow_2.url, auth, read_seconds=120, deadline_seconds=120, connect_seconds=30, **more
        )
        opened.append(Airflow(target))
        return opened[-1]

    yield make
    for airflow in opened:
        airflow.close()


def ids(airflow_2: LegacyAirflowServer) -> list[str]:
    """The ids of the runs that there are."""
    return [run["dag_run_id"] for run in airflow_2.runs(MARTS)]


def test_version_is_found_and_it_is_well(connect: Connect) -> None:
    """Nothing is configured but URL, user and password."""
    assert connect().probe() is None


def test_run_is_started_with_conf_and_note(connect: Connect, airflow_2: LegacyAirflowServer) -> None:
    """The run carries our id, our conf to the byte, and the note; Airflow 2 gives it a logical date itself."""
    conf = {"rows": 44802, "share": 0.1, "text": 'ü "\\ \n 😀', "none": None, "list": [1, [2]], "big": 2**60}
    fired = trigger(conf=conf, note="made by a test")
    assert connect().fire(fired) == Started(is_paused=False, http_status=200)
    (run,) = airflow_2.runs(MARTS)
    assert (run["dag_run_id"], run["conf"], run["note"]) == (RUN_ID, fired.call.conf, "made by a test")
    assert run["logical_date"] is not None


def test_firing_again_finds_our_own_run(connect: Connect, airflow_2: LegacyAirflowServer) -> None:
    """The same trigger twice is one run, and so is another one of the same completion."""
    bridge = connect()
    bridge.fire(trigger())
    assert bridge.fire(trigger()) == AlreadyThere(Reason.ALREADY_THERE, 409)
    copy = trigger(trigger_id="trg_2", conf={"planasonix": carried("trg_2", event_id="evt_2")})
    assert bridge.fire(copy) == AlreadyThere(Reason.SAME_COMPLETION, 409)
    assert ids(airflow_2) == [RUN_ID]


def test_lost_answer_is_read_back(connect: Connect, airflow_2: LegacyAirflowServer) -> None:
    """The run was made, its answer was not heard: it is ours."""
    with FaultProxy(airflow_2.url) as proxy:
        proxy.fail_next(DropAnswer(), method="POST", path="/dagRuns$")
        assert connect(proxy.url).fire(trigger()) == AlreadyThere(Reason.ALREADY_THERE, 200)
    assert ids(airflow_2) == [RUN_ID]


def test_a_strangers_run_is_never_taken_for_ours(connect: Connect, airflow_2: LegacyAirflowServer) -> None:
    """A run under our id that somebody else made is a conflict for a person."""
    airflow_2.trigger(MARTS, RUN_ID, {"hand": "made"})
    outcome = connect().fire(trigger())
    assert isinstance(outcome, Never)
    assert outcome.reason is Reason.RUN_ID_CONFLICT


def test_unknown_dag_is_held(connect: Connect) -> None:
    """It may not be parsed yet."""
    outcome = connect().fire(trigger("there_is_no_such_dag"))
    assert isinstance(outcome, Later)
    assert (outcome.reason, outcome.is_hold, outcome.http_status) == (Reason.DAG_NOT_FOUND, True, 404)


def test_conf_that_the_dag_refuses(connect: Connect) -> None:
    """A missing or wrong param is final, and Airflow's sentence says which."""
    bridge = connect()
    missing = bridge.fire(trigger("needs_params"))
    wrong = bridge.fire(trigger("needs_params", conf={"city": "Bern", "limit": "many"}))
    for outcome, param in ((missing, "city"), (wrong, "limit")):
        assert isinstance(outcome, Never)
        assert outcome.reason is Reason.CONF_REFUSED
        assert param in outcome.detail


def test_paused_dag_is_said(connect: Connect) -> None:
    """The run exists and waits in Airflow."""
    assert connect().fire(trigger("paused_dag")) == Started(is_paused=True, http_status=200)


def test_wrong_password_is_misconfigured(connect: Connect, airflow_2: LegacyAirflowServer) -> None:
    """Nothing is given up because of it, and nothing of the password is shown."""
    problem = connect(password="not-the-password").probe()
    assert isinstance(problem, Misconfigured)
    assert problem.reason is Reason.AIRFLOW_UNAUTHORIZED
    assert "not-the-password" not in repr(problem)
    assert ids(airflow_2) == []


def test_user_without_the_right_may_not(connect: Connect, airflow_2: LegacyAirflowServer) -> None:
    """A missing right is no failure of the trigger."""
    outcome = connect(user="viewer").fire(trigger())
    assert isinstance(outcome, Misconfigured)
    assert ids(airflow_2) == []


def test_facts_of_dags(connect: Connect) -> None:
    """Existence, pause and the params that conf has to give."""
    bridge = connect()
    assert bridge.look_at("there_is_no_such_dag").exists is False
    assert bridge.look_at("paused_dag").is_paused is True
    facts = bridge.look_at("needs_params")
    assert isinstance(facts, DagFacts)
    assert (facts.exists, facts.is_paused, facts.is_stale) == (True, False, False)
    assert facts.required == ("city",)


def test_the_list_of_dags_says_of_each_whether_it_can_run(connect: Connect) -> None:
    """As a look at each of them does."""
    bridge = connect()
    page = bridge.list_dags(0)
    assert isinstance(page, DagPage)
    assert page.total == len(page.dags) >= 4
    assert page.dags["paused_dag"].state is DagState.PAUSED
    for dag_id in (MARTS, "paused_dag"):
        assert bridge.look_at_dag(dag_id) == page.dags[dag_id]
    assert bridge.look_at_dag("there_is_no_such_dag") == DagFacts(exists=False)


def test_runs_of_any_dag_are_listed_at_once(connect: Connect, airflow_2: LegacyAirflowServer) -> None:
    """Airflow 2 spells the stretch of time in its own way; a run that is gone is told apart from a wrong URL."""
    since = datetime.now(UTC) - timedelta(hours=1)
    bridge = connect()
    bridge.fire(trigger())
    bridge.fire(trigger("paused_dag"))
    page = bridge.list_runs([MARTS, "paused_dag"], since, datetime.now(UTC) + timedelta(hours=1), limit=10)
    assert isinstance(page, RunPage)
    assert page.is_whole
    assert sorted((run.dag_id, run.dag_run_id, run.state) for run in page.runs) == [
        ("paused_dag", RUN_ID, "queued"),
        (MARTS, RUN_ID, "queued"),
    ]
    rest = bridge.list_runs([MARTS, "paused_dag"], since, datetime.now(UTC) + timedelta(hours=1), limit=10, offset=1)
    assert isinstance(rest, RunPage)
    assert ([run.dag_id for run in rest.runs], rest.total) == (["paused_dag"], 2)
    assert rest.runs[0].conf == trigger("paused_dag").call.conf
    assert isinstance(bridge.look_at_run(MARTS, RUN_ID), RunSeen)
    assert bridge.look_at_run(MARTS, "never_made") is None
