"""The audit log is read by time and by person, a page at a time."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add both indexes; no row is rewritten."""
    op.create_index("audit_at", "audit", ["at", "id"])
    op.create_index("audit_actor", "audit", ["actor", "at", "id"])
