"""The store beside a command, asked with the words of the API: the same paths, filters and answers as over HTTP.

It answers what needs the store alone. Whoever can open the store may do what an admin may. What is ordered here is
worked on by whoever ordered it.
"""

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from bridge.edges.inbox import Inbox
from bridge.flows import attending, ordering
from bridge.flows.explaining import Around
from bridge.flows.ordering import OrdersBeside
from bridge.flows.pausing import PausingBeside
from bridge.flows.tailing import EVERY_SECONDS, Following, Tail
from bridge.rules import attention, views
from bridge.rules.event import Spelling
from bridge.rules.mapping import Route
from bridge.rules.pauses import Names
from bridge.rules.troubles import Trouble
from bridge.web.audit import AuditApi
from bridge.web.bodies import BodiesApi
from bridge.web.causes import CausesApi
from bridge.web.erasing import ErasingApi
from bridge.web.exporting import ExportingApi
from bridge.web.looks import LooksApi
from bridge.web.orders import OrdersApi
from bridge.web.pauses import PausesApi
from bridge.web.queries import filter_of
from bridge.web.refusals import RefusalsApi
from bridge.web.replicas import ReplicasApi
from bridge.web.stream import FILTERS, is_wanted
from bridge.web.waiting import WaitingApi
from bridge.web.why import WhyApi
from bridge.words.pauses import PauseKind
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
        routes: Callable[[], Collection[Route]],
        around: Around,
        spellings: Mapping[str, Spelling] | None = None,
    ) -> None:
        """`sources`: the names of those that are configured here; `actor` is who asks, for the audit log.

        `names` returns what can be paused, `troubles` what is wrong with the files here; `spellings` is for erasing.
        """
        self._caller = Caller(actor, Role.ADMIN)
        self._inbox, self._names, self._link = inbox, names, around.link
        looks = LooksApi(inbox=inbox, sources=sources, link=around.link, spelling_of=around.spelling_of)
        orders = OrdersApi(inbox=inbox, working=OrdersBeside())
        pauses = _pauses(inbox, names, routes)
        self._answers: Mapping[str, Callable[..., views.Json]] = {
            "status": partial(_status, inbox, names, troubles, routes),
            "deliveries": looks.deliveries,
            "deliveries/{id}": looks.delivery,
            "triggers": looks.triggers,
            "triggers/{id}": looks.trigger,
            "why/{id}": WhyApi(inbox=inbox, around=around).why,
            "causes": CausesApi(inbox=inbox).causes,
            "refusals": RefusalsApi(inbox=inbox).refusals,
            "bodies": BodiesApi(inbox=inbox, spellings={}).bodies,
            "audit": AuditApi(inbox=inbox).audit,
            "orders": orders.orders,
            "orders/{id}": orders.order,
            "pauses": pauses.pauses,
            "replicas": ReplicasApi(inbox=inbox).replicas,
            "export/{id}": ExportingApi(inbox=inbox).export,
            "wait": WaitingApi(inbox=inbox).wait,
        }
        self._changes = _changes(orders, pauses, ErasingApi(inbox=inbox, spellings=spellings))

    def get(self, path: str, /, *ids: str, **query: str) -> dict[str, Any]:
        """Return what `GET /api/v1/path` would. Raises NotThere, BadFilter and InboxUnavailable."""
        answer = self._answers["/".join((path, *("{id}" for _ in ids)))]
        return answer(path=_path(ids), query=query, body=b"", caller=self._caller)

    def post(self, path: str, asked: Mapping[str, Any], /, *ids: str) -> dict[str, Any]:
        """Do what `POST /api/v1/path` would, `{id}` in it being the id. An order is only placed: see `carry_out`.

        Raises NotThere, BadFilter and InboxUnavailable.
        """
        body = json.dumps(asked).encode()
        return self._changes[path](path=_path(ids), query={}, body=body, caller=self._caller)

    def events(self, path: str, /, **query: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what `GET /api/v1/stream` would, for ever. Raises BadFilter, NotThere and InboxUnavailable."""
        assert path == "stream"  # noqa: S101 - nothing else goes on
        wanted, given = is_wanted(query), filter_of(query, FILTERS)
        if given.delivery_id is not None:
            following = Following(self._inbox, link=self._link, delivery_id=given.delivery_id)
            heard, look = following.begin(), following.look
        else:
            since = given.since or datetime.now(UTC)
            look = Tail(self._inbox, link=self._link, since=since, after=query.get("after")).look
            heard = look()
        while True:
            if heard.is_cut:
                yield "skipped", {}
            for each in heard.news:
                if wanted(each):
                    yield "delivery", json.loads(each.full)
            time.sleep(EVERY_SECONDS)
            heard = look()

    def carry_out(self, order_id: str, *, on_progress: Callable[[int], None]) -> dict[str, Any]:
        """Work on an order until it has ended, beside whoever else does; `on_progress` hears how much is done."""
        order = ordering.look(self._inbox, order_id)
        return views.order(ordering.carry_out(self._inbox, order, on_progress=lambda item: on_progress(item.done)))

    def knows(self, kind: PauseKind) -> bool:
        """Say whether the files here tell what there is of a kind."""
        return self._names()[kind] is not None


def _pauses(inbox: Inbox, names: Callable[[], Names], routes: Callable[[], Collection[Route]]) -> PausesApi:
    def unnamed() -> list[str]:
        return [route.name for route in routes() if not route.is_named]

    return PausesApi(pausing=PausingBeside(inbox=inbox, names=names, unnamed=unnamed))


def _changes(orders: OrdersApi, pauses: PausesApi, erasing: ErasingApi) -> Mapping[str, Callable[..., views.Json]]:
    """Return what changes something, by its path."""
    return {
        "replay": orders.replay,
        "cancel": orders.cancel,
        "orders/{id}/stop": orders.stop,
        "pause": pauses.pause,
        "resume": pauses.resume,
        "erase": erasing.erase,
    }


def _path(ids: Sequence[str]) -> dict[str, str]:
    return {"id": ids[0]} if ids else {}


def _status(
    inbox: Inbox,
    names: Callable[[], Names],
    troubles: Callable[[], Sequence[Trouble]],
    routes: Callable[[], Collection[Route]],
    **_: Any,
) -> views.Json:
    problems = [*attending.unserved(inbox), *troubles()]
    found = attending.look(inbox, troubles=problems, names=names(), routes=routes())
    return attention.view(found) | attending.stored(inbox, names())
