"""What may break: each fault breaks something of a world, and mends it again.

`breaks` may return at once or last for a moment; `mends` leaves everything as it was before, except what a fault is
about (runs that were made, a clock that was set).
"""

import contextlib
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import psycopg

from tests.crash.world import LEASE_SECONDS, START_SECONDS, WIDER_MAPPING, World
from tests.support.fault_proxy import BAD_GATEWAY, Answer, Delay, DropAnswer, Fault, HalfAnswer, Reset
from tests.support.reader import reader, write_next_release
from tests.support.service import BridgeProcess, wait_for

_HOUR = 3600
_UNKNOWN = Answer(200, b'{"it": "is something else"}', {"Content-Type": "application/json"})
_THROTTLED = Answer(429, b'{"detail": "slow down"}', {"Content-Type": "application/json", "Retry-After": "1"})
_RUNS = "/dagRuns"
_CANNOT_START = (1, 2)  # how a process ends whose store is away, or that cannot use its configuration
_STORES = ("sqlite", "postgresql")


@dataclass(frozen=True, slots=True)
class Breaking:
    """One kind of fault. `seconds`: how long it lasts, from and to."""

    name: str
    breaks: Callable[[World, Random], None]
    mends: Callable[[World], None]
    stores: tuple[str, ...] = _STORES
    seconds: tuple[float, float] = (0.2, 1.5)
    sets_clock: bool = False
    reconciles: bool = False  # the bridges ask Planasonix which jobs have ended


def _nothing(_: World) -> None:
    """Nothing to mend."""


def _kill_bridge(world: World, random: Random) -> None:
    random.choice(world.bridges).process.kill()


def _start_bridges(world: World) -> None:
    for bridge in world.bridges:
        if not bridge.process.is_running:
            bridge.process.start()


def _freeze_bridge(world: World, random: Random) -> None:
    bridge = random.choice(world.bridges)
    if bridge.process.is_running:
        os.kill(bridge.process.pid, signal.SIGSTOP)


def _thaw_bridges(world: World) -> None:
    for bridge in world.bridges:
        if bridge.process.is_running:
            os.kill(bridge.process.pid, signal.SIGCONT)


def _kill_airflow(world: World, _: Random) -> None:
    world.airflow.process.kill()


def _start_airflow(world: World) -> None:
    world.airflow.start()


def _kill_postgres(world: World, _: Random) -> None:
    assert world.postgres is not None
    world.postgres.kill()


def _start_postgres(world: World) -> None:
    assert world.postgres is not None
    world.postgres.start()


def _cut_postgres(world: World, _: Random) -> None:
    assert world.way_to_postgres is not None
    world.way_to_postgres.cut()


def _restore_postgres(world: World) -> None:
    assert world.way_to_postgres is not None
    world.way_to_postgres.delay_seconds = 0.0
    world.way_to_postgres.restore()


def _slow_postgres(world: World, random: Random) -> None:
    assert world.way_to_postgres is not None
    world.way_to_postgres.delay_seconds = random.uniform(0.02, 0.2)


def _cut_airflow(world: World, _: Random) -> None:
    world.way_to_airflow.cut()


def _restore_airflow(world: World) -> None:
    world.way_to_airflow.restore()


def _some(fault: Fault) -> Callable[[World, Random], None]:
    """Some of the next calls go wrong in one way."""

    def breaks(world: World, random: Random) -> None:
        world.way_to_airflow.fail_next(fault, method="POST", path=_RUNS, times=random.randint(1, 12))

    return breaks


def _poison(world: World, random: Random) -> None:
    """Something in front of Airflow answers in its place whatever a tenth of the events ask for, again and again."""
    page = {"Content-Type": "text/html"}
    answers = (Answer(200, b"<html>", page), Answer(403, b"<html>", page), Answer(302, b"", page), _UNKNOWN, _THROTTLED)
    tenth = rb'"event_id": ?"evt_[0-9_]*%d"' % random.randrange(10)
    world.way_to_airflow.fail_next(random.choice(answers), method="POST", path=_RUNS, body=tenth, times=1_000_000)


def _end_outage_after_an_hour(world: World) -> None:
    """The clock says that an hour has passed, longer than `max_age`; and the first calls are lost."""
    world.clock.set(world.clock.offset_seconds + _HOUR)
    world.way_to_airflow.fail_next(Reset(), method="POST", path=_RUNS, times=4)
    world.way_to_airflow.restore()


def _heal(world: World) -> None:
    world.way_to_airflow.heal()


