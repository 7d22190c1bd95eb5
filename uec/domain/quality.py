"""Decides when a failure rate has left its band: a CUSUM over successes and failures, in whole points.

Spec: E. S. Page, Continuous Inspection Schemes, Biometrika 41 (1954); the weights are the likelihood ratio of A. Wald,
Sequential Analysis (1947), for Bernoulli trials (as M. R. Reynolds and Z. G. Stoumbos, J. Qual. Technol. 31 (1999)).

In words: each reader, station, lot and operator has a counter that begins at nought. A good card takes one point off
(never below nought), a failed one puts `failure_points` on; at `threshold` the subject goes into quarantine. How many
points a failure weighs follows from the two rates that the policy names: the `allowed` one (the band) and the
`intolerable` one that must be caught. While the true rate lies in the band, the counter drifts to nought; beyond it, it
drifts up. The threshold is the smallest at which a subject *at the very edge of the band* gives a false alarm once in
`false_alarm_every` cards on average, which is computed exactly (a Markov chain over the counter), not looked up.

Against a fixed window or a bound on the rate since ever (Wilson, exact binomial): looking at such a bound after every
card is testing thousands of times, so it cries wolf; and a long good past hides a reader that broke today. The CUSUM
is made to be looked at after every card and forgets a good past.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from uec.domain.errors import InvalidInput


@dataclass(frozen=True)
class Band:
    """Failure rates as fractions: up to `allowed` is the band, `intolerable` must be caught soon."""

    allowed: float = 0.03
    intolerable: float = 0.20
    false_alarm_every: int = 20_000

    def __post_init__(self) -> None:
        if not 0 < self.allowed < self.intolerable < 1 or self.false_alarm_every < 1:
            raise InvalidInput("A band needs 0 < allowed < intolerable < 1 and a positive run.", field="band")


@dataclass(frozen=True)
class Rule:
    """The counter: points a failure weighs against one of a success, and the threshold that is out of band."""

    failure_points: int
    threshold: int

    def highest(self, failures: Iterable[bool]) -> int:
        """The highest the counter ever was over outcomes in their order (True: failed)."""
        counter = highest = 0
        for failed in failures:
            counter = max(0, counter + (self.failure_points if failed else -1))
            highest = max(highest, counter)
        return highest

    def average_run(self, rate: float) -> float:
        """Cards until the alarm on average, beginning at nought, at a true failure rate between 0 and 1."""
        return _average_run(self.failure_points, self.threshold, rate)


# A single failure proves nothing, nor do two in a row: a broken reader gives more soon enough.
FEWEST_FAILURES = 3


@cache
def rule_of(band: Band) -> Rule:
    """The rule for a band: weights by likelihood, the smallest threshold with few enough false alarms."""
    gain = math.log(band.intolerable / band.allowed)
    loss = math.log((1 - band.allowed) / (1 - band.intolerable))
    points = max(1, round(gain / loss))
    enough = points * (FEWEST_FAILURES - 1) + 1
    while _average_run(points, enough, band.allowed) < band.false_alarm_every:
        enough *= 2
    # A higher threshold never alarms sooner, so the smallest one that is enough is found by halving.
    lowest = range(points * (FEWEST_FAILURES - 1) + 1, enough + 1)
    found = bisect_left(
        lowest, True, key=lambda threshold: _average_run(points, threshold, band.allowed) >= band.false_alarm_every
    )
    return Rule(points, lowest[found])


def _average_run(points: int, threshold: int, rate: float) -> float:
    """Solve E(i) = 1 + rate E(i + points) + (1 - rate) E(max(i - 1, 0)), E = 0 from the threshold on, for E(0).

    Gaussian elimination; below the diagonal each column has one entry only, so one row is cleared a step.
    """
    size = threshold
    rows = [[0.0] * (size + 1) for _ in range(size)]
    for i, row in enumerate(rows):
        row[i] += 1.0
        row[size] = 1.0
        if i + points < size:
            row[i + points] -= rate
        row[max(i - 1, 0)] -= 1 - rate
    for pivot in range(size):
        _clear_below(rows, pivot, size)
    solved = [0.0] * size
    for i in reversed(range(size)):
        rest = sum(rows[i][j] * solved[j] for j in range(i + 1, min(i + points + 1, size)))
        solved[i] = (rows[i][size] - rest) / rows[i][i]
    return solved[0]


def _clear_below(rows: list[list[float]], pivot: int, size: int) -> None:
    # Only the next row has something in this column: a success moves the counter by one.
    if pivot + 1 < size and rows[pivot + 1][pivot]:
        factor = rows[pivot + 1][pivot] / rows[pivot][pivot]
        rows[pivot + 1] = [below - factor * above for below, above in zip(rows[pivot + 1], rows[pivot], strict=True)]
