"""What is paused at a moment, and the words in which a person is told so. Pure.

A paused route or Airflow starts no DAG run; of a paused source nothing is routed. Intake goes on.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

from bridge.rules.yamltree import nearest
from bridge.words.errors import BadFilter
from bridge.words.pauses import Pause, PauseKind

Names = Mapping[PauseKind, Collection[str] | None]


class Pauses:
    """The pauses of one moment, looked up by name. Never changed: whoever holds one may read it from any thread."""

    def __init__(self, pauses: Iterable[Pause] = ()) -> None:
        """Take them over."""
        self.all = tuple(pauses)
        self._by_name = {(pause.kind, pause.name): pause for pause in self.all}
        self.routes = self._names(PauseKind.ROUTE)
        self.sources = self._names(PauseKind.SOURCE)
        self.airflows = self._names(PauseKind.AIRFLOW)

    def of_trigger(self, *, route: str, airflow: str) -> Pause | None:
        """Return why a trigger may not start; its Airflow counts before its route."""
        return self.get(PauseKind.AIRFLOW, airflow) or self.get(PauseKind.ROUTE, route)

    def get(self, kind: PauseKind, name: str) -> Pause | None:
        """Return the pause of one name."""
        return self._by_name.get((kind, name))

    def at(self, now: datetime) -> "Pauses":
        """Return those that are not over."""
        return Pauses(pause for pause in self.all if not pause.is_over(now))

    def _names(self, kind: PauseKind) -> frozenset[str]:
        return frozenset(pause.name for pause in self.all if pause.kind is kind)


NOTHING: Final = Pauses()


def sentence(pause: Pause | None) -> str:
    """Return who paused what, since when, until when and why; None: what was paused is no more."""
    if pause is None:
        return "the pause has ended; it goes on in a moment"
    until = f"until {_spelled(pause.ends_at)}" if pause.ends_at else "until somebody resumes it"
    why = f": {pause.reason}" if pause.reason else ""
    return f"{pause.kind} {pause.name} is paused by {pause.actor} since {_spelled(pause.paused_at)} {until}{why}"


def summary(pause: Pause) -> str:
    """Return who paused what and why, for a line that has its instants beside it, in the reader's zone."""
    until = "" if pause.ends_at else " until somebody resumes it"
    why = f": {pause.reason}" if pause.reason else ""
    return f"{pause.kind} {pause.name} is paused by {pause.actor}{until}{why}"


def check_name(kind: PauseKind, name: str, names: Names, unnamed: Collection[str] = ()) -> None:
    """Raise BadFilter for a name that is not configured, with the nearest one, and for a route without a name.

    Another route may be called so after the next change of the mapping: then the pause would hold that one instead.
    None for names that nobody knows.
    """
    if kind is PauseKind.ROUTE and name in unnamed:
        step = f"add `name: {name}` to it in mapping.yaml, or pause its source or Airflow"
        raise BadFilter(f'the route "{name}" has no `name:`, and may be called otherwise after a change: {step}')
    known = names[kind]
    if known is None or name in known:
        return
    hint = nearest(name, list(known)) or f"; there is {', '.join(known) or 'none'}"
    article = "an" if kind is PauseKind.AIRFLOW else "a"
    raise BadFilter(f'"{name[:100]}" is not the name of {article} {kind}{hint}')


def is_gone(pause: Pause, names: Names) -> bool:
    """Whether the name of a pause is configured no more."""
    known = names[pause.kind]
    return known is not None and pause.name not in known


def _spelled(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds").replace("+00:00", "Z")
