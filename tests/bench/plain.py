"""`serve` with some tricks of the fast path replaced by the plain way, to measure what each of them buys.

`python -m tests.bench.plain TRICK...`: what PLAIN names is replaced in this process, before anything is built.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from bridge.cli import main
from bridge.edges.inbox.engine import batches, intake
from bridge.flows.routing import Router
from bridge.web.server.guard import GuardedProtocol


def _without_take() -> None:
    """Answer every request by an ASGI task."""
    GuardedProtocol._answer = lambda self, cycle: self._start_asgi_task(cycle, self.app)


class _Unfolded(intake.Intake):
    """Keeps no key in memory."""

    def insert(self, rows: Sequence[intake.Row]) -> list[intake.Stored]:
        outcome = super().insert(rows)
        if keys := sorted(self._uncommitted.items()):
            marks = ",".join(["(?,?)"] * len(keys))
            statement = f"INSERT OR REPLACE INTO dedup VALUES {marks}"  # noqa: S608
            self._driver.execute(statement, tuple(chain.from_iterable(keys)))
        return outcome

    def committed(self) -> None:
        self._uncommitted.clear()


def _without_fold() -> None:
    """File every key in the transaction of its delivery."""
    batches.Intake = _Unfolded


def _without_routing() -> None:
    """Leave what is stored where it is: no trick, but what would hide one."""
    Router.step = _nothing
    Router.wake = _nothing


def _nothing(_: Router) -> None:
    """Do nothing."""


PLAIN: Mapping[str, Callable[[], None]] = {
    "take": _without_take,
    "fold": _without_fold,
    "routing": _without_routing,
}

if __name__ == "__main__":
    for trick in sys.argv[1:]:
        PLAIN[trick]()
    sys.argv[1:] = ["serve"]
    main()
