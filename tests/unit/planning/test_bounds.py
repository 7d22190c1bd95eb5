"""What no plan can beat: the points' chains of trips at prices, worked out by hand, and how close the bound comes."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from issuance.planning import calendar
from issuance.planning.bounds import bound_with_trips
from issuance.planning.chains import Chains
from issuance.planning.cost import cost_of
from issuance.planning.errors import PlanningError
from issuance.planning.forward import course_of, walk
from issuance.planning.optimiser import make_plan
from issuance.planning.region import Kind, Region
from issuance.planning.relaxation import finished_prices
from issuance.planning.sample import sample_region
from issuance.planning.solver import Running, Solved
from tests.unit.planning.regions import region, regions

CALENDAR = calendar.load(Path(__file__).parents[3] / "config" / "calendar" / "russia.toml")


def town(*, load: float = 0.95, cost: float = 1.0, points: int = 8) -> Region:
    given = sample_region(
        calendar=CALENDAR, start=date(2026, 1, 12), days=40, lines=3, points=points, cohort=1500 * points, load=load
    )
    return replace(given, delivery=replace(given.delivery, cost=given.delivery.cost * cost))


def only_clocks(given: Region) -> Region:
    known, due = given.demand.known.copy(), given.demand.due.copy()
    known[:, Kind.COHORT], due[:, Kind.COHORT] = 0, 0
    return replace(given, demand=replace(given.demand, known=known, due=due))


def nothing_sold(given: Region) -> np.ndarray:
    return np.zeros((len(given.variants), len(given.days)))


def test_a_point_pays_for_trips_and_waiting_what_the_cheapest_of_all_sets_of_trips_costs() -> None:
    """Cards for nothing: against all 2^7 sets of trips, walked."""
    small = region(days=8, clocks=3, clock_days=5, cost=60.0)
    chains = Chains(small)
    least = chains.least(nothing_sold(small), np.ones(1))
    costs = []
    for code in range(2**7):
        trips = np.array([[False, *(bool(code >> n & 1) for n in range(7))]])
        targets = np.zeros((1, 1, 8), dtype=np.int64)
        costs.append(cost_of(small, walk(course_of(small, targets=targets, trips=trips))).total)
    assert float(least.value.sum()) + chains.base == pytest.approx(min(costs))


def test_cards_leave_when_they_are_cheap_and_nobody_pays_more_than_waiting_costs() -> None:
    given = region(days=6, cohort=10)
    prices = np.array([[100.0, 100.0, 100.0, 3.0, 3.0, 3.0]])
    bought = Chains(given).least(prices, np.ones(1)).leaves
    assert bought[0, 0].tolist() == [0, 0, 0, 10, 0, 0]
    dear = Chains(given).least(prices + 1000.0, np.ones(1)).leaves
    assert dear.sum() == 0


def test_clocks_too_may_stay_where_cards_are_dearer_than_waiting() -> None:
    given = region(days=4, clocks=1)
    chains = Chains(given)
    never = chains.least(np.full((1, 4), 1e6), np.ones(1))
    assert never.leaves.sum() == 0
    closed = replace(given, delivery=replace(given.delivery, volume=np.array([0])))
    nobody_leaves = cost_of(given, walk(course_of(closed, targets=np.zeros((1, 1, 4), dtype=np.int64)))).total
    assert float(never.value.sum()) + chains.base == pytest.approx(nobody_leaves)


def test_where_only_clocks_are_served_and_lines_are_not_short_the_bound_is_the_plan() -> None:
    plan = make_plan(only_clocks(town()))
    assert plan.cost.trips > 0
    assert 0 <= plan.gap < 0.005


@pytest.mark.parametrize(
    ("load", "cost", "most"),
    [(0.95, 1.0, 0.08), (0.5, 1.0, 0.082), (1.2, 1.0, 0.065), (0.95, 0.2, 0.05), (0.5, 4.0, 0.105)],
)
def test_the_gap_of_a_few_points_is_known_with_idle_lines_short_ones_and_dear_trips(
    load: float, cost: float, most: float
) -> None:
    plan = make_plan(town(load=load, cost=cost))
    assert 0 <= plan.gap < most


def test_more_is_looked_for_only_where_it_is_wanted() -> None:
    """At the first prices the bound is a bound; with better ones it is closer."""
    given = town(load=0.5, points=4)
    first, closer = (bound_with_trips(given, enough=enough) for enough in (0.0, np.inf))
    assert first < closer * 0.999
    assert closer <= make_plan(given).cost.total


@pytest.mark.parametrize("failing", [2, 3, 4, 5])
def test_a_plan_comes_though_the_solver_fails_at_its_bound(monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    """It solves the programme, and fails at its first prices, at the centre, at a step, or at the centre again."""
    calls, solve = [], Running.solve

    def solved(running: Running) -> Solved:
        calls.append(running)
        if len(calls) >= failing:
            raise PlanningError("The planner found no optimum: check the input.")
        return solve(running)

    monkeypatch.setattr(Running, "solve", solved)
    plan = make_plan(town(load=0.5, points=4))
    assert len(calls) == failing
    assert plan.relaxed.bound <= plan.bound <= plan.cost.total


@given(regions, st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_no_prices_make_a_bound_that_a_walk_beats(given: Region, seed: int) -> None:
    """Whatever was tried at however many prices, no walk towards targets by chance costs less."""
    random = np.random.default_rng(seed)
    bound = bound_with_trips(given, enough=np.inf)
    people = int(given.demand.known[:, Kind.COHORT].sum()) + 1
    targets = np.sort(random.integers(0, people, (len(given.places), len(given.variants), len(given.days))), axis=-1)
    for share in (1.0, 0.6):
        trips = given.delivery.departs & (random.random(given.delivery.departs.shape) < share)
        cost = cost_of(given, walk(course_of(given, targets=targets, trips=trips))).total
        assert bound <= cost * (1 + 1e-6) + 1e-3


@given(regions)
@settings(max_examples=15, deadline=None)
def test_a_finished_card_is_worth_no_more_later(given: Region) -> None:
    prices = finished_prices(given)
    assert (prices >= 0).all()
    assert (np.diff(prices, axis=1) <= 1e-6).all()
