"""What a person has paused, and what waits for it.

The release before knows no pauses: it starts what they hold back. What it finds put aside, it leaves there. Both
indexes hold what is paused and nothing else; their condition is the reason alone, so that a database that is asked for
it cannot take an index with all that waits.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the table, and the indexes in the order in which routing takes their tables; no row is rewritten."""
    op.create_table(
        "pauses",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("paused_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger),
    )
    for table, columns in (("deliveries", ["source", "received_at"]), ("triggers", ["airflow", "route", "due_at"])):
        condition = sa.text("reason = 'paused_by_person'")
        op.create_index(f"{table}_paused", table, columns, sqlite_where=condition, postgresql_where=condition)
