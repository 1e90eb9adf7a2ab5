"""What a seed means: the store, the number of replicas, and which faults happen when. Pure."""

import random
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations


class Kind(StrEnum):
    """A way of breaking things."""

    KILL_REPLICA = "kill_replica"
    FREEZE_REPLICA = "freeze_replica"
    KILL_AIRFLOW = "kill_airflow"
    AIRFLOW_CUT = "airflow_cut"
    AIRFLOW_SLOW = "airflow_slow"
    AIRFLOW_RESET = "airflow_reset"
    ANSWER_DROPPED = "answer_dropped"
    HALF_ANSWER = "half_answer"
    ANSWER_429 = "answer_429"
    ANSWER_502_HTML = "answer_502_html"
    UNKNOWN_SHAPE = "unknown_shape"
    CLOCK_FORWARD = "clock_forward"
    CLOCK_BACKWARD = "clock_backward"
    MAPPING_CHANGED = "mapping_changed"
    DISK_FULL = "disk_full"
    KILL_POSTGRESQL = "kill_postgresql"
    POSTGRESQL_CUT = "postgresql_cut"
    POSTGRESQL_SLOW = "postgresql_slow"


_ONLY_POSTGRESQL = {Kind.KILL_POSTGRESQL, Kind.POSTGRESQL_CUT, Kind.POSTGRESQL_SLOW}
KINDS = {
    "sqlite": [kind for kind in Kind if kind not in _ONLY_POSTGRESQL],
    "postgresql": [kind for kind in Kind if kind is not Kind.DISK_FULL],
}
CLOCKS = frozenset({Kind.CLOCK_FORWARD, Kind.CLOCK_BACKWARD})
LEASE_SECONDS = 1.5
LOAD_SECONDS = 2.5
_FREEZE_SECONDS = 2.0  # with what is drawn, longer than a lease


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: when it begins, how long it lasts, which replica it hits, and one more number to choose by."""

    kind: Kind
    at_seconds: float
    lasts_seconds: float
    replica: int
    choice: float


@dataclass(frozen=True, slots=True)
class Plan:
    """One round; the same seed (and the same stores) always gives the same plan."""

    seed: int
    store: str
    replicas: int
    faults: tuple[Fault, ...]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What will happen, in order."""
        return tuple(fault.kind for fault in self.faults)


def make(seed: int, stores: tuple[str, ...] = ("sqlite", "postgresql")) -> Plan:
    """Return the plan of a seed."""
    mixes = _mixes(stores)
    store, kinds = mixes[seed % len(mixes)]
    draw = random.Random(seed)
    replicas = 1 if store == "sqlite" else draw.randint(1, 3)
    faults = [_fault(kind, draw, replicas) for kind in kinds]
    return Plan(seed, store, replicas, tuple(sorted(faults, key=lambda fault: fault.at_seconds)))


def _mixes(stores: tuple[str, ...]) -> list[tuple[str, tuple[Kind, ...]]]:
    """Every fault alone, then every pair in an order that mixes stores and kinds."""
    alone = [(store, (kind,)) for store in stores for kind in KINDS[store]]
    pairs = [(store, pair) for store in stores for pair in combinations(KINDS[store], 2)]
    random.Random(0).shuffle(pairs)
    return alone + pairs


def _fault(kind: Kind, draw: random.Random, replicas: int) -> Fault:
    lasts = draw.uniform(0.3, 1.5)
    if kind is Kind.FREEZE_REPLICA:
        lasts += _FREEZE_SECONDS
    return Fault(kind, draw.uniform(0.2, 2.0), lasts, draw.randrange(replicas), draw.random())
