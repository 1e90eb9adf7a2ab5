"""The deliveries that tell of one pipeline are found at once, newest first.

The release before neither reads nor needs it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the index; no row is rewritten."""
    condition = sa.text("pipeline_id IS NOT NULL")
    columns = ["pipeline_id", "delivery_id"]
    op.create_index("completions_pipeline", "completions", columns, sqlite_where=condition, postgresql_where=condition)
