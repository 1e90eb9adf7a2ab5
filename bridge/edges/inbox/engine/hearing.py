"""Listens for what other replicas announce (`statements.announce`), so that nobody waits for the next poll.

This only wakes: if the connection is lost, or a pooler drops LISTEN, the next poll finds the work.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from sqlalchemy import Engine

from bridge.edges.inbox.engine.causes import cause
from bridge.edges.inbox.engine.statements import CHANNEL

_TICK_SECONDS = 0.5  # how long stopping may take
_REOPEN_SECONDS = 2.0
_log = structlog.get_logger("bridge.inbox")


class Listener:
    """A thread with a connection of its own."""

    def __init__(self, engine: Engine, on_news: Callable[[], None], beat: Callable[[], None]) -> None:
        """Begin to listen; `on_news` runs in this thread and only wakes others, `beat` at each turn."""
        self._engine = engine
        self._on_news = on_news
        self._beat = beat
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inbox-listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        is_known = False  # a store that stays away is told once
        while not self._stopping.is_set():
            self._beat()
            try:
                pooled = self._engine.raw_connection()
                try:
                    is_known = False
                    self._listen(pooled.driver_connection)
                finally:
                    with suppress(Exception):
                        pooled.close()
            except Exception as error:  # noqa: BLE001 - the last guard of the thread; polling goes on meanwhile
                if not is_known:
                    _log.warning("listening_lost", cause=cause(error), next_step="it connects again by itself")
                is_known = True
                self._stopping.wait(_REOPEN_SECONDS)

    def _listen(self, driver: Any) -> None:
        driver.execute(f"LISTEN {CHANNEL}")
        self._on_news()  # whatever came while nobody listened
        while not self._stopping.is_set():
            self._beat()
            for _ in driver.notifies(timeout=_TICK_SECONDS, stop_after=1):
                self._on_news()
