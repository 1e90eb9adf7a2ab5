"""What the context of a task says, for whoever starts a load or waits for one."""

from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, Context


def cleared_after(context: Context, task: Any) -> int:
    """Return how many tries there were when a person cleared the task last: 0 if nobody did.

    Clearing sets `max_tries` to the tries so far plus the task's retries; Airflow's own sensors count the same way.
    """
    return max(int(context["ti"].max_tries) - int(task.retries or 0), 0)


def correlation(context: Context) -> dict[str, Any]:
    """Return what makes a run findable in Planasonix, and what the bridge's loop guard counts."""
    instance, run = context["ti"], context["dag_run"]
    given = run.conf.get("planasonix") if isinstance(run.conf, dict) else None
    bridge = {name: given[name] for name in ("trigger_id", "hops") if name in given} if isinstance(given, dict) else {}
    return {
        "triggered_by": "airflow",
        "dag_id": instance.dag_id,
        "task_id": instance.task_id,
        "run_id": instance.run_id,
        "dag_run_id": instance.run_id,
        "map_index": instance.map_index,
        "try_number": instance.try_number,
        **({"planasonix": bridge} if bridge else {}),
    }


def began(context: Context) -> str:
    """Return when what the DAG run is about had ended, as text: its data interval's end, else the run's own start."""
    run = context["dag_run"]
    for name in ("data_interval_end", "run_after", "start_date"):
        at = getattr(run, name, None)
        if at is not None:
            return str(at.isoformat())
    raise AirflowException("the DAG run has no instant to count from: give since")
