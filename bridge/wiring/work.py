"""Builds what works behind the intake: the mapping, the Airflows, the flows that follow an accepted webhook.

`Work` holds each of them once. A new flow is built in a `_build_...` and its loop added to `loops`.
"""

import threading
from datetime import timedelta
from functools import partial

from bridge.chores.encryption import Encryption
from bridge.chores.loop import Loop
from bridge.chores.mapping_file import MappingFile
from bridge.chores.shapes import Shapes
from bridge.edges import logs
from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from bridge.edges.planasonix import PlanasonixClient
from bridge.edges.planasonix.gate import Gate
from bridge.edges.settings import Config, Environment
from bridge.flows.firing import Dispatcher
from bridge.flows.firing.claims import HourlyPlaces
from bridge.flows.following import Following
from bridge.flows.holding import Holding
from bridge.flows.ordering import Orders
from bridge.flows.pausing import Pausing
from bridge.flows.reconciling import Look, Reconciling
from bridge.flows.routing import Router
from bridge.flows.routing.unmapped import Unmapped
from bridge.flows.tailing import Tailing
from bridge.flows.telling import Telling
from bridge.flows.waking import Waking
from bridge.flows.waking.abandoning import Abandoning
from bridge.flows.waking.inquiring import Inquiring
from bridge.rules.pauses import Names
from bridge.web.links import Links
from bridge.words.pauses import PauseKind
from bridge.words.targets import Reconcile


