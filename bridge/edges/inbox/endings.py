"""Statements on what the store knows of runs and pipelines that somebody asks about.

One look serves everybody who asks: three statements, each a few steps of an index for each id.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, Row, Text, text

from bridge.edges.inbox.engine.ids import delivery_text, first_id, made_at
from bridge.edges.inbox.engine.statements import a_list
from bridge.edges.inbox.rows import instant, microseconds
from bridge.rules.telling import Found, Match

_NAMES = a_list("names", Text())
_OWN = text(
    "SELECT about_id AS name, delivery_id, source, pipeline_id, status FROM completions"
    " WHERE about_id IN :names AND kind IN ('run','job','backfill')"
).bindparams(_NAMES)
_BESIDE = text(
    "SELECT n.id AS name, c.delivery_id, c.source, c.pipeline_id, c.status FROM completion_ids AS n"
    " JOIN completions AS c ON c.delivery_id = n.delivery_id WHERE n.id IN :names"
).bindparams(_NAMES)
_IS_VAGUE = (
    "c.kind IN ('job','event','delivery')"
    " AND NOT EXISTS (SELECT 1 FROM completion_ids AS n WHERE n.delivery_id = c.delivery_id)"
)
_OF_PIPELINE = text(
    f"SELECT c.pipeline_id AS name, c.delivery_id, c.source, c.pipeline_id, c.status, ({_IS_VAGUE}) AS is_vague"  # noqa: S608
    " FROM completions AS c WHERE c.pipeline_id IN :names AND c.pipeline_id IS NOT NULL AND c.delivery_id >= :since"
    " ORDER BY c.delivery_id DESC LIMIT :most"
).bindparams(_NAMES)
_LIMIT = 2000  # of the newest; who is told of none of them looks for himself, later


def found(connection: Connection, *, runs: Collection[str], pipelines: Collection[str], since: datetime) -> list[Found]:
    """Return the completions that tell of these runs, and of these pipelines since an instant."""
    by_id = {"names": sorted(runs)}
    by_pipeline = {"names": sorted(pipelines), "since": first_id(microseconds(since)), "most": _LIMIT}
    rows = [(Match.OWN, row) for row in connection.execute(_OWN, by_id)] if runs else []
    rows += [(Match.BESIDE, row) for row in connection.execute(_BESIDE, by_id)] if runs else []
    for row in connection.execute(_OF_PIPELINE, by_pipeline) if pipelines else ():
        rows.append((Match.VAGUE if row.is_vague else Match.OF_PIPELINE, row))
    return [_found(match, row) for match, row in rows]


def _found(match: Match, row: Row) -> Found:  # type: ignore[type-arg]
    id_ = delivery_text(row.delivery_id)
    return Found(match, row.name, id_, row.source, row.pipeline_id, row.status, instant(made_at(id_)))
