"""Sends one request, returns an Answer or a Failure; imports the Airflow client and (beside `proxies`) urllib3, alone.

It never resends and never follows a redirect (a POST that is sent twice unasked could start two runs), reads no
more than a given size, and keeps an overall deadline even against a server that trickles. Whatever the client, urllib3
or the socket raise becomes a Failure here; their texts are never shown, since they may hold cookies and URLs.

Not the client's typed calls: one that is newer than the server raises although the DAG run was created.
"""

import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from socket import socket
from typing import Any

import urllib3
from airflow_client.client import ApiClient, Configuration
from airflow_client.client.exceptions import OpenApiException
from urllib3 import exceptions as errors
from urllib3.connection import HTTPConnection, HTTPSConnection

from bridge.edges.airflow import proxies
from bridge.edges.airflow.wire import Answer, Failure, Kind
from bridge.edges.http import Deadline, http_date, retry_after_seconds
from bridge.words.targets import AirflowTarget, Secret

_MEBIBYTE = 1 << 20
_CHUNK = 1 << 14
# Of each exception the nearest base class listed here counts; a test holds that none is left to chance.
KINDS: dict[type[BaseException], Kind] = {
    errors.HTTPError: Kind.UNKNOWN,
    errors.ProtocolError: Kind.UNKNOWN,
    errors.ReadTimeoutError: Kind.UNKNOWN,
    errors.TimeoutError: Kind.UNKNOWN,
    errors.IncompleteRead: Kind.UNKNOWN,
    errors.InvalidChunkLength: Kind.UNKNOWN,
    errors.InvalidHeader: Kind.UNKNOWN,
    errors.HeaderParsingError: Kind.UNKNOWN,
    errors.DecodeError: Kind.UNKNOWN,
    errors.ResponseError: Kind.UNKNOWN,
    errors.ResponseNotChunked: Kind.UNKNOWN,
    errors.BodyNotHttplibCompatible: Kind.UNKNOWN,
    errors.UnrewindableBodyError: Kind.UNKNOWN,
    errors.MaxRetryError: Kind.UNKNOWN,
    errors.RequestError: Kind.UNKNOWN,
    errors.PoolError: Kind.UNKNOWN,
    errors.HostChangedError: Kind.UNKNOWN,
    errors.NewConnectionError: Kind.NOTHING_SENT,
    errors.NameResolutionError: Kind.NOTHING_SENT,
    errors.ConnectTimeoutError: Kind.NOTHING_SENT,
    errors.ProxyError: Kind.NOTHING_SENT,
    errors.EmptyPoolError: Kind.NOTHING_SENT,
    errors.FullPoolError: Kind.NOTHING_SENT,
    errors.ClosedPoolError: Kind.NOTHING_SENT,
    errors.TimeoutStateError: Kind.NOTHING_SENT,
    errors.SSLError: Kind.MISFIT,
    errors.LocationValueError: Kind.MISFIT,
    errors.LocationParseError: Kind.MISFIT,
    errors.URLSchemeUnknown: Kind.MISFIT,
    errors.ProxySchemeUnknown: Kind.MISFIT,
    errors.ProxySchemeUnsupported: Kind.MISFIT,
    OpenApiException: Kind.UNKNOWN,
    HTTPException: Kind.UNKNOWN,
    OSError: Kind.UNKNOWN,
    ValueError: Kind.UNKNOWN,
}
_CAUGHT = (errors.HTTPError, OpenApiException, HTTPException, OSError, ValueError)


class _Call(Deadline):
    """One call under way, and whether its request began to leave."""

    is_sending = False


class _UnderWay(threading.local):
    call: _Call | None = None


_under_way = _UnderWay()


class _Watched(HTTPConnection):
    """A connection that tells the call under way its socket, and when the request begins to leave."""

    def _new_conn(self) -> socket:
        opened = super()._new_conn()
        if _under_way.call is not None:
            _under_way.call.watch(opened.fileno())
        return opened

    def request(self, *args: Any, **options: Any) -> None:
        if _under_way.call is not None:
            if self.sock is not None:
                _under_way.call.watch(self.sock.fileno())
            _under_way.call.is_sending = True
        super().request(*args, **options)


class _WatchedTls(_Watched, HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


@dataclass(frozen=True, slots=True)
class _Line:
    """What calls go through, and with which headers; a call uses the same one from its beginning to its end."""

    client: ApiClient
    proxy: Secret | None
    headers: Mapping[str, Secret]


class Transport:
    """The connections to one Airflow; thread-safe."""

    def __init__(self, target: AirflowTarget) -> None:
        """Open nothing yet."""
        self._target = target
        if not target.verify_tls:
            urllib3.disable_warnings(errors.InsecureRequestWarning)
        self._line = _Line(_client(target, target.proxy), target.proxy, target.headers)

    def take_over(self, target: AirflowTarget) -> None:
        """Use the headers and the proxy of this target from the next call on; everything else stays as it is.

        Calls under way end as they began. When the last is over, the connections through the former proxy close:
        urllib3 does that for a pool that nobody holds. Closed by us, it would fail a call that is about to use it.
        """
        client, proxy = self._line.client, self._line.proxy
        if _url(target.proxy) != _url(proxy):
            client, proxy = _client(self._target, target.proxy), target.proxy
        self._line = _Line(client, proxy, target.headers)

    def call(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str],
        body: Any = None,
        seconds: float,
        echo_bytes: int = 0,
    ) -> Answer | Failure:
        """Send one request below the base URL; `body` is sent as JSON. Returns within `seconds`, or nearly.

        Of the answer no more is read than 1 MiB and twice what it may repeat (`echo_bytes`). Nearly: looking up a name
        and connecting to each of its addresses is bounded by `connect_seconds` alone.
        """
        line = self._line
        with _Call(seconds) as call:
            _under_way.call = call
            try:
                response = self._send(line, method, path, headers=headers, body=body, seconds=seconds)
                answer = _answer(response, _MEBIBYTE + 2 * echo_bytes)
                # A body without a length looks whole when its connection is broken at the deadline.
                return _late(Kind.UNKNOWN, seconds) if call.is_late else answer
            except _CAUGHT as error:
                has_proxy = isinstance(line.client.rest_client.pool_manager, urllib3.ProxyManager)
                return _failure(error, call, seconds, has_proxy=has_proxy)
            finally:
                _under_way.call = None

    def close(self) -> None:
        """Close the connections that no call uses."""
        self._line.client.rest_client.pool_manager.clear()

    def _send(
        self, line: _Line, method: str, path: str, *, headers: dict[str, str], body: Any, seconds: float
    ) -> urllib3.BaseHTTPResponse:
        target = self._target
        usual = {name: value.reveal() for name, value in line.headers.items()}
        timeouts = (min(target.connect_seconds, seconds), min(target.read_seconds, seconds))
        sent = line.client.call_api(
            method,
            target.url.rstrip("/") + path,
            header_params={"Accept-Encoding": "identity", **usual, **headers},
            body=body,
            _request_timeout=timeouts,
        )
        response: urllib3.BaseHTTPResponse = sent.response
        return response


