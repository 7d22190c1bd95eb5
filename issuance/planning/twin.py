"""The digital twin: a region's year by chance, with the planner at work in it as in the office.

Each day is done by the same code as in a plan (`forward`), with what really comes, breaks, strikes and does not show
up. Every month, and when something happens, the planner plans anew from what it can know: the cards as they are and the
intake as it was expected. A promise, once given, stands; the twin counts how many are kept.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from issuance.planning.allot import Floor
from issuance.planning.chances import Chances, draw
from issuance.planning.forward import Course, State, Walk, begin, course_of, hand_over, make, make_ahead, send, walk
from issuance.planning.ledger import Ledger, Moves
from issuance.planning.optimiser import Plan, make_plan, worth_paying
from issuance.planning.region import Counts, Demand, Kind, Reals, Region
from issuance.planning.rooms import Rooms

EVENT_PAUSE_DAYS = 10
WORTH_A_PROCESS = 6
MADE = ("PREPARE", "START_WRITING", "INSPECTED")
SPOILED = ("PREPARE", "START_WRITING", "SPOIL")
GIVEN_BACK = ("ANNUL", "DESTROY")


@dataclass(frozen=True)
class Outcome:
    """One simulated year: `kept` share of promises kept; `late_days` [n] planning days of those that were not.

    `queue` [P] the most people waiting at each point on any day; `stock_outs` days on which a card variant was out
    while people waited for it; `cards` and `applications` by state in the evening of the last day.
    """

    kept: float
    late_clocks: float
    late_days: Reals
    queue: Counts
    stock_outs: int
    handed: int
    unclaimed: int
    plans: int
    cards: dict[str, int]


@dataclass(frozen=True)
class Setting:
    """`moves` is the office's table of card moves; people are promised their planned day and `margin_days` more."""

    moves: Moves
    chances: Chances = field(default_factory=Chances)
    margin_days: int = 5


def simulate(region: Region, *, seed: int, setting: Setting, plan: Plan | None = None) -> Outcome:
    """Live through the region's days once; the same seed gives the same year.

    `plan` is the plan of the region that the year begins with; made here when it is None. Raises `IllegalCount` when
    the office's table forbids what happens.
    """
    begun = make_plan(region) if plan is None else plan
    return _Year(region, setting, np.random.default_rng(seed), Ledger(setting.moves), begun).live()


def simulate_many(
    region: Region,
    *,
    runs: int,
    setting: Setting,
    seed: int = 1,
    tell: Callable[[int], None] | None = None,
    processes: int | None = None,
) -> list[Outcome]:
    """Many years, one seed after the other; `tell` hears how many are done.

    They are lived through by `processes` side by side, by default as many as there are cores; a few by this one alone.
    """
    plan = make_plan(region)
    side_by_side = min(runs, processes or os.cpu_count() or 1)
    years = _alone if side_by_side == 1 or (processes is None and runs < WORTH_A_PROCESS) else _side_by_side
    outcomes = []
    for outcome in years(plan, setting, range(seed, seed + runs), side_by_side):
        outcomes.append(outcome)
        if tell is not None:
            tell(len(outcomes))
    return outcomes


def _alone(plan: Plan, setting: Setting, seeds: range, _processes: int) -> Iterator[Outcome]:
    for seed in seeds:
        yield simulate(plan.region, seed=seed, setting=setting, plan=plan)


def _side_by_side(plan: Plan, setting: Setting, seeds: range, processes: int) -> Iterator[Outcome]:
    # Not forked: the solver and the database have threads of their own here. The plan goes over once, not with each.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin_process, (plan, setting)) as pool:
        yield from pool.map(_in_process, seeds)


_SHARED: dict[str, tuple[Plan, Setting]] = {}


def _begin_process(plan: Plan, setting: Setting) -> None:
    _SHARED["year"] = (plan, setting)


def _in_process(seed: int) -> Outcome:
    plan, setting = _SHARED["year"]
    return simulate(plan.region, seed=seed, setting=setting, plan=plan)


