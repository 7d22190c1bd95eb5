"""Shifts, hours and rounds by the production calendar, and couriers' rooms worked out by hand."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from issuance.planning import calendar
from issuance.planning.allot import in_order, line_groups, oldest_first
from issuance.planning.errors import PlanningError
from issuance.planning.region import Line, Supply
from issuance.planning.rooms import next_trip, rooms_of
from issuance.planning.timetable import LineHours, Maintenance, PointHours, Round, mobile_hand_over, visits
from tests.unit.planning.regions import region

CALENDAR = calendar.load(Path(__file__).parents[3] / "config" / "calendar" / "russia.toml")
MAY = tuple(date(2026, 5, 1) + timedelta(days=number) for number in range(14))
WEEKDAYS = (480, 480, 480, 480, 480, 240, 0)


def test_lines_stand_still_on_holidays_and_weekends() -> None:
    hours = LineHours(machines=2, cards_per_hour=10, shifts=(2, 2, 2, 2, 1, 0, 0))
    # 1 May is a Friday and a holiday; 9 May is a Saturday, so Monday the 11th is off instead.
    # The 8th is right before a holiday: an hour less.
    assert hours.capacity(MAY, CALENDAR).tolist() == [0, 0, 0, 320, 320, 320, 320, 140, 0, 0, 0, 320, 320, 320]
    assert hours.shift_cards == 160


def test_a_saturday_worked_by_decree_counts_as_a_friday() -> None:
    saturday = (date(2025, 11, 1),)
    # In place of 3 November, which would have been shortened as well.
    assert LineHours(machines=1, cards_per_hour=5).capacity(saturday, CALENDAR).tolist() == [35]
    assert Round(frozenset({4})).departures(saturday, CALENDAR).tolist() == [True]
    assert Round(frozenset({3})).departures(saturday, CALENDAR).tolist() == [False]


def test_who_works_on_weekends_does_but_on_no_holiday() -> None:
    saturdays = (date(2026, 5, 2), date(2026, 5, 9), date(2026, 5, 16))
    every_day = (1, 1, 1, 1, 1, 1, 1)
    assert LineHours(1, 5, shifts=every_day).capacity(saturdays, CALENDAR).tolist() == [40, 0, 40]
    assert PointHours(1, WEEKDAYS, 12, 100).hand_over(saturdays, CALENDAR).tolist() == [20, 0, 20]
    assert Round(frozenset({5})).departures(saturdays, CALENDAR).tolist() == [True, False, True]


@pytest.mark.parametrize("shifts", [1, 2, 3])
def test_on_the_eve_of_a_holiday_every_shift_is_an_hour_shorter(shifts: int) -> None:
    days = (date(2026, 4, 29), date(2026, 4, 30))
    line = LineHours(machines=3, cards_per_hour=10, shift_hours=8, shifts=(shifts,) * 5 + (0, 0))
    assert line.capacity(days, CALENDAR).tolist() == [240 * shifts, 210 * shifts]
    point = PointHours(windows=2, minutes=WEEKDAYS, minutes_a_card=10, share_percent=100)
    assert point.hand_over(days, CALENDAR).tolist() == [96, 84]
    half_an_hour = PointHours(windows=2, minutes=(30,) * 7, minutes_a_card=10, share_percent=100)
    assert half_an_hour.hand_over(days, CALENDAR).tolist() == [6, 0]


def test_maintenance_takes_machines_and_never_more_than_there_are() -> None:
    works = (Maintenance(MAY[3], MAY[4], 1), Maintenance(MAY[4], MAY[5], 5))
    hours = LineHours(machines=2, cards_per_hour=1, shift_hours=10, maintenance=works)
    assert hours.capacity(MAY[3:7], CALENDAR).tolist() == [10, 0, 0, 20]


def test_windows_times_minutes() -> None:
    hours = PointHours(windows=3, minutes=WEEKDAYS, minutes_a_card=12, share_percent=50)
    assert hours.hand_over(MAY[:5], CALENDAR).tolist() == [0, 30, 0, 60, 60]


def test_couriers_leave_on_their_days_and_rest_on_holidays() -> None:
    days = Round(frozenset({4, 0})).departures(MAY, CALENDAR)
    assert np.flatnonzero(days).tolist() == [3, 7]


def test_a_mobile_office_hands_over_only_where_it_stands() -> None:
    there = visits(MAY, [MAY[4], MAY[12]])
    hours = PointHours(windows=1, minutes=(0,) * 7, minutes_a_card=10, share_percent=100)
    assert mobile_hand_over(there, hours, 300).tolist() == [0] * 4 + [30] + [0] * 7 + [30, 0]
    assert not visits(MAY, [date(2026, 7, 1), date(2026, 1, 1)]).any(), "a stop outside of the plan does not count"
    between = [MAY[0], MAY[3]]
    assert visits(between, [MAY[1]]).tolist() == [False, True], "a stop between two days counts on the later one"


def test_nonsense_is_refused() -> None:
    with pytest.raises(PlanningError):
        LineHours(machines=-1, cards_per_hour=5)
    with pytest.raises(PlanningError):
        LineHours(machines=1, cards_per_hour=5, shifts=(1, 1))
    with pytest.raises(PlanningError):
        PointHours(windows=1, minutes=WEEKDAYS, minutes_a_card=0)


def test_a_trip_brings_what_can_be_handed_over_before_the_next_arrives() -> None:
    given = region(days=6, cohort=100, hand_over=5)
    trips = np.array([[True, False, False, True, True, False]])
    rooms = rooms_of(given, trips)
    assert next_trip(trips).tolist() == [[3, 3, 3, 4, 6, 6]]
    assert rooms.reach.tolist() == [[15, 0, 0, 5, 10, 0]]
    assert rooms.allowance.tolist() == [[15, 0, 0, 5, 10, 0]]


def test_room_is_kept_for_clocks() -> None:
    given = region(days=4, clocks=2, cohort=100, hand_over=5)
    assert rooms_of(given).allowance.tolist() == [[5, 3, 3, 3]]


def test_scarce_things_go_in_order_and_to_the_oldest() -> None:
    assert in_order(np.array([[3, 4, 5], [1, 1, 1]]), np.array([6, 2])).tolist() == [[3, 3, 0], [1, 1, 0]]
    order = np.array([[1, 1, 4], [0, 3, 3]])
    nobody = np.zeros(2, dtype=np.int64)
    assert oldest_first(np.array([4, 3]), nobody, order, 1).tolist() == [1, 0]
    assert oldest_first(np.array([4, 3]), nobody, order, 3).tolist() == [1, 2]
    assert oldest_first(np.array([4, 3]), nobody, order, 5).tolist() == [2, 3]
    assert oldest_first(np.array([4, 3]), nobody, order, 9).tolist() == [4, 3]


def test_lines_that_make_one_variant_only_are_used_first() -> None:
    from issuance.planning.allot import Floor

    lines = tuple(Line(str(n), "", "", makes) for n, makes in enumerate([(0,), (0, 1), (1,), (0, 1)]))
    capacity = np.array([[5], [7], [2], [1]])
    groups = line_groups(Supply(lines, capacity, np.zeros(2, dtype=np.int64), np.zeros((2, 1), dtype=np.int64)))
    by_group = groups.capacity(capacity)[:, 0]
    assert sorted(by_group.tolist()) == [2, 5, 8]
    floor = Floor(by_group, np.zeros((3, 2), dtype=np.int64))
    assert groups.take(floor, np.array([6, 9])).tolist() == [6, 9]
    assert floor.free.sum() == 0
