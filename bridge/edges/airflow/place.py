"""How an Airflow itself is: asked once for calls that fail together, so that no call's answer is a verdict on it."""

import math
import threading
import time
from collections.abc import Callable

from bridge.edges.airflow import answers


class Place:
    """Asks the place itself how it is, one thread at a time: calls that fail together share one answer."""

    def __init__(self, probe: Callable[[], answers.TargetProblem | None]) -> None:
        """`probe` asks."""
        self._probe = probe
        self._lock = threading.Lock()
        self._problem: answers.TargetProblem | None = None
        self._asked_at = -math.inf

    def problem(self) -> answers.TargetProblem | None:
        """Return what is wrong with the place, as of an answer that came after this was called; None: it is well."""
        called_at = time.monotonic()
        with self._lock:
            if self._asked_at < called_at:
                self._problem = self._probe()
                self._asked_at = time.monotonic()
            return self._problem
