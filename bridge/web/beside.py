"""The store beside a command, asked with the words of the API: the same paths, filters and answers as over HTTP.

It answers what needs the store alone. Whoever can open the store may do what an admin may.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from bridge.edges.inbox import Inbox
from bridge.flows import attending
from bridge.flows.explaining import Around
from bridge.rules import attention, views
from bridge.rules.attention import Trouble
from bridge.rules.pauses import Names
from bridge.web.audit import AuditApi
from bridge.web.bodies import BodiesApi
from bridge.web.causes import CausesApi
from bridge.web.looks import LooksApi
from bridge.web.refusals import RefusalsApi
from bridge.web.why import WhyApi
from bridge.words.roles import Caller, Role


class Beside:
    """Answers as the admin API does, without a running bridge."""

    def __init__(
        self,
        inbox: Inbox,
        *,
        sources: Collection[str],
        actor: str,
        names: Callable[[], Names],
        troubles: Callable[[], Sequence[Trouble]],
        around: Around,
    ) -> None:
        """`sources`: the names of those that are configured here; `actor` is who asks, for the audit log.

        `names` returns what can be paused; `troubles` what is wrong with the files here; `around` what `why` needs.
        """
        self._caller = Caller(actor, Role.ADMIN)
        looks = LooksApi(inbox=inbox, sources=sources)
        self._answers: Mapping[str, Callable[..., views.Json]] = {
            "status": partial(_status, inbox, names, troubles),
            "deliveries": looks.deliveries,
            "deliveries/{id}": looks.delivery,
            "triggers": looks.triggers,
            "triggers/{id}": looks.trigger,
            "why/{id}": WhyApi(inbox=inbox, around=around).why,
            "causes": CausesApi(inbox=inbox).causes,
            "refusals": RefusalsApi(inbox=inbox).refusals,
            "bodies": BodiesApi(inbox=inbox, zones={}).bodies,
            "audit": AuditApi(inbox=inbox).audit,
        }

    def get(self, path: str, /, *ids: str, **query: str) -> dict[str, Any]:
        """Return what `GET /api/v1/path` would. Raises NotThere, BadFilter and InboxUnavailable."""
        answer = self._answers["/".join((path, *("{id}" for _ in ids)))]
        return answer(path=dict.fromkeys(("id",), ids[0]) if ids else {}, query=query, body=b"", caller=self._caller)


def _status(
    inbox: Inbox, names: Callable[[], Names], troubles: Callable[[], Sequence[Trouble]], **_: Any
) -> views.Json:
    needs = attending.needs(inbox, troubles=troubles(), names=names())
    return attention.view(needs) | attending.stored(inbox)
