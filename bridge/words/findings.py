"""What an examination of the whole way found, step by step."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What is known of a step."""

    FINE = "fine"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One step: what was looked at, of which source, Airflow or DAG, what is so, and what to do about it."""

    step: str
    about: str
    verdict: Verdict
    says: str
    next_step: str | None = None


def fine(step: str, about: str, says: str) -> Finding:
    """Return that a step is as it should be."""
    return Finding(step, about, Verdict.FINE, says)


def wrong(step: str, about: str, says: str, next_step: str) -> Finding:
    """Return that a step is not as it should be."""
    return Finding(step, about, Verdict.WRONG, says, next_step)


def unknown(step: str, about: str, says: str, next_step: str | None = None) -> Finding:
    """Return that nobody can know from here, or not yet."""
    return Finding(step, about, Verdict.UNKNOWN, says, next_step)
