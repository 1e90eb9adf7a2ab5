"""What the JSON API answers to whoever asks whether a run of Planasonix has ended; it may wait for the answer.

While it waits it holds its connection, and nothing else.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from starlette.types import Receive

from bridge.flows.telling import Asker, Telling
from bridge.rules import views
from bridge.rules.telling import Answer, Question
from bridge.web.leaving import wait_for_leaving
from bridge.web.queries import refuse_unknown, time_range, words
from bridge.words.errors import BadFilter

MOST_SECONDS = 30
QUERY = ("run", "pipeline", "source", "since", "after", "wait")
_SLACK = timedelta(minutes=5)  # between the clock of who asks and ours
_OLDEST = timedelta(hours=2)  # of what is news of a pipeline


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and how many seconds to wait for its answer."""

    question: Question
    seconds: int


class TellingApi:
    """The part of the admin API that tells of ends."""

    def __init__(self, *, telling: Telling) -> None:
        """`telling` looks on."""
        self._telling = telling

    def completion(self, query: Mapping[str, str]) -> Asked:
        """Return whether `?run=...` of Planasonix has `ended`, with its status; `look`: perhaps; `open`: not known.

        `wait=30` waits so many seconds for it at most. With `pipeline=...`, events of it that name no run make it
        `look`, those since `since` and not of delivery `after`; `source=...`: of this source only.
        """
        refuse_unknown(query, QUERY)
        run, pipeline, source, after = (words(query, name) or None for name in ("run", "pipeline", "source", "after"))
        if run is None and pipeline is None:
            raise BadFilter("send run=... or pipeline=...")
        now, (since, _) = datetime.now(UTC), time_range(query)
        since = max((since or now) - _SLACK, now - _OLDEST)
        return Asked(Question(run, pipeline, source, since, after), _seconds(query.get("wait", "0")))

    def look(self, asked: Asked) -> Answer:
        """Return what is known now. Runs in a thread. Raises InboxUnavailable."""
        return self._telling.look(asked.question)

    async def wait(self, asked: Asked, receive: Receive) -> Answer | None:
        """Return what comes, or that nothing did; None if the client left. Runs on the event loop. Raises TooMany."""
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[Answer] = loop.create_future()

        def note(answer: Answer) -> None:
            if not heard.done():
                heard.set_result(answer)

        def hear(answer: Answer) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(note, answer)

        asker = Asker(asked.question, hear)
        self._telling.join(asker)
        leaving = asyncio.ensure_future(wait_for_leaving(receive))
        try:
            await asyncio.wait((heard, leaving), timeout=asked.seconds, return_when=asyncio.FIRST_COMPLETED)
            if heard.done():
                return heard.result()
            return None if leaving.done() else Answer()
        finally:  # the task may have been cancelled, too
            self._telling.leave(asker)
            leaving.cancel()


def shown(answer: Answer) -> views.Json:
    """Return an answer as JSON."""
    return {"outcome": str(answer.verdict), "delivery_id": answer.delivery_id, "status": answer.status}


def _seconds(text: str) -> int:
    if not text.isdecimal() or len(text) > len(str(MOST_SECONDS)) or int(text) > MOST_SECONDS:
        raise BadFilter(f"wait must be 0 to {MOST_SECONDS} seconds")
    return int(text)
