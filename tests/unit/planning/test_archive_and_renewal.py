"""A plan kept as bytes comes back whole; a plan renewed later keeps the days of those who had one."""

import io
import zlib
from dataclasses import fields, replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings

from issuance.planning.archive import pack, unpack
from issuance.planning.calendar import WorkingCalendar
from issuance.planning.errors import PlanningError
from issuance.planning.facts import PLENTY, Coming, Facts, OfficePoint, Service
from issuance.planning.facts_table import facts_from
from issuance.planning.optimiser import make_plan
from issuance.planning.region import Kind, Region
from issuance.planning.relief import bottlenecks, reliefs
from issuance.planning.remedies import Bottleneck
from issuance.planning.replan import renew, replan
from issuance.planning.timetable import PointHours
from tests.unit.planning.regions import region, regions

POINTS = (OfficePoint("P1", "Один", "One", "71000000", 5), OfficePoint("P2", "Два", "Two", "71000000", 3))
DAYS = tuple(date(2026, 3, day) for day in (2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 16, 17))


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(regions)
def test_a_plan_comes_back_whole(one: Region) -> None:
    plan = make_plan(one)
    again = unpack(pack(plan))
    for part, other in (
        (plan.walk, again.walk),
        (one.demand, again.region.demand),
        (one.delivery, again.region.delivery),
    ):
        for field in fields(part):
            assert np.array_equal(getattr(part, field.name), getattr(other, field.name)), field.name
    assert (again.region.days, again.region.places, again.region.variants) == (one.days, one.places, one.variants)
    assert again.region.supply.lines == one.supply.lines
    assert np.array_equal(again.trips, plan.trips)
    assert (again.cost, again.bound, again.gap) == (plan.cost, plan.bound, plan.gap)
    assert replan(again, one, day=0).moved == replan(plan, one, day=0).moved


@pytest.mark.parametrize("broken", [b"", b"plan", zlib.compress(b"no arrays"), pack(make_plan(region()))[:-9]])
def test_bytes_that_are_no_plan_are_refused(broken: bytes) -> None:
    with pytest.raises(PlanningError, match="make a new plan"):
        unpack(broken)


def test_a_plan_kept_before_transit_counted_working_days_alone_counts_every_day_of_its_own() -> None:
    plan = make_plan(region(days=7, cohort=5))
    with np.load(io.BytesIO(zlib.decompress(pack(plan)))) as found:
        older = {name: found[name] for name in found.files if name != "delivery.worked"}
    file = io.BytesIO()
    np.savez(file, **older)
    again = unpack(zlib.compress(file.getvalue()))
    assert again.region.delivery.worked.tolist() == [True] * 7
    assert len(older) == len(found.files) - 1


def later(one: Region, days: int, made: int) -> Region:
    """The same region some days on, when `made` of the cohort at each point are in batches."""
    known, due = one.demand.known[..., days:].copy(), one.demand.due[..., days:].copy()
    known[:, Kind.COHORT, 0, 0] = one.demand.known[:, Kind.COHORT, 0, 0] - made
    due[:, Kind.COHORT, 0, -1] -= made
    hand_over = one.delivery.hand_over[:, days:].copy()
    return replace(
        one,
        days=one.days[days:],
        supply=replace(one.supply, capacity=one.supply.capacity[:, days:], deliveries=one.supply.deliveries[:, days:]),
        delivery=replace(
            one.delivery,
            departs=one.delivery.departs[:, days:],
            hand_over=hand_over,
            worked=one.delivery.worked[days:],
        ),
        demand=replace(one.demand, known=known, due=due),
    )


def test_a_renewed_plan_keeps_the_days_of_making() -> None:
    one = region(days=20, points=2, cohort=60, capacity=8)
    old = make_plan(one)
    made = old.walk.made[:3, :, Kind.COHORT, 0].sum(axis=0)
    assert made[0] == made[1]
    new = renew(old, later(one, 3, int(made[0])), frozen_until=one.days[2])
    assert np.array_equal(new.walk.made[:-1, :, Kind.COHORT], old.walk.made[3:-1, :, Kind.COHORT])


def test_who_is_new_takes_only_what_is_free() -> None:
    one = region(days=30, cohort=60, capacity=8)
    old = make_plan(one)
    more = region(days=30, cohort=90, capacity=8)
    new = renew(old, more, frozen_until=None)
    first = int((old.walk.made.sum(axis=(1, 2, 3)) > 0).nonzero()[0][-1])
    assert np.array_equal(new.walk.made[:first, :, Kind.COHORT], old.walk.made[:first, :, Kind.COHORT])
    assert new.walk.made.sum() == 90


def test_a_line_that_stands_delays_those_it_must_and_nobody_else() -> None:
    one = region(days=20, cohort=60, capacity=8)
    old = make_plan(one)
    capacity = one.supply.capacity.copy()
    capacity[:, 2:4] = 0
    new = renew(old, replace(one, supply=replace(one.supply, capacity=capacity)), frozen_until=None)
    assert np.array_equal(new.walk.made[:2], old.walk.made[:2])
    assert not new.walk.made[2:4].any()
    behind = np.cumsum(old.walk.made.sum(axis=(1, 2, 3))) - np.cumsum(new.walk.made.sum(axis=(1, 2, 3)))
    assert behind.min() >= 0 and behind[-1] == 0


def test_another_number_of_points_takes_a_new_plan() -> None:
    with pytest.raises(PlanningError, match="new plan"):
        renew(make_plan(region(points=2)), region(points=3), frozen_until=None)


