"""Claims what is due at one Airflow: the oldest first, and nothing of the routes that may start no more now."""

import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog

from bridge.edges.inbox import Inbox, claiming, triggers, turns
from bridge.flows.firing.lane import Due, Turn
from bridge.rules.ceiling import HOUR_SECONDS, Start
from bridge.rules.retrying.backoff import longest_wait
from bridge.words.errors import InboxUnavailable
from bridge.words.model import Claimed
from bridge.words.reasons import Reason

HOLD_BATCH = 500
_HOUR = timedelta(seconds=HOUR_SECONDS)
_RECALLED = 200  # held triggers that are looked at before each claim: more than one Airflow has places
_KEEPS_PLACE = timedelta(minutes=59)  # what is due for less than an hour keeps its place of the hourly ceiling
_LONGEST_WAIT = timedelta(seconds=longest_wait(Reason.THROTTLED))
_ROUNDS = 25  # claims in one turn; the other Airflows wait for it
_log = structlog.get_logger("bridge.firing")


@dataclass(frozen=True, slots=True)
class HourlyPlaces:
    """The places of the routes' hourly ceilings (`max_per_hour`).

    `take(route, now)`: when a route may start its next trigger; None: it has no ceiling.
    """

    take: Callable[[str, datetime], Start | None] = lambda *_: None
    give_back: Callable[[Iterable[Start]], None] = lambda _: None


def claim_due(
    inbox: Inbox,
    hourly: HourlyPlaces,
    *,
    airflow: str,
    now: datetime,
    lease: timedelta,
    limit: int,
    full: Collection[str],
) -> list[Claimed]:
    """Return up to `limit` claims under a fresh token. Raises InboxUnavailable.

    1. with full routes: read which others have something due, beside intake
    2. claim, in a transaction that looks at their rows alone
    3. put back what its route may not start in this hour; if that was all, claim the next
    """
    for _ in range(_ROUNDS):
        routes = None
        if full:
            routes = inbox.read(claiming.ready_routes, airflow=airflow, now=now, full=full, limit=limit)
            if not routes:
                return []
        token = secrets.token_hex(8)
        claims = inbox.write(
            claiming.claim, airflow=airflow, now=now, until=now + lease, token=token, limit=limit, routes=routes
        )
        allowed = _of_this_hour(inbox, claims, hourly, now)
        if allowed or not claims:
            return allowed
    return []


def _of_this_hour(inbox: Inbox, claims: Sequence[Claimed], hourly: HourlyPlaces, now: datetime) -> list[Claimed]:
    """Return the claims that their routes may start now, and put the others back, `held` until they may.

    Each took a place of the ceiling when it was planned. After an outage, a pause or a queue of more than an hour that
    place is long gone, so it takes another. One that is less late keeps its place, so up to twice as many may start in
    an hour (bridge.rules.ceiling). A route without a ceiling costs no statement.
    """
    allowed: list[Claimed] = []
    later: list[tuple[Claimed, Start]] = []
    taken: list[Start] = []
    try:
        for claimed in claims:
            trigger = claimed.trigger
            start = hourly.take(trigger.call.route, now) if now - trigger.due_at > _HOUR else None
            if start is not None:
                taken.append(start)
            if start is not None and start.is_later:
                later.append((claimed, start))
            else:
                placed = trigger if start is None else replace(trigger, due_at=now)  # if it is given back, it has one
                allowed.append(replace(claimed, trigger=placed))
        if later:
            due = [(claimed, datetime.fromtimestamp(start.at, UTC)) for claimed, start in later]
            inbox.write(triggers.put_back, due, reason=Reason.HOURLY_CEILING)
    except BaseException:
        hourly.give_back(taken)
        with suppress(InboxUnavailable):  # then the leases lapse, as after a crash
            inbox.write(triggers.give_back, claims)
        raise
    return allowed


def let_go(inbox: Inbox, unused: Sequence[Claimed], later: Sequence[Turn], now: datetime) -> None:
    """Undo claims: what is `unused` keeps its due time; the rest waits with its DAG, and is due at its turn.

    Raises InboxUnavailable; then the leases lapse, as after a crash.
    """
    if unused:
        inbox.write(triggers.give_back, unused)
    for reason in {turn.reason for turn in later}:
        due = [(turn.claimed, now + timedelta(seconds=turn.seconds)) for turn in later if turn.reason is reason]
        inbox.write(triggers.put_back, due, reason=reason)


def call_again(inbox: Inbox, due: Due, *, airflow: str, now: datetime) -> bool:
    """Make due once more what was put back for a DAG that is well again, some of it. Raises InboxUnavailable.

    Called before each claim, so that what was put back is ahead of what is younger. Returns whether it got on: not if
    another replica has these rows under way.
    """
    recall, route = due.recall, due.route
    place = {"airflow": airflow, "dag_id": recall.dag_id, "route": route}
    begin, until = max(recall.after.get(route, now), now), now + _LONGEST_WAIT
    ids, after = inbox.read(turns.put_back, **place, after=begin, until=until, limit=_RECALLED)
    amount = inbox.write(turns.make_due, ids[: due.limit], now=now, within=_KEEPS_PLACE) if ids else 0
    if len(ids) > due.limit:
        return amount > 0  # the next ones when these have begun
    if after is None:
        recall.routes.remove(route)
        recall.after.pop(route, None)
    else:
        recall.after[route] = after
    return True


def hold_strays(inbox: Inbox, airflows: Collection[str]) -> None:
    """Hold what is for an Airflow that is not one of these, a batch of each, and say so. Raises InboxUnavailable."""
    for name in inbox.read(claiming.airflows_with_pending) - set(airflows):
        strays = inbox.write(claiming.hold, airflow=name, reason=Reason.UNKNOWN_AIRFLOW, limit=HOLD_BATCH)
        _log.error("unknown_airflow", airflow=name, triggers=strays, next_step=Reason.UNKNOWN_AIRFLOW.next_step)
