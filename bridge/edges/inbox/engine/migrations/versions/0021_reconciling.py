"""What reconciling knows: the types that a source was seen to deliver, and the jobs that a person has erased.

The release before neither reads nor needs it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "seen_types",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("status", sa.Text, primary_key=True),
        sa.Column("type", sa.Text, primary_key=True),
    )
    op.create_table("erased_jobs", sa.Column("digest", sa.LargeBinary, primary_key=True))
