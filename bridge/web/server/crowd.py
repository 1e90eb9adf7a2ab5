"""Who is connected, and who gives way when there is no room: bookkeeping only, no sockets.

A stranger may open connections as fast as they like, so a full house must not keep honest senders out: whoever has
waited longest for the rest of their own request gives way to the newcomer, and among addresses the one with most
of them. A request that has arrived completely never gives way.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection may cost, and how many there may be."""

    head_bytes: int
    headers: int
    head_seconds: float
    idle_seconds: float
    connections: int
    message_bytes: int  # a request as it travels, with what chunks add
    unfinished_bytes: int  # of all requests together that are not complete


class Guest(Protocol):
    """One connection."""

    address: str

    def give_way(self, reason: str) -> None:
        """Close now; `leave` follows."""


class Crowd:
    """The connections of one listener: at most `limit` of them, holding `most_bytes` of unfinished requests."""

    def __init__(self, *, limit: int, most_bytes: int) -> None:
        """Both limits hold after every call."""
        self._limit = limit
        self._most_bytes = most_bytes
        self._waiting: dict[str, dict[Guest, None]] = {}  # by address, who has waited longest first
        self._bytes: dict[Guest, int] = {}  # of unfinished requests, the most silent first
        self._all_bytes = 0
        self._gone: set[Guest] = set()  # gave way, not closed yet
        self.count = 0

    def enter(self, guest: Guest) -> bool:
        """Take a connection in, which waits from now on; False if nobody can give way."""
        if self.count - len(self._gone) >= self._limit and not self._make_room():
            return False
        self.count += 1
        self.wait(guest)
        return True

    def wait(self, guest: Guest) -> None:
        """The connection waits for its sender."""
        self._waiting.setdefault(guest.address, {})[guest] = None

    def work(self, guest: Guest) -> None:
        """A request has arrived completely: the sender waits for us now."""
        mine = self._waiting.get(guest.address)
        if mine is not None and guest in mine:
            del mine[guest]
            if not mine:
                del self._waiting[guest.address]
        self._all_bytes -= self._bytes.pop(guest, 0)

    def hold(self, guest: Guest, size: int) -> int:
        """Note bytes of an unfinished request and return their sum.

        When all together are too many, those give way that have been silent the longest: not an honest sender of a
        large body, who is sending just now.
        """
        held = self._bytes[guest] = self._bytes.pop(guest, 0) + size
        self._all_bytes += size
        while self._all_bytes > self._most_bytes:
            self._see_off(next(iter(self._bytes)), "memory")
        return held

    def leave(self, guest: Guest) -> None:
        """The connection is closed."""
        self.work(guest)
        self._gone.discard(guest)
        self.count -= 1

    def _make_room(self) -> bool:
        if not self._waiting:
            return False
        # Of several that have equally many, the first is the one that has waited longest.
        address = max(self._waiting, key=lambda item: len(self._waiting[item]))
        self._see_off(next(iter(self._waiting[address])), "crowded")
        return True

    def _see_off(self, guest: Guest, reason: str) -> None:
        self.work(guest)
        self._gone.add(guest)
        guest.give_way(reason)
