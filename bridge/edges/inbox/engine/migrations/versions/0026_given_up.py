"""What was given up because the Planasonix API gave no answer, so that a person is told of it at no cost.

The condition is the reason alone: with the state, SQLite would read all that no route matched. The release before does
not read it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Add the index; it holds what has no answer (yet) and nothing else."""
    condition = sa.text("reason = 'lookup_failed'")
    op.create_index(
        "deliveries_given_up", "deliveries", ["state", "id"], sqlite_where=condition, postgresql_where=condition
    )
