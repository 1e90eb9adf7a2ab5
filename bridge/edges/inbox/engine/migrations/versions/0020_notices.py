"""What was sent to whoever is notified, and whom messages do not reach.

The release before neither reads nor needs it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "notices",
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("cause", sa.Text, primary_key=True),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("gone_at", sa.BigInteger),
        sa.Column("sent_at", sa.BigInteger),
        sa.Column("title", sa.Text),  # of the message that stands; NULL: none does
        sa.Column("places", sa.Text, nullable=False),  # JSON: by place, how many and the newest
    )
    op.create_table(
        "notify_failing",
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
    )
