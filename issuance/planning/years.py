"""Many simulated years, side by side in processes of their own: the same years whatever their number.

Every year has its own seed, and they come back in the order of their seeds. The plan that all of them begin with is
made once, by this process; in the others no solver runs. They end with this one, however it ends.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection
from multiprocessing.connection import Connection

from issuance.planning.errors import PlanningError
from issuance.planning.optimiser import Plan, make_plan
from issuance.planning.outcome import Outcome
from issuance.planning.region import Region
from issuance.planning.twin import Setting, simulate

WORTH_A_PROCESS = 6
# So long after the last word of who began it, a process that the pool has lost sight of ends by itself.
GRACE_S = 5


class YearsLost(PlanningError):
    """A process that lived through years was ended by somebody else, most likely for the memory it took."""

    code = "planning.years_lost"


def simulate_many(
    region: Region,
    *,
    runs: int,
    setting: Setting,
    seed: int = 1,
    tell: Callable[[int], None] | None = None,
    processes: int | None = None,
) -> list[Outcome]:
    """Many years, one seed after the other; `tell` hears how many are done. Else as `years`."""
    outcomes: list[Outcome] = []
    for outcome in years(make_plan(region), setting, range(seed, seed + runs), processes=processes):
        outcomes.append(outcome)
        if tell is not None:
            tell(len(outcomes))
    return outcomes


def years(
    plan: Plan, setting: Setting, seeds: range, *, processes: int | None = None
) -> Generator[Outcome, None, None]:
    """The years of the seeds, in their order; closed early, what is under way is given up at once.

    They are lived through by `processes` side by side, by default as many as there are cores; a few by this one alone.
    """
    side_by_side = min(len(seeds), processes or len(os.sched_getaffinity(0)))
    if side_by_side <= 1 or (processes is None and len(seeds) < WORTH_A_PROCESS):
        return (simulate(plan.region, seed=seed, setting=setting, plan=plan) for seed in seeds)
    return _side_by_side(plan, setting, seeds, side_by_side)


def _side_by_side(plan: Plan, setting: Setting, seeds: range, processes: int) -> Generator[Outcome, None, None]:
    # Not forked: the solver and the database have threads of their own here. The plan goes over once, not with each.
    context = multiprocessing.get_context("spawn")
    ended, end = context.Pipe(duplex=False)
    with ended, end, ProcessPoolExecutor(processes, context, _begin_process, (plan, setting, ended)) as pool:
        try:
            with _held(signal.SIGINT):
                found = pool.map(_in_process, seeds)
            yield from found
        except BrokenProcessPool as error:
            raise YearsLost(
                "A process that lived through years was ended from outside: run it again, with fewer processes."
            ) from error
        finally:
            end.close()
            pool.shutdown(cancel_futures=True)


@contextmanager
def _held(number: signal.Signals) -> Iterator[None]:
    """Keep a signal waiting; processes begun meanwhile never get it. Ctrl-C is for the one that the terminal runs."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_SHARED: dict[str, tuple[Plan, Setting, threading.Event]] = {}


def _begin_process(plan: Plan, setting: Setting, ended: Connection) -> None:
    stopped = threading.Event()
    _SHARED["year"] = (plan, setting, stopped)
    threading.Thread(target=_end_with_parent, args=(ended, stopped), daemon=True).start()


def _end_with_parent(ended: Connection, stopped: threading.Event) -> None:
    """The other end is closed by who began this process: because it wants no more years, or by its own end."""
    connection.wait([ended])
    stopped.set()
    time.sleep(GRACE_S)
    os._exit(1)


def _in_process(seed: int) -> Outcome:
    plan, setting, stopped = _SHARED["year"]
    return simulate(plan.region, seed=seed, setting=setting, plan=plan, stopped=stopped.is_set)
