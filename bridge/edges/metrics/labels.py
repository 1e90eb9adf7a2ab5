"""The closed sets that labels are taken from: a word that stands in none of them never becomes a series."""

from collections.abc import Mapping

from bridge.words.model import DeliveryState, TriggerState
from bridge.words.reasons import Reason

DOOR_REASONS = (
    Reason.SIGNATURE_MISSING,
    Reason.SIGNATURE_MALFORMED,
    Reason.SIGNATURE_MISMATCH,
    Reason.TIMESTAMP_IN_FUTURE,
    Reason.TIMESTAMP_TOO_OLD,
    Reason.KEY_OUT_OF_TIME,
    Reason.KEYS_UNAVAILABLE,
    Reason.CLAIMS_MISMATCH,
    Reason.ADDRESS_NOT_ALLOWED,
    Reason.CERTIFICATE_NOT_ALLOWED,
)
# Too many in a short time: of verified webhooks of a source, of refusals of one address.
LIMITS = ("delivery_limit", "refusal_limit")
# What is wrong with a request before its signature is looked at.
BROKEN = ("wrong_method", "too_large", "not_json", "encoded", "broken", "too_slow", "unavailable")
ACCEPTED = ("accepted", "duplicate", "stale")
# What a webhook under a key that is taken turns out to be.
COPIES = ("copy", "routed_again", Reason.URL_CONFLICT, Reason.SAME_BODY, "another_body", "same_body_again")
# Why the bridge ends a connection before there is a request to refuse.
CONNECTION_ENDS = (
    "malformed",
    "head_too_large",
    "too_slow",
    "trailers",
    "pipelined",
    "body_too_long",
    "unwanted_body",
    "unread_answers",
    "crowded",
    "memory",
    "handshake",
)
# How a fetch of a JWKS URL ends.
FETCHES = ("loaded", "failed")
# Why the admin listener lets a request not in.
SIGN_IN_FAILURES = (
    "token_missing",
    "token_wrong",
    "too_many",
    "role",
    "session",
    "form_token",
    "openid",
    "no_group",
    "provider",
)
LISTENERS = ("public", "admin")
ROUTED = (DeliveryState.ROUTED, DeliveryState.UNROUTED, DeliveryState.IGNORED, DeliveryState.INVALID)
TRIGGER_ENDS = (TriggerState.FIRED, TriggerState.FAILED, TriggerState.CANCELLED)
# Parts of the bridge that count their own errors, beside the loops: each of those adds its name when it is built.
PARTS = ("copies", "planning", "lookup", "firing", "settling", "probe")
# What a call to Airflow can end in (a test reads bridge.edges.airflow for more), and so what a trigger can fail of.
_WHOLE = (Reason.AIRFLOW_DOWN, Reason.THROTTLED, Reason.INTERNAL_ERROR)
_WRONG = (Reason.AIRFLOW_UNAUTHORIZED, Reason.AIRFLOW_MISCONFIGURED)
TROUBLES = (*_WHOLE, *_WRONG)
ATTEMPTS: Mapping[str, tuple[str, ...]] = {
    "started": ("",),
    "already_there": (Reason.ALREADY_THERE, Reason.SAME_COMPLETION),
    "later": (
        Reason.DAG_PAUSED,
        Reason.DAG_NOT_FOUND,
        Reason.DAG_REFUSES_RUNS,
        Reason.AIRFLOW_ERROR,
        Reason.ANSWER_LOST,
        Reason.CALL_BLOCKED,
        Reason.THROTTLED,
        Reason.RUN_ID_CONFLICT,
        Reason.INTERNAL_ERROR,
    ),
    "too_late": (Reason.TOO_LATE,),
    "never": (
        Reason.CONF_REFUSED,
        Reason.CONF_TOO_LARGE,
        Reason.RUN_ID_CONFLICT,
        Reason.DAG_PAUSED,
        Reason.HELD_TOO_LONG,
    ),
    "target_down": (Reason.AIRFLOW_DOWN, Reason.THROTTLED),
    "superseded": (Reason.SUPERSEDED,),
    "taken": (Reason.DUPLICATE_RUN,),
    "renamed": (Reason.RUN_ID_CONFLICT,),
    "misconfigured": (*_WRONG, Reason.AIRFLOW_FORBIDDEN, Reason.KEY_MISSING),
}
FAILURES = (
    *ATTEMPTS["never"],
    Reason.TOO_MANY_ATTEMPTS,
    Reason.EXPIRED,
    Reason.TEMPLATE,
    Reason.CONDITION,
)
# What a trigger can wait for: a place, a DAG, a person.
HELD = (
    *TROUBLES,
    Reason.AIRFLOW_FORBIDDEN,
    Reason.CALL_BLOCKED,
    Reason.DAG_PAUSED,
    Reason.DAG_NOT_FOUND,
    Reason.DAG_REFUSES_RUNS,
    Reason.LOOP_GUARD,
    Reason.HOURLY_CEILING,
    Reason.PAUSED_BY_PERSON,
    Reason.KEY_MISSING,
    Reason.UNKNOWN_AIRFLOW,
)

STORE_OPERATIONS = ("fold", "read", "write")
