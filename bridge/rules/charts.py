"""The geometry of small charts: bars side by side, zero at the bottom. Pure; templates draw it as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, TOP = 240, 64, 12  # above `TOP` stands the scale
_GAP = 2


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, in the units of the drawing."""

    x: float
    y: float
    width: float
    height: float


def ceiling(values: Sequence[float]) -> float:
    """Return a round number that no value is above: 1, 2 or 5 times a power of ten."""
    highest = max(values, default=0)
    if highest <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in (1, 2, 5, 10) if highest <= step * power)


def bars(values: Sequence[float], *, upto: float) -> list[Bar]:
    """Return a bar for each value; one that is not zero can be seen."""
    width = WIDTH / max(1, len(values))
    drawn = []
    for place, value in enumerate(values):
        height = max(1.0, (HEIGHT - TOP) * value / upto) if value > 0 else 0.0
        drawn.append(Bar(round(place * width, 1), round(HEIGHT - height, 1), round(width - _GAP, 1), round(height, 1)))
    return drawn
