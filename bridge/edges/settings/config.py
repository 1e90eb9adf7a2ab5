"""bridge.yaml: where webhooks come from and which Airflows there are.

Strict: an unknown key, a missing secret, a scheme that nobody named is an error at start. A source without a
secret cannot be written down.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, model_validator

from bridge.edges.settings.bodies import BodyForm
from bridge.edges.settings.fields import (
    AirflowUrl,
    Duration,
    Entry,
    Lacking,
    Name,
    ReadableFile,
    Seconds,
    SecretField,
    SecretFile,
    Url,
    looking_at,
)
from bridge.edges.settings.notifying import NotifyField
from bridge.edges.settings.openid import SignInForm
from bridge.edges.settings.origins import (
    PROXIES,
    CertificateField,
    LimitsForm,
    Networks,
    ProxiesForm,
    build_origin,
)
from bridge.edges.settings.sign_ins import AuthForm, HeadersField, PathPrefix, ProxyUrl
from bridge.edges.settings.signatures import SignatureForm
from bridge.rules import yamltree
from bridge.rules.event import Redaction
from bridge.rules.origin import Proxies
from bridge.rules.sources import Source
from bridge.words.errors import ConfigError
from bridge.words.targets import (
    AirflowAuth,
    AirflowTarget,
    NotifyTarget,
    OpenIdProvider,
    PlanasonixApi,
    Reconcile,
    Secret,
)


@dataclass(frozen=True, slots=True)
class Config:
    """What bridge.yaml says, with every secret resolved."""

    sources: dict[str, Source]
    airflows: dict[str, AirflowTarget]
    proxies: Proxies
    files: tuple[Path, ...] = ()  # every other file that was opened for it
    notify: tuple[NotifyTarget, ...] = ()
    openid: OpenIdProvider | None = None
    absent: tuple[str, ...] = ()  # secrets that are not there, if it was read without; nothing can be served with it


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a mapping may use."""

    sources: tuple[str, ...]
    airflows: tuple[str, ...]


def read_config(text: str, *, file: str, environ: Mapping[str, str], base_dir: Path) -> Config:
    """Return what bridge.yaml says; reads the secret files it names (relative ones from `base_dir`).

    Raises ConfigError with every mistake and its place in the file.
    """
    return _read(text, file, environ, base_dir, None)


def read_config_to_check(text: str, *, file: str, environ: Mapping[str, str], base_dir: Path) -> Config:
    """Return the same also where no secret is there at all, as in CI, for commands that need none; `absent` names them.

    Where some are there, one that is not is a mistake as it is for `read_config`.
    """
    lacking = Lacking()
    try:
        config = _read(text, file, environ, base_dir, lacking)
    except ConfigError:
        if not lacking.some_are_there:
            raise
    else:
        if not lacking.some_are_there or not lacking.names:
            return config
    return read_config(text, file=file, environ=environ, base_dir=base_dir)


def read_config_without_secrets(text: str, *, file: str, base_dir: Path) -> Config:
    """Return what it says of bodies and names: no variable is asked, and no other file is opened. ConfigError."""
    return _read(text, file, {}, base_dir, Lacking(looks=False))


def read_config_so_far(text: str, *, file: str, environ: Mapping[str, str], base_dir: Path) -> Config:
    """Return what it says with the secrets that are there; `absent` names the others, which others can still bring.

    For what sets a source up: its API key is there before its webhooks' secret is. ConfigError.
    """
    return _read(text, file, environ, base_dir, Lacking())


def read_names(text: str, *, file: str) -> Names | None:
    """Return the names alone, of a file that may have any mistake; None if not even they can be read."""
    try:
        value = yamltree.parse(text, file=file).value
    except ConfigError:
        return None
    top = value if isinstance(value, dict) else {}
    sources, airflows = top.get("sources"), top.get("airflow")
    if not isinstance(sources, dict) or not isinstance(airflows, dict):
        return None
    return Names(tuple(sources), tuple(airflows))


def _read(text: str, file: str, environ: Mapping[str, str], base_dir: Path, lacking: Lacking | None) -> Config:
    tree = yamltree.parse(text, file=file)
    with looking_at(environ, base_dir, lacking=lacking) as files:
        context = {PROXIES: isinstance(tree.value, dict) and PROXIES in tree.value}
        written = yamltree.validate(File, tree, context=context)
    return Config(
        sources={name: entry.build(name) for name, entry in written.sources.items()},
        airflows={name: entry.build(name) for name, entry in written.airflow.items()},
        proxies=written.proxies.build() if written.proxies else Proxies(),
        files=tuple(dict.fromkeys(files)),
        notify=tuple(entry.build() for entry in written.notify),
        openid=written.sign_in.build() if written.sign_in else None,
        absent=tuple(dict.fromkeys(lacking.names if lacking else ())),
    )


class _Tls(Entry):
    """Whom to believe, and what to show, when a place is called over https."""

    ca_file: ReadableFile | None = None
    client_cert_file: ReadableFile | None = None
    client_key_file: SecretFile | None = None

    @model_validator(mode="after")
    def _has_certificate(self) -> Self:
        if self.client_key_file is not None and self.client_cert_file is None:
            raise ValueError("client_key_file needs client_cert_file")
        return self


