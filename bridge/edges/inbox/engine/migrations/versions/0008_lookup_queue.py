"""What waits for its turn to be looked up is found by itself, in the order of waiting.

The condition is the reason alone, which only a `received` delivery has: whoever does not ask for the state cannot be
given `deliveries_waiting`, where what is due sooner would be read first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the index; it holds what waits for a look-up's turn and nothing else."""
    condition = sa.text("reason = 'lookup_queued'")
    op.create_index("deliveries_queued", "deliveries", ["due_at"], sqlite_where=condition, postgresql_where=condition)
