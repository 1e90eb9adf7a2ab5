"""Key sets (RFC 7517, 5): the public keys that a provider publishes under a URL, of which only some may be used.

An entry of bridge.yaml names the URL and pins one algorithm; nothing in a document or a token can widen that. Nothing
is fetched here: the document is a parameter, and the resulting set is given to a verifier.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.rules.signature.grammar import strict_object
from bridge.rules.signature.keys import PublicKey
from bridge.rules.signature.material import read_jwk

MAX_SET_KEYS = 32  # far more than a provider publishes; a token that names none is tried against all of them
MAX_KID_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of one document by their `kid`, and which others were dropped: (kid or place, why).

    Two keys may share a `kid`; then the signature decides.
    """

    keys: Mapping[str, tuple[PublicKey, ...]]
    dropped: tuple[tuple[str, str], ...] = ()

    def candidates(self, kid: str | None) -> tuple[PublicKey, ...]:
        """Return the keys that may have signed a token which names this `kid`, or none."""
        if kid is not None:
            return self.keys.get(kid, ())
        return tuple(key for keys in self.keys.values() for key in keys)


def read_set(document: bytes, algorithm: str) -> KeySet:
    """Return the keys of a JWKS document that fit the algorithm; ValueError if there is not one."""
    found = strict_object(document)
    entries = None if found is None else found.get("keys")
    if not isinstance(entries, list):
        raise ValueError("it is not a JSON object with a list `keys`")  # noqa: TRY004 - the text is wrong, not a type
    keys: dict[str, tuple[PublicKey, ...]] = {}
    dropped: list[tuple[str, str]] = []
    for place, entry in enumerate(entries):
        try:
            if sum(map(len, keys.values())) == MAX_SET_KEYS:
                raise ValueError(f"only the first {MAX_SET_KEYS} keys that fit are used")
            kid, key = _read(entry, algorithm)
        except ValueError as error:
            dropped.append((_name(entry, place), str(error)))
        else:
            same = keys.get(kid, ())
            keys[kid] = same if key in same else (*same, key)
    if not keys:
        why = "".join(f"; {name}: {sentence}" for name, sentence in dropped[:3])
        raise ValueError(f"none of its {len(entries)} keys can be used for {algorithm}{why}")
    return KeySet(keys, tuple(dropped))


def _read(entry: Any, algorithm: str) -> tuple[str, PublicKey]:
    if not isinstance(entry, dict):
        raise ValueError("this is not a JWK")  # noqa: TRY004 - as above
    kid, uses = entry.get("kid"), entry.get("key_ops", ["verify"])
    # Without one a token cannot say that it is signed with a new key, so a rotation would go unnoticed for an hour.
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARACTERS:
        raise ValueError(f"it has no `kid`, or one longer than {MAX_KID_CHARACTERS} characters")
    if not isinstance(uses, list) or "verify" not in uses:
        raise ValueError("the JWK is not for verifying (`key_ops`)")
    return kid, read_jwk(entry, algorithm)


def _name(entry: Any, place: int) -> str:
    """Return a short name for people, which cannot steer a terminal or a log."""
    kid = entry.get("kid") if isinstance(entry, dict) else None
    return repr(kid[:64]) if isinstance(kid, str) and kid else f"key {place + 1}"
