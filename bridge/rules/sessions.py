"""A session at the admin listener, as its cookie carries it. Pure: time, secret and chance come in as parameters.

    1.<role>.<ends_at>.<mark>.<signature>      the cookie; `mark` is random, the signature covers all before it

The key is derived from the token of the role. So every replica that has the token takes the cookie, a token that is
changed ends its sessions, and the cookie never carries the token. Who steals a cookie has the role until it ends.

The CSRF token of a session is signed with the same key: nobody can make it without the token of the role.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.words.roles import SIGN_INS, Role
from bridge.words.targets import Secret

_VERSION = "1"
_PARTS = 5
_LONGEST_NUMBER = 12
_KEY, _COOKIE, _FORM = b"bridge session key", b"cookie", b"form"
MARK_BYTES = 16


@dataclass(frozen=True, slots=True)
class Session:
    """Whoever signed in: the role, when that ends (Unix seconds), and a mark that no other session has."""

    role: Role
    ends_at: int
    mark: str

    @property
    def said(self) -> str:
        """What the signature covers."""
        return f"{_VERSION}.{self.role}.{self.ends_at}.{self.mark}"


def begin(role: Role, *, ends_at: int, chance: bytes) -> Session:
    """Return a new session; `chance` are `MARK_BYTES` random bytes."""
    return Session(role, ends_at, _text(chance))


def seal(session: Session, token: Secret) -> str:
    """Return the cookie's value."""
    return f"{session.said}.{_signed(token, _COOKIE, session)}"


def read(cookie: str, tokens: Mapping[Role, Secret], *, now: float) -> Session | None:
    """Return the session of a cookie; None if nobody with one of these tokens made it, or it has ended."""
    parts = cookie.split(".")
    if len(parts) != _PARTS or parts[0] != _VERSION:
        return None
    _, word, ends_at, mark, signature = parts
    role = next((each for each in SIGN_INS if each == word and each in tokens), None)
    if role is None or not (ends_at.isascii() and ends_at.isdecimal() and len(ends_at) <= _LONGEST_NUMBER):
        return None
    session = Session(role, int(ends_at), mark)
    is_ours = hmac.compare_digest(signature.encode(), _signed(tokens[role], _COOKIE, session).encode())
    return session if is_ours and session.said == cookie.rpartition(".")[0] and now < session.ends_at else None


def form_token(session: Session, token: Secret) -> str:
    """Return what every form of this session carries, so that no other site can send one in its name."""
    return _signed(token, _FORM, session)


def _signed(token: Secret, use: bytes, session: Session) -> str:
    key = hmac.digest(token.reveal().encode(), _KEY, hashlib.sha256)
    return _text(hmac.digest(key, use + b"\0" + session.said.encode(), hashlib.sha256))


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()
