"""When each source was heard last.

The release before neither reads nor needs it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "heard",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