def test_relief_speaks_of_no_more_days_than_there_are() -> None:
    short = make_plan(region(days=20, cohort=400, capacity=8, points=2))
    left = (short.region.days[-1] - short.region.days[0]).days + short.region.prices.beyond_days
    assert {week.bottleneck for week in bottlenecks(short)} >= {Bottleneck.LINES}
    assert all(0 < week.days <= left for week in bottlenecks(short) if week.bottleneck is not Bottleneck.NONE)
    assert all(one.days <= left for one in reliefs(short))
    assert any(one.en.startswith("One more shift on Line in March 2026 brings") for one in reliefs(short))
    closed = replace(short.region, supply=replace(short.region.supply, capacity=short.region.supply.capacity * 0))
    lines = [one.en for one in reliefs(make_plan(closed)) if one.bottleneck is Bottleneck.LINES]
    assert lines and lines[0].startswith("One shift a day on Line in March 2026 brings")


def test_deliveries_count_once_and_overdue_ones_are_believed_to_come() -> None:
    facts = Facts(
        deliveries=(
            Coming(date(2026, 3, 4), 10, "N-1"),
            Coming(date(2026, 3, 7), 20, "N-2"),
            Coming(date(2026, 2, 1), 5),
            Coming(date(2027, 1, 1), 99),
        )
    )
    supply = facts.supply(DAYS, WorkingCalendar(), POINTS, chips=[7], arrived=frozenset({"N-1"}))
    assert supply.chips.tolist() == [7]
    assert supply.deliveries[0].tolist() == [0] * 5 + [20] + [0] * 4 + [5, 0]
    assert Facts().supply(DAYS, WorkingCalendar(), POINTS).chips.tolist() == [PLENTY]


def test_points_follow_the_common_rule_where_they_say_nothing() -> None:
    facts = Facts(
        courier=Service(weekdays=frozenset({0}), transit=2, cost=9.0),
        points={"P2": Service(weekdays=frozenset({1, 2}), storage=4, hours=PointHours(2, (60,) * 5 + (0, 0)))},
        windows=1.5,
    )
    delivery = facts.delivery(DAYS, WorkingCalendar(), POINTS)
    assert [[day.weekday() for day, goes in zip(DAYS, row, strict=True) if goes] for row in delivery.departs] == [
        [0, 0, 0],
        [1, 2, 1, 2, 1],
    ]
    assert delivery.transit.tolist() == [2, 2] and delivery.cost.tolist() == [9.0, 9.0]
    # Five a day, and two windows of an hour with half of it for cards of twelve minutes; half as many more.
    assert delivery.hand_over[:, 0].tolist() == [7, 7]
    assert [place.storage for place in facts.places(POINTS)] == [100, 4]


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        ({"lines": [{"code": "L", "machines": 1, "cards_per_hour": 1, "kind": "wish"}]}, "kind"),
        ({"lines": [{"code": "L", "machines": 1, "cards_per_hour": 1}] * 2}, "Two lines"),
        ({"lines": [{"machines": 1, "cards_per_hour": 1}]}, "code"),
        ({"lines": [{"code": "L", "machines": 1, "cards_per_hour": 1, "maintenance": [{"first": "x"}]}]}, "read"),
        ({"lines": [{"code": "L", "machines": 1, "cards_per_hour": 1, "shifts": [1]}]}, "seven"),
        ({"lines": 5}, "read"),
        ({"chips": {"deliveries": [{"day": "2026-03-02", "count": -1}]}}, "negative"),
        ({"chips": {"deliveries": [{"day": "2026-03-02"}]}}, "chips: 'count' is missing"),
        ({"lines": [{"code": "L", "machines": -1, "cards_per_hour": 1}]}, "Line L: -1 is a negative"),
        ({"lines": [{"code": "L", "machines": 2.5, "cards_per_hour": 1}]}, "Line L: 2.5 is no whole"),
        ({"lines": [{"code": "L", "machines": float("inf"), "cards_per_hour": 1}]}, "Line L: an entry cannot be read"),
        ({"lines": [{"code": "L", "machines": 10**9, "cards_per_hour": 10**9}]}, "Line L: A line makes"),
        (
            {
                "lines": [
                    {
                        "code": "L",
                        "machines": 1,
                        "cards_per_hour": 1,
                        "maintenance": [{"first": "2026-03-09", "last": "2026-03-02", "machines": 1}],
                    }
                ]
            },
            "Line L: A maintenance ends before",
        ),
        ({"points": {"P1": {"storage": 10**30}}}, "Point P1: .* more than there can be"),
        ({"points": {"P1": {"stops": ["soon"]}}}, "Point P1: an entry cannot be read"),
        ({"points": {"P1": {"minutes": [1441] * 7}}}, "Point P1: A day has 1440"),
        ({"points": {"P1": {"windows": 10**9}}}, "Point P1: A point has no such number"),
        ({"windows": {"factor": 1e300}}, "sense"),
        ({"bureaux": {"B": {"days": -3}}}, "Bureau B: -3 is a negative"),
        ({"courier": {"weekdays": [7]}}, "Weekdays"),
        ({"points": {"P1": {"minutes": [1, 2]}}}, "seven"),
        ({"intake": {"factor": float("nan")}}, "sense"),
        ({"windows": {"factor": "many"}}, "read"),
        ({"weather": {}}, "weather"),
        ({"points": []}, "read"),
    ],
)
def test_a_wrong_table_is_named(table: dict[str, object], wrong: str) -> None:
    with pytest.raises(PlanningError, match=wrong):
        facts_from(table)
