"""A session at the admin listener, as its cookie carries it. Pure: time, secret and chance come in as parameters.

    1.<role>.<ends_at>.<mark>.<signature>           the cookie; `mark` is random, the signature covers all before it
    2.<role>.<ends_at>.<mark>.<name>.<signature>    that of a person who signed in by OpenID Connect

The key is derived from the token of the role. So every replica that has the token takes the cookie, a token that is
changed ends its sessions, and the cookie never carries the token. Who steals a cookie has the role until it ends.

A person's is signed with the key of rules/openid instead. The CSRF token of a session is signed with the same key as
its cookie: nobody can make it without the token of the role, or the secret of the provider's client.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.rules import cookies
from bridge.rules.cookies import spelled
from bridge.words.roles import SIGN_INS, Caller, Role
from bridge.words.targets import Secret

_BY_TOKEN, _BY_PERSON = "1", "2"
_PARTS = {_BY_TOKEN: 5, _BY_PERSON: 6}
_LONGEST_NUMBER = 12
_KEY, _COOKIE, _FORM = b"bridge session key", b"cookie", b"form"
MARK_BYTES = 16


@dataclass(frozen=True, slots=True)
class Session:
    """Whoever signed in: the role, when that ends (Unix seconds), and a mark that no other session has.

    `person` is the name of somebody who signed in by OpenID Connect; None for the token of the role.
    """

    role: Role
    ends_at: int
    mark: str
    person: str | None = None

    @property
    def said(self) -> str:
        """What the signature covers."""
        if self.person is None:
            return f"{_BY_TOKEN}.{self.role}.{self.ends_at}.{self.mark}"
        return f"{_BY_PERSON}.{self.role}.{self.ends_at}.{self.mark}.{spelled(self.person.encode())}"

    @property
    def caller(self) -> Caller:
        """Who asks, as the audit log knows them."""
        return Caller(f"token:{self.role}" if self.person is None else self.person, self.role)


def begin(role: Role, *, ends_at: int, chance: bytes, person: str | None = None) -> Session:
    """Return a new session; `chance` are `MARK_BYTES` random bytes."""
    return Session(role, ends_at, spelled(chance), person)


def seal(session: Session, key: Secret) -> str:
    """Return the cookie's value; `key` is the token of the role, or what the sessions of people are signed with."""
    return f"{session.said}.{_signed(key, _COOKIE, session)}"


def read(cookie: str, tokens: Mapping[Role, Secret], people: Secret | None = None, *, now: float) -> Session | None:
    """Return the session of a cookie; None if nobody with one of these keys made it, or it has ended."""
    parts = cookie.split(".")
    if len(parts) != _PARTS.get(parts[0]):
        return None
    version, word, ends_at, mark, *name, signature = parts
    role = next((each for each in SIGN_INS if each == word), None)
    if role is None or not (ends_at.isascii() and ends_at.isdecimal() and len(ends_at) <= _LONGEST_NUMBER):
        return None
    key = people if version == _BY_PERSON else tokens.get(role)
    session = Session(role, int(ends_at), mark, _name(*name) if name else None)
    if key is None or session.said != cookie.rpartition(".")[0]:
        return None
    is_ours = hmac.compare_digest(signature.encode(), _signed(key, _COOKIE, session).encode())
    return session if is_ours and now < session.ends_at else None


def form_token(session: Session, key: Secret) -> str:
    """Return what every form of this session carries, so that no other site can send one in its name."""
    return _signed(key, _FORM, session)


def _signed(secret: Secret, use: bytes, session: Session) -> str:
    return cookies.signed(secret, family=_KEY, use=use, text=session.said)


def _name(text: str) -> str:
    """Read a name; what cannot be read is not what was written, and so is nobody's."""
    try:
        return cookies.read(text).decode()
    except ValueError:
        return ""
