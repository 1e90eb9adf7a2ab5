"""What an operator should know about a source's keys: said at start, by `check` and by `keys check`."""

from datetime import UTC, datetime

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
        elif key.not_after is not None and now > key.not_after:
            said.append(f"key {key.id}: not valid since {_instant(key.not_after)}; remove it")
        elif key.not_after is not None and key.not_after - now < _SOON_SECONDS:
            said.append(f"key {key.id}: valid until {_instant(key.not_after)} only")
    if not any(key.is_valid_at(now) for key in verifier.keys):
        said.append("no key is valid now: every webhook is refused")
    return tuple(said)


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
