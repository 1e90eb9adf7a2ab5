"""The key set behind a JWKS URL of the configuration, fetched once: bounded in size and time, believed only over TLS.

No redirect is followed (configuration alone says where keys come from), and nothing is sent that could be stolen. A new
connection for each fetch: there is one an hour, and a changed authority file or proxy is seen without a restart.
"""

import ssl
from urllib.parse import urlsplit

from bridge import __version__
from bridge.edges.http import TracedDeadline, failure_words, read_bounded
from bridge.rules.scrubbing import scrub
from bridge.rules.signature import Key, KeySet, read_set
from bridge.words.errors import KeysUnavailable
from bridge.words.targets import JwksUrl

MAX_BYTES = 65_536
_SECONDS = 10.0
_CONNECT_SECONDS = 3.0
_HEADERS = {
    "Accept": "application/jwk-set+json, application/json",
    "Accept-Encoding": "identity",  # a compressed body may unpack to a thousand times its size
    "User-Agent": f"planasonix-bridge/{__version__}",
}


def load(key: Key, *, seconds: float = _SECONDS) -> KeySet:
    """Return the key set of an entry with `jwks`, fetched now; raises KeysUnavailable with a sentence for people."""
    assert key.jwks is not None  # noqa: S101 - only those entries are asked for
    assert key.algorithm is not None  # noqa: S101 - and the preset demands it
    document = fetch(key.jwks, seconds=seconds)
    try:
        return read_set(document, key.algorithm)
    except ValueError as error:
        raise KeysUnavailable(f"the URL's answer is not a usable key set: {error}") from None


def fetch(target: JwksUrl, *, seconds: float = _SECONDS) -> bytes:
    """Return the document behind the URL, whole and within so many seconds; raises KeysUnavailable."""
    import httpx  # noqa: PLC0415 - it costs 0.1 s, and most configurations name no URL

    is_secure = urlsplit(target.url).scheme == "https"
    try:
        # Without TLS it is loopback, where a proxy of the environment would be somebody else's loopback.
        with (
            TracedDeadline(seconds) as deadline,
            httpx.Client(
                headers=_HEADERS,
                timeout=httpx.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds)),
                verify=ssl.create_default_context(cafile=target.ca_file) if is_secure and target.ca_file else True,
                trust_env=is_secure,
                follow_redirects=False,
            ) as client,
            client.stream("GET", target.url, extensions={"trace": deadline.trace}) as answer,
        ):
            _check_status(answer.status_code)
            document = read_bounded(answer.iter_raw(), MAX_BYTES)
    except httpx.ConnectError as error:
        raise KeysUnavailable(f"the URL cannot be reached: {scrub(str(error))}") from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
        why = f"no whole answer within {seconds:g} s" if deadline.is_late else failure_words(error)
        raise KeysUnavailable(f"the URL cannot be read: {why}") from None
    if deadline.is_late:  # an answer without a length ends where we shut the socket down
        raise KeysUnavailable(f"the URL cannot be read: no whole answer within {seconds:g} s")
    if document is None:
        raise KeysUnavailable(f"the URL answers with more than {MAX_BYTES} bytes")
    return document


def _check_status(status: int) -> None:
    if 300 <= status < 400:
        raise KeysUnavailable(f"the URL answers {status}: no redirect is followed; configure where it leads to")
    if status != 200:
        raise KeysUnavailable(f"the URL answers {status}")
