"""What a simulated year leaves behind, and what many say together: by point, by week, P50 and P90 over the runs.

A year is summed up in the counts of its points and weeks, so that a thousand years are no more than a list of them.
P50 and P90 are values that at least half, and at least nine of ten, of the runs keep to; never something between two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from issuance.planning.region import Counts, Reals

WEEK = 7
MORE_IS_BETTER = frozenset({"kept", "handed"})


@dataclass(frozen=True)
class Tally:
    """Promises that fell due and those of them that were kept: [P] by point, or [W] by week."""

    promised: Counts
    kept: Counts

    @property
    def shares(self) -> Reals:
        """The share kept; NaN where nothing fell due."""
        found: Reals = np.where(self.promised > 0, self.kept / np.maximum(1, self.promised), np.nan)
        return found


@dataclass(frozen=True)
class Outcome:
    """One simulated year: `kept` share of promises kept, `late_clocks` share of clocks that ran out.

    `late` [D + 1] people whose promise was broken, by the planning days that they waited on; who was not served by the
    end of the year counts until then. `lying` [P, W] the most cards at each point, waiting for their owners, on any day
    of a week; `stock_outs` [W] days on which a card variant was out while people waited for it; `cards` by state in the
    evening of the last day.
    """

    kept: float
    late_clocks: float
    late: Counts
    lying: Counts
    stock_outs: Counts
    by_point: Tally
    by_week: Tally
    handed: int
    unclaimed: int
    plans: int
    cards: dict[str, int]

    @property
    def queue(self) -> Counts:
        """[P] the most people waiting at each point on any day."""
        found: Counts = self.lying.max(axis=1, initial=0)
        return found

    @property
    def late_days(self) -> float:
        """Planning days within which nine of ten of those who were late were served; 0 when nobody was."""
        so_far = np.cumsum(self.late)
        return float(np.searchsorted(so_far, 0.9 * so_far[-1])) if so_far[-1] else 0.0


Spread = dict[str, tuple[float, float]]
Course = dict[str, tuple[list[float | None], list[float | None]]]


def spread(outcomes: Sequence[Outcome]) -> Spread:
    """P50 and P90 over the runs, by figure: at least half, and nine of ten, of them are as good as that."""
    figures: Mapping[str, list[float]] = {
        "kept": [one.kept for one in outcomes],
        "late_clocks": [one.late_clocks for one in outcomes],
        "late_days": [one.late_days for one in outcomes],
        "queue": [float(one.queue.max(initial=0)) for one in outcomes],
        "stock_outs": [float(one.stock_outs.sum()) for one in outcomes],
        "handed": [float(one.handed) for one in outcomes],
        "unclaimed": [float(one.unclaimed) for one in outcomes],
    }
    return {name: _of_runs(name, np.array(values)) for name, values in figures.items()}


def by_week(outcomes: Sequence[Outcome]) -> Course:
    """P50 and P90 of each week: share of promises kept, longest queue at a point, days without chips."""
    return {
        "kept": _each("kept", [one.by_week.shares for one in outcomes]),
        "queue": _each("queue", [one.lying.max(axis=0, initial=0) for one in outcomes]),
        "stock_outs": _each("stock_outs", [one.stock_outs for one in outcomes]),
    }


def by_point(outcomes: Sequence[Outcome]) -> Course:
    """P50 and P90 of each point over the whole year: share of promises kept, longest queue."""
    return {
        "kept": _each("kept", [one.by_point.shares for one in outcomes]),
        "queue": _each("queue", [one.queue for one in outcomes]),
    }


def week_of(days: Sequence[date]) -> Counts:
    """[D] the number of each day's week, from Monday, counted from the first day's; also over New Year."""
    mondays = [day.toordinal() - day.weekday() for day in days]
    return np.array([(monday - mondays[0]) // WEEK for monday in mondays], dtype=np.int64)


def _each(name: str, runs: Sequence[Counts | Reals]) -> tuple[list[float | None], list[float | None]]:
    pairs = [_of_runs(name, column[~np.isnan(column)]) for column in np.array(runs, dtype=float).T]
    halves, nines = zip(*pairs, strict=True) if pairs else ((), ())
    return [_known(one) for one in halves], [_known(one) for one in nines]


def _of_runs(name: str, values: Reals) -> tuple[float, float]:
    if not values.size:
        return float("nan"), float("nan")
    side = -1 if name in MORE_IS_BETTER else 1
    half, nine = (side * float(np.percentile(side * values, share, method="inverted_cdf")) for share in (50, 90))
    # No negative nought.
    return half + 0.0, nine + 0.0


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
