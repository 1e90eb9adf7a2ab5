"""Tasks that wait for a completion, in numbers."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from bridge.edges.metrics.making import Making, create
from bridge.words.waits import OpenWaits

_OF_THE_STORE = " Of the store."
ASKED = ("answered", "failed")
# answered: with how the run ended. look: told to ask Planasonix. gone: it waited no longer. refused: Airflow had an
# answer before, or knows no such request.
OUTCOMES = ("answered", "look", "gone", "refused")
# cancelled: in Planasonix. ended: it had ended. waited_for: by another task. left_alone: its task was answered, marked
# as success or deleted. not_there: Planasonix does not know it. given_up: not decided by a day of looks.
ABANDONED = ("cancelled", "ended", "waited_for", "left_alone", "not_there", "given_up")


class WaitMetrics:
    """The metrics of waking."""

    def __init__(self, making: Making, airflows: Collection[str]) -> None:
        """Create every child that the configuration determines."""
        self._airflows = tuple(airflows)
        self.open = making.gauge("open_waits", "Tasks that are parked until a completion." + _OF_THE_STORE, "airflow")
        self.oldest_seconds = making.gauge(
            "oldest_open_wait_seconds", "Age of the oldest of them." + _OF_THE_STORE, "airflow"
        )
        self.overdue = making.gauge(
            "overdue_waits",
            "Tasks that still wait although the end of their run is known, at the last look.",
            "airflow",
        )
        self.ended = making.counter("waits_total", "Waits by how they ended here.", "airflow", "outcome")
        self.requests = making.counter(
            "wait_requests_total", "Questions to Airflow about tasks that wait.", "airflow", "outcome"
        )
        self.answered_seconds = making.histogram(
            "wait_answered_seconds",
            "From a webhook's receipt, or the task's parking if that was later, to Airflow's yes to the answer.",
        )
        create(self.open, self._airflows)
        create(self.oldest_seconds, self._airflows)
        create(self.overdue, self._airflows)
        create(self.ended, self._airflows, OUTCOMES)
        self.undecided = making.gauge(
            "undecided_abandoned_runs",
            "Runs of Planasonix whose task no longer waits, and of which it is not known yet whether to cancel them."
            + _OF_THE_STORE,
            "airflow",
        )
        self.abandoned = making.counter(
            "abandoned_runs_total", "Runs whose task no longer waited, by what was done.", "airflow", "outcome"
        )
        create(self.requests, self._airflows, ASKED)
        create(self.undecided, self._airflows)
        create(self.abandoned, self._airflows, ABANDONED)

    def observe_open(self, found: Iterable[OpenWaits], now: datetime) -> None:
        """Take over what the store says."""
        known = {item.airflow: item for item in found}
        for airflow in self._airflows:
            item = known.get(airflow)
            self.open.labels(airflow).set(item.amount if item else 0)
            age = (now - item.oldest_at).total_seconds() if item else 0.0
            self.oldest_seconds.labels(airflow).set(max(0.0, age))

    def observe_undecided(self, found: Mapping[str, int]) -> None:
        """Take over what the store says."""
        for airflow in self._airflows:
            self.undecided.labels(airflow).set(found.get(airflow, 0))

    def count_abandoned(self, airflow: str, outcome: str) -> None:
        """Count one run whose task no longer waited."""
        self.abandoned.labels(airflow, outcome).inc()

    def observe_overdue(self, airflow: str, amount: int) -> None:
        """Take over how many could not be answered yet."""
        self.overdue.labels(airflow).set(amount)

    def observe_answer(self, seconds: float) -> None:
        """Note how long an answer took."""
        self.answered_seconds.observe(max(0.0, seconds))

    def count(self, airflow: str, outcome: str) -> None:
        """Count one wait that ended."""
        self.ended.labels(airflow, outcome).inc()

    def count_request(self, airflow: str, *, is_answered: bool) -> None:
        """Count one request."""
        self.requests.labels(airflow, ASKED[0] if is_answered else ASKED[1]).inc()
