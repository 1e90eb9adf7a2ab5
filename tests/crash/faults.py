"""How each fault is done and undone. A fault is a context: it begins on entering, and is over on leaving."""

import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from tests.crash.plans import Fault, Kind
from tests.crash.system import ROUTE, SECOND_ROUTE, System
from tests.fault_proxy import BAD_GATEWAY, Answer, Delay, DropAnswer, HalfAnswer, Reset
from tests.fault_proxy import Fault as HttpFault

_HOUR = 3600
_MANY = 1_000_000


def during(fault: Fault, system: System) -> AbstractContextManager[None]:
    """Return the fault as a context."""
    if fault.kind in _ANSWERS:
        return _answers(system, _ANSWERS[fault.kind](fault.choice >= 0.5), fault.choice)
    return _OTHERS[fault.kind](system, fault)


def _shape(after_acting: bool) -> HttpFault:
    body = json.dumps({"runs": ["what is this"], "api": 4}).encode()
    return Answer(200, body, {"Content-Type": "application/json"}, after_acting=after_acting)


def _throttle(after_acting: bool) -> HttpFault:
    return Answer(429, b"slow down", {"Content-Type": "text/plain", "Retry-After": "1"}, after_acting=after_acting)


_ANSWERS: dict[Kind, Callable[[bool], HttpFault]] = {
    Kind.AIRFLOW_SLOW: lambda after: Delay(0.7, after_acting=after),
    Kind.AIRFLOW_RESET: lambda after: Reset(after_acting=after),
    Kind.ANSWER_DROPPED: lambda _: DropAnswer(),
    Kind.HALF_ANSWER: lambda _: HalfAnswer(),
    Kind.ANSWER_429: _throttle,
    Kind.ANSWER_502_HTML: lambda after: Answer(502, BAD_GATEWAY.body, BAD_GATEWAY.headers, after_acting=after),
    Kind.UNKNOWN_SHAPE: _shape,
}


@contextlib.contextmanager
def _answers(system: System, trouble: HttpFault, choice: float) -> Iterator[None]:
    """Every request is hit, or only those that start runs."""
    every = 0.25 <= choice < 0.75
    system.airflow.fail_next(trouble, method=None if every else "POST", path="" if every else "/dagRuns", times=_MANY)
    yield
    system.airflow.heal()


@contextlib.contextmanager
def _kill_replica(system: System, fault: Fault) -> Iterator[None]:
    system.replicas[fault.replica].kill()
    yield
    system.replicas[fault.replica].revive()


@contextlib.contextmanager
def _freeze_replica(system: System, fault: Fault) -> Iterator[None]:
    replica = system.replicas[fault.replica]
    with contextlib.suppress(ProcessLookupError):
        replica.signal(signal.SIGSTOP)
    yield
    with contextlib.suppress(ProcessLookupError):
        replica.signal(signal.SIGCONT)


@contextlib.contextmanager
def _kill_airflow(system: System, _: Fault) -> Iterator[None]:
    system.standin.kill()
    yield
    system.restart_airflow()


@contextlib.contextmanager
def _cut_airflow(system: System, _: Fault) -> Iterator[None]:
    system.airflow.cut()
    yield
    system.airflow.restore()


@contextlib.contextmanager
def _move_clocks(system: System, fault: Fault) -> Iterator[None]:
    """Of every replica, or of one alone; for good."""
    ahead = _HOUR if fault.kind is Kind.CLOCK_FORWARD else -_HOUR
    for replica in system.replicas if fault.choice < 0.5 else [system.replicas[fault.replica]]:
        replica.move_clock(ahead)
    yield


@contextlib.contextmanager
def _change_mapping(system: System, _: Fault) -> Iterator[None]:
    for replica in system.replicas:
        replica.bridge.write_mapping(ROUTE + SECOND_ROUTE)
    yield


@contextlib.contextmanager
def _fill_disk(system: System, _: Fault) -> Iterator[None]:
    system.fill_disk()
    yield
    system.free_disk()


@contextlib.contextmanager
def _kill_postgresql(system: System, _: Fault) -> Iterator[None]:
    assert system.postgres is not None
    system.postgres.kill()
    yield
    system.postgres.start()


@contextlib.contextmanager
def _cut_postgresql(system: System, _: Fault) -> Iterator[None]:
    assert system.way_to_postgres is not None
    system.way_to_postgres.cut()
    yield
    system.way_to_postgres.restore()


@contextlib.contextmanager
def _slow_postgresql(system: System, fault: Fault) -> Iterator[None]:
    assert system.way_to_postgres is not None
    system.way_to_postgres.slow(0.05 + fault.choice / 2)
    yield
    system.way_to_postgres.slow(0.0)


_OTHERS: dict[Kind, Callable[[System, Fault], AbstractContextManager[None]]] = {
    Kind.KILL_REPLICA: _kill_replica,
    Kind.FREEZE_REPLICA: _freeze_replica,
    Kind.KILL_AIRFLOW: _kill_airflow,
    Kind.AIRFLOW_CUT: _cut_airflow,
    Kind.CLOCK_FORWARD: _move_clocks,
    Kind.CLOCK_BACKWARD: _move_clocks,
    Kind.MAPPING_CHANGED: _change_mapping,
    Kind.DISK_FULL: _fill_disk,
    Kind.KILL_POSTGRESQL: _kill_postgresql,
    Kind.POSTGRESQL_CUT: _cut_postgresql,
    Kind.POSTGRESQL_SLOW: _slow_postgresql,
}
