"""Statements that group what needs a person by its cause: triggers that failed, are held, came too late or were taken
for another completion's, DAG runs that went wrong, and deliveries that start nothing.

Each kind is read from the partial index that holds it and nothing else, the newest `MAX_ROWS` rows of it, whatever the
filter: so history costs nothing, and a flood of failures no more than that. No payload is read. What a person has run
again counts no more, its later trigger does.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, TextClause, text

from bridge.edges.inbox.engine.ids import delivery_text, first_id, made_at, trigger_text
from bridge.edges.inbox.filtering import LATEST, TRIGGER_FILTERS, Filter, where
from bridge.edges.inbox.rows import instant, microseconds
from bridge.edges.inbox.walking import part
from bridge.words.causes import Causes, Group, Odd, Refused
from bridge.words.errors import BadFilter
from bridge.words.model import DeliveryState, TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import RunState

MAX_ROWS = 20_000  # rows of one kind: 0.1 s on one core
FILTERS = TRIGGER_FILTERS - {"after", "is_latest"}
_STATES = (TriggerState.FAILED, TriggerState.HELD)
RUN_STATES = (RunState.FAILED, RunState.DELETED, RunState.UNKNOWN)
_STATEMENT = (
    "SELECT reason, route, dag_id, airflow, COUNT(*) AS amount, MIN(id) AS oldest, MAX(id) AS newest,"
    " MIN(at) AS first_at, MAX(at) AS last_at FROM"
    " (SELECT id, {reason} AS reason, route, dag_id, airflow, {at} AS at FROM triggers{where}"
    " ORDER BY {order} DESC LIMIT :limit) AS latest GROUP BY reason, route, dag_id, airflow"
)
# When it came to be so. Since when a trigger is held is not stored: since it was made, or replayed, is near to that.
_HELD_AT, _SETTLED_AT = "age_from", "COALESCE(settled_at, age_from)"
_RAN_AT = "COALESCE(run_ended_at, settled_at, age_from)"
_TOO_LATE = text(
    _STATEMENT.format(  # by the partial index `triggers_too_late`
        reason="reason",
        at="settled_at",
        where=f" WHERE reason = 'too_late' AND settled_at >= :since AND {LATEST}",
        order="settled_at",
    )
)
# What was not started since a trigger of another completion has its route's own DAG run id, or Airflow has a run under
# it. By the partial index `triggers_repeated`, which leaves out the usual ids: there only a copy of the same completion
# starts nothing. A copy of the same completion is known by the trigger that it stands behind, whatever has become of
# that; the other's may be gone from the store.
_SAME_STANDS = (
    "EXISTS (SELECT 1 FROM completions AS ours JOIN completions AS theirs ON theirs.about_id = ours.about_id"
    " AND theirs.kind = ours.kind AND theirs.source = ours.source AND theirs.status = ours.status"
    " AND COALESCE(theirs.pipeline_id = ours.pipeline_id, TRUE)"
    " JOIN triggers AS owner ON owner.delivery_id = theirs.delivery_id WHERE ours.delivery_id = latest.delivery_id"
    " AND owner.airflow = latest.airflow AND owner.dag_id = latest.dag_id AND owner.dag_run_id = latest.dag_run_id"
    " AND COALESCE(owner.reason, '') <> 'duplicate_run')"
)
_REPEATED = text(
    "SELECT reason, route, dag_id, airflow, COUNT(*) AS amount, MIN(id) AS oldest, MAX(id) AS newest,"  # noqa: S608 - our own words
    " MIN(at) AS first_at, MAX(at) AS last_at FROM"
    " (SELECT id, delivery_id, reason, route, dag_id, airflow, dag_run_id, settled_at AS at FROM triggers"
    " WHERE reason = 'duplicate_run' AND SUBSTR(dag_run_id, 1, 12) <> 'planasonix__' AND settled_at >= :since"
    f" AND {LATEST} ORDER BY settled_at DESC LIMIT :limit) AS latest"
    f" WHERE NOT {_SAME_STANDS}"
    " GROUP BY reason, route, dag_id, airflow"
)
_ODD = (
    "SELECT state, reason, source, COUNT(*) AS amount, MIN(id) AS oldest, MAX(id) AS newest, MAX(due_at) AS last_at"
    " FROM (SELECT id, state, reason, source, due_at FROM deliveries WHERE {which} DESC LIMIT :limit) AS latest"
    " {more} GROUP BY state, reason, source ORDER BY amount DESC, source, reason"
)
_BY_STATE = text(
    _ODD.format(
        which="state = :word AND state IN ('unrouted','ignored','invalid','stale') AND id >= :first_id ORDER BY id",
        more="WHERE due_at >= :since",
    )
)
# By the partial index `deliveries_misunderstood`: of what is ignored, nearly all is meant to be.
_MISUNDERSTOOD = text(
    _ODD.format(
        which="reason = :word AND reason IN ('same_event','status_unknown') AND due_at >= :since ORDER BY due_at",
        more="",
    )
)
# By the partial index `deliveries_given_up`. Naming the states would let SQLite read all that no route matched.
_GIVEN_UP = text(
    _ODD.format(
        which="state = :word AND reason IN ('lookup_failed','lookup_not_found') AND id >= :first_id ORDER BY id",
        more="",
    )
)
_ODD_OF = (
    *((_BY_STATE, state) for state in (DeliveryState.INVALID, DeliveryState.STALE)),
    *((_MISUNDERSTOOD, reason) for reason in (Reason.SAME_EVENT, Reason.STATUS_UNKNOWN)),
    *((_GIVEN_UP, state) for state in (DeliveryState.UNROUTED, DeliveryState.IGNORED, DeliveryState.ROUTED)),
)
_REFUSED = text(
    "SELECT source, reason, COUNT(*) AS amount, MIN(at) AS oldest, MAX(at) AS newest FROM refusals"
    " WHERE kind = 'refused' AND at >= :since GROUP BY source, reason ORDER BY amount DESC, source, reason"
)
# Copies that may have been another event have a ring of their own, of 1,000 rows at most.
_DOUBTFUL = text(
    "SELECT source, reason, COUNT(*) AS amount, MIN(at) AS oldest, MAX(at) AS newest, MAX(delivery_id) AS example"
    " FROM refusals WHERE kind = 'doubtful' AND at >= :since"
    " GROUP BY source, reason ORDER BY amount DESC, source, reason"
)


def causes(connection: Connection, *, wanted: Filter, limit: int = MAX_ROWS) -> Causes:
    """Return the groups of what a filter means, the largest first. Raises BadFilter for a state that is no trouble."""
    found: list[Group] = []
    is_whole = True
    for kind in _kinds(wanted):
        newest = part(connection, table="triggers", wanted=kind, stretch=limit)
        groups = list(_groups(connection, newest, limit))
        is_whole &= newest.edge is None and sum(group.count for group in groups) < limit
        found += groups
    found.sort(key=lambda group: (-group.count, group.route, group.dag_id, group.airflow, str(group.reason)))
    return Causes(tuple(found), is_whole)


def _kinds(wanted: Filter) -> Iterator[Filter]:
    """Return a filter for each kind of trouble that is asked for, as the partial indexes have them."""
    if wanted.state not in {*_STATES, None}:
        raise BadFilter(f"causes are of triggers that are {' or '.join(_STATES)}, not {wanted.state}")
    if wanted.run_state not in {*RUN_STATES, None}:
        raise BadFilter(f"causes are of DAG runs that are {', '.join(RUN_STATES)}, not {wanted.run_state}")
    if wanted.state is not None and wanted.run_state is not None:
        raise BadFilter("say a state or a run_state: a DAG run is of a fired trigger")
    if wanted.run_state is None:
        for state in _STATES if wanted.state is None else (wanted.state,):
            yield replace(wanted, state=state, is_latest=True)
    if wanted.state is None:
        for run_state in RUN_STATES if wanted.run_state is None else (wanted.run_state,):
            yield replace(wanted, run_state=run_state, is_latest=True)


def _groups(connection: Connection, wanted: Filter, limit: int) -> Iterator[Group]:
    clause, values = where(wanted, TRIGGER_FILTERS, "trg")
    # How a DAG run ended does not depend on how the call that started it did.
    reason = "reason" if wanted.run_state is None else "CAST(NULL AS TEXT)"
    since = _HELD_AT if wanted.state == TriggerState.HELD else _SETTLED_AT
    at = since if wanted.run_state is None else _RAN_AT
    rows = connection.execute(
        text(_STATEMENT.format(where=clause, reason=reason, at=at, order="id")), values | {"limit": limit}
    )
    state = TriggerState(wanted.state or TriggerState.FIRED)
    for row in rows:
        yield _group(row, state, None if wanted.run_state is None else RunState(wanted.run_state))


def _group(row: Any, state: TriggerState, run_state: RunState | None) -> Group:
    oldest, newest = trigger_text(row.oldest), trigger_text(row.newest)
    return Group(
        state=state,
        run_state=run_state,
        reason=None if row.reason is None else Reason.of(row.reason),
        route=row.route,
        dag_id=row.dag_id,
        airflow=row.airflow,
        count=row.amount,
        oldest_at=instant(made_at(oldest)),
        newest_at=instant(made_at(newest)),
        example=newest,
        first_at=instant(row.first_at),
        last_at=instant(row.last_at),
        reason_word=row.reason,
    )


def too_late(connection: Connection, *, since: datetime, limit: int = MAX_ROWS) -> list[Group]:
    """Return what was cancelled since an instant as its `deadline` had passed, the largest group first."""
    return _cancelled(connection, _TOO_LATE, since, limit)


def repeated(connection: Connection, *, since: datetime, limit: int = MAX_ROWS) -> list[Group]:
    """Return what was not started since an instant, as another completion has its route's own DAG run id.

    The largest group first. Not what a person has run again, nor a copy of the same completion.
    """
    return _cancelled(connection, _REPEATED, since, limit)


def _cancelled(connection: Connection, statement: TextClause, since: datetime, limit: int) -> list[Group]:
    rows = connection.execute(statement, {"since": microseconds(since), "limit": limit})
    found = [_group(row, TriggerState.CANCELLED, None) for row in rows]
    return sorted(found, key=lambda group: (-group.count, group.route, group.dag_id, group.airflow))


def odd(
    connection: Connection, *, since: datetime, received_since: datetime | None = None, limit: int = MAX_ROWS
) -> list[Odd]:
    """Return the deliveries judged since an instant that no mapping can help, by state, reason and source.

    Those that are `ignored` count only where two bodies contradict each other (`same_event`), or where nobody knows how
    a job has ended (`status_unknown`). Nothing that no route matched: for most pipelines that is meant. But what was
    given up because the API gave no answer (LOOKUPS_GIVEN_UP) counts in any state but `received`, from
    `received_since` on. What came before that is not looked at.
    """
    values = {"since": microseconds(since), "first_id": first_id(microseconds(received_since or since)), "limit": limit}
    return [
        Odd(
            state=DeliveryState(row.state),
            reason=None if row.reason is None else Reason.of(row.reason),
            source=row.source,
            count=row.amount,
            oldest_at=instant(made_at(delivery_text(row.oldest))),
            newest_at=instant(row.last_at),
            example=delivery_text(row.newest),
        )
        for statement, word in _ODD_OF
        for row in connection.execute(statement, values | {"word": word})
    ]


def refused(connection: Connection, *, since: datetime) -> list[Refused]:
    """Return the requests refused since an instant, as far as the ring has them, by source and reason."""
    return [
        Refused(row.source, row.reason, row.amount, instant(row.oldest), instant(row.newest))
        for row in connection.execute(_REFUSED, {"since": microseconds(since)})
    ]


def doubtful_copies(connection: Connection, *, since: datetime) -> list[Refused]:
    """Return the copies since an instant that may have been another event, as far as the ring has them."""
    return [
        Refused(
            row.source,
            row.reason,
            row.amount,
            instant(row.oldest),
            instant(row.newest),
            None if row.example is None else delivery_text(row.example),
        )
        for row in connection.execute(_DOUBTFUL, {"since": microseconds(since)})
    ]
