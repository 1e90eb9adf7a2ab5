"""What the guarded server takes from uvicorn without a promise: fails when a newer uvicorn changes it.

The names are read out of the code that uses them, so none can be missing here; docs/architecture.md lists them.
"""

import ast
import asyncio
import hashlib
import inspect
import re
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from bridge.web.server import answering, guard, offers

PAGE = Path(__file__).parents[3] / "docs" / "architecture.md"
NEXT_STEP = (
    f"uvicorn {uvicorn.__version__} is not the one that bridge/web/server was written for: read what changed in its "
    "protocols/http/httptools_impl.py, follow it in guard.py and answering.py, then mend this test and its page"
)
# What is called with super(), or by uvicorn itself, and its parameters after `self`.
PARAMETERS: dict[Callable[..., Any], tuple[str, ...]] = {
    HttpToolsProtocol.connection_made: ("transport",),
    HttpToolsProtocol.connection_lost: ("exc",),
    HttpToolsProtocol.eof_received: (),
    HttpToolsProtocol.timeout_keep_alive_handler: (),
    HttpToolsProtocol.shutdown: (),
    HttpToolsProtocol.pause_writing: (),
    HttpToolsProtocol.resume_writing: (),
    HttpToolsProtocol.data_received: ("data",),
    HttpToolsProtocol.on_message_begin: (),
    HttpToolsProtocol.on_headers_complete: (),
    HttpToolsProtocol.on_message_complete: (),
    HttpToolsProtocol.on_response_complete: (),
    HttpToolsProtocol._start_asgi_task: ("cycle", "app"),
    RequestResponseCycle.send: ("message",),
    uvicorn.Server.capture_signals: (),
}
# The first 16 digits of the SHA-256 of its source. The first two are done again in the bridge, in other words; of the
# others it relies on when they start an answer. A change has to be read, and perhaps followed.
SOURCES: dict[Callable[..., Any], str] = {
    HttpToolsProtocol.data_received: "010a7ae59a5d3b1a",
    RequestResponseCycle.send: "abdd8601b326a8da",
    HttpToolsProtocol.on_headers_complete: "1ea8589acfad92d8",
    HttpToolsProtocol.on_response_complete: "64e254f28e389e76",
}


class Names(ast.NodeVisitor):
    """The attributes that code takes from what these expressions stand for."""

    def __init__(self, *expressions: str) -> None:
        """Nothing is found yet."""
        self._expressions = expressions
        self.found: set[str] = set()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Note one."""
        if ast.unparse(node.value) in self._expressions:
            self.found.add(node.attr)
        self.generic_visit(node)


def taken(module: Any, *expressions: str) -> Set[str]:
    """Return what a module of the bridge takes from these expressions."""
    names = Names(*expressions)
    names.visit(ast.parse(inspect.getsource(module)))
    return names.found


def of_protocol() -> Set[str]:
    """Return what is taken from a connection and is not of the bridge's own making."""
    tree = ast.parse(inspect.getsource(guard))
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    stored = {node.attr for node in attributes if isinstance(node.ctx, ast.Store)}
    own = {name for name in vars(guard.GuardedProtocol) if not hasattr(HttpToolsProtocol, name)}
    return taken(guard, "self", "super()") - own - {name for name in stored if name.startswith("_")} - {"__init__"}


TAKEN: dict[str, Set[str]] = {
    "protocol": of_protocol() | taken(offers, "protocol"),
    "cycle": taken(guard, "cycle", "active", "self.cycle", "self._active") | taken(answering, "cycle"),
    "parser": taken(guard, "self.parser") | taken(offers, "protocol.parser"),
}


async def a_connection() -> dict[str, Any]:
    """Return uvicorn's own objects of a connection on which a request has begun."""
    config = uvicorn.Config("builtins:print", ws="none", lifespan="off", log_config=None, interface="asgi3")
    config.load()
    begun: asyncio.Future[HttpToolsProtocol] = asyncio.get_running_loop().create_future()

    class Protocol(HttpToolsProtocol):
        """Answers nothing."""

        def _start_asgi_task(self, *_: Any) -> None:
            begun.set_result(self)

    listening = await asyncio.get_running_loop().create_server(
        lambda: Protocol(config, server_state=ServerState(), app_state={}), "127.0.0.1", 0
    )
    async with listening:
        _, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        writer.write(b"POST / HTTP/1.1\r\nHost: bridge\r\n\r\n")
        protocol = await begun
        found = {"protocol": protocol, "cycle": protocol.cycle, "parser": protocol.parser}
        protocol.transport.abort()
        writer.close()
        await writer.wait_closed()
    return found


@pytest.mark.parametrize("method", PARAMETERS, ids=lambda method: method.__qualname__)
def test_what_is_overridden_takes_the_same_arguments(method: Callable[..., Any]) -> None:
    """uvicorn calls these methods, or the bridge calls them with super()."""
    assert tuple(inspect.signature(method).parameters) == ("self", *PARAMETERS[method]), NEXT_STEP


@pytest.mark.parametrize("method", SOURCES, ids=lambda method: method.__qualname__)
def test_what_is_done_again_or_relied_on_has_not_changed(method: Callable[..., Any]) -> None:
    """uvicorn's code is, word for word, what guard.py and answering.py were written beside."""
    digest = hashlib.sha256(inspect.getsource(method).encode()).hexdigest()[:16]
    assert digest == SOURCES[method], f"{method.__qualname__} is {digest} now. {NEXT_STEP}"


def test_every_name_that_is_taken_is_there() -> None:
    """uvicorn's own connection and request have each attribute that the bridge takes for granted."""
    found = asyncio.run(a_connection())
    missing = {f"{what}.{name}" for what, names in TAKEN.items() for name in names if not hasattr(found[what], name)}
    assert missing == set(), NEXT_STEP


def test_the_page_lists_what_is_taken() -> None:
    """docs/architecture.md names every attribute of uvicorn's and httptools' that the bridge uses, and no other."""
    told = {
        what: set(re.findall(r"`(\w+)`", names))
        for what, names in re.findall(r"^\| (protocol|cycle|parser) \|(.*)\|$", PAGE.read_text(), re.MULTILINE)
    }
    assert told == {what: set(names) for what, names in TAKEN.items()}
