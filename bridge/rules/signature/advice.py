"""What an operator should know about a source's keys: said at start, by `check` and by `keys check`."""

from datetime import UTC, datetime

from bridge.rules.signature.keys import Key
from bridge.rules.signature.presets import Algorithm
from bridge.rules.signature.verifying import SignatureCheck

_SOON_SECONDS = 14 * 86_400  # two weeks: time to rotate without hurry


def advise(verifier: SignatureCheck, now: float) -> tuple[str, ...]:
    """Return sentences about a source's keys at `now` (Unix seconds); none if all is well. They show no secret."""
    said: list[str] = []
    if verifier.preset.algorithm is Algorithm.BEARER:
        said.append("preset bearer: nothing is signed; whoever learns the token can send anything")
    for key in verifier.keys:
        if key.not_before is not None and now < key.not_before:
            said.append(f"key {key.id}: not valid before {_instant(key.not_before)}")
        elif (end := ending(key, now)) is not None:
            said.append(f"key {key.id}: {end}")
    if not any(key.is_valid_at(now) for key in verifier.keys):
        said.append("no key is valid now: every webhook is refused")
    return tuple(said)


def ending(key: Key, now: float) -> str | None:
    """Return a sentence about a key that has ended or ends within two weeks of `now`; None for any other."""
    if key.not_after is None or key.not_after - now >= _SOON_SECONDS:
        return None
    if now > key.not_after:
        return f"not valid since {_instant(key.not_after)}; remove it"
    return f"valid until {_instant(key.not_after)} only"


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
