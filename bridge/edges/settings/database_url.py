"""What the URL of a store may look like, and what is wrong with one that nothing could open."""

import re
from pathlib import Path

from bridge.edges.settings.secrets import slip

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


def store_folder(url: str) -> Path | None:
    """Return the folder of a store that is a file."""
    kind, _, path = url.partition(":///")
    return Path(path).absolute().parent if kind == "sqlite" else None
