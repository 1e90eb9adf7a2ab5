"""What waits for its turn to be looked up, by source: the queue of one is read without reading past another's.

The condition is the reason alone, as in 0008, whose index this one replaces; the release before knows neither.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the index; it holds what waits for a look-up's turn and nothing else."""
    condition = sa.text("reason = 'lookup_queued'")
    columns = ["source", "due_at"]
    op.create_index("deliveries_queued_of", "deliveries", columns, sqlite_where=condition, postgresql_where=condition)
    op.drop_index("deliveries_queued", "deliveries")
