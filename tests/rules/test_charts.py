"""Small charts: a round scale, zero at the bottom, and whatever is not zero can be seen."""

import pytest

from bridge.rules import charts


@pytest.mark.parametrize(
    ("values", "top"), [([], 1), ([0, 0], 1), ([1], 1), ([0.3], 0.5), ([3], 5), ([7], 10), ([11], 20), ([999], 1000)]
)
def test_the_scale_ends_at_a_round_number(values: list[float], top: float) -> None:
    """1, 2 or 5 times a power of ten, and no value above it."""
    assert charts.ceiling(values) == pytest.approx(top)


def test_bars_stand_on_the_ground_and_end_at_the_top() -> None:
    """A little is seen; nothing is nothing."""
    nothing, little, all_ = charts.bars([0, 0.001, 10], upto=10)
    assert nothing.height == 0
    assert (little.height, little.y) == (1, charts.HEIGHT - 1)
    assert (all_.height, all_.y) == (charts.HEIGHT - charts.TOP, charts.TOP)
    assert all_.x + all_.width <= charts.WIDTH
