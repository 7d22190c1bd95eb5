"""What would relieve a plan is true: who makes the change by hand and plans anew finds the cards come forward."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from issuance.planning import calendar
from issuance.planning.forward import Walk
from issuance.planning.optimiser import Plan, make_plan
from issuance.planning.region import Kind, Region
from issuance.planning.relief import Relief, reliefs
from issuance.planning.remedies import MONTHS_EN, WEEKDAYS_EN, WEEKDAYS_RU, Bottleneck
from issuance.planning.sample import sample_region
from tests.unit.planning.regions import region

CALENDAR = calendar.load(Path(__file__).parents[3] / "config" / "calendar" / "russia.toml")
SHARE = 0.25


def town(seed: int, load: float, *, trips: float = 0.0) -> Region:
    start = date(2026, 1, 12)
    given = sample_region(
        calendar=CALENDAR, start=start, days=70, lines=5, points=12, cohort=24_000, seed=seed, load=load
    )
    return replace(given, delivery=replace(given.delivery, cost=given.delivery.cost * trips))


def collected(given: Region, walked: Walk) -> float:
    """Days that cards have been with their holders, summed up, by the end of the plan and its time beyond."""
    return float(np.cumsum(walked.handed.sum(axis=(1, 2, 3))) @ given.spans)


def gained(plan: Plan, changed: Region) -> float:
    return collected(changed, make_plan(changed).walk) - collected(plan.region, plan.walk)


def done(given: Region, said: Relief) -> Region:
    """Read the sentence and do what it says."""
    for pattern, change in CHANGES:
        if found := re.match(pattern, said.en):
            return change(given, *found.groups())
    raise AssertionError(said.en)


def more_shifts(given: Region, name: str, month: str, year: str) -> Region:
    capacity = given.supply.capacity.copy()
    number = next(n for n, line in enumerate(given.supply.lines) if line.name_en == name)
    for day, on in enumerate(given.days):
        if (on.year, MONTHS_EN[on.month - 1]) == (int(year), month):
            capacity[number, day] += given.supply.lines[number].shift
    return replace(given, supply=replace(given.supply, capacity=capacity))


def more_chips(given: Region, count: str, name: str, day: str) -> Region:
    deliveries = given.supply.deliveries.copy()
    on = date(*(int(part) for part in reversed(day.split("."))))
    deliveries[given.variants.index(name), given.days.index(on)] += int(count.replace(",", ""))
    return replace(given, supply=replace(given.supply, deliveries=deliveries))


def point_of(given: Region, name: str) -> int:
    return next(n for n, place in enumerate(given.places) if place.name_en == name)


def more_hours(given: Region, name: str) -> Region:
    hours = given.delivery.hand_over.copy()
    hours[point_of(given, name)] = np.ceil(hours[point_of(given, name)] * 1.5)
    return replace(given, delivery=replace(given.delivery, hand_over=hours))


def more_trips(given: Region, name: str, weekday: str) -> Region:
    departs = given.delivery.departs.copy()
    departs[point_of(given, name)] |= np.array([WEEKDAYS_EN[day.weekday()] == weekday for day in given.days])
    return replace(given, delivery=replace(given.delivery, departs=departs))


def larger_trips(given: Region, name: str) -> Region:
    volume = given.delivery.volume.copy()
    volume[point_of(given, name)] *= 2
    return replace(given, delivery=replace(given.delivery, volume=volume))


def larger_safe(given: Region, name: str) -> Region:
    places = list(given.places)
    place = places[point_of(given, name)]
    places[point_of(given, name)] = replace(place, storage=2 * place.storage)
    return replace(given, places=tuple(places))


CHANGES: tuple[tuple[str, Callable[..., Region]], ...] = (
    (r"One more shift on (.+) in (\w+) (\d+) brings", more_shifts),
    (r"([\d,]+) more chips (\S+) by (\S+) bring", more_chips),
    (r"Half as many window hours again at (.+) bring", more_hours),
    (r"(?:One more|A) trip a week to (.+), on (\w+), brings", more_trips),
    (r"Twice the cards a trip to (.+) bring", larger_trips),
    (r"Twice the room in the safe of (.+) brings", larger_safe),
)


@pytest.mark.parametrize(("seed", "load"), [(1, 0.95), (2, 1.3), (3, 0.8), (4, 1.05)])
def test_what_is_said_of_lines_chips_and_points_comes_true(seed: int, load: float) -> None:
    given = town(seed, load)
    plan = make_plan(given)
    said = reliefs(plan)
    assert any(one.bottleneck is Bottleneck.LINES for one in said)
    assert len({one.en for one in said}) == len(said)
    for one in said:
        # Whole cards and equal shares are worth a twentieth of a day for everybody.
        noise = 0.05 * float(given.demand.known.sum())
        assert gained(plan, done(given, one)) == pytest.approx(one.card_days, rel=SHARE, abs=noise), one.en
        assert f"{one.cards:,} cards forward by {one.days:.0f} days." in one.en
        assert one.ru.endswith(f"дней — {one.days:.0f}.")


@pytest.mark.parametrize(("seed", "load"), [(1, 0.95), (5, 1.2)])
def test_where_trips_cost_a_plan_anew_saves_no_less_than_was_said(seed: int, load: float) -> None:
    """It may spend what is gained on fewer trips, so that days and trips are counted together."""
    given = town(seed, load, trips=1.0)
    plan = make_plan(given)
    # What a point lacks is waited for at the point, which is in nobody's cost.
    at_centre = [one for one in reliefs(plan) if one.bottleneck in {Bottleneck.LINES, Bottleneck.CHIPS}]
    assert at_centre
    for one in at_centre:
        saved = plan.cost.total - make_plan(done(given, one)).cost.total
        assert saved > (1 - SHARE) * one.card_days * given.prices.wait[Kind.COHORT], one.en


def short_of_chips() -> Region:
    return region(days=30, cohort=400, capacity=40, chips=50)


def short_of_windows() -> Region:
    given = region(days=40, points=3, cohort=200, capacity=60, hand_over=20)
    hours = given.delivery.hand_over.copy()
    hours[1] = 4
    return replace(given, delivery=replace(given.delivery, hand_over=hours))


def seldom_served() -> Region:
    given = region(days=42, points=3, cohort=100, capacity=60)
    departs = given.delivery.departs.copy()
    departs[2] = [day.weekday() == 0 for day in given.days]
    volume = given.delivery.volume.copy()
    volume[2] = 12
    return replace(given, delivery=replace(given.delivery, departs=departs, volume=volume))


def small_loads() -> Region:
    given = region(days=30, points=3, cohort=150, capacity=90)
    volume = given.delivery.volume.copy()
    volume[0] = 4
    return replace(given, delivery=replace(given.delivery, volume=volume))


def small_safe() -> Region:
    given = region(days=30, points=3, cohort=150, capacity=90)
    places = list(given.places)
    places[1] = replace(places[1], storage=3)
    return replace(given, places=tuple(places))


def nobody_goes() -> Region:
    given = region(days=42, points=2, cohort=100, capacity=60)
    departs = given.delivery.departs.copy()
    departs[0] = False
    return replace(given, delivery=replace(given.delivery, departs=departs))


@pytest.mark.parametrize(
    ("given", "begins"),
    [
        (short_of_chips(), "1,000 more chips V0 by"),
        (short_of_windows(), "Half as many window hours again at Point 1 bring"),
        (seldom_served(), "One more trip a week to Point 2, on Thursdays, brings"),
        (small_loads(), "Twice the cards a trip to Point 0 bring"),
        (small_safe(), "Twice the room in the safe of Point 1 brings"),
        (nobody_goes(), "A trip a week to Point 0, on Mondays, brings"),
    ],
)
def test_whatever_is_short_is_named_and_more_of_it_brings_what_was_said(given: Region, begins: str) -> None:
    plan = make_plan(given)
    best = reliefs(plan)[0]
    assert best.en.startswith(begins)
    assert gained(plan, done(given, best)) == pytest.approx(best.card_days, rel=0.02)


def test_a_change_that_brings_nothing_is_not_proposed() -> None:
    """Two points wait for lines alone: more hours, trips or room there help nobody."""
    said = reliefs(make_plan(region(days=30, points=2, cohort=400, capacity=10)))
    assert {one.bottleneck for one in said} == {Bottleneck.LINES}


def test_every_weekday_has_its_words() -> None:
    assert len(WEEKDAYS_EN) == len(WEEKDAYS_RU) == len(MONTHS_EN) - 5 == 7
