"""Tokens: when one is fetched, kept, renewed and given up, with the clock and the sign-in as values."""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.edges.airflow.sign_ins import Fetched, read_grant, way_of
from bridge.edges.airflow.tokens import Headers, Token, Tokens, life_seconds
from bridge.edges.airflow.wire import Answer, Failure, Kind
from bridge.words.outcomes import Misconfigured, TargetDown
from bridge.words.reasons import Reason
from bridge.words.targets import AirflowAuth, Secret
from tests.support.service import wait_for

REFUSED = Answer(401, "application/json", b'{"detail": "Invalid credentials"}')
UNREACHABLE = Failure(Kind.NOTHING_SENT, "ConnectionRefusedError")


def jwt(**claims: Any) -> str:
    """A token as Airflow makes them; nobody here checks the signature."""
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"head.{middle}.signature"


def granted(token: str) -> Answer:
    """Airflow's answer to a sign-in."""
    return Answer(201, "application/json", json.dumps({"access_token": token}).encode())


class Desk:
    """Where tokens sign in: gives the answers in order, the last one for ever, and counts."""

    def __init__(self, *given: Answer | Failure) -> None:
        """Keep the answers."""
        self.given = list(given)
        self.asked = 0
        self.now = 1000.0

    def sign_in(self) -> Fetched:
        """Give the next answer."""
        self.asked += 1
        return read_grant(self.given.pop(0) if len(self.given) > 1 else self.given[0])

    def tokens(self) -> Tokens:
        """Tokens that sign in here, by this clock."""
        return Tokens("default", self.sign_in, clock=lambda: self.now)


def test_token_is_fetched_once_and_kept_for_80_percent_of_its_life() -> None:
    """A day's token serves 19 h 12 min, whatever the clock of Airflow says."""
    desk = Desk(granted(jwt(iat=5, exp=86405, n=1)), granted(jwt(iat=5, exp=86405, n=2)))
    tokens = desk.tokens()
    first = tokens.current()
    desk.now += 86400 * 0.8 - 1
    assert tokens.current() == first
    assert desk.asked == 1
    desk.now += 1
    assert tokens.current() != first
    assert desk.asked == 2


def test_token_that_does_not_tell_its_life_is_kept_until_refused() -> None:
    """An opaque token is no reason to sign in for each call."""
    desk = Desk(granted("opaque"), granted("other"))
    tokens = desk.tokens()
    first = tokens.current()
    desk.now += 10**9
    assert isinstance(first, Token)
    assert tokens.current() == first
    assert tokens.current(refused=first) == Token((("Authorization", "Bearer other"),), 2, None)


def test_refusal_of_an_old_token_does_not_sign_in_again() -> None:
    """Eight calls that were under way with the old token cost one sign-in."""
    desk = Desk(granted("one"), granted("two"), granted("three"))
    tokens = desk.tokens()
    old = tokens.current()
    assert isinstance(old, Token)
    new = tokens.current(refused=old)
    assert {tokens.current(refused=old) for _ in range(7)} == {new}
    assert desk.asked == 2


def test_failed_renewal_keeps_the_token_that_still_holds() -> None:
    """A sign-in that is down for a while stops nothing as long as the token lives; it is tried again 30 s later."""
    desk = Desk(granted(jwt(iat=0, exp=100)), UNREACHABLE)
    tokens = desk.tokens()
    first = tokens.current()
    desk.now += 85
    second = tokens.current()
    assert isinstance(first, Token)
    assert isinstance(second, Token)
    assert (second.headers, second.generation) == (first.headers, first.generation)
    assert tokens.current() == second
    assert desk.asked == 2
    desk.now += 30
    tokens.current()
    assert desk.asked == 3


def test_failed_renewal_is_logged_once_for_each_cause() -> None:
    """With what is wrong, and for how long calls go on all the same."""
    desk = Desk(granted(jwt(iat=0, exp=100)), UNREACHABLE, UNREACHABLE, REFUSED)
    tokens = desk.tokens()
    tokens.current()
    with capture_logs() as logs:
        desk.now += 80
        tokens.current()
        assert [(line["event"], line["airflow"], line["detail"], line["holds_seconds"]) for line in logs] == [
            ("sign_in_not_renewed", "default", "ConnectionRefusedError", 20)
        ]
        for _ in range(3):
            desk.now += 30
            tokens.current()
    assert [line["detail"] for line in logs] == ["ConnectionRefusedError", "401: Invalid credentials"]


def test_a_renewal_that_hangs_keeps_nobody_else_waiting() -> None:
    """The token holds for a fifth of its life: the others go on with it. One that is refused meanwhile is given up."""
    arrived, go = threading.Event(), threading.Event()
    desk = Desk(granted(jwt(iat=0, exp=100)), UNREACHABLE)
    looks: list[float] = []

    def sign_in() -> Fetched:
        if desk.asked:
            arrived.set()
            assert go.wait(60)
        return desk.sign_in()

    def clock() -> float:
        looks.append(desk.now)
        return desk.now

    tokens = Tokens("default", sign_in, clock=clock)
    first = tokens.current()
    assert isinstance(first, Token)
    desk.now += 85
    with ThreadPoolExecutor(2) as pool:
        renewing = pool.submit(tokens.current)
        assert arrived.wait(60)
        assert tokens.current() == first
        assert not renewing.done()
        before = len(looks)
        refused = pool.submit(tokens.current, refused=first)
        wait_for(lambda: len(looks) > before, seconds=60, what="the call that was refused asks for another token")
        go.set()
        renewing.result(60)
        assert isinstance(refused.result(60), TargetDown)
    desk.now += 1
    assert isinstance(tokens.current(), TargetDown)


