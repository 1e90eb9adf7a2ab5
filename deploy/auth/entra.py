#!/usr/bin/env python3
"""Sign in with Microsoft Entra (OAuth 2.0 client credentials): prints an access token for the bridge.

    airflow:
      azure:
        url: https://<the Airflow>
        auth: {exec: [python3, /etc/planasonix-bridge/auth/entra.py, --scope, api://<application id>/.default]}

Needs nothing but Python, and the variables that Azure's own libraries read: AZURE_TENANT_ID, AZURE_CLIENT_ID and
AZURE_CLIENT_SECRET, or AZURE_CLIENT_SECRET_FILE. HTTPS_PROXY and NO_PROXY are honoured. Source: Microsoft identity
platform, "OAuth 2.0 client credentials flow".
"""

import argparse
import http
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

_SECONDS = 8
_HOST = "https://login.microsoftonline.com"


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the secret goes where it was meant to go."""

    def redirect_request(self, *_: object) -> None:
        """Leave the redirect as the answer."""


def main() -> None:
    """Get an access token, and print it with its end."""
    parser = argparse.ArgumentParser(description="Sign in with Microsoft Entra.")
    parser.add_argument("--scope", required=True, help="what the token is for, with /.default at its end")
    options = parser.parse_args()
    form = {
        "grant_type": "client_credentials",
        "client_id": _needed("AZURE_CLIENT_ID"),
        "client_secret": _secret(),
        "scope": options.scope,
    }
    host = os.environ.get("AZURE_AUTHORITY_HOST", _HOST).rstrip("/")
    url = f"{host}/{urllib.parse.quote(_needed('AZURE_TENANT_ID'), safe='')}/oauth2/v2.0/token"
    granted = _post(url, urllib.parse.urlencode(form))
    expires = datetime.now(UTC) + timedelta(seconds=float(granted["expires_in"]))
    status = {"token": granted["access_token"], "expirationTimestamp": expires.isoformat(timespec="seconds")}
    print(json.dumps({"status": status}))


def _post(url: str, form: str) -> dict[str, str]:
    request = urllib.request.Request(url, form.encode())  # noqa: S310 - of whoever runs the service
    try:
        answer = urllib.request.build_opener(_Stay).open(request, timeout=_SECONDS)
    except urllib.error.HTTPError as refusal:
        answer = refusal
    try:
        found = json.load(answer)
    except ValueError:
        found = {}
    if answer.status != http.HTTPStatus.OK:
        # `error` is a code such as invalid_client; the description may quote what was sent.
        sys.exit(f"Entra answers {answer.status}: {found.get('error') or 'no reason given'}")
    return found


def _secret() -> str:
    file = os.environ.get("AZURE_CLIENT_SECRET_FILE")
    return Path(file).read_text("utf-8").strip() if file else _needed("AZURE_CLIENT_SECRET")


def _needed(name: str) -> str:
    return os.environ.get(name) or sys.exit(f"{name} is not set")


if __name__ == "__main__":
    main()
