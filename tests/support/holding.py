"""Looks at DAGs in front of a stand-in, with a clock that the test moves."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox, dags
from bridge.edges.metrics import Metrics
from bridge.flows.holding import Holding
from bridge.rules.ceiling import Ceilings, Start
from bridge.rules.mapping import Mapping
from bridge.words.dags import KnownDag
from bridge.words.targets import AirflowAuth, AirflowTarget, Secret
from tests.support.standin import Standin

AUTH = AirflowAuth(Secret("bridge"), Secret("bridge-password"))
START = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Looking:
    """One replica that looks at DAGs once a minute; `step` is one turn."""

    def __init__(
        self,
        inbox: Inbox,
        metrics: Metrics,
        standin: Standin,
        mapping: Mapping,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.inbox = inbox
        self.metrics = metrics
        self.standin = standin
        self.mapping = mapping
        self.now = START
        self.limit: int | None = None
        self.when_placed: Callable[[], object] = lambda: None
        self.ceilings = Ceilings(lambda *_: [])
        self.airflow = Airflow(AirflowTarget("default", standin.url, AUTH, connect_seconds=5.0))
        self.holding = Holding(
            inbox=inbox,
            airflows={"default": self.airflow},
            mapping=lambda: self.mapping,
            metrics=metrics,
            interval_seconds=60.0,
            take_place=self.take_place,
            give_back=lambda starts: [self.ceilings.take_back(each) for each in starts],
            on_freed=lambda: None,
            clock=lambda: self.now,
            monotonic=monotonic,
        )

    def take_place(self, route: str, now: datetime) -> Start | None:
        """Return when a route may start its next trigger; the test sets `limit`."""
        start = None if self.limit is None else self.ceilings.take(route, self.limit, now.timestamp())
        self.when_placed()
        return start

    def step(self, *, later: float = 0.0) -> list[str]:
        """Take one step, so many seconds later; returns what Airflow was asked about DAGs."""
        self.now += timedelta(seconds=later)
        before = len(self.standin.asked)
        self.holding.step()
        return [asked for asked in self.standin.asked[before:] if asked.startswith("GET /api/v2/dags")]

    def states(self) -> dict[str, str]:
        """Return what the store says of each DAG."""
        return {dag_id: str(dag.state) for dag_id, dag in self.known().items()}

    def known(self) -> dict[str, KnownDag]:
        """Return what the store knows, by DAG."""
        return {dag.dag_id: dag for dag in self.inbox.read(dags.known)}


MakeLooking = Callable[..., Looking]
