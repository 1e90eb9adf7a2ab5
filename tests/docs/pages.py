"""The pages of documentation, their links and their headings, as the tests of this folder read them."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from typer.main import get_command

from bridge.cli import app
from deploy.demo.airflow import REPOSITORY

DOCS = REPOSITORY / "docs"
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def pages() -> list[Path]:
    """Return every Markdown file of the repository."""
    return sorted(
        path
        for path in REPOSITORY.rglob("*.md")
        if not any(part.startswith(".") or part in {"build", "dist"} for part in path.relative_to(REPOSITORY).parts)
    )


def page(name: str) -> str:
    """Return the text of a page of docs/."""
    return (DOCS / name).read_text()


def blocks(text: str, kind: str = "") -> list[str]:
    """Return the fenced blocks of one kind, such as `yaml`."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for its_kind, block in found if its_kind == kind]


def prose(text: str) -> str:
    """Return the text without its fenced blocks."""
    return _FENCE.sub("", text)


def links(text: str) -> list[str]:
    """Return where the links of a page lead that stay in the repository."""
    return [target for target in _LINK.findall(prose(text)) if "://" not in target and not target.startswith("mailto:")]


def headings(text: str) -> list[str]:
    """Return the headings of a page."""
    return re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)


def anchors(text: str) -> Iterator[str]:
    """Yield the anchors that GitHub makes of the headings."""
    for heading in headings(text):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        yield re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@cache
def _command() -> Any:
    return get_command(app)


def leaf_commands() -> Iterator[tuple[str, Any]]:
    """Yield every command with its name, those of a group as `keys show`."""
    for name, command in _command().commands.items():
        below = getattr(command, "commands", None)
        if below is None:
            yield name, command
        else:
            yield from ((f"{name} {each}", it) for each, it in below.items())


def unknown_words(words: Sequence[str], command: Any = None) -> list[str]:
    """Return the words of a command line that are no command and no option; `command`: the one that they follow."""
    if not words:
        return []
    command = command or _command()
    below = getattr(command, "commands", None)
    if below is not None:
        return unknown_words(words[1:], below[words[0]]) if words[0] in below else [words[0]]
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    return [word for word in words if word.startswith("--") and word.partition("=")[0] not in options]
