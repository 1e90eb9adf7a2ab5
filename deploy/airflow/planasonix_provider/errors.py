"""What may go wrong between Airflow and Planasonix.

    PlanasonixError          (an AirflowException: the task fails, and Airflow's retries apply)
      Unavailable            nothing was done; the same call may work later (429, 503, no connection)
      InDoubt                the call may have been carried out, and its answer is lost
      Rejected               Planasonix will answer the same call the same way
        KeyRefused           401, 403
        NotThere             404
        AlreadyRunning       409: names the run that is there, if the answer does

No message holds a key, a header, or more of an answer than the code and the message that the API documents.
"""

from airflow.providers.common.compat.sdk import AirflowException


class PlanasonixError(AirflowException):
    """The base of all."""


class Unavailable(PlanasonixError):
    """Planasonix is busy or away, and nothing was done."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        """`retry_after_seconds` is what the answer asked for."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class InDoubt(PlanasonixError):
    """The call was sent and its answer is lost: it may have been carried out."""

    retry_after_seconds: float | None = None  # as of `Unavailable`; a lost answer asks for nothing


class Rejected(PlanasonixError):
    """Planasonix does not accept the call; sending it again changes nothing."""


class KeyRefused(Rejected):
    """The connection's key is wrong, expired or lacks a scope."""


class NotThere(Rejected):
    """Planasonix knows no such run or pipeline."""


class AlreadyRunning(Rejected):
    """The pipeline is running already, or the run has ended already."""

    def __init__(self, message: str, *, run_id: str | None = None) -> None:
        """`run_id` is the run that is there."""
        super().__init__(message)
        self.run_id = run_id
