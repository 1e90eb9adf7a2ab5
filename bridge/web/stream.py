"""What the admin API streams: new deliveries, and what becomes of them, as server-sent events.

Event `delivery`: `{"delivery": {...}, "triggers": [...]}`, as lists show them, each time that something changed. Event
`skipped`: some are left out, since more came than anybody could read. A reader that comes back with `Last-Event-ID`, or
`after`, first gets what came after that delivery; with `since`, what came since then. With `delivery_id` one delivery
is followed, whenever it came: first how it stands, then each change.
"""

from collections.abc import Callable, Mapping

from bridge.flows.tailing import Following, Heard, Listener, News, Tailing
from bridge.web.events import SKIPPED, EventStream, Mailbox, event
from bridge.web.queries import filter_of
from bridge.words.errors import BadFilter
from bridge.words.model import DeliveryState, Status, TriggerState
from bridge.words.roles import Caller

FILTERS = frozenset(
    {"state", "reason", "source", "status", "pipeline_id", "job_id", "run_id", "route", "dag_id", "airflow"}
    | {"delivery_id", "after", "since"}
)
_FROM = ("after", "since")
_OF_TRIGGERS = ("route", "dag_id", "airflow")


class StreamApi:
    """The part of the admin API that streams."""

    def __init__(self, *, tailing: Tailing) -> None:
        """`tailing` looks on."""
        self._tailing = tailing

    def stream(self, *, query: Mapping[str, str], caller: Caller, last_event_id: str | None = None) -> EventStream:
        """Stream new deliveries and what becomes of them, by `source`, `pipeline_id`, `dag_id`, `reason`, `state`, ...

        With `delivery_id`, of one delivery, whenever it came.

        Runs on the event loop. Raises BadFilter, NotThere and TooMany.
        """
        wanted = is_wanted(query)
        mailbox = Mailbox()

        def hear(heard: Heard) -> None:
            if chunk := _spelled(heard, wanted, sees_payloads=caller.sees_payloads):
                mailbox.put(chunk)

        given = filter_of(query, FILTERS)
        if given.delivery_id is not None:
            return self._follow(self._tailing.following(given.delivery_id), mailbox, hear)
        after, since = query.get("after", last_event_id), given.since
        missed = None if after is None and since is None else self._tailing.tail(after=after, since=since)
        listener = Listener(hear, mailbox.end)
        self._tailing.join(listener)
        return EventStream(
            mailbox,
            on_left=lambda: self._tailing.leave(listener),
            catch_up=None if missed is None else lambda: hear(missed.look()),
        )

    def _follow(self, following: Following, mailbox: Mailbox, hear: Callable[[Heard], None]) -> EventStream:
        """Stream what becomes of one delivery. Raises TooMany; catching up raises NotThere if it is not stored."""
        listener = Listener(hear, mailbox.end, following)
        self._tailing.join(listener)
        return EventStream(
            mailbox, on_left=lambda: self._tailing.leave(listener), catch_up=lambda: hear(following.begin())
        )


def is_wanted(query: Mapping[str, str]) -> Callable[[News], bool]:
    """Return whether a piece of news is what a filter means. Raises BadFilter."""
    given = filter_of(query, FILTERS)
    if given.delivery_id is not None and not query.keys().isdisjoint(_FROM):
        raise BadFilter("one delivery is followed whenever it came: leave since and after out")
    if given.state not in {*DeliveryState, *TriggerState, None}:
        raise BadFilter(f"no such state: {given.state}; there is {', '.join([*DeliveryState, *TriggerState])}")
    if given.status not in {*Status, None}:
        raise BadFilter(f"no such status of an event: {given.status}; there is {', '.join(Status)}")
    filters = {name: value for name, value in query.items() if name not in _FROM}
    return lambda news: all(value in _values(news, name) for name, value in filters.items())


def _values(news: News, name: str) -> set[str | None]:
    """Return what a delivery has under the name of a filter."""
    seen = news.seen
    if name in _OF_TRIGGERS:
        return {getattr(each, name) for each in seen.triggers}
    if name in ("state", "reason"):
        return {_text(getattr(each, name)) for each in (seen.delivery, *seen.triggers)}
    if name == "delivery_id":
        return {seen.delivery.id}
    return {seen.delivery.source if name == "source" else getattr(seen, name)}


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _spelled(heard: Heard, wanted: Callable[[News], bool], *, sees_payloads: bool) -> bytes:
    """Return what one reader gets of a look."""
    chunks = [
        event("delivery", each.full if sees_payloads else each.bare, id_=each.seen.delivery.id)
        for each in heard.news
        if wanted(each)
    ]
    return b"".join([SKIPPED, *chunks] if heard.is_cut else chunks)
