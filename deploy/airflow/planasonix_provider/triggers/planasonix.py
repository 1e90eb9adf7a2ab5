"""The wait of a deferred task: looks at a run until it ends, without blocking the triggerer. How often: `resting`.

Its arguments are plain JSON and hold no secret: the connection's name, not its key. Both ends are absolute, so a
restarted triggerer waits no longer. At the task's deadline it cancels the run itself: Airflow 2 fails such a task
before its own code is called again. A restart cancels nothing; a person who marks the task or clears it does
(`on_kill`, Airflow 3.3).
"""

import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from planasonix_provider.errors import PlanasonixError
from planasonix_provider.hooks.api import PlanasonixHook
from planasonix_provider.pacing import Over, Patience
from planasonix_provider.resting import Rest
from planasonix_provider.watching import Found, Sought


class PlanasonixRunTrigger(BaseTrigger):
    """Fires once: `{"run": ...}`, `{"over": "timeout"}`, `{"over": "deadline"}` or `{"error": ...}`."""

    def __init__(
        self,
        *,
        planasonix_conn_id: str,
        sought: dict[str, Any],
        poll_interval: float,
        timeout_at: float | None = None,
        deadline_at: float | None = None,
    ) -> None:
        """`sought` is what `Sought.as_arguments` gives."""
        super().__init__()
        self.planasonix_conn_id = planasonix_conn_id
        self.sought = sought
        self.poll_interval = poll_interval
        self.timeout_at = timeout_at
        self.deadline_at = deadline_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return where the class is and what it was called with."""
        names = ("planasonix_conn_id", "sought", "poll_interval", "timeout_at", "deadline_at")
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and tell how it ended."""
        hook = PlanasonixHook(self.planasonix_conn_id)
        try:
            event = await self._wait(hook)
        finally:
            await hook.close_async()
        yield TriggerEvent(event)

    async def on_kill(self) -> None:
        """Cancel the run: a person ended the task while it waited."""
        hook = PlanasonixHook(self.planasonix_conn_id)
        try:
            await self._cancel(hook)
        finally:
            await hook.close_async()

    async def _wait(self, hook: PlanasonixHook) -> dict[str, Any]:
        patience = Patience(self.poll_interval, timeout_at=self.timeout_at, deadline_at=self.deadline_at)
        sought = Sought(**self.sought)
        rest = Rest(None, sought.run_id, sought.pipeline_id)
        while True:
            try:
                found = await self._look(hook, sought)
                patience.looked()
            except PlanasonixError as error:
                try:
                    patience.failed(error)
                except PlanasonixError as final:
                    return {"error": str(final)}
            else:
                if found.is_final and found.run:
                    return {"run": found.run.as_result()}
                rest.pipeline_id = rest.pipeline_id or (found.run.pipeline_id if found.run else None)
                rest.ask = hook.ask_bridge_async if await hook.names_bridge_async() else None
            over = patience.over(time.time())
            if over is Over.DEADLINE:
                await self._cancel(hook)
            if over:
                return {"over": over.value}
            await rest.rest(patience)

    async def _look(self, hook: PlanasonixHook, sought: Sought) -> Found:
        if sought.run_id:
            run = await hook.get_run_async(sought.run_id)
            return Found(run, is_final=not run.is_active)
        return sought.among(await hook.list_runs_async(sought.pipeline_id or ""))

    async def _cancel(self, hook: PlanasonixHook) -> None:
        run_id = Sought(**self.sought).cancel_run_id
        if run_id:
            try:
                await hook.cancel_run_async(run_id)
                self.log.info("Asked for the run %s to be cancelled", run_id)
            except PlanasonixError as error:
                self.log.error("The run %s could not be cancelled: %s", run_id, error)  # noqa: TRY400 - it says all
