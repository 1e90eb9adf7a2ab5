"""What the URL of a store may look like, and what is wrong with one that nothing could open."""

import re
from pathlib import Path
from urllib.parse import unquote, unquote_plus

from bridge.edges.settings.secrets import read_file, slip

_DATABASES = re.compile(r"(sqlite|postgresql|postgres)(\+[a-z0-9_]+)?://")


def check_database_url(value: object) -> object:
    """Look at the URL itself, since what a library says of a wrong one may hold the password."""
    if not isinstance(value, str):
        return value
    if what := slip(value):
        raise ValueError(what)
    if not _DATABASES.match(value):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    scheme, _, rest = value.partition("://")
    server = re.split(r"[/?#]", rest, maxsplit=1)[0]
    before, _, _ = rest.partition("?")
    place = before if "/" in before else rest  # a query may well hold an @, as in user=bridge@tenant
    if not scheme.startswith("sqlite") and (place.count("@") > 1 or ("@" in place and "@" not in server)):
        raise ValueError("has a password or user with one of `@ / ? #` in it; write them as %40 %2F %3F %23")
    if not scheme.startswith("sqlite") and not _is_port(server.rpartition("@")[2]):
        raise ValueError("has a port that is no number; a `:` in a password is written %3A")
    return value


def _is_port(server: str) -> bool:
    host, colon, port = server.rpartition(":")
    return not colon or port.isdecimal() or (host.startswith("[") and server.endswith("]")) or "," in server


def password_of(file: Path) -> str:
    """Return the password that a file of its own holds now; ValueError if it cannot be read."""
    password = read_file(file)
    if what := slip(password):
        raise ValueError(f"what the file {file} holds {what}")
    return password


def password_in(file: Path, *, at_start: str) -> str | None:
    """Return the password of the URL that a file holds now; ValueError if it cannot be read.

    None if it has no password, or another user than the URL at the start: that one goes on, with its own password.
    """
    url = read_file(file)
    try:
        check_database_url(url)
    except ValueError as error:
        raise ValueError(f"what the file {file} holds {error}") from None
    user, password = _sign_in(url)
    return password or None if user == _sign_in(at_start)[0] else None


def _sign_in(url: str) -> tuple[str, str]:
    """Return user and password; as in libpq, those in the query count more."""
    place, _, query = url.partition("://")[2].partition("?")
    user, _, password = place.partition("/")[0].rpartition("@")[0].partition(":")
    given = {"user": unquote(user), "password": unquote(password)}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if value:
            given[name] = unquote_plus(value)
    return given["user"], given["password"]


def store_folder(url: str) -> Path | None:
    """Return the folder of a store that is a file."""
    kind, _, path = url.partition(":///")
    return Path(path).absolute().parent if kind == "sqlite" else None
