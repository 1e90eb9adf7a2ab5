"""What a person reads of drift: for a day as something to do, and then as a note. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from bridge.rules.need import Need
from bridge.words.drifts import Change, Drifted, DriftKind

_URGENT_FOR = timedelta(days=1)
_WORDS = {
    DriftKind.TYPE: "an event type",
    DriftKind.STATUS: "a status word",
    DriftKind.FIELD: "a field",
}
_SAYS = {
    Change.NEW: "has {what} that was never seen before",
    Change.GONE: "had {what} in all of its bodies that is gone",
}
_TYPE_GONE = "sent an event type all the time that comes no more"
_LIMIT = "has more fields, types and status words than are learned; new ones are not said any more"
_FITS = (
    "Look at the delivery, and whether the mapping and `body:` of the source still fit it: `explain --delivery {id}`."
)
_SUBSCRIBED = "Look at the subscription: `planasonix-bridge subscriptions`. The delivery is the last of that type."
_FREE = "Nothing, if the sender makes up names of fields. Else look at the delivery."


def needs(drifts: Iterable[Drifted], now: datetime) -> Iterator[Need]:
    """Return a line for each source, kind and change."""
    for each in drifts:
        says, step = _words(each)
        yield Need(
            what="drift",
            about=f"{each.source}, {each.change} {each.kind}",
            says=f"source {each.source} {says}" + (f" ({each.path})" if each.path else ""),
            next_step=step.format(id=each.delivery_id),
            since=each.oldest_at,
            count=each.count,
            example=each.delivery_id,
            filter={"source": each.source},
            is_note=each.newest_at < now - _URGENT_FOR,
            newest=each.newest_at,
        )


def _words(each: Drifted) -> tuple[str, str]:
    if each.kind is DriftKind.LIMIT:
        return _LIMIT, _FREE
    if (each.kind, each.change) == (DriftKind.TYPE, Change.GONE):
        return _TYPE_GONE, _SUBSCRIBED
    return _SAYS[each.change].format(what=_WORDS[each.kind]), _FITS
