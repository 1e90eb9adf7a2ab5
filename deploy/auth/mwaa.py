#!/usr/bin/env python3
"""Sign in to Amazon MWAA: prints a token (Airflow 3) or a session cookie (Airflow 2) for the bridge.

    airflow:
      mwaa:
        url: https://<the environment's web server host>
        version: 3                 # 2 and 3 sign in at different paths
        rate: 8                    # MWAA answers 10 calls a second
        deadline_seconds: 10       # and ends a call after 10 s
        auth: {exec: [/opt/auth/bin/python, /etc/planasonix-bridge/auth/mwaa.py, --name, my-environment]}

For Airflow 2 write `version: 2` and add `--version, "2"` to the command; `--region, REGION` where the AWS configuration
names none. HTTPS_PROXY and NO_PROXY are honoured.

Needs boto3 in a virtual environment of its own (it and the Airflow client want different versions of python-dateutil),
and AWS credentials with `airflow:CreateWebLoginToken` on `role/<environment>/<Airflow role>`. A web login token lives
for 60 s and opens one session. Airflow 3's token says how long it lives; Airflow 2's cookie does not, so it is replaced
every hour. Sources: the Amazon MWAA user guide, "Using the Apache Airflow REST API", and `CreateWebLoginToken` of its
API reference.
"""

import argparse
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie

import boto3

_SECONDS = 8
_COOKIE_LIFE = timedelta(hours=1)
_PATHS = {"2": "/aws_mwaa/login", "3": "/pluginsv2/aws_mwaa/login"}
_COOKIES = {"2": "session", "3": "_token"}


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the answer to the sign-in is one, and has the cookie."""

    def redirect_request(self, *_: object) -> None:
        """Leave the redirect as the answer."""


def main() -> None:
    """Open a session and print what the bridge sends from then on."""
    parser = argparse.ArgumentParser(description="Sign in to Amazon MWAA.")
    parser.add_argument("--name", required=True, help="the environment")
    parser.add_argument("--region", help="default: as the AWS configuration says")
    parser.add_argument("--version", choices=sorted(_PATHS), default="3", help="Airflow's major version")
    options = parser.parse_args()
    mwaa = boto3.client("mwaa", region_name=options.region)
    login = mwaa.create_web_login_token(Name=options.name)
    value = _session(login["WebServerHostname"], login["WebToken"], options.version)
    if options.version == "3":
        status = {"token": value}
    else:
        ends_at = datetime.now(UTC) + _COOKIE_LIFE
        status = {
            "headers": {"Cookie": f"session={value}"},
            "expirationTimestamp": ends_at.isoformat(timespec="seconds"),
        }
    print(json.dumps({"status": status}))


def _session(host: str, token: str, version: str) -> str:
    form = urllib.parse.urlencode({"token": token})
    request = urllib.request.Request(f"https://{host}{_PATHS[version]}", form.encode())
    try:
        answer = urllib.request.build_opener(_Stay).open(request, timeout=_SECONDS)
    except urllib.error.HTTPError as redirect:
        answer = redirect
    for header in answer.headers.get_all("Set-Cookie", []):
        cookie = SimpleCookie(header).get(_COOKIES[version])
        if cookie is not None:
            return cookie.value
    sys.exit(f"the web server answers {answer.status} and sets no cookie {_COOKIES[version]}: is it Airflow {version}?")


if __name__ == "__main__":
    main()
