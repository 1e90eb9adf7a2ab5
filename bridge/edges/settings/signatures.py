"""`signature:` of a source in bridge.yaml: the one scheme, and its keys by reference.

A key is checked where it stands, against the preset that its source names: a secret that is no `whsec_`, a private
key where a public one belongs, an RSA key for an Ed25519 preset are mistakes with a line. A key set behind a URL is
named here and fetched elsewhere.
"""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from bridge.edges.settings.fields import Absent, Entry, JwksUrlText, Name, ReadableFile, resolve
from bridge.edges.settings.secrets import slip
from bridge.rules.signature import (
    KIND_OF_JWS,
    MAX_KEYS,
    PRESETS,
    Algorithm,
    Grammar,
    Key,
    Preset,
    SignatureCheck,
    check_layout,
    check_secret,
    make_verifier,
    read_public,
    read_whsec,
)
from bridge.words.targets import JwksUrl

_MIN_HS256_BYTES = 32
_STAND_IN = "planasonix"
_OPTIONS = sorted(set().union(*(preset.options for preset in PRESETS.values())))
_is_header = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}").fullmatch
# What the protocol itself is made of, or what proxies set.
_NO_SIGNATURE_HERE = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "cookie"})


def _instant(given: object) -> float | None:
    """Return Unix seconds of a date (its first second, UTC) or of an instant with its offset."""
    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        found = None
    if found is not None and found.tzinfo is None and len(str(given)) == len("2026-01-31"):
        found = found.replace(tzinfo=UTC)
    if found is None or found.tzinfo is None:
        raise ValueError("must be a date (2026-01-31, in UTC) or an instant (2026-01-31T12:00:00Z)")
    return found.timestamp()


def _header(name: str) -> str:
    if not _is_header(name) or name.lower() in _NO_SIGNATURE_HERE:
        raise ValueError(f"{name[:64]!r} is not a header that can carry this")
    return name


Instant = Annotated[float | None, BeforeValidator(_instant)]
Header = Annotated[str, AfterValidator(_header)]


class KeyForm(Entry):
    """One key of a source, by reference."""

    id: Name
    env: str | None = None
    file: str | None = None
    jwks: JwksUrlText | None = None
    ca_file: ReadableFile | None = None
    algorithm: Literal["HS256", "RS256", "PS256", "ES256", "EdDSA"] | None = None
    not_before: Instant = None
    not_after: Instant = None
    _text: str = PrivateAttr(default="")
    _is_absent: bool = PrivateAttr(default=False)
    _key: Key | None = PrivateAttr(default=None)

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
        if self.jwks is None:
            found = resolve({"env": self.env, "file": self.file})
            self._text, self._is_absent = found.reveal(), isinstance(found, Absent)
        elif self.env is not None or self.file is not None:
            raise ValueError("give jwks, env or file, one of them")
        if self.ca_file is not None and not (self.jwks or "").startswith("https:"):
            raise ValueError("ca_file belongs to a jwks URL that begins with https://")
        if self.not_before is not None and self.not_after is not None and self.not_before > self.not_after:
            raise ValueError("not_before is later than not_after")
        return self

    def read(self, preset: Preset, *, is_secret: bool) -> None:
        """Read the key as the preset needs it; raises ValueError."""
        if (self.algorithm is None) == (preset.algorithm is Algorithm.JWT):
            raise ValueError("with preset jwt, and only there, a key is pinned to its `algorithm`")
        key = Key(self.id, algorithm=self.algorithm, not_before=self.not_before, not_after=self.not_after)
        if self.jwks is not None:
            if is_secret or self.algorithm not in KIND_OF_JWS:
                raise ValueError(f"jwks is for preset jwt, under `public_keys`, with one of {', '.join(KIND_OF_JWS)}")
            self._key = replace(key, jwks=JwksUrl(self.jwks, self.ca_file))
            return
        if self._is_absent:
            self._key = replace(key, secret=self._text.encode())
            return
        if is_secret:
            self._key = replace(key, secret=self._secret(preset))
            return
        kind = "ed25519" if preset.grammar is Grammar.STANDARD else preset.algorithm.value
        if self.algorithm is not None:
            if self.algorithm not in KIND_OF_JWS:
                raise ValueError(f"{self.algorithm} needs a secret: list it under `secrets`")
            kind = KIND_OF_JWS[self.algorithm]
        self._key = replace(key, public=read_public(self._text, kind, algorithm=self.algorithm))

    def _secret(self, preset: Preset) -> bytes:
        if self.algorithm not in (None, "HS256"):
            raise ValueError(f"{self.algorithm} needs a public key: list it under `public_keys`")
        if problem := check_secret(self._text):
            raise ValueError(problem)
        if what := slip(self._text):
            raise ValueError(f"The secret {what}.")
        if self.algorithm == "HS256" and len(self._text.encode()) < _MIN_HS256_BYTES:
            raise ValueError(f"a secret for HS256 has at least {_MIN_HS256_BYTES} bytes")
        if preset.algorithm is Algorithm.BEARER and not self._text.isascii():
            raise ValueError("a bearer token is ASCII, since it travels in a header")
        return read_whsec(self._text) if preset.grammar is Grammar.STANDARD else self._text.encode()

    @property
    def is_absent(self) -> bool:
        """Whether the key is not there, where none is needed."""
        return self._is_absent

    def build(self) -> Key:
        """Return the key that was read."""
        assert self._key is not None  # noqa: S101 - `read` came before, or the file was refused
        return self._key


