"""What a message says: why, where, since when, the next step and the link. Plain text, no stored payload. Pure."""

from collections.abc import Callable, Sequence

from bridge.rules.attention import Need
from bridge.words.notices import Kind, Message

_SHOWN = 8
_LONGEST = 600  # of one sentence: a mistake in a mapping is shown with its text
_LONGEST_TITLE = 150


def title(found: Sequence[Need]) -> str:
    """Return what a cause is called: what it is and why, if all of it has one reason."""
    first = found[0]
    reasons = {need.reason for need in found}
    if len(found) > 1 and len(reasons) == 1 and first.reason is not None:
        what = f"{first.what}, {first.reason}: at {len(found)} places"
    else:
        what = f"{first.what}: {first.about}" + (f" and {len(found) - 1} more" if len(found) > 1 else "")
    return _cut(what, _LONGEST_TITLE)


def message(
    kind: Kind, found: Sequence[Need], *, link: Callable[[Need], str | None], owner: Callable[[str], str | None]
) -> Message:
    """Return the message about one cause; `found` is all of it."""
    lines = [_line(need) for need in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"- and {len(found) - _SHOWN} more")
    says = list(dict.fromkeys(need.says for need in found[:_SHOWN]))
    steps = list(dict.fromkeys(need.next_step for need in found[:_SHOWN]))
    routes = [str(need.filter["route"]) for need in found[:_SHOWN] if need.filter and "route" in need.filter]
    owners = [name for route in dict.fromkeys(routes) if (name := owner(route))]
    parts = [
        "\n".join(_cut(each, _LONGEST) for each in says),
        "\n".join(lines),
        "\n".join(f"Next: {_cut(each, _LONGEST)}" for each in steps),
        f"Owner: {', '.join(dict.fromkeys(owners))}" if owners else "",
        link(found[0]) or "",
    ]
    before = {Kind.NEW: "", Kind.MORE: "more: "}.get(kind, "")
    return Message(kind, before + title(found), "\n\n".join(part for part in parts if part))


def _line(need: Need) -> str:
    since = f", since {need.since:%Y-%m-%d %H:%M} UTC" if need.since else ""
    example = f" ({need.example})" if need.example else ""
    return f"- {_cut(need.about, _LONGEST_TITLE)}: {need.count}{since}{example}"


def _cut(text: str, longest: int) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= longest else f"{plain[: longest - 3]}..."
