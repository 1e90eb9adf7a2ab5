"""What the JSON API answers to whoever waits for DAG runs to end. It answers at once; who waits asks again."""

from collections.abc import Mapping
from typing import Any

from bridge.edges.inbox import Inbox
from bridge.flows import awaiting
from bridge.rules import views
from bridge.web.queries import waited_for


class WaitingApi:
    """The part of the admin API that says how a wait stands; methods as those of `Api`."""

    def __init__(self, *, inbox: Inbox) -> None:
        """Reads the store, and nothing else."""
        self._inbox = inbox

    def wait(self, *, query: Mapping[str, str], **_: Any) -> views.Json:
        """Return how `?delivery=...`, `?trigger=...` or `?job=...&since=...` stands: `open`, `success` or `failed`.

        It answers at once; `planasonix-bridge wait --url` asks again and again. `since` is a day ago unless given.
        """
        wanted = waited_for(query)
        if wanted.delivery_id is not None:
            return views.judgement(awaiting.of_delivery(self._inbox, wanted.delivery_id)())
        if wanted.trigger_id is not None:
            return views.judgement(awaiting.of_trigger(self._inbox, wanted.trigger_id))
        return views.judgement(awaiting.of_told_job(self._inbox, str(wanted.job_id), since=wanted.since))
