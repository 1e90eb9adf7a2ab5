"""Who else has a DAG run id: what was stopped under it.

What a person cancelled, or what gave way to a newer one, keeps the DAG run id that its route names itself.
The release before does not read it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Add the index of stopped triggers by their DAG run id."""
    _partial(
        "triggers_stopped",
        ["airflow", "dag_id", "dag_run_id"],
        "state = 'cancelled' AND reason IN ('by_operator','superseded')",
    )


def _partial(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "triggers", columns, sqlite_where=condition, postgresql_where=condition)
