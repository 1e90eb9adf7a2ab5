"""Tells of the end of a DAG run: one log line and its metrics, whoever noticed it (a list, or Airflow itself)."""

from datetime import datetime

import structlog

from bridge.edges.metrics import Metrics
from bridge.words.runs import OPEN, Progress, RunState

_log = structlog.get_logger("bridge.following")


def report(look: Progress, airflow: str, metrics: Metrics, now: datetime) -> None:
    """Tell of a look that was stored; one that shows an open run says nothing."""
    if look.state in OPEN:
        return
    run = look.open
    # The end is Airflow's word, by its clock: it can be neither before the run was fired nor after now.
    ended_at = max(run.fired_at, min(look.ended_at or now, now))
    seconds = (ended_at - run.asked_at).total_seconds()
    metrics.runs.count_ended(run.route, look.state, seconds=seconds)
    say = _log.info if look.state is RunState.SUCCESS else _log.warning
    say(
        "run_ended",
        trigger_id=run.trigger_id,
        delivery_id=run.delivery_id,
        route=run.route,
        airflow=airflow,
        dag_id=run.dag_id,
        dag_run_id=run.dag_run_id,
        run_state=str(look.state),
        seconds=round(seconds, 3),
    )
