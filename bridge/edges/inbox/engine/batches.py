"""The writer's transaction on SQLite: webhooks and jobs together, spelled out in the driver's own statements.

A job that fails is rolled back alone (savepoint); webhooks that fail together are tried again row by row, so that
one poison row cannot refuse its neighbours.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection

from bridge.edges.inbox.engine.causes import cause
from bridge.edges.inbox.engine.intake import Intake, Row, Seal, Stored
from bridge.words.errors import BridgeError, InboxUnavailable

Work = Callable[[Connection], Any]
Result = tuple[Any, Exception | None]


class Job:
    """A function that runs inside the writer's transaction, and what came of it: known before COMMIT, valid after."""

    __slots__ = ("result", "work")

    def __init__(self, work: Work) -> None:
        """Nothing has run yet."""
        self.work = work
        self.result: Result = (None, None)


class SqliteBatches:
    """Batches on the one writing connection of a SQLite file."""

    def __init__(self, connection: Connection, new_id: Callable[[], int], seal: Seal | None = None) -> None:
        """`connection` begins no transaction by itself."""
        self._connection = connection
        self._driver: Any = connection.connection.driver_connection
        self._intake = Intake(self._driver, new_id, seal)
        self.waits = self._intake.waits
        self.fold = self._intake.fold

    def write(self, rows: Sequence[Row], jobs: Sequence[Job] = ()) -> list[Stored | Exception]:
        """Store webhooks, then run the jobs, each in a savepoint, then COMMIT; returns an outcome for each webhook."""
        self._driver.execute("BEGIN IMMEDIATE")
        stored = self._insert(rows)
        for job in jobs:
            job.result = self._savepoint(job.work)
        self._driver.execute("COMMIT")
        self._intake.committed()
        return stored

    def mend(self) -> None:
        """Undo what a failed write left open, if anything."""
        self._intake.rolled_back()
        if self._driver.in_transaction:
            self._driver.execute("ROLLBACK")

    def _insert(self, rows: Sequence[Row]) -> list[Stored | Exception]:
        if not rows:
            return []
        self._driver.execute("SAVEPOINT intake")
        try:
            outcome: list[Stored | Exception] = list(self._intake.insert(rows))
        except Exception:  # noqa: BLE001 - one bad row must not refuse its neighbours
            self._driver.execute("ROLLBACK TO intake")
            self._intake.rolled_back()
            outcome = [self._insert_alone(row) for row in rows]
        self._driver.execute("RELEASE intake")
        return outcome

    def _insert_alone(self, row: Row) -> Stored | Exception:
        stored, failure = self._savepoint(lambda _: self._intake.insert([row])[0])
        if failure is not None:
            self._intake.forget(row)
            return failure
        return stored  # type: ignore[no-any-return]

    def _savepoint(self, work: Work) -> Result:
        """Run one function; undo it alone if it fails."""
        self._driver.execute("SAVEPOINT job")
        try:
            result = work(self._connection)
        except Exception as error:  # noqa: BLE001 - handed to whoever asked for the job
            self._driver.execute("ROLLBACK TO job")
            self._driver.execute("RELEASE job")
            return None, error if isinstance(error, BridgeError) else InboxUnavailable(cause(error))
        self._driver.execute("RELEASE job")
        return result, None
