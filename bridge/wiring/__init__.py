"""Builds every object once, starts the loops in order and stops them in reverse.

    build   sockets (bound, so that a taken port is an error at once) -> store (locked, migrated) -> mapping -> flows,
            chores and faces
    start   loops in the order of `_loops` -> key sets (3 s at most) -> listeners -> ready -> import of the Airflow
            client
    stop    not ready, still listening for BRIDGE_DRAIN_SECONDS -> public listener (what was accepted is finished) ->
            loops in reverse: chores, routing, firing (running calls end, leases go back) -> admin listener -> store ->
            the process, at once

The Airflow client costs about a second to import, so that happens after ready, in a thread.
"""

import asyncio
import os
import ssl
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NoReturn, cast

import structlog

from bridge.chores.clock import ClockCheck
from bridge.chores.deadlines import Deadlines
from bridge.chores.gauges import Gauges
from bridge.chores.heard import Heard
from bridge.chores.key_reminders import KeyReminders
from bridge.chores.key_sets import KeySets
from bridge.chores.loaded import Loaded
from bridge.chores.loop import Beat, Loop
from bridge.chores.refusal_ring import RefusalRing
from bridge.chores.retention import Retention
from bridge.chores.secret_files import SecretFiles
from bridge.chores.silences import Silences
from bridge.edges import inbox as inboxes
from bridge.edges.inbox import Inbox
from bridge.edges.settings import Config, Environment
from bridge.edges.settings.database_url import store_folder
from bridge.edges.settings.tls import AdminTls, admin_tls, tls_files
from bridge.flows.receiving import Receiving
from bridge.rules.signature import Key, SignatureCheck
from bridge.web.admin import admin_app
from bridge.web.hooks import Hooks
from bridge.web.ops import PublicApp, Readiness
from bridge.web.server import Server, address, listen, server
from bridge.wiring import fitting, preparing
from bridge.wiring.entrance import Entrance
from bridge.wiring.faces import Parts, build_faces
from bridge.wiring.standing import Standing
from bridge.wiring.work import Work

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
        self._environment, self._config = environment, config
        self._tokens = environment.tokens
        self._read = read
        self._setting_files = setting_files
        fitting.check(environment, config)
        self._admin_tls = admin_tls(environment)
        self.public_socket = listen(environment.host, environment.port, "BRIDGE_PORT")
        self.admin_socket = listen(environment.admin_host, environment.admin_port, "BRIDGE_ADMIN_PORT")
        self._lock = inboxes.lock(environment.database_url)
        preparing.migrate(environment)
        preparing.warn_of_keys(config)
        preparing.warn_of_waits(environment)
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
        self._work = Work(environment, config, self._inbox, self._metrics)
        self._build_faces(environment, config)
        self._readiness = Readiness(self._inbox)

    def _build_faces(self, environment: Environment, config: Config) -> None:
        verifiers = {name: source.verifier for name, source in config.sources.items()}
        self._key_sets = KeySets(verifiers=verifiers, metrics=self._metrics)
        self._refusals = RefusalRing(inbox=self._inbox, metrics=self._metrics)
        self._receiving = Receiving(
            sources=config.sources,
            inbox=self._inbox,
            metrics=self._metrics,
            on_accepted=self._work.router.wake,
            is_expected=self._key_sets.is_expected,
            proxies=config.proxies,
            remember=self._refusals.note,
        )
        self._secret_files = SecretFiles(
            files=[*config.files, *self._setting_files, *tls_files(environment)] if self._read else (),
            read=self._read_anew,
            take_over=self._take_over,
            metrics=self._metrics,
        )
        in_use = self._work.mapping.in_use
        self._loaded = Loaded(inbox=self._inbox, keys=self._keys, mapping=in_use, metrics=self._metrics)
        self._standing = Standing(
            environment,
            config,
            self._inbox,
            self._metrics,
            self._work,
            secrets=lambda: self._secret_files.state,
            key_sets=self._key_sets.states,
            keys=self._keys,
            certificate_ends=lambda: self._admin_tls.ends_at if self._admin_tls else None,
        )
        self._entrance = Entrance(environment, config, self._inbox, self._metrics, self._work.mapping)
        self._loops = self._list_loops(environment, verifiers)
        self._beats += [loop.beat for loop in self._loops]

    def _list_loops(self, environment: Environment, verifiers: Mapping[str, SignatureCheck]) -> list[Loop]:
        """Return every loop in the order of starting. A new chore is added here, a new flow in wiring/work.py."""
        inbox, metrics = self._inbox, self._metrics
        lease_seconds, retention = environment.lease_seconds, timedelta(days=environment.retention_days)
        gauges = Gauges(inbox=inbox, metrics=metrics)
        gauges.recall()
        return [
            *self._work.loops,
            *self._standing.loops,
            *self._key_sets.loops,
            self._work.mapping.loop,
            self._secret_files.loop,
            self._entrance.loop,
            self._refusals.loop,
            Deadlines(inbox=inbox, metrics=metrics).loop,
            self._loaded.loop,
            KeyReminders(inbox=inbox, verifiers=verifiers, metrics=metrics).loop,
            Heard(inbox=inbox, metrics=metrics).loop,
            Silences(inbox=inbox, expected=preparing.may_be_silent(self._config), metrics=metrics).loop,
            Retention(inbox=inbox, retention=retention, metrics=metrics).loop,
            gauges.loop,
            self._work.encryption.loop,
            ClockCheck(inbox=inbox, metrics=metrics, lease_seconds=lease_seconds, on_moved=self._work.wake).loop,
        ]

    def run(self) -> NoReturn:
        """Serve until SIGTERM or SIGINT, stop in order, and end the process."""
        import uvloop  # noqa: PLC0415 - not on every platform, and no command but this one needs it

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())
            # Everything is stored and closed by now. The usual end would wait for threads whose call hangs, and take
            # every module apart: 28 s of a pod's 45 on a machine with ten times the work that it can do.
            sys.stderr.flush()
            os._exit(0)

    async def _serve(self) -> None:
        stopping = asyncio.Event()
        preparing.on_signals(stopping)
        public, admin = self._servers()
        recovered = await asyncio.to_thread(self._inbox.recover)
        if recovered:
            _log.info("recovered", under_way=recovered)
        self._inbox.listen(self._work.wake)
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
        preparing.tune_interpreter()
        self._readiness.begin()
        _log.info(
            "ready",
            public=address(self.public_socket),
            admin=address(self.admin_socket, scheme="https" if self._admin_tls else "http"),
            sources=list(self._config.sources),
            airflows=list(self._work.airflows),
            routes=len(self._work.mapping.current().routes),
        )
        self._work.warm_up()

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
            if loop is not self._work.dispatcher.loop:  # which renews the leases of running calls meanwhile
                loop.end()  # at once, so that one whose step hangs does not hold up the others
        for loop in reversed(self._loops):
            loop.stop(deadline - time.monotonic())

    def _close(self) -> None:
        self._work.close()
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
        parts = Parts(
            inbox=self._inbox,
            metrics=self._metrics,
            work=self._work,
            config=lambda: self._config,
            status=self._standing.status,
            max_hops=environment.max_hops,
            here=address(self.public_socket, to_reach=True),
            disk=store_folder(environment.database_url),
        )
        access = self._entrance.access(lambda: self._tokens)
        admin = admin_app(
            build_faces(parts),
            access=access,
            public_url=environment.public_admin_url,
            provider=self._entrance.provider,
            framed_by=environment.framed_by,
        )
        public = PublicApp(hooks=self._hooks, readiness=self._readiness, stalled=self._stalled)
        limits = preparing.bounds(environment)
        return (
            server(public, name="public", bounds=limits, metrics=self._metrics, take=public.take),
            server(admin, name="admin", bounds=limits, metrics=self._metrics, tls=self._tls()),
        )

    def _keys(self) -> Mapping[str, Sequence[Key]]:
        """Return the keys in use, by source."""
        return {name: source.verifier.keys for name, source in self._config.sources.items()}

    def _tls(self) -> Callable[[], ssl.SSLContext] | None:
        """Return what gives the certificate of this moment to the admin listener; None without any."""
        return None if self._admin_tls is None else lambda: cast("AdminTls", self._admin_tls).context

    def _read_anew(self) -> tuple[Environment, Config, AdminTls | None]:
        environment, config = self._read() if self._read else (self._environment, self._config)
        return environment, config, admin_tls(environment)

    def _take_over(self, read: tuple[Environment, Config, AdminTls | None]) -> None:
        """Put other secrets to use; everything else stays as it was at the start."""
        environment, config, self._admin_tls = read
        self._tokens, self._config = environment.tokens, config
        self._key_sets.take_over({name: source.verifier for name, source in config.sources.items()})
        self._receiving.take_over(config.sources)
        self._work.take_over(config)
        self._standing.take_over(config)
        self._entrance.take_over(config)
        self._loaded.loop.wake()

    def _beat_of(self, name: str) -> Beat:
        self._beats.append(Beat(name))
        return self._beats[-1]

    def _stalled(self) -> list[str]:
        """Return the names of the loops that have stopped turning."""
        return [beat.name for beat in self._beats if beat.age_seconds > self._environment.stall_seconds]