class Work:
    """Everything that a webhook meets after its 202."""

    def __init__(self, environment: Environment, config: Config, inbox: Inbox, metrics: Metrics) -> None:
        """Build it. Nothing runs yet."""
        self.mapping = MappingFile(
            environment.mapping,
            airflows=config.airflows,
            sources=config.sources,
            inbox=inbox,
            metrics=metrics,
            pages_url=environment.public_admin_url,
        )
        logs.name_owners(self.mapping.owner_of)
        self.airflows = {name: (target, Airflow(target)) for name, target in config.airflows.items()}
        self.apis = {
            name: PlanasonixClient(s.api, Gate(name)) for name, s in config.sources.items() if s.api is not None
        }
        self.pausing = Pausing(
            inbox=inbox, metrics=metrics, names=lambda: self.names(config), unnamed=self._unnamed_routes
        )
        self.shapes = Shapes(inbox=inbox, sources=config.sources, metrics=metrics)
        self.pausing.refresh()  # nothing of what is paused may start before it is known
        self._build_flows(environment, config, inbox, metrics)
        self._build_wakings(config, inbox, metrics)
        self._build_reconciling(environment, config, inbox, metrics)
        self.pausing.call_on_change(self.wake)
        self.encryption = Encryption(inbox=inbox, key=environment.ring().current, metrics=metrics)

    def _build_flows(self, environment: Environment, config: Config, inbox: Inbox, metrics: Metrics) -> None:
        self.router = Router(
            inbox=inbox,
            mapping=self.mapping.current,
            apis=self.apis,
            sources=config.sources,
            metrics=metrics,
            on_routed=self._tell_of_routed,
            max_hops=environment.max_hops,
            lease_seconds=environment.lease_seconds,
            pauses=self.pausing.current,
            unmapped=Unmapped(inbox=inbox, is_lacking=lambda: self.mapping.state.is_lacking),
            learn=self.shapes.note,
        )
        starts = self.router.starts
        self.dispatcher = Dispatcher(
            inbox=inbox,
            airflows=self.airflows,
            metrics=metrics,
            lease_seconds=environment.lease_seconds,
            pauses=self.pausing.current,
            hourly=HourlyPlaces(take=starts.take_place, give_back=starts.give_back),
        )
        self.orders = Orders(inbox=inbox, metrics=metrics, on_worked=self.wake)
        self.following = Following(
            inbox=inbox,
            airflows={name: airflow for name, (_, airflow) in self.airflows.items()},
            metrics=metrics,
            interval_seconds=environment.follow_seconds,
            give_up=timedelta(days=environment.follow_days),
        )
        self.links = Links({name: airflow.run_url for name, (_, airflow) in self.airflows.items()})
        self.tailing = Tailing(inbox=inbox, link=self.links.run, metrics=metrics)
        self.telling = Telling(inbox=inbox, metrics=metrics, limit=environment.max_connections // 2)
        self._build_holding(environment, inbox, metrics)

    def _build_holding(self, environment: Environment, inbox: Inbox, metrics: Metrics) -> None:
        self.holding = Holding(
            inbox=inbox,
            airflows={name: airflow for name, (_, airflow) in self.airflows.items()},
            mapping=self.mapping.current,
            metrics=metrics,
            interval_seconds=environment.dags_seconds,
            take_place=self.router.starts.take_place,
            give_back=self.router.starts.give_back,
            on_freed=self.dispatcher.wake,
        )

    def _build_wakings(self, config: Config, inbox: Inbox, metrics: Metrics) -> None:
        cancelling = {name: self.apis[name] for name, source in config.sources.items() if source.cancels_abandoned}
        only_source = next(iter(config.sources)) if len(config.sources) == 1 else None
        self.abandonings = {
            name: Abandoning(
                name,
                airflow.waits,
                inbox=inbox,
                metrics=metrics,
                take_turn=partial(self.dispatcher.take_turn, name),
                apis=cancelling,
                only_source=only_source,
            )
            for name, (target, airflow) in self.airflows.items()
            if target.wake and cancelling
        }
        self.wakings = [
            Waking(
                name,
                airflow.waits,
                inbox=inbox,
                sources=config.sources,
                metrics=metrics,
                take_turn=partial(self.dispatcher.take_turn, name),
                abandoning=self.abandonings.get(name),
            )
            for name, (target, airflow) in self.airflows.items()
            if target.wake
        ]
        asking = partial(Inquiring, inbox=inbox, metrics=metrics, apis=self.apis, only_source=only_source)
        self.inquirings = [
            asking(waking.name, is_ours=waking.keeps_waits, tell=waking.tell_of) for waking in self.wakings if self.apis
        ]

    def _build_reconciling(self, environment: Environment, config: Config, inbox: Inbox, metrics: Metrics) -> None:
        retention = timedelta(days=environment.retention_days)
        self.looks = {
            name: Look(
                source, self.apis[name], inbox=inbox, setting=source.reconcile or Reconcile(), retention=retention
            )
            for name, source in config.sources.items()
            if source.api is not None
        }
        self.reconcilings = [
            Reconciling(
                source,
                self.apis[name],
                inbox=inbox,
                metrics=metrics,
                setting=source.reconcile,
                retention=retention,
                on_added=self.router.wake,
            )
            for name, source in config.sources.items()
            if source.reconcile is not None
        ]
        metrics.reconciling.expect(each.name for each in self.reconcilings)

    def _tell_of_routed(self) -> None:
        self.dispatcher.wake()
        self.telling.tell()
        for waking in self.wakings:
            waking.tell()

    def names(self, config: Config) -> Names:
        """Return what can be paused: the routes in use, the sources and the Airflows."""
        state = self.mapping.state
        routes = None if state.is_lacking else [route.name for route in state.mapping.routes]
        return {PauseKind.ROUTE: routes, PauseKind.SOURCE: config.sources, PauseKind.AIRFLOW: config.airflows}

    def _unnamed_routes(self) -> list[str]:
        return [route.name for route in self.mapping.state.mapping.routes if not route.is_named]

    @property
    def loops(self) -> list[Loop]:
        """What turns here, in the order of starting; the dispatcher's comes first and stops last."""
        return [
            self.dispatcher.loop,
            self.shapes.loop,
            self.router.loop,
            self.pausing.loop,
            self.orders.loop,
            self.following.loop,
            self.holding.loop,
            self.tailing.loop,
            self.telling.loop,
            *(waking.loop for waking in self.wakings),
            *(each.loop for each in self.abandonings.values()),
            *(each.loop for each in self.inquirings),
            *(each.loop for each in self.reconcilings),
        ]

    def wake(self) -> None:
        """Look into the store at once."""
        self.router.wake()
        self.dispatcher.wake()
        for waking in self.wakings:
            waking.loop.wake()

    def take_over(self, config: Config) -> None:
        """Put other secrets to use; everything else stays as it was at the start."""
        for name, (_, airflow) in self.airflows.items():
            airflow.take_over(config.airflows[name])
        for name, client in self.apis.items():
            if (api := config.sources[name].api) is not None:
                client.take_over(api)

    def warm_up(self) -> None:
        """Import the Airflow client, which costs about a second, in threads."""
        for _, airflow in self.airflows.values():
            threading.Thread(target=airflow.warm_up, name="warm-up", daemon=True).start()

    def close(self) -> None:
        """Close every connection to an Airflow and to Planasonix; the loops have ended."""
        for _, airflow in self.airflows.values():
            airflow.close()
        for api in self.apis.values():
            api.close()
