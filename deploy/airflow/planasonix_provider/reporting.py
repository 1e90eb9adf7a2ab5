"""Reports to the bridge how the DAG runs end that it has started, so that it need not ask.

It runs in Airflow's scheduler (and its API server, for ends that a person sets), so it must never hold it up or fail
it: an end is put into a bounded queue, and a thread of its own sends what is there, a hundred at once. What cannot be
sent after a few tries is dropped: the bridge asks Airflow by itself all the same. Of other DAG runs nothing is sent.
"""

import logging
import os
import queue
import random
import threading
import time
from typing import Any

import httpx
from airflow.providers.common.compat.sdk import hookimpl

from planasonix_provider.pacing import next_wait

_MAX_WAITING = 1000
_MAX_AT_ONCE = 100  # the bridge takes no more
_MAX_TRIES = 5
_BACK_OFF_SECONDS = 1.0
_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
_log = logging.getLogger(__name__)


class RunEnds:
    """A listener of Airflow."""

    def __init__(
        self, *, url: str, token: str, airflow: str | None = None, back_off: float = _BACK_OFF_SECONDS
    ) -> None:
        """`airflow` is this Airflow's name in bridge.yaml; it may be left out where there is one only."""
        self._url = f"{url.rstrip('/')}/api/v1/outcomes"
        self._token = token
        self._airflow = {"airflow": airflow} if airflow else {}
        self._back_off = back_off
        self._waiting: queue.Queue[dict[str, Any]] = queue.Queue(_MAX_WAITING)
        self._owner: int | None = None
        self._lock = threading.Lock()

    @hookimpl
    def on_dag_run_success(self, dag_run: Any, msg: str) -> None:  # noqa: ARG002 - Airflow's
        """A DAG run succeeded."""
        self._note(dag_run, "success")

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:  # noqa: ARG002 - Airflow's
        """A DAG run failed."""
        self._note(dag_run, "failed")

    def _note(self, dag_run: Any, state: str) -> None:
        try:
            if not _is_of_the_bridge(dag_run.conf):
                return
            self._waiting.put_nowait(_report(dag_run, state))
            self._send_in_background()
        except queue.Full:
            _log.warning("The bridge is not told of %s: too many reports wait", dag_run.run_id)
        except Exception:  # noqa: BLE001 - whatever it is, the scheduler goes on
            _log.exception("The bridge is not told of a DAG run's end")

    def _send_in_background(self) -> None:
        """Start the thread, in this process: a fork has none."""
        with self._lock:
            if self._owner != os.getpid():
                self._owner = os.getpid()
                threading.Thread(target=self._send_all, name="planasonix-bridge", daemon=True).start()

    def _send_all(self) -> None:
        while True:
            runs = [self._waiting.get()]
            while len(runs) < _MAX_AT_ONCE and not self._waiting.empty():
                runs.append(self._waiting.get())
            try:
                self._send(runs)
            except Exception:  # noqa: BLE001 - the next reports go out all the same
                _log.exception("The bridge is not told of %d DAG runs", len(runs))

    def _send(self, runs: list[dict[str, Any]]) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        for failures in range(1, _MAX_TRIES + 1):
            try:
                answer = httpx.post(self._url, json={"runs": runs, **self._airflow}, headers=headers, timeout=_TIMEOUT)
            except httpx.HTTPError as error:
                why = type(error).__name__
            else:
                if answer.is_success:
                    return
                why = str(answer.status_code)
                if answer.status_code < 500 and answer.status_code != 429:
                    break
            share = random.random()  # noqa: S311 - jitter
            time.sleep(next_wait(self._back_off, failures=failures, wish=None, share=share))
        _log.warning("The bridge is not told of %d DAG runs (%s); it will ask", len(runs), why)


def _is_of_the_bridge(conf: Any) -> bool:
    given = conf.get("planasonix") if isinstance(conf, dict) else None
    return isinstance(given, dict) and bool(given.get("trigger_id"))


def _report(dag_run: Any, state: str) -> dict[str, Any]:
    instants = {"started_at": dag_run.start_date, "ended_at": dag_run.end_date}
    texts = {name: at.isoformat() for name, at in instants.items() if at is not None}
    return {"dag_id": dag_run.dag_id, "dag_run_id": dag_run.run_id, "state": state, **texts}
