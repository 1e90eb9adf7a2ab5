"""What Airflow says about the DAGs that the mapping names. The release before neither reads nor writes it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the table: one row a DAG, read by every replica and by commands."""
    op.create_table(
        "dags",
        sa.Column("airflow", sa.Text, primary_key=True),
        sa.Column("dag_id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("read_at", sa.BigInteger, nullable=False),
        # How long it was known to be paused or gone, in all.
        sa.Column("away_seconds", sa.Double, nullable=False, server_default="0"),
        # Set while what was held for it is set free: the number of the last trigger that was.
        sa.Column("freed", sa.BigInteger),
        # JSON: the schemas of its params by name, and those that conf must have.
        sa.Column("params", sa.Text),
        sa.Column("params_at", sa.BigInteger),
    )
