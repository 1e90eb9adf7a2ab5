"""refusals: what was not taken in at the public door, and why; and copies, with what they are copies of."""

from typing import Annotated

import typer

from bridge.cli.asking import Limit, Since, TokenFile, Until, Url, asking, pages, told_times
from bridge.cli.browse import print_many
from bridge.cli.output import AsJson
from bridge.words.refusals import RefusalKind


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(refusals)


def refusals(
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only for this reason.")] = None,
    kind: Annotated[RefusalKind | None, typer.Option(help="Only refused ones, copies, or doubtful copies.")] = None,
    copy_of: Annotated[str | None, typer.Option("--copy-of", help="Only copies of this delivery (dlv_...).")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """List the newest requests that were refused, and copies; at most 1000 of each are kept. Exit 1 if there is none.

    `keys_tried` has the fingerprints of the keys in use, as `keys show` prints them.
    """
    filters = {"source": source, "reason": reason, "kind": kind, "copy_of": copy_of} | told_times(since, until)
    with asking(url, token_file) as asked:
        found = pages(asked, "refusals", filters, limit=limit)
    if not as_json:
        rows = [item | {"keys_tried": " ".join(item["keys_tried"]) or None} for item in found.rows]
        found = found._replace(rows=rows)
    print_many(found, ("at", "kind", "source", "reason", "sender", "keys_tried", "body_sha256", "copy_of"), as_json)
