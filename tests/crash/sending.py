"""The webhooks of one round: known ids at a set rate, each sent again once or twice if it was not acknowledged."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.crash.plans import LOAD_SECONDS
from tests.crash.system import System
from tests.service import body, signed

_RATE = 40
_SENDERS = 4
_TRIES = 3
_PATIENCE_SECONDS = 4.0


class Sender:
    """Sends in threads; `acknowledged` is the first of the three lists."""

    def __init__(self, system: System) -> None:
        """Send nothing yet."""
        self._system = system
        self._client = httpx.Client(timeout=_PATIENCE_SECONDS, trust_env=False)
        self._pool = ThreadPoolExecutor(_SENDERS)
        self.acknowledged: dict[str, str] = {}  # event id -> delivery id
        self.acknowledged_at: dict[str, float] = {}  # event id -> monotonic seconds when it was first sent
        self.answers: Counter[str] = Counter()
        self.clocks = threading.Lock()  # held while clocks jump, so that no webhook is signed before and read after
        self._under_way = 0
        self._is_free = threading.Condition(self.clocks)

    def begin(self) -> None:
        """Send for the time of a round, in the background."""
        amount = int(_RATE * LOAD_SECONDS)
        began = time.monotonic()
        self._sent = [self._pool.submit(self._send_one, number, began) for number in range(amount)]

    def end(self) -> None:
        """Wait until everything was sent."""
        for one in self._sent:
            one.result()

    def close(self) -> None:
        """Send nothing more."""
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def wait_until_nothing_is_under_way(self) -> None:
        """With `clocks` held: wait for the answers that are still to come."""
        while self._under_way:
            self._is_free.wait()

    def post(self, event: str, target: int) -> httpx.Response | None:
        """Sign with the time of a replica and post to it; None without an answer."""
        replica = self._system.replicas[target % len(self._system.replicas)]
        with self.clocks:
            payload, at = body(event=event), replica.now()
            self._under_way += 1
        try:
            return self._client.post(replica.url, content=payload, headers=signed(payload, at=at))
        except httpx.TransportError:
            return None
        finally:
            with self.clocks:
                self._under_way -= 1
                self._is_free.notify_all()

    def _send_one(self, number: int, began: float) -> None:
        time.sleep(max(0.0, began + number / _RATE - time.monotonic()))
        event, first_at = f"evt_{self._system.plan.seed}_{number}", time.monotonic()
        for attempt in range(_TRIES):
            answer = self.post(event, number + attempt)
            self.answers[str(answer.status_code) if answer is not None else "none"] += 1
            if answer is not None and answer.is_success:
                self.acknowledged[event] = answer.json()["delivery_id"]
                self.acknowledged_at[event] = first_at
                return
            if answer is not None and answer.status_code != 503:
                return  # a refusal that sending again cannot change; the audit looks at `answers`
            time.sleep(0.15)
