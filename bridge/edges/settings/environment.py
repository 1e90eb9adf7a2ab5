"""Process settings: `BRIDGE_X`, or `BRIDGE_X_FILE` naming a file that holds the value.

Plain pydantic, not pydantic-settings: both spellings, unknown names and all errors at once would have to be
written around it anyway, and it costs start-up 27 ms more.
"""

import contextlib
import difflib
import os.path
import re
import secrets
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError

from bridge.edges.settings.database_url import check_database_url, password_in, password_of
from bridge.edges.settings.fields import origins, pages_url
from bridge.edges.settings.secrets import read_file, read_variable, slip
from bridge.rules.sealing import Ring, read_keys
from bridge.rules.signature import check_secret
from bridge.words.errors import ConfigError, Problem
from bridge.words.roles import Role
from bridge.words.targets import Secret

PREFIX = "BRIDGE_"
_FILE = "_FILE"
_is_service_link = re.compile(r"BRIDGE_(SERVICE_(HOST|PORT\w*)|PORT_[0-9]+_(TCP|UDP)\w*)").fullmatch
_SERVICE_LINK = (
    "comes from a Kubernetes Service named `bridge`: set `enableServiceLinks: false` in the pod, or rename the Service"
)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _token(value: object) -> object:
    if isinstance(value, str):
        if problem := check_secret(value):
            raise ValueError(problem)
        if what := slip(value):
            raise ValueError(what)
        return Secret(value)
    return value


def _encryption_keys(value: object) -> object:
    if isinstance(value, str):
        if what := slip(" ".join(value.split())):  # one entry a line is fine
            raise ValueError(what)
        return read_keys(value)
    return value


