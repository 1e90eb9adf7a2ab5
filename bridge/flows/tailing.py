"""New deliveries and what becomes of them, for whoever looks on: `tail`, and the stream of the API.

A tail remembers what it has said. Each look:

    1. new      which deliveries came since the last look; of a flood the newest 200, and that some are left out is said
    2. marks    what may have changed, of these and of those that were open at the last look (the newest 500)
    3. news     what did change is read as lists show it, and said; no payload is read
    4. forget   what has ended: a delivery that is replayed later is not said again

Who follows one delivery has a tail of its own (`Following`), whenever that delivery came: how it stands, then each
change. It is not forgotten when it has ended, so a replay is heard of.

Everything is read beside the writer, so a webhook waits for none of it. While nobody looks on, nothing is read; one
look serves everybody who does, and these are few.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, tailing
from bridge.edges.inbox.tailing import Mark, Seen
from bridge.edges.metrics import Metrics
from bridge.rules import views
from bridge.words.errors import NotThere, TooMany
from bridge.words.model import DeliveryState, TriggerState
from bridge.words.runs import OPEN

EVERY_SECONDS = 1.0
LISTENERS = 20
_SHOWN = 200  # new deliveries of a look
_OPEN = 500
_OVERLAP = timedelta(seconds=5)  # replicas store their deliveries in nearly the order of their ids, not quite
_LOOKED_AT = 4000  # ids in that time
_WAITING = frozenset({TriggerState.PENDING, TriggerState.HELD, TriggerState.FIRING})
Clock = Callable[[], datetime]
Link = Callable[[str, str, str | None], str | None]  # Airflow, DAG, DAG run id -> the page of the run


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class News:
    """One delivery as it stands now; `full` and `bare` are its JSON, with and without what only operators may see."""

    seen: Seen
    full: bytes
    bare: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """What one look found, oldest first; `is_cut`: more came than is shown."""

    news: tuple[News, ...]
    is_cut: bool


class Tail:
    """What was said so far."""

    def __init__(self, inbox: Inbox, *, link: Link, since: datetime, after: str | None = None) -> None:
        """Say what comes from an instant on; or, instead, what came after a delivery. Raises NotThere for no id."""
        self._inbox = inbox
        self._link = link
        self._since = since if after is None else tailing.received_at(after)
        self._said: set[str] = set()  # every delivery since then
        self._open: dict[str, Mark | None] = {}
        self._after = after

    def look(self) -> Heard:
        """Return the news. Raises InboxUnavailable; then nothing counts as said."""
        found = self._inbox.read(tailing.newest, since=self._since, limit=_LOOKED_AT)
        fresh = [id_ for id_ in found if id_ not in self._said and (self._after is None or id_ > self._after)]
        looked_at = self._open | dict.fromkeys(reversed(fresh[:_SHOWN]))
        marks = self._inbox.read(tailing.marks, looked_at) if looked_at else {}
        changed = [id_ for id_, mark in marks.items() if looked_at[id_] != mark]
        news = [_spelled(each, self._link) for each in self._inbox.read(tailing.whole, changed)] if changed else []
        still = [id_ for id_ in looked_at if id_ in marks and _is_open(marks[id_])]
        self._open = {id_: marks[id_] for id_ in still[-_OPEN:]}
        if found:
            self._since = max(self._since, tailing.received_at(found[0]) - _OVERLAP)
        self._said = {id_ for id_ in self._said | set(found) if tailing.received_at(id_) >= self._since}
        return Heard(tuple(news), is_cut=len(fresh) > _SHOWN)


class Following:
    """What was said so far of one delivery. Safe to call from any thread."""

    def __init__(self, inbox: Inbox, *, link: Link, delivery_id: str) -> None:
        """Say how it stands, and then what changes. Nothing is read yet. Raises NotThere for no id."""
        tailing.received_at(delivery_id)
        self._inbox = inbox
        self._link = link
        self._id = delivery_id
        self._mark: Mark | None = None
        self._lock = threading.Lock()  # so that one change is not said twice

    def begin(self) -> Heard:
        """Look as `look` does. Raises NotThere if no such delivery is stored."""
        heard = self.look()
        if self._mark is None:
            raise NotThere(f"no delivery {self._id}")
        return heard

    def look(self) -> Heard:
        """Return the news, at most one. Raises InboxUnavailable; then nothing counts as said."""
        with self._lock:
            mark = self._inbox.read(tailing.marks, [self._id]).get(self._id)
            if mark is None or mark == self._mark:
                return Heard((), is_cut=False)
            news = [_spelled(each, self._link) for each in self._inbox.read(tailing.whole, [self._id])]
            self._mark = mark
            return Heard(tuple(news), is_cut=False)


def _is_open(mark: Mark) -> bool:
    """Whether something may still happen by itself."""
    return mark.state == DeliveryState.RECEIVED or any(
        state in _WAITING or (state == TriggerState.FIRED and run_state in OPEN)
        for state, _, _, run_state, _, _ in mark.triggers
    )


def _spelled(seen: Seen, link: Link) -> News:
    ids = {"pipeline_id": seen.pipeline_id, "job_id": seen.job_id, "run_id": seen.run_id}
    triggers = [
        views.trigger_entry(each)
        | {"link": link(each.airflow, each.dag_id, each.dag_run_id) if each.state is TriggerState.FIRED else None}
        for each in seen.triggers
    ]
    shown = {"delivery": views.delivery_entry(seen.delivery) | ids, "triggers": triggers}
    return News(seen, views.dump(shown), views.dump(views.without_payloads(shown)))


@dataclass(eq=False, slots=True)
class Listener:
    """Somebody who looks on: `hear` and `end` are called from the loop's thread, and never wait.

    `following`: one delivery of which they hear, and of nothing else.
    """

    hear: Callable[[Heard], None]
    end: Callable[[], None]
    following: Following | None = None


class Tailing:
    """Looks for everybody who looks on, while there is anybody."""

    def __init__(self, *, inbox: Inbox, link: Link, metrics: Metrics, clock: Clock = _now) -> None:
        """`link` returns the page of a DAG run."""
        self._inbox = inbox
        self._link = link
        self._clock = clock
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._tail: Tail | None = None  # for everybody who follows no delivery of their own
        self.loop = Loop(
            "tailing", self.step, every_seconds=EVERY_SECONDS, metrics=metrics, on_stopped=lambda _: self._end()
        )

    def tail(self, *, after: str | None, since: datetime | None) -> Tail:
        """Return what says what somebody missed: after a delivery, else since an instant. Raises NotThere for no id."""
        return Tail(self._inbox, link=self._link, since=since or self._clock(), after=after)

    def following(self, delivery_id: str) -> Following:
        """Return what follows one delivery. Nothing is read yet. Raises NotThere for no id."""
        return Following(self._inbox, link=self._link, delivery_id=delivery_id)

    def join(self, listener: Listener) -> None:
        """Let somebody hear everything from now on. Raises TooMany."""
        with self._lock:
            if len(self._listeners) >= LISTENERS or self.loop.is_ending:
                raise TooMany("listeners", EVERY_SECONDS)
            if listener.following is None and not _of_all(self._listeners):
                self._tail = Tail(self._inbox, link=self._link, since=self._clock())
            self._listeners.append(listener)
        self.loop.wake()

    def leave(self, listener: Listener) -> None:
        """Let somebody hear nothing more. Idempotent."""
        with self._lock:
            self._listeners = [each for each in self._listeners if each is not listener]

    def step(self) -> float | None:
        """Look once, if anybody looks on. Raises InboxUnavailable."""
        with self._lock:
            followers = [(each, each.following) for each in self._listeners if each.following is not None]
            tail = self._tail if _of_all(self._listeners) else None
        for listener, following in followers:
            _say([listener], following.look())
            self.loop.beat()
        if tail is None:
            return None
        heard = tail.look()
        with self._lock:
            listeners = _of_all(self._listeners)
        _say(listeners, heard)
        return None

    def _end(self) -> None:
        """Let everybody go: the service stops."""
        with self._lock:
            listeners, self._listeners = self._listeners, []
        for each in listeners:
            each.end()


def _of_all(listeners: Sequence[Listener]) -> list[Listener]:
    """Return those who hear of every delivery."""
    return [each for each in listeners if each.following is None]


def _say(listeners: Sequence[Listener], heard: Heard) -> None:
    if heard.news or heard.is_cut:
        for each in listeners:
            each.hear(heard)
