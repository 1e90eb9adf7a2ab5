"""What the store says of itself, in numbers: what waits in it and how old it is, and how much room there is."""

import math
from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import product

from bridge.edges.metrics import labels
from bridge.edges.metrics.making import Making
from bridge.words.backlog import Waiting
from bridge.words.model import DeliveryState, TriggerState

_OF_THE_STORE = " Of the store."


class StoreMetrics:
    """The metrics of the store; a source or an Airflow that is no longer configured has the empty label."""

    def __init__(self, making: Making, sources: Collection[str], airflows: Collection[str]) -> None:
        """Create every child that the configuration determines."""
        self._sources, self._airflows = tuple(sources), tuple(airflows)
        where = ("state", "source", "airflow")
        self.waiting = making.gauge("waiting", "Deliveries and triggers that wait." + _OF_THE_STORE, *where)
        self.oldest_seconds = making.gauge(
            "oldest_waiting_seconds", "Age of the oldest that waits and is not paused." + _OF_THE_STORE, *where
        )
        self.held = making.gauge("held", "Triggers that wait for a cause to pass." + _OF_THE_STORE, "reason")
        self.read_at = making.gauge("store_read_timestamp_seconds", "When what waits was last read from the store.")
        self.bytes = making.gauge("store_bytes", "Size of the store." + _OF_THE_STORE)
        self.disk_free = making.gauge(
            "store_disk_free_bytes", "Room left on a SQLite store's volume; NaN for PostgreSQL." + _OF_THE_STORE
        )
        self.disk_size = making.gauge(
            "store_disk_size_bytes", "Size of a SQLite store's volume; NaN for PostgreSQL." + _OF_THE_STORE
        )
        for unknown in (self.bytes, self.disk_free, self.disk_size):
            unknown.set(math.nan)
        self._observe_waiting([])

    def observe_backlog(self, waiting: Iterable[Waiting], now: datetime) -> None:
        """Take over what the store says of what waits."""
        self._observe_waiting(waiting, now)
        self.read_at.set(now.timestamp())

    def _observe_waiting(self, waiting: Iterable[Waiting], now: datetime | None = None) -> None:
        received = product([DeliveryState.RECEIVED], self._sources, [""])
        states = (TriggerState.PENDING, TriggerState.HELD, TriggerState.FIRING)
        amounts: dict[tuple[str, str, str], int] = dict.fromkeys(
            [*received, *product(states, [""], ["", *self._airflows])], 0
        )
        ages = dict.fromkeys(amounts, 0.0)
        held = dict.fromkeys(map(str, labels.HELD), 0)
        for item in waiting:
            # A name that is no longer configured becomes the empty label: labels stay a closed set.
            source = item.source if item.source in self._sources else ""
            place = (str(item.state), source, item.airflow if item.airflow in self._airflows else "")
            amounts[place] = amounts.get(place, 0) + item.amount
            if now is not None and not item.is_meant:
                ages[place] = max(ages.get(place, 0.0), (now - item.oldest_at).total_seconds())
            if item.state is TriggerState.HELD and item.reason:
                held[str(item.reason)] = held.get(str(item.reason), 0) + item.amount
        for place, amount in amounts.items():
            self.waiting.labels(*place).set(amount)
            self.oldest_seconds.labels(*place).set(ages[place])
        for reason, amount in held.items():
            self.held.labels(reason).set(amount)

    def observe_size(self, size: int, disk: tuple[int, int] | None) -> None:
        """Take over how large the store is; `disk` is what its volume has free and in all, None if nobody knows."""
        self.bytes.set(size)
        if disk is not None:
            self.disk_free.set(disk[0])
            self.disk_size.set(disk[1])
