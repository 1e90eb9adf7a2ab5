"""How the demo speaks: one line per step with the seconds it took, a spinner on a terminal."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

_console = Console(highlight=False, soft_wrap=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Announce a step, and tick it off with its duration when it went well."""
    started_at = time.monotonic()
    if _console.is_terminal:
        with _console.status(escape(what)):
            yield
    else:
        _console.print(f"  ...   {escape(what)}")
        yield
    _console.print(f"  [green]ok[/]    {escape(what)} [dim]({time.monotonic() - started_at:.1f} s)[/]")


def say(line: str = "") -> None:
    """Print one line as it is."""
    _console.print(escape(line))


def detail(text: str) -> None:
    """Print something that another program said, set in."""
    for line in text.splitlines():
        _console.print(f"          {escape(line)}", style="dim")


def headline(text: str) -> None:
    """Print a title."""
    _console.print(f"\n[bold]{escape(text)}[/]")


def failure(text: str) -> None:
    """Print what went wrong."""
    _console.print(f"\n[red bold]failed[/]  {escape(text)}")
