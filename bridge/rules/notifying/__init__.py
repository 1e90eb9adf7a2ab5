"""Who is sent what, and when: from what needs a person, and what was sent before. Pure.

    1. cause    needs of one kind and one reason are one cause, however many places have it
    2. new      a cause that has stood for the target's `after` is sent
    3. more     what is added to it is sent at most every 15 minutes; a cause that nobody mends, once a day
    4. over     a cause that has been away for two minutes is over, and that is sent; this too waits for the 15 minutes
    5. forget   what was never sent, or whose end was sent 15 minutes ago

So a cause that comes and goes makes four messages an hour at most. A Notice is what has to be remembered for that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bridge.rules.attention import HELD_TOO_LONG, Need
from bridge.rules.notifying.wording import message, title
from bridge.words.notices import Kind, Message, Notice
from bridge.words.targets import NotifyTarget

QUARTER = timedelta(minutes=15)
_AWAY = timedelta(minutes=2)  # a replica that has just started does not know yet that an Airflow is down
_DAY = timedelta(days=1)
_HELD_LONG = timedelta(hours=4)  # as the alert BridgeHeldTooLong
_MOST_PLACES = 1000  # that are remembered of one cause; attention shows 200 groups
# Of these, one more is news. Of the others the cause is: how much waits behind it grows by itself.
_COUNTED = frozenset(
    {"failed", "too_late", "duplicate_run", "run_failed", "invalid", "stale", "status_unknown", "drift"}
    | {"same_event", "same_body", "url_conflict", "lookup_failed", "lookup_not_found"}
)
_WITHOUT_REASON = frozenset({"airflow_down", "dag"})  # whose reason changes while the cause stays


@dataclass(frozen=True, slots=True)
class Due:
    """A message to send, and what has to be remembered once it was."""

    message: Message
    after: Notice


@dataclass(slots=True)
class Verdict:
    """What follows for one target: what to remember at once, what to forget, what to send."""

    kept: list[Notice] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    due: list[Due] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Around:
    """What messages need beside: the link to the page of a need, and the owner of a route."""

    link: Callable[[Need], str | None] = lambda _: None
    owner: Callable[[str], str | None] = lambda _: None


def judge(
    target: NotifyTarget, needs: Sequence[Need], known: Mapping[str, Notice], *, now: datetime, around: Around
) -> Verdict:
    """Return what follows for a target; `known` is what is remembered of it, by cause."""
    verdict = Verdict()
    here = _by_cause(needs, target.on, now)
    for cause, found in here.items():
        notice = known.get(cause) or Notice(target.name, cause, now)
        after = _returned(notice, now)
        if (due := _due(target, after, found, now, around)) is not None:
            verdict.due.append(due)
        if cause not in known or after != notice:
            verdict.kept.append(after)
    for cause in known.keys() - here.keys():
        _judge_away(verdict, target, known[cause], now)
    return verdict


def _by_cause(needs: Sequence[Need], on: frozenset[str], now: datetime) -> dict[str, list[Need]]:
    found: dict[str, list[Need]] = {}
    for need in needs:
        if _is_wanted(need, on, now):
            has_reason = need.reason is not None and need.what not in _WITHOUT_REASON
            found.setdefault(f"{need.what} {need.reason}" if has_reason else need.what, []).append(need)
    return found


def _is_wanted(need: Need, on: frozenset[str], now: datetime) -> bool:
    is_long = need.what == "held" and need.since is not None and need.since <= now - _HELD_LONG
    return need.what in on or (is_long and HELD_TOO_LONG in on)


def _returned(notice: Notice, now: datetime) -> Notice:
    """Return what is known of a cause that is there; after the word that it was over, this is another beginning."""
    if notice.gone_at is None:
        return notice
    return replace(notice, gone_at=None, seen_at=now if notice.title is None else notice.seen_at)


def _due(target: NotifyTarget, notice: Notice, found: Sequence[Need], now: datetime, around: Around) -> Due | None:
    is_new = notice.title is None
    has_stood = now - notice.seen_at >= timedelta(seconds=target.after_seconds)
    if not _may_send(notice, now) or not (has_stood if is_new else _is_news(notice, found, now)):
        return None
    said = message(Kind.NEW if is_new else Kind.MORE, found, link=around.link, owner=around.owner)
    return Due(said, replace(notice, sent_at=now, title=title(found), places=_places(notice, found)))


def _judge_away(verdict: Verdict, target: NotifyTarget, notice: Notice, now: datetime) -> None:
    what = notice.cause.partition(" ")[0]
    is_wanted = what in target.on or (what == "held" and HELD_TOO_LONG in target.on)
    is_said = notice.title is not None
    if not is_wanted or notice.sent_at is None or (not is_said and _may_send(notice, now)):
        verdict.forgotten.append(notice.cause)
    elif notice.gone_at is None:
        verdict.kept.append(replace(notice, gone_at=now))
    elif is_said and now - notice.gone_at >= _AWAY and _may_send(notice, now):
        after = replace(notice, sent_at=now, title=None, places={})
        verdict.due.append(Due(_over(notice, now), after))


def _over(notice: Notice, now: datetime) -> Message:
    began = f"It began {notice.seen_at:%Y-%m-%d %H:%M} UTC and had ended {notice.gone_at or now:%Y-%m-%d %H:%M} UTC."
    is_counted = notice.cause.partition(" ")[0] in _COUNTED
    how = " Somebody has acted on it, or the last of it is more than a day old." if is_counted else ""
    return Message(Kind.OVER, f"over: {notice.title}", began + how)


def _may_send(notice: Notice, now: datetime) -> bool:
    """Whether the last message about it is old enough; one that lies ahead was written by a clock that ran ahead."""
    return notice.sent_at is None or abs(now - notice.sent_at) >= QUARTER


def _is_news(notice: Notice, found: Sequence[Need], now: datetime) -> bool:
    if notice.sent_at is None or abs(now - notice.sent_at) >= _DAY:
        return True
    return any(need.about not in notice.places or _is_more(need, notice.places[need.about]) for need in found)


def _is_more(need: Need, sent: tuple[int, int]) -> bool:
    count, newest = _amount(need)
    return need.what in _COUNTED and (count > sent[0] or newest > sent[1])


def _places(notice: Notice, found: Sequence[Need]) -> dict[str, tuple[int, int]]:
    """Return what is remembered of places: those that are there now, and before them those that were."""
    here = {need.about: _amount(need) for need in found}
    both = {about: amount for about, amount in notice.places.items() if about not in here} | here
    return dict(list(both.items())[-_MOST_PLACES:])


def _amount(need: Need) -> tuple[int, int]:
    return need.count, 0 if need.newest is None else int(need.newest.timestamp() * 1000)
