"""Webhooks are dropped, hours late, doubled, or sent after the reconciler's own: every completion fires once.

Real bridges, and stand-ins for Planasonix and Airflow. `make test` tells it with 40 jobs, `make test-all` with 1,000.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import Enum
from random import Random

import httpx
import pytest

from tests.support.jobs_api import JobsApi
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin

_DAGS = ("load_orders", "refresh_marts")
_MAPPING = f"routes:\n  - {{pipeline: pl_8f2a9c1d4e, dag: [{', '.join(_DAGS)}]}}\n"
_PATIENCE = 600.0
Start = Callable[..., BridgeProcess]


class Fate(Enum):
    """What becomes of the webhook of a job that has ended."""

    COMES = "it comes"
    DOUBLED = "it comes twice, the second time under another event id"
    DROPPED = "it never comes"
    LATE = "it comes after the reconciler's own"


class Story:
    """A tenant whose jobs end, the bridges that it delivers to, and the Airflow behind them."""

    def __init__(self, *, jobs: int, share: float, seed: int, start: Start, url: str | None) -> None:
        """`share` of the webhooks do not come when they should; `url`: of a store for two replicas."""
        self._random = Random(seed)
        self._start, self._url = start, url
        lost = (Fate.DROPPED, Fate.LATE)
        self.fates = {
            f"job_{n}": self._random.choice(lost) if self._random.random() < share else self._usual()
            for n in range(jobs)
        }
        self.fates |= {"job_0": Fate.DROPPED, "job_1": Fate.LATE, "job_2": Fate.DOUBLED}
        self.planasonix, self.airflow = JobsApi(), Standin()
        self.airflow.dags = {dag: {"is_paused": False} for dag in _DAGS}
        self.bridges: list[BridgeProcess] = []

    def _usual(self) -> Fate:
        return Fate.DOUBLED if self._random.random() < 0.2 else Fate.COMES

    @contextmanager
    def world(self) -> Iterator[None]:
        """Start everything; the first bridge has looked at the jobs once before the second starts."""
        with self.planasonix, self.airflow:
            api = f"    api: {{url: {self.planasonix.url}, key: {{env: PLANASONIX_API_KEY}}}}\n"
            settings = {"PLANASONIX_API_KEY": "plx_key_of_the_stand_in"}
            for _ in range(1 if self._url is None else 2):
                self.bridges.append(
                    self._start(
                        airflow_url=self.airflow.url,
                        mapping=_MAPPING,
                        source=api + "    reconcile: {every: 10s, grace: 10s, types: [job.succeeded]}",
                        more="    rate: 500",
                        settings=settings | ({} if self._url is None else {"BRIDGE_DATABASE_URL": self._url}),
                    )
                )
                wait_for(lambda: bool(self.planasonix.listed), seconds=_PATIENCE, what="a look at the jobs")
            yield

    def send_all(self) -> None:
        """Let every job end, some of them hours ago, and send what comes."""
        for job, fate in self.fates.items():
            ended = datetime.now(UTC) - timedelta(minutes=self._random.randint(5, 1200))
            self.planasonix.jobs[job] = {
                "id": job,
                "status": "succeeded",
                "pipeline_id": "pl_8f2a9c1d4e",
                "finished_at": ended.isoformat(),
            }
            if fate in (Fate.COMES, Fate.DOUBLED):
                self.send(job)
            if fate is Fate.DOUBLED:
                self.send(job)
                self.send(job, "again")

    def send(self, job: str, more: str = "") -> None:
        """Send a webhook until it is answered 2xx, to one bridge or the other."""
        payload = body(event=f"evt_{job}{more}", job=job)
        wait_for(lambda: self._is_taken(payload), seconds=60, what=f"the webhook of {job} is answered 2xx")

    def _is_taken(self, payload: bytes) -> bool:
        try:
            return self._random.choice(self.bridges).send(payload).is_success
        except httpx.TransportError:  # it was killed
            return False

    def runs(self) -> Counter[tuple[str, str]]:
        """Return how often each DAG was started for each job, by Airflow's own word."""
        return Counter((dag, run["conf"]["planasonix"]["job_id"]) for dag in _DAGS for run in self.airflow.runs(dag))

    def is_settled(self) -> bool:
        """Whether nothing waits for routing or firing."""
        bridge = self.bridges[0]
        waiting = [bridge.api("deliveries", state="received", limit=1)["deliveries"]]
        waiting += [bridge.api("triggers", state=state, limit=1)["triggers"] for state in ("pending", "firing", "held")]
        return not any(waiting)


def tell(story: Story, *, victim: int) -> None:
    """Tell it: jobs end while a bridge is killed and comes back; the late webhooks come once all has run."""
    expected = {(dag, job): 1 for dag in _DAGS for job in story.fates}
    with story.world():
        sending = threading.Thread(target=story.send_all)
        sending.start()
        wait_for(lambda: len(story.planasonix.jobs) > len(story.fates) // 3, seconds=_PATIENCE, what="a third")
        story.bridges[victim].kill()
        story.bridges[victim].start()
        sending.join()
        wait_for(
            lambda: len(story.runs()) == len(expected),
            seconds=_PATIENCE,
            what=lambda: f"all runs; without: {sorted(expected.keys() - story.runs().keys())[:9]}",
        )
        for job, fate in story.fates.items():
            if fate is Fate.LATE:
                story.send(job)
        wait_for(story.is_settled, seconds=_PATIENCE, what="nothing waits")
        assert story.runs() == expected


@pytest.mark.crash
@pytest.mark.timeout(1800)
def test_every_completion_fires_once_whatever_becomes_of_its_webhook(start_bridge: Start) -> None:
    """40 jobs and a bridge on SQLite that is killed meanwhile."""
    tell(Story(jobs=40, share=0.3, seed=7, start=start_bridge, url=None), victim=0)


@pytest.mark.scenario
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_thousand_completions_fire_once_each(
    start_bridge: Start, request: pytest.FixtureRequest, store: str, share: float
) -> None:
    """1,000 jobs; on PostgreSQL two replicas, of which the one that reconciles is killed."""
    url = request.getfixturevalue("postgres") if store == "postgresql" else None
    tell(Story(jobs=1000, share=share, seed=int(share * 100), start=start_bridge, url=url), victim=0)