def _known_preset(name: str) -> str:
    if name not in PRESETS:
        raise ValueError(f"unknown preset; one of {', '.join(PRESETS)}")
    return name


def _preset(info: ValidationInfo) -> Preset | None:
    """Return the preset that stands beside the value; None if that is a mistake of its own."""
    return PRESETS.get(str(info.data.get("preset")))


def _read_secret(form: KeyForm, info: ValidationInfo) -> KeyForm:
    if (preset := _preset(info)) is not None and "secrets" in preset.key_kinds:
        form.read(preset, is_secret=True)
    return form


def _read_public(form: KeyForm, info: ValidationInfo) -> KeyForm:
    if (preset := _preset(info)) is not None and "public_keys" in preset.key_kinds:
        form.read(preset, is_secret=False)
    return form


class SignatureForm(Entry):
    """The one scheme of a source; nothing else is ever tried."""

    preset: Annotated[str, AfterValidator(_known_preset)]
    secrets: list[Annotated[KeyForm, AfterValidator(_read_secret)]] = Field([], min_length=1, max_length=MAX_KEYS)
    public_keys: list[Annotated[KeyForm, AfterValidator(_read_public)]] = Field([], min_length=1, max_length=MAX_KEYS)
    past_seconds: int = Field(300, ge=1, le=86_400)
    future_seconds: int = Field(60, ge=0, le=3600)
    signature_header: Header | None = None
    timestamp_header: Header | None = None
    id_header: Header | None = None
    prefix: str | None = Field(None, max_length=64)
    encoding: Literal["hex", "base64", "base64url"] | None = None
    signed_text: str | None = Field(None, max_length=256)
    timestamp_unit: Literal["s", "ms"] | None = None
    signature_format: Literal["der", "raw"] | None = None
    body: Literal["claim", "detached"] | None = None
    body_claim: str | None = Field(None, min_length=1, max_length=64)
    audience: str | None = Field(None, min_length=1, max_length=256)
    issuer: str | None = Field(None, min_length=1, max_length=256)

    @field_validator(*_OPTIONS)
    @classmethod
    def _is_open(cls, given: Any, info: ValidationInfo) -> Any:
        """Refuse what the preset pins."""
        preset = _preset(info)
        if preset is None or info.field_name in preset.options:
            return given
        if info.field_name == "prefix" and preset.prefixes != ("none",):
            raise ValueError(f"preset {preset.name} has the prefix {' or '.join(preset.prefixes)} only")
        raise ValueError(f"preset {preset.name} pins {info.field_name}: it cannot be set")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        preset = self._own_preset()
        self._check_keys(preset)
        if preset.is_timed is False and self.model_fields_set & {"past_seconds", "future_seconds"}:
            raise ValueError(f"preset {preset.name} signs no timestamp, so an age cannot be limited")
        if preset.prefixes != ("none",) and self.prefix is not None and self.prefix not in preset.prefixes:
            raise ValueError(f"preset {preset.name} has the prefix {' or '.join(preset.prefixes)} only")
        if not preset.prefix.isprintable() or not preset.prefix.isascii():
            raise ValueError("a prefix is printable ASCII")
        if preset.algorithm is not Algorithm.JWT and preset.encoding == "base64url":
            raise ValueError("encoding base64url is for preset jwt")
        if preset.body == "detached" and self.model_fields_set & {"body_claim", "encoding", "audience", "issuer"}:
            raise ValueError("a detached token has no claims: body_claim, encoding, audience and issuer mean nothing")
        if "signed_text" in preset.options and (problem := check_layout(preset)):
            raise ValueError(problem)
        return self

    def _check_keys(self, preset: Preset) -> None:
        given = [kind for kind in ("secrets", "public_keys") if getattr(self, kind)]
        if not given:
            raise ValueError(f'the key "{preset.key_kinds[0]}" is missing')
        if len(given) > 1 or given[0] not in preset.key_kinds:
            raise ValueError(f"preset {preset.name} takes {' or '.join(preset.key_kinds)}, one of them")
        keys = [form.build() for form in (*self.secrets, *self.public_keys)]
        if len({key.id for key in keys}) < len(keys):
            raise ValueError("two secrets have the same id")
        materials = [key.secret or key.public or (key.jwks, key.algorithm) for key in keys]
        if any(item == other for place, item in enumerate(materials) for other in materials[:place]):
            raise ValueError("two ids name the same key")

    def _own_preset(self) -> Preset:
        """Return the preset with what this source sets differently."""
        preset = PRESETS[self.preset]
        given: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set & preset.options}
        if preset.prefixes != ("none",):
            given.pop("prefix", None)  # a word of the preset, which the verifier is given
        if given.get("signed_text") is not None:
            given["empty_text"] = None
        may_be_none = ("timestamp_header", "id_header", "empty_text", "audience", "issuer")
        return replace(preset, **{name: it for name, it in given.items() if it is not None or name in may_be_none})

    def build(self) -> SignatureCheck:
        """Return the check of this source; where a key is absent, one that nobody's signature passes."""
        forms = (*self.secrets, *self.public_keys)
        if any(form.is_absent for form in forms):
            return make_verifier(PRESETS[_STAND_IN], [form.build() for form in forms if form.is_absent])
        return make_verifier(
            self._own_preset(),
            [form.build() for form in forms],
            past_seconds=self.past_seconds,
            future_seconds=self.future_seconds,
            prefix=self.prefix if PRESETS[self.preset].prefixes != ("none",) else None,
        )
