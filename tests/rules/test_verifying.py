"""What is found of a trigger in every state, with and without its run, and of a run that nobody asked for."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.rules import verifying
from bridge.rules.verifying import OFF, Finding, Report, Result
from bridge.words.model import Call, Limits, Trigger, TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import RunSeen

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MARKER = {"trigger_id": "trg_1", "delivery_id": "dlv_1", "route": "orders", "status": "succeeded", "job_id": "job_1"}
CONF = {"rows": 5, "planasonix": MARKER}
CALL = Call("orders", "default", "d", "r", CONF, None, Limits())
FIRED = Trigger("trg_1", "dlv_1", CALL, TriggerState.FIRED, None, None, 1, 0, NOW, NOW, NOW, NOW)


def trigger(state: str = "fired", reason: Reason | None = None, **call: Any) -> Trigger:
    """Return a trigger in a state; `call` are fields of its call."""
    return replace(FIRED, state=TriggerState(state), reason=reason, call=replace(CALL, **call))


def run(dag_run_id: str = "r", *, conf: Any = None, **marker: Any) -> RunSeen:
    """Return a run of the trigger; `marker` changes what its conf says of the bridge."""
    own = CONF | {"planasonix": MARKER | marker} if conf is None else conf
    return RunSeen("d", dag_run_id, "success", conf=own)


def result(one: Trigger, seen: RunSeen | None, **more: bool) -> str:
    """Return what is found of a trigger."""
    return verifying.judge(verifying.asked(one, is_replaced=more.pop("is_replaced", False)), seen, **more).result


@pytest.mark.parametrize(
    ("one", "seen", "found"),
    [
        (trigger(), run(), "ok"),
        (trigger(), None, "deleted"),
        (trigger(), run(conf=CONF | {"rows": 6}), "changed"),
        (trigger(), run(event_id="evt_other"), "changed"),
        (trigger(), run(conf={}), "changed"),
        (trigger(), run(conf={"planasonix": "x"}), "changed"),
        (trigger(), run(trigger_id="trg_2"), "changed"),
        (trigger(reason=Reason.ALREADY_THERE), run(), "ok"),
        (trigger(reason=Reason.SAME_COMPLETION), run(trigger_id="trg_2", delivery_id="dlv_2"), "ok"),
        (trigger(reason=Reason.SAME_COMPLETION), run(trigger_id="trg_2", job_id="job_2"), "changed"),
        (trigger(reason=Reason.SAME_COMPLETION), run(trigger_id="trg_2", route="other"), "changed"),
        *((trigger(state), seen, "waiting") for state in ("pending", "firing", "held") for seen in (None, run())),
        (trigger("failed", Reason.EXPIRED), None, "missing"),
        (trigger("failed", Reason.TEMPLATE, conf={}, dag_run_id=""), None, "missing"),
        (trigger("failed", Reason.RUN_ID_CONFLICT), run(trigger_id="trg_2"), "missing"),
        (trigger("failed", Reason.TOO_MANY_ATTEMPTS), run(), "ok"),
        (trigger("cancelled", Reason.DUPLICATE_RUN), None, "ok"),
        (trigger("cancelled", Reason.BY_OPERATOR), None, "ok"),
    ],
)
def test_a_trigger_with_and_without_its_run(one: Trigger, seen: RunSeen | None, found: str) -> None:
    """Only what was acknowledged and neither waits, nor was given up by a person or a rule, must have its run."""
    assert result(one, seen) == found


@pytest.mark.parametrize(("state", "found"), [("fired", "ok"), ("failed", "ok"), ("held", "waiting")])
def test_of_a_run_that_was_started_again_the_newest_counts(state: str, found: str) -> None:
    """The older one may be gone, or have failed."""
    assert result(trigger(state), None, is_replaced=True) == found


def test_a_failed_trigger_is_fine_when_another_one_has_its_run() -> None:
    """A failed trigger owns nothing: the next event of its completion may run."""
    assert result(trigger("failed"), run(trigger_id="trg_2"), is_owned=True) == "ok"


def test_what_was_erased_is_known_by_its_trigger_alone() -> None:
    """Its conf is gone from the store, and stays in Airflow."""
    assert result(trigger(conf={}), run()) == "ok"
    assert result(trigger(conf={}), run(trigger_id="trg_2")) == "changed"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"a": 1, "b": [1.5, None, True, "x"]}, {"b": [1.5, None, True, "x"], "a": 1}),
        ({"a": 1e22}, {"a": 10**22}),
        ({"a": 1e23}, {"a": 10**23}),
        ({"a": float(2**53 + 1)}, {"a": 2**53 + 1}),
        ({"a": 100.0}, {"a": 100}),
        ({"a": -0.0}, {"a": 0}),
        ({"a": 10**400}, {"a": 10**400}),
        ({"a": "\ud83d\ude00"}, {"a": "\ud83d\ude00"}),
    ],
)
def test_a_conf_may_be_spelled_in_another_way(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """The order of keys, and how a database spells a number, say nothing."""
    assert verifying.digest(ours) == verifying.digest(theirs)


@pytest.mark.parametrize(
    "theirs", [{"a": 2}, {"a": True}, {"a": "1"}, {"a": None}, {"a": [1]}, {}, {"a": 1, "b": None}]
)
def test_another_value_is_another_conf(theirs: dict[str, Any]) -> None:
    """Also where Python calls them equal."""
    assert verifying.digest({"a": 1}) != verifying.digest(theirs)


@pytest.mark.parametrize(
    ("seen", "is_marked"),
    [
        (run(), True),
        (run("planasonix__by_hand", conf={}), True),
        (run("manual__2030", conf={"planasonix": None}), False),
        (run("manual__2030", conf={}), False),
        (replace(run(), triggered_by="ui"), True),
        (replace(run(), triggered_by="operator"), False),
    ],
)
def test_what_says_that_the_bridge_started_a_run(seen: RunSeen, is_marked: bool) -> None:
    """Its conf, or the beginning of its id; not that a DAG passed its own conf on to another DAG."""
    assert verifying.is_marked(seen) is is_marked


def test_an_ownerless_run_is_told_with_what_its_conf_names() -> None:
    """A lost row is found by it; what is no text is left out."""
    found = verifying.ownerless(replace(run(trigger_id=5), triggered_by="ui"), "default", "nobody asked")
    assert found == Finding(Result.EXTRA, "nobody asked (started by ui)", "dlv_1", None, "orders", "default", "d", "r")


@pytest.mark.parametrize("kind", Result)
def test_a_report_is_well_unless_something_is_off(kind: Result) -> None:
    """What waits is said and is not off."""
    report = Report(NOW, NOW)
    report.add(Finding(kind, "held (airflow_down)"))
    assert report.is_well is (kind not in OFF)
    assert report.waiting == ({"held (airflow_down)": 1} if kind == "waiting" else {})
    assert report.results == {kind: 1}
    assert report.requests == 0


def test_a_conf_of_anybodys_stops_nothing() -> None:
    """It may be nested too deep, or have texts that are far too long."""
    deep: Any = []
    for _ in range(990):
        deep = [deep]
    assert result(trigger(), run(conf=CONF | {"rows": deep})) == "changed"
    long = verifying.judge(verifying.asked(trigger(), is_replaced=False), run(trigger_id="x" * 1000))
    assert len(long.detail) < 150
    assert len(verifying.ownerless(run(route="x" * 1000), "default", "nobody asked").route or "") == 100


def test_a_report_without_airflows_word_is_not_well() -> None:
    """Nobody knows whether the runs are there."""
    assert not Report(NOW, NOW, unasked={"default": "down"}).is_well


@pytest.mark.parametrize(("dag_run_id", "told"), [("r", "r"), ("", None)])
def test_a_finding_names_its_trigger(dag_run_id: str, told: str | None) -> None:
    """And its DAG run, if it ever had a name."""
    ask = verifying.asked(trigger("failed", dag_run_id=dag_run_id), is_replaced=False)
    assert verifying.judge(ask, None) == Finding(
        Result.MISSING, "failed", "dlv_1", "trg_1", "orders", "default", "d", told
    )


@pytest.mark.parametrize(
    ("one", "seen", "says"),
    [
        (trigger(), run(), "as it was asked for"),
        (trigger(), None, "it was started, and Airflow has no such run any more"),
        (trigger(), run(event_id="evt_2"), "its conf is not what was asked for"),
        (trigger(), run(trigger_id="x" * 101), f"its conf is that of trigger {'x' * 100}"),
        (trigger(), run(conf={}), "its conf is that of no trigger"),
        (
            trigger(reason=Reason.SAME_COMPLETION),
            run(trigger_id="trg_2"),
            "started by trg_2 for the same completion",
        ),
        (trigger("held", Reason.LOOP_GUARD), None, "held (loop_guard)"),
        (trigger("pending"), None, "pending"),
        (trigger("failed", Reason.TEMPLATE), run(), "failed (template), and its run is there all the same"),
        (trigger("failed"), None, "failed"),
    ],
)
def test_a_finding_says_why(one: Trigger, seen: RunSeen | None, says: str) -> None:
    """In a sentence, or with the state and its reason."""
    assert verifying.judge(verifying.asked(one, is_replaced=False), seen).detail == says


@pytest.mark.parametrize(("reason", "says"), [(Reason.BY_OPERATOR, "cancelled (by_operator)"), (None, "cancelled")])
def test_what_was_cancelled_says_why(reason: Reason | None, says: str) -> None:
    """If anybody knows."""
    item = trigger("cancelled", reason)
    assert verifying.judge(verifying.asked(item, is_replaced=False), None).detail == says


def test_what_could_not_be_looked_at_is_counted_by_its_dag() -> None:
    """With the first of its runs, and why."""
    report, ask = Report(NOW, NOW), verifying.asked(trigger(), is_replaced=False)
    for _ in range(3):
        report.leave("default", ask, "403: no")
    report.leave("far", ask, "502: no")
    assert [(each.airflow, each.runs, each.why) for each in report.unread.values()] == [
        ("default", 3, "403: no"),
        ("far", 1, "502: no"),
    ]