def spread(outcomes: list[Outcome]) -> dict[str, tuple[float, float]]:
    """P50 and P90 over the runs, by figure; of what is better when high, P90 is what nine of ten runs reach."""
    late = [float(np.percentile(one.late_days, 90)) if len(one.late_days) else 0.0 for one in outcomes]
    figures = {
        "queue": [float(one.queue.max(initial=0)) for one in outcomes],
        "stock_outs": [float(one.stock_outs) for one in outcomes],
        "late_clocks": [one.late_clocks for one in outcomes],
        "late_days": late,
        "unclaimed": [float(one.unclaimed) for one in outcomes],
    }
    found = {name: (float(np.median(values)), float(np.percentile(values, 90))) for name, values in figures.items()}
    for name, values in (("kept", [one.kept for one in outcomes]), ("handed", [one.handed for one in outcomes])):
        found[name] = (float(np.median(values)), float(np.percentile(values, 10)))
    return found


class _Year:
    """The days of one run; all counters are absolute, the course and the state begin anew with each plan."""

    def __init__(
        self, region: Region, setting: Setting, random: np.random.Generator, ledger: Ledger, plan: Plan
    ) -> None:
        self.region, self.chances, self.margin = region, setting.chances, setting.margin_days
        self.random, self.ledger, self.trips = random, ledger, plan.trips
        self.fate = fate = draw(region, setting.chances, random)
        streams, days = region.demand.finished.shape, len(region.days)
        self.events = fate.events(region)
        self.known = region.demand.stock + region.demand.finished
        self.offered = np.zeros((days, *streams), dtype=np.int64)
        self.promised = np.zeros((days + 1, *streams), dtype=np.int64)
        self.told = np.zeros(streams, dtype=np.int64)
        self.missed = np.zeros(streams, dtype=np.int64)
        self.queue = np.zeros(streams[0], dtype=np.int64)
        self.arrived = np.zeros((days, *streams), dtype=np.int64)
        self.left_total = np.zeros(streams, dtype=np.int64)
        self.stock_outs = self.unclaimed = self.plans = 0
        self.first = 0
        self.state = begin(region)
        ledger.enter("PERSONALISED", int(self.known.sum()))
        self.kept = np.cumsum(plan.walk.made[:, :, Kind.COHORT], axis=0) + region.demand.finished[:, Kind.COHORT]
        self.paid = worth_paying(region, plan.relaxed)
        course = course_of(region, targets=plan.relaxed.targets, trips=plan.trips, paid=self.paid)
        self.rooms = course.rooms
        self._follow(course, plan.walk, 0)

    def live(self) -> Outcome:
        for day, date in enumerate(self.region.days):
            month_begins = day > 0 and date.month != self.region.days[day - 1].month
            if month_begins or (day in self.events and day - self.first >= EVENT_PAUSE_DAYS):
                self._plan(day)
            self._live_day(day)
        return self._outcome()

    def _live_day(self, day: int) -> None:
        course, state, now = self.course, self.state, day - self.first
        if self.fate.strike[day]:
            course.trips[:, now] = False
        left = send(course, state, now)
        self.left_total += left
        state.stock += state.inbound[now]
        self.arrived[day] = state.inbound[now]
        self._windows(course, state, now, day)
        fresh = self.fate.known[..., day]
        state.known += fresh
        self.known += fresh
        self.ledger.enter("PLANNED", int(fresh.sum()))
        state.chips += self.fate.deliveries[:, day]
        free = course.groups.capacity(self.fate.capacity[:, day])
        floor = Floor(free, np.zeros((len(free), len(state.chips)), dtype=np.int64))
        made = make(course, state, now, floor)
        make_ahead(course, state, now, floor, made)
        self._spoil(made, state)
        waiting = (state.known - state.made)[self.region.reachable].sum(axis=(0, 1))
        self.stock_outs += int(((state.chips == 0) & (waiting > 0)).sum())

    def _windows(self, course: Course, state: State, now: int, day: int) -> None:
        """Who is invited shows up or not; who did not may come another day, or never."""
        served = hand_over(course, state, now)
        absent = self.random.binomial(served, self.chances.no_show)
        back = self.random.binomial(self.missed, self.chances.comes_again)
        gone = self.random.binomial(self.missed - back, self.chances.unclaimed)
        self.offered[day] = served
        self.missed += absent - back - gone
        self.unclaimed += int(gone.sum())
        self.ledger.move("PERSONALISED", "HAND_OVER", int((served - absent + back).sum()))
        self.ledger.chain("PERSONALISED", GIVEN_BACK, int(gone.sum()))
        self.queue = np.maximum(self.queue, (state.stock + self.missed).sum(axis=(1, 2)))

    def _spoil(self, made: Counts, state: State) -> None:
        """Some cards do not pass inspection: their chips are gone, and they are made again, before everybody else."""
        spoiled = self.random.binomial(made, self.chances.spoiled)
        good, bad = int((made - spoiled).sum()), int(spoiled.sum())
        self.ledger.chain("PLANNED", MADE, good)
        self.ledger.chain("PLANNED", SPOILED, bad)
        self.ledger.enter("PLANNED", bad)
        # The card goes back to the head of its own queue: it was the oldest, and stays it.
        state.made -= spoiled

    def _plan(self, day: int) -> None:
        """Plan the rest of the year from the cards as they are, and note what has been promised meanwhile."""
        self._note_promises(day)
        rest = self._as_known(day)
        course = course_of(
            rest,
            targets=self._old_targets(day),
            trips=self.trips[:, day:],
            kept_plan=self._kept_days(day),
            paid=None if self.paid is None else self.paid[:, day:],
        )
        course = self._continued(course, day)
        self.state = self._carried_over(rest, self.state)
        self._follow(course, walk(course), day)

    def _continued(self, course: Course, day: int) -> Course:
        """Cards at the points keep their places in the queues; what a cohort may be brought is not reckoned anew."""
        gone = np.minimum(np.cumsum(self.fate.due, axis=-1), self.left_total[..., None])
        gone[..., day:] += course.ages
        rooms, size = self.rooms, len(course.region.days)
        # Room for clocks that wait already was kept on the trips before.
        rest = Rooms(np.minimum(rooms.arrives[:, day:] - day, size), rooms.reach[:, day:], rooms.allowance[:, day:])
        return replace(
            course,
            rooms=rest,
            allowed=np.cumsum(rest.allowance, axis=1),
            queue_ages=gone,
            handed_before=self.offered[:day].sum(axis=0) - self.region.demand.stock,
        )

    def _follow(self, course: Course, walked: Walk, day: int) -> None:
        """Go by a plan from its first day on."""
        self.curve = self.offered[:day].sum(axis=0) + np.cumsum(walked.handed, axis=0)
        self.first = day
        # A strike closes days of this course only.
        self.course = replace(course, trips=course.trips.copy())
        self.plans += 1

    def _kept_days(self, day: int) -> Counts:
        """[D', P, V] cohort cards to be made by each day, as the first plan said, less what has left.

        So the days that were told stay: as in the office, a new plan moves them only when it must.
        """
        kept: Counts = np.maximum(self.kept[day:] - self.left_total[:, Kind.COHORT], 0)
        return kept

    def _old_targets(self, day: int) -> Counts:
        """The targets stand, less what has left: a new plan is to disturb as little as it can."""
        left = self.state.left[:, Kind.COHORT, :, None]
        targets: Counts = np.maximum(self.course.targets[..., day - self.first :] - left, 0)
        return targets

    def _carried_over(self, rest: Region, old: State) -> State:
        """The same cards, counted from the morning of the new plan."""
        state = begin(rest)
        return replace(
            state,
            known=old.known - old.left,
            stock=old.stock,
            chips=old.chips,
            allowance=old.allowance,
            inbound=old.inbound[-len(state.inbound) :].copy(),
        )

    def _as_known(self, day: int) -> Region:
        """The region as a planner sees it in the morning: what is there, and the rest as it was expected."""
        region, state = self.region, self.state
        waiting, finished = state.known - state.made, state.made - state.left
        known = region.demand.known[..., day:].copy()
        known[..., 0] += waiting
        due = self._due_from(day, known, finished)
        inbound = state.inbound[day - self.first :].sum(axis=0)
        demand = Demand(known, due, state.stock + inbound, finished)
        supply = replace(
            region.supply,
            capacity=region.supply.capacity[:, day:],
            chips=state.chips,
            deliveries=self._coming(day),
        )
        delivery = replace(
            region.delivery, departs=region.delivery.departs[:, day:], hand_over=region.delivery.hand_over[:, day:]
        )
        return replace(region, days=region.days[day:], supply=supply, delivery=delivery, demand=demand)

    def _coming(self, day: int) -> Counts:
        """Deliveries as promised; one that is overdue is believed to come in ten days."""
        expected = self.region.supply.deliveries[:, day:].copy()
        missing = self.region.supply.deliveries[:, :day].sum(axis=1) - self.fate.deliveries[:, :day].sum(axis=1)
        expected[:, min(10, expected.shape[1] - 1)] += np.maximum(missing, 0)
        return expected

    def _due_from(self, day: int, known: Counts, finished: Counts) -> Counts:
        """[P, C, V, D' + 1] due days of what has not left: the head of each queue has left, the rest as expected."""
        real = np.cumsum(self.fate.due, axis=-1)
        real_open = np.maximum(real - self.left_total[..., None], 0)
        come = finished + known[..., 0] - self.region.demand.known[..., day]
        open_due = np.minimum(real_open, come[..., None])
        expected = np.cumsum(self.region.demand.due, axis=-1)
        before = self.region.demand.finished + self.region.demand.known[..., :day].sum(axis=-1)
        to_come = np.clip(expected - before[..., None], 0, None)
        total = (open_due + to_come)[..., day:]
        total[..., -1] = finished + known.sum(axis=-1)
        due: Counts = np.diff(np.minimum(total, total[..., -1:]), axis=-1, prepend=0)
        return due

    def _note_promises(self, day: int) -> None:
        """Everybody known by now, and without a day so far, was told the day of the plan of the time."""
        until = np.maximum(self.known, self.told)
        reached = np.clip(self.curve - self.told, 0, until - self.told)
        days = np.minimum(np.arange(len(reached)) + self.first + self.margin, len(self.promised) - 1)
        np.add.at(self.promised, days, np.diff(reached, axis=0, prepend=0))
        self.promised[-1] += until - self.told - reached[-1]
        self.told = until

    def _outcome(self) -> Outcome:
        days = len(self.region.days)
        self._note_promises(days)
        streams = self.known.size
        promised = np.cumsum(self.promised[:-1].reshape(days, streams), axis=0)
        offered = np.cumsum(self.offered.reshape(days, streams), axis=0)
        before = np.concatenate([np.zeros((1, streams), np.int64), promised[:-1]])
        kept = int(np.minimum(np.maximum(offered - before, 0), promised - before).sum())
        total = int(promised[-1].sum())
        return Outcome(
            kept=kept / total if total else 1.0,
            late_clocks=self._late_clocks(),
            late_days=_late_days(promised, offered),
            queue=self.queue,
            stock_outs=self.stock_outs,
            handed=int(self.ledger.counts["ACTIVE"]),
            unclaimed=self.unclaimed,
            plans=self.plans,
            cards=dict(self.ledger.counts),
        )

    def _late_clocks(self) -> float:
        """Share of the clocks due within the year that had not arrived on their day."""
        due = np.cumsum(self.fate.due[:, : Kind.COHORT, :, :-1], axis=-1)
        came = np.cumsum(np.moveaxis(self.arrived[:, :, : Kind.COHORT], 0, -1), axis=-1)
        step = np.diff(due, axis=-1, prepend=0)
        late = np.minimum(np.maximum(due - came, 0), step)
        return float(late.sum() / max(1, step.sum()))


def _late_days(promised: Counts, offered: Counts) -> Reals:
    """Days between promise and offer, for a sample place of every stream and day on which a promise was broken."""
    found = []
    for stream in np.flatnonzero((offered < promised).any(axis=0)):
        broken = np.flatnonzero(offered[:, stream] < promised[:, stream])
        served = np.searchsorted(offered[:, stream], promised[broken, stream], side="left")
        found.append(served - broken)
    return np.concatenate(found).astype(float) if found else np.zeros(0)
