"""The kinds of values in bridge.yaml: secrets by reference, URLs, files, names.

References lead to an environment and a folder, which `looking_at` sets while one file is validated: so a missing
secret is reported like any other mistake, with its place, and all of them at once.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from bridge.edges.settings.secrets import MAX_SECRET_FILE_BYTES, read_file, read_variable, slip, slip_of_text
from bridge.words.targets import Secret

_HOW = "give {env: NAME} or {file: PATH}"
LITERAL = f"a secret is never written in this file; {_HOW}"
_is_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}").fullmatch
_ends_in_api = re.compile(r"/api(/v[12](/.*)?)?/?$")
_is_duration = re.compile(r"([0-9]{1,9})(s|m|h|d)").fullmatch
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_is_host = re.compile(r"[A-Za-z0-9._\-:\[\]%]+").fullmatch


class Entry(BaseModel):
    """One mapping of bridge.yaml: unknown keys are mistakes, and no message shows what was given."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class _Outside:
    environ: Mapping[str, str]
    base_dir: Path
    files: list[Path]
    lacking: "Lacking | None"  # None: a secret that is not there is a mistake


@dataclass(slots=True)
class Lacking:
    """Which secrets are not there, and whether any is. Without `looks` none is looked for, so none is there."""

    looks: bool = True
    names: list[str] = field(default_factory=list)
    some_are_there: bool = False


class Absent(Secret):
    """Stands for a secret that is not there, where none is needed; no sender knows it, and nothing is sent."""


_outside: ContextVar[_Outside] = ContextVar("outside")


@contextmanager
def looking_at(environ: Mapping[str, str], base_dir: Path, *, lacking: Lacking | None = None) -> Iterator[list[Path]]:
    """Let references lead to this environment and this folder; gives the files that are opened meanwhile.

    With `lacking`, a secret that is not there is no mistake: it is named there, and `Absent` stands for it.
    """
    outside = _Outside(environ, base_dir, [], lacking)
    token = _outside.set(outside)
    try:
        yield outside.files
    finally:
        _outside.reset(token)


def resolve(reference: object) -> Secret:
    """Return the secret that `{env: NAME}` or `{file: PATH}` points to; ValueError without showing any of it."""
    outside = _outside.get()
    given = reference if isinstance(reference, dict) else {}
    match {name: value for name, value in given.items() if value is not None}:
        case {"env": str(name), **rest} if not rest:
            if _is_lacking(name, lambda: name in outside.environ):
                return _stand_in(name)
            return Secret(read_variable(outside.environ, name))
        case {"file": str(path), **rest} if not rest:
            outside.files.append(outside.base_dir / path)
            if _is_lacking(path, outside.files[-1].exists):
                return _stand_in(path)
            return Secret(read_file(outside.files[-1]))
    raise ValueError(_HOW if given else LITERAL)


def resolve_if_there(path: str) -> tuple[Path, Secret | None]:
    """Return the file, and what it holds, None if it is not there or empty; ValueError if it cannot be read."""
    outside = _outside.get()
    found = outside.base_dir / path
    outside.files.append(found)
    if outside.lacking is not None and not outside.lacking.looks:
        return found, None
    try:
        with found.open("rb") as file:
            is_vacant = not file.read(MAX_SECRET_FILE_BYTES).strip()
    except FileNotFoundError:
        return found, None
    except OSError:
        is_vacant = False  # said by what reads it
    if is_vacant:
        return found, None
    if outside.lacking is not None:
        outside.lacking.some_are_there = True
    return found, Secret(read_file(found))


def stand_in_if_lacking(path: str) -> Absent | None:
    """Return what stands for a secret that is not there, None if one has to be."""
    lacking = _outside.get().lacking
    if lacking is None:
        return None
    lacking.names.append(path)
    return _stand_in(path)


def _is_lacking(name: str, is_there: Callable[[], bool]) -> bool:
    lacking = _outside.get().lacking
    if lacking is None:
        return False
    if lacking.looks and is_there():
        lacking.some_are_there = True
        return False
    lacking.names.append(name)
    return True


def _stand_in(name: str) -> Absent:
    return Absent(hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest())


def credential(reference: object) -> Secret:
    """Resolve, and refuse what no credential is, where it stands; Airflow's 401 would be blamed on Airflow."""
    secret = resolve(reference)
    if not isinstance(secret, Absent) and (what := slip(secret.reveal())):
        kind, name = next(iter(reference.items())) if isinstance(reference, dict) else ("", "")
        raise ValueError(f"what the {'file' if kind == 'file' else 'environment variable'} {name} holds {what}")
    return secret


