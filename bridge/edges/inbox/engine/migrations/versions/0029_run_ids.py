"""Who else has a DAG run id: what was stopped under it, and what was not started for it.

What a person cancelled, or what gave way to a newer one, keeps the DAG run id that its route names itself. What was
taken for a copy of it, and tells of another completion, is shown for a day. The release before reads neither index.
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Add the indexes: of stopped triggers by their DAG run id, and of copies under a route's own id by their age."""
    _partial(
        "triggers_stopped",
        ["airflow", "dag_id", "dag_run_id"],
        "state = 'cancelled' AND reason IN ('by_operator','superseded')",
    )
    _partial(
        "triggers_repeated",
        ["settled_at"],
        "reason = 'duplicate_run' AND SUBSTR(dag_run_id, 1, 12) <> 'planasonix__'",
    )


def _partial(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "triggers", columns, sqlite_where=condition, postgresql_where=condition)
