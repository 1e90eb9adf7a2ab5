"""What is held for a DAG: for which change it waits, until when, and which newer trigger takes its place.

Nullable or with a default: code of the release before neither reads nor writes it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_AWAY = "state = 'held' AND awaits IS NOT NULL"


def upgrade() -> None:
    """Add the columns and the indexes of them; no row is rewritten."""
    for column in (
        sa.Column("if_paused", sa.Text),  # NULL: trigger
        sa.Column("hold_seconds", sa.Double),  # NULL: the default
        sa.Column("series", sa.LargeBinary),  # of those of which the latest is fired; NULL: all are
        sa.Column("series_at", sa.BigInteger),
        sa.Column("awaits", sa.Text),  # while it is held for its DAG: `there`, `unpaused` or `newer`
        sa.Column("hold_step_at", sa.Double),  # when its next step is, by the clock of its DAG
        sa.Column("hold_step", sa.SmallInteger, nullable=False, server_default="0"),  # 1: warned of, 2: over
    ):
        op.add_column("triggers", column)
    # What goes on when a DAG is back, oldest first.
    _partial("triggers_away", ["airflow", "dag_id", "awaits", "id"], _AWAY)
    # What was held for long enough.
    _partial("triggers_hold_steps", ["airflow", "hold_step", "dag_id", "hold_step_at"], _AWAY)
    # Whether a newer one stands.
    standing = "series IS NOT NULL AND state <> 'cancelled' AND state <> 'failed'"
    _partial("triggers_series", ["series", "series_at", "id"], standing)


def _partial(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "triggers", columns, sqlite_where=condition, postgresql_where=condition)
