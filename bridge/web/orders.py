"""What the JSON API answers about orders: replay and cancel place one, the rest watches and stops them.

An order that ends within two seconds is answered with what became of its items. A longer one goes on by itself, and
the answer (202) says where it can be watched.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bridge.edges.inbox import Inbox, browsing, orders
from bridge.edges.inbox.orders import NewOrder
from bridge.flows import ordering
from bridge.rules import views
from bridge.web.queries import count_of, filter_of, flag, json_object, next_page, page, words
from bridge.words.errors import BadFilter
from bridge.words.orders import Action, Order, OrderState
from bridge.words.roles import Caller

_WAIT_SECONDS = 2.0
_FILTERS = {
    Action.REPLAY: browsing.DELIVERY_FILTERS | browsing.TRIGGER_FILTERS,
    Action.RUN_AGAIN: browsing.DELIVERY_FILTERS | browsing.TRIGGER_FILTERS,
    Action.CANCEL: browsing.TRIGGER_FILTERS,
}


_KEYS = ("ids", "filter", "limit", "dry_run", "expected", "reason", "idempotency_key")


@dataclass(frozen=True, slots=True)
class Counted:
    """How many items an order would have, and what to send as its `expected` to have these done and no others."""

    count: int
    expected: str


class Accepted(dict[str, Any]):
    """The answer to an order that goes on (202)."""


class OrdersApi:
    """The part of the admin API that steers; methods as those of `Api`."""

    def __init__(self, *, inbox: Inbox, working: ordering.Orders | ordering.OrdersBeside) -> None:
        """`working` does what is placed."""
        self._inbox = inbox
        self._working = working

    def replay(self, *, body: bytes, caller: Caller, key: str | None = None, **_: Any) -> views.Json:
        """Replay `{"ids": [...]}` or `{"filter": {"state": ..., ...}}`; with `"dry_run": true` only count.

        `"limit": 100` takes the oldest so many. With the `expected` of a count, what was counted is done, or nothing.
        """
        asked = _with_key(json_object(body, *_KEYS, "run_again"), key)
        action = Action.RUN_AGAIN if flag(asked, "run_again") else Action.REPLAY
        return self._order(asked, action, "replayed", caller)

    def cancel(self, *, body: bytes, caller: Caller, key: str | None = None, **_: Any) -> views.Json:
        """Cancel the triggers of `{"ids": [...]}` or `{"filter": {"state": ..., ...}}` that wait or failed.

        The rest is as for `replay`.
        """
        asked = _with_key(json_object(body, *_KEYS), key)
        return self._order(asked, Action.CANCEL, "cancelled", caller)

    def orders(self, *, query: Mapping[str, str], **_: Any) -> views.Json:
        """Return a page of orders, newest first; `next` is the `after` of the following page."""
        wanted, limit = page(query, frozenset({"after"}))
        found = self._inbox.read(orders.newest, limit=limit, after=wanted.after)
        return {"orders": [views.order(item) for item in found], "next": next_page(found, limit)}

    def order(self, *, path: Mapping[str, str], **_: Any) -> views.Json:
        """Return one order: what was asked for, how far it is, what became of its items."""
        return views.order(ordering.look(self._inbox, path["id"]))

    def stop(self, *, path: Mapping[str, str], body: bytes, caller: Caller, **_: Any) -> views.Json:
        """Let an order do nothing more; `{"reason": ...}` goes to the audit log."""
        reason = words(json_object(body, "reason"), "reason")
        return views.order(ordering.stop(self._inbox, path["id"], actor=caller.name, reason=reason))

    def count(self, asked: Mapping[str, Any], action: Action) -> Counted:
        """Return how many items an order would have; nothing is placed."""
        ids = self._chosen(asked, action)
        return Counted(len(ids), ordering.mark(ids))

    def place(self, asked: Mapping[str, Any], action: Action, caller: Caller) -> Order | None:
        """Place an order, and return it as it stands after two seconds at most; None if there is nothing to do.

        Raises Changed if it means something else than what it expects.
        """
        new = _new(asked, action, caller)
        order = ordering.placed_before(self._inbox, new)
        if order is None:
            ids = self._chosen(asked, action)
            ordering.hold_to(words(asked, "expected"), ids)
            if not ids:
                return None
            order = ordering.place(self._inbox, new, ids)
        return self._working.wait(order, seconds=_WAIT_SECONDS)

    def _order(self, asked: Mapping[str, Any], action: Action, name: str, caller: Caller) -> views.Json:
        before = ordering.placed_before(self._inbox, _new(asked, action, caller))
        if flag(asked, "dry_run"):
            return asdict(self.count(asked, action)) | {name: {}} if before is None else _repeated(before, name)
        order = self.place(asked, action, caller)
        if order is None:
            return {"count": 0, name: {}}
        return _answer(order, name, is_repeat=before is not None)

    def _chosen(self, asked: Mapping[str, Any], action: Action) -> list[str]:
        limit = count_of(asked, "limit", limit=ordering.LIMIT)
        match asked:
            case {"ids": list(ids), **rest} if "filter" not in rest and all(isinstance(item, str) for item in ids):
                return ordering.check(self._inbox, ids, action)[:limit]
            case {"filter": dict(chosen), **rest} if "ids" not in rest:
                filters = {str(name): str(value) for name, value in chosen.items()}
                return ordering.select(self._inbox, filter_of(filters, _FILTERS[action]), action)[:limit]
            case _:
                raise BadFilter('send {"ids": ["trg_..."]} or {"filter": {"state": "failed"}}')


def _with_key(asked: Mapping[str, Any], header: str | None) -> Mapping[str, Any]:
    """Take the key from the header, where it may stand in quotes, or from the body."""
    if header is None:
        return asked
    key = header.removeprefix('"').removesuffix('"')
    if asked.get("idempotency_key") not in (None, key):
        raise BadFilter("the header Idempotency-Key and idempotency_key in the body are two keys: send one of them")
    return {**asked, "idempotency_key": key}


def _new(asked: Mapping[str, Any], action: Action, caller: Caller) -> NewOrder:
    """Return the order as it was spelled: the same words under one key are the same order."""
    spelled = [asked.get("ids"), asked.get("filter"), *([asked["limit"]] if "limit" in asked else [])]
    return NewOrder(
        action=action,
        actor=caller.name,
        asked=json.dumps(spelled, sort_keys=True),
        reason=words(asked, "reason"),
        key=words(asked, "idempotency_key"),
    )


def _answer(order: Order, name: str, *, is_repeat: bool) -> views.Json:
    answer = {"count": order.count, name: dict(order.outcomes), "is_repeat": is_repeat, "order": views.order(order)}
    return answer if order.state is OrderState.DONE else Accepted(answer)


def _repeated(order: Order, name: str) -> views.Json:
    """Return what a count says of an order that was placed under this key before."""
    return {"count": order.count, name: {}, "is_repeat": True, "order": views.order(order)}
