"""What stands still, as lines for a person: triggers failed, held or not started, and DAG runs that went wrong. Pure.

The largest `MOST_LINES` have a line each. What is beyond, however little, has one line for each kind of it: a cause
that has no line of its own is said all the same.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from bridge.rules import causes, notes
from bridge.rules.need import Need
from bridge.words.causes import Group
from bridge.words.model import TriggerState
from bridge.words.reasons import Reason

MOST_LINES = 200
SHOWN_FOR = timedelta(days=1)  # DAG runs that went wrong, and what was cancelled and may be wanted
_PASSING = timedelta(hours=1)
_OWN_WORDS = frozenset({Reason.TOO_LATE, Reason.DUPLICATE_RUN})  # of what was cancelled
_PASSES = frozenset({Reason.HOURLY_CEILING, Reason.THROTTLED})


def needs(groups: Sequence[Group], now: datetime, *, ending: Mapping[str, int]) -> Iterator[Need]:
    """Return the lines of groups, the largest first. `ending`: how many holds are over within a day, by Airflow."""
    mine = [group for group in groups if _needs_a_person(group, now)]
    for group in mine[:MOST_LINES]:
        yield _line(group, is_note=_is_note(group, ending))
    beyond: dict[tuple[str, bool], list[Group]] = {}
    for group in mine[MOST_LINES:]:
        beyond.setdefault((_what(group), _is_note(group, ending)), []).append(group)
    for (what, is_note), rest in beyond.items():
        yield _rest(what, rest, is_note=is_note)


def uncounted(groups: Sequence[Group]) -> Need:
    """Return the note that groups count the newest of their kind alone: the kind of which there are most."""
    counts = Counter[str]()
    for group in groups:
        counts[_what(group)] += group.count
    ((what, count),) = counts.most_common(1)
    return Need(
        what=what,
        about="more than is counted",
        says="there are so many that only the newest are counted: what is older may have other causes",
        next_step="Mend, replay or cancel what is shown. `planasonix-bridge causes --until` counts what is older.",
        count=count,
        is_note=True,
    )


def _line(group: Group, *, is_note: bool) -> Need:
    why, next_step = causes.words(group)
    return Need(
        what=_what(group),
        about=f"{group.route} -> {group.dag_id} at {group.airflow}",
        says=why or f"triggers are {group.state}",
        next_step=next_step or "Look at one of them.",
        since=group.first_at,
        count=group.count,
        reason=None if group.reason is None else str(group.reason),
        example=group.example,
        filter=causes.view(group)["filter"],
        is_note=is_note,
        newest=group.last_at,
    )


def _rest(what: str, groups: Sequence[Group], *, is_note: bool) -> Need:
    listed = "causes` with --route or --reason"
    if is_cancelled := what in _OWN_WORDS:
        listed = f"triggers --state cancelled --reason {what}`"
    return Need(
        what=what,
        about="smaller causes",
        says=f"more stands still than the {MOST_LINES} largest causes, which have a line each",
        next_step=f"Begin with the largest; `planasonix-bridge {listed} has the others.",
        filter={"state": "cancelled", "reason": what} if is_cancelled else None,
        since=min(group.first_at for group in groups),
        count=sum(group.count for group in groups),
        example=groups[0].example,
        is_note=is_note,
        newest=max(group.last_at for group in groups),
    )


def _what(group: Group) -> str:
    if group.run_state is not None:
        return "run_failed"
    return str(group.reason if group.reason in _OWN_WORDS else group.state)


def _is_note(group: Group, ending: Mapping[str, int]) -> bool:
    return notes.is_meant(group) and not ending.get(group.airflow)


def _needs_a_person(group: Group, now: datetime) -> bool:
    if group.run_state is not None:
        return group.last_at >= now - SHOWN_FOR
    if group.state is not TriggerState.HELD:
        return True
    if group.reason is Reason.PAUSED_BY_PERSON:
        return False  # the pause itself is shown when it is forgotten
    return group.reason not in _PASSES or group.first_at <= now - _PASSING