Port = Annotated[int, Field(ge=0, le=65_535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Environment(BaseModel):
    """The settings of one process. Field `x` is the variable `BRIDGE_X`; docs/reference/settings.md shows them."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)

    database_url: Annotated[str, BeforeValidator(check_database_url)] = Field(
        "sqlite:///./bridge.db",
        repr=False,
        description="Where deliveries and triggers are stored: `sqlite:///path`, or `postgresql://user@host/database`.",
    )
    database_password_file: Path | None = Field(
        None,
        description="File with PostgreSQL's password, instead of one in the URL; read at every new connection.",
    )
    encryption_keys: Annotated[dict[str, bytes] | None, BeforeValidator(_encryption_keys)] = Field(
        None,
        repr=False,
        description="Encrypts stored payloads: `ID:KEY`, several with blanks between; the first encrypts, all decrypt.",
    )
    host: str = Field("0.0.0.0", min_length=1, description="Address of the public listener.")  # noqa: S104
    port: Port = Field(8080, description="Port of the public listener (`POST /hooks/...`); 0 takes any free one.")
    admin_host: str = Field("127.0.0.1", min_length=1, description="Address of the admin listener.")
    admin_port: Port = Field(8081, description="Port of the admin listener (API, metrics); 0 as above.")
    admin_tls_cert_file: Path | None = Field(
        None,
        description="PEM file with the admin listener's certificate and its chain: the admin listener then speaks TLS; "
        "read again when it changes.",
    )
    admin_tls_key_file: Path | None = Field(
        None, description="PEM file with the key of that certificate, without a password."
    )
    admin_token: Annotated[Secret | None, BeforeValidator(_token)] = Field(
        None,
        description="Bearer token of the role `admin`, 24 bytes or more; with neither a token of a person's role nor "
        "an OpenID provider, only loopback is served.",
    )
    operator_token: Annotated[Secret | None, BeforeValidator(_token)] = Field(
        None, description="Bearer token of the role `operator`: everything but erasing and the audit log."
    )
    viewer_token: Annotated[Secret | None, BeforeValidator(_token)] = Field(
        None, description="Bearer token of the role `viewer`: states, reasons and ids, but no stored payload."
    )
    metrics_token: Annotated[Secret | None, BeforeValidator(_token)] = Field(
        None, description="Bearer token for `GET /metrics` alone, for Prometheus."
    )
    public_admin_url: Annotated[str | None, BeforeValidator(pages_url)] = Field(
        None,
        description="Where people reach the admin listener; DAG runs then get a note with a link to their delivery.",
    )
    framed_by: Annotated[str | None, BeforeValidator(origins)] = Field(
        None, description="Airflows that may show the pages as a tab: `https://airflow.example.com`, blanks between."
    )
    session_hours: float = Field(
        12, ge=0.01, le=720, description="How long a sign-in on the pages lasts; a changed token ends it at once."
    )
    outcomes_token: Annotated[Secret | None, BeforeValidator(_token)] = Field(
        None, description="Bearer token for `POST /api/v1/outcomes` alone, where Airflow may report how its runs end."
    )
    url: Annotated[str | None, BeforeValidator(pages_url)] = Field(
        None, description="The admin listener of a running bridge, for commands that ask it instead of the store."
    )
    config: Path = Field(Path("config/bridge.yaml"), description="Sources and Airflows.")
    mapping: Path = Field(Path("config/mapping.yaml"), description="Routes: a file or folder; reloaded while running.")
    retention_days: int = Field(30, ge=1, le=36_500, description="After how many days settled deliveries are deleted.")
    lease_seconds: float = Field(
        30, ge=1, le=3600, description="How long a trigger stays with a process that stopped responding."
    )
    max_body_bytes: int = Field(1_048_576, ge=1024, le=67_108_864, description="A larger webhook body is answered 413.")
    body_seconds: Seconds = Field(10, description="How long a webhook body may take to arrive.")
    max_connections: int = Field(
        1000,
        ge=8,
        le=100_000,
        description="Connections per listener; when all are taken, the one that has waited longest makes room.",
    )
    max_head_bytes: int = Field(
        65_536, ge=4096, le=1_048_576, description="A larger head of a request is answered 400."
    )
    max_headers: int = Field(100, ge=16, le=10_000, description="A request with more headers is answered 400.")
    head_seconds: Seconds = Field(10, description="How long a request's head may take to arrive.")
    idle_seconds: Seconds = Field(
        75,
        description="How long a connection without a request stays open; longer than any proxy in front keeps one.",
    )
    intake_limit: int = Field(4096, ge=1, description="Webhooks that may wait for a commit; one more is answered 503.")
    drain_seconds: float = Field(
        0,
        ge=0,
        le=3600,
        description="How long webhooks are still taken in after SIGTERM, with `/readyz` red, so that balancers notice.",
    )
    shutdown_seconds: float = Field(
        20, ge=0, le=3600, description="How long everything under way may take to end after that, in total."
    )
    allow_clock_behind: bool = Field(
        False,
        description="Start although the store's newest webhook lies more than a day ahead of this machine's clock.",
    )
    stall_seconds: float = Field(
        450,
        ge=10,
        le=86_400,
        description="How long a loop may stand still before `/livez` is red; a hanging store takes 162, SQLite 60.",
    )
    max_hops: int = Field(3, ge=1, description="DAG runs in a row that may start each other before `loop_guard`.")
    follow_seconds: float = Field(
        5, ge=0.1, le=60, description="How often an Airflow is asked what became of its DAG runs, at most."
    )
    follow_days: float = Field(
        7, gt=0, le=365, description="After how many days an open DAG run is `unknown`; twice that without an answer."
    )
    dags_seconds: float = Field(
        60, ge=0.6, le=3600, description="How often the DAGs that the mapping names are looked at."
    )
    metrics_open: bool = Field(False, description="Whether `/metrics` needs no token.")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        "info", description="`debug`, `info`, `warning` or `error`."
    )
    log_format: Annotated[Literal["auto", "json", "console"], BeforeValidator(_lower)] = Field(
        "auto", description="`json`, `console`, or `auto`: JSON unless the log goes to a terminal."
    )

    _database_url_file: Path | None = PrivateAttr(None)  # where the URL stands, if that is a file
    _password_in_url: str | None = PrivateAttr(None)  # as that file had it when it was last well

    @property
    def tokens(self) -> dict[Role, Secret]:
        """Return the token of every role that has one."""
        return {role: token for role in Role if (token := getattr(self, f"{role}_token")) is not None}

    def ring(self) -> Ring:
        """Return the keys for stored payloads."""
        return Ring(self.encryption_keys or {}, secrets.token_bytes)

    def database_password(self) -> str | None:
        """Return the password as its file has it now; None without one. ValueError if its own cannot be read.

        Of a URL in a file only the password is read anew; while that cannot be read, the last good one counts.
        """
        if self.database_password_file is not None:
            return password_of(self.database_password_file)
        with contextlib.suppress(ValueError):  # `secrets_broken` says so
            if self._database_url_file is not None:
                self._password_in_url = password_in(self._database_url_file, at_start=self.database_url)
        return self._password_in_url


def read_environment(
    environ: Mapping[str, str], *, only: Collection[str] | None = None, lacking: list[str] | None = None
) -> Environment:
    """Return the settings that these variables spell; ConfigError lists everything that is wrong with them.

    `only`: the fields to read, the others keep their defaults; None: all.
    `lacking`: takes the variables that name a file which is not there; those are no mistake then.
    """
    problems: list[str] = []
    given: dict[str, str] = {}
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        try:
            field = _field_of(variable)
            if only is not None and field not in only:
                continue
            if lacking is not None and variable.endswith(_FILE) and not os.path.exists(environ[variable]):
                lacking.append(variable)
                continue
            if field in given:
                raise ValueError(f"is set beside {variable_of(field)}; use one of them")
            given[field] = _value_of(environ, variable, field)
        except ValueError as error:
            problems.append(f"{variable}: {error}")
    try:
        settings = Environment.model_validate(given)
        url_file = environ.get(variable_of("database_url") + _FILE)
        settings._database_url_file = Path(url_file) if url_file else None
        problems += _shared(settings.tokens)
    except ValidationError as error:
        problems += [
            f"{variable_of(str(fault['loc'][0]))}: {_sentence(fault['msg'])}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
    if problems:
        raise ConfigError([Problem("environment", 0, 0, problem) for problem in problems])
    return settings


def _shared(tokens: Mapping[Role, Secret]) -> list[str]:
    """Say which roles have one token: whoever was given it for the lesser one could do everything."""
    roles = list(tokens)
    return [
        f"{variable_of(f'{item}_token')}: is the same token as {variable_of(f'{other}_token')}; give each role its own"
        for place, item in enumerate(roles)
        for other in roles[place + 1 :]
        if tokens[item].reveal() == tokens[other].reveal()
    ]


def read_token(path: Path) -> Secret:
    """Return the token that a file holds; ValueError if it cannot be read or is none."""
    token = read_file(path)
    if what := slip(token):
        raise ValueError(f"what the file {path} holds {what}")
    return Secret(token)


def setting_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return every file that `read_environment` reads: those that variables like `BRIDGE_X_FILE` name."""
    fields = {variable_of(name) for name in Environment.model_fields}
    named = (name for name in environ if name not in fields and name.removesuffix(_FILE) in fields)
    return tuple(Path(environ[name]) for name in sorted(named) if environ[name].strip())


def variable_of(field: str) -> str:
    """Return the variable that sets a field."""
    return PREFIX + field.upper()


def _field_of(variable: str) -> str:
    """Return the field that a variable sets, directly or as `_FILE`; ValueError with the nearest name."""
    known = {variable_of(name): name for name in Environment.model_fields}
    for spelling in (variable, variable.removesuffix(_FILE)):
        if spelling in known:
            return known[spelling]
    if _is_service_link(variable):
        raise ValueError(_SERVICE_LINK)
    nearest = difflib.get_close_matches(variable, [*known, *(name + _FILE for name in known)], n=1)
    raise ValueError("unknown setting" + (f"; did you mean {nearest[0]}?" if nearest else ""))


def _value_of(environ: Mapping[str, str], variable: str, field: str) -> str:
    value = read_variable(environ, variable)
    if variable != variable_of(field):
        return read_file(Path(value))
    if field == "port" and value.startswith(("tcp://", "udp://")):
        raise ValueError(_SERVICE_LINK)
    return value


def _sentence(message: str) -> str:
    """Drop pydantic's preface; what is left names the rule and never the value."""
    return message.removeprefix("Value error, ")
