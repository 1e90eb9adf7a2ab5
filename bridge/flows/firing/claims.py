"""Claims what is due at one Airflow: the oldest first, and nothing of the routes that may start no more now."""

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

import structlog

from bridge.edges.inbox import Inbox, claiming
from bridge.words.model import Claimed
from bridge.words.reasons import Reason

HOLD_BATCH = 500
_log = structlog.get_logger("bridge.firing")


def claim_due(
    inbox: Inbox, *, airflow: str, now: datetime, lease: timedelta, limit: int, full: Collection[str]
) -> list[Claimed]:
    """Return up to `limit` claims under a fresh token. Raises InboxUnavailable.

    1. with full routes: read which others have something due, beside intake
    2. claim, in a transaction that looks at their rows alone
    """
    routes = None
    if full:
        routes = inbox.read(claiming.ready_routes, airflow=airflow, now=now, full=full, limit=limit)
        if not routes:
            return []
    token = secrets.token_hex(8)
    return inbox.write(
        claiming.claim, airflow=airflow, now=now, until=now + lease, token=token, limit=limit, routes=routes
    )


def hold_strays(inbox: Inbox, airflows: Collection[str]) -> None:
    """Hold what is for an Airflow that is not one of these, a batch of each, and say so. Raises InboxUnavailable."""
    for name in inbox.read(claiming.airflows_with_pending) - set(airflows):
        strays = inbox.write(claiming.hold, airflow=name, reason=Reason.UNKNOWN_AIRFLOW, limit=HOLD_BATCH)
        _log.error("unknown_airflow", airflow=name, triggers=strays, next_step=Reason.UNKNOWN_AIRFLOW.next_step)
