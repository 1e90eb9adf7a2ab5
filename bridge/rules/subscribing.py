"""What the Planasonix API says of subscriptions. Pure.

Every assumption on the shapes stands here. Documented (API reference, `/api/v1/webhooks`): `id, url, events[], enabled,
signing_secret, created_at, updated_at, last_delivery_at, failure_count_24h`, and of deliveries `id, event, status,
http_status, attempt, last_error, delivered_at`. Its pages disagree on the spelling, so camelCase and a `data` around
it are read too. How pages of a list follow each other is not documented; `next_cursor` is what its other lists have.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bridge.rules.event.grammar import Misfit
from bridge.rules.event.instants import as_instant
from bridge.words.subscriptions import Sent, Subscription
from bridge.words.targets import Secret

USUAL_EVENTS = ("job.completed", "job.succeeded", "job.failed")  # the documented names of what tells of a job's end
_BOXES = ("data", "webhooks", "deliveries", "items")
_CURSORS = ("next_cursor", "nextCursor")


def rows(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list, however it is wrapped; ValueError if it is none."""
    found = value
    if isinstance(value, Mapping):
        found = next((value[box] for box in _BOXES if isinstance(value.get(box), list)), None)
    if not isinstance(found, list):
        raise ValueError("the Planasonix API answers with no list")  # noqa: TRY004 - the sender is wrong, no caller
    return [item for item in found if isinstance(item, Mapping)]


def next_cursor(value: Any) -> str | None:
    """Return what leads to the list's next page, None at its end."""
    places = [value, *(value.get(box) for box in ("pagination", "meta", "page"))] if isinstance(value, Mapping) else []
    found = (place.get(name) for place in places if isinstance(place, Mapping) for name in _CURSORS)
    return next((cursor for cursor in found if isinstance(cursor, str) and cursor), None)


def is_subscription(value: Any) -> bool:
    """Whether it has what a subscription needs: an id and a URL."""
    found = _unwrapped(value)
    return _text(found, "id") is not None and _text(found, "url") is not None


def subscription(value: Any) -> Subscription:
    """Read one subscription; ValueError if it has no id or no URL."""
    found = _unwrapped(value)
    own_id, url = _text(found, "id"), _text(found, "url")
    if own_id is None or url is None:
        raise ValueError("the Planasonix API answers with no subscription: its id or url is missing")
    events, enabled = _field(found, "events"), _field(found, "enabled")
    return Subscription(
        id=own_id,
        url=url,
        events=tuple(item for item in events if isinstance(item, str)) if isinstance(events, list) else (),
        is_enabled=enabled if isinstance(enabled, bool) else None,
        created_at=_instant(found, "created_at"),
        last_delivery_at=_instant(found, "last_delivery_at"),
        failures=_number(found, "failure_count_24h"),
        secret=secret(found),
    )


def secret(value: Any) -> Secret | None:
    """Return the signing secret of an answer, None if it has none."""
    text = _text(_unwrapped(value), "signing_secret") or _text(_unwrapped(value), "secret")
    return None if text is None else Secret(text)


def sent(value: Mapping[str, Any]) -> Sent:
    """Read one try of Planasonix to deliver."""
    return Sent(
        id=_text(value, "id"),
        event=_text(value, "event"),
        status=_text(value, "status"),
        http_status=_number(value, "http_status"),
        error=_text(value, "last_error"),
        at=_instant(value, "delivered_at"),
    )


def mixes_kinds(events: Iterable[str]) -> bool:
    """Whether a subscription tells of jobs and of pipeline runs: each load then ends twice."""
    names = list(events)
    is_all = any(name in ("*", "") for name in names)
    return is_all or all(any(name.startswith(kind) for name in names) for kind in ("job.", "pipeline.run."))


def _unwrapped(value: Any) -> Mapping[str, Any]:
    for box in ("data", "webhook"):
        if isinstance(value, Mapping) and isinstance(value.get(box), Mapping):
            value = value[box]
    return value if isinstance(value, Mapping) else {}


def _field(value: Mapping[str, Any], name: str) -> Any:
    head, *rest = name.split("_")
    camel = head + "".join(part.title() for part in rest)  # failureCount24H is spelled 24h as well
    spellings = (name, camel, camel.replace("24H", "24h"))
    return next((value[item] for item in spellings if value.get(item) is not None), None)


def _text(value: Mapping[str, Any], name: str) -> str | None:
    found = _field(value, name)
    return found if isinstance(found, str) and found else None


def _number(value: Mapping[str, Any], name: str) -> int | None:
    found = _field(value, name)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _instant(value: Mapping[str, Any], name: str) -> datetime | None:
    try:
        text = as_instant(_field(value, name))
    except Misfit:
        return None
    return None if text is None else datetime.fromisoformat(text)
