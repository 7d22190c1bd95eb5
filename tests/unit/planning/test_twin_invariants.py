"""What no year may break, whatever happens in it: capacities, chips, safes, the order of classes, and that no card and
nobody is lost or served twice."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from issuance.planning import calendar
from issuance.planning.chances import NOTHING_HAPPENS, Chances
from issuance.planning.ledger import Ledger
from issuance.planning.optimiser import make_plan
from issuance.planning.region import Kind, Region
from issuance.planning.sample import sample_region
from issuance.planning.twin import Setting, _Year, simulate
from issuance.planning.years import simulate_many
from uec.domain.lifecycle import CARD

CALENDAR = calendar.load(Path(__file__).parents[3] / "config" / "calendar" / "russia.toml")

shares = st.floats(0, 0.6)
chances = st.builds(
    Chances,
    intake_spread=shares,
    spoiled=st.floats(0, 0.2),
    line_failure=st.floats(0, 0.2),
    failure_days=st.integers(0, 6),
    strike=st.floats(0, 0.2),
    strike_days=st.integers(0, 6),
    no_show=shares,
    comes_again=shares,
    unclaimed=st.floats(0, 0.1),
    delivery_late=shares,
    delivery_days=st.integers(0, 20),
    chip_timing=st.floats(0, 0.3),
)


@st.composite
def regions(draw: st.DrawFn) -> Region:
    return sample_region(
        calendar=CALENDAR,
        start=date(2026, 1, 12),
        days=draw(st.integers(8, 50)),
        lines=draw(st.integers(1, 4)),
        points=draw(st.integers(1, 5)),
        cohort=draw(st.integers(1, 3_000)),
        seed=draw(st.integers(1, 99)),
        load=draw(st.floats(0.5, 1.5)),
    )


class Watched(_Year):
    """A year that looks after every day whether anything was broken on it."""

    def _live_day(self, day: int) -> None:
        region, before = self.region, self.state
        chips, made = before.chips + self.fate.deliveries[:, day], before.made.copy()
        gone, waiting = self.left_total.copy(), before.known - made + self.fate.known[..., day]
        super()._live_day(day)
        used = chips - self.state.chips
        good = self.state.made - made
        self._lines(day, used, good)
        assert (good <= waiting).all() and (self.state.chips >= 0).all()
        left = (self.left_total - gone).sum(axis=(1, 2))
        runs = self.trips[:, day] & (not self.fate.strike[day])
        assert (left <= np.where(runs, region.delivery.volume, 0)).all()
        assert (self.state.stock.sum(axis=(1, 2)) <= [place.storage for place in region.places]).all()
        assert (self.offered[day].sum(axis=(1, 2)) <= region.delivery.hand_over[:, day]).all()
        self._conserved(day)

    def _lines(self, day: int, used: np.ndarray, good: np.ndarray) -> None:
        """No line makes more than it can, and no cohort card is made while a remake or a clock could be."""
        capacity, lines = self.fate.capacity[:, day], self.region.supply.lines
        assert used.sum() <= capacity.sum()
        spoiled = used - good.sum(axis=(0, 1))
        reached = self.course.region.reachable  # a courier still goes there before the end
        still = (self.state.known - self.state.made)[reached][:, : Kind.COHORT].sum(axis=(0, 1))
        for variant, count in enumerate(used):
            assert count <= sum(int(room) for room, line in zip(capacity, lines, strict=True) if variant in line.makes)
            if good[:, Kind.COHORT, variant].any():
                assert still[variant] <= spoiled[variant]

    def _conserved(self, day: int) -> None:
        """Every card wanted is in one place, and everybody is offered one card at most."""
        counts, state = self.ledger.counts, self.state
        assert min(counts.values()) >= 0
        assert self.ledger.total == self.known.sum() + counts["SPOILED"]
        assert counts["PLANNED"] == (state.known - state.made).sum()
        there = state.stock.sum() + state.inbound[day - self.first + 1 :].sum() + self.missed.sum()
        assert counts["PERSONALISED"] == (state.made - state.left).sum() + there
        assert counts["ACTIVE"] + counts["DESTROYED"] + self.missed.sum() == self.offered[: day + 1].sum()
        assert (self.offered[: day + 1].sum(axis=0) <= self.known).all()


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(regions(), chances, st.integers(1, 1000))
def test_no_year_breaks_what_holds_in_the_office(region: Region, fate: Chances, seed: int) -> None:
    year = Watched(region, Setting(CARD, fate), np.random.default_rng(seed), Ledger(CARD), make_plan(region))
    outcome = year.live()
    assert 0 <= outcome.kept <= 1 and 0 <= outcome.late_clocks <= 1
    assert outcome.handed + outcome.unclaimed <= region.demand.known.sum() * 4


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(regions(), st.integers(1, 1000))
def test_every_promise_is_kept_when_nothing_happens(region: Region, seed: int) -> None:
    """Also with the months' new plans, at points that can hand over little, and with lines that cannot do it all."""
    outcome = simulate(region, seed=seed, setting=Setting(CARD, NOTHING_HAPPENS, margin_days=0))
    assert outcome.kept == 1.0
    assert outcome.late.sum() == 0


@pytest.mark.slow
def test_years_lived_side_by_side_are_those_lived_one_after_the_other() -> None:
    village = sample_region(calendar=CALENDAR, start=date(2026, 1, 12), days=30, lines=2, points=3, cohort=900)
    told: list[int] = []
    alone = simulate_many(village, runs=4, setting=Setting(CARD), seed=7, processes=1)
    together = simulate_many(village, runs=4, setting=Setting(CARD), seed=7, processes=2, tell=told.append)
    assert [(one.kept, one.handed, one.cards) for one in together] == [
        (one.kept, one.handed, one.cards) for one in alone
    ]
    assert told == [1, 2, 3, 4]
    assert len({one.handed for one in alone}) > 1


def test_a_line_that_has_nothing_more_to_do_works_ahead() -> None:
    """Intake below what was expected frees lines: the cohort is not made to wait for its day."""
    village = sample_region(calendar=CALENDAR, start=date(2026, 1, 12), days=40, lines=2, points=3, cohort=2_000)
    half = replace(village.demand, known=village.demand.known.copy(), due=village.demand.due.copy())
    half.known[:, Kind.CLOCK, :, 1:] = 0
    half.due[:, Kind.CLOCK] = 0
    half.due[:, Kind.CLOCK, :, -1] = half.known[:, Kind.CLOCK].sum(axis=-1)
    plan = make_plan(village)
    year = _Year(village, Setting(CARD, NOTHING_HAPPENS), np.random.default_rng(1), Ledger(CARD), plan)
    year.fate = replace(year.fate, known=half.known, due=half.due)
    year.live()
    cohort = year.offered[:, :, Kind.COHORT].sum(axis=(1, 2)).cumsum()
    planned = plan.walk.handed[:, :, Kind.COHORT].sum(axis=(1, 2)).cumsum()
    assert (cohort >= planned).all() and (cohort > planned).any()
