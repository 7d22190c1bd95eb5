"""Plans of small regions worked out by hand, the gap on larger ones, and what a dual price promises."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from issuance.planning import calendar
from issuance.planning.cost import cost_of
from issuance.planning.errors import PlanningError
from issuance.planning.forward import course_of, walk
from issuance.planning.lateness import Reason, explain, late_cards
from issuance.planning.lots import trips_worth_running
from issuance.planning.optimiser import make_plan
from issuance.planning.region import Kind, Region
from issuance.planning.relaxation import relax
from issuance.planning.relief import bottlenecks, reliefs
from issuance.planning.remedies import Bottleneck
from issuance.planning.replan import replan
from issuance.planning.sample import sample_region
from tests.unit.planning.regions import region

CALENDAR = calendar.load(Path(__file__).parents[3] / "config" / "calendar" / "russia.toml")


@pytest.fixture(scope="module")
def town() -> Region:
    return sample_region(calendar=CALENDAR, start=date(2026, 1, 12), days=80, lines=6, points=20, cohort=40_000)


def test_a_card_is_made_when_known_leaves_the_next_morning_and_is_handed_over_that_day() -> None:
    plan = make_plan(region(days=4, clocks=3))
    assert plan.walk.made[:, 0, Kind.CLOCK, 0].tolist() == [3, 3, 3, 3]
    assert plan.walk.left[:, 0, Kind.CLOCK, 0].tolist() == [0, 3, 3, 3]
    assert plan.walk.handed[:, 0, Kind.CLOCK, 0].tolist() == [0, 3, 3, 3]
    assert plan.gap == pytest.approx(0, abs=1e-6)
    assert not late_cards(plan)


def test_clocks_go_before_the_cohort_which_takes_what_is_left() -> None:
    plan = make_plan(region(days=6, clocks=4, cohort=100, capacity=10))
    assert plan.walk.made[:, 0, Kind.CLOCK, 0].tolist() == [4] * 6
    # What is made on the last day leaves after the plan, so no cohort card is made for it.
    assert plan.walk.made[:, 0, Kind.COHORT, 0].tolist() == [6, 6, 6, 6, 6, 0]


def test_points_of_one_size_get_on_alike() -> None:
    plan = make_plan(region(days=30, points=4, cohort=100, capacity=10))
    handed = plan.walk.handed[:, :, Kind.COHORT, 0].sum(axis=0)
    assert handed.sum() == 290
    assert handed.max() - handed.min() <= 4


def test_no_more_is_brought_than_a_point_can_hand_over() -> None:
    plan = make_plan(region(days=20, cohort=200, capacity=100, hand_over=7))
    assert plan.walk.stock.max() == 0
    assert (plan.walk.handed[1:].sum(axis=(1, 2, 3)) == 7).all()


def test_dear_trips_are_put_together_and_cheap_ones_run() -> None:
    cheap, dear = (make_plan(region(days=20, clocks=2, cost=cost)) for cost in (1.0, 100.0))
    trips = [int((plan.walk.left.sum(axis=(1, 2, 3)) > 0).sum()) for plan in (cheap, dear)]
    assert trips[0] == 19
    assert trips[1] <= 7
    assert dear.cost.total < cheap.cost.people + 19 * 100.0
    assert not late_cards(dear)


def test_lots_wait_for_no_trip_past_their_clock() -> None:
    plan = make_plan(region(days=20, clocks=1, clock_days=4, cost=800.0))
    assert plan.cost.lateness == 0
    assert (plan.walk.left.sum(axis=(1, 2, 3)) > 0).sum() < 10


def test_lots_are_the_cheapest_of_all_sets_of_trips() -> None:
    """Against all 2^7 sets of trips of a small region, by the cost of walking each."""
    small = region(days=8, clocks=3, clock_days=5, cost=60.0)
    targets = relax(small).targets
    every = walk(course_of(small, targets=targets))
    chosen = trips_worth_running(small, every)
    costs = []
    for code in range(2**7):
        trips = np.array([[False, *(bool(code >> n & 1) for n in range(7))]])
        costs.append(cost_of(small, walk(course_of(small, targets=targets, trips=trips))).total)
    assert cost_of(small, walk(course_of(small, targets=targets, trips=chosen))).total == pytest.approx(min(costs))


def test_the_gap_of_a_town_is_small(town: Region) -> None:
    with_trips = make_plan(town)
    assert 0 <= with_trips.gap < 0.05
    free = make_plan(replace(town, delivery=replace(town.delivery, cost=town.delivery.cost * 0)))
    assert 0 <= free.gap < 0.03
    assert with_trips.cost.trips < 0.7 * float((town.delivery.departs.sum(axis=1) * town.delivery.cost).sum())


@pytest.mark.parametrize("cost", [0.0, 40.0])
def test_the_bound_knows_the_couriers_days_and_never_loses_by_their_cost(cost: float) -> None:
    """Clocks that are late already, more people than lines, a courier every third day: plan and bound are close."""
    given = region(days=30, points=4, capacity=40, clocks=2, clock_days=1, cohort=200, hand_over=60, cost=cost)
    departs = np.zeros_like(given.delivery.departs)
    departs[:, ::3] = True
    given = replace(given, delivery=replace(given.delivery, departs=departs))
    plan = make_plan(given)
    assert 0 <= plan.gap < 0.05
    assert plan.bound >= relax(given).bound


def test_a_cohort_alone_waits_for_fuller_trips_where_lines_are_short(town: Region) -> None:
    """Waiting for a fuller trip lets another point's cards leave: the plan and its bound both know it."""
    nobody = np.zeros_like(town.demand.known[:, : Kind.COHORT])
    known, due = town.demand.known.copy(), town.demand.due.copy()
    known[:, : Kind.COHORT], due[:, : Kind.COHORT] = nobody, 0
    alone = replace(town, demand=replace(town.demand, known=known, due=due))
    plan = make_plan(alone)
    assert plan.bound > 1.03 * plan.relaxed.bound, "the cohort's trips are in the bound"
    assert plan.gap < 0.1
    large = sample_region(calendar=CALENDAR, start=date(2026, 1, 12), days=120, lines=10, points=30, cohort=300_000)
    known, due = large.demand.known.copy(), large.demand.due.copy()
    known[:, : Kind.COHORT], due[:, : Kind.COHORT] = 0, 0
    alone = replace(large, demand=replace(large.demand, known=known, due=due))
    patient = make_plan(alone)
    assert 0 < patient.gap < 0.05
    every = walk(course_of(alone, targets=patient.relaxed.targets))
    kept = trips_worth_running(alone, every)
    fewer = trips_worth_running(alone, every, patience=0.5)
    assert fewer.sum() < kept.sum() < alone.delivery.departs.sum()


