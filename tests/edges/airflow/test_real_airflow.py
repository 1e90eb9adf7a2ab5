"""Firing at a real Airflow: the outcome, and the runs that there are then."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge.rules.conforming import mistakes
from bridge.rules.mapping import read
from bridge.words.dags import DagFacts, DagPage, DagState
from bridge.words.outcomes import AlreadyThere, Later, Misconfigured, Never, Started
from bridge.words.reasons import Reason
from bridge.words.targets import AirflowAuth, Secret
from tests.edges.airflow.support import MARTS, RUN_ID, Connect, carried, run_ids, trigger
from tests.support.airflow_server import AirflowServer
from tests.support.fault_proxy import Answer, DropAnswer, Fault, FaultProxy, HalfAnswer

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(180)]
PLAIN_500 = Answer(500, b"Internal Server Error", {"Content-Type": "text/plain"})
Proxy = Callable[[str], FaultProxy]


def test_run_is_started_with_conf_and_note(connect: Connect, airflow: AirflowServer) -> None:
    """The run carries our id, our conf to the byte, and the note."""
    conf = {"rows": 44802, "share": 0.1, "text": 'ü "\\ \n 😀', "none": None, "list": [1, [2]], "big": 2**60}
    item = trigger(conf=conf, note="made by a test")
    assert connect().fire(item) == Started(is_paused=False, http_status=200)
    (run,) = airflow.runs(MARTS)
    assert (run["dag_run_id"], run["conf"], run["note"]) == (RUN_ID, item.call.conf, "made by a test")
    assert run["logical_date"] is None


def test_firing_again_finds_our_own_run(connect: Connect, airflow: AirflowServer) -> None:
    """The same trigger twice is one run."""
    bridge = connect()
    bridge.fire(trigger())
    assert bridge.fire(trigger()) == AlreadyThere(Reason.ALREADY_THERE, 409)
    assert run_ids(airflow) == [RUN_ID]


def test_firing_for_a_copy_finds_the_same_completion(connect: Connect, airflow: AirflowServer) -> None:
    """Another trigger for another copy of the same completion starts nothing."""
    bridge = connect()
    bridge.fire(trigger())
    copy = trigger(trigger_id="trg_2", conf={"planasonix": carried("trg_2", event_id="evt_2")})
    assert bridge.fire(copy) == AlreadyThere(Reason.SAME_COMPLETION, 409)
    assert run_ids(airflow) == [RUN_ID]


def test_a_strangers_run_is_never_taken_for_ours(connect: Connect, airflow: AirflowServer) -> None:
    """A run under our id that somebody else made is a conflict for a person."""
    airflow.trigger(MARTS, RUN_ID, {"hand": "made"})
    outcome = connect().fire(trigger())
    assert isinstance(outcome, Never)
    assert outcome.reason is Reason.RUN_ID_CONFLICT


def test_twelve_threads_start_one_run(connect: Connect, airflow: AirflowServer) -> None:
    """A race is decided by Airflow's unique run id, and its losers read back that it was theirs."""
    # Not 15 or more: they may take all of the api-server's pool of 15 database connections, and its audit log then
    # waits for one more on the event loop, so that nothing is answered for 30 s (seen in one of ten runs with 16).
    bridge = connect(concurrency=12)
    with ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(lambda _: bridge.fire(trigger()), range(12)))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AlreadyThere"] * 11 + ["Started"]
    assert run_ids(airflow) == [RUN_ID]


def test_unknown_dag_is_held(connect: Connect) -> None:
    """It may not be parsed yet."""
    outcome = connect().fire(trigger("there_is_no_such_dag"))
    assert isinstance(outcome, Later)
    assert (outcome.reason, outcome.is_hold, outcome.http_status) == (Reason.DAG_NOT_FOUND, True, 404)


