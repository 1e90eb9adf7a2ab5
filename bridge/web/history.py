"""What the JSON API answers about the last 24 hours."""

from typing import Any

from bridge.flows.counting import Counting
from bridge.rules import counts, views


class HistoryApi:
    """The part of the admin API that counts; methods as those of `Api`."""

    def __init__(self, *, counting: Counting) -> None:
        """`counting` knows what was counted before."""
        self._counting = counting

    def history(self, **_: Any) -> views.Json:
        """Return the last 24 hours, oldest first: accepted webhooks, and the triggers made then that fired or failed.

        `ready_seconds` is the median from a webhook to the end of its DAG run, of those that succeeded.
        """
        return {"hours": [counts.hour(each) for each in self._counting.day()]}
