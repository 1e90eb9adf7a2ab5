"""One timer for many waits: who waits for too long is told so, and nobody else."""

import asyncio

import pytest

from bridge.web.patience import Patience

SHORT, LONG = 0.05, 30.0


async def wait(patience: Patience, seconds: float) -> str:
    """Wait inside, and say how it ended."""
    try:
        with patience:
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "given up"
    return "done"


def test_gives_up_on_who_waits_for_too_long_and_on_nobody_else() -> None:
    """Several tasks wait at once; the same task may wait again after it was given up on."""

    async def all_of_them() -> list[str]:
        patience = Patience(SHORT)
        first = await asyncio.gather(*(wait(patience, seconds) for seconds in (LONG, 0.0, LONG, SHORT / 2)))
        return [*first, await wait(patience, LONG), await wait(patience, 0.0)]

    assert asyncio.run(all_of_them()) == ["given up", "done", "given up", "done", "given up", "done"]


def test_a_task_that_was_given_up_on_is_not_cancelled() -> None:
    """What it does next, such as to answer 408, is done undisturbed."""

    async def answer() -> tuple[str, int]:
        said = await wait(Patience(SHORT), LONG)
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return said, task.cancelling()

    assert asyncio.run(answer()) == ("given up", 0)


def test_a_cancellation_from_outside_stays_one() -> None:
    """A server that stops cancels the task: that is no time-out."""

    async def cancelled() -> None:
        task = asyncio.create_task(wait(Patience(LONG), LONG))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())


def test_a_cancellation_beside_the_giving_up_stays_one() -> None:
    """Both in the same moment: whoever cancelled gets what they asked for."""

    async def both() -> None:
        patience = Patience(SHORT)
        task = asyncio.create_task(wait(patience, LONG))
        await asyncio.sleep(0)
        patience._began[task] = 0.0
        patience._look()
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(both())


def test_no_timer_is_left_when_nobody_waits() -> None:
    """The loop of an idle process is not woken."""

    async def idle() -> bool:
        patience = Patience(SHORT)
        await wait(patience, 0.0)
        await asyncio.sleep(2 * SHORT)
        return patience._is_looking

    assert asyncio.run(idle()) is False
