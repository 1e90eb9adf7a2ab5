"""Runs of Planasonix whose task waits no longer, until it is known whether to cancel them; whose run a wait is for.

The release before neither reads nor writes them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Create the table; of the waits that are there nobody knows who has started their run."""
    op.create_table(
        "abandoned",
        sa.Column("airflow", sa.Text, primary_key=True),
        sa.Column("dag_id", sa.Text, primary_key=True),
        sa.Column("dag_run_id", sa.Text, primary_key=True),
        sa.Column("task_id", sa.Text, primary_key=True),
        sa.Column("map_index", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("try_number", sa.Integer, nullable=False),
        sa.Column("pipeline_id", sa.Text),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("gone_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("looks", sa.Integer, nullable=False),
        sa.Column("asked", sa.Integer, nullable=False),
    )
    op.create_index("abandoned_due", "abandoned", ["airflow", "due_at"])
    op.create_index("waits_run", "waits", ["run_id"])
    op.add_column("waits", sa.Column("is_own", sa.Integer, nullable=False, server_default="0"))
