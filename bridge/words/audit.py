"""A line of the audit log: who did what to which, and why. Nothing ever changes or removes one."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AuditLine:
    """`actor` is a person, the name of a token, the mapping's file, or the bridge; `id` is given by the store."""

    at: datetime
    actor: str
    action: str
    subject: str
    reason: str | None = None
    id: str = ""


MAPPING_ACTOR = "mapping file"
MAPPING_LOADED = "mapping_loaded"
BRIDGE_ACTOR = "bridge"
RUN_CANCELLED = "run_cancelled"
SIGNED_IN = "signed_in"
EXAMINED = "examined"
SIGN_IN_FAILED = "sign_in_failed"
