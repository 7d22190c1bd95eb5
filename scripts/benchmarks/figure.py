"""One measured figure as a JSON line, and how medians are taken: a warm-up first, then several runs."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """`value` in `unit` beside `floor`, what the same work costs bare in the same run; `ratio` is their quotient.

    `goal` is a number that `ratio` (or `value` where there is no floor) must reach, or None where none is set;
    `at_most` turns the comparison round.
    """

    name: str
    unit: str
    value: float
    floor: float | None = None
    goal: float | None = None
    at_most: bool = False

    @property
    def ratio(self) -> float | None:
        """Value over floor."""
        return self.value / self.floor if self.floor else None

    @property
    def ok(self) -> bool:
        """Whether the goal is reached; true where none is set."""
        if self.goal is None:
            return True
        reached = self.ratio if self.ratio is not None else self.value
        return reached <= self.goal if self.at_most else reached >= self.goal

    def line(self) -> str:
        """The figure as one JSON object, numbers to four significant digits."""
        facts = {key: value for key, value in asdict(self).items() if key != "at_most"}
        facts |= {"ratio": self.ratio, "ok": self.ok}
        return json.dumps({key: _rounded(value) for key, value in facts.items()})


def _rounded(value: object) -> object:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds that one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median_seconds(work: Callable[[], object], *, runs: int = 5) -> float:
    """The median of `runs` calls, after one more that warms caches up and is thrown away."""
    work()
    return statistics.median(seconds(work) for _ in range(runs))


def medians(
    works: Sequence[Callable[[], object]], *, runs: int, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """The median seconds of each by `clock`, a warm-up first; they take turns, so that a busy machine is so for all."""
    samples: list[list[float]] = [[] for _ in works]
    for run in range(runs + 1):
        for work, sample in zip(works, samples, strict=True):
            started = clock()
            work()
            if run:  # the first one warms up
                sample.append(clock() - started)
    return [statistics.median(sample) for sample in samples]
