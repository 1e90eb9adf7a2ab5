"""Notice that a client has left, for whoever holds its connection while it waits for an answer."""

from starlette.types import Receive


async def wait_for_leaving(receive: Receive) -> None:
    """Return when the client is gone; what it still sends is dropped."""
    while (await receive())["type"] != "http.disconnect":
        pass
