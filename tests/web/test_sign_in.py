"""Wrong tokens are slowed, counted and told; nobody else waits for them."""

import asyncio
from collections import Counter
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from bridge.rules import sessions
from bridge.web.sign_in import Access, Door, Failure, Guard, People, caller_of
from bridge.words.roles import Caller, Role
from bridge.words.targets import Secret

TOKEN = "a-token-that-4-people-know"


class Entrance:
    """The guard in front of an application that says who asks; answers that are held back wait for the test."""

    def __init__(self) -> None:
        self.refused: Counter[tuple[str, Failure]] = Counter()
        self.let_in: list[tuple[Caller, str]] = []
        self.held = 0
        self.release = asyncio.Event()
        access = Access(
            tokens=lambda: {Role.VIEWER: Secret(TOKEN)},
            metrics_open=False,
            sender=lambda peer, _: str(peer),
            on_refused=lambda address, why: self.refused.update([(address, why)]),
            on_let_in=lambda caller, address: self.let_in.append((caller, address)),
        )
        door = Door(access, pause=self._pause)
        self._guard = Guard(self._application, door=door, refusal=lambda *_: None)

    async def _pause(self, seconds: float) -> None:
        assert seconds > 0
        self.held += 1
        await self.release.wait()

    @staticmethod
    async def _application(scope: Scope, _: Receive, send: Send) -> None:
        status = 200 if caller_of(scope).may(Role.VIEWER) else 403
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(self, token: str | None, address: str = "10.0.0.1", path: str = "/api/v1/status") -> Message:
        """Return the beginning of the answer."""
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        scope: Any = {"type": "http", "method": "GET", "path": path, "headers": headers, "client": (address, 1)}
        await self._guard(scope, receive, send)
        return sent[0]

    async def settle(self, tasks: list[asyncio.Task[Message]], *, held: int) -> None:
        """Let everybody ask, until so many are held back and the others have their answers."""
        while self.held < held or sum(not task.done() for task in tasks) > held:
            await asyncio.sleep(0)


def test_a_few_mistakes_cost_nothing_and_many_are_held_back() -> None:
    """Thirty in a minute are answered at once; sixteen wait, and more are sent away with no look at their token."""

    async def work() -> None:
        door = Entrance()
        assert [(await door.ask("wrong"))["status"] for _ in range(30)] == [401] * 30
        assert door.held == 0
        tasks = [asyncio.create_task(door.ask("wrong")) for _ in range(20)]
        await door.settle(tasks, held=16)
        assert Counter(task.result()["status"] for task in tasks if task.done()) == {429: 4}
        right = await door.ask(TOKEN)
        assert right["status"] == 429
        assert (b"retry-after", b"1") in right["headers"]
        assert (await door.ask(TOKEN, "10.0.0.2"))["status"] == 200  # another address does not wait
        door.release.set()
        assert Counter(answer["status"] for answer in await asyncio.gather(*tasks)) == {401: 16, 429: 4}
        assert (await door.ask(TOKEN))["status"] == 200
        assert door.refused == {("10.0.0.1", "token_wrong"): 46, ("10.0.0.1", "too_many"): 5}

    asyncio.run(work())


def test_who_shows_no_token_is_no_failed_sign_in() -> None:
    """A browser that asks without one is answered at once, however often."""

    async def work() -> None:
        door = Entrance()
        assert [(await door.ask(None))["status"] for _ in range(100)] == [401] * 100
        assert door.refused == {("10.0.0.1", "token_missing"): 100}
        assert door.let_in == []

    asyncio.run(work())


def test_who_is_let_in_is_told_with_name_and_address() -> None:
    """By the token's name."""

    async def work() -> None:
        door = Entrance()
        answer = await door.ask(TOKEN, "10.0.0.7")
        assert (b"cache-control", b"no-store") in answer["headers"]
        assert door.let_in == [(Caller("token:viewer", Role.VIEWER), "10.0.0.7")]

    asyncio.run(work())


def test_with_a_provider_and_no_token_this_machine_is_nobody() -> None:
    """Loopback is an admin only where nobody can sign in; a person's session is let in, with its own form token."""
    key, signed_in = Secret("key-of-the-sessions-of-people"), list[tuple[Caller, str]]()
    people = People(lambda: key, lambda *who: signed_in.append(who), lambda *_: None)

    def asker(people: People | None, cookie: str = "") -> Any:
        access = Access(dict, False, lambda *_: "", lambda *_: None, lambda *_: None, people=people)
        headers = [(b"host", b"127.0.0.1"), (b"cookie", f"bridge_session={cookie}".encode())]
        return Door(access).asker({"path": "/api/v1/status", "headers": headers}, "127.0.0.1")

    assert asker(None).caller == Caller("loopback", Role.ADMIN)
    assert asker(people).caller is None
    anna = Caller("person:anna", Role.OPERATOR)
    access = Access(dict, False, lambda *_: "", lambda *_: None, lambda *_: None, people=people)
    cookie = Door(access).let_in(anna, "10.0.0.7", people)
    assert signed_in == [(anna, "10.0.0.7")]
    found = asker(people, cookie)
    assert (found.caller, found.may_change(None)) == (anna, False)
    session = sessions.read(cookie, {}, key, now=0)
    assert session is not None
    assert found.may_change(sessions.form_token(session, key))
    assert asker(None, cookie).caller == Caller("loopback", Role.ADMIN)
