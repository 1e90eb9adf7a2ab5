"""What is asked before a trigger's one call, where its deadline, its route or its hold wants that.

    1. its deadline has passed:                     nothing is started any more: cancelled, `too_late`
    2. if_paused: hold or fail, or the latest of
       some is wanted after a hold:                 one request for the DAG. It is away: held, or failed
    3. after a hold, of which the latest is wanted: a newer one was fired: cancelled, `superseded`. One may still be
                                                    fired: held until that is known, so that one of them runs in the end
    4. the call
    5. its DAG is away, and it was held for as long as the route allows: failed, `held_too_long`

A trigger that ends without a call is looked for in Airflow first if an earlier call of it may have started its DAG run
(doubt.py). A route that leaves paused DAGs to Airflow (the default) costs no request and no look into the store here.
"""

from datetime import datetime

from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox, holds
from bridge.flows.firing.doubt import unless_started
from bridge.rules.holding import goes_first
from bridge.words.holds import Awaits, IfPaused
from bridge.words.model import Trigger
from bridge.words.outcomes import Later, Never, Outcome, Superseded, TooLate, as_look
from bridge.words.reasons import Reason


def call(inbox: Inbox, airflow: Airflow, trigger: Trigger, now: datetime) -> Outcome:
    """Start the trigger's DAG run, unless there is a reason not to. Raises InboxUnavailable."""
    if trigger.is_late(now):
        return unless_started(airflow, trigger, now, TooLate())
    outcome = _before(inbox, airflow, trigger, now)
    if outcome is None:
        outcome = airflow.fire(trigger)
    if trigger.is_hold_over and isinstance(outcome, Later) and outcome.awaits is Awaits.THERE:
        last = f"last: {outcome.reason} {outcome.detail}".strip()
        return unless_started(airflow, trigger, now, Never(Reason.HELD_TOO_LONG, last))
    return outcome


def _before(inbox: Inbox, airflow: Airflow, trigger: Trigger, now: datetime) -> Outcome | None:
    is_one_of_some = trigger.call.series is not None and trigger.was_held
    if trigger.call.if_paused is IfPaused.TRIGGER and not is_one_of_some:
        return None
    refusal = airflow.look_before(trigger)
    if isinstance(refusal, Never) and refusal.reason is Reason.DAG_PAUSED:
        return unless_started(airflow, trigger, now, refusal)
    if refusal is not None:
        return as_look(refusal)
    newer = inbox.read(holds.newer, trigger.id) if is_one_of_some else None
    if newer is None:
        return None
    if newer.is_fired:
        return unless_started(airflow, trigger, now, Superseded(f"{newer.id} is newer"))
    return Later(Reason.DAG_PAUSED, goes_first(newer.id), is_hold=True, awaits=Awaits.NEWER, is_look=True)
