"""What waits, by Airflow and route: what is held, or of a full route, is passed over without being read.

Two indexes and not one with the state in it: with `state IN (...)` as its condition, SQLite steps through every state.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the indexes; they hold what waits and nothing else."""
    for state in ("pending", "held"):
        condition = sa.text(f"state = '{state}'")
        columns = ["airflow", "route", "due_at"]
        op.create_index(f"triggers_{state}", "triggers", columns, sqlite_where=condition, postgresql_where=condition)
