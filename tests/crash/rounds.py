"""One round: plan, send while things break, mend, let everything settle, compare."""

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx
import psycopg

from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox
from bridge.flows.verifying import verify
from bridge.rules import verifying
from bridge.words.targets import AirflowAuth, AirflowTarget, Secret
from tests.crash.airflow import read_journal
from tests.crash.clock import library
from tests.crash.faults import FAULTS, Breaking, all_well
from tests.crash.world import PIPELINE, World, world
from tests.support.airflow_server import PostgresServer
from tests.support.service import body, signed

_RATE = 40.0  # webhooks a second
_SENDING_SECONDS = 2.5
_SENDERS = 4
_LEAST_EACH = 5
LEAST = _SENDERS * _LEAST_EACH  # webhooks of a round, however slow the machine is
_SETTLE_SECONDS = 180.0
_RETRY_SECONDS = 0.1
_BEFORE, _CLOCKS = datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=3)
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed stands for."""

    seed: int
    store: str
    replicas: int
    faults: tuple[Breaking, ...]
    moments: tuple[float, ...]  # seconds after the first webhook
    lasting: tuple[float, ...]
    fault: str | None = None  # the one that was asked for

    @property
    def again(self) -> str:
        """Return what runs this round again, whichever way it was chosen."""
        return f"make crash ROUNDS=1 SEED={self.seed} STORE={self.store}" + (
            f" FAULT={self.fault}" if self.fault else ""
        )

    @property
    def is_possible(self) -> bool:
        """Whether this machine has what it takes: clocks are set by libfaketime."""
        return library() is not None or not any(item.sets_clock for item in self.faults)


def plan(seed: int, *, store: str | None = None, fault: str | None = None) -> Plan:
    """Return what is done for a seed: one fault, or two in every other round."""
    random = Random(seed)
    drawn = random.choice(["sqlite", "postgresql"])  # also when it is told, so that what follows is the same
    store = store or drawn
    possible = [item for item in FAULTS.values() if store in item.stores]
    chosen = random.sample(possible, 1 + seed % 2)
    if fault is not None:
        chosen = [FAULTS[fault], *(item for item in chosen[1:] if item.name != fault)]
    replicas = random.randint(1, 3) if store == "postgresql" else 1
    moments = tuple(random.uniform(0.2, _SENDING_SECONDS - 0.5) for _ in chosen)
    return Plan(
        seed, store, replicas, tuple(chosen), moments, tuple(random.uniform(*item.seconds) for item in chosen), fault
    )


@dataclass(slots=True)
class Result:
    """What came of a round; `wrong` is empty when it has passed."""

    plan: Plan
    acknowledged: int = 0
    runs: int = 0
    refused: int = 0
    leases_lost: int = 0  # ends of attempts that another replica had taken over: they hit zero rows
    recovery_seconds: float = 0.0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    off: list[str] = field(default_factory=list)  # what `verify` finds

    @property
    def wrong(self) -> list[str]:
        """Return everything that is not as it should be; what is stuck, with its reason, before what is lost by it."""
        lists = (("doubled", self.doubled), ("stuck", self.stuck), ("lost", self.lost), ("off", self.off))
        return [f"{name}: {what}" for name, found in lists for what in found]


def _ended_at() -> str:
    """Return an instant that no clock which a round sets makes the future, nor too long ago."""
    return (datetime.now(UTC) - timedelta(hours=3)).isoformat()


class Sender:
    """Sends at a set rate, and every event again until it is answered with 2xx, to any of the bridges in turn."""

    def __init__(self, world: World, seed: int) -> None:
        """Send nothing yet."""
        self._world = world
        self._seed = seed
        self._lock = threading.Lock()
        self._count = 0
        self.acknowledged: dict[str, str] = {}
        self.dropped: list[str] = []  # events that got lost on their way
        self.refused = 0
        self._ends_at = 0.0
        self._gives_up_at = 0.0
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(_SENDERS)]

    def start(self) -> None:
        """Begin to send."""
        self._ends_at = time.monotonic() + _SENDING_SECONDS
        self._gives_up_at = self._ends_at + _SETTLE_SECONDS
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Return when every event is answered with 2xx, or it has taken far too long."""
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        count = sent = 0
        with httpx.Client(timeout=5, trust_env=False) as client:
            while time.monotonic() < self._ends_at or sent < _LEAST_EACH:
                began = time.monotonic()
                event = f"evt_{self._seed}_{number}_{count}"
                if not self._is_dropped(event):
                    self._insist(client, event, number + count)
                    sent += 1
                count += 1
                time.sleep(max(0.0, _SENDERS / _RATE - (time.monotonic() - began)))

    def _is_dropped(self, event: str) -> bool:
        """Let the job of an event end at Planasonix, and say whether its webhook gets lost."""
        if self._world.planasonix is None:
            return False
        about = {"id": f"job_{event}", "status": "succeeded", "pipeline_id": PIPELINE, "finished_at": _ended_at()}
        with self._lock:
            self._world.planasonix.jobs[f"job_{event}"] = about
            self.dropped += [event] if self._world.drops_webhooks else []
        return event in self.dropped

    def _insist(self, client: httpx.Client, event: str, turn: int) -> None:
        payload = body(event=event)
        while time.monotonic() < self._gives_up_at:
            bridge = self._world.bridges[turn % len(self._world.bridges)]
            turn += 1
            if self._send(client, f"http://127.0.0.1:{bridge.port}/hooks/planasonix", event, payload):
                return
            time.sleep(_RETRY_SECONDS)

    def _send(self, client: httpx.Client, url: str, event: str, payload: bytes) -> bool:
        try:
            answer = client.post(url, content=payload, headers=signed(payload, at=int(self._world.clock.now())))
        except httpx.TransportError:
            answer = None
        with self._lock:
            if answer is not None and answer.is_success:
                self.acknowledged[event] = answer.json()["delivery_id"]
                return True
            self.refused += 1
        return False