def test_conf_that_the_dag_refuses(connect: Connect, airflow: AirflowServer) -> None:
    """A missing or wrong param is final, and Airflow's sentence says which."""
    bridge = connect()
    missing = bridge.fire(trigger("needs_params"))
    wrong = bridge.fire(trigger("needs_params", conf={"city": "Bern", "limit": "many"}))
    for outcome, param in ((missing, "city"), (wrong, "limit")):
        assert isinstance(outcome, Never)
        assert outcome.reason is Reason.CONF_REFUSED
        assert param in outcome.detail
    assert isinstance(bridge.fire(trigger("needs_params", conf={"city": "Bern"})), Started)
    assert run_ids(airflow, "needs_params") == [RUN_ID]


def test_run_id_that_airflow_refuses(connect: Connect) -> None:
    """It would be a bug of ours, and no amount of trying helps."""
    outcome = connect().fire(trigger(dag_run_id="scheduled__1"))
    assert isinstance(outcome, Never)
    assert outcome.reason is Reason.CONF_REFUSED


def test_conf_at_the_limit_is_sent_and_its_echo_read(connect: Connect, airflow: AirflowServer) -> None:
    """256 KiB go out and come back; one byte more never leaves."""
    room = 262_144 - len(json.dumps(trigger(conf={"a": ""}).call.conf, separators=(",", ":")))
    bridge = connect()
    assert isinstance(bridge.fire(trigger(conf={"a": "x" * room})), Started)
    outcome = bridge.fire(trigger(dag_run_id="other", conf={"a": "x" * (room + 1)}))
    assert isinstance(outcome, Never)
    assert outcome.reason is Reason.CONF_TOO_LARGE
    assert run_ids(airflow) == [RUN_ID]


def test_paused_dag_is_told_and_remembered_for_a_while(
    connect: Connect, airflow: AirflowServer, fault_proxy: Proxy
) -> None:
    """The run exists and waits; asking whether the DAG is paused happens once for many runs."""
    proxy = fault_proxy(airflow.url)
    bridge = connect(proxy.url)
    for number in range(3):
        assert bridge.fire(trigger("paused_dag", f"run_{number}")) == Started(is_paused=True, http_status=200)
    assert len(run_ids(airflow, "paused_dag")) == 3
    assert len([seen for seen in proxy.seen if seen.path == "/api/v2/dags/paused_dag"]) == 1


@pytest.mark.parametrize("fault", [PLAIN_500, DropAnswer(), HalfAnswer()])
def test_asking_whether_it_is_paused_never_spoils_the_outcome(
    connect: Connect, airflow: AirflowServer, fault_proxy: Proxy, fault: Fault
) -> None:
    """The run was created, whatever happens to the question after it."""
    proxy = fault_proxy(airflow.url)
    proxy.fail_next(fault, method="GET", path=f"/dags/{MARTS}$", times=9)
    assert connect(proxy.url).fire(trigger()) == Started(is_paused=False, http_status=200)


# --- signing in --------------------------------------------------------------------------------------


def test_refused_token_is_replaced_once(connect: Connect, airflow: AirflowServer, fault_proxy: Proxy) -> None:
    """After a 401 Token Expired, or a 403 Invalid JWT token of a restarted server: sign in, go on, no attempt lost."""
    proxy = fault_proxy(airflow.url)
    for number, token in enumerate([airflow.expired_token(), "not-a-token"]):
        grant = json.dumps({"access_token": token}).encode()
        proxy.fail_next(Answer(201, grant, {"Content-Type": "application/json"}), method="POST", path="/auth/token")
        bridge = connect(proxy.url)
        assert isinstance(bridge.fire(trigger(dag_run_id=f"run_{number}")), Started)
    assert len([seen for seen in proxy.seen if seen.path == "/auth/token"]) == 4
    assert len(run_ids(airflow)) == 2


