"""Asks the bridge whether a run of Planasonix has ended, without blocking; the bridge waits for the answer.

The bridge's token is read from the connection, as the API's key is, and stands in no log, error, XCom or argument of a
trigger. It needs the role viewer, which sees ids and states only.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from planasonix_provider import calls
from planasonix_provider.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from planasonix_provider.hooks.api import Settings

_PATH = "/api/v1/completion"
_GRACE_SECONDS = 10.0  # an answer may come so much later than was asked for
_CONNECT_SECONDS = 3.0


class Verdict(StrEnum):
    """What the bridge says of a run."""

    OPEN = "open"
    ENDED = "ended"
    LOOK = "look"  # it may have ended


@dataclass(frozen=True, slots=True)
class Question:
    """A run, or whatever comes of a pipeline since an instant (text); `after` is the delivery of the last `look`."""

    run_id: str | None
    pipeline_id: str | None
    since: str
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """An answer; `status` only of what has ended."""

    verdict: Verdict
    delivery_id: str | None = None
    status: str | None = None


class BridgeApi:
    """The bridge that a connection names."""

    def __init__(self, settings: "Settings") -> None:
        """Nothing is asked yet."""
        self._settings = settings

    async def ask(self, client: httpx.AsyncClient, question: Question, *, wait: int) -> Said:
        """Return what the bridge knows, or what comes within so many seconds. Raises Unavailable and Rejected."""
        call, timeout = _call(question, self._settings, wait), wait + _GRACE_SECONDS
        try:
            async with asyncio.timeout(timeout):
                answer = await client.get(_url(self._settings), **_options(self._settings, call, timeout))
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unavailable(f"the bridge: {type(error).__name__}") from None
        return _read(call, answer)

    def try_out(self, client: httpx.Client) -> None:
        """Ask whether the bridge is there and lets us in, blocking. Raises Unavailable and Rejected."""
        call = _call(Question("run", None, datetime.now(UTC).isoformat()), self._settings, 0)
        try:
            answer = client.get(_url(self._settings), **_options(self._settings, call, _GRACE_SECONDS))
        except httpx.HTTPError as error:
            raise Unavailable(f"the bridge: {type(error).__name__}") from None
        _read(call, answer)


def _url(settings: "Settings") -> str:
    """Return where the bridge is asked. Raises Rejected for an address that cannot be one."""
    url = (settings.bridge_url or "").rstrip("/")
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.username is None
    except ValueError:
        is_good = False
    if not is_good or parts.query or parts.fragment:
        raise Rejected("the bridge's address in the connection must be like https://bridge.example.com")
    return url + _PATH


def _call(question: Question, settings: "Settings", wait: int) -> calls.Call:
    asked = {
        "run": question.run_id,
        "pipeline": question.pipeline_id,
        "source": settings.bridge_source,
        "since": question.since,
        "after": question.after,
        "wait": str(wait),
    }
    query = {name: value for name, value in asked.items() if value}
    return calls.Call("GET", _PATH, query=query, place="the bridge's address")


def _options(settings: "Settings", call: calls.Call, seconds: float) -> dict[str, Any]:
    token = {"Authorization": f"Bearer {settings.bridge_token}"} if settings.bridge_token else {}
    timeout = httpx.Timeout(seconds, connect=_CONNECT_SECONDS)
    return {"params": dict(call.query), "headers": {"Accept": "application/json"} | token, "timeout": timeout}


def _read(call: calls.Call, answer: httpx.Response) -> Said:
    said = calls.read(call, answer.status_code, answer.headers, answer.content, now=datetime.now(UTC))
    try:
        assert isinstance(said, Mapping)  # noqa: S101
        verdict = Verdict(said["outcome"])
    except (AssertionError, KeyError, ValueError):
        raise Rejected("the answer is not the bridge's: look at its address in the connection") from None
    return Said(verdict, _text(said.get("delivery_id")), _text(said.get("status")))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
