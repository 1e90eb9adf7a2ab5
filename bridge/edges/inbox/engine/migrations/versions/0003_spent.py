"""What a trigger has used of its limits: the time in which it was tried, and the attempts by cause.

Nullable: code of the releases before neither reads nor writes it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; no row is rewritten, and NULL means that nothing is used."""
    # JSON; it counts from `age_from` as it was then (bridge/edges/inbox/rows.py).
    op.add_column("triggers", sa.Column("spent", sa.Text))
