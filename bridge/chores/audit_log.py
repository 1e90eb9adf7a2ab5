"""Writes to the audit log what no transaction of its own does: sign-ins, those that failed, and a mapping that changed.

    let_in, refuse   only remember, in bounded memory: they run on the event loop
    step             writes what is remembered; what cannot be written is kept for the next step

A flood of wrong tokens must not fill the log: an address has one line a minute at most for each way to fail, with the
count, and so have all addresses together that are too many to remember. A token has one line a day for each address
that uses it; a person has one for each sign-in.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, auditing
from bridge.edges.metrics import Metrics
from bridge.words.audit import SIGN_IN_FAILED, SIGNED_IN, AuditLine
from bridge.words.errors import InboxUnavailable

_EVERY_SECONDS = 5.0
_FAILURE_SECONDS = 60.0  # between two lines of one address
_AGAIN_SECONDS = 86_400.0
_MOST_ADDRESSES = 64
_MOST_PAIRS = 1024  # of a token and an address
_OTHERS = "other addresses"
_NOBODY, _WRONG_TOKEN = "unknown", "a wrong token"
_Failure = tuple[str, str, str]  # actor, address, and what was wrong


class AuditLog:
    """What is to be written; `refuse` and `let_in` may run in any thread."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        metrics: Metrics,
        mapping: Callable[[], tuple[str, int, datetime]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`mapping` returns digest, number of routes and loading of the mapping in use."""
        self._inbox = inbox
        self._mapping = mapping
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures: dict[_Failure, int] = {}
        self._failures_at = -_FAILURE_SECONDS
        self._sign_ins: list[AuditLine] = []
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._recorded = ""
        self.loop = Loop(
            "audit_log", self.step, every_seconds=_EVERY_SECONDS, metrics=metrics, on_stopped=lambda _: self._end()
        )

    def refuse(self, address: str, what: str = _WRONG_TOKEN, *, actor: str = _NOBODY) -> None:
        """Remember that somebody there could not sign in; `what` was wrong is one of few sentences."""
        failure = (actor, address, what)
        with self._lock:
            is_known = failure in self._failures or len(self._failures) < _MOST_ADDRESSES
            known = failure if is_known else (_NOBODY, _OTHERS, what)
            self._failures[known] = self._failures.get(known, 0) + 1
        if self._is_due():
            self.loop.wake()

    def let_in(self, name: str, address: str) -> None:
        """Remember that a token was used there, unless it was within a day."""
        now = self._monotonic()
        with self._lock:
            last = self._seen.get((name, address))
            if last is not None and now - last < _AGAIN_SECONDS:
                return
            self._seen[name, address] = now
            self._seen.move_to_end((name, address))
            if len(self._seen) > _MOST_PAIRS:
                self._seen.popitem(last=False)
            if len(self._sign_ins) < _MOST_PAIRS:
                self._sign_ins.append(AuditLine(self._clock(), name, SIGNED_IN, address))
        self.loop.wake()

    def sign_in(self, name: str, address: str) -> None:
        """Remember that a person signed in there, each time."""
        with self._lock:
            self._seen[name, address] = self._monotonic()
            if len(self._sign_ins) < _MOST_PAIRS:
                self._sign_ins.append(AuditLine(self._clock(), name, SIGNED_IN, address))
        self.loop.wake()

    def step(self) -> None:
        """Write what is remembered. Raises InboxUnavailable; then it stays remembered."""
        digest, routes, loaded_at = self._mapping()
        if digest != self._recorded:
            self._inbox.write(auditing.append_mapping, at=loaded_at, digest=digest, reason=f"{routes} routes")
            self._recorded = digest
        self._write(with_failures=self._is_due())

    def _write(self, *, with_failures: bool) -> None:
        with self._lock:
            sign_ins, failures = list(self._sign_ins), dict(self._failures) if with_failures else {}
        now = self._clock()
        lines = [*sign_ins, *(_failed(now, failure, amount) for failure, amount in failures.items())]
        if not lines:
            return
        self._inbox.write(auditing.append, lines)
        with self._lock:
            del self._sign_ins[: len(sign_ins)]
            rest = {failure: amount - failures.get(failure, 0) for failure, amount in self._failures.items()}
            self._failures = {failure: amount for failure, amount in rest.items() if amount}
        if failures:
            self._failures_at = self._monotonic()

    def _is_due(self) -> bool:
        return self._monotonic() - self._failures_at >= _FAILURE_SECONDS

    def _end(self) -> None:
        with suppress(InboxUnavailable):
            self._write(with_failures=True)


def _failed(at: datetime, failure: _Failure, amount: int) -> AuditLine:
    actor, address, what = failure
    return AuditLine(at, actor, SIGN_IN_FAILED, address, what if amount == 1 else f"{what}, {amount} times")
