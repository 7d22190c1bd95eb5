"""Years side by side in processes: the same years whatever their number, and none of them outlives who asked for it."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from issuance.planning import calendar
from issuance.planning.optimiser import Plan, make_plan
from issuance.planning.outcome import Outcome
from issuance.planning.sample import sample_region
from issuance.planning.twin import Setting, Stopped, simulate
from issuance.planning.years import simulate_many, years
from uec.domain.lifecycle import CARD

ROOT = Path(__file__).parents[3]
CALENDAR = calendar.load(ROOT / "config" / "calendar" / "russia.toml")
SETTING = Setting(CARD)
# Lives through more years than anybody waits for, two at a time, and says which processes do it.
ENDLESS = """
import multiprocessing, sys
from tests.unit.planning.test_years import SETTING, village
from issuance.planning.years import years

if __name__ == "__main__":
    for number, _ in enumerate(years(village(), SETTING, range(2_000), processes=2)):
        if number == 1:
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)
"""


def village() -> Plan:
    """A plan of twenty days over New Year."""
    return make_plan(sample_region(calendar=CALENDAR, start=date(2026, 12, 21), days=20, lines=2, points=2, cohort=300))


def plain(outcome: Outcome) -> dict[str, Any]:
    """A year in numbers that compare."""

    def numbers(one: Any) -> Any:
        if isinstance(one, dict):
            return {name: numbers(value) for name, value in one.items()}
        return one.tolist() if isinstance(one, np.ndarray) else one

    return numbers(asdict(outcome))  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_the_years_are_the_same_with_any_number_of_processes(processes: int) -> None:
    plan, told = village(), list[int]()
    alone = simulate_many(plan.region, runs=5, setting=SETTING, seed=7, processes=1)
    together = simulate_many(plan.region, runs=5, setting=SETTING, seed=7, tell=told.append, processes=processes)
    assert [plain(one) for one in together] == [plain(one) for one in alone]
    assert told == [1, 2, 3, 4, 5]
    assert len({str(plain(one)) for one in alone}) == 5, "each of them is another year"


def test_a_year_is_given_up_on_the_day_it_is_asked_for() -> None:
    plan, asked = village(), list[int]()

    def stopped() -> bool:
        asked.append(1)
        return len(asked) == 4

    with pytest.raises(Stopped):
        simulate(plan.region, seed=1, setting=SETTING, plan=plan, stopped=stopped)
    assert len(asked) == 4


@pytest.mark.slow
def test_years_that_nobody_wants_any_more_end_at_once() -> None:
    """Of two thousand, two are taken: what is under way is given up, and the processes are gone."""
    with closing(years(village(), SETTING, range(2_000), processes=2)) as lived:
        assert [plain(next(lived)), plain(next(lived))]
    assert not multiprocessing.active_children()


@contextmanager
def endless() -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A command that lives through years without end, and the processes that do it."""
    begun = subprocess.Popen(
        [sys.executable, "-c", ENDLESS],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert begun.stdout is not None
        yield begun, [int(pid) for pid in begun.stdout.readline().split()]
    finally:
        begun.kill()
        # Both pipes end when the last process that holds them has ended.
        begun.communicate(timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_year_outlives_who_asked_for_it(number: signal.Signals) -> None:
    """Ctrl-C goes to the whole terminal; the processes that live through years leave it to the one that began them."""
    with endless() as (begun, children):
        assert len(children) == 2
        if number == signal.SIGINT:
            os.killpg(begun.pid, number)
        else:
            begun.send_signal(number)
        _, said = begun.communicate(timeout=120)
    assert begun.returncode != 0
    assert said.count("Traceback") == (1 if number == signal.SIGINT else 0), said


@pytest.mark.slow
def test_a_process_that_is_killed_is_told_in_a_sentence() -> None:
    """As the system does when memory runs out."""
    with endless() as (begun, children):
        os.kill(children[0], signal.SIGKILL)
        _, said = begun.communicate(timeout=120)
    assert begun.returncode == 1
    assert "YearsLost: A process" in said and "fewer processes" in said
