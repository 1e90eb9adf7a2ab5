"""What each event tells of, and which triggers own a DAG run id.

Code of the release before knows the table not; it never relies on more than the index that replaces `triggers_run`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LIVE = "state <> 'cancelled' AND state <> 'failed' AND dag_run_id IS NOT NULL"


def upgrade() -> None:
    """Add the table, and let go of the DAG run ids of failed triggers; no row is rewritten."""
    _completions()
    # One live trigger per DAG run. A failed one owns nothing: the next event of its completion may run.
    live = sa.text(_LIVE)
    columns = ["airflow", "dag_id", "dag_run_id"]
    op.create_index("triggers_live", "triggers", columns, unique=True, sqlite_where=live, postgresql_where=live)
    op.drop_index("triggers_run", "triggers")


def _completions() -> None:
    """One row a delivery. No foreign key: the release before removes deliveries without it."""
    op.create_table(
        "completions",
        sa.Column("delivery_id", _ID, primary_key=True, autoincrement=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("about_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("pipeline_id", sa.Text),
        sa.Column("nth", sa.Integer, nullable=False),
    )
    # Whoever routes an event of a completion holds its row 0 (bridge/edges/inbox/completions.py). Also the way from
    # the id of a job, run or backfill to its deliveries.
    columns = ["about_id", "kind", "source", "status", "nth"]
    op.create_index("completions_once", "completions", columns, unique=True)