def test_full_trips_are_what_a_point_pays_at_least() -> None:
    """A hundred cards and couriers that carry fifty for 400: the bound has both trips, and a day that all wait."""
    given = region(days=8, cohort=100, capacity=100, hand_over=100, cost=400.0)
    given = replace(given, delivery=replace(given.delivery, volume=np.array([50])))
    plan = make_plan(given)
    assert plan.cost.trips == 800.0
    # All are made on the first day: fifty leave on the second, fifty on the third.
    assert plan.cost.people == pytest.approx(100 + 50)
    assert plan.bound == pytest.approx(800 + 100)


def test_half_the_capacity_needed_makes_half_of_the_clocks_late_and_the_later_ones() -> None:
    plan = make_plan(region(days=20, clocks=10, clock_days=3, capacity=5))
    slots, _ = plan.pieces
    made = slots.made[(slots.made >= 0) & (slots.made < 20)]
    assert (np.diff(made) >= 0).all()
    late = late_cards(plan)
    assert {one.reason for one in late} == {Reason.NO_LINES}
    assert plan.cost.lateness > 0


def test_a_shadow_price_is_what_more_capacity_saves_at_most(town: Region) -> None:
    base = relax(town)
    day = 20
    capacity = town.supply.capacity.copy()
    capacity[1, day : day + 10] += 5
    richer = relax(replace(town, supply=replace(town.supply, capacity=capacity)))
    promised = 5 * float(base.lines[1, day : day + 10].sum())
    saved = base.bound - richer.bound
    assert promised > 0
    assert saved <= promised * 1.001 + 1
    assert saved >= 0.8 * promised


