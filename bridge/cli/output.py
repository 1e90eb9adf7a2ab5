"""How answers are printed: a table for people, JSON for programs; talk goes to stderr.

What the terminal's encoding cannot spell is escaped: in JSON as JSON does it, elsewhere with a backslash. So a word of
a sender's never ends a command.
"""

import io
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")  # as views spells it
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def escape_unprintable() -> None:
    """Have stdout escape what its encoding lacks, as stderr does by itself."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def spell_json(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON that stdout can print."""
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    return json.dumps(value, indent=indent, ensure_ascii=not is_unicode)


def say(text: str) -> None:
    """Talk to the person, beside the answer."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Print one JSON value."""
    from bridge.rules import views

    print(spell_json(json.loads(views.dump(value)), indent=2))


def print_table(head: Sequence[str], rows: Iterable[Sequence[str | None]]) -> None:
    """Print a table: aligned columns, nothing cut, so that ids can be copied."""
    cells = [[visible(local(cell) if cell else "-") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(head), *cells]) for column in range(len(head))]
    for row in [[name.upper() for name in head], *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_fields(value: Mapping[str, Any]) -> None:
    """Print one thing, a field a line; a structure as JSON."""
    width = max(len(name) for name in value)
    for name, field in value.items():
        shown = spell_json(field) if isinstance(field, dict | list) else field
        print(f"{name.ljust(width)}  {'-' if shown is None else visible(local(str(shown)))}")


def local(text: str) -> str:
    """Return an instant in the zone of whoever reads it, with the zone; any other text as it is."""
    if _INSTANT.fullmatch(text) is None:
        return text
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    except (ValueError, OverflowError):
        return text


def visible(text: str) -> str:
    """Escape what a terminal would obey: bodies and status words are a sender's, not ours."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
