"""What to do about a file that is no YAML: the parser's complaint in the words of whoever wrote the file. Pure.

Rule: a message says what to write instead, and stands where that is to be written; the parser often stops much later.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.rules.yamltree.tree import Place

QUOTE_IT = 'a template needs quotes: "{{ ... }}"'
_opens_template = re.compile(r"(?:^|[:\-,\[{])\s+(\{[{%])|[\[{,](\{[{%])").search
_cannot_start = re.compile(r"found character '(.+)' that cannot start").match
_expected_end = re.compile(r"expected ',' or '([\]}])'").match
_HIDDEN = {
    "\u00a0": "a no-break space (U+00A0)",
    "\u2007": "a no-break space (U+2007)",
    "\u202f": "a no-break space (U+202F)",
    "\u200b": "a zero-width space (U+200B)",
    "\u2060": "a word joiner (U+2060)",
    "\ufeff": "a byte order mark (U+FEFF)",
    "\u3000": "an ideographic space (U+3000)",
}


@dataclass(frozen=True, slots=True)
class Broken:
    """Where a parser stopped, what it was reading since where, and the last text in quotes that spans lines."""

    problem: str
    context: str
    place: Place
    begun: Place
    quoted: tuple[Place, Place] | None  # where it opens and ends


def hidden_letter(text: str) -> str | None:
    """Return the name of a letter that looks like a blank or like nothing, None without one."""
    return next((name for letter, name in _HIDDEN.items() if letter in text), None)


def advice(broken: Broken, lines: Sequence[str]) -> tuple[Place, str]:
    """Return the place to mend, and how."""
    line = lines[broken.place[0] - 1] if broken.place[0] <= len(lines) else ""
    if "quoted scalar" in broken.context and "end of stream" in broken.problem:
        return broken.begun, "the quote that opens here is never closed"
    if broken.quoted is not None and broken.quoted[1] == broken.place:
        return broken.quoted[0], f"the quote that opens here is closed only in line {broken.place[0]}"
    if found := _opens_template(line):
        return (broken.place[0], max(found.start(1), found.start(2)) + 1), QUOTE_IT
    return _of_one_letter(broken, line)


def _of_one_letter(broken: Broken, line: str) -> tuple[Place, str]:
    if found := _cannot_start(broken.problem):
        if found[1] in ("\t", "\\t"):
            return broken.place, "a tab stands here; indent with blanks"
        return broken.place, f"a text that begins with {found[1]} needs quotes"
    if "scanning an alias" in broken.context:
        return broken.begun, 'a text that begins with * needs quotes: "*"'
    if end := _expected_end(broken.problem):
        return broken.begun, f'the "{"[" if end[1] == "]" else "{"}" that opens here is not closed'
    return broken.place, _of_a_value(broken, line)


def _of_a_value(broken: Broken, line: str) -> str:
    if "mapping values are not allowed" in broken.problem:
        return "a second `: ` in one value; put the value in quotes, or indent the key like its neighbours"
    is_behind = broken.place[1] > len(line) - len(line.lstrip()) + 1
    if "<block end>" in broken.problem and "<scalar>" in broken.problem and is_behind:
        return "more text after a value that was complete; put the whole value in quotes"
    return broken.problem or broken.context
