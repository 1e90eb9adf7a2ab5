"""Turns rows of the store into facts of the model, and instants into Unix microseconds and back."""

import json
import re
from datetime import UTC, datetime, timedelta

from sqlalchemy import RowMapping

from bridge.edges.inbox.engine.ids import delivery_text, first_id, trigger_text
from bridge.edges.inbox.vault import attempt_row, opened, place, readable
from bridge.rules.sealing import Ring
from bridge.words.errors import Locked
from bridge.words.holds import DEFAULT_HOLD_SECONDS, FOR_A_DAG, IfPaused
from bridge.words.model import (
    Attempt,
    Call,
    Delivery,
    DeliveryEntry,
    DeliveryState,
    Limits,
    Spent,
    Trigger,
    TriggerEntry,
    TriggerState,
)
from bridge.words.reasons import Reason
from bridge.words.runs import Run, RunState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FOREVER = datetime.max.replace(tzinfo=UTC)
NUMBER = re.compile("[0-9]{1,18}")  # of a row, as a person spells it: any that is longer is more than a store can have
_RUN_STATES = frozenset(map(str, RunState))

HOLD_OVER = 2  # of a trigger's `hold_step`
DELIVERY_COLUMNS = (
    "id, source, event_id, state, reason, detail, received_at, key_id, signed_at, path_pipeline_id,"
    " headers, body, lookup, lookups, not_found, erased_at, caused_by"
)
# A list reads no payload: a page of the largest ones would be hundreds of MB. All of these stand before a body.
DELIVERY_ENTRY_COLUMNS = "id, source, event_id, state, reason, detail, received_at, key_id"
TRIGGER_ENTRY_COLUMNS = (
    "id, delivery_id, route, airflow, dag_id, dag_run_id, state, reason, detail, attempts, rerun, created_at,"
    " age_from, due_at, settled_at, run_state, run_started_at, run_ended_at"
)
TRIGGER_COLUMNS = (
    "id, delivery_id, route, airflow, dag_id, dag_run_id, conf, note, max_age_seconds, max_attempts,"
    " concurrency, state, reason, detail, attempts, rerun, created_at, age_from, due_at, settled_at, spent, follow,"
    " run_state, run_started_at, run_ended_at, deadline_seconds, late_at, doubted_at, if_paused,"
    " hold_seconds, series, hold_step"
)


def microseconds(instant: datetime) -> int:
    """Return an aware instant as whole Unix microseconds (exact, unlike a float)."""
    return (instant - _EPOCH) // _MICROSECOND


def first_since(since: datetime | None) -> int:
    """Return the smallest id of what came at an instant or later; without one, of all."""
    return first_id(microseconds(since or _EPOCH))


def first_from(until: datetime | None) -> int:
    """Return an id above all of what came before an instant; without one, above all."""
    return first_id(microseconds(until or _FOREVER))


def instant(value: int) -> datetime:
    """Return Unix microseconds as an aware UTC datetime."""
    return _EPOCH + value * _MICROSECOND


def instant_or_none(value: int | None) -> datetime | None:
    """Return Unix microseconds as an aware UTC datetime, and None as None."""
    return None if value is None else instant(value)


def run_state(word: str | None) -> RunState:
    """Return the state of a run that is followed; a word that a newer release wrote is `unknown`."""
    return RunState.QUEUED if word is None else RunState(word if word in _RUN_STATES else RunState.UNKNOWN)


def _run(row: RowMapping) -> Run | None:
    if row["state"] != TriggerState.FIRED or row["run_state"] is None:
        return None
    started_at, ended_at = instant_or_none(row["run_started_at"]), instant_or_none(row["run_ended_at"])
    return Run(run_state(row["run_state"]), started_at, ended_at)


def _reason(word: str | None) -> Reason | None:
    return None if word is None else Reason.of(word)


def delivery(row: RowMapping, ring: Ring) -> Delivery:
    """Make a Delivery of a row of DELIVERY_COLUMNS; one that cannot be decrypted says why."""
    number, locked = row["id"], None
    try:
        body = ring.open(bytes(row["body"]), place("deliveries", "body", number))
        lookup = opened(ring, row["lookup"], place("deliveries", "lookup", number))
    except Locked as error:
        body, lookup, locked = b"", None, str(error)
    return Delivery(
        id=delivery_text(row["id"]),
        source=row["source"],
        event_id=row["event_id"],
        state=DeliveryState(row["state"]),
        reason=_reason(row["reason"]),
        detail=readable(ring, row["detail"], place("deliveries", "detail", number)),
        received_at=instant(row["received_at"]),
        key_id=row["key_id"],
        signed_at=None if row["signed_at"] is None else instant(row["signed_at"] * 1_000_000),
        path_pipeline_id=row["path_pipeline_id"],
        headers=json.loads(row["headers"]),
        body=body,
        lookup=None if lookup is None else json.loads(lookup),
        lookups=row["lookups"],
        not_found=row["not_found"],
        locked=locked,
        erased_at=instant_or_none(row["erased_at"]),
        caused_by=None if row["caused_by"] is None else trigger_text(row["caused_by"]),
    )


