"""Builds every object once, starts the loops in order and stops them in reverse.

    build   sockets (bound, so that a taken port is an error at once) -> store (locked, migrated) -> mapping -> flows,
            chores and faces
    start   loops in the order of `_loops` -> key sets (3 s at most) -> listeners -> ready -> import of the Airflow
            client
    stop    not ready, still listening for BRIDGE_DRAIN_SECONDS -> public listener (what was accepted is finished) ->
            loops in reverse: chores, routing, firing (running calls end, leases go back) -> admin listener -> store

The Airflow client costs about a second to import, so that happens after ready, in a thread.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import structlog

from bridge.chores.clock import ClockCheck
from bridge.chores.encryption import Encryption
from bridge.chores.gauges import Gauges
from bridge.chores.key_reminders import KeyReminders
from bridge.chores.key_sets import KeySets
from bridge.chores.loop import Beat, Loop
from bridge.chores.mapping_file import MappingFile
from bridge.chores.retention import Retention
from bridge.chores.secret_files import SecretFiles
from bridge.edges import inbox as inboxes
from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox
from bridge.edges.planasonix import PlanasonixClient
from bridge.edges.settings import Config, Environment
from bridge.flows.firing import Dispatcher
from bridge.flows.ordering import Orders
from bridge.flows.receiving import Receiving
from bridge.flows.routing import Router
from bridge.rules.signature import SignatureCheck
from bridge.web.admin import admin_app
from bridge.web.api import Api
from bridge.web.hooks import Hooks
from bridge.web.ops import PublicApp, Readiness
from bridge.web.orders import OrdersApi
from bridge.web.outcomes import OutcomesApi
from bridge.web.server import Server, address, listen, server
from bridge.wiring import preparing

_log = structlog.get_logger("bridge")
_FETCH_SECONDS = 3.0  # a key set that came before `ready` spares the sender a 503; one that is late holds up nothing


class Service:
    """One running bridge."""

    def __init__(
        self,
        environment: Environment,
        config: Config,
        *,
        read: Callable[[], tuple[Environment, Config]] | None = None,
        setting_files: Sequence[Path] = (),
    ) -> None:
        """Build everything; raises ConfigError, InboxInUse. The ports are taken, and nothing runs yet.

        `read` reads both anew, with the secrets that their files have by then; without it they stay as they are.
        `setting_files`: the files in which variables say that settings stand.
        """
        self._environment = environment
        self._tokens = {"admin": environment.admin_token, "outcomes": environment.outcomes_token}
        self._read = read
        self._setting_files = setting_files
        preparing.check_admin(environment)
        self.public_socket = listen(environment.host, environment.port, "BRIDGE_PORT")
        self.admin_socket = listen(environment.admin_host, environment.admin_port, "BRIDGE_ADMIN_PORT")
        self._lock = inboxes.lock(environment.database_url)
        before, after = inboxes.prepare(environment.database_url, password=environment.database_password)
        if before != after:
            _log.info("migrated", before=before, after=after)
        preparing.warn_of_keys(config)
        self._metrics = preparing.metrics_of(config)
        self._beats: list[Beat] = []
        self._inbox = Inbox(
            environment.database_url,
            password=environment.database_password,
            ring=environment.ring(),
            intake_limit=environment.intake_limit,
            on_intake=self._metrics.observe_commit,
            on_access=self._metrics.observe_store,
            beat_of=self._beat_of,
        )
        preparing.check_clock(self._inbox, environment)
        self._build_flows(environment, config)
        self._readiness = Readiness(self._inbox)

    def _build_flows(self, environment: Environment, config: Config) -> None:
        self._mapping = MappingFile(
            environment.mapping, airflows=config.airflows, sources=config.sources, metrics=self._metrics
        )
        self._airflows = {name: (target, Airflow(target)) for name, target in config.airflows.items()}
        self._apis = {name: PlanasonixClient(s.api) for name, s in config.sources.items() if s.api is not None}
        seconds = environment.lease_seconds
        self._dispatcher = Dispatcher(
            inbox=self._inbox, airflows=self._airflows, metrics=self._metrics, lease_seconds=seconds
        )
        self._router = Router(
            inbox=self._inbox,
            mapping=self._mapping.current,
            apis=self._apis,
            sources=config.sources,
            metrics=self._metrics,
            on_routed=self._dispatcher.wake,
            max_hops=environment.max_hops,
            lease_seconds=seconds,
        )
        self._orders = Orders(inbox=self._inbox, metrics=self._metrics, on_worked=self._wake_all)
        self._following = preparing.following_of(environment, self._inbox, self._airflows, self._metrics)
        self._encryption = Encryption(inbox=self._inbox, key=environment.ring().current, metrics=self._metrics)
        self._sources = config.sources
        self._build_faces(environment, config)

    def _build_faces(self, environment: Environment, config: Config) -> None:
        verifiers = {name: source.verifier for name, source in config.sources.items()}
        self._key_sets = KeySets(verifiers=verifiers, metrics=self._metrics)
        self._receiving = Receiving(
            sources=config.sources,
            inbox=self._inbox,
            metrics=self._metrics,
            on_accepted=self._router.wake,
            is_expected=self._key_sets.is_expected,
            proxies=config.proxies,
        )
        self._secret_files = SecretFiles(
            files=[*config.files, *self._setting_files] if self._read else (),
            read=self._read or (lambda: (environment, config)),
            take_over=self._take_over,
            metrics=self._metrics,
        )
        self._loops = self._list_loops(environment, verifiers)
        self._beats += [loop.beat for loop in self._loops]

    def _list_loops(self, environment: Environment, verifiers: Mapping[str, SignatureCheck]) -> list[Loop]:
        """Return every background loop, in the order of starting; a new chore is added here."""
        inbox, metrics = self._inbox, self._metrics
        lease_seconds, retention = environment.lease_seconds, timedelta(days=environment.retention_days)
        gauges = Gauges(inbox=inbox, metrics=metrics)
        gauges.recall()
        return [
            self._dispatcher.loop,
            self._router.loop,
            self._orders.loop,
            self._following.loop,
            *self._key_sets.loops,
            self._mapping.loop,
            self._secret_files.loop,
            KeyReminders(inbox=inbox, verifiers=verifiers, metrics=metrics).loop,
            Retention(inbox=inbox, retention=retention, metrics=metrics).loop,
            gauges.loop,
            self._encryption.loop,
            ClockCheck(inbox=inbox, metrics=metrics, lease_seconds=lease_seconds, on_moved=self._wake_all).loop,
        ]

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then stop in order."""
        import uvloop  # noqa: PLC0415 - not on every platform, and no command but this one needs it

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())
        if self._router.is_looking_up or any(lane.is_busy for lane in self._dispatcher.lanes.values()):
            # A call outlived its limit, and the interpreter would wait for it. Everything is stored by now.
            sys.stderr.flush()
            os._exit(0)

    async def _serve(self) -> None:
        stopping = asyncio.Event()
        preparing.on_signals(stopping)
        public, admin = self._servers()
        recovered = await asyncio.to_thread(self._inbox.recover)
        if recovered:
            _log.info("recovered", under_way=recovered)
        self._inbox.listen(self._wake_all)
        for loop in self._loops:
            loop.start()
        await asyncio.to_thread(self._key_sets.wait, _FETCH_SECONDS)
        tasks = [
            asyncio.create_task(public.serve(sockets=[self.public_socket])),
            asyncio.create_task(admin.serve(sockets=[self.admin_socket])),
        ]
        while not (public.started and admin.started):
            await asyncio.sleep(0.005)
        self._begin()
        await stopping.wait()
        await self._stop(public, admin, tasks)

    def _begin(self) -> None:
        preparing.sweep_rarely()
        self._readiness.begin()
        _log.info(
            "ready",
            public=address(self.public_socket),
            admin=address(self.admin_socket),
            sources=list(self._sources),
            airflows=list(self._airflows),
            routes=len(self._mapping.current().routes),
        )
        for _, airflow in self._airflows.values():
            threading.Thread(target=airflow.warm_up, name="warm-up", daemon=True).start()

    async def _stop(self, public: Server, admin: Server, tasks: list[asyncio.Task[None]]) -> None:
        """Stop in the order that this module's docstring tells, all of it by one deadline."""
        drain, limit = self._environment.drain_seconds, self._environment.shutdown_seconds
        _log.info("stopping", drain_seconds=drain, shutdown_seconds=limit)
        self._readiness.end()
        self._hooks.take_leave()
        await asyncio.sleep(drain)
        deadline = time.monotonic() + limit
        public.stop(limit)
        await tasks[0]
        await asyncio.to_thread(self._stop_loops, deadline)
        admin.stop(deadline - time.monotonic())
        await tasks[1]
        await asyncio.to_thread(self._close)
        _log.info("stopped")

    def _stop_loops(self, deadline: float) -> None:
        for loop in self._loops:
            if loop is not self._dispatcher.loop:  # which renews the leases of running calls meanwhile
                loop.end()  # at once, so that one whose step hangs does not hold up the others
        for loop in reversed(self._loops):
            loop.stop(deadline - time.monotonic())

    def _close(self) -> None:
        for _, airflow in self._airflows.values():
            airflow.close()
        for api in self._apis.values():
            api.close()
        self._receiving.close()
        self._inbox.close()
        self._lock.release()

    def _servers(self) -> tuple[Server, Server]:
        environment = self._environment
        self._hooks = Hooks(
            receiving=self._receiving,
            metrics=self._metrics,
            max_body_bytes=environment.max_body_bytes,
            body_seconds=environment.body_seconds,
        )
        api = Api(
            inbox=self._inbox,
            mapping=self._mapping,
            dispatcher=self._dispatcher,
            metrics=self._metrics,
            sources=self._sources,
            encryption=self._encryption,
            max_hops=environment.max_hops,
            secrets=lambda: self._secret_files.state,
            key_sets=self._key_sets.states,
        )
        steering = OrdersApi(inbox=self._inbox, working=self._orders)
        outcomes = OutcomesApi(following=self._following, airflows=self._airflows)
        admin = admin_app(api, steering, outcomes, token=self._token, metrics_open=environment.metrics_open)
        public = PublicApp(hooks=self._hooks, readiness=self._readiness, stalled=self._stalled)
        limits = preparing.bounds(environment)
        return (
            server(public, name="public", bounds=limits, metrics=self._metrics, take=public.take),
            server(admin, name="admin", bounds=limits, metrics=self._metrics),
        )

    def _token(self, name: str) -> str | None:
        secret = self._tokens[name]
        return secret.reveal() if secret else None

    def _take_over(self, read: tuple[Environment, Config]) -> None:
        """Put other secrets to use; everything else stays as it was at the start."""
        environment, config = read
        self._tokens = {"admin": environment.admin_token, "outcomes": environment.outcomes_token}
        self._key_sets.take_over({name: source.verifier for name, source in config.sources.items()})
        self._receiving.take_over(config.sources)
        for name, (_, airflow) in self._airflows.items():
            airflow.take_over(config.airflows[name])
        for name, client in self._apis.items():
            if (api := config.sources[name].api) is not None:
                client.take_over(api)

    def _beat_of(self, name: str) -> Beat:
        self._beats.append(Beat(name))
        return self._beats[-1]

    def _stalled(self) -> list[str]:
        """Return the names of the loops that have stopped turning."""
        limit = self._environment.stall_seconds
        return [beat.name for beat in self._beats if beat.age_seconds > limit]

    def _wake_all(self) -> None:
        self._router.wake()
        self._dispatcher.wake()
