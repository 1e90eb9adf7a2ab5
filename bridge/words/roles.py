"""Who may do what on the admin listener: roles, and whoever has one. A new path names the role that it needs.

`viewer`, `operator` and `admin` each may all that the one before may. `metrics` and `outcomes` open one path each.
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a token or a person may do; also the role that a path needs."""

    METRICS = "metrics"
    OUTCOMES = "outcomes"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


SIGN_INS = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)  # the roles that a person can have
_MAY = {
    Role.METRICS: {Role.METRICS},
    Role.OUTCOMES: {Role.OUTCOMES},
    Role.VIEWER: {Role.METRICS, Role.VIEWER},
    Role.OPERATOR: {Role.METRICS, Role.OUTCOMES, Role.VIEWER, Role.OPERATOR},
    Role.ADMIN: set(Role),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks: the name that the audit log gets, and the role."""

    name: str
    role: Role

    def may(self, needed: Role) -> bool:
        """Whether this caller may do what needs a role."""
        return needed in _MAY[self.role]

    @property
    def sees_payloads(self) -> bool:
        """Whether this caller may see what stored webhooks say."""
        return self.may(Role.OPERATOR)
