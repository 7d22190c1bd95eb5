"""Who is late, why and what it would take: reasons told apart, in words, and the same people counted and listed."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from issuance.planning.lateness import explain, late_cards, late_places
from issuance.planning.optimiser import Plan, make_plan
from issuance.planning.reasons import WORDS, Reason
from issuance.planning.region import Kind, Region
from issuance.planning.relief import bottlenecks, reliefs
from issuance.planning.remedies import Bottleneck
from tests.unit.planning.regions import region, regions
from uec.cli.plan import REASONS as TOLD_BY_COMMANDS


def clocks() -> Region:
    """Two applications a day, which are due two days later; plenty of everything."""
    return region(clocks=2, clock_days=2)


def placed(given: Region, **changes: object) -> Region:
    return replace(given, places=tuple(replace(place, **changes) for place in given.places))


def with_hours(given: Region, cards: int) -> Region:
    return replace(given, delivery=replace(given.delivery, hand_over=given.delivery.hand_over * 0 + cards))


def with_variant(given: Region, *, makes: tuple[int, ...], chips: tuple[int, int]) -> Region:
    lines = tuple(replace(line, makes=makes) for line in given.supply.lines)
    return replace(given, supply=replace(given.supply, lines=lines, chips=np.array(chips, dtype=np.int64)))


def idle() -> Region:
    return with_hours(region(clocks=2, clock_days=2, capacity=0, departs=False), 0)


def without_volume() -> Region:
    return replace(clocks(), delivery=replace(clocks().delivery, volume=np.zeros(1, dtype=np.int64)))


def far() -> Region:
    """A courier that is on its way for longer than the plan goes on, for people without a clock."""
    given = region(cohort=20)
    return replace(given, delivery=replace(given.delivery, transit=np.full(1, 60, dtype=np.int64)))


CASES: list[tuple[str, Callable[[], Region], Reason, str, str]] = [
    ("nothing works", idle, Reason.NO_WORK, "production calendar", "производственный календарь"),
    (
        "a mobile office without a route",
        lambda: placed(region(clocks=2, clock_days=2, departs=False), mobile=True),
        Reason.NO_ROUTE,
        "mobile office Point 0 has no stop",
        "назначьте дни его маршрута",
    ),
    (
        "no courier",
        lambda: region(clocks=2, clock_days=2, departs=False),
        Reason.NO_COURIER,
        "No courier goes to Point 0",
        "назначьте рейс",
    ),
    ("a courier that carries nothing", without_volume, Reason.NO_COURIER, "No courier", "ни один курьер"),
    ("no room", lambda: placed(clocks(), storage=0), Reason.NO_ROOM, "takes room for", "нужно место"),
    ("no windows", lambda: with_hours(clocks(), 0), Reason.NO_WINDOWS, "windows and hours", "окна и часы"),
    (
        "no windows for a cohort",
        lambda: with_hours(region(cohort=20), 0),
        Reason.NO_WINDOWS,
        "hands no card over",
        "не выдаёт ни одной карты",
    ),
    (
        "clocks that cannot be met",
        lambda: region(clocks=2, clock_days=0),
        Reason.CLOCK_TOO_SHORT,
        "a special trip for",
        "внеочередной рейс",
    ),
    ("a way longer than the plan", far, Reason.BEYOND_HORIZON, "an earlier one, or the next plan", "рейс раньше"),
    (
        "a variant that no line makes",
        lambda: with_variant(region(variants=2, clocks=2, clock_days=2), makes=(0,), chips=(1000, 1000)),
        Reason.NO_MAKER,
        "No line makes cards V1",
        "Ни одна линия не делает карты V1",
    ),
    (
        "no chips of one variant",
        lambda: with_variant(region(variants=2, clocks=2, clock_days=2), makes=(0, 1), chips=(1000, 0)),
        Reason.NO_CHIPS,
        "Chips V1 are short",
        "Не хватает чипов V1",
    ),
    (
        "no capacity",
        lambda: region(clocks=2, clock_days=2, capacity=0),
        Reason.NO_LINES,
        "more cards before the clock ends",
        "до истечения срока",
    ),
    (
        "a cohort without capacity",
        lambda: region(cohort=20, capacity=0),
        Reason.NO_LINES,
        "before the plan ends",
        "до конца плана",
    ),
    (
        "windows that are too few for a cohort",
        lambda: with_hours(region(cohort=300, capacity=500), 3),
        Reason.POINT_FULL,
        "it takes windows or hours",
        "нужны окна или часы",
    ),
    (
        "a courier too small for a cohort",
        lambda: replace(
            region(cohort=300, capacity=500),
            delivery=replace(region().delivery, volume=np.full(1, 4, dtype=np.int64)),
        ),
        Reason.POINT_FULL,
        "brings 4 a trip",
        "курьер везёт 4",
    ),
    (
        "a safe too small for a cohort",
        lambda: placed(region(cohort=300, capacity=500), storage=3),
        Reason.POINT_FULL,
        "its safe holds 3",
        "в сейф помещается 3",
    ),
]


@pytest.mark.parametrize(("given", "reason", "en", "ru"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_plan_comes_and_says_who_is_late_why_and_what_it_would_take(
    given: Callable[[], Region], reason: Reason, en: str, ru: str
) -> None:
    plan = make_plan(given())
    late = late_cards(plan)
    assert {one.reason for one in late} == {reason}
    assert sum(one.count for one in late) >= 10
    assert all(en in one.en and ru in one.ru for one in late)
    assert all("{" not in one.ru + one.en for one in late)
    first = next(late_places(plan))
    told = explain(plan, point=first.point, kind=first.kind, variant=first.variant, number=first.first)
    assert told.reason is reason
    assert not any(sign in told.ru + told.en for sign in "{}")


def test_every_reason_has_a_case_and_its_words() -> None:
    assert {case[2] for case in CASES} == set(Reason) == set(WORDS)
    assert tuple(TOLD_BY_COMMANDS) == tuple(one.value for one in Reason)


def test_capacity_that_ends_before_the_demand_is_told_from_then_on() -> None:
    given = region(days=40, cohort=300)
    capacity = given.supply.capacity.copy()
    capacity[:, 20:] = 0
    plan = make_plan(replace(given, supply=replace(given.supply, capacity=capacity)))
    (late,) = late_cards(plan)
    assert (late.reason, late.open) == (Reason.NO_LINES, late.count)
    assert late.count == 300 - int(plan.walk.left.sum())
    said = [one.en for one in reliefs(plan)]
    assert any(one.startswith("One shift a day on Line in April 2026") for one in said), said


def test_an_office_without_any_line_is_told_what_line_it_needs() -> None:
    given = region(days=30, cohort=300, capacity=0)
    lines = tuple(replace(line, shift=0) for line in given.supply.lines)
    plan = make_plan(replace(given, supply=replace(given.supply, lines=lines)))
    assert next(one.en for one in reliefs(plan)) == (
        "No line can make a card: it takes a line of 10 cards a day, which brings 290 cards forward by 44 days."
    )
    assert {week.bottleneck for week in bottlenecks(plan)} == {Bottleneck.LINES}


@pytest.mark.parametrize(
    "given", [region(clocks=2, departs=False), placed(region(clocks=2), storage=0), with_hours(region(clocks=2), 0)]
)
def test_a_week_in_which_only_points_hold_people_back_says_so(given: Region) -> None:
    assert {week.bottleneck for week in bottlenecks(make_plan(given))} == {Bottleneck.POINTS}


@given(regions)
@settings(deadline=None)
def test_who_is_listed_is_who_is_counted_and_everybody_has_a_reason_of_their_own(given: Region) -> None:
    plan = make_plan(given)
    counted: Counter[tuple[int, Kind, int, Reason]] = Counter()
    listed: Counter[tuple[int, Kind, int, Reason]] = Counter()
    for one in late_cards(plan):
        counted[one.point, one.kind, one.variant, one.reason] += one.count
        assert 0 <= one.open <= one.count
    for range_ in late_places(plan):
        listed[range_.point, range_.kind, range_.variant, range_.reason] += range_.count
        assert range_.count > 0
    assert listed == counted
    assert_no_place_twice(plan)


def assert_no_place_twice(plan: Plan) -> None:
    seen: set[tuple[int, Kind, int, int]] = set()
    for one in late_places(plan):
        places = {(one.point, one.kind, one.variant, one.first + number) for number in range(one.count)}
        assert not places & seen
        seen |= places
