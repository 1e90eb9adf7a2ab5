"""Encryption of what the store holds of payloads: AES-256-GCM under one of several keys. Pure: the nonce is given.

A sealed value names its key, and is bound to its place (table, column, row), so that moving it to another row is
noticed. This is its form in a column of bytes; in a column of text it is base64:

    sealed:1:<key id>:<nonce, 12 bytes><ciphertext and tag>

Values without that beginning are plain. A plain value that happens to begin so is stored after `sealed:0:`.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bridge.words.errors import Locked

KEY_BYTES = 32
PLAIN = "-"  # stands for a key id where a value is not encrypted
_NONCE_BYTES = 12
MARK = b"sealed:"
_ESCAPED = MARK + b"0:"
_SEALED = MARK + b"1:"
_MAX_KEYS = 10
_is_key_id = re.compile(r"[a-z0-9][a-z0-9.-]{0,31}").fullmatch


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys, the one that encrypts first; without any, values are stored as they are."""

    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    nonce: Callable[[int], bytes] | None = None

    @property
    def current(self) -> str | None:
        """The id of the key that encrypts."""
        return next(iter(self.keys), None)

    def seal(self, value: bytes, place: str) -> bytes:
        """Return the value as it is stored at this place."""
        key_id = self.current
        if key_id is None or self.nonce is None:
            return _ESCAPED + value if value.startswith(MARK) else value
        nonce = self.nonce(_NONCE_BYTES)
        return (
            _SEALED + key_id.encode() + b":" + nonce + AESGCM(self.keys[key_id]).encrypt(nonce, value, place.encode())
        )

    def open(self, stored: bytes, place: str) -> bytes:
        """Return the value that is stored at this place. Raises Locked: the key is missing, or does not fit."""
        if not stored.startswith(MARK):
            return stored
        if stored.startswith(_ESCAPED):
            return stored[len(_ESCAPED) :]
        key_id, _, sealed = stored.removeprefix(_SEALED).partition(b":")
        name = key_id.decode("ascii", "replace")[:40]
        key = self.keys.get(name)
        if key is None:
            raise Locked(f"the encryption key {name!r} is not configured; put it back into BRIDGE_ENCRYPTION_KEYS")
        try:
            return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            what = f"the key {name!r} does not open it: another key of that id, or the row was changed or moved"
            raise Locked(what) from None

    def seal_text(self, text: str, place: str) -> str:
        """Return the text as it is stored at this place."""
        if self.current is None and not text.startswith("sealed:"):
            return text
        stored = self.seal(text.encode("utf-8", "surrogatepass"), place)
        if not stored.startswith(_SEALED):
            return stored.decode("utf-8", "surrogatepass")
        head = stored[: stored.index(b":", len(_SEALED)) + 1]
        return head.decode() + base64.b64encode(stored[len(head) :]).decode()

    def open_text(self, stored: str, place: str) -> str:
        """Return the text that is stored at this place. Raises Locked."""
        if not stored.startswith("sealed:"):
            return stored
        head, _, rest = stored.rpartition(":") if stored.startswith("sealed:1:") else ("", "", "")
        try:
            whole = head.encode() + b":" + base64.b64decode(rest, validate=True) if head else stored.encode()
        except ValueError:
            raise Locked("the row was changed: what is stored is not base64") from None
        return self.open(whole, place).decode("utf-8", "surrogatepass")


def read_keys(text: str) -> dict[str, bytes]:
    """Read `ID:KEY` pairs, apart by blanks, commas or line ends; the key is 32 bytes in base64.

    ValueError, without anything of a key.
    """
    keys: dict[str, bytes] = {}
    for number, entry in enumerate(text.replace(",", " ").split(), start=1):
        name, colon, encoded = entry.partition(":")
        if not colon or not _is_key_id(name):
            raise ValueError(f"entry {number} is not ID:KEY, with an id of lower-case letters, digits, `.` and `-`")
        if name in keys:
            raise ValueError(f"the key id {name!r} is given twice")
        try:
            key = base64.b64decode(encoded, validate=True)
        except ValueError:
            raise ValueError(f"the key {name!r} is not base64") from None
        if len(key) != KEY_BYTES or len(set(key)) == 1:
            raise ValueError(f"the key {name!r} is not {KEY_BYTES} random bytes; `keys generate encryption` makes one")
        keys[name] = key
    if len(keys) > _MAX_KEYS or not keys:
        raise ValueError(f"give 1 to {_MAX_KEYS} keys")
    return keys


def write_key(key_id: str, key: bytes) -> str:
    """Spell one key as `read_keys` reads it."""
    return f"{key_id}:{base64.b64encode(key).decode()}"
