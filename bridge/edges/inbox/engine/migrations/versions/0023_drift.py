"""How each source spells its bodies, as far as it was learned, and what of it has changed.

The release before neither reads nor needs it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "shapes",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("known", sa.Text, nullable=False),  # JSON, see bridge.rules.drift
    )
    op.create_table(
        "drifts",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("about", sa.Text, primary_key=True),
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("delivery_id", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
