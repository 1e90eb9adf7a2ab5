"""What the JSON API answers about what needs a person: failed, held and failed runs, grouped by their cause."""

from collections.abc import Mapping
from typing import Any

from bridge.edges.inbox import Inbox, grouping
from bridge.rules import causes, views
from bridge.web.queries import filter_of


class CausesApi:
    """The part of the admin API that groups; methods as those of `Api`."""

    def __init__(self, *, inbox: Inbox) -> None:
        """Reads the store, and nothing else."""
        self._inbox = inbox

    def causes(self, *, query: Mapping[str, str], **_: Any) -> views.Json:
        """Return failed and held triggers and failed DAG runs by reason, route, DAG and Airflow, the largest first.

        `filter` of a group is what `replay` and `cancel` take. `count` is that of all groups, `left_out` how many
        smaller ones are not shown. `is_whole` is false where only the newest are counted.
        """
        return causes.view_all(self._inbox.read(grouping.causes, wanted=filter_of(query, grouping.FILTERS)))
