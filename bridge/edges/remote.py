"""A running bridge, asked over its admin API by commands with `--url`. Synchronous, one connection a question.

What a person has to mend is a ConfigError: a wrong URL or token, a certificate that does not fit, an answer that is not
the bridge's. What passes by itself is RemoteUnavailable. Rules: TLS is always verified (SSL_CERT_FILE names another
authority), no redirect is followed and no proxy of the environment is used, so the token goes nowhere else. The token
comes from a file or the environment, never from an argument, and is part of no message.
"""

import http.client
import json
import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, NoReturn
from urllib.parse import quote, urlencode, urlsplit

from bridge import __version__
from bridge.edges.http import Deadline
from bridge.words.errors import BadFilter, ConfigError, NotThere, Problem, RemoteUnavailable
from bridge.words.targets import Secret

_SECONDS = 30.0
_MOST_BYTES = 64 * 1_048_576  # a page of the largest deliveries
_SHOWN = 300


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
        place = "/".join((path, *(quote(each, safe="", errors="replace") for each in ids)))
        status, body = self._send(f"{self._parts.path}/api/v1/{place}?" + urlencode(query, errors="replace"))
        return self._object(status, body)

    def _send(self, target: str) -> tuple[int, bytes]:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            trusted = ssl.create_default_context()
            link: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=_SECONDS, context=trusted
            )
        else:
            link = http.client.HTTPConnection(host, port, timeout=_SECONDS)
        try:
            with Deadline(_SECONDS) as deadline:
                link.connect()
                deadline.watch(link.sock.fileno())
                link.request("GET", target, headers=self._headers())
                answer = link.getresponse()
                body = answer.read(_MOST_BYTES)
            if deadline.is_late or answer.length:
                raise RemoteUnavailable(f"{self._url} gave no whole answer")
            return answer.status, body
        except ssl.SSLCertVerificationError as error:
            self._refuse(f"its certificate is not accepted: {error.verify_message}")
        except (OSError, http.client.HTTPException) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            raise RemoteUnavailable(f"{self._url} cannot be reached: {said}") from None
        finally:
            link.close()

    def _headers(self) -> Mapping[str, str]:
        signed = {} if self._token is None else {"Authorization": f"Bearer {self._token.reveal()}"}
        return {"Accept": "application/json", "User-Agent": f"planasonix-bridge/{__version__}", **signed}

    def _object(self, status: int, body: bytes) -> dict[str, Any]:
        """Return the JSON object of an answer; anything else is an error that says what to do."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            value = None
        if status >= http.client.INTERNAL_SERVER_ERROR:
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
        if status != http.client.OK:
            self._refuse(f"it answers {status}{_detail(value)}: is this the admin listener of a bridge?")
        return value

    def _refuse(self, what: str) -> NoReturn:
        raise ConfigError([Problem(self._url, 0, 0, what)])


def _is_own(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _detail(value: Any) -> str:
    detail = value.get("detail", value.get("next_step")) if isinstance(value, dict) else None
    return f": {detail[:_SHOWN]}" if isinstance(detail, str) else ""
