"""Ranges of chips: written, read, taken apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uec.domain.errors import InvalidInput
from uec.domain.stock import (
    BLANK,
    SERIAL_LIMIT,
    Motion,
    NotInStock,
    OverlappingSerials,
    Place,
    SerialRange,
    parse_ranges,
    refuse_overlap,
    take_first,
)

LOT = "479005007411"
serials = st.integers(0, SERIAL_LIMIT)


@st.composite
def ranges(draw: st.DrawFn) -> SerialRange:
    first, last = sorted((draw(serials), draw(serials)))
    return SerialRange(LOT, first, last)


@given(ranges())
def test_a_range_is_read_back_from_its_text(one: SerialRange) -> None:
    assert parse_ranges(str(one)) == [one]
    assert one.blanks == one.last - one.first + 1


@given(ranges(), ranges())
def test_overlap_is_having_a_chip_in_common(one: SerialRange, other: SerialRange) -> None:
    common = max(one.first, other.first) <= min(one.last, other.last)
    assert one.overlaps(other) is other.overlaps(one) is common
    if common:
        with pytest.raises(OverlappingSerials):
            refuse_overlap([one, other])


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(1, 400))
def test_the_first_so_many_are_taken_in_order(sizes: list[int], count: int) -> None:
    parts, start = [], 0
    for size in sizes:
        parts.append(SerialRange(LOT, start, start + size - 1))
        start += size + 3
    every = [serial for one in parts for serial in range(one.first, one.last + 1)]
    if count > len(every):
        with pytest.raises(NotInStock):
            take_first(parts, count)
    else:
        taken = [serial for one in take_first(parts, count) for serial in range(one.first, one.last + 1)]
        assert taken == every[:count]


@pytest.mark.parametrize(
    "text", ["47", "g" * 20, f"{LOT}0000000", f"{LOT}000000011", f"{LOT}00000002-{LOT}00000001", f"{LOT}00000001-7"]
)
def test_what_is_no_chip(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_ranges(text)


def test_values_out_of_bounds() -> None:
    for lot, first, last in (
        ("47900500741", 1, 2),
        (LOT.upper().replace("4", "G"), 1, 2),
        (LOT, -1, 2),
        (LOT, 1, 2**32),
    ):
        with pytest.raises(InvalidInput):
            SerialRange(lot, first, last)


def test_a_blank_that_is_destroyed_or_outside_comes_back_by_nothing_but_a_delivery_or_as_a_card() -> None:
    assert {motion for place, motion in BLANK if place is Place.DESTROYED} == set()
    assert {motion for place, motion in BLANK if place is Place.OUTSIDE} == {Motion.DELIVER, Motion.HAND_IN}


def test_every_motion_has_a_use_and_a_good_card_comes_from_work_alone() -> None:
    assert {motion for _, motion in BLANK} == set(Motion)
    assert {place for place, _ in BLANK} | {Place.DESTROYED} == set(Place)
    assert {place for (place, _), target in BLANK.items() if target is Place.GOOD} == {Place.WORK, Place.UNFINISHED}
