"""The digital twin: a region's year by chance, with the planner at work in it as in the office.

Each day is done by the same code as in a plan (`forward`), with what really comes, breaks, strikes and does not show
up. Every month, and when something happens, the planner plans anew from what it can know: the cards as they are and the
intake as it was expected. A promise, once given, stands; the twin counts how many are kept.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from issuance.planning.allot import Floor, in_order
from issuance.planning.chances import Chances, draw
from issuance.planning.errors import PlanningError
from issuance.planning.forward import (
    Course,
    State,
    begin,
    course_of,
    hand_over,
    handed_ahead,
    make,
    make_ahead,
    send,
)
from issuance.planning.ledger import Ledger, Moves
from issuance.planning.optimiser import Plan, make_plan, worth_paying
from issuance.planning.outcome import Outcome, Tally, week_of
from issuance.planning.region import Counts, Demand, Kind, Region
from issuance.planning.rooms import Rooms

EVENT_PAUSE_DAYS = 10
MADE = ("PREPARE", "START_WRITING", "INSPECTED")
SPOILED = ("PREPARE", "START_WRITING", "SPOIL")
GIVEN_BACK = ("ANNUL", "DESTROY")


class Stopped(PlanningError):
    """Somebody asked for the year to be given up."""

    code = "planning.stopped"


@dataclass(frozen=True)
class Setting:
    """`moves` is the office's table of card moves; people are promised their planned day and `margin_days` more."""

    moves: Moves
    chances: Chances = field(default_factory=Chances)
    margin_days: int = 5


def _never() -> bool:
    return False


def simulate(
    region: Region,
    *,
    seed: int,
    setting: Setting,
    plan: Plan | None = None,
    stopped: Callable[[], bool] = _never,
) -> Outcome:
    """Live through the region's days once; the same seed gives the same year.

    `plan` is the plan of the region that the year begins with; made here when it is None. Raises `IllegalCount` when
    the office's table forbids what happens, and `Stopped` on the first day on which `stopped` says so.
    """
    begun = make_plan(region) if plan is None else plan
    year = _Year(region, setting, np.random.default_rng(seed), Ledger(setting.moves), begun)
    return year.live(stopped)


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
        self.lying = np.zeros((days, streams[0]), dtype=np.int64)
        self.stock_outs = np.zeros(days, dtype=np.int64)
        self.arrived = np.zeros((days, *streams), dtype=np.int64)
        self.left_total = np.zeros(streams, dtype=np.int64)
        self.unclaimed = self.plans = 0
        self.first = 0
        self.state = begin(region)
        ledger.enter("PERSONALISED", int(self.known.sum()))
        self.kept = np.cumsum(plan.walk.made[:, :, Kind.COHORT], axis=0) + region.demand.finished[:, Kind.COHORT]
        self.paid = worth_paying(region, plan.relaxed)
        course = course_of(region, targets=plan.relaxed.targets, trips=plan.trips, paid=self.paid)
        self.rooms = course.rooms
        self._follow(course, iter(plan.walk.handed), 0)

    def live(self, stopped: Callable[[], bool] = _never) -> Outcome:
        for day, date in enumerate(self.region.days):
            if stopped():
                raise Stopped("The simulated year was given up before its end: live through it again.")
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
        self.stock_outs[day] = int(((state.chips == 0) & (waiting > 0)).sum())

    def _windows(self, course: Course, state: State, now: int, day: int) -> None:
        """Who is invited shows up or not; who did not may come another day, if a window is free then, or never."""
        served = hand_over(course, state, now)
        absent = self.random.binomial(served, self.chances.no_show)
        back = self._let_in(self.random.binomial(self.missed, self.chances.comes_again), served - absent, day)
        gone = self.random.binomial(self.missed - back, self.chances.unclaimed)
        self.offered[day] = served
        self.missed += absent - back - gone
        self.unclaimed += int(gone.sum())
        self.ledger.move("PERSONALISED", "HAND_OVER", int((served - absent + back).sum()))
        self.ledger.chain("PERSONALISED", GIVEN_BACK, int(gone.sum()))
        self.lying[day] = (state.stock + self.missed).sum(axis=(1, 2))

    def _let_in(self, back: Counts, served: Counts, day: int) -> Counts:
        """Those who come back take the windows that the others leave free; the rest must come another day."""
        free = self.region.delivery.hand_over[:, day] - served.sum(axis=(1, 2))
        return in_order(back.reshape(len(back), -1), free).reshape(back.shape)

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
        self._follow(course, handed_ahead(course), day)

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

    def _follow(self, course: Course, handed: Iterator[Counts], day: int) -> None:
        """Go by a plan from its first day on; `handed` is what it has windows hand over, day by day."""
        self.ahead = handed
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
            chips=state.chips.copy(),
            deliveries=self._coming(day),
        )
        usual = region.delivery
        delivery = replace(
            usual, departs=usual.departs[:, day:], hand_over=usual.hand_over[:, day:], worked=usual.worked[day:]
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
        new, before = until > self.told, self.told
        served = self.offered[: self.first].sum(axis=0)
        # No further than the last of them is served: their days are all that anybody is told of a plan.
        for number in range(self.first, len(self.region.days)):
            if (before >= until)[new].all():
                break
            served += next(self.ahead)
            reached = np.clip(served, before, until)
            self.promised[min(number + self.margin, len(self.promised) - 1)] += reached - before
            before = reached
        self.promised[-1] += until - before
        self.told = until

    def _outcome(self) -> Outcome:
        days, streams = len(self.region.days), self.known.size
        self._note_promises(days)
        step = self.promised[:-1].reshape(days, streams)
        promised = np.cumsum(step, axis=0)
        offered = np.cumsum(self.offered.reshape(days, streams), axis=0)
        kept = np.minimum(np.maximum(offered - promised + step, 0), step)
        weeks = week_of(self.region.days)
        points = len(self.region.places)
        total = int(step.sum())
        return Outcome(
            kept=int(kept.sum()) / total if total else 1.0,
            late_clocks=self._late_clocks(),
            late=_late(promised, offered),
            lying=_by_week(np.maximum, self.lying, weeks).T.copy(),
            stock_outs=_by_week(np.add, self.stock_outs, weeks),
            by_point=Tally(*(one.sum(axis=0).reshape(points, -1).sum(axis=1) for one in (step, kept))),
            by_week=Tally(*(_by_week(np.add, one.sum(axis=1), weeks) for one in (step, kept))),
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


def _by_week(add: np.ufunc, daily: Counts, weeks: Counts) -> Counts:
    """[W, ...] of [D, ...]: the days of each week, added up or their greatest."""
    found = np.zeros((int(weeks[-1]) + 1, *daily.shape[1:]), dtype=np.int64)
    add.at(found, weeks, daily)
    return found


def _late(promised: Counts, offered: Counts) -> Counts:
    """[D + 1] people by the days that passed from their promise [D, S] to their offer [D, S], if any did."""
    days = len(promised)
    found = np.zeros(days + 1, dtype=np.int64)
    for stream in np.flatnonzero((offered < promised).any(axis=0)):
        was, then = promised[:, stream], offered[:, stream]
        cuts = np.unique(np.concatenate([was, np.minimum(then, was[-1])]))
        starts = np.concatenate([[0], cuts])[: len(cuts)]
        waited = np.searchsorted(then, starts, side="right") - np.searchsorted(was, starts, side="right")
        np.add.at(found, np.maximum(waited, 0), cuts - starts)
    found[0] = 0
    return found
