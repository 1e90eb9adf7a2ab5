"""Small charts: a round scale, zero at the bottom, and whatever is not zero can be seen."""

import pytest

from bridge.rules import charts


@pytest.mark.parametrize(
    ("values", "top"),
    [
        ([], 1),
        ([0, 0], 1),
        ([1], 1),
        ([0.3], 0.5),
        ([1.1, 2], 2),
        ([2.1], 5),
        ([5], 5),
        ([5.1], 10),
        ([10], 10),
        ([11], 20),
        ([20.1], 50),
        ([999], 1000),
    ],
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


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([10], [(0, 12, 238, 52)]),
        ([5, 10], [(0, 38, 118, 26), (120, 12, 118, 52)]),
        ([0, 3.33, 0.5] + [0] * 4, [(0, 64, 32.3, 0), (34.3, 46.7, 32.3, 17.3), (68.6, 61.4, 32.3, 2.6)]),
    ],
)
def test_bars_share_the_width_with_a_gap_between_them(
    values: list[float], expected: list[tuple[float, float, float, float]]
) -> None:
    """In a drawing of 240 by 64 whose upper 12 are for the scale; a tenth is fine enough."""
    drawn = [(bar.x, bar.y, bar.width, bar.height) for bar in charts.bars(values, upto=10)]
    assert (charts.WIDTH, charts.HEIGHT) == (240, 64)
    assert drawn[:3] == expected
