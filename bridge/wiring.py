"""Builds every object once, starts them in order, stops them in the reverse one.

    start   store (migrated, locked) -> mapping -> flows -> listeners -> ready -> the Airflow client's import
    stop    not ready -> public listener (what was accepted is finished) -> routing -> firing (running calls end,
            leases go back) -> admin listener -> store

The Airflow client costs about a second to import, so that happens after ready, in a thread.
"""

import asyncio
import contextlib
import gc
import ipaddress
import os
import signal
import sys
import threading
import time
from datetime import timedelta
from functools import partial

import structlog

from bridge import inbox as inboxes
from bridge.airflow import Airflow
from bridge.errors import ConfigError, Problem
from bridge.firing import Dispatcher
from bridge.inbox import Inbox
from bridge.listening import Server, address, listen, server
from bridge.metrics import Metrics
from bridge.planasonix import PlanasonixClient
from bridge.receiving import Receiving
from bridge.reloading import MappingFile
from bridge.routing import Router
from bridge.settings import Config, Environment
from bridge.signature import advise
from bridge.timekeeping import Timekeeping
from bridge.upkeep import Upkeep
from bridge.watching import Watching
from bridge.web.admin import admin_app
from bridge.web.api import Api
from bridge.web.hooks import Hooks
from bridge.web.ops import PublicApp, Readiness

_log = structlog.get_logger("bridge")
# Sweeping generation 0 every 700 objects cost the hot path its tail: p99 18 -> 11 ms with these.
_GC_THRESHOLDS = (50_000, 20, 50)


