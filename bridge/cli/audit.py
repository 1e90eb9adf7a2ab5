"""audit: who replayed, cancelled, erased, signed in or failed to, and when the mapping changed."""

from typing import Annotated

import typer

from bridge.cli.browse import Limit, Since, Until, moment, print_many
from bridge.cli.output import AsJson


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)


def audit(
    actor: Annotated[
        str | None, typer.Option("--actor", help="Only of this person or token, as in `token:admin` or `cli:alice`.")
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List the audit log, newest first: who did what to which, and why. Exit 1 if there is nothing."""
    from bridge.cli import context
    from bridge.edges.inbox import auditing
    from bridge.rules import records

    wanted = auditing.AuditFilter(actor=actor, since=moment(since), until=moment(until))
    with context.store(context.environment()) as inbox:
        found = [records.audit_line(line) for line in inbox.read(auditing.page, wanted=wanted, limit=limit)]
    print_many(found, ("at", "actor", "action", "subject", "reason"), as_json)