def run(made: Plan, folder: Path, postgres: PostgresServer | None) -> Result:
    """Run one round in an empty folder; `postgres` is this round's alone meanwhile."""
    result = Result(made)
    shared = postgres if made.store == "postgresql" else None
    fakes_time = any(item.sets_clock for item in made.faults)
    database = f"round_{made.seed}"
    reconciles = any(item.reconciles for item in made.faults)
    with world(
        folder,
        replicas=made.replicas,
        postgres=shared,
        database=database,
        fakes_time=fakes_time,
        reconciles=reconciles,
    ) as about:
        sender = Sender(about, made.seed)
        sender.start()
        mended_at = _break_and_mend(about, made)
        all_well(about)
        sender.join()
        settled_at = _settle(about, database, sender)
        result.recovery_seconds = max(0.0, settled_at - mended_at)
        result.refused = sender.refused
        result.leases_lost = sum(bridge.log.count('"lease_lost"') for bridge in about.bridges)
        kept = stored(about, database)
        compare(result, sender.acknowledged, kept, read_journal(about.airflow.journal), dropped=sender.dropped)
        judge(result, f"http://127.0.0.1:{about.airflow.port}", about.store_url)
    if shared is not None:
        shared.drop_database(database)
    return result


def _break_and_mend(about: World, made: Plan) -> float:
    """Do what the plan says at its moments; returns when the last thing was mended."""
    random = Random(made.seed)
    began = time.monotonic()
    steps = [
        *((at, item, True) for at, item in zip(made.moments, made.faults, strict=True)),
        *((at + s, item, False) for at, s, item in zip(made.moments, made.lasting, made.faults, strict=True)),
    ]
    for at, item, is_break in sorted(steps, key=lambda step: step[0]):
        time.sleep(max(0.0, began + at - time.monotonic()))
        if is_break:
            item.breaks(about, random)
        else:
            item.mends(about)
    return time.monotonic()


@dataclass(frozen=True, slots=True)
class Stored:
    """The store's own word. Deliveries by id: event id (None: reconciled) and state; triggers: id, delivery, DAG, run,
    state, reason.
    """

    deliveries: dict[int, tuple[str | None, str]]
    triggers: list[Row]
    ends: Mapping[int, int] = field(default_factory=dict)  # by trigger, how many attempts have started its run

    def has_run(self, event: str) -> bool:
        """Whether the completion that an event tells of has fired its run, whichever delivery told of it."""
        name = f"planasonix__job_{event}__succeeded__one"
        return any(item[2:5] == ("load_orders", name, "fired") for item in self.triggers)

    def waiting(self) -> list[str]:
        """Return what is not settled."""
        ended = ("fired", "cancelled")
        return [
            *(f"delivery of {event} is {state}" for event, state in self.deliveries.values() if state == "received"),
            *(f"trigger of {item[3]} is {item[4]} ({item[5]})" for item in self.triggers if item[4] not in ended),
        ]


