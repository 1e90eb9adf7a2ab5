"""The bridge's public URL as its senders see it, as far as that can be seen from here: its name, its TLS, its answers.

Nothing is verified less than a sender would: a certificate that is not accepted here is an error. No redirect is
followed and no proxy of the environment is used.
"""

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from bridge.edges.http import Deadline, http_date

_SECONDS = 15.0
_MOST_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Posted:
    """What was answered to a POST; status 0 and `error` if nothing was."""

    status: int
    value: Mapping[str, Any] = field(default_factory=dict)  # the JSON object, if it was one
    is_json: bool = False
    at: datetime | None = None
    error: str | None = None


def addresses(host: str) -> list[str]:
    """Return the addresses that a name leads to from here; raises OSError."""
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)))


def certificate_ends(host: str, port: int) -> datetime:
    """Return until when the accepted certificate is valid; raises OSError (ssl.SSLError is one)."""
    with socket.create_connection((host, port), timeout=_SECONDS) as plain:
        plain.settimeout(_SECONDS)
        with ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secured:
            ends = (secured.getpeercert() or {}).get("notAfter", "")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(ends)), UTC)


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
    """Post once."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        trusted = ssl.create_default_context()
        link: http.client.HTTPConnection = http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=trusted)
    else:
        link = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        with Deadline(_SECONDS) as deadline:
            link.connect()
            deadline.watch(link.sock.fileno())
            link.request("POST", parts.path or "/", body, dict(headers))
            answer = link.getresponse()
            content = answer.read(_MOST_BYTES)
        return _posted(answer, content)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Posted(0, error=words(error))
    finally:
        link.close()


def words(error: Exception) -> str:
    """Say what happened, without anything that was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _posted(answer: http.client.HTTPResponse, content: bytes) -> Posted:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    is_object = isinstance(value, dict)
    return Posted(answer.status, value if is_object else {}, is_object, http_date(answer.headers.get("Date")))
