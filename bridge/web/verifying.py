"""What the admin API streams of a comparison with Airflow: how far it is, and in the end the report.

It may take minutes, so it runs in a thread of its own, one at a time, and ends when nobody waits for it any more.

    progress   {"step", "done", "total"}, twice a second at most
    report     what was compared, and what is off: the first thousand findings; `is_cut`: there are more
    failed     {"detail"}: it could not be done
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta

import structlog

from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox
from bridge.edges.inbox.callers import check_wanted, while_wanted
from bridge.flows.verifying import verify
from bridge.rules import views
from bridge.web.events import EventStream, Mailbox, event
from bridge.web.queries import refuse_unknown, time_range
from bridge.words.errors import BridgeError, TooMany
from bridge.words.roles import Caller

FINDINGS = 1000
_DAY = timedelta(days=1)
_LONGEST_SECONDS = 3600.0
_TOLD_SECONDS = 0.5
_AGAIN_SECONDS = 5.0
_log = structlog.get_logger("bridge.verifying")


class VerifyingApi:
    """The part of the admin API that compares."""

    def __init__(
        self, *, inbox: Inbox, airflows: Mapping[str, Airflow], dags: Callable[[], Mapping[str, Collection[str]]]
    ) -> None:
        """`dags` returns those that the mapping names, by Airflow."""
        self._inbox = inbox
        self._airflows = airflows
        self._dags = dags
        self._free = threading.Lock()

    def stream(self, *, query: Mapping[str, str], caller: Caller, last_event_id: str | None = None) -> EventStream:  # noqa: ARG002 - as other streams are asked
        """Compare every webhook acknowledged `since` (a day ago) with the DAG runs that Airflow has; changes nothing.

        Streams `progress`, and in the end a `report`. One at a time: else 429.
        """
        refuse_unknown(query, ("since",))
        since = time_range(query)[0] or datetime.now(UTC) - _DAY
        mailbox, is_unwanted = Mailbox(), threading.Event()
        if not self._free.acquire(blocking=False):
            raise TooMany("comparisons", _AGAIN_SECONDS)
        work = threading.Thread(target=self._work, args=(mailbox, is_unwanted, since), name="verify", daemon=True)
        work.start()
        return EventStream(mailbox, on_left=is_unwanted.set, longest_seconds=_LONGEST_SECONDS)

    def _work(self, mailbox: Mailbox, is_unwanted: threading.Event, since: datetime) -> None:
        try:
            with while_wanted(lambda: not is_unwanted.is_set()):
                report = verify(
                    self._inbox,
                    self._airflows,
                    since=since,
                    now=datetime.now(UTC),
                    dags=self._dags(),
                    tell=_teller(mailbox),
                )
            shown = views.report(report)
            cut = {"findings": shown["findings"][:FINDINGS], "is_cut": len(shown["findings"]) > FINDINGS}
            mailbox.put(event("report", views.dump(shown | cut)))
        except BridgeError as error:
            mailbox.put(event("failed", views.dump({"detail": str(error)})))
        except Exception:  # noqa: BLE001 - whoever waits is told, whatever it is
            _log.exception("verify_failed")
            mailbox.put(event("failed", views.dump({"detail": "a mistake of the bridge: its log has more"})))
        finally:
            self._free.release()
            mailbox.end()


def _teller(mailbox: Mailbox) -> Callable[[str, int, int], None]:
    """Return what says how far it is; raises InboxUnavailable when nobody waits any more."""
    told_at: float | None = None

    def tell(step: str, done: int, total: int) -> None:
        nonlocal told_at
        check_wanted()
        now = time.monotonic()
        if told_at is None or now - told_at >= _TOLD_SECONDS:
            told_at = now
            mailbox.put(event("progress", views.dump({"step": step, "done": done, "total": total})))

    return tell
