#!/usr/bin/env python3
"""Sign in to Google Cloud Composer 2 or 3: prints an OAuth 2.0 access token for the bridge.

    airflow:
      composer:
        url: https://<the environment's Airflow web UI>
        auth: {exec: [/opt/auth/bin/python, /etc/planasonix-bridge/auth/composer.py]}

Needs `google-auth[urllib3]` in a virtual environment of its own, and application default credentials (workload
identity, or GOOGLE_APPLICATION_CREDENTIALS). The account becomes an Airflow user at its first call, with the role that
`[api] composer_auth_user_registration_role` names. Source: the Cloud Composer documentation,
"Access the Airflow REST API".
"""

import json
from datetime import UTC

import google.auth
import google.auth.transport.urllib3
import urllib3

_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def main() -> None:
    """Get an access token, and print it with its end."""
    credentials, _ = google.auth.default(scopes=_SCOPES)
    credentials.refresh(google.auth.transport.urllib3.Request(urllib3.PoolManager()))
    # google-auth gives UTC without an offset.
    expires = credentials.expiry.replace(tzinfo=UTC).isoformat(timespec="seconds")
    print(json.dumps({"status": {"token": credentials.token, "expirationTimestamp": expires}}))


if __name__ == "__main__":
    main()
