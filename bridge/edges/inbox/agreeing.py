"""Statements that read the rows of completions: of one id only those whose pipelines agree.

Runs may be numbered per pipeline, or named after their day: then hundreds of pipelines have a run of one id.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, Row, Text, text

from bridge.edges.inbox.engine.statements import Pair, a_list, is_shared
from bridge.rules.completion import Key

COLUMNS = "delivery_id, about_id, kind, source, status, pipeline_id, nth"
ROWS = f"SELECT {COLUMNS} FROM completions WHERE "  # noqa: S608 - our own names
_NAMES = a_list("names", Text())
_ALL = text(f"{ROWS} about_id IN :names").bindparams(_NAMES)
# By the index `completions_of_pipeline`.
_AGREEING = (
    f"SELECT {COLUMNS} FROM {{pairs}} CROSS JOIN completions WHERE about_id = {{name}} AND pipeline_id = {{pipeline}}"  # noqa: S608
    f" UNION ALL {ROWS} about_id IN :names AND pipeline_id IS NULL"
)
_OF_PIPELINES = Pair(
    sqlite=text(
        _AGREEING.format(
            pairs="json_each(:pairs) AS pair",
            name="json_extract(pair.value, '$[0]')",
            pipeline="json_extract(pair.value, '$[1]')",
        )
    ).bindparams(_NAMES),
    postgresql=text(
        _AGREEING.format(
            pairs="unnest(CAST(:ids AS text[]), CAST(:pipelines AS text[])) AS pair (name, pipeline)",
            name="pair.name",
            pipeline="pair.pipeline",
        )
    ).bindparams(_NAMES),
)


class Telling(NamedTuple):
    """One delivery's row."""

    delivery: int
    key: Key
    pipeline_id: str | None


def telling_row(row: Row) -> Telling:  # type: ignore[type-arg]
    """Return a row of completions as what it says."""
    return Telling(row.delivery_id, (row.about_id, row.kind, row.source, row.status), row.pipeline_id)


def agreeing(connection: Connection, wanted: Iterable[tuple[Key, str | None]]) -> list[Telling]:
    """Return the rows that tell of any of these completions, each of a pipeline or None; the oldest delivery first."""
    asked = set(wanted)
    keys = {key for key, _ in asked}
    of_any = {key[0] for key, pipeline in asked if pipeline is None}
    pairs = sorted({(key[0], pipeline) for key, pipeline in asked if pipeline is not None and key[0] not in of_any})
    found: list[Row] = []  # type: ignore[type-arg]
    if of_any:
        found += connection.execute(_ALL, {"names": sorted(of_any)})
    if pairs:
        ids, pipelines = (list(column) for column in zip(*pairs, strict=True))
        values = {"ids": ids, "pipelines": pipelines} if is_shared(connection) else {"pairs": json.dumps(pairs)}
        found += connection.execute(_OF_PIPELINES.on(connection), {"names": sorted(set(ids)), **values})
    return sorted((row for row in map(telling_row, found) if row.key in keys), key=lambda row: row.delivery)