def test_the_bottleneck_is_what_is_short() -> None:
    lines = make_plan(region(days=30, cohort=400, capacity=10))
    assert bottlenecks(lines)[0].bottleneck is Bottleneck.LINES
    chips = make_plan(region(days=30, cohort=400, capacity=100, chips=50))
    assert bottlenecks(chips)[0].bottleneck is Bottleneck.CHIPS
    windows = make_plan(region(days=30, cohort=400, capacity=100, hand_over=5))
    assert bottlenecks(windows)[0].bottleneck is Bottleneck.WINDOWS
    nothing = make_plan(region(days=30, clocks=1))
    assert {week.bottleneck for week in bottlenecks(nothing)} == {Bottleneck.NONE}
    assert not reliefs(nothing)


def test_what_would_relieve_it_is_said_in_words() -> None:
    best = reliefs(make_plan(region(days=30, cohort=400, capacity=10)))[0]
    assert best.en == "One more shift on Line in March 2026 brings 130 cards forward by 41 days."
    assert best.ru == "Ещё одна смена (Линия) в марте 2026: карт раньше — 130, дней — 41."
    chips = reliefs(make_plan(region(days=30, cohort=400, capacity=100, chips=50)))[0]
    assert "1,000 more chips V0" in chips.en
    assert "чипов V0" in chips.ru


def test_a_place_in_the_queue_is_explained() -> None:
    plan = make_plan(region(days=30, cohort=400, capacity=10))
    place = explain(plan, point=0, kind=Kind.COHORT, variant=0, number=25)
    assert (place.made, place.left, place.arrives, place.promised) == (2, 3, 3, 3)
    assert "25 cards are ahead" in place.en
    assert "Line" in place.en
    last = explain(plan, point=0, kind=Kind.COHORT, variant=0, number=399)
    assert last.promised == 30
    assert "The lines are short." in last.en and last.reason is Reason.NO_LINES
    for number in (-1, 400):
        with pytest.raises(IndexError):
            explain(plan, point=0, kind=Kind.COHORT, variant=0, number=number)


def test_a_line_that_stops_moves_only_who_must_move(town: Region) -> None:
    plan = make_plan(town)
    assert replan(plan, town, day=30, frozen=3).moved == ()
    capacity = town.supply.capacity.copy()
    capacity[2, 35:38] = 0
    lost = int(plan.region.supply.capacity[2, 35:38].sum())
    again = replan(plan, replace(town, supply=replace(town.supply, capacity=capacity)), day=30, frozen=3)
    assert (again.plan.walk.made[:33] == plan.walk.made[:33]).all()
    assert again.later >= lost // 2
    assert again.earlier <= again.later
    days = len(town.days)
    assert all(0 <= one.was <= days and 0 <= one.now <= days and one.count > 0 for one in again.moved)
    told = {
        (one.point, one.kind, one.variant, n) for one in again.moved for n in range(one.first, one.first + one.count)
    }
    assert len(told) == sum(one.count for one in again.moved)


def test_doubled_intake_goes_first_and_the_cohort_waits(town: Region) -> None:
    plan = make_plan(town)
    known, due = town.demand.known.copy(), town.demand.due.copy()
    # The clock is of 20 days, so who is known from day 31 on is due from day 51 on.
    known[:, Kind.CLOCK, :, 31:] *= 2
    due[:, Kind.CLOCK, :, 51:] *= 2
    again = replan(plan, replace(town, demand=replace(town.demand, known=known, due=due)), day=30)
    assert again.plan.cost.lateness <= plan.cost.lateness + 1
    assert {one.kind for one in again.moved if one.now > one.was} <= {Kind.COHORT}


def test_facts_of_another_region_are_refused(town: Region) -> None:
    plan = make_plan(region(days=10))
    with pytest.raises(PlanningError, match="same days"):
        replan(plan, town, day=1)
    with pytest.raises(PlanningError, match="outside"):
        replan(plan, plan.region, day=10)


def test_input_that_does_not_fit_together_is_refused() -> None:
    good = region(days=5, clocks=1)
    bad = [
        {"days": good.days[::-1]},
        {"days": good.days[:3]},
        {"places": ()},
        {"supply": replace(good.supply, chips=np.array([-1]))},
        {"supply": replace(good.supply, lines=(replace(good.supply.lines[0], makes=(4,)),))},
        {"delivery": replace(good.delivery, volume=np.zeros(2, dtype=np.int64))},
        {"demand": replace(good.demand, due=good.demand.due * 0)},
    ]
    for change in bad:
        with pytest.raises(PlanningError):
            replace(good, **change)
