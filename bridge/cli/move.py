"""move: take everything in the SQLite store to PostgreSQL, once, while the bridge is stopped."""

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.output import print_table, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(move)


def move(
    to: Annotated[
        str, typer.Option("--to", help="The new store, postgresql://user@host/database, without a password.")
    ],
    password_file: Annotated[
        Path | None, typer.Option("--to-password-file", help="File with its password; else PGPASSWORD or ~/.pgpass.")
    ] = None,
) -> None:
    """Move the SQLite store to PostgreSQL: deliveries, triggers, attempts, audit, keys of copies, everything.

    Stop the bridge first; while it serves the store this is refused (exit 2). If it is killed, run it again. At the end
    the counts are compared, and the old store is not served any more.
    """
    from bridge.cli import context
    from bridge.edges.inbox import relocating
    from bridge.edges.settings import read_token
    from bridge.edges.settings.database_url import check_database_url
    from bridge.words.errors import ConfigError, Problem

    environment = context.environment()
    try:
        check_database_url(to)
        secret = None if password_file is None else read_token(password_file)
    except ValueError as error:
        raise ConfigError([Problem("--to", 0, 0, str(error))]) from None
    said: set[str] = set()

    def on_slice(table: str, done: int, total: int) -> None:
        if done >= total and table not in said:
            said.add(table)
            say(f"{table}: {done} of {total}")

    moved = relocating.move(
        environment.database_url, to, password=lambda: None if secret is None else secret.reveal(), on_slice=on_slice
    )
    if not moved.is_news:
        say("nothing to do: it was moved before")
        return
    print_table(("table", "rows"), [(name, str(count)) for name, count in moved.rows.items()])
    say("moved; the counts are the same. Now start the bridge with BRIDGE_DATABASE_URL of the new store")
