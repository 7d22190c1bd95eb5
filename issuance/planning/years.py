"""Many simulated years, side by side in processes of their own: the same years whatever their number.

Every year has its own seed, and they come back in the order of their seeds. The plan that all of them begin with is
made once, by this process; in the others no solver runs. They end with this one, however it ends.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.synchronize import Event

from issuance.planning.optimiser import Plan, make_plan
from issuance.planning.outcome import Outcome
from issuance.planning.region import Region
from issuance.planning.twin import Setting, simulate

WORTH_A_PROCESS = 6


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
    stop = context.Event()
    with ProcessPoolExecutor(processes, context, _begin_process, (plan, setting, stop)) as pool:
        try:
            with _held(signal.SIGINT):
                found = pool.map(_in_process, seeds)
            yield from found
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _held(number: signal.Signals) -> Iterator[None]:
    """Keep a signal waiting; processes begun meanwhile never get it. Ctrl-C is for the one that the terminal runs."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_SHARED: dict[str, tuple[Plan, Setting, Event]] = {}


def _begin_process(plan: Plan, setting: Setting, stop: Event) -> None:
    _SHARED["year"] = (plan, setting, stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        # Nobody is there any more to hear of it; what this process did is kept nowhere.
        os._exit(1)


def _in_process(seed: int) -> Outcome:
    plan, setting, stop = _SHARED["year"]
    return simulate(plan.region, seed=seed, setting=setting, plan=plan, stopped=stop.is_set)
