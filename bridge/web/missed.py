"""What the admin API says of webhooks that never came: a page of Planasonix' jobs held against the store.

Nothing is stored, and the caller names no URL. One page at a time is asked for: else 429. An API that cannot answer is
503 with the reason.
"""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.flows.reconciling import Look
from bridge.rules import views
from bridge.rules.reconciling import Ended
from bridge.web.queries import refuse_unknown, time_range, words
from bridge.words.errors import BadFilter, TooMany

_DAY = timedelta(days=1)
_AGAIN_SECONDS = 1.0


class MissedApi:
    """The part of the admin API that asks Planasonix which jobs have ended."""

    def __init__(self, *, looks: Mapping[str, Look]) -> None:
        """`looks`: by source, of those that have an API."""
        self._looks = looks
        self._free = threading.Lock()

    def missed(self, *, query: Mapping[str, str], **_: Any) -> views.Json:
        """Return the jobs of one page that ended `since` (a day ago) `until` now, and whose webhook never came.

        Ask with the answer's `since`, `until` and `next` as `after` for the next page. `is_behind`: webhooks of the
        source wait for routing, and nobody knows yet what they tell; `has_types`: it tells of jobs;
        `stopped_types`: those in which it does so no more.
        """
        refuse_unknown(query, ("source", "since", "until", "after"))
        name, look = self._chosen(words(query, "source"))
        now = datetime.now(UTC)
        since, until = time_range(query)
        at = look.at(now, since=since or now - _DAY, until=until, cursor=query.get("after"))
        if not self._free.acquire(blocking=False):
            raise TooMany("looks at the jobs", _AGAIN_SECONDS)
        try:
            seen = look.types()
            missed, following = look.page(at, seen)
        finally:
            self._free.release()
        return {
            "source": name,
            "since": views.instant(at.begin),
            "until": views.instant(at.end),
            "is_behind": look.is_behind(now, at),
            "has_types": bool(seen),
            "stopped_types": look.stopped_types(),
            "missed": [_view(each) for each in missed],
            "next": following.cursor,
        }

    def _chosen(self, name: str | None) -> tuple[str, Look]:
        known = ", ".join(self._looks) or "none"
        if name is None and len(self._looks) == 1:
            return next(iter(self._looks.items()))
        if name is None or name not in self._looks:
            raise BadFilter(f"source: say which; with an `api` there is {known}")
        return name, self._looks[name]


def _view(ended: Ended) -> views.Json:
    about = ended.completion
    return {"job_id": about.id, "status": about.status, "type": ended.type, "ended_at": views.instant(ended.ended_at)}
