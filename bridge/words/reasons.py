"""The closed list of reasons: why a delivery or a trigger is in its state, and what to do about it.

A word is a metric label, log field, column and API value. Pages, CLI and docs/reference/reasons.md print its sentences.
"""

from enum import StrEnum
from typing import cast


class Reason(StrEnum):
    """A word, why things are so, and the next step for the person who reads it."""

    why: str
    next_step: str

    def __new__(cls, word: str, why: str, next_step: str) -> "Reason":
        """Attach the two sentences to the word."""
        member = str.__new__(cls, word)
        member._value_, member.why, member.next_step = word, why, next_step
        return member

    @classmethod
    def of(cls, word: str) -> "Reason":
        """Return the reason with this word; a word that a newer release wrote is UNKNOWN_REASON."""
        return cast("Reason", cls._value2member_map_.get(word, cls.UNKNOWN_REASON))

    # --- refused at the door (never stored) ------------------------------------------------
    SIGNATURE_MISSING = (
        "signature_missing",
        "The request carries no signature or no timestamp header.",
        "Check that the webhook in Planasonix signs, that the preset is its scheme, that no proxy drops a header.",
    )
    SIGNATURE_MALFORMED = (
        "signature_malformed",
        "A signature or timestamp header is repeated, or not spelled as the preset demands.",
        "Compare the header with the preset; a proxy may have changed it. A timestamp of 13 digits is in milliseconds:"
        " write `timestamp_unit: ms`, with a preset that takes it.",
    )
    SIGNATURE_MISMATCH = (
        "signature_mismatch",
        "No configured secret makes this signature over these bytes.",
        "Compare the secret with the one Planasonix shows, both after a rotation; a proxy may have changed the body.",
    )
    TIMESTAMP_IN_FUTURE = (
        "timestamp_in_future",
        "The signed timestamp lies further ahead than the source allows.",
        "Check the clocks (NTP) of this machine and of the sender.",
    )
    KEY_OUT_OF_TIME = (
        "key_out_of_time",
        "The signature is right, but `not_before` or `not_after` of its key does not allow it now.",
        "If the sender still signs with this key, move its `not_after` in bridge.yaml, or finish the rotation.",
    )
    KEYS_UNAVAILABLE = (
        "keys_unavailable",
        "The token's key is not known yet, and its JWKS URL is being fetched, or could not be (answered 503).",
        "It passes by itself when the URL answers; `planasonix-bridge keys check` says what is wrong with it.",
    )
    CLAIMS_MISMATCH = (
        "claims_mismatch",
        "The token is signed, but it is not for this body, this audience or this issuer, or lacks a claim it needs.",
        "Compare `body`, `body_claim`, `audience` and `issuer` of the source with a token of the sender.",
    )
    ADDRESS_NOT_ALLOWED = (
        "address_not_allowed",
        "The signature is right, but the request comes from no address of the source's `allow_addresses`.",
        "If the sender moved, correct the list, or `proxies` if a proxy's address is logged; else change the secret.",
    )
    CERTIFICATE_NOT_ALLOWED = (
        "certificate_not_allowed",
        "The signature is right, but no listed proxy vouches for one of the source's client certificates.",
        "Compare `client_certificate` and `proxies` in bridge.yaml with what the proxy sends; else change the secret.",
    )
    # --- deliveries ------------------------------------------------------------------------
    TIMESTAMP_TOO_OLD = (
        "timestamp_too_old",
        "The signature is right but the signed timestamp is older than the source allows.",
        "If it is a genuine late retry, replay the delivery; if many appear, check the clocks.",
    )
    UNREADABLE_JSON = (
        "unreadable_json",
        "The body is authentic, but it is not strict JSON with an object at the top.",
        "Look at the stored body; fix the body template of the Webhook Action in Planasonix.",
    )
    UNREADABLE_FIELD = (
        "unreadable_field",
        "The body is authentic, but a field that routing needs has a wrong type or spelling.",
        "Look at the stored body and the detail beside this reason.",
    )
    CONTRADICTION = (
        "contradiction",
        "The body contradicts itself or the URL it was sent to (two pipelines, or two statuses).",
        "Check which URL the webhook of this pipeline is registered with.",
    )
    TEST_EVENT = ("test_event", "It is a test event: it proves the way here and starts nothing.", "Nothing to do.")
    STATUS_RUNNING = (
        "status_running",
        "The job is still queued or running; only an ended one can start DAG runs.",
        "Nothing to do; unsubscribe the event type in Planasonix to receive fewer.",
    )
    STATUS_UNKNOWN = (
        "status_unknown",
        "The event tells of a run, job, backfill or pipeline, with no status that the bridge knows.",
        "Add the word to `body.statuses` of the source, restart and replay the delivery; or unsubscribe the event.",
    )
    NO_COMPLETION = (
        "no_completion",
        "Nothing that the bridge can read in the event says that a pipeline's work has ended.",
        "Nothing to do. If it should start DAG runs, say in `body` of the source how it is spelled; replay it.",
    )
    SAME_EVENT = (
        "same_event",
        "Its event id (or signed message id) and its completion were routed before, with another body: see the detail.",
        "Compare the two bodies; `replay --run-again` of that delivery's triggers makes their DAG runs once more.",
    )
    URL_CONFLICT = (
        "url_conflict",
        "The same body was sent to the URL of another pipeline before, so this copy starts nothing.",
        "The URL is not signed. Let the body name its pipeline or have an id; `replay --run-again` runs it once more.",
    )
    SAME_BODY = (
        "same_body",
        "A body without any id was sent within `same_body_for` of the same bytes, and signed at another time.",
        "If it was another event, use `replay --run-again`, and give the body an id or lower `same_body_for`.",
    )
    NO_ROUTE = (
        "no_route",
        "No route of the mapping matches this event.",
        "Run `planasonix-bridge explain --delivery ID` to see why, fix the mapping, then replay it.",
    )
    LOOKUP_FAILED = (
        "lookup_failed",
        "The Planasonix API did not say which pipeline the job or run belongs to.",
        "Run `check --planasonix`. What is `received` is asked again by itself; else replay it once the API answers.",
    )
    LOOKUP_QUEUED = (
        "lookup_queued",
        "It waits for its turn to be looked up at the Planasonix API, which is slow or down, or many wait.",
        "Nothing to do; if it stays, check that the API at `api.url` of the source answers.",
    )
    LOOKUP_NOT_FOUND = (
        "lookup_not_found",
        "The Planasonix API does not know the job or run that the event names.",
        "What is `received` is asked again by itself. Else check that the API key is of the right tenant; replay it.",
    )
    INTERNAL_ERROR = (
        "internal_error",
        "The bridge itself failed on this one; the log has the traceback.",
        "It is tried again by itself, slowly; please report it with the log line.",
    )
    KEY_MISSING = (
        "key_missing",
        "It is stored encrypted, and none of the configured keys opens it.",
        "Put the key that the detail names back into BRIDGE_ENCRYPTION_KEYS and restart; it goes on by itself.",
    )
    ERASED = ("erased", "A person erased it before it was routed.", "Nothing to do; the audit log tells who and why.")
    # --- triggers: waiting -----------------------------------------------------------------
    AIRFLOW_DOWN = (
        "airflow_down",
        "Airflow cannot be reached or says it is unhealthy; nothing is lost and no attempt is used.",
        "Bring Airflow back; the backlog then drains by itself, oldest first.",
    )
    AIRFLOW_UNAUTHORIZED = (
        "airflow_unauthorized",
        "Airflow refuses the sign-in.",
        "Correct the user and password (or token) of this Airflow in bridge.yaml; it goes on by itself.",
    )
    AIRFLOW_FORBIDDEN = (
        "airflow_forbidden",
        "The bridge's Airflow user may not start runs of this DAG.",
        "Grant the user the right to create DAG runs (role User or better); it goes on by itself.",
    )
    AIRFLOW_MISCONFIGURED = (
        "airflow_misconfigured",
        "What answers at this Airflow's URL is not the Airflow REST API, or TLS does not fit.",
        "Open the URL of this Airflow in bridge.yaml by hand; look for a proxy, a login page, a CA file.",
    )
    DAG_NOT_FOUND = (
        "dag_not_found",
        "Airflow does not know the DAG: not parsed yet, broken, or misspelled in the mapping.",
        "Run `planasonix-bridge check --airflow`; it goes on by itself once Airflow has parsed the DAG.",
    )
    DAG_REFUSES_RUNS = (
        "dag_refuses_runs",
        "Airflow refuses runs of this DAG for now (import errors, or manual runs are not allowed).",
        "Fix the DAG; it goes on by itself.",
    )
    DAG_PAUSED = (
        "dag_paused",
        "The DAG is paused: as the route says, Airflow keeps the run queued, the trigger is held here, or it failed.",
        "Unpause the DAG in Airflow; what is queued or held goes on by itself. Replay what failed.",
    )
    LOOP_GUARD = (
        "loop_guard",
        "DAG runs of this bridge led to the event: one of this very DAG, or too many in a row (BRIDGE_MAX_HOPS).",
        "The detail shows the chain. Break the loop between DAG and pipeline; replay the trigger if it should run.",
    )
    HOURLY_CEILING = (
        "hourly_ceiling",
        "The route has started as many DAG runs in this hour as its `max_per_hour` allows.",
        "It goes on by itself, in order; raise `max_per_hour` if the burst is genuine, else change the secret.",
    )
    MAPPING_BROKEN = ("mapping_broken", "No mapping was ever good; it waits for one.", "Mend what `check` names.")
    PAUSED_BY_PERSON = (
        "paused_by_person",
        "A person has paused its route, its source or its Airflow; the detail tells who, since when and why.",
        "`planasonix-bridge resume` lets it go on, oldest first; with an end it goes on by itself.",
    )
    THROTTLED = (
        "throttled",
        "Something in front of Airflow, or of one of its DAGs, answered 429 or 503 and asked to wait.",
        "Nothing to do; lower `rate` of this Airflow in bridge.yaml if it stays.",
    )
    ANSWER_LOST = (
        "answer_lost",
        "The connection broke before Airflow's answer arrived, and no run with this id was found.",
        "It is tried again with the same DAG run id, so it cannot run twice.",
    )
    CALL_BLOCKED = (
        "call_blocked",
        "Airflow is well, but something else answers the call of this trigger: a firewall, a gateway or a login page.",
        "Look for the attempt in the log of what stands in front of Airflow; it is tried again ever more rarely.",
    )
    AIRFLOW_ERROR = (
        "airflow_error",
        "Airflow answered with a server error although it says it is healthy.",
        "Look for the time of the attempt in Airflow's log; replay the trigger when it is fixed.",
    )
    # --- triggers: fired -------------------------------------------------------------------
    ALREADY_THERE = ("already_there", "The DAG run existed: an earlier attempt had made it.", "Nothing to do.")
    SAME_COMPLETION = (
        "same_completion",
        "The DAG run existed: made for another copy of the same completion.",
        "Nothing to do; use `replay --run-again` if it should run once more.",
    )
    # --- triggers: failed ------------------------------------------------------------------
    TEMPLATE = (
        "template",
        "A template of the route's conf, note or dag_run_id failed on this event.",
        "Fix the template (the detail names it), check it with `explain --delivery ID`, then replay.",
    )
    CONDITION = (
        "condition",
        "The route's `when` failed on this event, so nobody knows whether it should have fired.",
        "Fix the condition, check it with `explain --delivery ID`, then replay.",
    )
    CONF_REFUSED = (
        "conf_refused",
        "The DAG's params do not accept the conf, or Airflow does not accept the DAG run id.",
        "The detail says which one; fix the mapping or the DAG, then replay.",
    )
    CONF_TOO_LARGE = (
        "conf_too_large",
        "The conf is larger than the limit for this Airflow.",
        "Send a reference instead of the content, or raise `max_conf_bytes`; then replay.",
    )
    RUN_ID_CONFLICT = (
        "run_id_conflict",
        "The DAG run id is another completion's, in Airflow or in the store.",
        "Look in Airflow whose run it is. If not this one's own: replay it; if it ends here again, replay --run-again.",
    )
    TOO_MANY_ATTEMPTS = ("too_many_attempts", "Its attempts are used up.", "Fix the cause, then replay it.")
    HELD_TOO_LONG = (
        "held_too_long",
        "Its DAG was paused, missing or broken for longer than the route's `hold_at_most`.",
        "Bring the DAG back, then replay the trigger; raise `hold_at_most` if that takes long on purpose.",
    )
    EXPIRED = (
        "expired",
        "The trigger waited longer than the route's `max_age`.",
        "Look at the attempts for the cause; replay the trigger if it should still run.",
    )
    UNKNOWN_AIRFLOW = (
        "unknown_airflow",
        "The Airflow that this trigger was made for is no longer in bridge.yaml.",
        "Put it back and restart, or replay the delivery after fixing the mapping.",
    )
    # --- triggers: cancelled ---------------------------------------------------------------
    DUPLICATE_RUN = (
        "duplicate_run",
        "Another trigger stands for this DAG run: of the same completion, or under the route's own `dag_run_id`.",
        "The detail names it. If this should run all the same, use `replay --run-again`.",
    )
    SUPERSEDED = (
        "superseded",
        "A replay of its delivery planned anew what had not started, or a newer one was fired (`release: latest`).",
        "Nothing to do; replay it if it should run all the same.",
    )
    TOO_LATE = (
        "too_late",
        "The route's `deadline` had passed before its DAG run was started, so it is started no more.",
        "Replay it if its DAG run is wanted all the same: its `deadline` counts from then. If not, nothing to do.",
    )
    BY_OPERATOR = ("by_operator", "A person cancelled it.", "Replay it if it should run after all.")
    # --- any state -------------------------------------------------------------------------
    UNKNOWN_REASON = (
        "unknown_reason",
        "The store holds a reason that this release does not know: a newer one wrote it.",
        "Finish the upgrade, or look at this row with the newer release.",
    )
