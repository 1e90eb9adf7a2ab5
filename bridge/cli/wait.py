"""wait: until the DAG runs of a delivery, or of a job, have ended. For scripts: the exit code is the answer."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.asking import TokenFile, Url, moment, seconds
from bridge.cli.output import AsJson, print_json, say

if TYPE_CHECKING:
    from bridge.edges.inbox import Inbox
    from bridge.edges.remote import Remote
    from bridge.rules.awaiting import Judgement
    from bridge.rules.event import Spelling

    Look = Callable[[], Judgement]

_LOOK_SECONDS = 1.0
_TIME_IS_UP = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(wait)


def wait(
    delivery_id: Annotated[str | None, typer.Option("--delivery", help="The delivery (dlv_...).")] = None,
    job_id: Annotated[str | None, typer.Option("--job", help="The Planasonix job; its webhook may still come.")] = None,
    timeout: Annotated[str, typer.Option(help="How long to wait at most: 90s, 15m, 2h.")] = "1h",
    since: Annotated[str, typer.Option(help="Look for a job's webhooks from this instant on, or 24h ago.")] = "24h",
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Wait until all DAG runs have ended. Exit 0 if they succeeded, 1 if one did not, 3 when the time is up."""
    from bridge.cli import context
    from bridge.rules import views
    from bridge.rules.awaiting import Judgement, Outcome

    deadline = time.monotonic() + seconds(f"{timeout}s" if timeout.isdecimal() else timeout, "--timeout")
    if (delivery_id is None) == (job_id is None):
        raise typer.BadParameter("say either --delivery or --job")
    begin = moment(since)
    assert begin is not None  # noqa: S101 - only None gives None
    settings = context.environment()
    bridge = context.remote(settings, url, token_file)
    if bridge is not None:
        judgement = _await(_over_api(bridge, delivery_id, job_id, begin), deadline)
    else:
        with context.store(settings) as inbox:
            judgement = _await(_in_store(inbox, delivery_id, job_id, begin, context.spelling_of(settings)), deadline)
    if judgement.outcome is Outcome.OPEN:
        judgement = Judgement(Outcome.TIMEOUT, judgement.why)
    if as_json:
        print_json(views.judgement(judgement))
    else:
        typer.echo(f"{judgement.outcome}: {judgement.why}")
    raise typer.Exit({Outcome.SUCCESS: 0, Outcome.TIMEOUT: _TIME_IS_UP}.get(judgement.outcome, 1))


def _in_store(
    inbox: "Inbox",
    delivery_id: str | None,
    job_id: str | None,
    since: datetime,
    spelling_of: "Callable[[str], Spelling]",
) -> "Look":
    """Return what looks into the store."""
    from bridge.flows import awaiting

    if delivery_id is not None:
        return awaiting.of_delivery(inbox, delivery_id)
    return awaiting.of_job(inbox, str(job_id), since=since, spelling_of=spelling_of)


def _over_api(bridge: "Remote", delivery_id: str | None, job_id: str | None, since: datetime) -> "Look":
    """Return what asks a running bridge."""
    from bridge.rules.awaiting import Judgement, Outcome
    from bridge.words.errors import ConfigError, Problem

    query = {"delivery": delivery_id} if delivery_id is not None else {"job": str(job_id), "since": since.isoformat()}

    def look() -> Judgement:
        answer = bridge.get("wait", **query)
        try:
            return Judgement(Outcome(answer["outcome"]), str(answer["why"]))
        except (KeyError, ValueError):
            raise ConfigError([Problem("--url", 0, 0, "the bridge there is of a release that cannot tell")]) from None

    return look


def _await(look: "Look", deadline: float) -> "Judgement":
    """Look again and again until the outcome is certain, or the time is up."""
    from bridge.rules.awaiting import Outcome

    judgement = _judged(look)
    said = None
    while judgement.outcome is Outcome.OPEN and (remaining := deadline - time.monotonic()) > 0:
        if judgement.why != said:
            said = judgement.why
            say(said)
        time.sleep(min(_LOOK_SECONDS, remaining))
        judgement = _judged(look)
    return judgement


def _judged(look: "Look") -> "Judgement":
    """Look once; a store or a bridge that is away for a while says nothing about the runs."""
    from bridge.rules.awaiting import Judgement, Outcome
    from bridge.words.errors import InboxUnavailable, RemoteUnavailable

    try:
        return look()
    except (InboxUnavailable, RemoteUnavailable) as error:
        return Judgement(Outcome.OPEN, str(error))
