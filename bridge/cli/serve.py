"""serve and migrate."""

import os
import sys

import typer

from bridge.cli.output import say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(serve)
    app.command()(migrate)


def serve() -> None:
    """Receive webhooks and fire DAG runs until SIGTERM or Ctrl-C."""
    from bridge.cli import context
    from bridge.edges import logs
    from bridge.edges.settings import setting_files
    from bridge.wiring import Service

    environment = context.environment()
    logs.configure(environment.log_level, environment.log_format, sys.stderr)
    read = context.reader(environment)
    Service(environment, read()[1], read=read, setting_files=setting_files(os.environ)).run()


def migrate() -> None:
    """Bring the store's schema up to date; `serve` does it by itself."""
    from bridge.cli import context
    from bridge.edges import inbox

    environment = context.environment()
    before, after = inbox.prepare(environment.database_url, password=environment.database_password)
    say("nothing to do" if before == after else f"migrated from {before or 'nothing'} to {after}")
    typer.echo(after)
