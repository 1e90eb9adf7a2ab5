"""The subscriptions of one tenant, over the Planasonix API: what it sends where.

Each method is one question, or one change. After LookupUnavailable a change may have been made all the same: whoever
goes on lists them first. A secret is in the answer to `create` and `new_secret` alone, and is never shown.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import structlog

from bridge.edges.http import path_segment
from bridge.edges.planasonix import PlanasonixClient
from bridge.rules import subscribing
from bridge.words.errors import LookupNotFound, LookupUnavailable
from bridge.words.subscriptions import Sent, Subscription
from bridge.words.targets import Secret

_PATH = "/api/v1/webhooks"
_MOST_PAGES = 20
_log = structlog.get_logger("bridge.planasonix")


class Subscriptions:
    """All of them; every method raises LookupUnavailable, and LookupNotFound for an id that there is not."""

    def __init__(self, client: PlanasonixClient) -> None:
        """Ask nothing yet."""
        self._client = client

    def every(self) -> list[Subscription]:
        """Return all subscriptions of the tenant; what has no id or no URL is left out, unless that is all there is."""
        try:
            rows = self._rows(_PATH)
        except LookupNotFound:
            raise LookupUnavailable(f"404 for {_PATH}: this tenant's API has no subscriptions") from None
        found = [subscribing.subscription(row) for row in rows if subscribing.is_subscription(row)]
        if rows and not found:
            _read(rows[0])  # an empty list would be a verdict: that nothing is subscribed
        if len(found) < len(rows):
            _log.warning(
                "subscriptions_not_read",
                amount=len(rows) - len(found),
                detail="the Planasonix API lists them without an id or a url",
                next_step="if a webhook does not come, look at the subscriptions in Planasonix",
            )
        return found

    def create(self, url: str, events: Sequence[str], *, is_enabled: bool = True) -> Subscription:
        """Add one; its `secret` is in this answer only. One that is not enabled delivers nothing as yet."""
        return _read(self._client.ask("POST", _PATH, {"url": url, "events": [*events], "enabled": is_enabled}).value)

    def update(self, subscription_id: str, *, url: str, events: Sequence[str]) -> None:
        """Let one deliver these events to this URL, and switch it on."""
        self._client.ask("PUT", _path_of(subscription_id), {"url": url, "events": [*events], "enabled": True})

    def delete(self, subscription_id: str) -> None:
        """Remove one."""
        self._client.ask("DELETE", _path_of(subscription_id))

    def test(self, subscription_id: str) -> None:
        """Have Planasonix send a test event, which may look like a real one."""
        self._client.ask("POST", f"{_path_of(subscription_id)}/test")

    def new_secret(self, subscription_id: str) -> Secret:
        """Replace the signing secret of one; the one before may stop working at once."""
        answer = self._client.ask("POST", f"{_path_of(subscription_id)}/rotate-secret").value
        found = subscribing.secret(answer)
        if found is None:
            raise LookupUnavailable("the Planasonix API answers without a `signing_secret`")
        return found

    def deliveries(self, subscription_id: str) -> list[Sent]:
        """Return the latest tries to deliver."""
        return [
            subscribing.sent(row) for row in _listed(self._client.ask("GET", f"{_path_of(subscription_id)}/deliveries"))
        ]

    def _rows(self, path: str) -> list[Any]:
        found: list[Any] = []
        cursor = None
        for _ in range(_MOST_PAGES):
            answer = self._client.ask("GET", path if cursor is None else f"{path}?cursor={quote(cursor, safe='')}")
            found += _listed(answer)
            following = subscribing.next_cursor(answer.value)
            if following is None or following == cursor:
                return found
            cursor = following
        raise LookupUnavailable(f"the Planasonix API has more than {_MOST_PAGES} pages of subscriptions")


def _path_of(subscription_id: str) -> str:
    return f"{_PATH}/{path_segment(subscription_id)}"


def _listed(answer: Any) -> list[Any]:
    try:
        return list(subscribing.rows(answer.value))
    except ValueError as error:
        raise LookupUnavailable(str(error)) from None


def _read(value: Any) -> Subscription:
    try:
        return subscribing.subscription(value)
    except ValueError as error:
        raise LookupUnavailable(str(error)) from None
