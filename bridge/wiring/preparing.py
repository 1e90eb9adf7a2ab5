"""What is looked at, said and built before a service runs, and how a signal stops it."""

import asyncio
import gc
import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta

import structlog

from bridge.edges import inbox
from bridge.edges.inbox import Inbox
from bridge.edges.inbox.engine import stores
from bridge.edges.metrics import Metrics
from bridge.edges.settings import Config, Environment
from bridge.rules.signature import advise
from bridge.web.queries import MOST_BYTES
from bridge.web.server import Bounds
from bridge.words.errors import ConfigError, Problem

_log = structlog.get_logger("bridge")
# All requests that are not complete may hold so much; what is sent in chunks of one byte is six times as long.
_UNFINISHED_BYTES = 8_388_608
_UNFINISHED_BODIES = 4
_WITH_CHUNKS = 6
_CLOCK_BEHIND = timedelta(days=1)
# Sweeping generation 0 every 700 objects cost the hot path its tail: p99 18 -> 11 ms with these.
_GC_THRESHOLDS = (50_000, 20, 50)
# A thread that computes keeps the interpreter for so long while others wait; Python's usual 5 ms are paid at each
# statement of a commit. Pages asked for without a pause made the p99 of an ack nine times as long with 5 ms, and four
# times with 0.5 (bench `pages`).
_TURN_SECONDS = 0.0005


def migrate(environment: Environment) -> None:
    """Bring the store's schema up to date."""
    before, after = inbox.prepare(environment.database_url, password=environment.database_password)
    if before != after:
        _log.info("migrated", before=before, after=after)


def bounds(environment: Environment) -> Bounds:
    """Return what a stranger may cost, per listener."""
    body = max(environment.max_body_bytes, MOST_BYTES)
    return Bounds(
        head_bytes=environment.max_head_bytes,
        headers=environment.max_headers,
        head_seconds=environment.head_seconds,
        idle_seconds=environment.idle_seconds,
        connections=environment.max_connections,
        message_bytes=_WITH_CHUNKS * body + environment.max_head_bytes,
        unfinished_bytes=max(_UNFINISHED_BYTES, _UNFINISHED_BODIES * environment.max_body_bytes),
    )


def check_clock(inbox: Inbox, environment: Environment) -> None:
    """Refuse to start when the clock is more than a day behind the store's newest webhook.

    Ids grow with time and never go back: with a wrong clock, retention, look-ups by time and every age would be wrong.
    """
    now = datetime.now(UTC)
    if environment.allow_clock_behind or inbox.newest_at is None or inbox.newest_at - now <= _CLOCK_BEHIND:
        return
    what = (
        f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, but the store's newest webhook is of"
        f" {inbox.newest_at:%Y-%m-%d %H:%M}; set the clock right. If it is right, and was wrong when that webhook came,"
        " set BRIDGE_ALLOW_CLOCK_BEHIND=true: everything works but that new webhooks count as received at that time"
        " for retention and for filters by time"
    )
    raise ConfigError([Problem("BRIDGE_ALLOW_CLOCK_BEHIND", 0, 0, what)])


def on_signals(stopping: asyncio.Event) -> None:
    """First SIGTERM or SIGINT: stop in order. Second: stop at once; nothing durable is lost by that."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if stopping.is_set():
            os._exit(1)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def tune_interpreter() -> None:
    """Leave what was built alone in every sweep of the garbage collector, sweep less often, and switch threads soon."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    sys.setswitchinterval(_TURN_SECONDS)


def warn_of_keys(config: Config) -> None:
    """Say loudly at start what is weak or out of its time."""
    for name, source in config.sources.items():
        for said in advise(source.verifier, time.time()):
            _log.warning("keys", source=name, detail=said)


def warn_of_waits(environment: Environment) -> None:
    """Say at start that a store which hangs for a while would get the bridge killed: a restart does not help then."""
    seconds = stores.longest_seconds(environment.database_url)
    if seconds >= environment.stall_seconds:
        _log.warning(
            "stall_seconds_short",
            stall_seconds=environment.stall_seconds,
            store_seconds=seconds,
            next_step=f"raise BRIDGE_STALL_SECONDS above {seconds:g}: a store that hangs may take so long, and `/livez`"
            " would be red meanwhile, though no restart helps",
        )


def metrics_of(config: Config) -> Metrics:
    """Return the metrics with every series that this configuration will have."""
    keys = {name: source.key_ids for name, source in config.sources.items()}
    metrics = Metrics(keys_by_source=keys, airflows=config.airflows)
    for name, source in config.sources.items():
        for key in source.verifier.keys:
            metrics.observe_key(name, key.id, expires_at=key.not_after)
            if key.jwks:
                metrics.expect_key_set(name, key.id)
    return metrics


def may_be_silent(config: Config) -> dict[str, float]:
    """Return for how many seconds each source may be silent; those without a limit are left out."""
    found = {name: source.silent_after_seconds for name, source in config.sources.items()}
    return {name: seconds for name, seconds in found.items() if seconds is not None}
