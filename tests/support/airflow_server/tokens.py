"""Tokens as Airflow's api-server signs them, made here so that a test can hold one that has expired."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from deploy.demo.airflow import ROLES


def sign(username: str, *, secret: str, expires_in_seconds: float) -> str:
    """A bearer token of a user; with a negative number of seconds, one that has expired (Airflow allows 10 s)."""
    now = int(time.time())
    expires_at = now + int(expires_in_seconds)
    issued_at = min(now, expires_at - 60)
    claims = {
        "sub": username,
        "role": ROLES[username],
        "teams": [],
        "aud": "apache-airflow",
        "nbf": issued_at,
        "iat": issued_at,
        "exp": expires_at,
    }
    head = {"alg": "HS512", "kid": "not-used", "typ": "JWT"}
    signed = f"{_encode(head)}.{_encode(claims)}"
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha512).digest()
    return f"{signed}.{_base64(digest)}"


def _encode(part: dict[str, Any]) -> str:
    return _base64(json.dumps(part, separators=(",", ":")).encode())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
