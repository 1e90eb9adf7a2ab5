"""What a wait is for: a run that is known, or the next run of a pipeline that somebody else starts. Pure.

Of a pipeline's runs those count that started at `since` or later. It is over as soon as one of them succeeded, or when
the newest ended otherwise and none goes on: then somebody has to look.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from planasonix_provider.runs import Outcome, Run, instant


@dataclass(frozen=True, slots=True)
class Found:
    """The run that a look found, and whether it answers the question."""

    run: Run | None
    is_final: bool


@dataclass(frozen=True, slots=True)
class Sought:
    """A run by its id; or runs of a pipeline since an instant (text, so that it is plain JSON)."""

    run_id: str | None = None
    pipeline_id: str | None = None
    since: str | None = None
    is_ours: bool = False  # started by the task that waits, which may cancel it

    @property
    def cancel_run_id(self) -> str | None:
        """The run that ends with the task; never somebody else's."""
        return self.run_id if self.is_ours else None

    def as_arguments(self) -> dict[str, Any]:
        """Return what makes it again: plain JSON."""
        return asdict(self)

    def among(self, runs: Sequence[Run]) -> Found:
        """Judge the runs of the pipeline."""
        since = instant(self.since)
        later = [(at, run) for run in runs if (at := instant(run.started_at)) and (since is None or at >= since)]
        later.sort(key=_started)
        good = [run for _, run in later if run.outcome is Outcome.SUCCEEDED]
        if good:
            return Found(good[0], is_final=True)
        if not later:
            return Found(None, is_final=False)
        return Found(later[-1][1], is_final=not any(run.is_active for _, run in later))


def _started(row: tuple[datetime, Run]) -> datetime:
    return row[0]
