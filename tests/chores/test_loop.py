"""One loop for every duty: it goes on whatever a step does, stops in time, and shows when it has stopped turning."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from bridge.chores.loop import FINISHED, TURN_SECONDS, Loop
from bridge.edges.airflow import wire
from bridge.edges.inbox.engine import engines, postgresql, stores, writer
from bridge.edges.metrics import Metrics
from bridge.edges.settings import read_config, read_environment, sign_ins
from bridge.wiring import fitting, preparing
from bridge.words.errors import ConfigError, InboxUnavailable
from tests.support.service import CONFIG, SECRET, wait_for

Make = Callable[..., Loop]
_ADMIN_TOKEN = "a-token-of-thirty-two-characters"
_SQLITE, _POSTGRESQL = "sqlite:///bridge.db", "postgresql+psycopg://bridge@127.0.0.1/bridge"


@pytest.fixture
def make(metrics: Metrics) -> Iterator[Make]:
    """Make loops that are stopped after the test."""
    made: list[Loop] = []

    def loop(step: Callable[[], float | None], *, every_seconds: float = 60.0, **more: float) -> Loop:
        made.append(Loop("gauges", step, every_seconds=every_seconds, metrics=metrics, **more))  # type: ignore[arg-type]
        return made[-1]

    yield loop
    for each in made:
        each.stop(5)


def _failures(metrics: Metrics) -> float:
    series = 'bridge_internal_errors_total{part="gauges"}'
    lines = metrics.exposition().decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(series))


def test_a_step_that_fails_is_counted_and_tried_again_more_slowly(make: Make, metrics: Metrics) -> None:
    """Failures in a row double the pause, a success ends that; nothing is raised."""
    answers: list[float | Exception | None] = [ValueError(), ValueError(), None, ValueError(), 7.0]

    def step() -> float | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    loop = make(step, every_seconds=5.0)
    assert [loop.turn() for _ in range(5)] == [10.0, 20.0, 5.0, 10.0, 7.0]
    assert _failures(metrics) == 3


def test_after_failures_nothing_is_hurried_nor_leases_left(make: Make) -> None:
    """An hourly duty is not taken more often for failing, and one that renews leases goes on at its own pace."""

    def step() -> None:
        raise ValueError

    hourly, renewing = make(step, every_seconds=3600.0), make(step, every_seconds=1.0, slowest_seconds=1.0)
    assert {hourly.turn() for _ in range(9)} == {3600.0}
    assert {renewing.turn() for _ in range(9)} == {1.0}


def test_a_store_that_is_away_is_no_failure(make: Make, metrics: Metrics) -> None:
    """The store says so itself: the step is taken again after the retry pause, a minute at most."""

    def step() -> None:
        raise InboxUnavailable("away")

    assert make(step, every_seconds=3600.0).turn() == 60.0
    assert make(step, every_seconds=1.0).turn() == 1.0
    assert make(step, every_seconds=3600.0, retry_seconds=2.0).turn() == 2.0
    assert _failures(metrics) == 0


def test_wake_hurries_a_pause_but_not_one_after_a_failure(make: Make) -> None:
    """A step that always fails must not fill the log as fast as webhooks come in."""
    steps: list[bool] = []
    is_failing = threading.Event()

    def step() -> None:
        steps.append(is_failing.is_set())
        if is_failing.is_set():
            raise ValueError

    loop = make(step, every_seconds=3600.0)
    loop.start()
    wait_for(lambda: len(steps) == 1, seconds=30, what="the first step")
    is_failing.set()
    loop.wake()
    wait_for(lambda: steps[-1], seconds=30, what="the step that fails")
    for _ in range(100):
        loop.wake()
    loop.stop(5)
    assert steps == [False, True]


def test_stopping_waits_for_the_step_under_way_but_not_for_ever(make: Make) -> None:
    """What belongs to the loop is ended all the same, in the seconds that are left."""
    begun, gate, left = threading.Event(), threading.Event(), list[float]()

    def step() -> None:
        begun.set()
        gate.wait(60)

    loop = make(step, on_stopped=left.append, stop_seconds=0.2)
    loop.start()
    assert begun.wait(30)
    loop.stop(5)
    gate.set()
    assert 0 <= left[0] < 5
    assert loop.is_ending


def test_a_loop_that_has_finished_is_not_taken_for_dead(make: Make) -> None:
    """Its thread ends, and its beat is no older for it."""
    loop = make(lambda: FINISHED)
    loop.start()
    wait_for(lambda: not loop.is_alive, seconds=30, what="the thread's end")
    assert loop.beat.age_seconds == 0


def test_an_idle_loop_beats_and_a_step_that_hangs_does_not(make: Make) -> None:
    """Waiting is turning: so an hour's pause needs no longer limit than a second's."""
    gate, is_hanging = threading.Event(), threading.Event()

    def step() -> None:
        if is_hanging.is_set():
            gate.wait(120)

    loop = make(step, every_seconds=3600.0)
    loop.start()
    wait_for(lambda: loop.beat.age_seconds > TURN_SECONDS / 2, seconds=60, what="a pause")
    wait_for(lambda: loop.beat.age_seconds < TURN_SECONDS / 2, seconds=60, what="a beat in the pause")
    is_hanging.set()
    loop.wake()
    wait_for(lambda: loop.beat.age_seconds > 3 * TURN_SECONDS, seconds=60, what="a beat that stands still")
    gate.set()
    wait_for(lambda: loop.beat.age_seconds < TURN_SECONDS, seconds=60, what="a beat that goes on")


def test_a_store_that_hangs_is_no_reason_to_be_killed() -> None:
    """What one transaction may wait for, tried as often as it is, twice between two beats: below the limit."""
    connect = postgresql.POOL_SECONDS + postgresql.CONNECT_SECONDS
    shared = stores.TRIES * (connect + postgresql.ANSWER_SECONDS)
    alone = engines.BUSY_MILLISECONDS / 1000
    longest = {url: stores.longest_seconds(url) for url in (_SQLITE, _POSTGRESQL)}
    assert longest == {_SQLITE: 2 * max(alone, writer.JOB_SECONDS), _POSTGRESQL: 2 * max(shared, writer.JOB_SECONDS)}
    assert max(longest.values()) < read_environment({}).stall_seconds


@pytest.mark.parametrize(
    ("url", "stall_seconds", "is_warned"),
    [("sqlite", 61, False), ("sqlite", 60, True), ("postgresql", 163, False), ("postgresql", 162, True)],
)
def test_a_limit_below_what_a_store_may_take_is_said_at_the_start(
    url: str, stall_seconds: int, is_warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """It starts all the same: stores seldom hang, and the limit may be meant."""
    database = _SQLITE if url == "sqlite" else _POSTGRESQL
    settings = {"BRIDGE_DATABASE_URL": database, "BRIDGE_STALL_SECONDS": str(stall_seconds)}
    preparing.warn_of_waits(read_environment(settings))
    assert ("stall_seconds_short" in capsys.readouterr().out) is is_warned


def test_an_airflow_that_hangs_is_no_reason_to_be_killed() -> None:
    """One question between two beats, and two for its version; each with a sign-in (a slow command), and once more."""
    longest = wire.longest_seconds(sign_ins.MAX_COMMAND_SECONDS, finds_version=True)
    assert longest < read_environment({}).stall_seconds


@pytest.mark.parametrize(
    ("auth", "stall_seconds", "is_refused"),
    [
        ("{exec: [sign-in], timeout_seconds: 60}", 421, False),
        ("{exec: [sign-in], timeout_seconds: 60}", 420, True),
        ("{exec: [sign-in], timeout_seconds: 60}\n    version: 3", 141, False),
        ("{exec: [sign-in], timeout_seconds: 60}\n    version: 3", 140, True),
        ("{exec: [sign-in]}", 120, True),
        ("{token: {env: PLANASONIX_WEBHOOK_SECRET}}", 10, False),
    ],
)
def test_a_command_that_may_hang_for_longer_than_a_loop_is_refused(
    auth: str, stall_seconds: int, is_refused: bool
) -> None:
    """One question between two beats; with the two settings that do not fit, and the next step."""
    text = re.sub(r"auth: .*", f"auth: {auth}", CONFIG.format(url="http://127.0.0.1:1", more=""))
    config = read_config(text, file="b", environ={"PLANASONIX_WEBHOOK_SECRET": SECRET}, base_dir=Path("/nowhere"))
    settings = {"BRIDGE_ADMIN_TOKEN": _ADMIN_TOKEN, "BRIDGE_STALL_SECONDS": str(stall_seconds)}
    said = f"auth.timeout_seconds is .* BRIDGE_STALL_SECONDS is {stall_seconds}.* raise BRIDGE_STALL_SECONDS above"
    with pytest.raises(ConfigError, match=said) if is_refused else nullcontext():
        fitting.check(read_environment(settings), config)


@pytest.mark.parametrize(("seconds", "is_refused"), [(225, False), (226, True)])
def test_an_api_that_may_hang_for_longer_than_a_loop_is_refused(seconds: int, is_refused: bool) -> None:
    """One question between two beats, and as long again for what else the step does."""
    api = f"    api: {{url: https://planasonix.test, key: {{env: SECRET}}, timeout_seconds: {seconds}}}\n"
    text = CONFIG.format(url="http://127.0.0.1:1", more="").replace("airflow:\n", f"{api}airflow:\n", 1)
    names = ("PLANASONIX_WEBHOOK_SECRET", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD", "SECRET")
    config = read_config(text, file="b", environ=dict.fromkeys(names, SECRET), base_dir=Path("/nowhere"))
    environment = read_environment({"BRIDGE_ADMIN_TOKEN": _ADMIN_TOKEN})
    with pytest.raises(ConfigError, match="timeout_seconds is 226") if is_refused else nullcontext():
        fitting.check(environment, config)
