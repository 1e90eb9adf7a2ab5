"""The jobs of one tenant, over the Planasonix API: a page at a time, as it answers them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from bridge.edges.planasonix import PlanasonixClient
from bridge.edges.planasonix.gate import LIST
from bridge.rules.reconciling import read_page
from bridge.words.errors import LookupNotFound, LookupUnavailable

_MOST_BYTES = 8 << 20


def page(
    client: PlanasonixClient, *, since: datetime, cursor: str | None
) -> tuple[list[Mapping[str, Any]], str | None]:
    """Return one page of the jobs since an instant, and the cursor of the next one; raises LookupUnavailable."""
    asked = {"since": since.isoformat(timespec="seconds").replace("+00:00", "Z")}
    query = urlencode(asked if cursor is None else asked | {"cursor": cursor})
    try:
        answer = client.ask("GET", f"{LIST}?{query}", max_bytes=_MOST_BYTES).value
        return read_page(answer)
    except LookupNotFound:
        raise LookupUnavailable(f"404 for {LIST}: this tenant's API lists no jobs") from None
    except ValueError as error:
        raise LookupUnavailable(f"the Planasonix API's page of jobs cannot be read: {error}") from None
