"""When each source that may not be silent for long was heard last.

The release before neither reads nor needs it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "silences",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("after_seconds", sa.BigInteger, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("heard_at", sa.BigInteger),
        sa.Column("looked_at", sa.BigInteger, nullable=False),
    )