def test_a_token_in_doubt_is_kept_until_there_is_another() -> None:
    """A sign-in that is down stops nobody who only lacks a right; nor is it asked again within a minute."""
    desk = Desk(granted("one"), UNREACHABLE, granted("two"))
    tokens = desk.tokens()
    first = tokens.current()
    assert isinstance(first, Token)
    assert (tokens.instead_of(first), desk.asked) == (None, 1)
    desk.now += 60
    assert (tokens.instead_of(first), desk.asked) == (None, 2)
    current = tokens.current()
    assert isinstance(current, Token)
    assert current.headers == first.headers
    desk.now += 60
    second = tokens.instead_of(first)
    assert second is not None
    assert second.headers == (("Authorization", "Bearer two"),)
    assert (tokens.instead_of(first), tokens.current(), desk.asked) == (second, second, 3)


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (REFUSED, Misconfigured, Reason.AIRFLOW_UNAUTHORIZED),
        (Answer(403, "text/html", b""), Misconfigured, Reason.AIRFLOW_UNAUTHORIZED),
        (Answer(404, "text/html", b""), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (Answer(302), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (Answer(200, "text/html", b"<html>"), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (Answer(201, "application/json", b"{}"), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (granted("two\r\nlines: x"), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (granted(""), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (Answer(500), TargetDown, Reason.AIRFLOW_DOWN),
        (Answer(429, retry_after_seconds=3.0), TargetDown, Reason.THROTTLED),
        (UNREACHABLE, TargetDown, Reason.AIRFLOW_DOWN),
        (Failure(Kind.MISFIT, "TLS"), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
    ],
)
def test_sign_in_that_fails(answer: Answer | Failure, kind: type, reason: Reason) -> None:
    """A failed sign-in is misconfigured or down, and never the trigger's fault; it is tried again at the next call."""
    desk = Desk(answer, granted("good"))
    tokens = desk.tokens()
    problem = tokens.current()
    assert type(problem) is kind
    assert getattr(problem, "reason", None) is reason
    desk.now += 1
    assert isinstance(tokens.current(), Token)


@pytest.mark.parametrize("answer", [granted("one"), REFUSED])
def test_one_sign_in_serves_all_that_wait_for_it(answer: Answer) -> None:
    """Eight threads without a token sign in once, and share the token or the refusal."""
    arrived, go = threading.Barrier(9), threading.Event()
    asked = []

    def slowly() -> Fetched:
        asked.append(1)
        go.wait(10)
        return read_grant(answer)

    tokens = Tokens("default", slowly)
    got: list[object] = []

    def call() -> None:
        arrived.wait(10)
        got.append(tokens.current())

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    arrived.wait(10)
    threading.Timer(0.2, go.set).start()  # by then the others wait for the one that signs in
    for thread in threads:
        thread.join(10)
    assert len(asked) == 1
    assert len(got) == 8
    assert len(set(got)) == 1


USER = AirflowAuth(Secret("ann"), Secret("pässword"))


@pytest.mark.parametrize(
    ("auth", "version", "name", "headers"),
    [
        (AirflowAuth(), "3", "none", ()),
        (AirflowAuth(token=Secret("abc")), "3", "bearer", (("Authorization", "Bearer abc"),)),
        (AirflowAuth(token=Secret("abc")), "2", "bearer", (("Authorization", "Bearer abc"),)),
        (USER, "2", "basic", (("Authorization", "Basic YW5uOnDDpHNzd29yZA=="),)),
        (replace(USER, way="basic"), "3", "basic", (("Authorization", "Basic YW5uOnDDpHNzd29yZA=="),)),
        (USER, "3", "login", None),
        (USER, None, "login", None),
        (replace(USER, way="login"), "2", "login", None),
        (AirflowAuth(client_id=Secret("id"), client_secret=Secret("word")), "3", "client_credentials", None),
        (AirflowAuth(command=("token",)), None, "exec", None),
    ],
)
def test_way_to_sign_in(auth: AirflowAuth, version: str | None, name: str, headers: Headers | None) -> None:
    """What is configured says which way; headers that need no call are known at once."""
    way = way_of(auth, version)
    assert way.name == name
    assert (way.headers and way.headers(auth)) == headers


@pytest.mark.parametrize(
    ("token", "seconds"),
    [
        (jwt(iat=100, exp=3700), 3600.0),
        (jwt(iat=100, exp=100), None),
        (jwt(exp=100), None),
        (jwt(iat="x", exp=[]), None),
        ("opaque", None),
        ("a.b.c", None),
        ("a.%%%.c", None),
        ("a.W10.c", None),
        ("", None),
    ],
)
def test_life_of_a_token(token: str, seconds: float | None) -> None:
    """Its own claims tell; anything else is no token of ours to judge."""
    assert life_seconds(token) == seconds
