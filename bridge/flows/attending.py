"""Look at everything that may need a person, and say what does: for the API, the command line and the pages.

What the store knows is read here; what only a running service or a look at the files tells (`troubles`) is given.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from bridge.edges.inbox import (
    Inbox,
    browsing,
    dags,
    grouping,
    heard,
    holds,
    loaded,
    notices,
    pauses,
    refusals,
    shapes,
    silences,
)
from bridge.rules import attention, conforming, notes, odd, records, standing, views
from bridge.rules.attention import Facts, Need
from bridge.rules.mapping import Route
from bridge.rules.pauses import Names, is_gone
from bridge.rules.troubles import NO_BRIDGE, Trouble, of_replicas, of_silences, of_targets
from bridge.words.causes import Causes
from bridge.words.pauses import PauseKind

_MOST_COUNTED = 100_000  # of a state: some milliseconds, at each look at the overview


class Wellness:
    """Since when nothing has needed a person, as far as this process has looked. Any thread may note what it saw."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Nobody has looked yet."""
        self._clock = clock
        self._lock = threading.Lock()
        self._since: datetime | None = None

    def note(self, found: Iterable[Need]) -> datetime | None:
        """Take in what a look found, and return since when all is well; None: it is not."""
        is_well = all(each.is_note for each in found)
        with self._lock:
            self._since = (self._since or self._clock()) if is_well else None
            return self._since


def needs(
    inbox: Inbox,
    *,
    troubles: Sequence[Trouble] = (),
    names: Names | None = None,
    routes: Collection[Route] = (),
    now: datetime | None = None,
) -> list[Need]:
    """Return what needs a person; nothing: all is well. As `look`."""
    found = look(inbox, troubles=troubles, names=names, routes=routes, now=now)
    return [each for each in found if not each.is_note]


def look(
    inbox: Inbox,
    *,
    troubles: Sequence[Trouble] = (),
    names: Names | None = None,
    routes: Collection[Route] = (),
    now: datetime | None = None,
    with_groups: bool = True,
) -> list[Need]:
    """Return what needs a person, and what is worth a note. Raises InboxUnavailable.

    `names`: what is configured. `routes`: those in use, which say for what a paused DAG is provided. Without groups:
    not what stands still, for who shows that beside.
    """
    at = now or datetime.now(UTC)
    found = inbox.read(pauses.read).at(at)
    # What was said of the DAGs of an Airflow that was taken out of bridge.yaml stays in the store.
    configured = None if names is None else names[PauseKind.AIRFLOW]
    causes = inbox.read(grouping.causes, wanted=browsing.Filter()) if with_groups else Causes((), is_whole=True)
    facts = Facts(
        now=at,
        groups=causes.groups,
        is_whole=causes.is_whole,
        late=inbox.read(grouping.too_late, since=at - standing.SHOWN_FOR),
        repeated=inbox.read(grouping.repeated, since=at - standing.SHOWN_FOR),
        odd=inbox.read(grouping.odd, since=at - odd.SHOWN_FOR, received_since=at - odd.GIVEN_UP_FOR),
        waiting=inbox.read(browsing.backlog),
        refused=inbox.read(grouping.refused, since=at - attention.REFUSALS_FOR),
        copies=inbox.read(grouping.doubtful_copies, since=at - odd.SHOWN_FOR),
        dags=[dag for dag in inbox.read(dags.known) if configured is None or dag.airflow in configured],
        pauses=[(pause, names is not None and is_gone(pause, names)) for pause in found.all],
        troubles=[*troubles, *_stored_troubles(inbox, at)],
        drifts=inbox.read(shapes.recent, since=at - shapes.KEPT),
        heard=inbox.read(heard.last, now=at),
        ending=inbox.read(holds.ending),
        expected=notes.expected_pauses(routes, found),
        lacking=_lacking(inbox, routes),
    )
    return attention.everything(facts)


def _stored_troubles(inbox: Inbox, at: datetime) -> Iterator[Trouble]:
    """Yield what the store knows to be wrong with the whole: replicas, who is to be notified, sources."""
    yield from of_replicas(inbox.read(loaded.mappings, now=at), at)
    yield from of_targets(inbox.read(notices.failing))
    yield from of_silences(inbox.read(silences.known), at)


def _lacking(inbox: Inbox, routes: Collection[Route]) -> dict[tuple[str, str], dict[str, str]]:
    """Return what routes leave out of the params that their DAGs require, as far as these were read."""
    params = {
        (airflow, dag_id): each
        for airflow in {route.airflow for route in routes}
        for dag_id, each in inbox.read(dags.params, airflow=airflow).items()
    }
    return conforming.lacking(routes, params)


def unserved(inbox: Inbox) -> list[Trouble]:
    """Return that no bridge serves this store, if that is so: for who looks at the store beside. InboxUnavailable."""
    return [] if inbox.read(loaded.is_served, now=datetime.now(UTC)) else [NO_BRIDGE]


def stored(inbox: Inbox, names: Names | None = None) -> views.Json:
    """Return what the store alone tells: what waits, what ended oddly, each source's last webhook and last refusal,
    whether it is paused or silent for too long, and which mapping each replica uses.

    `names`: what is configured; None: nobody knows, then each source that the store knows is told of.
    """
    waiting, ended = inbox.read(browsing.waiting), inbox.read(browsing.odd, limit=_MOST_COUNTED + 1)
    mappings = inbox.read(loaded.mappings, now=datetime.now(UTC))
    return {
        "waiting": {
            str(name): {"count": count, "oldest": views.instant(oldest)} for name, (count, oldest) in waiting.items()
        },
        "ended": {state: min(count, _MOST_COUNTED) for state, count in ended.items()},
        "ended_at_least": [state for state, count in ended.items() if count > _MOST_COUNTED],
        "sources": _sources(inbox, None if names is None else names[PauseKind.SOURCE]),
        "replicas": [records.replica(each) for each in mappings],
    }


def _sources(inbox: Inbox, configured: Collection[str] | None) -> list[views.Json]:
    now = datetime.now(UTC)
    last, refused = inbox.read(heard.last, now=now), inbox.read(refusals.newest)
    paused = inbox.read(pauses.read).at(now)
    silent = {each.source: each.counted_from for each in inbox.read(silences.known) if each.is_silent(now)}
    found = []
    for name in sorted(last.keys() | refused.keys() if configured is None else configured):
        refused_at, reason = refused.get(name, (None, None))
        pause = paused.get(PauseKind.SOURCE, name)
        found.append(
            {
                "name": name,
                "last_delivery": views.instant(last.get(name)),
                "last_refusal": views.instant(refused_at),
                "last_refusal_reason": reason,
                "paused": None if pause is None else views.pause(pause, is_gone=False),
                "silent_since": views.instant(silent.get(name)),
            }
        )
    return found
