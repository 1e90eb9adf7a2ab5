"""What is sent to whoever is notified, in numbers."""

from collections.abc import Iterable

from bridge.edges.metrics.making import Making, create

_OUTCOMES = ("sent", "failed")


class NotifyMetrics:
    """The metrics of messages; a target is called as its secret is in bridge.yaml."""

    def __init__(self, making: Making) -> None:
        """Make them; nobody is notified yet."""
        meaning = "Messages to whoever is notified, by whether they were sent."
        self.messages = making.counter("notifications_total", meaning, "target", "outcome")
        meaning = "1 while the last message to this target was not sent; 0 at replicas that send none."
        self.failing = making.gauge("notify_failing", meaning, "target")

    def expect(self, targets: Iterable[str]) -> None:
        """Create every child."""
        names = tuple(targets)
        create(self.messages, names, _OUTCOMES)
        create(self.failing, names)
