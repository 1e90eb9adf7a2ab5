"""A steady intake beside what is measured: so many signed webhooks a second, and how long each took.

Senders take turns on connections that stay open. A webhook's time begins when it was due, so one that had to wait for
the one before it counts with its wait.
"""

import http.client
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.service import BridgeProcess, body, signed

_SENDERS = 8


@contextmanager
def sending(bridge: BridgeProcess, *, per_second: float, pipeline: str) -> Iterator[list[float]]:
    """Send until the end of the block; yields the seconds of each answer, a list that grows. Each answer is 202."""
    times: list[float] = []
    is_over, failed, began = threading.Event(), list[str](), time.perf_counter()

    def send(first: int) -> None:
        connection, number = http.client.HTTPConnection("127.0.0.1", bridge.port, timeout=60), first
        while True:
            due = began + number / per_second
            if is_over.wait(max(0.0, due - time.perf_counter())):
                break
            payload = body(event=f"evt_paced_{secrets.token_hex(8)}", pipeline=pipeline)
            connection.request("POST", "/hooks/planasonix", payload, signed(payload))
            answer = connection.getresponse()
            text = answer.read()
            times.append(time.perf_counter() - due)
            if answer.status != 202:
                failed.append(f"{answer.status} {text!r}")
            number += _SENDERS
        connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(_SENDERS)]
    for thread in threads:
        thread.start()
    try:
        yield times
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert not failed, failed[:3]
