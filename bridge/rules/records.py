"""What is recorded of people and of requests at the door, as plain JSON values. Pure."""

from bridge.rules import views
from bridge.words.audit import AuditLine
from bridge.words.reasons import Reason
from bridge.words.refusals import Refusal
from bridge.words.replicas import LoadedMapping


def refusal(value: Refusal) -> views.Json:
    """Return what is kept of a request that was refused, or was a copy."""
    known = value.reason in set(Reason)
    return {
        "id": value.id,
        "at": views.instant(value.at),
        "kind": str(value.kind),
        "source": value.source,
        "reason": value.reason,
        "sender": value.sender,
        "keys_tried": list(value.keys),
        "body_sha256": value.fingerprint,
        "copy_of": value.delivery_id,
        "next_step": Reason.of(value.reason).next_step if known else None,
    }


def audit_line(value: AuditLine) -> views.Json:
    """Return a line of the audit log."""
    return {
        "id": value.id,
        "at": views.instant(value.at),
        "actor": value.actor,
        "action": value.action,
        "subject": value.subject,
        "reason": value.reason,
    }


def replica(value: LoadedMapping) -> views.Json:
    """Return which mapping a replica uses, and since when."""
    return {
        "replica": value.replica,
        "host": value.host,
        "mapping": value.digest,
        "loaded_at": views.instant(value.loaded_at),
    }
