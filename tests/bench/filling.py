"""Writes a history of settled deliveries into a store by SQL: indexes go first and come back last."""

import sqlite3
import time
from pathlib import Path

import psycopg

from tests.bench.load import TEMPLATE

_EPOCH_MS = 1_577_836_800_000  # bridge/edges/inbox/engine/ids.py
_DAYS = 29  # younger than retention
_PIPELINE = "pl_01hqxyz"  # of the template
_HEADERS = '{"content-type": "application/json", "user-agent": "Planasonix-Webhooks/1.0"}'
_CONF = '{"planasonix": {"delivery_id": "dlv_0000000000000000", "pipeline_id": "pl_01hqxyz", "rows_loaded": 44802}}'
_OTHER_PIPELINE = "pl_another"  # of completions that no route wants
_NAMES = (
    "id, dedup_key, source, event_id, state, reason, received_at, due_at, key_id, signed_at, headers, body",
    "id, delivery_id, route, airflow, dag_id, dag_run_id, conf, max_age_seconds, state, attempts, created_at, due_at,"
    " age_from, settled_at",
    "trigger_id, number, started_at, seconds, outcome, http_status",
    "delivery_id, source, kind, about_id, status, pipeline_id, nth",
)
_COMPLETIONS = (
    f"INSERT INTO completions ({_NAMES[3]}) SELECT id, source, 'job', 'job_' || id, 'succeeded',"  # noqa: S608
    f" CASE state WHEN 'routed' THEN '{_PIPELINE}' ELSE '{_OTHER_PIPELINE}' END, 0 FROM deliveries"
)


def fill(url: str, amount: int, *, pipelines: int = 0, unrouted: int = 0) -> None:
    """Write so many deliveries, evenly over 29 days, each with its key, one fired trigger and one attempt.

    All are of one pipeline, or with `pipelines` of so many by turns, called `pl_0000`, `pl_0001` and so on. `unrouted`
    of a hundred are of another one that no route wants, and have no trigger; then each has its completion as well.
    """
    if url.startswith("sqlite"):
        _fill_sqlite(_path(url), amount, pipelines, unrouted)
    else:
        _fill_postgresql(url, amount, pipelines, unrouted)


def gigabytes(url: str) -> float:
    """Return the size of a store."""
    if url.startswith("sqlite"):
        return _path(url).stat().st_size / 1e9
    with psycopg.connect(url) as connection:
        (size,) = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
    return int(size) / 1e9


def forget_loads(url: str) -> None:
    """Make what a load left as if it had been routed: nothing of it waits beside what is measured next."""
    statement = "UPDATE deliveries SET state = 'unrouted' WHERE state = 'received'"
    if url.startswith("sqlite"):
        connection = sqlite3.connect(_path(url), isolation_level=None)
        connection.execute(statement)
        connection.close()
    else:
        with psycopg.connect(url, autocommit=True) as shared:
            shared.execute(statement)


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _begin(amount: int) -> tuple[int, int]:
    """Return the first delivery's Unix milliseconds, and those between two."""
    span = _DAYS * 86_400_000
    return int(time.time() * 1000) - span, max(1, (span - 3_600_000) // amount)


def _fates(unrouted: int, modulo: str = "%") -> str:
    """Return state and reason of row `i`."""
    is_unrouted = f"i {modulo} 100 < {unrouted}"
    return f"CASE WHEN {is_unrouted} THEN 'unrouted' ELSE 'routed' END, CASE WHEN {is_unrouted} THEN 'no_route' END"


def _fill_sqlite(path: Path, amount: int, pipelines: int, unrouted: int) -> None:
    start, step = _begin(amount)
    body = ":body"
    if pipelines:
        named = f"replace(CAST(:body AS TEXT), '{_PIPELINE}', printf('pl_%04d', i % {pipelines}))"
        body = f"CAST({named} AS BLOB)"
    values = {"start": start, "step": step, "last": amount - 1, "body": TEMPLATE[:700], "head": _HEADERS}
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-1000000", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    at = "(:start + i * :step)"
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :last)"  # noqa: S608
        f" INSERT INTO deliveries ({_NAMES[0]}) SELECT ({at} - {_EPOCH_MS}) << 22, randomblob(16), 'planasonix',"
        f" 'evt_' || lower(hex(randomblob(10))), {_fates(unrouted)}, {at} * 1000, {at} * 1000, 'current',"
        f" {at} / 1000, :head, {body} FROM n",
        values,
    )
    connection.execute(
        f"INSERT INTO triggers ({_NAMES[1]}) SELECT id + 1024, id, 'orders', 'default', 'load_orders',"  # noqa: S608
        " 'planasonix__' || lower(hex(randomblob(12))), ?, 86400, 'fired', 1, received_at, received_at, received_at,"
        " received_at FROM deliveries WHERE state = 'routed'",
        (_CONF,),
    )
    if unrouted:
        connection.execute(_COMPLETIONS)
    connection.execute(
        f"INSERT INTO attempts ({_NAMES[2]}) SELECT id, 1, created_at, 0.05, 'started', 200 FROM triggers"  # noqa: S608
    )
    connection.execute("INSERT INTO dedup SELECT dedup_key, id FROM deliveries ORDER BY dedup_key")
    connection.execute("UPDATE folded SET upto = (SELECT max(id) FROM deliveries)")
    for _, statement in indexes:
        connection.execute(statement)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()


def _fill_postgresql(url: str, amount: int, pipelines: int, unrouted: int) -> None:
    start, step = _begin(amount)
    body = "%(body)s"
    if pipelines:
        number = f"lpad((i %% {pipelines})::text, 4, '0')"
        body = f"convert_to(replace(convert_from(%(body)s, 'UTF8'), '{_PIPELINE}', 'pl_' || {number}), 'UTF8')"
    at = f"({start}::bigint + i * {step}::bigint)"
    with psycopg.connect(url, autocommit=True) as connection:
        # No foreign key is looked up row by row, and nothing waits for the disk; both for this connection alone.
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '1GB'")
        indexes = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%_pkey'"
            " AND tablename IN ('deliveries', 'triggers', 'attempts', 'completions')"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
        connection.execute(
            f"INSERT INTO deliveries ({_NAMES[0]}) SELECT ({at} - {_EPOCH_MS}) << 22,"  # noqa: S608
            " decode(md5(random()::text), 'hex'),"
            f" 'planasonix', 'evt_' || left(md5(random()::text), 20), {_fates(unrouted, '%%')}, {at} * 1000,"
            f" {at} * 1000, 'current', {at} / 1000, %(head)s, {body}"
            f" FROM generate_series(0, {amount - 1}) AS i".encode(),
            {"head": _HEADERS, "body": TEMPLATE[:700]},
        )
        connection.execute(
            f"INSERT INTO triggers ({_NAMES[1]}) SELECT id + 1024, id, 'orders', 'default', 'load_orders',"  # noqa: S608
            " 'planasonix__' || left(md5(random()::text), 24), %s, 86400, 'fired', 1, received_at, received_at,"
            " received_at, received_at FROM deliveries WHERE state = 'routed'".encode(),
            (_CONF,),
        )
        if unrouted:
            connection.execute(_COMPLETIONS.encode())
        connection.execute(
            f"INSERT INTO attempts ({_NAMES[2]}) SELECT id, 1, created_at, 0.05, 'started', 200 FROM triggers".encode()  # noqa: S608
        )
        for _, statement in indexes:
            connection.execute(statement.encode())
        connection.execute("VACUUM ANALYZE")
