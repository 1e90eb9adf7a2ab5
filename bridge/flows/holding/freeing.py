"""What is held for DAGs goes on when they are back, and ends when that takes too long.

A DAG that is back is in the store (`freed`, the last trigger that was looked at), so a restart or another replica goes
on where this one stopped. In pages, oldest first, each in one transaction that moves `freed`:

    1. wait      while many of those that were set free have not had their turn: others must have theirs
    2. read      the next page of what is held for the DAG; a paused one frees nothing that waits for its unpausing
    3. place     each takes a place of its route's hourly ceiling before it is set free. What was made within the hour
                 has its own; a place that was not used is given back
    4. free      due now, in their order; firing does the rest at the usual pace

Of those of which the route wants the latest (`release: latest`), only the newest that stands is set free. The others
wait behind it (`Awaits.NEWER`), and each step looks at them again: once it is fired they are cancelled, and if it fails
or is cancelled the next newest goes. So the newest that can run does run.

What was held for `hold_at_most` by the clock of its DAG fails; a day before that it is warned of. A warning always
comes first, so nothing fails within a day of a start.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from bridge.edges.inbox import Inbox, holds
from bridge.edges.inbox.engine.ids import number
from bridge.edges.inbox.holds import Change, HeldRow, StepRow
from bridge.edges.metrics import Metrics
from bridge.rules import holding
from bridge.rules.ceiling import HOUR_SECONDS, Start
from bridge.words.dags import GONE, DagState, KnownDag
from bridge.words.holds import Awaits
from bridge.words.model import TriggerState
from bridge.words.reasons import Reason

_PAGE = 50
_CROWD = 100
_NAMED = 10  # ids in one line of the log
_HOUR = timedelta(seconds=HOUR_SECONDS)
_WARNED, _NEW = 1, 0  # steps of a hold
TakePlace = Callable[[str, datetime], Start | None]  # when a route may start its next trigger; None: it has no ceiling
_log = structlog.get_logger("bridge.holding")


class Freeing:
    """Sets free and ends what is held."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        metrics: Metrics,
        take_place: TakePlace,
        give_back: Callable[[Iterable[Start]], None],
        on_freed: Callable[[], None],
        beat: Callable[[], None],
    ) -> None:
        """`on_freed` wakes firing; `beat` is called between two pages."""
        self._inbox, self._metrics = inbox, metrics
        self._take_place, self._give_back = take_place, give_back
        self._on_freed, self._beat = on_freed, beat
        self._in_line: dict[tuple[str, str], set[str]] = {}  # by DAG: set free, perhaps not yet fired
        self._behind: dict[tuple[str, str], int] = {}  # by DAG: how far those behind a newer one were looked at

    def free(self, dag: KnownDag, now: datetime) -> bool:
        """Set one page free; returns whether more is to be done for this DAG. Raises InboxUnavailable."""
        if dag.freed is None or dag.state in GONE:
            return False
        if self._is_crowded(dag, now):
            return True
        awaits = (Awaits.THERE, Awaits.UNPAUSED) if dag.state is DagState.OK else (Awaits.THERE,)
        rows = self._page(dag, awaits, dag.freed)
        upto = number(rows[-1].id, "trg") if len(rows) == _PAGE else None
        self._apply(dag, rows, now, after=dag.freed, upto=upto)
        return upto is not None

    def look_behind(self, dag: KnownDag, now: datetime) -> bool:
        """Look at one page of what waits behind a newer trigger; returns whether something changed.

        Raises InboxUnavailable.
        """
        key = (dag.airflow, dag.dag_id)
        if dag.state in GONE or self._is_crowded(dag, now):
            return False
        rows = self._page(dag, (Awaits.NEWER,), self._behind.get(key, 0))
        self._behind[key] = number(rows[-1].id, "trg") if len(rows) == _PAGE else 0
        moving = [row for row in rows if row.newer is None or row.newer.is_fired]
        return bool(moving) and self._apply(dag, moving, now)

    def end(self, dag: KnownDag, now: datetime) -> None:
        """Fail what was held for too long, and warn of what will be. Raises InboxUnavailable."""
        if dag.freed is not None:  # it is back
            return
        while rows := self._steps(dag, _WARNED):
            failed, doubted = self._inbox.write(holds.end, rows, now=now)
            self._report_failed(dag, failed)
            if not failed and not doubted:
                break
        while rows := self._steps(dag, _NEW):
            steps = [(row, dag.away_seconds + holding.warned_before(row.hold_seconds)) for row in rows]
            if not self._inbox.write(holds.warn, steps):
                break
            _warn(dag, rows)

    def _page(self, dag: KnownDag, awaits: Collection[Awaits], after: int) -> list[HeldRow]:
        return self._inbox.read(
            holds.page, airflow=dag.airflow, dag_id=dag.dag_id, awaits=awaits, after=after, limit=_PAGE
        )

    def _steps(self, dag: KnownDag, step: int) -> list[StepRow]:
        self._beat()
        clock = dag.away_seconds
        return self._inbox.read(
            holds.steps, airflow=dag.airflow, dag_id=dag.dag_id, clock=clock, step=step, limit=_PAGE
        )

    def _is_crowded(self, dag: KnownDag, now: datetime) -> bool:
        key = (dag.airflow, dag.dag_id)
        if waiting := self._in_line.pop(key, None):
            self._in_line[key] = self._inbox.read(holds.still_due, waiting, now=now)
        return len(self._in_line.get(key, ())) >= _CROWD

    def _apply(
        self, dag: KnownDag, rows: Sequence[HeldRow], now: datetime, after: int | None = None, upto: int | None = None
    ) -> bool:
        """Take places, then change rows, and give back the places that were not used; `after` and `upto` move `freed`.

        Returns whether something was changed.
        """
        starts: dict[str, Start] = {}
        done: list[Change] | None = None
        try:
            changes = [self._placed(row, now + at * timedelta(microseconds=1), starts) for at, row in enumerate(rows)]
            if after is None:
                done = self._inbox.write(holds.change, changes, now=now)
            else:
                where = {"airflow": dag.airflow, "dag_id": dag.dag_id}
                done = self._inbox.write(holds.free, changes, after=after, upto=upto, now=now, **where)
        finally:
            used = {each.row.id for each in done or ()}
            self._give_back([start for id_, start in starts.items() if id_ not in used])
        if done:
            self._report(dag, done)
        return bool(done)

    def _placed(self, row: HeldRow, due_at: datetime, starts: dict[str, Start]) -> Change:
        """Return what becomes of a row; it takes a place of the ceiling if it is set free and has none of its own."""
        if row.newer is not None and not (row.newer.is_fired and row.is_doubted):
            return Change(row)  # one that is doubted and superseded is left to firing, which finds out
        start = self._take_place(row.route, due_at) if row.asked_at <= due_at - _HOUR else None
        if start is None:
            return Change(row, due_at)
        starts[row.id] = start
        at = datetime.fromtimestamp(start.at, UTC) if start.is_later else due_at
        return Change(row, at, is_behind_ceiling=start.is_later)

    def _report(self, dag: KnownDag, done: Sequence[Change]) -> None:
        superseded = [each for each in done if each.is_superseded]
        for each in superseded:
            self._metrics.count_ended(each.row.route, TriggerState.CANCELLED, Reason.SUPERSEDED)
        freed = [each.row.id for each in done if each.due_at is not None]
        self._in_line.setdefault((dag.airflow, dag.dag_id), set()).update(freed)
        _log.info("dag_back", airflow=dag.airflow, dag_id=dag.dag_id, freed=len(freed), superseded=len(superseded))
        self._on_freed()

    def _report_failed(self, dag: KnownDag, failed: Sequence[StepRow]) -> None:
        for row in failed:
            self._metrics.count_ended(row.route, TriggerState.FAILED, Reason.HELD_TOO_LONG)
        if failed:
            _log.error("held_too_long", **_described(dag, failed), next_step=Reason.HELD_TOO_LONG.next_step)


def _warn(dag: KnownDag, rows: Sequence[StepRow]) -> None:
    hours = round(min(holding.warned_before(row.hold_seconds) for row in rows) / 3600, 1)
    next_step = "bring the DAG back, or replay the triggers to hold them for as long again"
    _log.warning("hold_ends", **_described(dag, rows), fail_in_hours=hours, next_step=next_step)


def _described(dag: KnownDag, rows: Sequence[StepRow]) -> dict[str, object]:
    return {
        "airflow": dag.airflow,
        "dag_id": dag.dag_id,
        "dag_state": str(dag.state),
        "triggers": len(rows),
        "first": [row.id for row in rows[:_NAMED]],
    }
