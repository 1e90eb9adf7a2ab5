"""Which trigger's DAG run led to a delivery, so that circles are found however long ago they began.

No foreign key: retention may remove the trigger first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column; no row is rewritten. It is read by the delivery's id alone, so it needs no index."""
    op.add_column("deliveries", sa.Column("caused_by", sa.BigInteger))
