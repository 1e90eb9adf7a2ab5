"""Who sent these bytes: the one place that turns raw bytes into `model.Verified`.

Pure: the clock is a parameter. A source is pinned to one preset; no other one is ever tried.
"""

from collections.abc import Sequence

from bridge.rules.signature.advice import advise, ending
from bridge.rules.signature.keys import MAX_KEYS, Key, check_secret, key_names
from bridge.rules.signature.keysets import KeySet, read_set
from bridge.rules.signature.material import KIND_OF_JWS, read_private, read_public, read_whsec
from bridge.rules.signature.presets import PRESETS, Algorithm, Grammar, Preset, check_layout
from bridge.rules.signature.schemes import SchemeVerifier
from bridge.rules.signature.signing import make_pair, sign
from bridge.rules.signature.tokens import JWS_ALGORITHMS, BearerVerifier, JwtVerifier
from bridge.rules.signature.verifying import SignatureCheck, Verifier

__all__ = [
    "JWS_ALGORITHMS",
    "KIND_OF_JWS",
    "MAX_KEYS",
    "PRESETS",
    "Algorithm",
    "Grammar",
    "JwtVerifier",
    "Key",
    "KeySet",
    "Preset",
    "SignatureCheck",
    "Verifier",
    "advise",
    "check_layout",
    "check_secret",
    "ending",
    "key_names",
    "make_pair",
    "make_verifier",
    "read_private",
    "read_public",
    "read_set",
    "read_whsec",
    "sign",
]

# What the verifier of the hot path reads: one signature in hexadecimal, and at most a timestamp in seconds.
_HOT = frozenset({"planasonix", "planasonix-body", "github"})


def make_verifier(
    preset: Preset,
    keys: Sequence[Key],
    *,
    past_seconds: int = 300,
    future_seconds: int = 60,
    prefix: str | None = None,
) -> SignatureCheck:
    """Return the check of one source. ValueError for keys that do not fit, or no key at all."""
    if preset.name in _HOT:
        return Verifier(preset, keys, past_seconds=past_seconds, future_seconds=future_seconds, prefix=prefix)
    kinds: dict[Algorithm, type[JwtVerifier | BearerVerifier | SchemeVerifier]] = {
        Algorithm.JWT: JwtVerifier,
        Algorithm.BEARER: BearerVerifier,
    }
    return kinds.get(preset.algorithm, SchemeVerifier)(
        preset, keys, past_seconds=past_seconds, future_seconds=future_seconds
    )
