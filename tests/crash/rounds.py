"""One round: load, faults, recovery, comparison."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.airflow_server.postgres import PostgresServer
from tests.crash.audit import Audit, compare, waiting
from tests.crash.faults import during
from tests.crash.plans import CLOCKS, Kind, Plan
from tests.crash.sending import Sender
from tests.crash.system import System

_RECOVERY_SECONDS = 75.0
_SURELY_RELOADED_SECONDS = 3.0
_SAMPLE = 5


@dataclass(slots=True)
class Result:
    """How a round went."""

    plan: Plan
    audit: Audit = field(default_factory=Audit)
    recovery_seconds: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    leases_lost: int = 0  # writes of a replica that another one had taken over, which hit zero rows
    disk: str = ""
    logs: str = ""


def run(plan: Plan, postgres: PostgresServer | None) -> Result:
    """Do one round."""
    result = Result(plan)
    with System(plan, postgres) as system:
        sender = Sender(system)
        try:
            _break_things(system, sender, result)
            _copies(system, sender, result)
        finally:
            sender.close()
        result.logs = "".join(replica.bridge.log for replica in system.replicas)
        result.leases_lost = result.logs.count('"lease_lost"')
        if Kind.DISK_FULL in plan.kinds:
            result.disk = "tmpfs" if system.is_mounted else "RLIMIT_FSIZE"
    return result


def _break_things(system: System, sender: Sender, result: Result) -> None:
    began = time.monotonic()
    steps = _timeline(system, sender)
    sender.begin()
    changed_at = float("inf")
    for at_seconds, kind, step in steps:
        time.sleep(max(0.0, began + at_seconds - time.monotonic()))
        step()
        if kind is Kind.MAPPING_CHANGED:
            changed_at = min(changed_at, time.monotonic())
    sender.end()
    healed_at = time.monotonic()
    deadline = healed_at + _RECOVERY_SECONDS
    while time.monotonic() < deadline:
        system.supervise()
        if _is_quiet(system):
            break
        time.sleep(0.05)
    result.recovery_seconds = time.monotonic() - healed_at
    may_be: list[list[str]] = [["first"]]
    must_be: dict[str, list[str]] = {}
    if Kind.MAPPING_CHANGED in system.plan.kinds:
        may_be.append(["first", "second"])
        surely = changed_at + _SURELY_RELOADED_SECONDS
        must_be = {event: ["first", "second"] for event, at in sender.acknowledged_at.items() if at > surely}
    result.audit = compare(system, sender.acknowledged, may_be=may_be, must_be=must_be)
    result.answers = sender.answers
    if odd := set(sender.answers) - {"202", "200", "503", "none"}:
        result.audit.faults.append(f"webhooks were answered {odd}")
    if not sender.acknowledged:
        result.audit.faults.append("nothing was acknowledged at all")


def _is_quiet(system: System) -> bool:
    return waiting(system) == 0 and all(replica.bridge.is_ready() for replica in system.replicas)


def _timeline(system: System, sender: Sender) -> list[tuple[float, Kind, Callable[[], None]]]:
    """When which fault begins and ends."""
    steps: list[tuple[float, Kind, Callable[[], None]]] = []
    for fault in system.plan.faults:
        context = during(fault, system)

        def begin(context: contextlib.AbstractContextManager[None] = context, kind: Kind = fault.kind) -> None:
            if kind not in CLOCKS:
                context.__enter__()
                return
            with sender.clocks:
                sender.wait_until_nothing_is_under_way()
                context.__enter__()

        def end(context: contextlib.AbstractContextManager[None] = context) -> None:
            context.__exit__(None, None, None)

        steps += [(fault.at_seconds, fault.kind, begin), (fault.at_seconds + fault.lasts_seconds, fault.kind, end)]
    return sorted(steps, key=lambda step: step[0])


def _copies(system: System, sender: Sender, result: Result) -> None:
    """Send some acknowledged webhooks again: they are known, under the same id, and start nothing."""
    for number, (event, delivery_id) in enumerate(list(sender.acknowledged.items())[-_SAMPLE:]):
        answer = sender.post(event, number)
        if answer is None or (answer.status_code, answer.json().get("delivery_id")) != (200, delivery_id):
            told = None if answer is None else (answer.status_code, answer.text)
            result.audit.faults.append(f"a copy of {event} ({delivery_id}) was answered {told}")