class Service:
    """One running bridge."""

    def __init__(self, environment: Environment, config: Config) -> None:
        """Build everything; raises ConfigError, InboxInUse. Nothing runs yet, nothing listens."""
        self._environment = environment
        _check_admin(environment)
        self.public_socket = listen(environment.host, environment.port, "BRIDGE_PORT")
        self.admin_socket = listen(environment.admin_host, environment.admin_port, "BRIDGE_ADMIN_PORT")
        self._lock = inboxes.lock(environment.database_url)
        before, after = inboxes.prepare(environment.database_url, password=environment.database_password)
        if before != after:
            _log.info("migrated", before=before, after=after)
        _warn_of_keys(config)
        self._metrics = _metrics_of(config)
        self._inbox = Inbox(
            environment.database_url,
            password=environment.database_password,
            intake_limit=environment.intake_limit,
            on_intake=self._metrics.observe_commit,
            on_access=self._metrics.observe_store,
        )
        self._build_flows(environment, config)
        self._readiness = Readiness(self._inbox)

    def _build_flows(self, environment: Environment, config: Config) -> None:
        self._mapping = MappingFile(
            environment.mapping, airflows=config.airflows, sources=config.sources, metrics=self._metrics
        )
        self._airflows = {name: (target, Airflow(target)) for name, target in config.airflows.items()}
        self._apis = {name: PlanasonixClient(s.api) for name, s in config.sources.items() if s.api is not None}
        self._dispatcher = Dispatcher(
            inbox=self._inbox,
            airflows=self._airflows,
            metrics=self._metrics,
            lease_seconds=environment.lease_seconds,
        )
        self._router = Router(
            inbox=self._inbox,
            mapping=self._mapping.current,
            apis=self._apis,
            metrics=self._metrics,
            on_routed=self._dispatcher.wake,
            max_hops=environment.max_hops,
        )
        self._upkeep = Upkeep(
            inbox=self._inbox, retention=timedelta(days=environment.retention_days), metrics=self._metrics
        )
        self._watching = Watching(inbox=self._inbox, metrics=self._metrics)
        self._watching.recall()
        self._timekeeping = Timekeeping(
            inbox=self._inbox,
            metrics=self._metrics,
            lease_seconds=environment.lease_seconds,
            on_moved=self._wake_all,
        )
        self._sources = config.sources

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then stop in order."""
        import uvloop  # noqa: PLC0415 - not on every platform, and no command but this one needs it

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())
        if any(lane.under_way for lane in self._dispatcher.lanes.values()):
            # A call outlived its limit, and the interpreter would wait for it. Everything is stored by now.
            sys.stderr.flush()
            os._exit(0)

    async def _serve(self) -> None:
        stopping = asyncio.Event()
        _on_signals(stopping)
        public, admin = self._servers()
        recovered = await asyncio.to_thread(self._inbox.recover)
        if recovered:
            _log.info("recovered", triggers=recovered)
        self._inbox.listen(self._wake_all)
        self._dispatcher.start()
        self._router.start()
        self._mapping.start()
        self._upkeep.start()
        self._watching.start()
        self._timekeeping.start()
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
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
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
        """Stop in the order that this module's docstring tells."""
        _log.info("stopping")
        self._readiness.end()
        public.should_exit = True
        await tasks[0]
        await asyncio.to_thread(self._stop_flows)
        admin.should_exit = True
        await tasks[1]
        await asyncio.to_thread(self._close)
        _log.info("stopped")

    def _stop_flows(self) -> None:
        self._mapping.stop()
        self._upkeep.stop()
        self._watching.stop()
        self._timekeeping.stop()
        self._router.stop()
        self._dispatcher.stop(self._environment.shutdown_seconds)

    def _close(self) -> None:
        for _, airflow in self._airflows.values():
            airflow.close()
        for api in self._apis.values():
            api.close()
        self._inbox.close()
        self._lock.release()

    def _servers(self) -> tuple[Server, Server]:
        environment = self._environment
        receiving = Receiving(
            sources=self._sources, inbox=self._inbox, metrics=self._metrics, on_accepted=self._router.wake
        )
        hooks = Hooks(
            receiving=receiving,
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
            max_hops=environment.max_hops,
            on_replayed=self._wake_all,
        )
        token = environment.admin_token.reveal() if environment.admin_token else None
        admin = admin_app(api, token=token, metrics_open=environment.metrics_open)
        limit = environment.shutdown_seconds
        public = PublicApp(hooks=hooks, readiness=self._readiness)
        return (
            server(public, limit, on_ended=partial(self._count_ended_connection, "public")),
            server(admin, limit, on_ended=partial(self._count_ended_connection, "admin")),
        )

    def _count_ended_connection(self, listener: str, reason: str) -> None:
        self._metrics.connections_ended.labels(listener, reason).inc()

    def _wake_all(self) -> None:
        self._router.wake()
        self._dispatcher.wake()


def _metrics_of(config: Config) -> Metrics:
    keys = {name: [key.id for key in source.verifier.keys] for name, source in config.sources.items()}
    metrics = Metrics(keys_by_source=keys, airflows=config.airflows)
    for name, source in config.sources.items():
        for key in source.verifier.keys:
            metrics.observe_key(name, key.id, expires_at=key.not_after)
    return metrics


def _check_admin(environment: Environment) -> None:
    """Without a token the admin listener serves loopback only."""
    if environment.admin_token is not None or environment.admin_host == "localhost":
        return
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(environment.admin_host).is_loopback:
            return
    what = f"without BRIDGE_ADMIN_TOKEN only a loopback address is served, not {environment.admin_host}; set the token"
    raise ConfigError([Problem("BRIDGE_ADMIN_HOST", 0, 0, what)])


def _on_signals(stopping: asyncio.Event) -> None:
    """First SIGTERM or SIGINT: stop in order. Second: stop at once; nothing durable is lost by that."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if stopping.is_set():
            os._exit(1)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _warn_of_keys(config: Config) -> None:
    """Say loudly at start what is weak or out of its time."""
    for name, source in config.sources.items():
        for said in advise(source.verifier, time.time()):
            _log.warning("keys", source=name, detail=said)
