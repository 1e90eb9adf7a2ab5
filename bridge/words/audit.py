"""A line of the audit log: who did what to which, and why. Nothing ever changes or removes one."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AuditLine:
    """`actor` is a person, the name of a token, or the file of the mapping; `id` is given by the store."""

    at: datetime
    actor: str
    action: str
    subject: str
    reason: str | None = None
    id: str = ""


MAPPING_ACTOR = "mapping file"
MAPPING_LOADED = "mapping_loaded"
SIGNED_IN = "signed_in"
SIGN_IN_FAILED = "sign_in_failed"
