"""`notify:` of bridge.yaml: where messages go, and on what."""

from difflib import get_close_matches
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from bridge.edges.settings.fields import Duration, Entry, credential
from bridge.rules.attention import HELD_TOO_LONG, WHATS
from bridge.words.targets import NotifyTarget, Secret

ON = (*WHATS, HELD_TOO_LONG)
_LONGEST_AFTER = 86_400.0


def _to(reference: object) -> tuple[str, Secret]:
    """Return what the reference is called, and the URL behind it."""
    secret = credential(reference)
    name = next(str(value) for value in reference.values() if value) if isinstance(reference, dict) else ""
    return name, secret


def _word(text: str) -> str:
    if text not in ON:
        near = get_close_matches(text, ON, n=1)
        raise ValueError(
            f"{text[:64]!r} is nothing to be notified of"
            + (f"; did you mean {near[0]}?" if near else "")
            + f" There is {', '.join(ON)}"
        )
    return text


def _at_most_a_day(seconds: float) -> float:
    if seconds > _LONGEST_AFTER:
        raise ValueError("must be a day at most")
    return seconds


class NotifyForm(Entry):
    """One target."""

    to: Annotated[tuple[str, Secret], BeforeValidator(_to)]
    on: list[Annotated[str, AfterValidator(_word)]] = Field(list(WHATS), min_length=1)
    after: Annotated[Duration, AfterValidator(_at_most_a_day)] = 30.0

    def build(self) -> NotifyTarget:
        """Return the target; it is called as its secret is."""
        name, url = self.to
        return NotifyTarget(name, url, frozenset(self.on), self.after)


def _each_once(given: list[NotifyForm]) -> list[NotifyForm]:
    names = [entry.to[0] for entry in given]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{twice[0]} stands here twice: name it once, with all that it is to be sent")
    return given


NotifyField = Annotated[list[NotifyForm], Field(max_length=16), AfterValidator(_each_once)]
