#!/usr/bin/env python3
"""Sign in to Google Cloud Composer 2 or 3: prints an OAuth 2.0 access token for the bridge.

    airflow:
      composer:
        url: https://<the environment's Airflow web UI>
        auth: {exec: [/opt/auth/bin/python, /etc/planasonix-bridge/auth/composer.py]}

Needs `google-auth[urllib3]` in a virtual environment of its own, and application default credentials (workload
identity, or GOOGLE_APPLICATION_CREDENTIALS). The account becomes an Airflow user at its first call, with the role that
`[api] composer_auth_user_registration_role` names. HTTPS_PROXY and NO_PROXY are honoured. Source: the Cloud
Composer documentation, "Access the Airflow REST API".
"""

import json
import urllib.parse
import urllib.request
from datetime import UTC
from typing import Any

import google.auth
import google.auth.transport.urllib3
import urllib3

_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def main() -> None:
    """Get an access token, and print it with its end."""
    credentials, _ = google.auth.default(scopes=_SCOPES)
    credentials.refresh(_send)
    # google-auth gives UTC without an offset.
    expires = credentials.expiry.replace(tzinfo=UTC).isoformat(timespec="seconds")
    print(json.dumps({"status": {"token": credentials.token, "expirationTimestamp": expires}}))


def _send(url: str, *given: Any, **options: Any) -> google.auth.transport.Response:
    """Send one of google-auth's requests, through the proxy for its URL."""
    return google.auth.transport.urllib3.Request(_connections(url))(url, *given, **options)


def _connections(url: str) -> urllib3.PoolManager:
    """Heed HTTPS_PROXY and NO_PROXY, which urllib3 does not. What is asked by http is the metadata server: directly."""
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get("https")
    if parts.scheme != "https" or not proxy or urllib.request.proxy_bypass(parts.netloc):
        return urllib3.PoolManager()
    named = urllib3.util.parse_url(proxy if "://" in proxy else f"http://{proxy}")
    pair = urllib.parse.unquote(named.auth) if named.auth else None
    return urllib3.ProxyManager(
        f"{named.scheme}://{named.netloc}", proxy_headers=urllib3.make_headers(proxy_basic_auth=pair)
    )


if __name__ == "__main__":
    main()
