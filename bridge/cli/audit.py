"""audit: who replayed, cancelled, paused, resumed, erased, signed in or failed to, and when the mapping changed."""

from typing import Annotated

import typer

from bridge.cli.asking import Limit, Since, TokenFile, Until, Url, asking, pages, told_times
from bridge.cli.browse import print_many
from bridge.cli.output import AsJson


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)


def audit(
    actor: Annotated[
        str | None, typer.Option("--actor", help="Only of this person or token, as in `token:admin` or `cli:alice`.")
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option("--of", metavar="ID", help="Only what was done to this: trg_..., dlv_..., or `route orders`."),
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """List the audit log, newest first: who did what to which, and why. Exit 1 if there is nothing."""
    with asking(url, token_file) as asked:
        found = pages(asked, "audit", {"actor": actor, "subject": subject} | told_times(since, until), limit=limit)
    print_many(found, ("at", "actor", "action", "subject", "reason"), as_json)
