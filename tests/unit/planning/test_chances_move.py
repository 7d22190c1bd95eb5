"""Every source of chance, turned up alone, moves what it should and where it should; turned off, nothing moves."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from issuance.planning import calendar
from issuance.planning.chances import NOTHING_HAPPENS, Chances
from issuance.planning.ledger import Ledger
from issuance.planning.optimiser import Plan, make_plan
from issuance.planning.outcome import Outcome, spread
from issuance.planning.region import Kind
from issuance.planning.sample import sample_region
from issuance.planning.twin import Setting, _Year, simulate
from uec.domain.lifecycle import CARD

CALENDAR = calendar.load(Path(__file__).parents[3] / "config" / "calendar" / "russia.toml")
SEEDS = range(1, 7)
Measure = Callable[[list[Outcome]], float]


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Of a village over New Year, whose lines and windows have little to spare."""
    village = sample_region(calendar=CALENDAR, start=date(2026, 11, 23), days=40, lines=3, points=3, cohort=1_500)
    return make_plan(village)


def years(plan: Plan, chances: Chances) -> list[Outcome]:
    setting = Setting(CARD, chances, margin_days=2)
    return [simulate(plan.region, seed=seed, setting=setting, plan=plan) for seed in SEEDS]


def figure(name: str, side: int = 0) -> Measure:
    return lambda outcomes: spread(outcomes)[name][side]


def mean(name: str) -> Measure:
    return lambda outcomes: float(np.mean([getattr(one, name) for one in outcomes]))


def late_people(outcomes: list[Outcome]) -> float:
    return float(np.mean([one.late.sum() for one in outcomes]))


def apart(outcomes: list[Outcome]) -> float:
    """How far the years lie from one another in the cards that were asked for."""
    return float(np.std([sum(one.cards.values()) for one in outcomes]))


def spoiled(outcomes: list[Outcome]) -> float:
    return float(np.mean([one.cards.get("SPOILED", 0) for one in outcomes]))


AWAY = {"no_show": 0.5, "comes_again": 0.2}
UP = [
    ("intake_spread", {}, (0.0, 0.1, 0.6), apart, 1),
    ("intake_spread", {}, (0.0, 0.1, 0.6), mean("kept"), -1),
    ("spoiled", {}, (0.0, 0.02, 0.3), spoiled, 1),
    ("spoiled", {}, (0.0, 0.02, 0.3), mean("handed"), -1),
    ("line_failure", {"failure_days": 4}, (0.0, 0.01, 0.1), mean("kept"), -1),
    ("line_failure", {"failure_days": 4}, (0.0, 0.01, 0.1), late_people, 1),
    ("failure_days", {"line_failure": 0.03}, (0, 2, 12), mean("kept"), -1),
    ("strike", {"strike_days": 4}, (0.0, 0.02, 0.2), mean("kept"), -1),
    ("strike", {"strike_days": 4}, (0.0, 0.02, 0.2), mean("late_clocks"), 1),
    ("strike_days", {"strike": 0.04}, (0, 2, 10), mean("kept"), -1),
    ("no_show", {"comes_again": 0.2}, (0.0, 0.1, 0.6), figure("queue"), 1),
    ("no_show", {"comes_again": 0.2}, (0.0, 0.1, 0.6), mean("handed"), -1),
    ("comes_again", {"no_show": 0.5}, (0.02, 0.2, 0.9), figure("queue"), -1),
    ("comes_again", {"no_show": 0.5}, (0.02, 0.2, 0.9), mean("handed"), 1),
    ("unclaimed", AWAY, (0.0, 0.02, 0.3), mean("unclaimed"), 1),
    ("unclaimed", AWAY, (0.0, 0.02, 0.3), figure("queue"), -1),
    ("delivery_late", {"delivery_days": 12}, (0.0, 0.3, 1.0), figure("stock_outs", 1), 1),
    ("delivery_late", {"delivery_days": 12}, (0.0, 0.3, 1.0), mean("kept"), -1),
    ("delivery_days", {"delivery_late": 1.0}, (0, 6, 30), figure("stock_outs"), 1),
    ("chip_timing", {}, (0.0, 0.1, 1.0), mean("kept"), -1),
    ("chip_timing", {}, (0.0, 0.1, 1.0), late_people, 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "beside", "levels", "measure", "side"), UP)
def test_a_chance_turned_up_moves_what_it_should(
    plan: Plan,
    name: str,
    beside: dict[str, float],
    levels: tuple[float, ...],
    measure: Measure,
    side: int,
) -> None:
    """From nought to much strictly, and no way back in between."""
    found = [side * measure(years(plan, replace(NOTHING_HAPPENS, **beside, **{name: level}))) for level in levels]
    assert found == sorted(found) and found[0] < found[-1]


def test_every_chance_is_turned_up_above() -> None:
    assert {name for name, *_ in UP} == {one.name for one in fields(Chances)}


@pytest.mark.parametrize("load", [0.5, 0.6, 0.7])
def test_with_chance_turned_off_the_year_is_the_plan(load: float) -> None:
    """Card by card and day by day, through the months' new plans and over New Year, where the plan serves everybody."""
    village = sample_region(
        calendar=CALENDAR, start=date(2026, 11, 23), days=45, lines=3, points=4, cohort=2_000, load=load
    )
    plan = make_plan(village)
    cohort = village.demand.known[:, Kind.COHORT].sum(axis=-1)
    assert (plan.walk.handed[:, :, Kind.COHORT].sum(axis=0) == cohort).all()
    year = _Year(village, Setting(CARD, NOTHING_HAPPENS, 0), np.random.default_rng(1), Ledger(CARD), plan)
    outcome = year.live()
    assert outcome.plans >= 3, "it was planned anew"
    assert (year.offered == plan.walk.handed).all()
    assert (year.left_total == plan.walk.left.sum(axis=0)).all()
    assert outcome.kept == 1.0 and outcome.handed == plan.walk.handed.sum() and not outcome.late.any()
