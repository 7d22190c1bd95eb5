"""Hides how demand becomes batches: who is made when, for which point, under capacity and the clock of the law.

A greedy plan: at each point the remakes first, then by due day, then by the day of acceptance, each on the first
working day that has room. Greedy by due day is optimal for lateness on a single resource (Jackson's rule), and
nobody waits longer than a later applicant of the same class. Clock: 210-FZ, chapter 6 (30 days; an argument here).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.errors import PlanningError

Slot = tuple[int, date]


class Priority(IntEnum):
    """Classes of demand; a smaller number goes first."""

    REMAKE = 0
    APPLICATION = 1
    COHORT = 2


@dataclass(frozen=True, slots=True)
class Demand:
    """One card that is wanted: `key` is the caller's, `due_on` the last day of its clock."""

    key: int
    point: int
    priority: Priority
    accepted_on: date
    due_on: date

    @property
    def place_in_queue(self) -> tuple[int, date, date, int]:
        """What the queue is ordered by; equal for nobody, so that a plan is the same whenever it is made again."""
        return self.priority, self.due_on, self.accepted_on, self.key


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """The cards `keys`, in the order in which they are to be made, for one point on one day."""

    point: int
    day: date
    keys: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Late:
    """A card whose promised day comes after its due day."""

    key: int
    promised_on: date
    due_on: date


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A card the plan has no room for, with the reason in one word: `no_capacity` or `beyond_horizon`."""

    key: int
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is made when; who is late; for whom there is no room before the horizon."""

    batches: tuple[PlannedBatch, ...]
    late: tuple[Late, ...]
    unplaced: tuple[Unplaced, ...]


@dataclass(frozen=True, slots=True)
class PlanningRules:
    """`start` is the first day that may be planned; `delivery_days` lie between making a card and its arrival."""

    calendar: WorkingCalendar
    start: date
    horizon_days: int
    batch_limit: int = 500
    delivery_days: int = 0

    def __post_init__(self) -> None:
        if self.horizon_days < 1 or self.batch_limit < 1 or self.delivery_days < 0:
            raise PlanningError(
                "The horizon and the batch limit must be at least 1 and the delivery days not negative."
            )


def plan(
    demands: Iterable[Demand], *, capacity: Mapping[int, int], used: Mapping[Slot, int], rules: PlanningRules
) -> Plan:
    """Place each demand on the first working day with room at its point.

    `capacity` is cards a day by point; `used` is what is already planned by (point, day). Raises nothing for demand
    that does not fit: it comes back in `unplaced`.
    """
    days = tuple(rules.calendar.between(rules.start, rules.start + timedelta(days=rules.horizon_days - 1)))
    queues: dict[int, list[Demand]] = defaultdict(list)
    for demand in demands:
        queues[demand.point].append(demand)
    batches: list[PlannedBatch] = []
    late: list[Late] = []
    unplaced: list[Unplaced] = []
    for point, queue in sorted(queues.items()):
        queue.sort(key=lambda demand: demand.place_in_queue)
        rooms = [(day, capacity.get(point, 0) - used.get((point, day), 0)) for day in days]
        placed = _fill(queue, rooms)
        for day, chosen in placed:
            batches += _lots(point, day, chosen, rules.batch_limit)
            late += _late_of(chosen, rules.calendar.after(day, rules.delivery_days))
        reason = "beyond_horizon" if capacity.get(point, 0) > 0 else "no_capacity"
        unplaced += [Unplaced(demand.key, reason) for demand in queue[sum(len(chosen) for _, chosen in placed) :]]
    batches.sort(key=lambda batch: (batch.day, batch.point))
    return Plan(tuple(batches), tuple(late), tuple(unplaced))


def _fill(queue: Sequence[Demand], rooms: Iterable[tuple[date, int]]) -> list[tuple[date, Sequence[Demand]]]:
    filled: list[tuple[date, Sequence[Demand]]] = []
    taken = 0
    for day, room in rooms:
        if taken == len(queue):
            break
        if room > 0:
            filled.append((day, queue[taken : taken + room]))
            taken += len(filled[-1][1])
    return filled


def _lots(point: int, day: date, chosen: Sequence[Demand], limit: int) -> list[PlannedBatch]:
    return [
        PlannedBatch(point, day, tuple(demand.key for demand in chosen[first : first + limit]))
        for first in range(0, len(chosen), limit)
    ]


def _late_of(chosen: Sequence[Demand], promised_on: date) -> list[Late]:
    return [Late(demand.key, promised_on, demand.due_on) for demand in chosen if promised_on > demand.due_on]
