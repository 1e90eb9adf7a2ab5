"""The proxy on the way to Airflow: its URL, and what goes wrong there, in sentences that say what to write.

It is that of `proxy`, else of HTTPS_PROXY or HTTP_PROXY (also without `http://`, as curl takes them).
Of what a proxy answers only its status is ever shown: the rest is its own text, and may repeat what was sent.
"""

import re
import ssl
from collections.abc import Sequence
from urllib.parse import unquote

import urllib3
from urllib3 import exceptions as errors

from bridge.edges.airflow.answers import PROXY_REFUSES_US
from bridge.edges.airflow.wire import Kind

_tunnel = re.compile(r"Tunnel connection failed: (\d{3})\b").match  # http.client's words
_SETTING = "`proxy` (or HTTPS_PROXY)"
_NOT_CONNECTED = (errors.NewConnectionError, errors.ConnectTimeoutError)


def split(url: str) -> tuple[str, dict[str, str]]:
    """Return a proxy's URL without its user and password, and the header that carries them; SOCKS has no headers.

    What is no URL stays as it is: NO_PROXY may name this Airflow.
    """
    whole = url if "://" in url else f"http://{url}"
    try:
        parts = urllib3.util.parse_url(whole)
    except errors.LocationParseError:
        return whole, {}
    if parts.auth is None or whole.startswith("socks"):
        return whole, {}
    user, _, password = parts.auth.partition(":")
    header = urllib3.make_headers(proxy_basic_auth=f"{unquote(user)}:{unquote(password)}")
    return parts._replace(auth=None).url, header


def problem_of(causes: Sequence[BaseException], words: str) -> tuple[Kind, str] | None:
    """Return what an error says of the configured proxy, None if it is not about the proxy. Nothing reached Airflow.

    `words` are those of the error itself.
    """
    for cause in causes:
        if isinstance(cause, OSError) and (found := _tunnel(str(cause))):
            return _refusal(int(found[1]))
    is_tls = any(isinstance(cause, ssl.SSLError) for cause in causes)
    if is_tls and any(isinstance(cause, errors.ProxyError) for cause in causes):
        return Kind.MISFIT, f"{words}, at the proxy: write http:// in {_SETTING}, or mend the proxy's certificate"
    if not is_tls and any(isinstance(cause, _NOT_CONNECTED) for cause in causes):
        return Kind.NOTHING_SENT, f"{words}, at the proxy: start it, or correct host and port in {_SETTING}"
    return None


def _refusal(status: int) -> tuple[Kind, str]:
    if status == 407:
        return Kind.MISFIT, PROXY_REFUSES_US
    if status >= 500:
        return Kind.NOTHING_SENT, f"{status} from the proxy: it cannot reach this Airflow; correct `url` or its network"
    return Kind.MISFIT, f"{status} from the proxy: let it open this Airflow's host and port, or correct {_SETTING}"
