"""`PlanasonixRunPipelineOperator`: runs a pipeline of Planasonix, and waits for it.

1. Start the load, or find the run that an earlier try of the task has started (`starting`).
2. Put the run's id and address into XCom, before any waiting: the link works, and a person can look.
3. Wait, in one of three ways; `execute` takes the first that is asked for and possible:
     parked       nobody waits: the bridge wakes the task when the webhook comes; Airflow 3.3 and newer (`parking`)
     deferrable   a trigger waits; no slot, any Airflow with a triggerer; so does `parked` before Airflow 3.3
     blocking     a worker slot waits; Airflow 3.3 remembers the run's id over a crash (`ResumableJobMixin`)
4. Judge the end: the result to XCom, or the exception by which Airflow retries, fails for good, or skips.

`timeout` ends the task and leaves the run alone, so a retry waits on. `execution_timeout`, and a person who ends the
task, cancel the run. No key of a connection is in a template field, in XCom, or in the trigger's arguments.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, Context, ResumableJobMixin, conf

from planasonix_provider import connection_form, parking
from planasonix_provider.ends import PlanasonixTimeout, judge
from planasonix_provider.errors import AlreadyRunning, NotThere, PlanasonixError, Rejected, Unavailable
from planasonix_provider.hooks.api import PlanasonixHook
from planasonix_provider.links import RUN_ID_KEY, RUN_URL_KEY, STARTED_KEY, PlanasonixRunLink
from planasonix_provider.pacing import Over, Patience
from planasonix_provider.runs import Outcome, Run, from_result
from planasonix_provider.starting import Load, load_key, start
from planasonix_provider.tasks import cleared_after, correlation
from planasonix_provider.triggers.planasonix import PlanasonixRunTrigger
from planasonix_provider.watching import Sought


class PlanasonixRunPipelineOperator(ResumableJobMixin, BaseOperator):  # type: ignore[misc, unused-ignore]
    """Runs a pipeline, and waits for its end unless `wait_for_completion` is false.

    Give `pipeline_id` or `pipeline_name`. `environment` defaults to the connection's; `parameters` become the run's
    variables. `timeout` is in seconds or a timedelta. `idempotency_key` replaces the key that is made of DAG, run, task
    and map index: two tasks with one key mean one load. `metadata=False` sends no correlation (DAG, task, run, try).
    """

    template_fields: Sequence[str] = (
        "pipeline_id",
        "pipeline_name",
        "environment",
        "parameters",
        "idempotency_key",
        "planasonix_conn_id",
    )
    template_fields_renderers = {"parameters": "json"}  # noqa: RUF012 - as Airflow declares it
    operator_extra_links = (PlanasonixRunLink(),)
    ui_color = "#d9e8f5"

    def __init__(
        self,
        *,
        pipeline_id: str | None = None,
        pipeline_name: str | None = None,
        environment: str | None = None,
        parameters: dict[str, Any] | None = None,
        wait_for_completion: bool = True,
        timeout: float | timedelta | None = None,
        poll_interval: float = 30.0,
        planasonix_conn_id: str = connection_form.DEFAULT_CONNECTION,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        parked: bool = conf.getboolean("planasonix_bridge", "parked", fallback=False),
        idempotency_key: str | None = None,
        metadata: bool = True,
        **kwargs: Any,
    ) -> None:
        """Keep what was given. Raises ValueError for what cannot be meant."""
        super().__init__(**kwargs)
        if (pipeline_id is None) == (pipeline_name is None):
            raise ValueError("give pipeline_id or pipeline_name, and not both")
        if poll_interval <= 0:
            raise ValueError("poll_interval must be more than 0 seconds")
        self.pipeline_id = pipeline_id
        self.pipeline_name = pipeline_name
        self.environment = environment
        self.parameters = parameters
        self.wait_for_completion = wait_for_completion
        self.timeout = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        self.poll_interval = poll_interval
        self.planasonix_conn_id = planasonix_conn_id
        self.deferrable = deferrable
        self.parked = parked
        self.idempotency_key = idempotency_key
        self.metadata = metadata
        self._run_id: str | None = None

    def execute(self, context: Context) -> Any:
        """Start the load and wait. Raises what Airflow expects."""
        now = time.time()
        self._timeout_at = None if self.timeout is None else now + self.timeout
        self.external_id_key = f"planasonix_run_id_{cleared_after(context, self)}"
        self._store_keys = (self.external_id_key, f"{self.external_id_key}_started")
        try:
            if not self.wait_for_completion:
                return self._result(self._attach_or_start(context))
            if self.parked or self.deferrable:
                return self._without_a_slot(context, now)
            return self.execute_resumable(context)
        except AlreadyRunning:
            raise  # the run that is there will end
        except Rejected as error:
            if self._run_id is None:  # nothing runs, and nothing will
                raise AirflowFailException(str(error)) from error
            raise

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on after the trigger has fired."""
        self._run_id = context["ti"].xcom_pull(
            task_ids=self.task_id, key=RUN_ID_KEY, map_indexes=context["ti"].map_index
        )
        if event.get("run"):
            return self._judge(from_result(event["run"]))
        if event.get("over"):
            self._give_up(Over(event["over"]))
        raise PlanasonixError(event.get("error") or "the trigger fired without a reason")

    def execute_answered(self, context: Context, event: dict[str, Any], **wait: Any) -> Any:
        """Go on after a parked wait was answered: by the bridge, by a person, or since the time is up."""
        instance, stay = context["ti"], parking.Stay(**wait)
        self._run_id = str(instance.xcom_pull(task_ids=self.task_id, key=RUN_ID_KEY, map_indexes=instance.map_index))
        answer = parking.read(event, self._run_id)
        self.log.info("Woken (%s)", answer.by)
        if answer.run:
            return self._judge(answer.run)
        try:
            run = self._hook.get_run(self._run_id)
        except Unavailable as error:
            self.log.warning("%s", error)
            run = Run(id=self._run_id)
        if not run.is_active:
            return self._judge(run)
        if over := stay.over(time.time()):
            self._give_up(over)
        return self._park(context, run, stay.longer())

    def on_kill(self) -> None:
        """Cancel the run: the task is being ended from outside."""
        if self._run_id:
            try:  # with a client of its own: this interrupts whatever the task was doing
                PlanasonixHook(self.planasonix_conn_id).cancel_run(self._run_id)
                self.log.info("Asked for the run %s to be cancelled", self._run_id)
            except PlanasonixError as error:
                self.log.error("The run %s could not be cancelled: %s", self._run_id, error)  # noqa: TRY400

    # What ResumableJobMixin asks for.

    def submit_job(self, context: Context) -> str:
        """Start the load, or find it; return the run's id."""
        return self._start(context).id

    def get_job_status(self, external_id: Any, context: Context) -> str:
        """Return how the run stands that Airflow remembers; one that is gone counts as failed."""
        run = self._remembered(str(external_id), context)
        return run.outcome.value if run else Outcome.FAILED.value

    def is_job_active(self, status: str) -> bool:
        """Whether the run goes on."""
        return status == Outcome.ACTIVE

    def is_job_succeeded(self, status: str) -> bool:
        """Whether the run succeeded."""
        return status == Outcome.SUCCEEDED

    def poll_until_complete(self, external_id: Any, context: Context) -> Any:  # noqa: ARG002 - theirs
        """Look at the run until it ends, and judge the end."""
        patience = Patience(self.poll_interval, timeout_at=self._timeout_at)
        while True:
            try:
                run = self._hook.get_run(str(external_id))
                patience.looked()
            except PlanasonixError as error:
                patience.failed(error)
                self.log.warning("%s", error)
            else:
                if not run.is_active:
                    return self._judge(run)
            over = patience.over(time.time())
            if over:
                self._give_up(over)
            time.sleep(patience.wait(time.time(), random.random()))  # noqa: S311 - jitter

    def get_job_result(self, external_id: Any, context: Context) -> Any:  # noqa: ARG002 - theirs
        """Return the result of a run that succeeded."""
        return self._judge(self._hook.get_run(str(external_id)))

    @property
    def _hook(self) -> PlanasonixHook:
        if getattr(self, "_hook_in_use", None) is None:
            self._hook_in_use = PlanasonixHook(self.planasonix_conn_id)
        return self._hook_in_use

    def _attach_or_start(self, context: Context) -> Run:
        """Do what `execute_resumable` does before it waits."""
        store = context.get("task_state_store")
        known, started = (store.get(key) if store else None for key in self._store_keys)
        run = self._remembered(str(known), context, is_ours=known == started) if known else None
        if run is None or run.outcome not in {Outcome.ACTIVE, Outcome.SUCCEEDED}:
            run = self._start(context)
            for key in self._store_keys[: 1 + run.is_ours] if store else ():
                store.set(key, run.id)
        return run

    def _start(self, context: Context) -> Run:
        run = start(self._hook, self._load(context))
        self._announce(context, run)
        return run

    def _remembered(self, run_id: str, context: Context, *, is_ours: bool = False) -> Run | None:
        try:
            run = self._hook.get_run(run_id)
        except NotThere:
            return None
        except Unavailable:
            run = Run(id=run_id)  # the wait looks at it again
        run = replace(run, is_ours=is_ours)
        self._announce(context, run)
        return run

    def _without_a_slot(self, context: Context, now: float) -> Any:
        run = self._attach_or_start(context)
        if not run.is_active:
            return self._judge(run)
        if not self.parked or not parking.is_possible():
            return self._defer(run, now)
        return self._park(context, run, parking.Stay(self._timeout_at, self._deadline_at(now)))

    def _deadline_at(self, now: float) -> float | None:
        return None if self.execution_timeout is None else now + self.execution_timeout.total_seconds()

    def _park(self, context: Context, run: Run, stay: parking.Stay) -> NoReturn:
        pipeline_id = run.pipeline_id or self.pipeline_id
        about = parking.subject(run.id, pipeline_id, self._hook.settings.bridge_source, is_ours=run.is_ours)
        parking.park(context["ti"], about, stay, method_name="execute_answered", now=time.time())

    def _defer(self, run: Run, now: float) -> NoReturn:
        self.defer(
            trigger=PlanasonixRunTrigger(
                planasonix_conn_id=self.planasonix_conn_id,
                sought=Sought(run_id=run.id, is_ours=True).as_arguments(),
                poll_interval=self.poll_interval,
                timeout_at=self._timeout_at,
                deadline_at=self._deadline_at(now),
            ),
            method_name="execute_complete",
        )
        raise AssertionError("defer() does not return")

    def _load(self, context: Context) -> Load:
        hook, instance = self._hook, context["ti"]
        pipeline_id = self.pipeline_id or hook.find_pipeline(self.pipeline_name or "")
        environment = self.environment or hook.settings.environment
        cleared = cleared_after(context, self)
        names = (instance.dag_id, instance.run_id, instance.task_id, instance.map_index)
        body = {
            "variables": self.parameters or {},
            "environmentId": environment,
            "agentPool": hook.settings.agent_pool,
            "metadata": correlation(context) if self.metadata else None,
        }
        return Load(
            pipeline_id=pipeline_id,
            body={name: value for name, value in body.items() if value is not None},
            key=self.idempotency_key or load_key(*names, pipeline_id, environment, cleared),
            tries_before=max(instance.try_number - 1 - cleared, 0),
            back_off_seconds=min(2.0, self.poll_interval),
        )

    def _announce(self, context: Context, run: Run) -> None:
        self._run_id = run.id
        url = self._hook.settings.run_url(run)
        context["ti"].xcom_push(key=RUN_ID_KEY, value=run.id)
        if run.is_ours:
            context["ti"].xcom_push(key=STARTED_KEY, value=run.id)
        context["ti"].xcom_push(key=RUN_URL_KEY, value=url)
        self.log.info("The run is %s: %s", run.id, url)

    def _judge(self, run: Run) -> dict[str, Any]:
        judge(run)
        return self._result(run)

    def _result(self, run: Run) -> dict[str, Any]:
        return run.as_result() | {"url": self._hook.settings.run_url(run)}

    def _give_up(self, over: Over) -> NoReturn:
        if over is Over.DEADLINE:
            self.on_kill()
            raise PlanasonixTimeout(f"execution_timeout is over; the run {self._run_id} was cancelled")
        raise PlanasonixTimeout(f"timeout is over; the run {self._run_id} goes on, and a retry waits for it")
