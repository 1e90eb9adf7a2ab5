"""A running bridge, asked over its admin API by commands with `--url`. Synchronous, one connection a question.

What a person has to mend is a ConfigError: a wrong URL or token, a certificate that does not fit, an answer that is not
the bridge's. What passes by itself is RemoteUnavailable. Rules: TLS is always verified (SSL_CERT_FILE names another
authority), no redirect is followed and no proxy of the environment is used, so the token goes nowhere else. The token
comes from a file or the environment, never from an argument, and is part of no message.
"""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

from bridge import __version__
from bridge.edges.http import Deadline, path_segment
from bridge.words.errors import BadFilter, Changed, ConfigError, NotThere, Problem, RemoteUnavailable
from bridge.words.targets import Secret

_SECONDS = 30.0
_MOST_BYTES = 64 * 1_048_576  # a page of the largest deliveries
_SHOWN = 300
_SILENT_SECONDS = 60.0  # four times as long as a bridge is silent


class Remote:
    """One running bridge."""

    def __init__(self, url: str, token: Secret | None) -> None:
        """`url` has scheme, host, port and path only (`plain_url` of the settings). Nothing is asked yet."""
        self._url = url
        self._parts = urlsplit(url)
        self._token = token

    @property
    def shows_token(self) -> bool:
        """Whether the token goes over a network unencrypted."""
        return self._token is not None and self._parts.scheme == "http" and not _is_own(self._parts.hostname or "")

    def get(self, path: str, /, *ids: str, **query: str) -> dict[str, Any]:
        """Ask for what is below /api/v1. Raises ConfigError, RemoteUnavailable, NotThere and BadFilter."""
        place = "/".join((path, *(path_segment(each) for each in ids)))
        return self._object(*self._send("GET", f"{place}?" + urlencode(query, errors="replace")))

    def post(self, path: str, asked: Mapping[str, Any], /, *ids: str) -> dict[str, Any]:
        """Have what is below /api/v1 done, `{id}` in the path being the id. Raises as `get` does, and Changed.

        RemoteUnavailable does not say that nothing was done.
        """
        place = path.format(id=path_segment(ids[0])) if ids else path
        return self._object(*self._send("POST", place, json.dumps(asked).encode()))

    def events(self, path: str, /, **query: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the server-sent events of what is below /api/v1, as name and JSON object, until the bridge ends them.

        Raises as `get` does; a stream that is silent for a minute counts as lost.
        """
        with self._link(_SILENT_SECONDS) as link:
            with Deadline(_SECONDS) as deadline:
                answer = self._ask(link, deadline, "GET", f"{path}?" + urlencode(query, errors="replace"))
                body = b"" if answer.status == http.client.OK else answer.read(_MOST_BYTES)
            if answer.status != http.client.OK:
                self._object(answer.status, body)
            yield from _events(answer)

    def _send(self, method: str, place: str, content: bytes | None = None) -> tuple[int, bytes]:
        with self._link() as link:
            with Deadline(_SECONDS) as deadline:
                answer = self._ask(link, deadline, method, place, content)
                body = answer.read(_MOST_BYTES)
            if deadline.is_late or answer.length:
                raise RemoteUnavailable(f"{self._url} gave no whole answer")
            return answer.status, body

    def _ask(
        self,
        link: http.client.HTTPConnection,
        deadline: Deadline,
        method: str,
        place: str,
        content: bytes | None = None,
    ) -> http.client.HTTPResponse:
        link.connect()
        deadline.watch(link.sock.fileno())
        link.request(method, f"{self._parts.path}/api/v1/{place}", body=content, headers=self._headers(content))
        return link.getresponse()

    @contextmanager
    def _link(self, seconds: float = _SECONDS) -> Iterator[http.client.HTTPConnection]:
        """Give a connection for one question; what goes wrong with it is raised as `get` says.

        `seconds`: how long each read may take.
        """
        host, port = self._parts.hostname or "", self._parts.port
        link = http.client.HTTPConnection(host, port, timeout=seconds)
        if self._parts.scheme == "https":
            trusted = ssl.create_default_context()
            link = http.client.HTTPSConnection(host, port, timeout=seconds, context=trusted)
        try:
            yield link
        except ssl.SSLCertVerificationError as error:
            self._refuse(f"its certificate is not accepted: {error.verify_message}")
        except (OSError, http.client.HTTPException) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            raise RemoteUnavailable(f"{self._url} cannot be reached: {said}") from None
        finally:
            link.close()

    def _headers(self, content: bytes | None) -> Mapping[str, str]:
        signed = {} if self._token is None else {"Authorization": f"Bearer {self._token.reveal()}"}
        typed = {} if content is None else {"Content-Type": "application/json"}
        return {"Accept": "application/json", "User-Agent": f"planasonix-bridge/{__version__}", **typed, **signed}

    def _object(self, status: int, body: bytes) -> dict[str, Any]:
        """Return the JSON object of an answer; anything else is an error that says what to do."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            value = None
        if status >= http.client.INTERNAL_SERVER_ERROR or status == http.client.TOO_MANY_REQUESTS:
            raise RemoteUnavailable(f"{self._url} answers {status}{_detail(value)}")
        if status == http.client.UNAUTHORIZED:
            self._refuse("it refuses the token: give --token-file FILE, or set BRIDGE_ADMIN_TOKEN")
        if not isinstance(value, dict):
            self._refuse(f"its answer ({status}) is no JSON: is this the admin listener of a bridge?")
        if status == http.client.NOT_FOUND and value.get("error") == "not_found":
            raise NotThere(_detail(value).removeprefix(": "))
        if status == http.client.FORBIDDEN:
            self._refuse(f"it refuses this{_detail(value)}")
        if status == http.client.BAD_REQUEST:
            raise BadFilter(_detail(value).removeprefix(": "))
        if status == http.client.CONFLICT:
            raise Changed(_detail(value).removeprefix(": "))
        if status not in (http.client.OK, http.client.ACCEPTED):
            self._refuse(f"it answers {status}{_detail(value)}: is this the admin listener of a bridge?")
        return value

    def _refuse(self, what: str) -> NoReturn:
        raise ConfigError([Problem(self._url, 0, 0, what)])


def _events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read events, each ended by an empty line; lines that begin with a colon only say that somebody is there."""
    name, content = "", b""
    while line := answer.readline(_MOST_BYTES):
        field, _, value = line.rstrip(b"\r\n").partition(b": ")
        if field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"data":
            content = value
        elif not field and name:
            try:
                found = json.loads(content)
            except (ValueError, RecursionError):
                found = None
            if not isinstance(found, dict):
                raise RemoteUnavailable("the stream has something that is no event")
            yield name, found
            name, content = "", b""


def _is_own(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _detail(value: Any) -> str:
    detail = value.get("detail", value.get("next_step")) if isinstance(value, dict) else None
    return f": {detail[:_SHOWN]}" if isinstance(detail, str) else ""
