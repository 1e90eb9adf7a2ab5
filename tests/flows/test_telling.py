"""Who asks whether a run has ended is told by the store: at once, or when the webhook comes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.edges.metrics import Metrics
from bridge.flows.telling import Asker, Telling
from bridge.rules import completion
from bridge.rules import event as events
from bridge.rules.telling import Answer, Question, Verdict
from bridge.words.errors import TooMany
from bridge.words.model import DeliveryState
from tests.flows.test_waking import run_event
from tests.support.store import stored

SINCE = datetime.now(UTC) - timedelta(minutes=1)


@pytest.fixture
def telling(inbox: Inbox, metrics: Metrics) -> Iterator[Telling]:
    """What tells three at once; its loop is not started."""
    item = Telling(inbox=inbox, metrics=metrics, limit=3)
    yield item
    item.loop.stop(1)


def told(inbox: Inbox, name: str, *, source: str = "planasonix", **more: Any) -> str:
    """Store and route a webhook; `more` are fields of its body."""
    payload = run_event(name, **more)
    id_ = stored(inbox, name, source=source, body=payload)
    event = events.read(payload, path_pipeline_id=None)
    about = completion.of(event, source=source, delivery_id=id_)
    routing = Routing(id_, DeliveryState.UNROUTED, None, None, None, [], about, also_names=about.others(event))
    inbox.write(settle_routing, [routing], now=datetime.now(UTC))
    return id_


def question(run: str | None = "run_1", pipeline: str | None = None, **more: Any) -> Question:
    """Somebody who asks."""
    return Question(run, pipeline, more.get("source"), more.get("since", SINCE), more.get("after"))


def step(telling: Telling) -> None:
    """Look, however short ago the last look was."""
    telling._looked_at = 0.0
    telling.step()


def test_an_end_is_told_by_its_id(inbox: Inbox, telling: Telling) -> None:
    """Of a run, and of a job; with the status of the webhook. Another run's end says nothing."""
    run = told(inbox, "evt_1", status="failed")
    job = told(inbox, "evt_2", run=None, type="job.succeeded", job_id="job_1")
    assert telling.look(question("run_1")) == Answer(Verdict.ENDED, run, "failed")
    assert telling.look(question("job_1")) == Answer(Verdict.ENDED, job, "succeeded")
    assert telling.look(question("run_2")) == Answer()
    assert telling.look(question("run_1", source="staging")) == Answer()


def test_what_may_be_its_end_says_to_look(inbox: Inbox, telling: Telling) -> None:
    """A job that names the run; an event of the pipeline that names no run, if it is new. Another run does not."""
    beside = told(inbox, "evt_1", type="job.succeeded", job_id="job_1", pipeline_id="pl_1")
    assert telling.look(question("run_1")) == Answer(Verdict.LOOK, beside)
    assert telling.look(question("run_1", after=beside)) == Answer()
    assert telling.look(question("run_9", "pl_1")) == Answer()
    vague = told(inbox, "evt_2", run=None, type="job.succeeded", job_id="job_2", pipeline_id="pl_1")
    assert telling.look(question("run_9", "pl_1")) == Answer(Verdict.LOOK, vague)
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert telling.look(question("run_9", "pl_1", since=later)) == Answer()
    assert telling.look(question(None, "pl_1")) == Answer(Verdict.LOOK, vague)


def test_everybody_who_waits_hears_what_is_theirs(inbox: Inbox, telling: Telling) -> None:
    """Once each, by one look for all of them."""
    heard: list[tuple[str, Answer]] = []
    for name in ("run_1", "run_2"):
        telling.join(Asker(question(name), lambda said, name=name: heard.append((name, said))))  # type: ignore[misc]
    step(telling)
    assert heard == []
    first = told(inbox, "evt_1", run="run_1")
    step(telling)
    step(telling)
    assert heard == [("run_1", Answer(Verdict.ENDED, first, "succeeded"))]
    second = told(inbox, "evt_2", run="run_2")
    step(telling)
    assert heard[1:] == [("run_2", Answer(Verdict.ENDED, second, "succeeded"))]
    assert telling._askers == []


def test_no_more_wait_than_there_is_room_for(telling: Telling) -> None:
    """Who leaves makes room; and a service that stops lets everybody go, and nobody in."""
    heard: list[Answer] = []
    askers = [Asker(question(), heard.append) for _ in range(4)]
    for each in askers[:3]:
        telling.join(each)
    with pytest.raises(TooMany):
        telling.join(askers[3])
    telling.leave(askers[0])
    telling.leave(askers[0])
    telling.join(askers[3])
    telling.loop.stop(1)
    assert heard == [Answer()] * 3
    with pytest.raises(TooMany):
        telling.join(askers[0])


def test_looks_are_spaced_however_fast_webhooks_come(telling: Telling) -> None:
    """The second waits for the rest of a quarter of a second."""
    assert telling.step() is None
    assert telling.step() == 0.25
