"""Which keys the values of a row are encrypted with, and which deliveries were erased.

All nullable: code of the first schema neither reads nor writes them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; no row is rewritten."""
    # Key ids, comma-separated, `-` for values that are plain; NULL: everything is plain (bridge/edges/inbox/vault.py).
    for table in ("deliveries", "triggers", "attempts"):
        op.add_column(table, sa.Column("sealed_with", sa.Text))
    op.add_column("deliveries", sa.Column("erased_at", sa.BigInteger))
