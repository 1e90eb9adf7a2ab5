"""The Planasonix API: asked for what some webhooks leave out, and (`subscriptions`) for what it sends where.

httpx is imported at the first call: it costs 0.1 s, and most sources have no `api`. Nothing is retried here: routing
decides when. No redirect is followed, since it would carry the key elsewhere. The key is never part of an error.
"""

import json
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bridge import __version__
from bridge.edges.http import (
    TracedDeadline,
    failure_words,
    http_date,
    path_segment,
    rate_limit_seconds,
    read_bounded,
    retry_after_seconds,
)
from bridge.edges.planasonix.gate import LIST, Gate
from bridge.words.errors import LookupNotFound, LookupUnavailable
from bridge.words.targets import PlanasonixApi

if TYPE_CHECKING:
    import httpx

_MAX_BYTES = 1 << 20
_CONNECT_SECONDS = 3.0
_GOOD = frozenset({200, 201, 202, 204})
_SURE = frozenset({401, 429, 503})  # answers that every other question would get as well
_WHOLE = _SURE | {403, 502, 504}  # these may be about one question: the gate asks the API itself
_WHY = {401: ": the key is refused", 403: ": the key is refused, or may not do this"}
_DOCUMENTED_PREFIX = "/api"  # paths are written as documented; a tenant's own `path_prefix` takes its place


@dataclass(frozen=True, slots=True)
class Answered:
    """What the API answered: its JSON, None for an empty body; and what its clock showed, as far as it says so."""

    value: Any
    at: datetime | None


class PlanasonixClient:
    """The Planasonix API of one source; thread-safe, synchronous."""

    def __init__(self, api: PlanasonixApi, gate: Gate | None = None) -> None:
        """Import and call nothing yet. `gate`: of a process that asks by itself; what a person asks is always sent."""
        self._api = api
        self._gate = gate
        self._lock = threading.Lock()
        self._opened: httpx.Client | None = None

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job as the API describes it; raises LookupNotFound, LookupUnavailable."""
        return _unwrapped(self._get(f"/api/v1/jobs/{path_segment(job_id)}"))

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run as the API describes it; raises LookupNotFound, LookupUnavailable."""
        return _unwrapped(self._get(f"/api/runs/{path_segment(run_id)}"))

    def room(self, limit: int) -> int:
        """Return how many questions may be under way now, `limit` at most."""
        return limit if self._gate is None else self._gate.room(limit)

    def check(self) -> float | None:
        """Ask for the jobs, gate or not, to see that the URL and the key are right; raises LookupUnavailable.

        Returns how long the API asks not to be called. Only the head of the answer is read: a page of jobs may be long,
        and nothing in it is needed.
        """
        try:
            return self._call("GET", LIST, None, 0)[2]
        except LookupNotFound:
            raise LookupUnavailable(f"404 for {LIST}: `api.url` is not the Planasonix API's") from None

    def ask(self, method: str, path: str, body: Any = None, *, max_bytes: int = _MAX_BYTES) -> Answered:
        """Ask for anything else, with a JSON body if one is given; raises LookupNotFound, LookupUnavailable.

        Nothing is repeated: after LookupUnavailable nobody knows whether a change was made.
        """
        content, at = self._send(method, path, None if body is None else json.dumps(body).encode(), max_bytes=max_bytes)
        try:
            return Answered(json.loads(content) if content.strip() else None, at)
        except (ValueError, RecursionError):
            raise LookupUnavailable("the Planasonix API does not answer with JSON") from None

    def take_over(self, api: PlanasonixApi) -> None:
        """Use another key, other headers, and what the files of certificates hold now, from the next request on."""
        with self._lock:
            self._api = api
            if api.ca_file or api.client_cert_file:
                self._opened = None  # not closed: a call under way ends as it began, and no connection is kept
            elif self._opened is not None:
                self._opened.headers.update(_headers(api))
        if self._gate is not None:
            self._gate.open_up()

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()

    def _client(self) -> "httpx.Client":
        """Return the client; raises LookupUnavailable if a file of its certificates cannot be used."""
        with self._lock:
            if self._opened is None:
                import httpx  # noqa: PLC0415 - see the module's docstring

                seconds = self._api.timeout_seconds
                self._opened = httpx.Client(
                    headers=_headers(self._api),
                    timeout=httpx.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds)),
                    verify=_trust(self._api),
                    limits=httpx.Limits(max_keepalive_connections=0),  # the deadline sees new connections only
                    follow_redirects=False,
                )
            return self._opened

    def _get(self, path: str, *, max_bytes: int = _MAX_BYTES) -> bytes:
        return self._send("GET", path, None, max_bytes=max_bytes)[0]

    def _send(
        self, method: str, path: str, content: bytes | None, *, max_bytes: int = _MAX_BYTES
    ) -> tuple[bytes, datetime | None]:
        """Send one request, if the gate lets it through; returns the body of a good answer, and its Date."""
        if self._gate is None:
            return self._call(method, path, content, max_bytes)[:2]
        with self._gate.passing(path.partition("?")[0], self.check) as passed:
            body, at, passed.wait_seconds = self._call(method, path, content, max_bytes)
        return body, at

    def _call(
        self, method: str, path: str, content: bytes | None, max_bytes: int
    ) -> tuple[bytes, datetime | None, float | None]:
        """Return the body, its Date, and how long the API asks not to be called."""
        client = self._client()
        import httpx  # noqa: PLC0415 - imported by now

        headers = {} if content is None else {"Content-Type": "application/json"}
        url = self._api.url.rstrip("/") + self._api.path_prefix + path.removeprefix(_DOCUMENTED_PREFIX)
        late = f"no whole answer within {self._api.timeout_seconds:g} s"
        try:
            with (
                TracedDeadline(self._api.timeout_seconds) as deadline,
                client.stream(
                    method, url, content=content, headers=headers, extensions={"trace": deadline.trace}
                ) as answer,
            ):
                _check(answer, _GOOD if method != "GET" else frozenset({200}))
                at = http_date(answer.headers.get("Date"))
                wait = rate_limit_seconds(answer.headers, is_refused=False, now=at or datetime.now(UTC))
                # As sent, without unpacking: it could become a thousand times larger.
                body = read_bounded(answer.iter_raw(), max_bytes) if max_bytes else b""
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            # Only the name: the text of some holds the URL, and that of a bad header its value.
            said = late if deadline.is_late else f"the Planasonix API cannot be reached: {failure_words(error)}"
            is_whole = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
            raise LookupUnavailable(said, is_whole=is_whole, is_sure=is_whole) from None
        if deadline.is_late:  # an answer without a length ends where the socket was shut down
            raise LookupUnavailable(late)
        if body is None:
            raise LookupUnavailable(f"the Planasonix API's answer is larger than {max_bytes >> 20} MiB")
        return body, at, wait


