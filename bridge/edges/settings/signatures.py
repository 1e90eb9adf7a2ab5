"""`signature:` of a source in bridge.yaml: the one scheme, and its keys by reference.

A key is checked where it stands, against the preset that its source names: a secret that is no `whsec_`, a private
key where a public one belongs, an RSA key for an Ed25519 preset are mistakes with a line. A key set behind a URL is
named here and fetched elsewhere.
"""

import re
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from bridge.edges.settings.fields import Entry
from bridge.edges.settings.keys import KeyForm
from bridge.rules.signature import (
    MAX_KEYS,
    PRESETS,
    Algorithm,
    Preset,
    SignatureCheck,
    check_layout,
    make_verifier,
)
from bridge.words.targets import KeyPlace

_STAND_IN = "planasonix"
_OPTIONS = sorted(set().union(*(preset.options for preset in PRESETS.values())))
_is_header = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}").fullmatch
# What the protocol itself is made of, or what proxies set.
_NO_SIGNATURE_HERE = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "cookie"})


def _header(name: str) -> str:
    if not _is_header(name) or name.lower() in _NO_SIGNATURE_HERE:
        raise ValueError(f"{name[:64]!r} is not a header that can carry this")
    return name


Header = Annotated[str, AfterValidator(_header)]


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
        forms = (*self.secrets, *self.public_keys)
        if len({form.id for form in forms}) < len(forms):
            raise ValueError("two secrets have the same id")
        if all(form.is_vacant for form in forms) and not forms[0].stand_in():
            raise ValueError("none of the secrets is there: all are optional, and one has to be")
        keys = [form.build() for form in self._filled()]
        materials = [key.secret or key.public or (key.jwks, key.algorithm) for key in keys]
        if any(item == other for place, item in enumerate(materials) for other in materials[:place]):
            raise ValueError("two ids name the same key")

    def _filled(self) -> list[KeyForm]:
        return [form for form in (*self.secrets, *self.public_keys) if not form.is_vacant]

    def places(self) -> tuple[KeyPlace, ...]:
        """Return where its secrets stand."""
        return tuple(form.place() for form in self.secrets)

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
        forms = self._filled()
        if any(form.is_absent for form in forms):
            preset = self._own_preset() if self.secrets else PRESETS[_STAND_IN]
            return make_verifier(preset, [form.build() for form in forms if form.is_absent])
        return make_verifier(
            self._own_preset(),
            [form.build() for form in forms],
            past_seconds=self.past_seconds,
            future_seconds=self.future_seconds,
            prefix=self.prefix if PRESETS[self.preset].prefixes != ("none",) else None,
        )
