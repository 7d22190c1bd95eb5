"""What a plan of mass emission is made from: demand, lines, chips, couriers, points, each as counts by day.

People are never here: a stream is (point, class, variant), and within it everybody is served in the order of due day,
then registration. So that a plan over counts says who by counts, and the office turns counts into people set-based.
All arrays are whole numbers; D days, P points, C classes, V variants, L lines.
"""

import math
from dataclasses import dataclass, field, replace
from datetime import date
from enum import IntEnum
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from issuance.planning.errors import PlanningError

OWN, BUREAU = "own", "bureau"
# Calendar days that a card without a day is taken to wait behind the last one; of how many a trip may make it at most.
BEYOND_DAYS, MOST_BEYOND_DAYS = 30, 3000
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Reals = npt.NDArray[np.float64]


class Kind(IntEnum):
    """Classes of demand, the first first: law and decency put a spoiled card's owner before everybody."""

    REMAKE = 0
    CLOCK = 1
    COHORT = 2


CLASSES = len(Kind)


@dataclass(frozen=True)
class Line:
    """A production line or an outside bureau (`kind`): `makes` are the indexes of the card variants it can write.

    `shift` is how many cards one more shift would make. A card costs `price` more than on a line without one, in the
    couriers' currency; `lead` planning days pass from the order to the day on which cards count as made.
    """

    code: str
    name_ru: str
    name_en: str
    makes: tuple[int, ...]
    shift: int = 0
    kind: str = OWN
    price: float = 0.0
    lead: int = 0


@dataclass(frozen=True)
class Place:
    """An issuance point, or a `mobile` office on its round; `storage` cards fit into its safe."""

    code: str
    name_ru: str
    name_en: str
    municipality: str
    storage: int
    mobile: bool = False


@dataclass(frozen=True)
class Prices:
    """What a day costs, in the currency of the couriers: `wait` and `late` a card and day, by class.

    The weights make the classes strict in practice: a clock a day late outweighs a courier's trip to its point.
    `beyond_days` is what a card that found no place before the horizon is taken to wait after it; where a courier is
    dearer than that for the few people of a point, they would never be served (`serving`).
    """

    wait: tuple[float, float, float] = (20.0, 5.0, 1.0)
    late: tuple[float, float, float] = (2000.0, 1000.0, 2.0)
    beyond_days: int = BEYOND_DAYS

    def serving(self, trip: float) -> "Prices":
        """The same, where leaving a card of the cohort without a day costs no less than a trip for it alone."""
        days = min(MOST_BEYOND_DAYS, math.ceil(trip / self.wait[Kind.COHORT]))
        return replace(self, beyond_days=max(self.beyond_days, days))


@dataclass(frozen=True)
class Supply:
    """What the centre can make: `capacity` [L, D] cards, `chips` [V] in hand, `deliveries` [V, D] usable that day."""

    lines: tuple[Line, ...]
    capacity: Counts
    chips: Counts
    deliveries: Counts


@dataclass(frozen=True)
class Delivery:
    """How cards reach the points.

    `departs` [P, D]: a courier leaves for the point in the morning of the day, with what was made before it;
    `transit` [P] working days on the way; `volume` [P] cards a trip; `cost` [P] of a trip; `hand_over` [P, D] cards
    the point can hand over on a day (windows x minutes, by opening hours; a mobile office only where it stands).
    Transit counts the days `worked` [D] by the calendar alone: a plan has weekend days as soon as any one point is open
    then, and these make no way shorter.
    """

    departs: Flags
    transit: Counts
    volume: Counts
    cost: Reals
    hand_over: Counts
    worked: Flags

    @cached_property
    def arrives(self) -> Counts:
        """[P, D + 1] index of the day on which a trip of each morning arrives; D: after the horizon, or no trip."""
        done, days = np.cumsum(self.worked), len(self.worked)
        # Without transit a trip arrives on its own day, be that worked or not.
        there = np.maximum(np.searchsorted(done, done + self.transit[:, None]), np.arange(days))
        found: Counts = np.concatenate([there, np.full((len(there), 1), days)], axis=1)
        return found