def _trust(api: PlanasonixApi) -> ssl.SSLContext | bool:
    """Return whose certificates are believed, and what is shown; raises LookupUnavailable."""
    if api.ca_file is None and api.client_cert_file is None:
        return True
    try:
        context = ssl.create_default_context(cafile=api.ca_file)
        if api.client_cert_file is not None:
            # A password that is wrong: without any, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(api.client_cert_file, api.client_key_file, password="")  # nosec B106 - none at all
    except OSError as error:  # SSLError is one
        said = f"the certificates for the Planasonix API cannot be used: {error.strerror or type(error).__name__}"
        raise LookupUnavailable(said, is_whole=True, is_sure=True) from None
    return context


def _headers(api: PlanasonixApi) -> dict[str, str]:
    return {
        **{name: value.reveal() for name, value in api.headers.items()},
        "Authorization": f"Bearer {api.key.reveal()}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"planasonix-bridge/{__version__}",
    }


def _check(answer: "httpx.Response", good: frozenset[int]) -> None:
    """Raise unless the answer is one of the API's good ones.

    The API speaks JSON. Any other 404 is a proxy's (its own, or that of an API that is just rolled out) or comes from a
    wrong URL. It says nothing of the job; and one alone says nothing of the whole API either: the gate counts it.
    """
    status = answer.status_code
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if status in good and "html" not in media_type:
        return
    if status == 404 and (media_type == "application/json" or media_type.endswith("+json")):
        raise LookupNotFound("the Planasonix API answers 404")
    now = http_date(answer.headers.get("Date")) or datetime.now(UTC)
    wait = retry_after_seconds(answer.headers.get("Retry-After"), now=now)
    if wait is None:
        wait = rate_limit_seconds(answer.headers, is_refused=status == 429, now=now)
    why = _WHY.get(status) or (" in HTML" if "html" in media_type else "")
    is_whole, is_sure = bool(why) or status in _WHOLE, status in _SURE
    is_refusal = 400 <= status < 500 and status != 404 and not is_whole
    if status == 404 and not why:
        why = ", and not in JSON: it is a proxy's, or `api.url` is wrong"
    said = f"the Planasonix API answers {status}{why}"
    raise LookupUnavailable(said, wait, is_whole=is_whole, is_sure=is_sure, is_refusal=is_refusal)


def _unwrapped(body: bytes) -> dict[str, Any]:
    """Return the object; `data` may wrap it or not (both are documented)."""
    found = _object(body)
    wrapped = found.get("data")
    return wrapped if isinstance(wrapped, dict) else found


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise LookupUnavailable("the Planasonix API does not answer with a JSON object")
    return value
