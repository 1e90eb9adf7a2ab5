"""A dispatcher in front of an Airflow's stand-in, and the store it works on."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox, browsing, triggers
from bridge.edges.metrics import Metrics
from bridge.flows.firing import Dispatcher
from bridge.flows.firing.claims import HourlyPlaces
from bridge.flows.firing.lane import Lane
from bridge.rules.pauses import Pauses
from bridge.words.model import Attempt, Trigger, TriggerState
from bridge.words.targets import AirflowAuth, AirflowTarget, Secret
from tests.support.store import add, stored, wait_for

AUTH = AirflowAuth(Secret("bridge"), Secret("bridge-password"))


class Firing:
    """A dispatcher in front of a stand-in, and the store it works on."""

    def __init__(
        self,
        inbox: Inbox,
        metrics: Metrics,
        url: str,
        *,
        lease_seconds: float = 30,
        pauses: Callable[[], Pauses] = Pauses,
        hourly: HourlyPlaces = HourlyPlaces(),  # noqa: B008 - frozen
        **target: Any,
    ) -> None:
        self.inbox = inbox
        self.clock_is_ahead = timedelta()
        options = {"rate": 1000.0, "connect_seconds": 2.0, "read_seconds": 5.0, "deadline_seconds": 5.0} | target
        self.target = AirflowTarget("default", url, AUTH, **options)
        self.airflow = Airflow(self.target)
        self.dispatcher = Dispatcher(
            inbox=inbox,
            airflows={"default": (self.target, self.airflow)},
            metrics=metrics,
            lease_seconds=lease_seconds,
            pauses=pauses,
            hourly=hourly,
            clock=lambda: datetime.now(UTC) + self.clock_is_ahead,
        )
        self.is_started = False

    @property
    def lane(self) -> Lane:
        """The only lane."""
        return self.dispatcher.lanes["default"]

    def start(self) -> "Firing":
        """Begin to fire."""
        self.is_started = True
        self.dispatcher.loop.start()
        return self

    def stop(self, limit_seconds: float = 5.0) -> None:
        """End, once."""
        if self.is_started:
            self.is_started = False
            self.dispatcher.loop.stop(limit_seconds)

    def add(self, event: str = "evt_1", **more: Any) -> str:
        """Store a delivery with one trigger that is due."""
        delivery_id = stored(self.inbox, event)
        options = {"dag_run_id": f"run-{event}"} | more
        return add(self.inbox, delivery_id, now=datetime.now(UTC) - timedelta(seconds=1), **options)

    def trigger(self, trigger_id: str) -> Trigger:
        """Return a trigger as it stands."""
        found = self.inbox.read(triggers.get, trigger_id)
        assert found is not None
        return found

    def attempts(self, trigger_id: str) -> list[Attempt]:
        """Return its attempts."""
        return self.inbox.read(browsing.attempts, trigger_id)

    def wait(self, trigger_id: str, *states: TriggerState) -> Trigger:
        """Wait until a trigger is in one of these states."""
        wait_for(lambda: self.trigger(trigger_id).state in (states or (TriggerState.FIRED,)))
        return self.trigger(trigger_id)


Make = Callable[..., Firing]
