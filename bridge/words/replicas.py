"""What a replica tells of itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoadedKey:
    """One key that a replica has loaded; `fingerprint` as `keys show` prints it, None for a set of keys."""

    replica: str
    source: str
    key_id: str
    fingerprint: str | None