@pytest.mark.parametrize("kind", ["expired", "garbage", "none", "password"])
def test_sign_in_that_is_refused(connect: Connect, airflow: AirflowServer, kind: str) -> None:
    """A fixed token that expired, garbage, no credentials, a wrong password: the whole Airflow is misconfigured."""
    auth = {
        "expired": lambda: AirflowAuth(token=Secret(airflow.expired_token())),
        "garbage": lambda: AirflowAuth(token=Secret("garbage")),
        "none": AirflowAuth,
        "password": lambda: AirflowAuth(Secret("bridge"), Secret("not-the-password")),
    }[kind]()
    bridge = connect(auth=auth)
    for outcome in (bridge.fire(trigger()), bridge.probe()):
        assert isinstance(outcome, Misconfigured)
        assert (outcome.reason, outcome.is_whole_target) == (Reason.AIRFLOW_UNAUTHORIZED, True)
        assert "not-the-password" not in repr(outcome)
    found = bridge.look_at(MARTS)
    assert isinstance(found, Misconfigured)
    assert re.search("40[13]", found.detail)


def test_fixed_token_is_sent_as_it_is(connect: Connect, airflow: AirflowServer) -> None:
    """As managed Airflows give them out."""
    bridge = connect(auth=AirflowAuth(token=Secret(airflow.token())))
    assert bridge.probe() is None
    assert isinstance(bridge.fire(trigger()), Started)


def test_user_without_the_right_is_signed_in_and_may_not(connect: Connect) -> None:
    """A missing right holds this trigger only: the place is well, and another DAG may be allowed."""
    bridge = connect(user="viewer")
    outcome = bridge.fire(trigger())
    assert isinstance(outcome, Misconfigured)
    assert (outcome.reason, outcome.is_whole_target) == (Reason.AIRFLOW_FORBIDDEN, False)
    assert bridge.probe() is None


# --- looking -----------------------------------------------------------------------------------------


def test_facts_of_dags(connect: Connect) -> None:
    """Existence, pause and the params that conf has to give."""
    bridge = connect()
    assert bridge.look_at("there_is_no_such_dag").exists is False
    assert bridge.look_at("paused_dag").is_paused is True
    facts = bridge.look_at("needs_params")
    assert isinstance(facts, DagFacts)
    assert (facts.exists, facts.is_paused, facts.is_stale, facts.has_import_errors) == (True, False, False, False)
    assert facts.required == ("city",)
    assert facts.params["limit"] == {"type": "integer", "minimum": 1}
    text = "routes: [{pipeline: p, dag: needs_params, conf_schema: dag, conf: {city: '', limit: 0, town: Kiel}}]"
    route = read(text, file="mapping.yaml", airflows=None, sources=None).routes[0]
    assert [said.partition(":")[0] for said in mistakes(route, facts.params)] == [
        "conf.city",
        "conf.limit",
        "conf.town",
    ]


def test_the_list_of_dags_says_of_each_whether_it_can_run(connect: Connect) -> None:
    """As a look at each of them does."""
    bridge = connect()
    page = bridge.list_dags(0)
    assert isinstance(page, DagPage)
    assert page.total == len(page.dags) >= 4
    states = {dag_id: facts.state for dag_id, facts in page.dags.items()}
    assert states["paused_dag"] is DagState.PAUSED
    assert states[MARTS] is DagState.OK
    for dag_id in (MARTS, "paused_dag"):
        assert bridge.look_at_dag(dag_id) == page.dags[dag_id]
    assert bridge.look_at_dag("there_is_no_such_dag") == DagFacts(exists=False)


def test_version_is_found_once(connect: Connect, airflow: AirflowServer, fault_proxy: Proxy) -> None:
    """One question for all calls, and none when it is configured."""
    proxy = fault_proxy(airflow.url)
    bridge = connect(proxy.url)
    bridge.warm_up()
    assert proxy.seen == []
    for number in range(3):
        bridge.fire(trigger(dag_run_id=f"run_{number}"))
    connect(proxy.url, version="3").fire(trigger(dag_run_id="configured"))
    assert len([seen for seen in proxy.seen if seen.path == "/api/v2/version"]) == 1
    assert len(run_ids(airflow)) == 4
