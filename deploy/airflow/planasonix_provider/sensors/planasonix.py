"""`PlanasonixRunSensor`: waits for a run that somebody else started, by its id or as the next run of a pipeline.

It starts and cancels nothing. Which runs of a pipeline count, and when the wait is over, is said in `watching`.
"""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    Context,
    PokeReturnValue,
    conf,
)

from planasonix_provider import connection_form
from planasonix_provider.errors import NotThere, PlanasonixError, Unavailable
from planasonix_provider.hooks.api import PlanasonixHook
from planasonix_provider.links import RUN_ID_KEY, RUN_URL_KEY, PlanasonixRunLink
from planasonix_provider.runs import Outcome, Run, from_result
from planasonix_provider.tasks import began
from planasonix_provider.triggers.planasonix import PlanasonixRunTrigger
from planasonix_provider.watching import Found, Sought


class PlanasonixRunSensor(BaseSensorOperator):  # type: ignore[misc, unused-ignore]
    """Succeeds when the run has succeeded; fails when it failed or was cancelled.

    Give `run_id`, or `pipeline_id` or `pipeline_name`: then the first run counts that started at `since` or later and
    succeeded. `since` (an instant with an offset) is the end of the DAG run's data interval if you give none.
    """

    template_fields: Sequence[str] = ("run_id", "pipeline_id", "pipeline_name", "since", "planasonix_conn_id")
    operator_extra_links = (PlanasonixRunLink(),)
    ui_color = "#e8f0d9"

    def __init__(
        self,
        *,
        run_id: str | None = None,
        pipeline_id: str | None = None,
        pipeline_name: str | None = None,
        since: str | None = None,
        planasonix_conn_id: str = connection_form.DEFAULT_CONNECTION,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        """Keep what was given. Raises ValueError for what cannot be meant."""
        super().__init__(**kwargs)
        if sum(item is not None for item in (run_id, pipeline_id, pipeline_name)) != 1:
            raise ValueError("give one of run_id, pipeline_id and pipeline_name")
        self.run_id = run_id
        self.pipeline_id = pipeline_id
        self.pipeline_name = pipeline_name
        self.since = since
        self.planasonix_conn_id = planasonix_conn_id
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """Wait here, or in the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        hook = PlanasonixHook(self.planasonix_conn_id)
        sought = self._sought(context, hook)
        found = self._look(hook, sought)
        if found.is_final and found.run:
            return self._judge(context, hook, found.run)
        self.defer(
            trigger=PlanasonixRunTrigger(
                planasonix_conn_id=self.planasonix_conn_id,
                sought=sought.as_arguments(),
                poll_interval=float(self.poke_interval),
                timeout_at=time.time() + self.timeout,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )
        return None

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Look once."""
        hook = PlanasonixHook(self.planasonix_conn_id)
        found = self._look(hook, self._sought(context, hook))
        if found.is_final and found.run:
            return PokeReturnValue(is_done=True, xcom_value=self._judge(context, hook, found.run))
        return False

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on after the trigger has fired."""
        if event.get("run"):
            return self._judge(context, PlanasonixHook(self.planasonix_conn_id), from_result(event["run"]))
        if event.get("over"):
            raise AirflowSensorTimeout("the time is up, and no run has succeeded")
        raise PlanasonixError(event.get("error") or "the trigger fired without a reason")

    def _sought(self, context: Context, hook: PlanasonixHook) -> Sought:
        if self.run_id:
            return Sought(run_id=self.run_id)
        pipeline_id = self.pipeline_id or hook.find_pipeline(self.pipeline_name or "")
        return Sought(pipeline_id=pipeline_id, since=self.since or began(context))

    def _look(self, hook: PlanasonixHook, sought: Sought) -> Found:
        """Look once; what may pass is nothing seen."""
        try:
            if not sought.run_id:
                return sought.among(hook.list_runs(sought.pipeline_id or ""))
            run = hook.get_run(sought.run_id)
            return Found(run, is_final=not run.is_active)
        except (Unavailable, NotThere) as error:
            self.log.warning("%s", error)
            return Found(None, is_final=False)

    def _judge(self, context: Context, hook: PlanasonixHook, run: Run) -> dict[str, Any]:
        url = hook.settings.run_url(run)
        context["ti"].xcom_push(key=RUN_ID_KEY, value=run.id)
        context["ti"].xcom_push(key=RUN_URL_KEY, value=url)
        if run.outcome is Outcome.SUCCEEDED:
            return run.as_result() | {"url": url}
        if run.outcome is Outcome.SKIPPED:
            raise AirflowSkipException(f"Planasonix skipped the run {run.id}")
        raise AirflowException(f"the run {run.id} ended as {run.status}: {run.error or 'no error was given'}")
