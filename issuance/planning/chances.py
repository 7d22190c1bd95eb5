"""What may happen to a region in the digital twin: how likely, and drawn for every day of a year by a seed."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from issuance.planning.errors import PlanningError
from issuance.planning.region import Counts, Flags, Kind, Region

MOST_SPREAD, MOST_DAYS = 3.0, 366


class WrongChance(PlanningError):
    """A chance makes no sense. Facts: `field`, its name."""

    code = "planning.wrong_chance"


@dataclass(frozen=True)
class Chances:
    """Probabilities and spreads; every one may be zero, then the twin does what the plan says.

    `intake_spread`: share by which a month's intake differs from what was expected (one standard deviation);
    `spoiled` cards of those made; `line_failure` a line and day, standing for `failure_days`; `strike` of couriers a
    day, lasting `strike_days`; `no_show` of those invited; `comes_again` a day, of those who did not; `unclaimed` a
    day, of the same, given back and destroyed; `delivery_late` a delivery of chips, by up to `delivery_days`;
    `chip_timing` spread of a line's daily pace.
    """

    intake_spread: float = 0.15
    spoiled: float = 0.005
    line_failure: float = 0.004
    failure_days: int = 3
    strike: float = 0.004
    strike_days: int = 3
    no_show: float = 0.08
    comes_again: float = 0.1
    unclaimed: float = 0.002
    delivery_late: float = 0.2
    delivery_days: int = 15
    chip_timing: float = 0.03

    def __post_init__(self) -> None:
        for one in fields(self):
            _check(one.name, getattr(self, one.name), whole=one.name.endswith("_days"))


def _check(name: str, said: object, *, whole: bool) -> None:
    most = MOST_DAYS if whole else MOST_SPREAD if name in {"intake_spread", "chip_timing"} else 1
    number = int if whole else int | float
    if isinstance(said, bool) or not isinstance(said, number) or not 0 <= said <= most:
        what = "a whole number" if whole else "a number"
        raise WrongChance(f"{name} is {what} from 0 to {most:g}: correct the chances.", field=name)


def chances_from(table: Mapping[str, Any]) -> Chances:
    """Read chances as JSON has them; what is not named is as usual. Raises `WrongChance`."""
    known = [one.name for one in fields(Chances)]
    for name in table:
        if name not in known:
            raise WrongChance(f"There is no chance {name!r}: the known ones are {', '.join(known)}.", field=name)
    return Chances(**table)


NOTHING_HAPPENS = Chances(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Fate:
    """What really happens: `known` [P, C, V, D] and `due`, `capacity` [L, D], `deliveries` [V, D], `strike` [D]."""

    known: Counts
    due: Counts
    capacity: Counts
    deliveries: Counts
    strike: Flags

    def events(self, region: Region) -> set[int]:
        """Days on which a planner hears of something: a line stops, couriers strike, chips fail to come."""
        stopped = (self.capacity == 0) & (region.supply.capacity > 0)
        begins = stopped & ~np.concatenate([np.zeros((len(stopped), 1), bool), stopped[:, :-1]], axis=1)
        strikes = self.strike & ~np.concatenate([[False], self.strike[:-1]])
        late = (self.deliveries < region.supply.deliveries).any(axis=0)
        return set(np.flatnonzero(begins.sum(axis=0) + strikes + late).tolist())


def draw(region: Region, chances: Chances, random: np.random.Generator) -> Fate:
    """Draw a year."""
    days = len(region.days)
    known, due = _intake(region, chances, random)
    pace = np.clip(1 + chances.chip_timing * random.standard_normal(region.supply.capacity.shape), 0, 1.2)
    up = ~_lasting(random.random(region.supply.capacity.shape) < chances.line_failure, chances.failure_days)
    capacity = np.where(up, np.minimum(region.supply.capacity * pace, region.supply.capacity), 0).astype(np.int64)
    strike = _lasting(random.random((1, days)) < chances.strike, chances.strike_days)[0]
    return Fate(known, due, capacity, _deliveries(region, chances, random), strike)


def _intake(region: Region, chances: Chances, random: np.random.Generator) -> tuple[Counts, Counts]:
    """Clocks by a month's own factor and by chance; each day's cards keep the clock of those that were expected."""
    known, due = region.demand.known.copy(), region.demand.due.copy()
    if not chances.intake_spread:
        return known, due
    months = np.array([day.month for day in region.days])
    factor = np.clip(1 + chances.intake_spread * random.standard_normal(13), 0.2, 3.0)[months]
    for kind in (Kind.REMAKE, Kind.CLOCK):
        real = random.poisson(known[:, kind] * factor).astype(np.int64)
        real[..., 0] = known[:, kind, :, 0]
        due[:, kind] = _same_clocks(known[:, kind], real, due[:, kind], region.demand.finished[:, kind])
        known[:, kind] = real
    return known, due


def _same_clocks(expected: Counts, real: Counts, due: Counts, finished: Counts) -> Counts:
    """[P, V, D + 1] due days of what really comes: the k-th day's cards are due when the expected ones were."""
    days = expected.shape[-1]
    known_ends = finished[..., None] + np.cumsum(expected, axis=-1)
    due_ends = np.cumsum(due, axis=-1)
    moved = np.zeros_like(due)
    for stream in np.ndindex(finished.shape):
        # The last expected card of each day says when that day's cards are due.
        last = np.searchsorted(due_ends[stream], known_ends[stream], side="left")
        np.add.at(moved[stream], np.minimum(last, days), real[stream])
        moved[stream][0] += finished[stream]
    return moved


def _lasting(begins: Flags, days: int) -> Flags:
    """[N, D] every day on or within `days` after a beginning."""
    lasts = begins & (days > 0)
    for later in range(1, days):
        lasts[:, later:] |= begins[:, :-later]
    return lasts


def _deliveries(region: Region, chances: Chances, random: np.random.Generator) -> Counts:
    real = np.zeros_like(region.supply.deliveries)
    for variant, day in np.argwhere(region.supply.deliveries):
        is_late = random.random() < chances.delivery_late and chances.delivery_days > 0
        late = int(random.integers(1, chances.delivery_days + 1)) if is_late else 0
        if day + late < real.shape[1]:
            real[variant, day + late] += region.supply.deliveries[variant, day]
    return real