def _public_or_secret(given: object) -> Secret:
    return Secret(given) if isinstance(given, str) and given else credential(given)


def _header_text(given: object) -> Secret:
    """Take a whole header's value, which may begin with `Basic `: the whole is looked at, and the rest."""
    if isinstance(given, str) and given:
        return Secret(given)
    secret = resolve(given)
    text = secret.reveal()
    scheme, _, rest = text.partition(" ")
    if not isinstance(secret, Absent) and (what := slip_of_text(text) or slip(rest or scheme)):
        raise ValueError(f"the header's value {what}")
    return secret


_MOST_URL = 500  # a note has 1000


def plain_url(text: str) -> str:
    """Check an http(s) URL without user, query or fragment; return it without a final slash."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not text.isascii() or not text.isprintable():
        raise ValueError("must be a URL that begins with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or password")
    if parts.query or parts.fragment or " " in text or not _is_host(parts.netloc):
        raise ValueError("must be scheme, host, port and path only")
    return text.rstrip("/")


def pages_url(value: object) -> object:
    """Check where people find pages; `{` would begin a template in the notes that link there."""
    if not isinstance(value, str):
        return value
    if "{" in value or len(value) > _MOST_URL:
        raise ValueError(f"must be a plain URL of at most {_MOST_URL} characters")
    return plain_url(value)


def origins(value: object) -> object:
    """Check addresses without a path, with blanks between, as a header names them."""
    if not isinstance(value, str):
        return value
    found = [plain_url(each) for each in value.split()]
    if any(urlsplit(each).path for each in found) or len(value) > _MOST_URL:
        raise ValueError("must be scheme, host and port only, with blanks between several")
    return " ".join(found) or None


def _airflow_url(text: str) -> str:
    """Check an Airflow's URL: the bridge adds the path of the API itself."""
    if found := _ends_in_api.search(text):
        raise ValueError(f"ends in {found[0].rstrip('/')}, which the bridge adds itself; write {text[: found.start()]}")
    return text


def _jwks_url(text: str) -> str:
    """Check the URL of a key set: https, or http on this machine alone, since who answers decides who is believed."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - reading it checks it
        is_own = parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        is_own = False
    parts = urlsplit(plain_url(text.partition("?")[0]))  # a query is allowed here: some providers tell tenants by it
    if not text.isascii() or not text.isprintable() or " " in text or "#" in text:
        raise ValueError("must be scheme, host, port, path and query only")
    if parts.scheme != "https" and not is_own:
        raise ValueError("must begin with https://; http:// is for a loopback address only")
    return text


def _file(text: str) -> str:
    """Return the path, checked to be a file that can be read now, where secrets are looked for."""
    outside = _outside.get()
    path = outside.base_dir / text
    outside.files.append(path)
    if outside.lacking is not None and not outside.lacking.looks:
        return str(path)
    try:
        with path.open("rb"):
            return str(path)
    except OSError as error:
        raise ValueError(f"the file {path} cannot be read: {error.strerror}") from None


def _secret_file(text: str) -> str:
    """Return the path of a file that is a secret as a whole: it may be lacking where a secret may."""
    path = _outside.get().base_dir / text
    return str(path) if _is_lacking(text, path.exists) else _file(text)


def _name(text: str) -> str:
    """Check a name that becomes part of a URL or a metric label."""
    if not _is_name(text):
        raise ValueError(f"{text[:64]!r} is not a name: letters, digits, `-` and `_`, at most 64")
    return text


def _duration(given: object) -> object:
    """Read 90, "90s", "10m", "24h", "7d" as seconds."""
    if not isinstance(given, str):
        return given
    found = _is_duration(given)
    if found is None:
        raise ValueError("is not a duration; write seconds, or 90s, 10m, 24h, 7d")
    return int(found[1]) * _UNIT_SECONDS[found[2]]


Duration = Annotated[float, BeforeValidator(_duration), Field(ge=0, le=31_536_000)]
HeaderText = Annotated[Secret, BeforeValidator(_header_text)]
SecretField = Annotated[Secret, BeforeValidator(credential)]
PublicField = Annotated[Secret, BeforeValidator(_public_or_secret)]
Url = Annotated[str, AfterValidator(plain_url)]
AirflowUrl = Annotated[Url, AfterValidator(_airflow_url)]
ReadableFile = Annotated[str, Field(min_length=1), AfterValidator(_file)]
SecretFile = Annotated[str, Field(min_length=1), AfterValidator(_secret_file)]
JwksUrlText = Annotated[str, AfterValidator(_jwks_url)]
Name = Annotated[str, AfterValidator(_name)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
