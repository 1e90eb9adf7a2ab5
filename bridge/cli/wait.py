"""wait: until the DAG runs of a delivery, or of a job, have ended. For scripts: the exit code is the answer."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.browse import moment
from bridge.cli.output import AsJson, print_json, say

if TYPE_CHECKING:
    from bridge.rules.awaiting import Judgement

_LOOK_SECONDS = 1.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_TIME_IS_UP = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(wait)


def wait(
    delivery_id: Annotated[str | None, typer.Option("--delivery", help="The delivery (dlv_...).")] = None,
    job_id: Annotated[str | None, typer.Option("--job", help="The Planasonix job; its webhook may still come.")] = None,
    timeout: Annotated[str, typer.Option(help="How long to wait at most: 90s, 15m, 2h.")] = "1h",
    since: Annotated[str, typer.Option(help="Look for a job's webhooks from this instant on, or 24h ago.")] = "24h",
    as_json: AsJson = False,
) -> None:
    """Wait until all DAG runs have ended. Exit 0 if they succeeded, 1 if one did not, 3 when the time is up."""
    from bridge.cli import context
    from bridge.flows import awaiting
    from bridge.rules.awaiting import Outcome

    deadline = time.monotonic() + _seconds(timeout)
    if (delivery_id is None) == (job_id is None):
        raise typer.BadParameter("say either --delivery or --job")
    begin = moment(since)
    with context.store(context.environment()) as inbox:
        if delivery_id is not None:
            look = awaiting.of_delivery(inbox, delivery_id)
        else:
            assert job_id is not None and begin is not None  # noqa: S101, PT018 - checked above
            look = awaiting.of_job(inbox, job_id, since=begin)
        judgement = _judged(look)
        said = None
        while judgement.outcome is Outcome.OPEN and (remaining := deadline - time.monotonic()) > 0:
            if judgement.why != said:
                said = judgement.why
                say(said)
            time.sleep(min(_LOOK_SECONDS, remaining))
            judgement = _judged(look)
    outcome = Outcome.TIMEOUT if judgement.outcome is Outcome.OPEN else judgement.outcome
    if as_json:
        print_json({"outcome": str(outcome), "why": judgement.why})
    else:
        typer.echo(f"{outcome}: {judgement.why}")
    raise typer.Exit({Outcome.SUCCESS: 0, Outcome.TIMEOUT: _TIME_IS_UP}.get(outcome, 1))


def _judged(look: Callable[[], "Judgement"]) -> "Judgement":
    """Look once; a store that is away for a while says nothing about the runs."""
    from bridge.rules.awaiting import Judgement, Outcome
    from bridge.words.errors import InboxUnavailable

    try:
        return look()
    except InboxUnavailable as error:
        return Judgement(Outcome.OPEN, str(error))


def _seconds(text: str) -> float:
    if text[:-1].isdecimal() and text[-1] in _UNITS:
        return int(text[:-1]) * _UNITS[text[-1]]
    if text.isdecimal():
        return float(text)
    raise typer.BadParameter(f"{text!r} is not a duration like 90s, 15m or 2h")
