"""Whether webhooks crowd, as routing asks before it goes on."""

import asyncio
import threading

import pytest

from bridge.edges import inbox as inboxes
from bridge.edges.inbox import Inbox
from tests.support.store import ON_SQLITE, accept, accept_all, wait_for


@ON_SQLITE
def test_webhooks_that_share_a_transaction_are_a_crowd_for_a_moment(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty wait while something else is written and are stored together: a transaction between them is no end."""
    monkeypatch.setattr(inboxes, "_JUST_NOW_SECONDS", 600.0)
    begun, released = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        begun.set()
        released.wait(10)

    async def crowd() -> None:
        waiting = asyncio.ensure_future(accept_all(inbox, [f"evt_{number}" for number in range(20)]))
        await asyncio.sleep(0.01)
        released.set()
        await waiting

    accept(inbox, "evt_alone")
    assert not inbox.is_crowded
    thread = threading.Thread(target=inbox.write, args=(hold,))
    thread.start()
    assert begun.wait(10)
    asyncio.run(crowd())
    thread.join()
    assert inbox.is_crowded
    inbox.check()
    assert inbox.is_crowded
    monkeypatch.setattr(inboxes, "_JUST_NOW_SECONDS", 0.1)
    wait_for(lambda: not inbox.is_crowded)
