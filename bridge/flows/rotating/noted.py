"""What the journal of a rotation holds: which subscription and key, and what is done so far. No secret."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from bridge.edges.journal import Journal
from bridge.edges.planasonix import hooks
from bridge.words.subscriptions import Subscription


@dataclass(frozen=True, slots=True)
class Noted:
    """`former` and `successor` are subscriptions; `before` are all that were there; instants are RFC 3339, UTC."""

    source: str
    key: str
    former_key: str
    former: str
    url: str
    events: tuple[str, ...]
    before: tuple[str, ...]
    begun_at: str
    successor: str | None = None
    switched_on_at: str | None = None
    proved_at: str | None = None
    removed_at: str | None = None

    @classmethod
    def read(cls, journal: Journal) -> "Noted | None":
        """Return what is noted, None if nothing is. Raises OSError, and ValueError for what is no such journal."""
        found = journal.read()
        if found is None:
            return None
        if found.keys() != {each.name for each in fields(cls)}:
            raise ValueError(f"{journal.path} is not the journal of a rotation")
        return cls(**found | {"events": tuple(found["events"]), "before": tuple(found["before"])})

    def with_(self, **done: Any) -> Self:
        """Return the same with something done."""
        return replace(self, **done)

    def shown(self) -> dict[str, Any]:
        """Return it as the journal has it."""
        return asdict(self)

    def may_be(self, item: Subscription) -> bool:
        """Whether it may be the second subscription whose answer was lost: it is new, and nobody uses it."""
        is_new = item.id not in self.before and hooks.is_same(item.url, self.url)
        return is_new and item.is_enabled is not True and item.last_delivery_at is None
