"""Short ways to store, add and claim, for the tests of the inbox."""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psycopg
import pytest

from bridge.edges.inbox import Inbox, browsing, claiming, prepare, triggers
from bridge.edges.inbox.adding import NewTrigger
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.edges.inbox.engine import ids
from bridge.rules.retrying.settling import Settlement
from bridge.words.holds import IfPaused
from bridge.words.model import Attempt, Call, Claimed, DeliveryState, Limits, Trigger, TriggerState, Verified
from tests.support import service

T = TypeVar("T")


class Accepted(NamedTuple):
    """A webhook that is stored: `is_new` is False for one that was stored before."""

    delivery_id: str
    is_new: bool


NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER = timedelta(seconds=1)


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bridge.db")
        prepare(f"sqlite:///{path}")
        Store(path).close()  # whoever closes last copies the log into the file
        return path.read_bytes()


def empty_store(path: Path) -> Path:
    """Make the file of an empty store with today's schema; migrating takes 0.3 s, so that happens once."""
    path.write_bytes(_migrated())
    return path


# For tests of what only one of the databases does.
ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


class Store:
    """The database, read and written beside the inbox; `?` stands for a value."""

    def __init__(self, where: Path | str) -> None:
        """`where` is the file of a SQLite store, or the URL of any."""
        self.is_postgresql = str(where).startswith("postgresql")
        self._connection: Any
        if self.is_postgresql:
            self._connection = psycopg.connect(str(where), autocommit=True)
        else:
            file = str(where).removeprefix("sqlite:///")
            self._connection = sqlite3.connect(file, isolation_level=None, timeout=120)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return what a statement gives."""
        if not self.is_postgresql:
            return self._connection.execute(statement, values).fetchall()  # type: ignore[no-any-return]
        cursor = self._connection.execute(statement.replace("?", "%s"), values or None)
        return cursor.fetchall() if cursor.description else []

    def has_folded(self) -> bool:
        """Whether every stored key has reached the table of keys; PostgreSQL has none."""
        same = "SELECT (SELECT COUNT(*) FROM dedup) = (SELECT COUNT(*) FROM deliveries)"
        return self.is_postgresql or bool(self.one(same))

    def one(self, statement: str, *values: Any) -> Any:
        """Return the first column of the first row."""
        return self.rows(statement, *values)[0][0]

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


async def accept_all(inbox: Inbox, events: Sequence[str | None], **more: Any) -> list[Accepted | BaseException]:
    """Store webhooks that all wait at the same time; one outcome each."""
    return await asyncio.gather(*(_accept_one(inbox, event, **more) for event in events), return_exceptions=True)


async def _accept_one(
    inbox: Inbox,
    event_id: str | None,
    *,
    source: str = "planasonix",
    body: bytes | None = None,
    is_stale: bool = False,
    key_id: str = "current",
    headers: str = "{}",
    message_id: str | None = None,
    is_beside: bool = False,
    after: int = 0,
    path_pipeline_id: str | None = None,
) -> Accepted:
    content = f'{{"id":"{event_id}"}}'.encode() if body is None else body
    verified = Verified(content, key_id, 1_700_000_000, is_stale, message_id)
    told: asyncio.Future[tuple[int, bool]] = asyncio.get_running_loop().create_future()
    inbox.accept(
        source=source,
        event_id=event_id,
        verified=verified,
        kept=content,
        path_pipeline_id=path_pipeline_id,
        headers=headers,
        then=lambda outcome: settle(told, outcome),
        is_beside=is_beside,
        after=after,
    )
    number, is_new = await told
    return Accepted(ids.delivery_text(number), is_new)


def settle(told: "asyncio.Future[T]", outcome: T | Exception) -> None:
    """Give a future what a callback was told."""
    if isinstance(outcome, Exception):
        told.set_exception(outcome)
    else:
        told.set_result(outcome)


def accept(inbox: Inbox, *events: str | None, **more: Any) -> list[Accepted]:
    """Store webhooks with these event ids, all waiting at the same time."""
    outcomes = asyncio.run(accept_all(inbox, events, **more))
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Accepted)]


def stored(inbox: Inbox, event_id: str | None = "evt_1", **more: Any) -> str:
    """Store one webhook and return its delivery id."""
    return accept(inbox, event_id, **more)[0].delivery_id


def new_trigger(inbox: Inbox, delivery_id: str, **more: Any) -> NewTrigger:
    """Return a trigger to be, of one route and DAG unless said otherwise; `more` are fields of it or of its call."""
    id_ = more.pop("id", None) or inbox.new_trigger_id()
    usual: dict[str, Any] = {
        "route": "orders",
        "airflow": "default",
        "dag_id": "load_orders",
        "dag_run_id": f"run-of-{delivery_id}",
        "conf": {"planasonix": {"trigger_id": id_}},
        "note": None,
        "limits": Limits(),
        "follow": True,
        "if_paused": IfPaused.TRIGGER,
        "series": None,
    }
    call = Call(**usual | {name: more.pop(name) for name in usual if name in more})
    return NewTrigger(id=id_, delivery_id=more.pop("delivery_id", delivery_id), call=call, **more)


def add(inbox: Inbox, delivery_id: str, *, now: datetime = NOW, **more: Any) -> str:
    """Route a delivery to one trigger and return the trigger's id."""
    new = new_trigger(inbox, delivery_id, **more)
    routing = Routing(delivery_id, DeliveryState.ROUTED, None, None, None, [new])
    inbox.write(settle_routing, [routing], now=now)
    return new.id


def whole(inbox: Inbox, delivery_id: str) -> list[Trigger]:
    """Return the triggers of a delivery with all that their calls send, oldest first."""
    ids = inbox.read(browsing.ids, table="triggers", wanted=browsing.Filter(delivery_id=delivery_id), limit=100)
    return [found for id_ in reversed(ids) if (found := inbox.read(triggers.get, id_)) is not None]


def claim(inbox: Inbox, *, now: datetime = NOW, limit: int = 10, seconds: float = 30, **more: Any) -> list[Claimed]:
    """Claim what is due, under a token that tells the moment."""
    options: dict[str, Any] = {"airflow": "default", "token": f"token-{time.monotonic_ns()}"} | more
    full, routes = options.pop("full", ()), None
    if full:
        routes = inbox.read(claiming.ready_routes, airflow=options["airflow"], now=now, full=full, limit=limit)
    until = now + timedelta(seconds=seconds)
    return inbox.write(claiming.claim, now=now, until=until, limit=limit, routes=routes, **options)


def attempt(number: int = 1, *, outcome: str = "started") -> Attempt:
    """Return an attempt as firing would record it."""
    return Attempt(number, NOW, 0.25, outcome, None, None, 200)


def settlement(state: TriggerState = TriggerState.FIRED, **more: Any) -> Settlement:
    """Return where an attempt leaves its trigger."""
    usual: dict[str, Any] = {"reason": None, "detail": None, "due_at": NOW}
    return Settlement(state, **usual | more)


def wait_for(is_so: Callable[[], bool]) -> None:
    """Poll until something is so."""
    service.wait_for(is_so, seconds=0.0, what="a state of the store")