def _fill_disk(world: World, _: Random) -> None:
    """Leave no byte on the store's disk; where none could be mounted, forbid the process to let a file grow."""
    if world.disk is None:
        (bridge,) = world.bridges
        if bridge.process.is_running:
            resource.prlimit(bridge.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        return
    with (world.disk / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            return


def _free_disk(world: World) -> None:
    if world.disk is None:
        (bridge,) = world.bridges
        if bridge.process.is_running:
            resource.prlimit(bridge.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        return
    (world.disk / "filler").unlink(missing_ok=True)


def _set_clock(seconds: int) -> Callable[[World, Random], None]:
    def breaks(world: World, _: Random) -> None:
        world.clock.set(world.clock.offset_seconds + seconds)

    return breaks


def _write_mapping(world: World) -> None:
    for bridge in world.bridges:
        bridge.write_mapping(WIDER_MAPPING)


def _half_write_mapping(world: World, random: Random) -> None:
    """Write the mapping piece by piece, as a slow generator does, and stop somewhere before its end."""
    end = random.randrange(len(WIDER_MAPPING))
    for length in (*sorted(random.randrange(end + 1) for _ in range(5)), end):
        for bridge in world.bridges:
            (bridge.folder / "mapping.yaml").write_text(WIDER_MAPPING[:length])


def _hold_readers_lock(world: World, _: Random) -> None:
    """Read the store as a dump does, in a transaction that stays open; a server that is away has no readers."""
    with contextlib.suppress(psycopg.OperationalError):
        world.readers.enter_context(reader(world.store_url))


def _upgrade_beside_reader(world: World, random: Random) -> None:
    """Kill a bridge and start it as the next release, which has a migration to make, while somebody reads."""
    _hold_readers_lock(world, random)
    bridge = random.choice(world.bridges)
    bridge.process.kill()
    bridge.use_release(write_next_release(world.folder / "next-release"))
    bridge.process.start()


def _drop_webhooks(world: World, _: Random) -> None:
    """Whatever is sent gets lost at the sender; Planasonix knows the jobs, and the reconciler has to find them."""
    world.drops_webhooks = True


def _deliver_webhooks(world: World) -> None:
    world.drops_webhooks = False


def _end_readers(world: World) -> None:
    world.readers.close()


FAULTS: dict[str, Breaking] = {
    item.name: item
    for item in (
        Breaking("kill_bridge", _kill_bridge, _start_bridges),
        Breaking("freeze_bridge", _freeze_bridge, _thaw_bridges, seconds=(1.5 * LEASE_SECONDS, 3 * LEASE_SECONDS)),
        Breaking("kill_airflow", _kill_airflow, _start_airflow),
        Breaking("kill_postgresql", _kill_postgres, _start_postgres, stores=("postgresql",)),
        Breaking("cut_postgresql", _cut_postgres, _restore_postgres, stores=("postgresql",)),
        Breaking("slow_postgresql", _slow_postgres, _restore_postgres, stores=("postgresql",)),
        Breaking("cut_airflow", _cut_airflow, _restore_airflow),
        Breaking("poisoned_answer", _poison, _heal),
        Breaking("outage_of_an_hour", _cut_airflow, _end_outage_after_an_hour, sets_clock=True),
        Breaking("slow_airflow", _some(Delay(1.0)), _heal),
        Breaking("late_answer", _some(Delay(4.0, after_acting=True)), _heal),
        Breaking("reset_airflow", _some(Reset()), _heal),
        Breaking("reset_after_acting", _some(Reset(after_acting=True)), _heal),
        Breaking("answer_dropped", _some(DropAnswer()), _heal),
        Breaking("half_answer", _some(HalfAnswer()), _heal),
        Breaking("throttled", _some(_THROTTLED), _heal),
        Breaking("bad_gateway", _some(BAD_GATEWAY), _heal),
        Breaking("unknown_shape", _some(_UNKNOWN), _heal),
        Breaking("disk_full", _fill_disk, _free_disk, stores=("sqlite",)),
        Breaking("clock_forward", _set_clock(_HOUR), _nothing, sets_clock=True),
        Breaking("clock_back", _set_clock(-_HOUR), _nothing, sets_clock=True),
        Breaking("mapping_changed", lambda world, _: _write_mapping(world), _nothing),
        Breaking("mapping_half_written", _half_write_mapping, _write_mapping),
        Breaking("dropped_webhook", _drop_webhooks, _deliver_webhooks, reconciles=True),
        Breaking("readers_lock", _hold_readers_lock, _end_readers, seconds=(1.5, 4.0)),
        Breaking("readers_lock_at_upgrade", _upgrade_beside_reader, _end_readers, seconds=(4.0, 10.0)),
    )
}


def all_well(world: World) -> None:
    """Return when every bridge is ready again; AssertionError with the end of the log if one is not."""
    for bridge in world.bridges:
        wait_for(
            lambda bridge=bridge: _is_ready(bridge),
            seconds=START_SECONDS,
            what=lambda bridge=bridge: f"ready; {bridge.process.tail()}",
        )


def _is_ready(bridge: BridgeProcess) -> bool:
    """Start a bridge again that met a half-written mapping or no store when it began, as whoever supervises it does.

    One that ended by a mistake of its own stays as it is: it ends with 1 as well, and offers its traceback.
    """
    if bridge.process.exit_code in _CANNOT_START and "for the traceback" not in bridge.log:
        bridge.process.start()
    return bridge.is_ready()
