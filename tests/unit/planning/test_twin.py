"""The digital twin: promises kept when nothing happens, every card somewhere, and harm that shows where it is done."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from issuance.planning import calendar
from issuance.planning.chances import NOTHING_HAPPENS, Chances, draw
from issuance.planning.errors import PlanningError
from issuance.planning.ledger import IllegalCount, Ledger
from issuance.planning.outcome import spread
from issuance.planning.region import Kind, Region
from issuance.planning.sample import sample_region
from issuance.planning.twin import Setting, simulate
from issuance.planning.years import simulate_many
from uec.domain.lifecycle import CARD, CardState

CALENDAR = calendar.load(Path(__file__).parents[3] / "config" / "calendar" / "russia.toml")
QUIET = Setting(CARD, NOTHING_HAPPENS)


@pytest.fixture(scope="module")
def village() -> Region:
    return sample_region(calendar=CALENDAR, start=date(2026, 1, 12), days=60, lines=4, points=5, cohort=5_000, load=0.8)


def test_all_promises_are_kept_when_nothing_happens(village: Region) -> None:
    outcome = simulate(village, seed=1, setting=QUIET)
    assert outcome.kept == 1.0
    assert outcome.late_clocks == 0
    assert outcome.unclaimed == 0


@pytest.mark.slow
def test_the_same_seed_is_the_same_year_and_another_is_not(village: Region) -> None:
    setting = Setting(CARD)
    first, again, other = (simulate(village, seed=seed, setting=setting) for seed in (1, 1, 2))
    assert (first.kept, first.handed, first.cards) == (again.kept, again.handed, again.cards)
    assert first.handed != other.handed


def test_every_card_is_in_one_state_and_every_spoiled_one_is_made_again(village: Region) -> None:
    outcome = simulate(village, seed=4, setting=Setting(CARD, Chances(intake_spread=0, spoiled=0.05)))
    wanted = int(village.demand.known.sum())
    assert sum(outcome.cards.values()) == wanted + outcome.cards["SPOILED"]
    assert outcome.cards["SPOILED"] > 0.03 * outcome.handed
    assert outcome.handed > 0.8 * wanted
    assert set(outcome.cards) <= {state.value for state in CardState}


def test_the_office_s_own_table_binds_the_twin(village: Region) -> None:
    without = {key: target for key, target in CARD.items() if key[1] != "HAND_OVER"}
    with pytest.raises(IllegalCount, match="HAND_OVER"):
        simulate(village, seed=1, setting=Setting(without, NOTHING_HAPPENS))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "figure"),
    [
        (Chances(no_show=0.6, comes_again=0.01), "queue"),
        (Chances(delivery_late=1.0, delivery_days=60), "stock_outs"),
        (Chances(line_failure=0.2, failure_days=10), "late_days"),
        (Chances(unclaimed=0.05, no_show=0.3), "unclaimed"),
    ],
)
def test_harm_shows_where_it_is_done(village: Region, harm: Chances, figure: str) -> None:
    quiet = spread([simulate(village, seed=1, setting=Setting(CARD, NOTHING_HAPPENS))])
    harmed = spread([simulate(village, seed=1, setting=Setting(CARD, harm))])
    assert harmed[figure][0] > quiet[figure][0]


@pytest.mark.slow
def test_strikes_and_failures_break_promises(village: Region) -> None:
    harm = Chances(strike=0.1, strike_days=8, line_failure=0.05, failure_days=8)
    assert simulate(village, seed=2, setting=Setting(CARD, harm)).kept < simulate(village, seed=2, setting=QUIET).kept


@pytest.mark.slow
def test_many_years_are_told_and_summed_up(village: Region) -> None:
    told: list[int] = []
    outcomes = simulate_many(village, runs=3, setting=Setting(CARD), tell=told.append)
    assert told == [1, 2, 3]
    figures = spread(outcomes)
    assert figures["kept"][1] <= figures["kept"][0] <= 1
    assert figures["queue"][0] <= figures["queue"][1]


def test_who_never_comes_is_the_share_that_the_chances_say(village: Region) -> None:
    """Who missed the day comes back with the chance c a day, or else is given up with the chance u: u(1-c) of both."""
    back, gone = 0.2, 0.1
    chances = replace(NOTHING_HAPPENS, no_show=0.3, comes_again=back, unclaimed=gone)
    outcome = simulate(village, seed=9, setting=Setting(CARD, chances))
    lost = gone * (1 - back)
    expected = 0.3 * lost / (back + lost)
    assert outcome.unclaimed / (outcome.handed + outcome.unclaimed) == pytest.approx(expected, rel=0.15)


def test_half_the_lines_make_at_most_what_half_the_lines_can(village: Region) -> None:
    """Not more than their capacity is handed over, fewer clocks are met, and the full lines serve everybody."""
    half = replace(village, supply=replace(village.supply, capacity=village.supply.capacity // 2))
    setting = Setting(CARD, replace(NOTHING_HAPPENS, line_failure=0.0))
    whole, halved = (simulate(one, seed=3, setting=setting) for one in (village, half))
    assert halved.handed <= int(half.supply.capacity.sum()) < whole.handed
    assert halved.handed > 0.9 * int(half.supply.capacity[:, :-5].sum())
    assert halved.late_clocks >= whole.late_clocks


def test_promises_fall_with_the_days_that_lines_stand_still(village: Region) -> None:
    kept = [
        spread(
            [
                simulate(
                    village, seed=seed, setting=Setting(CARD, replace(NOTHING_HAPPENS, line_failure=p, failure_days=6))
                )
                for seed in (1, 2, 3)
            ]
        )["kept"][0]
        for p in (0.0, 0.02, 0.15)
    ]
    assert kept[0] == 1.0
    assert kept[0] >= kept[1] > kept[2]


def test_a_fate_keeps_each_card_s_clock_and_brings_no_chip_from_nowhere(village: Region) -> None:
    fate = draw(village, Chances(delivery_late=1.0), np.random.default_rng(8))
    assert (fate.known.sum(axis=-1) == fate.due.sum(axis=-1)).all()
    assert (fate.known[:, Kind.COHORT] == village.demand.known[:, Kind.COHORT]).all()
    assert (np.cumsum(fate.deliveries, axis=1) <= np.cumsum(village.supply.deliveries, axis=1)).all()
    assert (fate.capacity <= village.supply.capacity).all()
    # A clock of twenty days: nobody is due earlier.
    early = np.cumsum(fate.due[:, Kind.CLOCK], axis=-1)[..., 20:-1]
    assert (early <= np.cumsum(fate.known[:, Kind.CLOCK], axis=-1)[..., : early.shape[-1]]).all()
    quiet = draw(village, NOTHING_HAPPENS, np.random.default_rng(8))
    assert (quiet.known == village.demand.known).all()
    assert (quiet.capacity == village.supply.capacity).all()
    assert not quiet.events(village)
    assert fate.events(village)


def test_chances_that_are_none_are_refused() -> None:
    for wrong in ({"no_show": 1.5}, {"spoiled": -0.1}, {"failure_days": -1}):
        with pytest.raises(PlanningError):
            replace(Chances(), **wrong)


def test_the_ledger_loses_nobody_and_moves_only_who_is_there() -> None:
    ledger = Ledger(CARD)
    ledger.enter("PLANNED", 10)
    ledger.chain("PLANNED", ("PREPARE", "START_WRITING", "INSPECTED"), 7)
    assert (ledger.counts["PERSONALISED"], ledger.counts["PLANNED"], ledger.total) == (7, 3, 10)
    with pytest.raises(IllegalCount, match="only 3"):
        ledger.move("PLANNED", "PREPARE", 4)
    with pytest.raises(IllegalCount, match="no move"):
        ledger.move("PLANNED", "HAND_OVER", 1)
