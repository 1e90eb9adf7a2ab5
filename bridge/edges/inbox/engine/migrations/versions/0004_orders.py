"""Orders: bulk work of a person. The release before neither reads nor writes them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "orders",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("asked", sa.LargeBinary, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("done", sa.Integer, nullable=False, server_default="0"),
        sa.Column("outcomes", sa.Text, nullable=False, server_default="{}"),
        sa.Column("placed_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
    )
    # An order that is sent twice is carried out once. Orders without a key do not collide: NULLs are distinct.
    op.create_index("orders_once", "orders", ["idempotency_key"], unique=True)
    # Who has the least done is next; orders that ended cost nothing.
    running = sa.text("state = 'running'")
    op.create_index("orders_running", "orders", ["done", "id"], sqlite_where=running, postgresql_where=running)
    # The ids still to be done, a slice a row: a slice that is done deletes its row.
    op.create_table(
        "order_parts",
        sa.Column("order_id", sa.BigInteger, sa.ForeignKey("orders.id"), primary_key=True, autoincrement=False),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("ids", sa.Text, nullable=False),
    )
