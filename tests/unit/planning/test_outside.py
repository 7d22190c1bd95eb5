"""Lines with a price and a lead: a bureau gets what own lines cannot make, where less waiting is worth the price."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from issuance.planning.allot import line_groups
from issuance.planning.archive import pack, unpack
from issuance.planning.calendar import WorkingCalendar
from issuance.planning.cost import cost_of
from issuance.planning.errors import PlanningError
from issuance.planning.facts import OfficePoint, Partner
from issuance.planning.facts_table import facts_from
from issuance.planning.optimiser import Plan, make_plan
from issuance.planning.region import BUREAU, Counts, Kind, Line, Region, Supply
from issuance.planning.relief import reliefs
from issuance.planning.replan import _kept, renew, replan
from issuance.planning.twin import Setting, simulate
from tests.unit.planning.regions import region, regions
from uec.domain.lifecycle import CARD

DAYS = tuple(date(2026, 3, 2) + timedelta(days=number) for number in range(5))
POINTS = (OfficePoint("A", "А", "A", "71000000", 30),)
NORTH = Partner("NORTH", "Северное бюро", 20)


def with_bureau(home: Region, *, price: float, daily: int = 10, lead: int = 0) -> Region:
    """The region with a bureau that makes every variant."""
    line = Line("B", "Бюро", "Bureau", tuple(range(len(home.variants))), daily, BUREAU, price, lead)
    row = np.full((1, len(home.days)), daily, dtype=np.int64)
    row[0, :lead] = 0
    supply = home.supply
    return replace(
        home,
        supply=Supply((*supply.lines, line), np.concatenate([supply.capacity, row]), supply.chips, supply.deliveries),
    )


def given_away(plan: Plan) -> Counts:
    """[D] cards that the bureau makes."""
    number = next(n for n, line in enumerate(plan.region.supply.lines) if line.kind == BUREAU)
    _, batches = plan.pieces
    ours = batches.line == number
    found = np.zeros(len(plan.region.days), dtype=np.int64)
    np.add.at(found, batches.made[ours], batches.count[ours])
    return found


@pytest.mark.parametrize(("price", "least", "most"), [(0.5, 60, 120), (1000.0, 0, 0)])
def test_a_bureau_is_used_as_far_as_it_is_worth_its_price(price: float, least: int, most: int) -> None:
    home = region(days=20, capacity=5, cohort=120)
    plan = make_plan(with_bureau(home, price=price))
    assert least <= given_away(plan).sum() <= most
    assert plan.cost.making == pytest.approx(price * given_away(plan).sum())
    assert plan.bound <= plan.cost.total * (1 + 1e-9)
    assert plan.cost.total <= make_plan(home).cost.total * (1 + 1e-9)


def test_own_lines_go_first_and_nothing_comes_back_before_its_lead() -> None:
    home = region(days=20, capacity=5, cohort=120)
    plan = make_plan(with_bureau(home, price=0.5, lead=6))
    away = given_away(plan)
    assert away[:6].sum() == 0
    made = plan.walk.made.sum(axis=(1, 2, 3))
    assert (made[away > 0] - away[away > 0] == 5).all(), "on no day is a bureau asked while an own line stands idle"


def test_a_clock_that_own_lines_cannot_keep_is_worth_any_price() -> None:
    home = region(days=12, capacity=3, clocks=5, clock_days=3)
    plan = make_plan(with_bureau(home, price=150.0))
    late = make_plan(home).cost.lateness
    assert late > 0
    assert plan.cost.lateness < late
    assert given_away(plan).sum() > 0


def test_the_bureau_takes_over_when_an_own_line_stops_and_days_stay() -> None:
    home = region(days=20, capacity=10, cohort=100)
    plan = make_plan(with_bureau(home, price=900.0))
    assert given_away(plan).sum() == 0
    stopped = plan.region.supply.capacity.copy()
    stopped[0] = 0
    found = replan(plan, replace(plan.region, supply=replace(plan.region.supply, capacity=stopped)), day=3)
    assert given_away(found.plan)[3:].sum() > 0
    assert found.later == 0, "promised days move only when they must"


def test_a_bureau_that_is_there_no_more_or_is_new_can_be_planned_anew() -> None:
    home = region(days=20, capacity=5, cohort=120)
    joint = with_bureau(home, price=0.5)
    plan = make_plan(joint)
    gone = replan(plan, home, day=2)
    assert gone.later > 0
    assert gone.plan.walk.used.shape[1] == 1
    back = replan(make_plan(home), joint, day=2)
    assert back.plan.walk.used.shape[1] == 2
    assert back.later == 0


def test_the_next_morning_counts_what_was_cut_ahead_for_a_bureau_once() -> None:
    home = region(days=20, capacity=5, cohort=120)
    old = make_plan(with_bureau(home, price=0.5, lead=3))
    away = given_away(old)
    own = old.walk.made.sum(axis=(1, 2, 3)) - away
    # Frozen are days 0 and 1; of the bureau also days 2 to 4, whose cards had to be ordered by then.
    cut = int(own[:2].sum() + away[:5].sum())
    assert away[3:5].sum() > 0
    rest = _next_morning(old, cut)
    new = renew(old, rest, frozen_until=old.region.days[1])
    left = np.cumsum(np.where(np.arange(20) < 2, 0, own) + np.where(np.arange(20) < 5, 0, away))
    assert _kept(old, rest, old.region.days[1])[:, 0, 0].tolist() == left[1:].tolist()
    assert np.cumsum(new.walk.made.sum(axis=(1, 2, 3))).tolist() == left[1:].tolist()


def test_what_was_cut_ahead_is_reckoned_by_the_days_that_the_calendar_works() -> None:
    """A Thursday is a holiday with a mobile office, the Saturday after it is worked by decree."""
    home = region(days=20, capacity=5, cohort=120)
    worked = home.delivery.worked.copy()
    worked[[3, 6]] = False
    home = replace(home, delivery=replace(home.delivery, worked=worked))
    old = make_plan(with_bureau(home, price=0.5, lead=3))
    away = given_away(old)
    own = old.walk.made.sum(axis=(1, 2, 3)) - away
    assert away[5] > 0
    # Frozen are days 0 and 1; of the bureau also the three working days after them: 2, 4 and 5.
    left = np.cumsum(np.where(np.arange(20) < 2, 0, own) + np.where(np.arange(20) < 6, 0, away))
    assert _kept(old, old.region, old.region.days[1])[:, 0, 0].tolist() == left.tolist()


def _next_morning(old: Plan, cut: int) -> Region:
    """The region of the next morning: so many of the cohort are in batches, and lines do those first."""
    first, demand, supply = 1, old.region.demand, old.region.supply
    known, due = demand.known[..., first:].copy(), demand.due[..., first:].copy()
    known[0, Kind.COHORT, 0, 0] = demand.known[0, Kind.COHORT, 0, 0] - cut
    due[0, Kind.COHORT, 0, -1] -= cut
    capacity = supply.capacity[:, first:].copy()
    capacity[0, 0] = 0
    capacity[1, :4] = 0
    return replace(
        old.region,
        days=old.region.days[first:],
        supply=replace(supply, capacity=capacity, deliveries=supply.deliveries[:, first:]),
        delivery=replace(
            old.region.delivery,
            departs=old.region.delivery.departs[:, first:],
            hand_over=old.region.delivery.hand_over[:, first:],
            worked=old.region.delivery.worked[first:],
        ),
        demand=replace(demand, known=known, due=due),
    )


@settings(max_examples=30)
@given(regions, st.sampled_from([0.0, 0.7, 40.0]), st.integers(0, 4))
def test_no_price_makes_a_plan_cheaper_than_its_bound_or_exceed_a_line(home: Region, price: float, lead: int) -> None:
    joint = with_bureau(home, price=price, lead=min(lead, len(home.days)))
    plan = make_plan(joint)
    assert plan.bound <= plan.cost.total * (1 + 1e-6) + 1e-6
    groups = line_groups(joint.supply)
    assert (groups.capacity(joint.supply.capacity) >= plan.walk.used.sum(axis=2).T).all()
    assert (plan.walk.used.sum(axis=1) == plan.walk.made.sum(axis=(1, 2))).all()
    again = unpack(pack(plan))
    assert again.cost == plan.cost
    assert again.region.supply.lines == joint.supply.lines
    assert cost_of(joint, again.walk) == plan.cost


def test_the_twin_lives_with_a_bureau_and_relief_speaks_of_one() -> None:
    joint = with_bureau(region(days=40, capacity=3, cohort=300), price=0.5, daily=4)
    outcome = simulate(joint, seed=3, setting=Setting(CARD))
    assert outcome.handed > 0
    words = " ".join(one.en for one in reliefs(make_plan(joint)))
    assert "Twice the cards a day from Bureau" in words
    assert "One more shift on Line" in words


def test_bureaux_join_the_facts_as_far_as_the_office_uses_them() -> None:
    calendar = WorkingCalendar()
    facts = facts_from({}).joined([NORTH])
    supply = facts.supply(DAYS, calendar, POINTS)
    assert [line.code for line in supply.lines] == ["centre", "NORTH"]
    assert supply.capacity[1].tolist() == [20] * 5
    told = facts_from({"bureaux": {"NORTH": {"daily": 8, "price": 30, "days": 4}}}).joined([NORTH])
    line = told.supply(DAYS, calendar, POINTS).lines[1]
    assert (line.kind, line.price, line.lead, line.shift) == (BUREAU, 30.0, 4, 8)
    assert told.supply(DAYS, calendar, POINTS).capacity[1].tolist() == [8] * 5
    forbidden = facts_from({"bureaux": {"NORTH": {"use": False}}}).joined([NORTH])
    assert forbidden.supply(DAYS, calendar, POINTS).capacity[1].tolist() == [0] * 5
    named = facts_from({"lines": [{"code": "SOUTH", "kind": "bureau", "machines": 1, "cards_per_hour": 9}]})
    assert named.joined([NORTH]).supply(DAYS, calendar, POINTS).capacity.tolist() == [[0] * 5, [20] * 5], (
        "a bureau of which the office has only a name takes no orders"
    )


@pytest.mark.parametrize(
    ("entry", "named"),
    [({"use": "no"}, "true or false"), ({"cost": 4}, "cost"), ({"daily": -1}, "-1"), ({"days": "soon"}, "soon")],
)
def test_what_is_wrongly_said_of_a_bureau_is_named(entry: dict[str, object], named: str) -> None:
    with pytest.raises(PlanningError, match=named):
        facts_from({"bureaux": {"NORTH": entry}})
