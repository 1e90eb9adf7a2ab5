"""refusals: what was not taken in at the public door, and why; and copies, with what they are copies of."""

from typing import Annotated

import typer

from bridge.cli.browse import Limit, Since, Until, moment, print_many
from bridge.cli.output import AsJson
from bridge.words.refusals import RefusalKind


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(refusals)


def refusals(
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only for this reason.")] = None,
    kind: Annotated[RefusalKind | None, typer.Option(help="Only refused ones, or only copies.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List the newest requests that were refused, and copies; at most 1000 of each are kept. Exit 1 if there is none.

    `keys_tried` has the fingerprints of the keys in use, as `keys show` prints them.
    """
    from bridge.cli import context
    from bridge.edges.inbox import refusals as statements
    from bridge.rules import records

    wanted = statements.RefusalFilter(source, reason, kind, moment(since), moment(until))
    with context.store(context.environment()) as inbox:
        found = [records.refusal(one) for one in inbox.read(statements.page, wanted=wanted, limit=limit)]
    shown = found if as_json else [one | {"keys_tried": " ".join(one["keys_tried"]) or None} for one in found]
    print_many(shown, ("at", "kind", "source", "reason", "sender", "keys_tried", "body_sha256", "copy_of"), as_json)
