"""One key of a source in bridge.yaml, by reference: a variable, a file that may be optional, or the URL of a set.

An optional file may be missing or empty: it is the place for the next secret, and every replica takes it over when it
is there (files are read again while running). An optional file that goes away retires its key.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, PrivateAttr, model_validator

from bridge.edges.settings.fields import (
    Absent,
    Entry,
    JwksUrlText,
    Name,
    ReadableFile,
    resolve,
    resolve_if_there,
    stand_in_if_lacking,
)
from bridge.edges.settings.secrets import slip
from bridge.rules.signature import KIND_OF_JWS, Algorithm, Grammar, Key, Preset, check_secret, read_public, read_whsec
from bridge.words.targets import JwksUrl, KeyPlace

_MIN_HS256_BYTES = 32


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


Instant = Annotated[float | None, BeforeValidator(_instant)]


class KeyForm(Entry):
    """One key of a source, by reference."""

    id: Name
    env: str | None = None
    file: str | None = None
    optional: bool = False
    jwks: JwksUrlText | None = None
    ca_file: ReadableFile | None = None
    algorithm: Literal["HS256", "RS256", "PS256", "ES256", "EdDSA"] | None = None
    not_before: Instant = None
    not_after: Instant = None
    _text: str = PrivateAttr(default="")
    _is_absent: bool = PrivateAttr(default=False)
    _file: Path | None = PrivateAttr(default=None)
    _is_vacant: bool = PrivateAttr(default=False)
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
        if self.optional:
            self._read_if_there()
        elif self.jwks is None:
            found = resolve({"env": self.env, "file": self.file})
            self._text, self._is_absent = found.reveal(), isinstance(found, Absent)
        elif self.env is not None or self.file is not None:
            raise ValueError("give jwks, env or file, one of them")
        if self.ca_file is not None and not (self.jwks or "").startswith("https:"):
            raise ValueError("ca_file belongs to a jwks URL that begins with https://")
        if self.not_before is not None and self.not_after is not None and self.not_before > self.not_after:
            raise ValueError("not_before is later than not_after")
        return self

    def _read_if_there(self) -> None:
        if self.file is None or self.env is not None or self.jwks is not None:
            raise ValueError("optional is for a key with `file`, and no other place")
        self._file, found = resolve_if_there(self.file)
        self._is_vacant = found is None
        self._text = "" if found is None else found.reveal()

    def read(self, preset: Preset, *, is_secret: bool) -> None:
        """Read the key as the preset needs it, if it is there; raises ValueError."""
        if self.optional and not is_secret:
            raise ValueError("optional is for secrets")
        if self._is_vacant:
            return
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

    @property
    def is_vacant(self) -> bool:
        """Whether it is an optional key whose file holds nothing as yet."""
        return self._is_vacant

    def stand_in(self) -> bool:
        """Have something stand for an optional key where no secret is needed; returns whether none is."""
        found = None if self.file is None else stand_in_if_lacking(self.file)
        if found is None:
            return False
        self._is_vacant, self._is_absent = False, True
        self._key = Key(self.id, found.reveal().encode())
        return True

    def place(self) -> KeyPlace:
        """Return where it stands."""
        file = self.file if self._file is None else str(self._file)
        return KeyPlace(self.id, self.env, file, self.optional, not (self._is_vacant or self._is_absent))

    def build(self) -> Key:
        """Return the key that was read."""
        assert self._key is not None  # noqa: S101 - `read` came before, or the file was refused
        return self._key
