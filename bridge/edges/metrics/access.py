"""Who was not let in at the admin listener, and what of the public one's refusals could not be kept, in numbers."""

from bridge.edges.metrics import labels
from bridge.edges.metrics.making import Making, create
from bridge.words.refusals import RefusalKind


class AccessMetrics:
    """The metrics of sign-in."""

    def __init__(self, making: Making) -> None:
        """Create every child."""
        meaning = "Requests that the admin listener did not let in, by what was wrong."
        self.refused = making.counter("sign_in_failures_total", meaning, "reason")
        create(self.refused, labels.SIGN_IN_FAILURES)
        meaning = "Refused requests and copies that were too many to be kept for `refusals`; all are counted elsewhere."
        self.refusals_dropped = making.counter("refusals_dropped_total", meaning, "kind")
        create(self.refusals_dropped, RefusalKind)
