"""Every error that the bridge raises, as one tree.

    BridgeError
    |-- ConfigError          bridge.yaml, mapping.yaml or the environment is wrong; lists every problem
    |-- Refused              a request that is not authentic (never stored)
    |   `-- KeyUnknown       ... as far as the key sets fetched so far tell
    |-- KeysUnavailable      the key set behind a JWKS URL is not available now
    |-- TooMany              more webhooks, or refusals, than the source's limits allow just now
    |-- Unreadable           authentic, but the body cannot be read (stored as `invalid`)
    |-- TemplateError        a route's conf, note or dag_run_id failed on an event
    |   `-- ConfTooLarge     ... because one value is too long
    |-- ConditionError       a route's `when` failed on an event
    |-- LookupUnavailable    the Planasonix API cannot answer now
    |-- LookupNotFound       the Planasonix API does not know the job, or not yet
    |-- InboxUnavailable     the store cannot commit now, or too much waits for it
    |-- Locked               a stored value is encrypted, and no configured key opens it
    |-- RemoteUnavailable    a running bridge cannot be asked now, over its admin API
    |-- InboxInUse           another process already serves this SQLite file
    |-- BadFilter            a request names a state, condition or order that does not exist
    |-- Changed              an order means something else than what was counted for it
    |-- SignInFailed         a person could not be signed in by OpenID Connect
    |   `-- ProviderUnavailable  ... because the provider cannot be asked now
    |-- Forbidden            the caller's role may not do this
    `-- NotThere             a delivery or trigger id that the store does not hold

`reason` is the word from the closed list that labels metrics and columns.
"""

from dataclasses import dataclass

from bridge.words.reasons import Reason
from bridge.words.roles import Role


class BridgeError(Exception):
    """Something that the bridge knows how to name."""

    reason: Reason = Reason.INTERNAL_ERROR


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a configuration file: where, what, and the nearest valid word if there is one."""

    file: str
    line: int
    column: int
    what: str

    def __str__(self) -> str:
        """Spell it as compilers do, so that editors can jump to it."""
        return f"{self.file}:{self.line}:{self.column}: {self.what}" if self.line else f"{self.file}: {self.what}"


class ConfigError(BridgeError):
    """The configuration cannot be used; `problems` holds every mistake found, not only the first."""

    def __init__(self, problems: "list[Problem]") -> None:
        """Keep the problems in the order of the file."""
        self.problems = sorted(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Refused(BridgeError):
    """The request is not authentic. The sender learns nothing but 401; the reason goes to metrics and log."""

    def __init__(self, reason: Reason) -> None:
        """`reason` is one of the words of the door."""
        self.reason = reason
        super().__init__(reason.why)


class KeyUnknown(Refused):
    """A token's key is in no key set that was fetched so far; a newer one may hold it."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        """`keys` are the ids of the `jwks` entries that could have it."""
        self.keys = keys
        super().__init__(Reason.SIGNATURE_MISMATCH)


class KeysUnavailable(BridgeError):
    """A key set is not available now. A request that needs it gets 503, and the sender tries again."""

    reason = Reason.KEYS_UNAVAILABLE


class TooMany(BridgeError):
    """More than the source's `limits` allow just now; the sender gets 429 and tries again."""

    def __init__(self, limit: str, retry_after_seconds: float) -> None:
        """`limit` is the word for it in metrics."""
        self.limit = limit
        self.retry_after_seconds = retry_after_seconds
        super().__init__(limit)


class Unreadable(BridgeError):
    """The body is authentic but cannot be read; it is stored as `invalid` with this reason and detail."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """`detail` names the field or the place, never a value of the body."""
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason.why} {detail}")


class TemplateError(BridgeError):
    """A template of the route failed on this event; the detail names the template."""

    reason = Reason.TEMPLATE


class ConfTooLarge(TemplateError):
    """One value of conf, note or dag_run_id is longer than a value may be on this event."""

    reason = Reason.CONF_TOO_LARGE


class ConditionError(BridgeError):
    """The route's `when` failed on this event; it is never taken for a no."""

    reason = Reason.CONDITION


class LookupUnavailable(BridgeError):
    """The Planasonix API cannot answer now (down, throttled, key refused); ask again later."""

    reason = Reason.LOOKUP_FAILED

    def __init__(
        self,
        detail: str,
        retry_after_seconds: float | None = None,
        *,
        is_whole: bool = False,
        is_sure: bool = False,
        is_refusal: bool = False,
    ) -> None:
        """`retry_after_seconds`: what the API asked for; `is_whole`: no other question is answered either,
        so it says nothing about this one; `is_sure`: that needs no second look; `is_refusal`: it answers, and refuses
        this question alone.
        """
        self.retry_after_seconds = retry_after_seconds
        self.is_whole, self.is_sure, self.is_refusal = is_whole, is_sure, is_refusal
        super().__init__(detail)


class LookupNotFound(BridgeError):
    """The Planasonix API does not know the job or the run."""

    reason = Reason.LOOKUP_NOT_FOUND


class InboxUnavailable(BridgeError):
    """The store cannot commit now, or more waits for it than it may; the sender gets 503 and tries again."""


class RemoteUnavailable(BridgeError):
    """A running bridge does not answer over its admin API now: it is down, starting, or out of reach."""


class Locked(BridgeError):
    """A stored value cannot be decrypted: its key is not configured, or the row is not what was written."""

    reason = Reason.KEY_MISSING


class InboxInUse(BridgeError):
    """Another process already serves this SQLite file; a file has one server, PostgreSQL has many."""


class BadFilter(BridgeError):
    """What was asked for cannot be answered: it names a state, condition or key that does not exist, or too little."""


class Changed(BridgeError):
    """An order means something else than what was counted for it; nothing was done."""


class SignInFailed(BridgeError):
    """A person could not be signed in by OpenID Connect; the sentence is for that person and for the audit log."""


class ProviderUnavailable(SignInFailed):
    """The OpenID provider cannot be asked now, or its answer is of no use."""


class Forbidden(BridgeError):
    """The caller's role may not do this."""

    def __init__(self, needed: Role) -> None:
        """`needed` is the least role that may."""
        self.needed = needed
        super().__init__(f"this needs the role {needed}")


class NotThere(BridgeError):
    """No delivery or trigger with this id is stored."""
