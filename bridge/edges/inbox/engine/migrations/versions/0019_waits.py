"""Tasks that wait for a completion, and the other ids that a completion's event names.

The release before neither reads nor writes them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Create the tables; what was received before is known by its own id and pipeline only."""
    op.create_table(
        "waits",
        sa.Column("airflow", sa.Text, primary_key=True),
        sa.Column("dag_id", sa.Text, primary_key=True),
        sa.Column("dag_run_id", sa.Text, primary_key=True),
        sa.Column("task_id", sa.Text, primary_key=True),
        sa.Column("map_index", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("try_number", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("pipeline_id", sa.Text),
        sa.Column("source", sa.Text),
        sa.Column("since", sa.BigInteger, nullable=False),
        # Deliveries from this id on are news of its pipeline.
        sa.Column("first_id", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "completion_ids",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("delivery_id", sa.BigInteger, primary_key=True, autoincrement=False),
    )
    op.create_index("completion_ids_delivery", "completion_ids", ["delivery_id"])
