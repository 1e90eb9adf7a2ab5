"""What signing in by OpenID Connect remembers and decides. Pure: time, secret and chance come in as parameters.

    <state>.<ends_at>.<onward>.<signature>    the cookie of a sign-in that has begun; `state` is random

The verifier of PKCE and the nonce are derived from `state` and the client's secret. So nothing is stored, any replica
finishes what another one began, and without the cookie nobody finishes it.
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.rules import cookies
from bridge.rules.cookies import spelled
from bridge.words.errors import SignInFailed
from bridge.words.roles import SIGN_INS, Caller, Role
from bridge.words.targets import OpenIdProvider, Secret

STATE_BYTES = 32
LASTS_SECONDS = 600
_KEY, _COOKIE, _VERIFIER, _NONCE, _SESSIONS = b"bridge openid key", b"begun", b"verifier", b"nonce", b"sessions"
_LONGEST_ONWARD = 1000  # a browser drops a cookie of more than 4096 bytes
_LONGEST_NAME = 255
_PERSON = "person:"  # so that nobody can be called as a token is


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that has begun: its mark, until when it may be finished (Unix seconds), and where it leads."""

    state: str
    ends_at: int
    onward: str


def begin(*, chance: bytes, now: float, onward: str) -> Begun:
    """Return a new one; `chance` are `STATE_BYTES` random bytes. A path too long for a cookie is the first page."""
    return Begun(spelled(chance), int(now) + LASTS_SECONDS, onward if len(onward) <= _LONGEST_ONWARD else "/")


def seal(begun: Begun, secret: Secret) -> str:
    """Return the cookie's value."""
    return f"{_said(begun)}.{_signed(secret, _COOKIE, _said(begun))}"


def read(cookie: str, secret: Secret, *, now: float) -> Begun | None:
    """Return what a cookie carries; None if it was not made with this secret, or its time is over."""
    said, _, signature = cookie.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signed(secret, _COOKIE, said).encode()):
        return None
    state, ends_at, onward = said.split(".")  # ours: nobody else signs
    begun = Begun(state, int(ends_at), cookies.read(onward).decode())
    return begun if now < begun.ends_at else None


def verifier(begun: Begun, secret: Secret) -> str:
    """Return the verifier of PKCE (RFC 7636): 43 letters that the browser never sees."""
    return _signed(secret, _VERIFIER, begun.state)


def nonce(begun: Begun, secret: Secret) -> str:
    """Return what the ID token must repeat."""
    return _signed(secret, _NONCE, begun.state)


def is_same(begun: Begun, state: str) -> bool:
    """Whether the provider's answer is to this sign-in."""
    return hmac.compare_digest(begun.state.encode(), state.encode("utf-8", "replace"))


def session_key(provider: OpenIdProvider) -> Secret:
    """Return what the sessions of people are signed with.

    Another secret, issuer, client or table of roles is another key, so a role that is taken away ends its sessions.
    """
    settings = [provider.issuer, provider.client_id, provider.groups_claim, sorted(provider.roles.items())]
    return Secret(_signed(provider.secret, _SESSIONS, json.dumps(settings)))


def name_of(claims: Mapping[str, Any], provider: OpenIdProvider) -> str:
    """Return what the audit log calls a person: the configured claim, else `sub`. Raises SignInFailed without either.

    An address that the provider says it has not verified is anybody's, and is not taken.
    """
    is_doubtful = provider.name_claim == "email" and claims.get("email_verified", True) not in (True, "true")
    for claim in ("sub",) if is_doubtful else (provider.name_claim, "sub"):
        name = claims.get(claim)
        if isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= _LONGEST_NAME:
            return _PERSON + name.strip()
    raise SignInFailed("the provider's ID token names nobody")


def caller_of(claims: Mapping[str, Any], provider: OpenIdProvider) -> Caller | None:
    """Return the person with the highest role that a group of theirs has; None if no group has one."""
    given = claims.get(provider.groups_claim)
    groups = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    found = {provider.roles[group] for group in groups if isinstance(group, str) and group in provider.roles}
    role: Role | None = next((role for role in reversed(SIGN_INS) if role in found), None)
    return None if role is None else Caller(name_of(claims, provider), role)


def _said(begun: Begun) -> str:
    return f"{begun.state}.{begun.ends_at}.{spelled(begun.onward.encode())}"


def _signed(secret: Secret, use: bytes, text: str) -> str:
    return cookies.signed(secret, family=_KEY, use=use, text=text)
