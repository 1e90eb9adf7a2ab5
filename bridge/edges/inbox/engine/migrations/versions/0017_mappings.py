"""The last good content of each mapping file. The release before neither reads nor writes it."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "mappings",
        sa.Column("file", sa.Text, primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("loaded_at", sa.BigInteger, nullable=False),
    )
