"""What nobody understood, and what came too late, are read at the cost of their own number.

So a day's flood of what is ignored on purpose hides neither, and a look at what needs a person reads none of it. The
release before reads neither index.
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Add the indexes, of deliveries by when they were judged so and of triggers by when they were given up."""
    _partial(
        "deliveries_misunderstood", "deliveries", ["reason", "due_at"], "reason IN ('same_event','status_unknown')"
    )
    _partial("triggers_too_late", "triggers", ["settled_at"], "reason = 'too_late'")


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