def stored(about: World, database: str) -> Stored:
    """Read the store beside the bridges."""
    if about.postgres is not None:
        with psycopg.connect(about.postgres.url(database)) as connection:
            return _read(lambda statement: connection.execute(statement.encode()).fetchall())
    file = (about.disk or about.folder) / "bridge.db"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=120)) as connection:
        return _read(lambda statement: connection.execute(statement).fetchall())


def _read(ask: Callable[[str], list[Row]]) -> Stored:
    deliveries = {row[0]: (row[1], row[2]) for row in ask("SELECT id, event_id, state FROM deliveries")}
    triggers = ask("SELECT id, delivery_id, dag_id, dag_run_id, state, reason FROM triggers")
    ends = ask("SELECT trigger_id FROM attempts WHERE outcome IN ('started', 'already_there')")
    return Stored(deliveries, triggers, Counter(row[0] for row in ends))


def _settle(about: World, database: str, sender: Sender) -> float:
    """Return when nothing waits any more, or when it has taken too long."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        now = stored(about, database)
        are_found = all(now.has_run(event) for event in sender.dropped)
        if not now.waiting() and len(now.deliveries) >= len(sender.acknowledged) and are_found:
            return time.monotonic()
        time.sleep(0.1)
    return time.monotonic()


def compare(
    result: Result,
    acknowledged: Mapping[str, str],
    kept: Stored,
    runs: Sequence[Mapping[str, Any]],
    dropped: Sequence[str] = (),
) -> None:
    """Put into `result` everything in which the three lists do not agree; what was `dropped` has its run as well."""
    result.acknowledged, result.runs = len(acknowledged), len(runs)
    result.stuck = kept.waiting()
    aside = {event for event, state in kept.deliveries.values() if state == "stale"}
    by_event = Counter(event for event, state in kept.deliveries.values() if state != "stale" and event is not None)
    result.doubled += [f"{event} is stored {count} times" for event, count in by_event.items() if count > 1]
    gone = [event for event in acknowledged if not by_event[event] and event not in aside]
    result.lost += [f"{event} was answered 2xx and is not stored" for event in gone]
    asked = Counter((run["dag_id"], run["dag_run_id"]) for run in runs)
    wanted = Counter((item[2], item[3]) for item in kept.triggers if item[4] != "cancelled")
    result.doubled += [f"{dag} has {run} {count} times too often" for (dag, run), count in (asked - wanted).items()]
    result.lost += [f"{dag} has no {run}" for dag, run in wanted - asked]
    # Whoever lost the lease writes nothing, so one attempt and no more has ended each trigger.
    result.doubled += [f"trigger {item} was settled {times} times" for item, times in kept.ends.items() if times > 1]
    # The clock may be set between signing and verifying: such a webhook is kept aside, in sight. Each time that can
    # happen to one webhook of each sender.
    stale = {event for event in acknowledged if event in aside and not by_event[event]}
    if len(stale) > _SENDERS * sum(item.sets_clock for item in result.plan.faults):
        result.lost += [f"{event} was kept aside as stale" for event in sorted(stale)]
    expected = [event for event in acknowledged if event not in stale]
    have = {kept.deliveries[item[1]][0] for item in kept.triggers if item[2] == "load_orders" and item[4] == "fired"}
    without = [event for event in expected if event not in have and not kept.has_run(event)]
    result.lost += [f"{event} was answered 2xx and has no run" for event in without]
    result.lost += [f"{event} got lost on its way and has no run" for event in dropped if not kept.has_run(event)]


def judge(result: Result, airflow_url: str, store_url: str) -> None:
    """Put into `result` what `verify` finds: the bridge's own judge, by the store and by what Airflow answers.

    The time begins before any clock that a round may set. What waits is stuck by now, and `stuck` tells of it.
    """
    airflow = Airflow(AirflowTarget("default", airflow_url, AirflowAuth(Secret("bridge"), Secret("bridge-password"))))
    inbox = Inbox(store_url)
    try:
        dags = {"default": ["load_orders", "refresh_marts"]}
        report = verify(inbox, {"default": airflow}, since=_BEFORE, now=datetime.now(UTC) + _CLOCKS, dags=dags)
    finally:
        inbox.close()
        airflow.close()
    result.off += [f"{item.result}: {item.dag_run_id or item.delivery_id}: {item.detail}" for item in report.findings]
    result.off += [f"{name} could not be asked: {why}" for name, why in report.unasked.items()]
    if report.results[verifying.Result.OK] < result.runs:
        result.off.append(f"verify has seen {dict(report.results)}, and there are {result.runs} runs")
