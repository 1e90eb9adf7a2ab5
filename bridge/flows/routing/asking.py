"""What the Planasonix API says of the job or run of an event: one call for each, however many events and replicas.

1. reuse    what was answered for another event of the same job and end of it
2. claim    the job or run, in this process and, where replicas share the store, among them; not free: come back later
3. reuse    once more: it may have been answered meanwhile
4. ask      for the job; for the run if there is no job, or nobody knows it
5. let go   once what follows is stored

Asking twice is harmless, so a claim lapses by itself when its process dies.
"""

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from bridge.edges.inbox import Inbox, duties
from bridge.edges.inbox.answers import answers
from bridge.edges.planasonix import PlanasonixClient
from bridge.rules.event import Spelling, is_of_same_end
from bridge.words.errors import InboxUnavailable, LookupNotFound
from bridge.words.model import Event

_LATELY = timedelta(days=1)  # how a job ended does not change; another try of it is another end, or the same completion


class Asking:
    """The questions of this process; any thread."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        apis: Mapping[str, PlanasonixClient],
        lease_seconds: float,
        clock: Callable[[], datetime],
    ) -> None:
        """`apis` by source; `lease_seconds`: for how long a claim keeps other replicas away."""
        self._inbox, self._apis, self._clock = inbox, apis, clock
        self._lease_seconds = lease_seconds
        self._claimed: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def alone(self, source: str, event: Event) -> Iterator[bool]:
        """Claim what an event is about for the length of the block; False: somebody else asks for it now."""
        name, token = f"{duties.LOOKUP}{source}:{event.job_id or event.run_id}", secrets.token_hex(8)
        with self._lock:
            is_free = name not in self._claimed
            self._claimed.add(name)
        if not is_free:
            yield False
            return
        is_ours = False
        try:
            is_ours = not self._inbox.is_shared or self._take(name, token)
            yield is_ours
        finally:
            if is_ours and self._inbox.is_shared:
                with suppress(InboxUnavailable):  # then it lapses, as after a crash
                    self._inbox.write(duties.end, name, token=token)
            with self._lock:
                self._claimed.discard(name)

    def _take(self, name: str, token: str) -> bool:
        return self._inbox.write(duties.take, name, token=token, now=self._clock(), seconds=self._lease_seconds)

    def known(self, source: str, event: Event, spelling: Spelling) -> Mapping[str, Any] | None:
        """Return what was answered for another event, as it is stored; None: the API has to be asked."""
        names = [id_ for id_ in (event.job_id, event.run_id) if id_ is not None]
        found = self._inbox.read(answers, source=source, names=names, since=self._clock() - _LATELY)
        return next((each for each in found if is_of_same_end(event, each, spelling=spelling)), None)

    def ask(self, source: str, event: Event) -> Mapping[str, Any]:
        """Return what the API says, flat. Raises LookupNotFound, LookupUnavailable."""
        api = self._apis[source]
        if event.job_id is not None:
            try:
                return api.job(event.job_id)
            except LookupNotFound:
                if event.run_id is None:
                    raise
        return api.run(str(event.run_id))
