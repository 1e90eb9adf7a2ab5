"""The examination of the whole way of a webhook, started from a page or the API and watched until it has ended.

    start    one at a time for this process: a thread of its own goes the way (flows/examining) and notes each step
    look     what the last one found so far; each replica has its own, and a restart forgets it

It sends a signed test event, which starts no DAG run, to the URL of the source's subscription, or to this bridge's own
port. A caller gives no URL: whoever may start an examination may not have the bridge post a signed event anywhere.
"""

import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from bridge.edges.inbox import Inbox, auditing
from bridge.edges.settings import Config
from bridge.flows.examining import Examined, examine
from bridge.rules import views
from bridge.rules.mapping import Mapping
from bridge.web.looks import LooksApi
from bridge.web.queries import json_object
from bridge.web.refusals import RefusalsApi
from bridge.web.status import StatusApi
from bridge.words.audit import EXAMINED, AuditLine
from bridge.words.findings import Finding, wrong
from bridge.words.roles import Caller, Role

_log = structlog.get_logger("bridge.examining")
_SELF = Caller("examination", Role.OPERATOR)


class ExaminingApi:
    """The part of the admin API that examines the whole way."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        config: Callable[[], Config],
        mapping: Callable[[], Mapping],
        here: str,
        disk: Path | None,
        status: StatusApi,
        looks: LooksApi,
        refusals: RefusalsApi,
    ) -> None:
        """`config` and `mapping` return those in use; `here`: the public listener's URL; `disk`: the store's folder."""
        self._inbox = inbox
        self._config = config
        self._mapping = mapping
        self._here, self._disk = here, disk
        self._status, self._looks, self._refusals = status, looks, refusals
        self._lock = threading.Lock()
        self._started_at: datetime | None = None
        self._ended_at: datetime | None = None
        self._found: list[Finding] = []

    def examination(self, **_: Any) -> views.Json:
        """Return the last examination of this process, step by step, as `doctor` prints it; it may still run."""
        with self._lock:
            return {
                "is_running": self._started_at is not None and self._ended_at is None,
                "started_at": views.instant(self._started_at),
                "ended_at": views.instant(self._ended_at),
                "findings": [asdict(item) for item in self._found],
            }

    def examine(self, *, caller: Caller, body: bytes = b"", **_: Any) -> views.Json:
        """Go the whole way of a webhook with a test event, which starts no DAG run; `GET` shows what is found.

        Raises InboxUnavailable: what cannot be audited is not begun.
        """
        json_object(body or b"{}")
        now = datetime.now(UTC)
        with self._lock:
            if self._started_at is None or self._ended_at is not None:
                self._inbox.write(auditing.append, [AuditLine(now, caller.name, EXAMINED, "the whole way")])
                self._started_at, self._ended_at, self._found = now, None, []
                threading.Thread(target=self._work, name="examination", daemon=True).start()
        return self.examination()

    def _work(self) -> None:
        try:
            what = Examined(
                config=self._config(),
                mapping=self._mapping(),
                base=None,
                here=self._here,
                ask=self._ask,
                disk=self._disk,
            )
            for finding in examine(what):
                self._note(finding)
        except Exception:  # noqa: BLE001 - whoever looks is told, whatever it is
            _log.exception("examination_failed")
            self._note(wrong("examination", "-", "it could not go on: a mistake of the bridge", "Look at its log."))
        finally:
            with self._lock:
                self._ended_at = datetime.now(UTC)

    def _note(self, finding: Finding) -> None:
        with self._lock:
            self._found.append(finding)

    def _ask(self, path: str, /, *ids: str, **query: str) -> views.Json:
        """Answer as the admin API does, in this process."""
        match path, ids:
            case "status", ():
                return self._status.status()
            case "refusals", ():
                return self._refusals.refusals(query=query)
            case "deliveries", ():
                return self._looks.deliveries(query=query, caller=_SELF)
            case "deliveries", (delivery_id,):
                return self._looks.delivery(path={"id": delivery_id}, caller=_SELF)
        raise AssertionError(path)
