"""What a request asks for: bodies, flags, texts, filters and pages. BadFilter for what cannot be read."""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from starlette.requests import Request

from bridge.edges.inbox import browsing
from bridge.rules import when
from bridge.words.errors import BadFilter

PAGE = 50
MAX_LIMIT = 500
MOST_BYTES = 2_097_152  # of the body of a change: a webhook's body and a mapping are pasted into one


async def read_body(request: Request, content_type: str) -> bytes:
    """Return the body of a change, which must be of this type. Raises BadFilter."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != content_type:
        raise BadFilter(f"send Content-Type: {content_type}")
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > MOST_BYTES:
            raise BadFilter(f"the body is larger than {MOST_BYTES} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def json_object(body: bytes, *keys: str) -> Mapping[str, Any]:
    """Read an order; a key that is not one of these is refused, since a misspelled `dry_run` would not be one."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise BadFilter("the body is not JSON") from None
    if not isinstance(value, dict):
        raise BadFilter("the body must be a JSON object")
    refuse_unknown(value, keys)
    return value


def refuse_unknown(given: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse a name that is not known: a condition that is misspelled would not be one."""
    if surplus := given.keys() - set(known):
        raise BadFilter(f"unknown: {', '.join(sorted(surplus))[:100]}; there is {', '.join(sorted(known))}")


def flag(order: Mapping[str, Any], name: str) -> bool:
    """Return a yes or no of an order; no if it has none."""
    value = order.get(name, False)
    if not isinstance(value, bool):
        raise BadFilter(f"{name} must be true or false")
    return value


def page(query: Mapping[str, str], allowed: frozenset[str]) -> tuple[browsing.Filter, int]:
    """Read a filter and a page size from a query."""
    refuse_unknown(query, allowed | {"limit"})
    filters = {name: value for name, value in query.items() if name != "limit"}
    return filter_of(filters, allowed), page_size(query)


def page_size(query: Mapping[str, str]) -> int:
    """Read how many rows are asked for."""
    limit = query.get("limit", str(PAGE))
    if not limit.isdecimal() or len(limit) > len(str(MAX_LIMIT)) or not 1 <= int(limit) <= MAX_LIMIT:
        raise BadFilter(f"limit must be 1 to {MAX_LIMIT}")
    return int(limit)


def time_range(query: Mapping[str, str]) -> tuple[datetime | None, datetime | None]:
    """Read `since` and `until`, as far as they are given."""
    now = datetime.now(UTC)
    since = _instant("since", query["since"], now) if "since" in query else None
    return since, _end(query["until"], since, now) if "until" in query else None


def filter_of(given: Mapping[str, str], allowed: frozenset[str]) -> browsing.Filter:
    """Read a filter that has no other conditions than those allowed."""
    refuse_unknown(given, allowed)
    values: dict[str, Any] = {name: storable(name, value) for name, value in given.items()}
    found = zip(("since", "until"), time_range(given), strict=True)
    values |= {name: at for name, at in found if at is not None}
    if "is_latest" in values:
        values["is_latest"] = _yes_or_no("is_latest", values["is_latest"])
    return browsing.Filter(**values)


def _yes_or_no(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise BadFilter(f"{name} must be true or false")
    return text == "true"


class WaitedFor(NamedTuple):
    """What is waited for: one of the three. A job is looked for from `since` on."""

    delivery_id: str | None
    trigger_id: str | None
    job_id: str | None
    since: datetime


def waited_for(query: Mapping[str, str]) -> WaitedFor:
    """Read `delivery`, `trigger` or `job`, one of them, and `since`, which is a day ago unless it is given."""
    refuse_unknown(query, ("delivery", "trigger", "job", "since"))
    delivery_id, trigger_id, job_id = (words(query, name) or None for name in ("delivery", "trigger", "job"))
    if sum(each is not None for each in (delivery_id, trigger_id, job_id)) != 1:
        raise BadFilter("send either delivery=dlv_..., trigger=trg_... or job=...")
    now = datetime.now(UTC)
    since = _instant("since", query["since"], now) if "since" in query else now - timedelta(days=1)
    return WaitedFor(delivery_id, trigger_id, job_id, since)


def _instant(name: str, text: str, now: datetime) -> datetime:
    """Read an instant, or so long ago (`90m`), which stays the same word in an order that is sent again."""
    try:
        return when.instant(text, now=now)
    except ValueError as error:
        raise BadFilter(f"{name}: {error}") from None


def _end(text: str, since: datetime | None, now: datetime) -> datetime:
    """Read an instant that is after another one."""
    try:
        return when.end(text, since, now=now)
    except ValueError as error:
        raise BadFilter(f"until: {error}") from None


def count_of(order: Mapping[str, Any], name: str, *, limit: int) -> int | None:
    """Return a number of an order, None if it has none."""
    value = order.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
        raise BadFilter(f"{name} must be 1 to {limit}")
    return value


def next_page(found: list[Any], limit: int) -> str | None:
    """Return the `after` of the following page, None at the end."""
    return found[-1].id if len(found) == limit else None


def words(order: Mapping[str, Any], name: str) -> str | None:
    """Return a text of an order, None if it has none."""
    value = order.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        return storable(name, value)
    raise BadFilter(f"{name} must be text")


def storable(name: str, text: str) -> str:
    """Refuse what no store can look for: half a surrogate pair, which JSON may spell, and NUL."""
    if "\0" in text or text != text.encode("utf-8", "replace").decode():
        raise BadFilter(f"{name} has a character that no stored text has")
    return text
