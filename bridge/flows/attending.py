"""Look at everything that may need a person, and say what does: for the API, the command line and the pages.

What the store knows is read here; what only a running service or a look at the files tells (`troubles`) is given.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from bridge.edges.inbox import Inbox, browsing, dags, grouping, pauses
from bridge.rules import attention, views
from bridge.rules.attention import Facts, Need, Trouble
from bridge.rules.pauses import Names, is_gone
from bridge.words.pauses import PauseKind


def needs(
    inbox: Inbox, *, troubles: Sequence[Trouble] = (), names: Names | None = None, now: datetime | None = None
) -> list[Need]:
    """Return what needs a person; nothing: all is well. `names`: what is configured. Raises InboxUnavailable."""
    at = now or datetime.now(UTC)
    found = inbox.read(pauses.read).at(at).all
    # What was said of the DAGs of an Airflow that was taken out of bridge.yaml stays in the store.
    configured = None if names is None else names[PauseKind.AIRFLOW]
    facts = Facts(
        now=at,
        groups=inbox.read(grouping.causes, wanted=browsing.Filter()).groups,
        odd=inbox.read(grouping.odd, since=at - attention.DELIVERIES_FOR),
        waiting=inbox.read(browsing.backlog),
        refused=inbox.read(grouping.refused, since=at - attention.REFUSALS_FOR),
        dags=[dag for dag in inbox.read(dags.known) if configured is None or dag.airflow in configured],
        pauses=[(pause, names is not None and is_gone(pause, names)) for pause in found],
        troubles=troubles,
    )
    return attention.needs(facts)


def stored(inbox: Inbox) -> views.Json:
    """Return what the store alone tells: what waits, what ended oddly, and when each source was last heard of."""
    waiting = inbox.read(browsing.waiting)
    return {
        "waiting": {
            str(name): {"count": count, "oldest": views.instant(oldest)} for name, (count, oldest) in waiting.items()
        },
        "ended": dict(inbox.read(browsing.odd)),
        "sources": [
            {"name": name, "last_delivery": views.instant(at)}
            for name, at in sorted(inbox.read(browsing.last_deliveries).items())
        ],
    }