def _client(target: AirflowTarget, proxy: Secret | None) -> ApiClient:
    """Return the client for this target through this proxy. It opens nothing yet."""
    configuration = Configuration(host=target.url)
    # Attributes, as the constructor's keywords differ between the client's versions.
    configuration.retries = False
    configuration.connection_pool_maxsize = target.concurrency + 3  # one beside a DAG that hangs, a probe, a list
    configuration.verify_ssl = target.verify_tls
    configuration.ssl_ca_cert = target.ca_file
    configuration.cert_file = target.client_cert_file
    configuration.key_file = target.client_key_file
    if proxy is not None:
        configuration.proxy, configuration.no_proxy = proxy.reveal(), None  # NO_PROXY is about HTTPS_PROXY
    if configuration.proxy:
        configuration.proxy, configuration.proxy_headers = proxies.split(configuration.proxy)
    client = ApiClient(configuration)
    client.rest_client.pool_manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return client


def _url(proxy: Secret | None) -> str | None:
    return None if proxy is None else proxy.reveal()


def _answer(response: urllib3.BaseHTTPResponse, limit: int) -> Answer:
    """Read a whole answer, or what is read of one that is too long."""
    try:
        read = _read(response, limit)
    except BaseException:
        response.close()  # else the connection would be used again with half an answer in it
        raise
    is_cut = len(read) > limit
    if is_cut:
        response.close()
    response.release_conn()
    fields = response.headers
    wait = retry_after_seconds(fields.get("Retry-After"), now=datetime.now(UTC))
    return Answer(response.status, fields.get("Content-Type", ""), read, wait, is_cut, http_date(fields.get("Date")))


def _read(response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
    """Read a body, but not much more than `limit` bytes of it."""
    parts: list[bytes] = []
    length = 0
    while length <= limit and (part := response.read(_CHUNK)):
        parts.append(part)
        length += len(part)
    return b"".join(parts)


def _failure(error: BaseException, call: _Call, seconds: float, *, has_proxy: bool) -> Failure:
    broken = Kind.UNKNOWN if call.is_sending else Kind.NOTHING_SENT
    if call.is_late:
        return _late(broken, seconds)
    causes = _causes(error)
    if has_proxy and (problem := proxies.problem_of(causes, _words(error))) is not None:
        return Failure(*problem, is_sent=call.is_sending)
    kind = _kind(causes, is_sending=call.is_sending)
    return Failure(broken if kind is Kind.UNKNOWN else kind, _words(error), is_sent=call.is_sending)


def _late(kind: Kind, seconds: float) -> Failure:
    return Failure(kind, f"no whole answer within {seconds:g} s")


def _kind(causes: list[BaseException], *, is_sending: bool) -> Kind:
    kinds = [_listed(cause) for cause in causes]
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if tls is not None:
        # A handshake that went well, or broke off, says nothing about the settings; an alert is the server's no.
        is_broken = isinstance(tls, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        is_broken = is_broken or (is_sending and "ALERT" not in (tls.reason or ""))
        return Kind.UNKNOWN if is_broken else Kind.MISFIT
    if Kind.NOTHING_SENT in kinds:
        return Kind.NOTHING_SENT
    if any(isinstance(cause, FileNotFoundError | PermissionError | IsADirectoryError) for cause in causes):
        return Kind.MISFIT  # a certificate or key file that cannot be read
    return Kind.MISFIT if Kind.MISFIT in kinds else Kind.UNKNOWN


def _listed(error: BaseException) -> Kind:
    return next((KINDS[base] for base in type(error).__mro__ if base in KINDS), Kind.UNKNOWN)


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and everything that it wraps: as cause, as context, or as an argument (urllib3's way)."""
    found: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, BaseException) and item not in found:
            found.append(item)
            waiting += [getattr(item, "reason", None), *item.args, item.__cause__, item.__context__]
    return found


def _words(error: BaseException) -> str:
    """Say what happened in words that cannot hold anything sent: class names, errno and OpenSSL's own texts."""
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return f"TLS: {cause.reason}"
        if isinstance(cause, OSError) and cause.strerror:
            return f"{type(cause).__name__}: {cause.strerror}"
    return type(causes[-1]).__name__
