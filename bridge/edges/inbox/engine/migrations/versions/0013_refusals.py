"""What was refused at the door, and copies: a ring of the newest of each kind."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "refusals",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("nth", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("sender", sa.Text),
        sa.Column("keys", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text),
        sa.Column("delivery_id", sa.BigInteger),
    )
