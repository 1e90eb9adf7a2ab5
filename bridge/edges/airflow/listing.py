"""What is asked of Airflow to follow DAG runs, and what its answers mean. Pure.

One request lists the runs of any number of DAGs that were made in a stretch of time; Airflow filters by no list of ids.
`POST /dags/~/dagRuns/list` takes a page of any size (only the GET is capped at 100).
"""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from bridge.edges.airflow.versions import VERSIONS
from bridge.edges.airflow.wire import Answer, instant, made_at
from bridge.words.runs import RunPage, RunSeen

LIST = ("dags", "~", "dagRuns", "list")
_NO_RUN = re.compile(r"dag.?run\b.*not found", re.IGNORECASE | re.DOTALL)


def question(
    version: str, *, dag_ids: Collection[str], since: datetime, until: datetime, limit: int, offset: int = 0
) -> dict[str, Any]:
    """Return the body that asks for the runs of these DAGs made from `since` to `until`, both included.

    `offset`: how many of them, in the order in which they were made, are left out.
    """
    field = VERSIONS[version].created_field
    return ({"page_offset": offset} if offset else {}) | {
        "dag_ids": sorted(dag_ids),
        f"{field}_gte": since.isoformat(),
        f"{field}_lte": until.isoformat(),
        "order_by": "id",  # the one word that every version takes
        "page_limit": limit,
    }


def page(answer: Answer, *, limit: int) -> RunPage | None:
    """Return the listed runs; None when the answer is no such list."""
    listed = answer.object().get("dag_runs")
    if not isinstance(listed, list):
        return None
    runs = tuple(run for item in listed if (run := seen(item)) is not None)
    given = answer.object().get("total_entries")
    total = given if isinstance(given, int) else None
    is_whole = len(listed) < limit and not (total is not None and total > len(listed))
    return RunPage(runs, is_whole, listed=len(listed), total=total)


def seen(item: Any) -> RunSeen | None:
    """Read one DAG run leniently; None if it has no ids or no state."""
    if not isinstance(item, Mapping):
        return None
    dag_id, run_id, state = (item.get(name) for name in ("dag_id", "dag_run_id", "state"))
    if not isinstance(dag_id, str) or not isinstance(run_id, str) or not isinstance(state, str):
        return None
    return RunSeen(
        dag_id=dag_id,
        dag_run_id=run_id,
        state=state,
        run_after=made_at(item),
        started_at=instant(item.get("start_date")),
        ended_at=instant(item.get("end_date")),
        conf=conf if isinstance(conf := item.get("conf"), Mapping) else {},
        triggered_by=by if isinstance(by := item.get("triggered_by"), str) else None,
    )


def is_gone(answer: Answer) -> bool:
    """Whether a 404 says that there is no such run, and not that the URL or the version is wrong."""
    body = answer.object()
    words = " ".join(str(body.get(name, "")) for name in ("title", "detail"))
    return answer.status == 404 and answer.is_json and _NO_RUN.search(words) is not None
