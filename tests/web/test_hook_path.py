"""Whatever headers and bodies a stranger invents: the hook path answers, never with 5xx, through its own callable."""

import asyncio
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from bridge.flows.receiving import Receiving
from bridge.rules.signature import PRESETS, Key, Verifier, sign
from bridge.rules.sources import Source
from bridge.web.hooks import Hooks
from tests.support.store import empty_store

KEY = Key("current", b"0123456789abcdef0123456789")
NOW = 1_785_000_000
ALLOWED = {200, 202, 400, 401, 404, 405, 408, 413, 415}


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hooks]:
    """The hook path over a real store, with a clock that stands still."""
    path: Path = empty_store(tmp_path_factory.mktemp("store") / "bridge.db")
    inbox = Inbox(f"sqlite:///{path}")
    metrics = Metrics(keys_by_source={"planasonix": ["current"]}, airflows=["default"])
    receiving = Receiving(
        sources={"planasonix": Source("planasonix", Verifier(PRESETS["planasonix"], [KEY]))},
        inbox=inbox,
        metrics=metrics,
        on_accepted=lambda: None,
        clock=lambda: NOW,
    )
    yield Hooks(receiving=receiving, metrics=metrics, max_body_bytes=1000, body_seconds=5)
    inbox.close()


def call(hooks: Hooks, headers: list[tuple[bytes, bytes]], *pieces: bytes, **more: Any) -> tuple[int, bytes]:
    """Send one request through the callable; returns status and body."""
    sent: list[dict[str, Any]] = []
    parts = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces[:-1]]
    waiting = [*parts, {"type": "http.request", "body": pieces[-1] if pieces else b""}]

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/hooks/planasonix", "headers": headers} | more
    asyncio.run(hooks(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


def signed(content: bytes) -> list[tuple[bytes, bytes]]:
    """Return the headers of an authentic request."""
    made = sign(PRESETS["planasonix"], KEY, content, NOW)
    return [(name.lower().encode(), value.encode()) for name, value in made.items()]


_NAMES = st.sampled_from(
    [
        b"x-planasonix-signature",
        b"x-planasonix-timestamp",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"transfer-encoding",
        b"user-agent",
        b"",
    ]
)
_VALUES = st.binary(max_size=80) | st.sampled_from(
    [b"application/json", b"identity", b"chunked", b"5", b"v1=" + b"0" * 64, str(NOW).encode(), b"v1=,v1="]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=st.lists(st.tuples(_NAMES, _VALUES), max_size=8), content=st.binary(max_size=60))
def test_any_headers_get_an_answer(hooks: Hooks, headers: list[tuple[bytes, bytes]], content: bytes) -> None:
    """And none of them is taken for authentic."""
    status, answer = call(hooks, headers, content)
    assert status in ALLOWED - {200, 202}
    if status == 401:
        assert answer == b'{"error": "unauthorized"}'
    json.loads(answer)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(more=st.lists(st.tuples(_NAMES, _VALUES), max_size=3), content=st.binary(max_size=60))
def test_headers_added_to_a_signed_request(hooks: Hooks, more: list[tuple[bytes, bytes]], content: bytes) -> None:
    """They can make it refused, but never accepted for something that it is not."""
    assert call(hooks, signed(content) + more, content)[0] in ALLOWED


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=_JSON | st.fixed_dictionaries({"id": _JSON, "event_id": _JSON}))
@example(value={"id": "evt_1"})
@example(value={"id": "\ud800"})
def test_any_authentic_json_is_taken(hooks: Hooks, value: Any) -> None:
    """202 the first time, 200 the second, whatever it says, unless it is too large."""
    content = json.dumps(value).encode()
    statuses = [call(hooks, signed(content), content)[0] for _ in range(2)]
    assert statuses in ([202, 200], [200, 200], [413, 413])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=1001), cuts=st.lists(st.integers(0, 1001), max_size=4))
def test_any_authentic_bytes_in_any_pieces(hooks: Hooks, content: bytes, cuts: list[int]) -> None:
    """Where the packets end makes no difference; the limit is exact."""
    ends = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    pieces = [content[begin:end] for begin, end in pairwise(ends)]
    expected = (200, 202) if len(content) <= 1000 else (413,)
    assert call(hooks, signed(content), *pieces)[0] in expected


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.text(max_size=40), method=st.sampled_from(["GET", "POST", "HEAD", "X"]))
def test_any_path_and_method(hooks: Hooks, path: str, method: str) -> None:
    """404 or 405 for whatever is not the door."""
    assume(path.partition("/")[0] != "planasonix")  # hypothesis takes words out of the code under test, too
    assert call(hooks, [], b"", path=f"/hooks/{path}", method=method)[0] in (404, 405)


def test_a_sender_that_leaves_gets_no_answer(hooks: Hooks) -> None:
    """There is nobody to answer, and nothing is stored."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/hooks/planasonix", "headers": signed(b"")}
    asyncio.run(hooks(scope, receive, send))
    assert sent == []
