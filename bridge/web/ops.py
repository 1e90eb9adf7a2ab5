"""GET /livez and /readyz on the public listener.

livez: the process answers, and every background loop still turns. readyz: it is not stopping, and a write to the store
commits. Airflow being down turns neither red: webhooks are taken in all the same.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridge.edges.inbox import Inbox
from bridge.web.hooks import PREFIX, Hooks, Receive, Reply, Scope, Send
from bridge.words.errors import InboxUnavailable

_CHECK_SECONDS = 1.0  # probes come from anywhere; the store is asked at most so often
_CHECK_TIMEOUT_SECONDS = 5.0


_log = structlog.get_logger("bridge")


class Readiness:
    """Whether webhooks should be sent here now."""

    def __init__(self, inbox: Inbox) -> None:
        """Start not ready, until `begin`."""
        self._inbox = inbox
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="readiness")  # its own: see web/calls
        self._is_serving = False
        self._checked_at = 0.0
        self._problem: str | None = None
        self._lock = asyncio.Lock()

    def begin(self) -> None:
        """Everything is started."""
        self._is_serving = True

    def end(self) -> None:
        """The process is about to stop."""
        self._is_serving = False

    async def problem(self) -> str | None:
        """Return why not, or None."""
        if not self._is_serving:
            return "not serving"
        async with self._lock:
            if time.monotonic() - self._checked_at >= _CHECK_SECONDS:
                self._problem = await self._check()
                self._checked_at = time.monotonic()
        return self._problem

    async def _check(self) -> str | None:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
                await asyncio.get_running_loop().run_in_executor(self._thread, self._inbox.check)
        except (InboxUnavailable, TimeoutError):
            return "the store cannot commit"
        return None


class PublicApp:
    """The public listener: hooks by the short way, everything else through Starlette."""

    def __init__(self, *, hooks: Hooks, readiness: Readiness, stalled: Callable[[], Sequence[str]]) -> None:
        """`hooks` answers below /hooks/; `stalled` names the loops that have stopped turning."""
        self._hooks = hooks
        self._readiness = readiness
        self._stalled = stalled
        self._said: Sequence[str] = ()  # which of them are in the log
        self._ops = Starlette(routes=[Route("/livez", self._livez), Route("/readyz", self._readyz)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch by path."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self._hooks(scope, receive, send)
        else:
            await self._ops(scope, receive, send)

    def take(self, scope: Scope, body: bytes, answer: Callable[[Reply], object]) -> bool:
        """Answer a complete request to a hook without a task; False for anything else."""
        if not scope["path"].startswith(PREFIX):
            return False
        self._hooks.take(scope, body, answer)
        return True

    async def _readyz(self, _: Request) -> Response:
        problem = await self._readiness.problem()
        if problem is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "why": problem}, status_code=503)

    async def _livez(self, _: Request) -> Response:
        """Answer 503 when a restart is the only help; the log names the loop, the answer does not."""
        stalled = self._stalled()
        if stalled != self._said and stalled:
            _log.error("loops_stalled", loops=stalled, next_step="restart the bridge; what it took in is stored")
        self._said = stalled
        if not stalled:
            return JSONResponse({"status": "alive"})
        return JSONResponse({"status": "not alive"}, status_code=503)
