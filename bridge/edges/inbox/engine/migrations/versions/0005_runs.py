"""What became of DAG runs, and leases of duties that one replica at a time does.

Everything may be NULL: code of the schema before neither reads nor writes it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns, the indexes of them and the table; no row is rewritten."""
    # 0: the route does not follow its runs. NULL, as the release before stores: it does.
    op.add_column("triggers", sa.Column("follow", sa.SmallInteger))
    op.add_column("triggers", sa.Column("run_state", sa.Text))
    op.add_column("triggers", sa.Column("run_after", sa.BigInteger))
    op.add_column("triggers", sa.Column("run_started_at", sa.BigInteger))
    op.add_column("triggers", sa.Column("run_ended_at", sa.BigInteger))
    # When to look at the run again; NULL: it has ended, or nobody follows it.
    op.add_column("triggers", sa.Column("run_due_at", sa.BigInteger))
    # Runs that are followed, the longest due first; those that have ended cost it nothing.
    _partial("triggers_open", ["airflow", "run_due_at"], "state = 'fired' AND run_due_at IS NOT NULL")
    # What a person looks for.
    _partial("triggers_run_odd", ["run_state", "id"], "run_state IN ('failed','deleted','unknown')")
    op.create_table(
        "duties",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("token", sa.Text),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
    )


def _partial(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "triggers", columns, sqlite_where=condition, postgresql_where=condition)
