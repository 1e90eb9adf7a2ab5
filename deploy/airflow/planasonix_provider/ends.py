"""How the end of a run ends its task: with its result, skipped, failed for good, or failed so that a retry helps."""

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException

from planasonix_provider.runs import Outcome, Run


class PlanasonixRunFailed(AirflowException):  # type: ignore[misc, unused-ignore]
    """The run failed; Airflow's retries start another one."""


class PlanasonixTimeout(AirflowException):  # type: ignore[misc, unused-ignore]
    """The run takes longer than the task waits; it goes on, and a retry waits on for it."""


def judge(run: Run) -> None:
    """Return if the run has succeeded; raises what Airflow expects of any other end."""
    match run.outcome:
        case Outcome.SUCCEEDED:
            return
        case Outcome.SKIPPED:
            raise AirflowSkipException(f"Planasonix skipped the run {run.id}")
        case Outcome.CANCELLED:  # somebody wanted it to end: a retry would start it again
            raise AirflowFailException(f"the run {run.id} was cancelled in Planasonix")
    raise PlanasonixRunFailed(f"the run {run.id} ended as {run.status}: {run.error or 'no error was given'}")
