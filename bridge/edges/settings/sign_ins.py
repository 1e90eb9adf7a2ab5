"""How bridge.yaml says how to sign in to an Airflow, and what goes along with every call to it or to Planasonix."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bridge.edges.http import CALL_HEADERS, is_header_name
from bridge.edges.settings.fields import LITERAL, Absent, Entry, HeaderText, PublicField, Seconds, SecretField
from bridge.words.targets import AirflowAuth, Secret

_is_path = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*").fullmatch
_is_proxy = re.compile(r"https?://(?:[^@/?#\s]+@)?[A-Za-z0-9._\-:\[\]]+/?").fullmatch
# What belongs to the call, or to `auth`.
_RESERVED = CALL_HEADERS | {"accept", "authorization", "user-agent"}
MAX_COMMAND_SECONDS = 60  # of `exec`
_ONE_WAY = "give one of: username and password; token; client_id and client_secret; exec"


def _path(text: str) -> str:
    if not _is_path(text):
        raise ValueError("must be a path below the Airflow's URL, e.g. /auth/token")
    return text


def _prefix(text: str) -> str:
    if text and (not _is_path(text) or text.endswith("/") or "//" in text):
        raise ValueError('must be a path such as /api, without a slash at its end, or "" for none')
    return text


def _no_password(given: object) -> object:
    if isinstance(given, str) and "@" in given:
        raise ValueError(LITERAL)
    return given


def _proxy(url: Secret) -> Secret:
    if not isinstance(url, Absent) and not _is_proxy(url.reveal()):
        raise ValueError("must be http:// or https://, host and port, with `user:password@` before them if needed")
    return url


def _headers(given: dict[str, Secret]) -> dict[str, Secret]:
    for name, value in given.items():
        if not is_header_name(name):
            raise ValueError(f"{name[:64]!r} is not the name of a header")
        if name.lower() in _RESERVED:
            raise ValueError(f"the header {name} cannot be set here; `auth` or `key` sets Authorization")
        if not value.reveal().isascii() or not value.reveal().isprintable():
            raise ValueError(f"the header {name} has a value that is not printable ASCII")
    return given


ProxyUrl = Annotated[PublicField, BeforeValidator(_no_password), AfterValidator(_proxy)]
PathPrefix = Annotated[str, AfterValidator(_prefix)]
HeadersField = Annotated[dict[str, HeaderText], AfterValidator(_headers)]


class AuthForm(Entry):
    """`auth` of an Airflow: one way to sign in."""

    username: PublicField | None = None
    password: SecretField | None = None
    token: SecretField | None = None
    client_id: PublicField | None = None
    client_secret: SecretField | None = None
    exec: list[str] | None = Field(None, min_length=1)
    timeout_seconds: Annotated[Seconds, Field(le=MAX_COMMAND_SECONDS)] | None = None
    way: Literal["basic", "login"] | None = None
    path: Annotated[str, AfterValidator(_path)] | None = None
    body: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        pairs = {"username": self.password, "client_id": self.client_secret}
        if any((getattr(self, name) is None) != (other is None) for name, other in pairs.items()):
            raise ValueError(_ONE_WAY)
        if sum(item is not None for item in (self.username, self.token, self.client_id, self.exec)) != 1:
            raise ValueError(_ONE_WAY)
        if self.way is not None and self.username is None:
            raise ValueError("`way` is for username and password: basic or login")
        if (self.path or self.body) and (self.way == "basic" or (self.username is None and self.client_id is None)):
            raise ValueError("`path` and `body` are for a sign-in that is posted: username or client_id")
        if self.timeout_seconds is not None and self.exec is None:
            raise ValueError("`timeout_seconds` is for `exec`")
        return self

    def build(self) -> AirflowAuth:
        """Return the sign-in with its defaults."""
        usual = AirflowAuth()
        return AirflowAuth(
            username=self.username,
            password=self.password,
            token=self.token,
            client_id=self.client_id,
            client_secret=self.client_secret,
            command=tuple(self.exec or ()),
            command_seconds=self.timeout_seconds or usual.command_seconds,
            way=self.way or usual.way,
            path=self.path or usual.path,
            body=self.body,
        )
