"""What an id means: every kind is found by an index, newest first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge.edges.inbox import Inbox, finding
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.rules.completion import Completion, Kind
from bridge.words.errors import NotThere
from bridge.words.model import DeliveryState, TriggerState
from bridge.words.reasons import Reason
from tests.support.store import NOW, new_trigger, stored

JOB = Completion("planasonix", Kind.JOB, "job_1", "succeeded", "pl_1")


def route(inbox: Inbox, event: str, completion: Completion, **more: object) -> str:
    """Store a delivery, and what it tells of; with a trigger, unless it is unrouted."""
    id_ = stored(inbox, event)
    state = DeliveryState.ROUTED if more else DeliveryState.UNROUTED
    triggers = [new_trigger(inbox, id_, **more)] if more else []
    reason = None if more else Reason.NO_ROUTE
    inbox.write(settle_routing, [Routing(id_, state, reason, None, None, triggers, completion)], now=NOW)
    return id_


def found(inbox: Inbox, id_: str, **more: object) -> tuple[str | None, list[str]]:
    """Return the kind and the deliveries."""
    answer = inbox.read(finding.find, id_, sources=["planasonix"], **more)  # type: ignore[arg-type]
    return answer.kind, list(answer.deliveries)


def test_every_kind_of_id_is_found(inbox: Inbox) -> None:
    """Whichever id a person has at hand."""
    run = "planasonix__job_1__succeeded__orders"
    first = route(inbox, "evt_1", JOB, dag_run_id=run, id="trg_0000000000000001")
    second = route(inbox, "evt_2", replace(JOB, kind=Kind.RUN, id="run_1"))
    third = route(inbox, "evt_3", replace(JOB, id="job_3"), dag_run_id="my own name", dag_id="zeta")
    assert found(inbox, first) == ("delivery", [first])
    assert found(inbox, "trg_0000000000000001") == ("trigger", [first])
    assert found(inbox, "evt_2") == ("event", [second])
    assert found(inbox, "job_1") == ("job", [first])
    assert found(inbox, "run_1") == ("run", [second])
    assert found(inbox, run) == ("dag_run", [first])
    assert found(inbox, "my own name") == ("dag_run", [third])
    assert found(inbox, "pl_1") == ("pipeline", [third, second, first])
    assert found(inbox, "nobody") == (None, [])


def test_a_dag_run_of_a_failed_trigger_is_found_by_its_usual_name(inbox: Inbox) -> None:
    """It owns no run id; its completion is in the name."""
    run = "planasonix__job_1__succeeded__orders"
    id_ = route(inbox, "evt_1", JOB, dag_run_id=run, state=TriggerState.FAILED, reason=Reason.CONF_REFUSED)
    assert found(inbox, run) == ("dag_run", [id_])


@pytest.mark.parametrize("state", [TriggerState.FAILED, TriggerState.CANCELLED])
def test_a_dag_run_that_a_route_names_is_found_whatever_became_of_it(inbox: Inbox, state: TriggerState) -> None:
    """What failed or was cancelled owns no id any more, and is looked for all the same; whoever owns it comes first."""
    own = {"dag_run_id": "my own name", "reason": Reason.CONF_REFUSED}
    id_ = route(inbox, "evt_1", JOB, state=state, **own)
    again = route(inbox, "evt_2", replace(JOB, id="job_2"), state=state, **own)
    assert found(inbox, "my own name") == ("dag_run", [again, id_])
    assert found(inbox, "my own nam") == (None, [])
    owner = route(inbox, "evt_3", replace(JOB, id="job_3"), dag_run_id="my own name")
    assert found(inbox, "my own name") == ("dag_run", [owner])


def test_a_dag_run_that_no_trigger_has_is_found_by_its_usual_name(inbox: Inbox) -> None:
    """Another program started it, or its trigger is gone: the name says which completion it is of."""
    id_ = route(inbox, "evt_1", JOB)
    assert found(inbox, "planasonix__job_1__succeeded__orders") == ("dag_run", [id_])
    assert found(inbox, "planasonix__job_2__succeeded__orders") == (None, [])


def test_a_dag_run_is_found_in_every_airflow(inbox: Inbox, told: list[str]) -> None:
    """By one look for each DAG that has any; the newest delivery comes first."""
    first = route(inbox, "evt_1", JOB, dag_run_id="mine")
    second = route(inbox, "evt_2", replace(JOB, id="job_2"), dag_run_id="mine", airflow="prod", dag_id="zeta")
    route(inbox, "evt_3", replace(JOB, id="job_3"), dag_run_id="other", airflow="prod", dag_id="alpha")
    told.clear()
    assert found(inbox, "mine") == ("dag_run", [second, first])
    assert sum(" AND dag_run_id = " in each for each in told) == 3


def test_the_newest_say_what_an_id_is(inbox: Inbox) -> None:
    """No more than were asked for, and five if nobody says how many."""
    ids = [route(inbox, f"evt_{number}", JOB) for number in range(6)]
    newest = route(inbox, "evt_run", replace(JOB, kind=Kind.RUN))
    assert found(inbox, "job_1") == ("run", [newest, *ids[:1:-1]])
    assert found(inbox, "pl_1", limit=2) == ("pipeline", [newest, ids[-1]])


def test_a_time_narrows_it_down(inbox: Inbox) -> None:
    """Of a pipeline and of a job."""
    id_ = route(inbox, "evt_1", JOB, dag_run_id="r")
    later, earlier = datetime.now(UTC) + timedelta(minutes=1), datetime.now(UTC) - timedelta(minutes=1)
    for name in ("pl_1", "job_1"):
        assert found(inbox, name, since=earlier, until=later)[1] == [id_]
        assert found(inbox, name, since=later) == (None, [])
        assert found(inbox, name, until=earlier) == (None, [])


def test_copies_tell_of_the_same_completion(inbox: Inbox) -> None:
    """Another status, kind, source or job is another completion."""
    first = route(inbox, "evt_1", JOB, dag_run_id="r")
    second = route(inbox, "evt_2", JOB)
    others = ({"status": "failed"}, {"kind": Kind.RUN}, {"source": "other"}, {"id": "job_2"})
    for number, other in enumerate(others):
        route(inbox, f"evt_other_{number}", replace(JOB, **other))  # type: ignore[arg-type]
    assert inbox.read(finding.copies, first) == [second]


def test_the_newest_copies_are_shown(inbox: Inbox) -> None:
    """Of an event that is sent again and again."""
    ids = [route(inbox, f"evt_{number}", JOB) for number in range(4)]
    assert inbox.read(finding.copies, ids[0]) == ids[:0:-1]
    assert inbox.read(finding.copies, ids[0], limit=2) == ids[:1:-1]


def test_a_run_of_another_pipeline_is_no_copy(inbox: Inbox) -> None:
    """Runs may be numbered per pipeline; an event that names none agrees with any."""
    first, _, none = (
        route(inbox, f"evt_{pipeline}", replace(JOB, pipeline_id=pipeline), dag_run_id=f"r_{pipeline}")
        for pipeline in ("pl_1", "pl_2", None)
    )
    assert inbox.read(finding.copies, first) == [none]


@pytest.mark.parametrize("name", ["ord_daily", "dlv_daily", "trg_daily", "trg_0000000000000001x"])
def test_an_id_of_a_sender_may_begin_as_ours_do(inbox: Inbox, name: str) -> None:
    """Only what has the whole form of ours is looked for among them alone."""
    first = route(inbox, "evt_1", replace(JOB, pipeline_id=name))
    assert found(inbox, name) == ("pipeline", [first])


@pytest.mark.parametrize(
    ("id_", "said"),
    [
        ("dlv_0000000000000009", "^no delivery dlv_0000000000000009$"),
        ("trg_0000000000000009", "^no trigger trg_0000000000000009$"),
        ("dlv_x", "^'dlv_x' is not an id of the form dlv_<16 hex digits>$"),
        ("trg_x", "^'trg_x' is not an id of the form trg_<16 hex digits>$"),
    ],
)
def test_an_id_of_ours_that_is_gone_is_not_there(inbox: Inbox, id_: str, said: str) -> None:
    """Nothing else can have it; who mistyped one learns the form."""
    with pytest.raises(NotThere, match=said):
        found(inbox, id_)
