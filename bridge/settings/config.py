"""bridge.yaml: where webhooks come from and which Airflows there are.

Strict: an unknown key, a missing secret, a scheme that nobody named is an error at start. A source without a
secret cannot be written down.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)

from bridge import yamltree
from bridge.settings.fields import (
    Name,
    PublicField,
    ReadableFile,
    Seconds,
    SecretField,
    Url,
    looking_at,
    resolve,
)
from bridge.signature import MAX_KEYS, PRESETS, Key, Verifier, check_secret
from bridge.targets import AirflowAuth, AirflowTarget, PlanasonixApi


@dataclass(frozen=True, slots=True)
class Source:
    """One place webhooks come from. `keeps_stale`: an authentic but old one is stored aside, not refused."""

    name: str
    verifier: Verifier
    keeps_stale: bool = True
    api: PlanasonixApi | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """What bridge.yaml says, with every secret resolved."""

    sources: dict[str, Source]
    airflows: dict[str, AirflowTarget]


def read_config(text: str, *, file: str, environ: Mapping[str, str], base_dir: Path) -> Config:
    """Return what bridge.yaml says; reads the secret files it names (relative ones from `base_dir`).

    Raises ConfigError with every mistake and its place in the file.
    """
    tree = yamltree.parse(text, file=file)
    with looking_at(environ, base_dir):
        written = yamltree.validate(_File, tree)
    return Config(
        sources={name: entry.build(name) for name, entry in written.sources.items()},
        airflows={name: entry.build(name) for name, entry in written.airflow.items()},
    )


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)


class _Key(_Entry):
    """One secret of a source, by reference."""

    id: Name
    env: str | None = None
    file: str | None = None
    _key: Key = PrivateAttr()

    @model_validator(mode="before")
    @classmethod
    def _refuse_literal(cls, given: Any) -> Any:
        is_literal = not isinstance(given, dict) or any(name in given for name in ("secret", "value", "key"))
        if is_literal:
            raise ValueError(
                "a secret is never written in this file; give {id: NAME, env: NAME} or {id: NAME, file: PATH}"
            )
        return given

    @model_validator(mode="after")
    def _read(self) -> Self:
        secret = resolve({"env": self.env, "file": self.file}).reveal()
        if trouble := check_secret(secret):
            raise ValueError(trouble)
        self._key = Key(self.id, secret.encode())
        return self

    def build(self) -> Key:
        return self._key


def _known_preset(name: str) -> str:
    if name not in PRESETS:
        raise ValueError(f"unknown preset; one of {', '.join(PRESETS)}")
    return name


class _Signature(_Entry):
    """The one scheme of a source; nothing else is ever tried."""

    preset: Annotated[str, AfterValidator(_known_preset)]
    secrets: list[_Key] = Field(min_length=1, max_length=MAX_KEYS)
    past_seconds: int = Field(300, ge=1, le=86_400)
    future_seconds: int = Field(60, ge=0, le=3600)
    prefix: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        preset = PRESETS[self.preset]
        if self.prefix is not None and self.prefix not in preset.prefixes:
            raise ValueError(f"preset {preset.name} has the prefix {' or '.join(preset.prefixes)} only")
        if len({key.id for key in self.secrets}) < len(self.secrets):
            raise ValueError("two secrets have the same id")
        if preset.timestamp_header is None and self.model_fields_set & {"past_seconds", "future_seconds"}:
            raise ValueError(f"preset {preset.name} signs no timestamp, so an age cannot be limited")
        return self

    def build(self) -> Verifier:
        return Verifier(
            PRESETS[self.preset],
            [key.build() for key in self.secrets],
            past_seconds=self.past_seconds,
            future_seconds=self.future_seconds,
            prefix=self.prefix,
        )


class _Api(_Entry):
    url: Url
    key: SecretField
    timeout_seconds: Seconds = 10.0


class _Source(_Entry):
    signature: _Signature
    stale: Literal["keep", "reject"] = "keep"
    api: _Api | None = None

    def build(self, name: str) -> Source:
        api = PlanasonixApi(self.api.url, self.api.key, self.api.timeout_seconds) if self.api else None
        return Source(name, self.signature.build(), self.stale == "keep", api)


class _Auth(_Entry):
    username: PublicField | None = None
    password: SecretField | None = None
    token: SecretField | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        has_user, has_password = self.username is not None, self.password is not None
        if has_user != has_password or has_user == (self.token is not None):
            raise ValueError("give username and password, or token")
        return self


def _as_text(version: object) -> object:
    return str(version) if isinstance(version, int) else version


class _Airflow(_Entry):
    """One Airflow. The fields are those of `AirflowTarget`, and so are the defaults."""

    url: Url
    auth: _Auth | None = None
    version: Annotated[Literal["auto", "2", "3"], BeforeValidator(_as_text)] = "auto"
    concurrency: int = Field(4, ge=1, le=256)
    rate: float = Field(10.0, gt=0, le=1000)
    connect_seconds: Seconds = 3.0
    read_seconds: Seconds = 15.0
    deadline_seconds: Seconds = 20.0
    max_conf_bytes: int = Field(262_144, ge=1024, le=16_777_216)
    ca_file: ReadableFile | None = None
    client_cert_file: ReadableFile | None = None
    client_key_file: ReadableFile | None = None
    verify_tls: bool = True

    def build(self, name: str) -> AirflowTarget:
        given = {field: getattr(self, field) for field in type(self).model_fields if field not in ("url", "auth")}
        auth = AirflowAuth(**dict(self.auth)) if self.auth else AirflowAuth()
        return AirflowTarget(name=name, url=self.url, auth=auth, **given)

    @model_validator(mode="after")
    def _has_certificate(self) -> Self:
        if self.client_key_file is not None and self.client_cert_file is None:
            raise ValueError("client_key_file needs client_cert_file")
        return self


class _File(_Entry):
    sources: dict[Name, _Source] = Field(min_length=1)
    airflow: dict[Name, _Airflow] = Field(min_length=1)
