"""What a list on a page shows: filters out of the address, and the addresses of its parts."""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import partial
from urllib.parse import urlencode

from bridge.rules import when
from bridge.rules.rendering.moments import check_zone
from bridge.web.queries import refuse_unknown
from bridge.words.errors import BadFilter


def filters(query: Mapping[str, str], names: Collection[str], *, now: datetime) -> dict[str, str]:
    """Return the filters of a list as the API takes them. Raises BadFilter for a name that the list does not have.

    `since` may be `2h` (ago), `02:40`, an instant or a range of them, `until` any of these but a range. A time without
    a zone is in the `zone` of the form (the reader's, if the page has scripts), or in UTC.
    """
    refuse_unknown(query, {*names, "zone"})
    found = {name: value for name, value in query.items() if name != "zone"}
    try:
        zone = check_zone(query.get("zone", "UTC"))
        localize = partial(datetime.replace, tzinfo=zone)
        since = None
        if "since" in found:
            since, until = when.span(found["since"], now=now, localize=localize)
            if until is not None and "until" in query:
                raise BadFilter("the range of since has an end: leave until out")
            found |= {"since": since.isoformat()} | ({} if until is None else {"until": until.isoformat()})
        if "until" in query:
            found["until"] = when.end(query["until"], since, now=now, localize=localize).isoformat()
    except ValueError as error:
        raise BadFilter(str(error)) from None
    return found


def older(place: str, query: Mapping[str, str], after: str | None) -> str | None:
    """Return the address of the following part of a list."""
    return None if after is None else address(place, {**query, "after": after})


def newest(place: str, query: Mapping[str, str]) -> str | None:
    """Return the address of the first part of a list, None if this is it."""
    rest = {name: value for name, value in query.items() if name != "after"}
    return address(place, rest) if "after" in query else None


def address(place: str, query: Mapping[str, str]) -> str:
    """Return a path with a query."""
    return f"{place}?{urlencode(query)}" if query else place
