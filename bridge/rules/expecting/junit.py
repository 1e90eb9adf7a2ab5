"""The outcomes of tests as JUnit's XML, which CI systems show beside a change."""

import html
import re
from collections.abc import Mapping, Sequence

from bridge.rules.expecting.judging import Outcome

_is_no_xml = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """Return one suite a file; `outcomes` by the file's name."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', f'<testsuites name="mapping" {_counts(sum_of(outcomes))}>']
    for file, found in outcomes.items():
        lines.append(f"  <testsuite name={_quoted(file)} {_counts(found)}>")
        for outcome in found:
            lines += _case(file, outcome)
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def sum_of(outcomes: Mapping[str, Sequence[Outcome]]) -> list[Outcome]:
    """Return the outcomes of all files."""
    return [outcome for found in outcomes.values() for outcome in found]


def _case(file: str, outcome: Outcome) -> list[str]:
    case = outcome.case
    opening = f"    <testcase classname={_quoted(file)} name={_quoted(case.form.name)}"
    opening += f' file={_quoted(file)} line="{case.line}"'
    if outcome.has_passed:
        return [f"{opening}/>"]
    text = "\n".join(map(str, outcome.differences))
    message = _quoted(outcome.differences[0].what)
    return [f"{opening}>", f"      <failure message={message}>{_escaped(text)}</failure>", "    </testcase>"]


def _counts(found: Sequence[Outcome]) -> str:
    return f'tests="{len(found)}" failures="{sum(not outcome.has_passed for outcome in found)}" errors="0"'


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return html.escape(_is_no_xml.sub("\ufffd", text))