@dataclass(frozen=True)
class Demand:
    """Cards wanted: `known` [P, C, V, D] by the first day one may be made, `due` [P, C, V, D + 1] by its last day.

    Whatever is due on no day of the horizon stands in the last column; what is overdue already in the first. `stock`
    [P, C, V] lies at the points and waits for its owners; `finished` [P, C, V] is made and waits for a courier: it is
    no more in `known`, but still in `due`.
    """

    known: Counts
    due: Counts
    stock: Counts
    finished: Counts


@dataclass(frozen=True)
class Region:
    """Everything a plan needs; `days` rise, and what happens between two of them waits for the later one.

    `doubts` say, in Russian and English, what of the facts it was made from a planner should look at.
    Raises `PlanningError` when the shapes do not fit together or a count is negative.
    """

    days: tuple[date, ...]
    variants: tuple[str, ...]
    places: tuple[Place, ...]
    supply: Supply
    delivery: Delivery
    demand: Demand
    prices: Prices = field(default_factory=Prices)
    doubts: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        d, p, v = len(self.days), len(self.places), len(self.variants)
        lines = len(self.supply.lines)
        wanted = {
            "line capacity": (self.supply.capacity, (lines, d)),
            "chips": (self.supply.chips, (v,)),
            "deliveries": (self.supply.deliveries, (v, d)),
            "departures": (self.delivery.departs, (p, d)),
            "transit": (self.delivery.transit, (p,)),
            "volumes": (self.delivery.volume, (p,)),
            "trip costs": (self.delivery.cost, (p,)),
            "hand-over capacity": (self.delivery.hand_over, (p, d)),
            "days worked": (self.delivery.worked, (d,)),
            "known demand": (self.demand.known, (p, CLASSES, v, d)),
            "due demand": (self.demand.due, (p, CLASSES, v, d + 1)),
            "stock at points": (self.demand.stock, (p, CLASSES, v)),
            "finished cards": (self.demand.finished, (p, CLASSES, v)),
        }
        rising = all(early < late for early, late in pairwise(self.days))
        if not (d and p and v) or not rising:
            raise PlanningError("A plan needs a day, a point and a card variant, and rising days: correct the input.")
        for name, (array, shape) in wanted.items():
            if array.shape != shape:
                raise PlanningError(f"The {name} have the shape {array.shape} and need {shape}: correct the input.")
            if array.size and array.min() < 0:
                raise PlanningError(f"The {name} hold a negative number: correct the input.")
        if (self.demand.known.sum(axis=3) + self.demand.finished != self.demand.due.sum(axis=3)).any():
            raise PlanningError("Every card wanted needs a due day, if only one after the horizon: correct the input.")
        if any(not 0 <= made < v for line in self.supply.lines for made in line.makes):
            raise PlanningError("A line makes a card variant that does not exist: correct the input.")

    @property
    def spans(self) -> Reals:
        """Calendar days from each planning day to the next; the last one counts `beyond_days` of its own."""
        numbers = [day.toordinal() for day in self.days]
        return np.append(np.diff(np.array(numbers, dtype=float)), float(self.prices.beyond_days))

    @property
    def time(self) -> Reals:
        """The same for telling people: who has no day waits a month behind the last one, whatever that costs."""
        found: Reals = np.append(self.spans[:-1], min(self.spans[-1], BEYOND_DAYS))
        return found

    @property
    def reachable(self) -> Flags:
        """[P] whether any courier goes to the point at all."""
        found: Flags = self.delivery.departs.any(axis=1) & (self.delivery.volume > 0)
        return found


def last_departures(region: Region) -> Counts:
    """[P, C, V, D + 1] due cards by the last day on which they may leave: their due day less the time on the way.

    What could arrive in time by no day of the horizon any more stands in the first column.
    """
    due = region.demand.due
    left = np.empty_like(due)
    left[..., -1] = due[..., -1]
    before = np.cumsum(due, axis=-1) - due
    # By a trip must leave what is due before the next day's trip would arrive.
    gone = np.take_along_axis(before, region.delivery.arrives[:, None, None, 1:], axis=-1)
    left[..., :-1] = np.diff(gone, axis=-1, prepend=0)
    return left
