"""The geometry of the plan's pictures: columns stand on the floor, reach their value, and no label covers another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uec.web.charts import BOTTOM, HEIGHT, LEFT, WIDTH, columns, curve

counts = st.lists(st.integers(0, 2_000_000), min_size=1, max_size=80)


@given(counts, st.integers(0, 2_000_000))
def test_columns_stand_on_the_floor_in_proportion(values: list[int], limit: int) -> None:
    labels = [str(number) for number in range(len(values))]
    chart = columns(values, [limit] * len(values), labels)
    assert [one.value for one in chart.columns] == values
    for one in chart.columns:
        assert one.y + one.height == pytest.approx(HEIGHT - BOTTOM)
        assert one.x >= LEFT and one.x + one.width <= WIDTH
        assert one.height >= 0 and one.y >= 0
        assert one.over == (one.value > limit)
    tallest = max(chart.columns, key=lambda one: one.value)
    assert all(one.height * tallest.value == pytest.approx(tallest.height * one.value) for one in chart.columns)
    assert len(chart.names) <= 12
    assert len(chart.line.split()) == 2 * len(values)
    assert next(tick.label for tick in chart.scale) == "0"


@given(counts)
def test_a_curve_has_a_point_for_each_value(values: list[int]) -> None:
    chart = curve(values, [""] * len(values))
    points = [tuple(map(float, one.split(","))) for one in chart.line.split()]
    assert len(points) == len(values)
    heights = [HEIGHT - BOTTOM - y for _x, y in points]
    for value, height in zip(values, heights, strict=True):
        assert height == pytest.approx(max(heights) * value / max(1, *values), abs=0.2)


def test_nothing_at_all_is_an_empty_picture() -> None:
    chart = columns([], [], [])
    assert (chart.columns, chart.names, chart.line) == ((), (), "")
    assert [tick.label for tick in chart.scale] == ["0", "1", "2", "3", "4"]