_API = PlanasonixApi("", Secret(""))  # the same fields, and the defaults


class _Api(_Tls):
    url: Url
    key: SecretField
    timeout_seconds: Seconds = _API.timeout_seconds
    path_prefix: PathPrefix = _API.path_prefix
    headers: HeadersField = Field(default_factory=dict)

    def build(self) -> PlanasonixApi:
        return PlanasonixApi(**{field: getattr(self, field) for field in type(self).model_fields})


_RECONCILE = Reconcile()  # the defaults


class _Reconcile(Entry):
    """Ask the API for jobs that have ended, and make up for webhooks that never came."""

    every: Annotated[Duration, Field(ge=10, le=86_400)] = _RECONCILE.every_seconds
    grace: Annotated[Duration, Field(ge=10)] = _RECONCILE.grace_seconds
    since: Annotated[Duration, Field(ge=60)] = _RECONCILE.since_seconds
    types: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$")]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _looks_at_something(self) -> Self:
        if self.grace >= self.since:
            raise ValueError("grace must be shorter than since: else no job is ever looked at")
        return self

    def build(self) -> Reconcile:
        return Reconcile(self.every, self.grace, self.since, tuple(self.types))


def _redaction(pointers: object) -> object:
    if not isinstance(pointers, list) or not all(isinstance(item, str) for item in pointers):
        raise ValueError("give a list of JSON pointers, e.g. [/data/parameters/email]")
    return Redaction.of(pointers)


def _zone(name: object) -> object:
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is not a time zone; give a name such as Europe/Berlin (IANA time zone database)") from None


class _Source(Entry):
    signature: SignatureForm
    stale: Literal["keep", "reject"] = "keep"
    api: _Api | None = None
    allow_addresses: Networks | None = None
    client_certificate: CertificateField = None
    limits: LimitsForm = LimitsForm()
    same_body_for: Duration = 600.0
    redact: Annotated[Redaction | None, BeforeValidator(_redaction)] = None
    timezone: Annotated[ZoneInfo | None, BeforeValidator(_zone)] = None
    body: BodyForm = BodyForm()
    reconcile: _Reconcile | None = None
    cancel_abandoned: bool = False
    silent_after: Annotated[Duration, Field(ge=60)] | None = None

    @model_validator(mode="after")
    def _keeps_what_is_needed(self) -> Self:
        hidden = None if self.redact is None else self.redact.hides(self.body.build(None))
        if hidden is not None:
            raise ValueError(hidden)
        if self.reconcile is not None and self.api is None:
            raise ValueError("reconcile needs `api`: it asks the Planasonix API which jobs have ended")
        if self.cancel_abandoned and self.api is None:
            raise ValueError("cancel_abandoned needs `api`: it asks the Planasonix API to cancel runs")
        return self

    def build(self, name: str) -> Source:
        return Source(
            name,
            self.signature.build(),
            self.stale == "keep",
            self.api.build() if self.api else None,
            build_origin(self.allow_addresses, self.client_certificate),
            self.limits.build(),
            self.redact,
            self.same_body_for,
            self.body.build(self.timezone),
            self.reconcile.build() if self.reconcile else None,
            self.cancel_abandoned,
            self.signature.places(),
            self.silent_after,
        )


_AIRFLOW = AirflowTarget(name="", url="")  # the defaults


def _as_text(version: object) -> object:
    return str(version) if isinstance(version, int) else version


class _Airflow(_Tls):
    """One Airflow; `AirflowTarget` has the same fields, and holds the defaults."""

    url: AirflowUrl
    auth: AuthForm | None = None
    version: Annotated[Literal["auto", "2", "3"], BeforeValidator(_as_text)] = "auto"
    concurrency: int = Field(_AIRFLOW.concurrency, ge=1, le=256)
    rate: float = Field(_AIRFLOW.rate, gt=0, le=1000)
    adaptive: bool = _AIRFLOW.adaptive
    connect_seconds: Seconds = _AIRFLOW.connect_seconds
    read_seconds: Seconds = _AIRFLOW.read_seconds
    deadline_seconds: Seconds = _AIRFLOW.deadline_seconds
    max_conf_bytes: int = Field(_AIRFLOW.max_conf_bytes, ge=1024, le=16_777_216)
    verify_tls: bool = _AIRFLOW.verify_tls
    proxy: ProxyUrl | None = None
    headers: HeadersField = Field(default_factory=dict)
    wake: bool = _AIRFLOW.wake

    def build(self, name: str) -> AirflowTarget:
        given = {field: getattr(self, field) for field in type(self).model_fields if field not in ("url", "auth")}
        return AirflowTarget(name=name, url=self.url, auth=self.auth.build() if self.auth else AirflowAuth(), **given)


class File(Entry):
    """Where webhooks come from, and which Airflows may be called."""

    sources: dict[Name, _Source] = Field(min_length=1)
    airflow: dict[Name, _Airflow] = Field(min_length=1)
    proxies: ProxiesForm | None = None
    notify: NotifyField = Field(default_factory=list)
    sign_in: SignInForm | None = None
