"""When a trigger is too late, and whether a call of it may have started its DAG run.

Everything may be NULL: code of the schema before neither reads nor writes it, and its triggers are never too late.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the columns and the index; no row is rewritten."""
    op.add_column("triggers", sa.Column("deadline_seconds", sa.Double))
    op.add_column("triggers", sa.Column("late_at", sa.BigInteger))
    op.add_column("triggers", sa.Column("doubted_at", sa.BigInteger))
    # What can be too late one day, and is in no doubt.
    condition = sa.text("state IN ('pending','held') AND late_at IS NOT NULL AND doubted_at IS NULL")
    op.create_index("triggers_late", "triggers", ["late_at"], sqlite_where=condition, postgresql_where=condition)
