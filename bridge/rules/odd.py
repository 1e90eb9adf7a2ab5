"""What a person has to do about deliveries that start nothing, and that no mapping can help. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from bridge.rules.need import Need
from bridge.words.causes import LOOKUPS_GIVEN_UP, Odd, Refused
from bridge.words.model import DeliveryState
from bridge.words.reasons import Reason
from bridge.words.refusals import RefusalKind

# For so long after they were judged so. What was given up is seen for some days: it waited for a day already.
SHOWN_FOR, GIVEN_UP_FOR = timedelta(days=1), timedelta(days=7)
_OWN_WORDS = frozenset({Reason.SAME_EVENT, Reason.STATUS_UNKNOWN, *LOOKUPS_GIVEN_UP})


def needs(found: Iterable[Odd], now: datetime) -> Iterator[Need]:
    """Return a line for each state, reason and source, if the newest of them is new enough."""
    for each in found:
        is_given_up = each.reason in LOOKUPS_GIVEN_UP
        if each.newest_at >= now - (GIVEN_UP_FOR if is_given_up else SHOWN_FOR):
            yield Need(
                what=str(each.reason if each.reason in _OWN_WORDS else each.state),
                about=f"{each.source}, {each.state}" if is_given_up else each.source,
                says=f"deliveries of source {each.source} {_outcome(each)}"
                + (f": {each.reason.why}" if each.reason else ""),
                next_step=each.reason.next_step if each.reason else "Look at one of them.",
                since=each.oldest_at,
                count=each.count,
                reason=None if each.reason is None else str(each.reason),
                example=each.example,
                filter={"state": str(each.state), "source": each.source}
                | ({"reason": str(each.reason)} if each.reason else {}),
                newest=each.newest_at,
            )


def _outcome(each: Odd) -> str:
    """A delivery that is `routed` is odd only if some routes could not be judged."""
    return "may start fewer DAG runs than they should" if each.state is DeliveryState.ROUTED else "start nothing"


def copies(found: Iterable[Refused]) -> Iterator[Need]:
    """Return a line for each source and reason of copies that may have been another event, and started nothing."""
    for each in found:
        reason = Reason.of(each.reason)
        yield Need(
            what=each.reason,
            about=each.source,
            says=f"webhooks of source {each.source} were taken for copies: {reason.why}",
            next_step=reason.next_step,
            since=each.oldest_at,
            count=each.count,
            reason=each.reason,
            example=each.example,
            filter={"kind": str(RefusalKind.DOUBTFUL), "source": each.source, "reason": each.reason},
            newest=each.newest_at,
        )
