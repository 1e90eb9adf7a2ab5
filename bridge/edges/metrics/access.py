"""Who was not let in at the admin listener, in numbers."""

from bridge.edges.metrics import labels
from bridge.edges.metrics.making import Making, create


class AccessMetrics:
    """The metrics of sign-in."""

    def __init__(self, making: Making) -> None:
        """Create every child."""
        meaning = "Requests that the admin listener did not let in, by what was wrong."
        self.refused = making.counter("sign_in_failures_total", meaning, "reason")
        create(self.refused, labels.SIGN_IN_FAILURES)
