"""What a replica tells of itself."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LoadedKey:
    """One key that a replica has loaded; `fingerprint` as `keys show` prints it, None for a set of keys."""

    replica: str
    source: str
    key_id: str
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class LoadedMapping:
    """The mapping that a replica uses, and since when; `host`: the name of its machine, or of its pod."""

    replica: str
    host: str
    digest: str
    loaded_at: datetime
