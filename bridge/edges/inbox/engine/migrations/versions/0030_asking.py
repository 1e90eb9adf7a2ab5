"""When a type was last seen, and how often the Planasonix API said that it does not know a job.

The release before reads neither, and writes neither: a type that only it has seen is believed until this one sees it.
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Add the columns; what was seen before counts as seen now."""
    op.add_column("seen_types", sa.Column("last_seen_at", sa.BigInteger))
    now = sa.bindparam("now", time.time_ns() // 1000, sa.BigInteger)
    op.execute(sa.text("UPDATE seen_types SET last_seen_at = :now").bindparams(now))
    op.add_column("deliveries", sa.Column("not_found", sa.Integer, nullable=False, server_default="0"))