def delivery_entry(row: RowMapping, ring: Ring) -> DeliveryEntry:
    """Make an entry of a list of a row of DELIVERY_ENTRY_COLUMNS."""
    return DeliveryEntry(
        id=delivery_text(row["id"]),
        source=row["source"],
        event_id=row["event_id"],
        state=DeliveryState(row["state"]),
        reason=_reason(row["reason"]),
        detail=readable(ring, row["detail"], place("deliveries", "detail", row["id"])),
        received_at=instant(row["received_at"]),
        key_id=row["key_id"],
    )


def trigger_entry(row: RowMapping, ring: Ring) -> TriggerEntry:
    """Make an entry of a list of a row of TRIGGER_ENTRY_COLUMNS."""
    return TriggerEntry(
        id=trigger_text(row["id"]),
        delivery_id=delivery_text(row["delivery_id"]),
        route=row["route"],
        airflow=row["airflow"],
        dag_id=row["dag_id"],
        dag_run_id=row["dag_run_id"] or "",
        state=TriggerState(row["state"]),
        reason=_reason(row["reason"]),
        detail=readable(ring, row["detail"], place("triggers", "detail", row["id"])),
        attempts=row["attempts"],
        rerun=row["rerun"],
        created_at=instant(row["created_at"]),
        age_from=instant(row["age_from"]),
        due_at=instant(row["due_at"]),
        settled_at=instant_or_none(row["settled_at"]),
        run=_run(row),
    )


def trigger(row: RowMapping, ring: Ring) -> Trigger:
    """Make a Trigger of a row of TRIGGER_COLUMNS; one that cannot be decrypted says why."""
    number, locked = row["id"], None
    try:
        conf = ring.open_text(row["conf"], place("triggers", "conf", number))
        note = opened(ring, row["note"], place("triggers", "note", number))
    except Locked as error:
        conf, note, locked = "{}", None, str(error)
    return Trigger(
        id=trigger_text(row["id"]),
        delivery_id=delivery_text(row["delivery_id"]),
        call=Call(
            route=row["route"],
            airflow=row["airflow"],
            dag_id=row["dag_id"],
            dag_run_id=row["dag_run_id"] or "",
            conf=json.loads(conf),
            note=note,
            limits=_limits(row),
            follow=row["follow"] != 0,
            if_paused=IfPaused(row["if_paused"] or IfPaused.TRIGGER),
            series=None if row["series"] is None else bytes(row["series"]),
        ),
        state=TriggerState(row["state"]),
        reason=_reason(row["reason"]),
        detail=readable(ring, row["detail"], place("triggers", "detail", number)),
        attempts=row["attempts"],
        rerun=row["rerun"],
        created_at=instant(row["created_at"]),
        age_from=instant(row["age_from"]),
        due_at=instant(row["due_at"]),
        settled_at=instant_or_none(row["settled_at"]),
        locked=locked,
        spent=_spent(row["spent"], row["age_from"]),
        run=_run(row),
        late_at=instant_or_none(row["late_at"]),
        doubted_at=instant_or_none(row["doubted_at"]),
        is_hold_over=row["hold_step"] == HOLD_OVER,
    )


def _limits(row: RowMapping) -> Limits:
    return Limits(
        max_age_seconds=row["max_age_seconds"],
        max_attempts=row["max_attempts"],
        concurrency=row["concurrency"],
        deadline_seconds=row["deadline_seconds"],
        hold_seconds=DEFAULT_HOLD_SECONDS if row["hold_seconds"] is None else row["hold_seconds"],
    )


def spent_text(spent: Spent, age_from: datetime) -> str:
    """Return what a trigger has used of its limits as it is stored; a later `age_from` makes it void."""
    causes = {str(cause): amount for cause, amount in spent.causes.items()}
    return json.dumps({"from": microseconds(age_from), "seconds": spent.seconds, "causes": causes})


def spent_when_freed(stored: str | None) -> str | None:
    """Return what a trigger has used once its DAG is back: another hold begins with short waits. Its cause stays."""
    if stored is None:
        return None
    read = json.loads(stored)
    read["causes"] = {cause: 0 if cause in FOR_A_DAG else amount for cause, amount in read["causes"].items()}
    return json.dumps(read)


def _spent(stored: str | None, age_from: int) -> Spent:
    """Return what was used since `age_from`; whoever asks for a trigger anew, in any release, only sets that."""
    read = {} if stored is None else json.loads(stored)
    return Spent(read["seconds"], read["causes"]) if read.get("from") == age_from else Spent()


def attempt(row: RowMapping, ring: Ring) -> Attempt:
    """Make an Attempt of a row of the attempts table."""
    name = attempt_row(row["trigger_id"], row["number"])
    return Attempt(
        number=row["number"],
        started_at=instant(row["started_at"]),
        seconds=row["seconds"],
        outcome=row["outcome"],
        reason=_reason(row["reason"]),
        detail=readable(ring, row["detail"], place("attempts", "detail", name)),
        http_status=row["http_status"],
    )
