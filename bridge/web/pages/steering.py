"""What a person orders from a page: replay, run again, cancel; the count and the effect first, then the progress.

confirm   a filter -> how many it means, and what will happen to them
place     one thing, or what was confirmed -> an order of the store -> its page, which moves until it has ended
          what a filter means has changed since -> the question once more, with the new count
"""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from bridge.edges.inbox.replays import ROUTED_AGAIN, WITHOUT_CALL
from bridge.web.faces import Faces
from bridge.web.pages import finding
from bridge.web.pages.asking import Asked, inside
from bridge.web.pages.drawing import Drawing, lead
from bridge.words.errors import BadFilter, Changed, NotThere
from bridge.words.orders import Action

_EFFECTS = {
    Action.REPLAY: ("Replay", "Each is tried again under the DAG run id that it has, so nothing runs twice."),
    Action.RUN_AGAIN: ("Start new DAG runs for", "Each gets one more DAG run; those that ran before stay as they are."),
    Action.CANCEL: ("Cancel", "None of them will start its DAG run. DAG runs that were started stay as they are."),
}
_ROUTED_AGAIN = (
    "Their deliveries go through today's mapping once more. What else failed of these deliveries is tried too, and"
    " routes that are new start as well. What has started stays as it is, and does not run twice."
)
# By what an order does with a cause that cannot simply be tried again.
_ROUTING = {Action.REPLAY: ROUTED_AGAIN, Action.RUN_AGAIN: WITHOUT_CALL}
# `why` is the person's reason, for the audit log; `reason` is a filter as everywhere.
_NO_FILTERS = ("action", "csrf", "key", "back", "why", "ids", "expected")
_CHANGED = 409


class Steering:
    """Draws orders, and places them."""

    def __init__(self, drawing: Drawing, faces: Faces) -> None:
        """Asks the same as `POST /api/v1/replay`, `/api/v1/cancel` and `GET /api/v1/orders`."""
        self._drawing = drawing
        self._faces = faces

    def confirm(self, asked: Asked) -> Response:
        """Show how many a filter means, and what `action` will do with them; nothing is done yet."""
        return self._question(asked, asked.query)

    def place(self, asked: Asked) -> Response:
        """Place an order for `ids`, or for what was counted of a filter, and lead to its page.

        If the filter means something else by now, nothing is done, and the question is asked once more (409).
        """
        form, action = asked.form, _action(asked.form.get("action"))
        # A form without it was never counted.
        expected = {"filter": _filter(form), "expected": form.get("expected", "")}
        what: dict[str, Any] = {"ids": form["ids"].split()} if "ids" in form else expected
        why = {"reason": form.get("why"), "idempotency_key": form.get("key")}
        try:
            order = self._faces.orders.place(what | why, action, asked.caller)
        except Changed:
            return self._question(asked, form, status=_CHANGED)
        if order is None:
            raise NotThere("nothing matches any more: somebody else may have been faster")
        back = inside(form.get("back"))
        return lead(finding.address(f"/orders/{order.id}", {"back": back} if back != "/" else {}))

    def _question(self, asked: Asked, given: Mapping[str, str], *, status: int = 200) -> Response:
        """Draw the question: how many, which, and what will be done. `_CHANGED`: they are others than before."""
        action, chosen = _action(given.get("action")), _filter(given)
        counted = self._faces.orders.count({"filter": chosen}, action)
        return self._drawing.page(
            "confirm.html",
            asked,
            status=status,
            action=str(action),
            verb=_EFFECTS[action][0],
            effect=_effect(action, chosen),
            count=counted.count,
            expected=counted.expected,
            has_changed=status == _CHANGED,
            chosen=chosen,
            why=given.get("why", ""),
            back=inside(given.get("back")),
        )

    def orders(self, asked: Asked) -> Response:
        """List the orders that people have placed, newest first."""
        query = {name: value for name, value in asked.query.items() if name == "after"}
        shown = self._faces.orders.orders(query=query)
        return self._drawing.page(
            "orders.html",
            asked,
            rows=shown["orders"],
            newest=finding.newest("/orders", query),
            older=finding.older("/orders", query, shown["next"]),
        )

    def order(self, asked: Asked) -> Response:
        """Show one order: what was asked for, how far it is, what became of its items."""
        back = inside(asked.query.get("back"))
        return self._drawing.page("order.html", asked, order=self._faces.orders.order(path=asked.path), back=back)

    def stop(self, asked: Asked) -> Response:
        """Let an order do nothing more, and lead to its page."""
        body = json.dumps({"reason": asked.form.get("reason")}).encode()
        order = self._faces.orders.stop(path=asked.path, body=body, caller=asked.caller)
        return lead(f"/orders/{order['id']}")


def _filter(given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if name not in _NO_FILTERS}


def _effect(action: Action, chosen: Mapping[str, str]) -> str:
    """Return what an order does with what a filter means. One without a reason may mean both kinds: both are said."""
    usual, routing = _EFFECTS[action][1], _ROUTING.get(action, frozenset())
    if chosen.get("reason") in routing:
        return _ROUTED_AGAIN
    if not routing or chosen.keys() & {"reason", "run_state"}:
        return usual
    return f"{usual} It is not so for the reasons {', '.join(sorted(routing))}. {_ROUTED_AGAIN}"


def _action(word: str | None) -> Action:
    if word not in set(Action):
        raise BadFilter(f"an action is one of {', '.join(Action)}")
    return Action(word)
