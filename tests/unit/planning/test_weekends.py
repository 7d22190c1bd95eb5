"""Weekend days of a plan make nobody's way shorter: transit counts the days that the calendar works."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.facts import Facts, OfficePoint, Service
from issuance.planning.lateness import explain
from issuance.planning.optimiser import make_plan
from issuance.planning.region import CLASSES, Demand, Kind, Region, last_departures
from issuance.planning.timetable import PointHours
from tests.unit.planning.regions import regions

POINTS = (OfficePoint("P1", "Один", "One", "71000000", 5), OfficePoint("P2", "Два", "Two", "71000000", 3))
MONDAY, FRIDAY = date(2026, 12, 7), date(2026, 12, 11)
LAST = date(2027, 1, 15)
SATURDAYS = Service(hours=PointHours(1, (480,) * 5 + (240, 0)))
# A holiday in the week, and a Saturday worked by decree.
CALENDAR = WorkingCalendar(holidays=frozenset({(12, 16), (1, 1)}), working_days=frozenset({date(2026, 12, 19)}))


def office(facts: Facts, calendar: WorkingCalendar) -> Region:
    """Three of a cohort wait at the second point for what is made before the courier of the first Friday."""
    days = facts.days(MONDAY, LAST, calendar, POINTS)
    known = np.zeros((2, CLASSES, 1, len(days)), dtype=np.int64)
    due = np.zeros((2, CLASSES, 1, len(days) + 1), dtype=np.int64)
    known[1, Kind.COHORT, 0, 0] = due[1, Kind.COHORT, 0, -1] = 3
    nothing = np.zeros((2, CLASSES, 1), dtype=np.int64)
    return Region(
        days,
        ("V",),
        facts.places(POINTS),
        facts.supply(days, calendar, POINTS),
        facts.delivery(days, calendar, POINTS),
        Demand(known, due, nothing, nothing.copy()),
    )


@pytest.mark.parametrize("points", [{}, {"P1": SATURDAYS}], ids=["nobody", "the other point"])
def test_who_waits_at_a_point_is_promised_the_same_day_whoever_is_open_on_saturdays(points: dict[str, Service]) -> None:
    facts = Facts(courier=Service(weekdays=frozenset({4}), transit=2), points=points)
    plan = make_plan(office(facts, WorkingCalendar()))
    days = plan.region.days
    found = explain(plan, point=1, kind=Kind.COHORT, variant=0, number=2)
    assert (days[found.left], days[found.arrives], days[found.promised]) == (
        FRIDAY,
        date(2026, 12, 15),
        date(2026, 12, 15),
    )


def promises(facts: Facts) -> dict[date, date | None]:
    """By each day on which a courier leaves for the second point, the first on which it hands over what came."""
    days = facts.days(MONDAY, LAST, CALENDAR, POINTS)
    delivery = facts.delivery(days, CALENDAR, POINTS)
    found: dict[date, date | None] = {}
    for left in np.flatnonzero(delivery.departs[1]):
        arrives = int(delivery.arrives[1, left])
        opened = np.flatnonzero(delivery.hand_over[1, arrives:])
        found[days[left]] = days[arrives + int(opened[0])] if len(opened) else None
    return found


weekdays = st.frozensets(st.integers(0, 6))
hours = st.lists(st.sampled_from([0, 240, 480]), min_size=7, max_size=7).map(lambda week: PointHours(1, tuple(week)))


@given(weekdays, st.integers(0, 9), st.none() | hours, hours, weekdays)
def test_no_day_off_on_which_another_point_works_moves_anybodys_promise(
    rounds: frozenset[int], transit: int, own: PointHours | None, other: PointHours, others: frozenset[int]
) -> None:
    usual = Facts(points={"P2": Service(rounds, transit=transit, hours=own)})
    another = Service(others, hours=other, transit=3)
    assert promises(replace(usual, points={**usual.points, "P1": another})) == promises(usual)


@given(regions, st.booleans())
def test_a_card_leaves_in_time_on_the_last_trip_that_arrives_by_its_due_day(one: Region, every: bool) -> None:
    days = len(one.days)
    if every:
        one = replace(one, delivery=replace(one.delivery, worked=np.ones(days, dtype=np.bool_)))
        for point, transit in enumerate(one.delivery.transit):
            assert one.delivery.arrives[point].tolist() == [min(day + transit, days) for day in range(days)] + [days]
    wanted = np.zeros_like(one.demand.due)
    wanted[..., days] = one.demand.due[..., days]
    for point, arrives in enumerate(one.delivery.arrives):
        for due in range(days):
            last = max((left for left in range(days) if arrives[left] <= due), default=0)
            wanted[point, ..., last] += one.demand.due[point, ..., due]
    assert np.array_equal(last_departures(one), wanted)


def test_the_way_counts_the_calendars_days_and_a_trip_without_one_arrives_on_its_own_day() -> None:
    facts = Facts(points={"P1": Service(frozenset({4}), transit=3), "P2": Service(stops=(date(2026, 12, 16),))})
    days = facts.days(MONDAY, LAST, CALENDAR, POINTS)
    delivery = facts.delivery(days, CALENDAR, POINTS)
    friday, stop = days.index(FRIDAY), days.index(date(2026, 12, 16))
    assert not delivery.worked[stop], "a holiday on which a mobile office stands"
    assert days[delivery.arrives[0, friday]] == date(2026, 12, 17)
    assert days[delivery.arrives[0, friday + 4]] == date(2026, 12, 19) + timedelta(days=2)
    assert delivery.arrives[1, stop] == stop and delivery.arrives[0, -1] == len(days)
