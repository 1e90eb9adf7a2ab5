"""Starts a load once, however often its task is tried, killed or cleared.

1. A load has a key: DAG, DAG run, task, map index, pipeline, environment, and how many tries there were when a person
   cleared the task last. So a retry has the key of the try before, and a clear asks for another load.
2. A run that ended badly uses its key up; the next one has the next number behind it. There can be no more such runs
   than tries before this one, so the numbers end there.
3. On a retry, and after an answer that was lost, the pipeline's runs are looked through for the key. That helps where
   the API shows it; where it honours the key instead, the start itself finds the run.
4. `409`, already running: the run that the answer names is taken.

Where Planasonix neither honours nor shows a key, a lost answer or a killed worker can mean a second load; so after
lost answers a start is sent once more and not again and again. Airflow 3.3 also remembers the run's id by itself (the
operator's `external_id_key`).
"""

import hashlib
import json
import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from planasonix_provider.errors import AlreadyRunning, InDoubt, PlanasonixError, Rejected, Unavailable
from planasonix_provider.hooks.api import PlanasonixHook
from planasonix_provider.pacing import next_wait
from planasonix_provider.runs import Outcome, Run

_MAX_TRIES = 5
_MAX_LOST = 2  # starts whose answer was lost: each may be a load
_BACK_OFF_SECONDS = 2.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Load:
    """What a task asks for. `tries_before` counts its tries since it was cleared last, without this one."""

    pipeline_id: str
    body: Mapping[str, Any]
    key: str
    tries_before: int = 0
    back_off_seconds: float = _BACK_OFF_SECONDS

    def numbered(self, number: int) -> str:
        """Return the key of the run that follows `number - 1` bad ones."""
        return f"{self.key}-{number}"

    def body_with(self, number: int) -> dict[str, Any]:
        """Return the body; its metadata carry the key, for whoever looks through the runs."""
        metadata = self.body.get("metadata")
        more = {"metadata": dict(metadata) | {"idempotency_key": self.numbered(number)}} if metadata else {}
        return dict(self.body) | more

    def number_of(self, run: Run) -> int | None:
        """Return which of this load's runs it is; None for a stranger's."""
        found = [key.removeprefix(f"{self.key}-") for key in run.keys if key.startswith(f"{self.key}-")]
        return next((int(number) for number in found if number.isascii() and number.isdigit()), None)


def load_key(*parts: str | int | None) -> str:
    """Return a key made of what names a load; short, and free of what the ids may hold."""
    return f"airflow-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"


def start(hook: PlanasonixHook, load: Load) -> Run:
    """Start the load, or find the run that it has already. Raises PlanasonixError."""
    first, found = _known(hook, load) if load.tries_before else (1, None)
    if found:
        _log.info("Attached to the run %s, which an earlier try started", found.id)
        return replace(found, is_ours=True)
    last = max(first, load.tries_before + 1)
    for number in range(first, last):
        run = _now(hook, _start(hook, load, number))
        if not _ended_badly(run):
            return run
    return _now(hook, _start(hook, load, last))


def _start(hook: PlanasonixHook, load: Load, number: int) -> Run:
    failures = lost = 0
    while True:
        try:
            run = hook.start_run(load.pipeline_id, load.body_with(number), key=load.numbered(number))
            return replace(run, is_ours=True)
        except AlreadyRunning as error:
            if error.run_id is None:
                raise
            _log.warning("%s is running already: waiting for the run %s instead", load.pipeline_id, error.run_id)
            return Run(id=error.run_id)
        except (Unavailable, InDoubt) as error:
            failures += 1
            lost += isinstance(error, InDoubt)
            if failures >= _MAX_TRIES or lost >= _MAX_LOST:
                raise
            share = random.random()  # noqa: S311 - jitter
            wait = next_wait(load.back_off_seconds, failures=failures, wish=error.retry_after_seconds, share=share)
            _log.warning("%s; trying again in %.0f s under the same key", error, wait)
            time.sleep(wait)
            found = _known(hook, load)[1] if isinstance(error, InDoubt) else None
            if found:
                return replace(found, is_ours=True)


def _known(hook: PlanasonixHook, load: Load) -> tuple[int, Run | None]:
    """Return the first number that is free, and the load's run that goes on or succeeded; as far as keys are shown."""
    try:
        runs = hook.list_runs(load.pipeline_id)
    except Rejected as error:  # a key may be allowed to start runs and not to list them
        _log.info("The pipeline's runs cannot be listed: %s", error)
        return 1, None
    ours = [(number, run) for run in runs if (number := load.number_of(run))]
    good = [run for _, run in ours if not _ended_badly(run)]
    return max((number for number, _ in ours), default=0) + 1, good[0] if good else None


def _now(hook: PlanasonixHook, run: Run) -> Run:
    """Return the run as it stands: the answer to a start may be that of the first time."""
    try:
        return replace(hook.get_run(run.id), is_ours=run.is_ours)
    except PlanasonixError as error:
        _log.info("%s was started, and cannot be looked at yet: %s", run.id, error)
        return run


def _ended_badly(run: Run) -> bool:
    return not run.is_active and run.outcome is not Outcome.SUCCEEDED
