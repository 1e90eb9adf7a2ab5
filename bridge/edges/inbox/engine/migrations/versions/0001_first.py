"""The first schema: deliveries, triggers, attempts, audit.

Instants are Unix microseconds, ids grow with time (bridge/edges/inbox/engine/ids.py).
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# SQLite appends to a table by its INTEGER PRIMARY KEY only; other databases call the same thing BIGINT.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_WAITING = "state IN ('pending','held')"


def upgrade() -> None:
    """Create everything."""
    _deliveries()
    _triggers()
    _trigger_indexes()
    _records()


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("dedup_key", sa.LargeBinary, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("detail", sa.Text),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("lookups", sa.Integer, nullable=False, server_default="0"),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("signed_at", sa.BigInteger),
        sa.Column("path_pipeline_id", sa.Text),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("lookup", sa.Text),
    )
    # One event of a source is one delivery, however often it is sent and to whichever replica: see
    # shared_intake.py, and intake.py for why SQLite does the same without an index.
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("deliveries_once", "deliveries", ["dedup_key"], unique=True)
    else:
        _dedup()
    # What waits to be routed; history costs it nothing.
    _partial("deliveries_waiting", "deliveries", ["due_at"], "state = 'received'")
    # What a person looks for: everything that did not simply go its way.
    _partial("deliveries_odd", "deliveries", ["state", "id"], "state IN ('unrouted','ignored','invalid','stale')")


def _dedup() -> None:
    op.execute("CREATE TABLE dedup (dedup_key BLOB PRIMARY KEY, delivery_id INTEGER NOT NULL) WITHOUT ROWID")
    op.execute("CREATE TABLE folded (upto INTEGER NOT NULL)")
    op.execute("INSERT INTO folded VALUES (0)")


def _triggers() -> None:
    op.create_table(
        "triggers",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("delivery_id", sa.BigInteger, sa.ForeignKey("deliveries.id"), nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("airflow", sa.Text, nullable=False),
        sa.Column("dag_id", sa.Text, nullable=False),
        sa.Column("dag_run_id", sa.Text),
        sa.Column("rerun", sa.Integer, nullable=False, server_default="0"),
        sa.Column("conf", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("max_age_seconds", sa.Double, nullable=False),
        sa.Column("max_attempts", sa.Integer),
        sa.Column("concurrency", sa.Integer),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("detail", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("age_from", sa.BigInteger, nullable=False),
        sa.Column("lease_token", sa.Text),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("settled_at", sa.BigInteger),
    )


def _trigger_indexes() -> None:
    # Routing a delivery twice makes no second trigger.
    op.create_index("triggers_once", "triggers", ["delivery_id", "route", "airflow", "dag_id", "rerun"], unique=True)
    # One live trigger per DAG run: a second completion event of the same job starts nothing.
    _partial(
        "triggers_run",
        "triggers",
        ["airflow", "dag_id", "dag_run_id"],
        "state <> 'cancelled' AND dag_run_id IS NOT NULL",
        unique=True,
    )
    # What may be claimed, oldest first.
    _partial("triggers_waiting", "triggers", ["airflow", "due_at"], _WAITING)
    # Leases that may have lapsed.
    _partial("triggers_leased", "triggers", ["lease_until"], "state = 'firing'")
    # What a person looks for.
    _partial("triggers_odd", "triggers", ["state", "id"], "state IN ('held','failed','cancelled')")


def _records() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("trigger_id", sa.BigInteger, sa.ForeignKey("triggers.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("detail", sa.Text),
        sa.Column("http_status", sa.Integer),
    )
    op.create_index("attempts_trigger", "attempts", ["trigger_id"])
    op.create_table(
        "audit",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
    )


def _partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
