"""Hides one day of the region, and many in a row: who is made, leaves, arrives and is handed over, in whole cards.

A day in order: couriers leave with what was made before; what arrives is put into the safe; windows hand over; lines
make cards from the chips there are. Whatever the input, no capacity is exceeded: that holds by the way a day is done,
not by a check afterwards. Remakes go first, then clocks by due day, then the cohort towards its targets; at each stage
the oldest of the class first, across all points. The plan and the digital twin walk the same days.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from issuance.planning.allot import Floor, LineGroups, by_class, in_order, line_groups, oldest_first
from issuance.planning.region import CLASSES, Counts, Flags, Kind, Region
from issuance.planning.rooms import Rooms, next_trip, rooms_of


@dataclass
class State:
    """Where every card is on a morning; streams are [P, C, V]. `inbound` [D + 1, P, C, V] by day of arrival.

    `known`, `made`, `left` and `handed` count from the first day; `allowance` [P] is what cohorts may still be brought.
    """

    known: Counts
    made: Counts
    left: Counts
    inbound: Counts
    stock: Counts
    handed: Counts
    chips: Counts
    allowance: Counts


@dataclass(frozen=True)
class Walk:
    """What happens on each day: [D, P, C, V] cards made, leaving, handed over, and lying at points in the evening.

    `chips` [D, V] are left in the evening; `used` [D, G, V] is what each group of lines made.
    """

    made: Counts
    left: Counts
    handed: Counts
    stock: Counts
    chips: Counts
    used: Counts


@dataclass(frozen=True)
class Course:
    """What stays the same on every day of a walk.

    `capacity` [G, D] is what groups of lines can make, `paid` [G, D] what of it may be asked of those with a price.
    With `kept_plan` [D, P, V], the cohort cards to be made by each day, cumulatively, none of them is made earlier.
    `queue_ages` [P, C, V, T] are the ages by which points hand over, and `handed_before` [P, C, V] how many places of
    their queues were handed over before the first day; negative where other cards lay there that go first.
    """

    region: Region
    rooms: Rooms
    trips: Flags
    next_trip: Counts
    groups: LineGroups
    capacity: Counts
    targets: Counts
    ages: Counts
    storage: Counts
    kept_chips: Counts
    allowed: Counts
    longest: int
    queue_ages: Counts
    handed_before: Counts
    kept_plan: Counts | None = None
    paid: Counts | None = None


def course_of(
    region: Region,
    *,
    targets: Counts,
    trips: Flags | None = None,
    kept_plan: Counts | None = None,
    paid: Counts | None = None,
) -> Course:
    """Prepare the walk; `targets` [P, V, D] is what of each cohort should have left by each day, cumulatively.

    `trips` [P, D] are the couriers' departures that are used, `paid` [G, D] the cards that lines with a price are asked
    for; all they can by default.
    """
    used = region.delivery.departs if trips is None else trips
    ages = np.cumsum(region.demand.due, axis=-1)
    groups = line_groups(region.supply)
    rooms, every = rooms_of(region, used), rooms_of(region)
    return Course(
        region=region,
        # What may be brought accumulates on all the days a courier could go, also where lots skip a trip.
        rooms=Rooms(rooms.arrives, rooms.reach, every.allowance),
        trips=used,
        next_trip=next_trip(used),
        groups=groups,
        capacity=groups.capacity(region.supply.capacity),
        targets=targets,
        ages=ages,
        storage=np.array([place.storage for place in region.places], dtype=np.int64),
        kept_chips=kept_chips(region),
        allowed=np.cumsum(every.allowance, axis=1),
        longest=int((rooms.arrives - np.arange(len(region.days))).max()) + 1,
        queue_ages=ages,
        handed_before=-region.demand.stock,
        kept_plan=kept_plan,
        paid=paid,
    )


def kept_chips(region: Region) -> Counts:
    """[V, D] chips a cohort must leave alone after each day, so that the clocks to come have theirs."""
    reachable = region.reachable[:, None, None, None]
    clocks = np.where(reachable, region.demand.known[:, : Kind.COHORT], 0).sum(axis=(0, 1))
    short = np.cumsum(clocks - region.supply.deliveries, axis=1)
    worst = np.maximum.accumulate(short[:, ::-1], axis=1)[:, ::-1]
    kept: Counts = worst - short
    return kept


def begin(region: Region) -> State:
    """The first morning."""
    demand = region.demand
    return State(
        known=demand.finished.copy(),
        made=demand.finished.copy(),
        left=np.zeros_like(demand.finished),
        inbound=np.zeros((len(region.days) + 1, *demand.finished.shape), dtype=np.int64),
        stock=demand.stock.copy(),
        handed=np.zeros_like(demand.stock),
        chips=region.supply.chips.copy(),
        allowance=np.zeros(len(region.places), dtype=np.int64),
    )


def resume(course: Course, before: Walk, day: int) -> State:
    """The morning of `day` when the days before it went as in another walk."""
    region = course.region
    state = begin(region)
    state.known += region.demand.known[..., :day].sum(axis=-1)
    state.made += before.made[:day].sum(axis=0)
    state.left += before.left[:day].sum(axis=0)
    state.handed += before.handed[:day].sum(axis=0)
    points = np.arange(len(region.places))
    for departed in range(day):
        state.inbound[course.rooms.arrives[:, departed], points] += before.left[departed]
    if day:
        state.stock, state.chips = before.stock[day - 1].copy(), before.chips[day - 1].copy()
        state.allowance += course.rooms.allowance[:, :day].sum(axis=1) - state.left[:, Kind.COHORT].sum(axis=1)
    return state


def walk(course: Course, *, before: Walk | None = None, first: int = 0, frozen: int = 0) -> Walk:
    """Walk all days, or from `first` on as a continuation of `before`.

    On the days before `frozen` exactly what `before` made is made, as far as lines and chips still allow.
    """
    size = len(course.region.days)
    state = begin(course.region) if before is None else resume(course, before, first)
    whole = _empty(size, course) if before is None else _until(before, first)
    for day in range(first, size):
        floor = Floor(course.capacity[:, day].copy(), whole.used[day])
        wanted = before.made[day] if before is not None and day < frozen else None
        whole.left[day], whole.handed[day], whole.made[day] = _planned_day(course, state, day, floor, wanted)
        whole.stock[day], whole.chips[day] = state.stock, state.chips
    return whole


def handed_ahead(course: Course) -> Iterator[Counts]:
    """[P, C, V] cards handed over on each day of a walk, day by day: worked out no further than somebody asks."""
    state = begin(course.region)
    for day in range(len(course.region.days)):
        free = course.capacity[:, day].copy()
        floor = Floor(free, np.zeros((len(free), len(state.chips)), dtype=np.int64))
        yield _planned_day(course, state, day, floor)[1]


def _planned_day(
    course: Course, state: State, day: int, floor: Floor, wanted: Counts | None = None
) -> tuple[Counts, Counts, Counts]:
    """Cards leaving, handed over and made on a day that goes as the region expects."""
    left = send(course, state, day)
    state.stock += state.inbound[day]
    handed = hand_over(course, state, day)
    state.known += course.region.demand.known[..., day]
    state.chips += course.region.supply.deliveries[:, day]
    return left, handed, make(course, state, day, floor, wanted)


def _empty(size: int, course: Course) -> Walk:
    streams = course.region.demand.finished.shape
    shapes = (streams, streams, streams, streams, streams[2:], (len(course.capacity), *streams[2:]))
    return Walk(*(np.zeros((size, *shape), dtype=np.int64) for shape in shapes))


def _until(before: Walk, day: int) -> Walk:
    parts = (before.made, before.left, before.handed, before.stock, before.chips, before.used)
    whole = Walk(*(part.copy() for part in parts))
    whole.used[day:] = 0
    return whole


def send(course: Course, state: State, day: int) -> Counts:
    """Couriers leave: clocks as far as courier and safe allow, cohorts as far as the point can hand over as well."""
    state.allowance += course.rooms.allowance[:, day]
    goes = course.trips[:, day]
    left = np.zeros_like(state.left)
    if not goes.any():
        return left
    ready = np.where(goes[:, None, None], state.made - state.left, 0)
    points = len(ready)
    there = (state.stock + state.inbound[day : day + course.longest].sum(axis=0)).sum(axis=(1, 2))
    room = np.maximum(np.minimum(course.region.delivery.volume, course.storage - there), 0)
    urgent = ready.copy()
    urgent[:, Kind.COHORT] = 0
    left[:] = by_class(urgent, room, state.left, course.ages)
    taken = left.sum(axis=(1, 2))
    free = np.minimum(np.minimum(room - taken, course.rooms.reach[:, day] - there - taken), state.allowance)
    left[:, Kind.COHORT] = in_order(ready[:, Kind.COHORT], np.maximum(free, 0))
    state.allowance -= left[:, Kind.COHORT].sum(axis=1)
    state.left += left
    state.inbound[course.rooms.arrives[:, day], np.arange(points)] += left
    return left


def hand_over(course: Course, state: State, day: int) -> Counts:
    """Windows hand over what lies there, the first class first."""
    gone = state.handed + course.handed_before
    handed = by_class(state.stock, course.region.delivery.hand_over[:, day], gone, course.queue_ages)
    state.stock -= handed
    state.handed += handed
    return handed


def make(course: Course, state: State, day: int, floor: Floor, wanted: Counts | None = None) -> Counts:
    """Lines make cards: exactly `wanted` [P, C, V] as far as they can, or by the rules of the classes."""
    made = np.zeros_like(state.made)
    waiting = state.known - state.made
    reachable = course.region.reachable
    waiting[~reachable] = 0
    if wanted is not None:
        _make_stage(course, state, floor, made, np.minimum(wanted, waiting))
    else:
        able = floor.free + floor.used.sum(axis=1)
        _hold_to_price(course, day, floor)
        for kind in (Kind.REMAKE, Kind.CLOCK):
            stage = np.zeros_like(waiting)
            stage[:, kind] = waiting[:, kind]
            _make_stage(course, state, floor, made, stage)
        if course.kept_plan is not None:
            # A day that was promised is worth any price.
            floor.free[:] = able - floor.used.sum(axis=1)
            _keep_cohort(course, state, day, floor, made, course.kept_plan)
        _make_cohort(course, state, day, floor, made)
    return made


def _hold_to_price(course: Course, day: int, floor: Floor) -> None:
    """Leave of lines with a price no more free than is worth it."""
    if course.paid is not None:
        worth = np.maximum(course.paid[:, day] - floor.used.sum(axis=1), 0)
        floor.free[:] = np.where(course.groups.prices > 0, np.minimum(floor.free, worth), floor.free)


def make_ahead(course: Course, state: State, day: int, floor: Floor, made: Counts) -> None:
    """Let lines that have nothing more to do by the plan make cohort cards before their day; adds to `made`."""
    _make_cohort(course, state, day, floor, made)


def _make_stage(course: Course, state: State, floor: Floor, made: Counts, wanted: Counts) -> None:
    """Make what is wanted, class by class, the oldest first where lines or chips are short."""
    for kind in range(CLASSES):
        total = wanted[:, kind].sum(axis=0)
        if not total.any():
            continue
        can = course.groups.take(floor, np.minimum(total, state.chips))
        for variant in np.flatnonzero(can):
            rows = (slice(None), kind, variant)
            given = oldest_first(wanted[rows], state.made[rows], course.ages[rows], int(can[variant]))
            made[rows] += given
            state.made[rows] += given
            state.chips[variant] -= int(can[variant])


def _make_cohort(course: Course, state: State, day: int, floor: Floor, made: Counts) -> None:
    """Make cohort cards in five rounds, so that few finished cards wait and every point gets on alike.

    For tomorrow's trips what their target says, then what that of the point's trip after says; for all next trips what
    their targets say, then all they may bring; at last for the trips after those.
    """
    days = course.targets.shape[2]
    trip = course.next_trip[:, day]
    after = np.take_along_axis(course.next_trip, np.minimum(trip, days - 1)[:, None], 1)[:, 0]
    soon = np.where(trip == day + 1, trip, days)
    for at, goal in ((soon, trip), (soon, after), (trip, trip), (trip, None), (after, None)):
        if not floor.free.any():
            return
        waiting = state.known[:, Kind.COHORT] - state.made[:, Kind.COHORT]
        waiting[at >= days] = 0
        finished = (state.made - state.left)[:, Kind.COHORT].sum(axis=1)
        room = np.maximum(_bringable(course, state, day, at) - finished, 0)
        if goal is not None:
            aim = np.take_along_axis(course.targets, np.minimum(goal, days - 1)[:, None, None], 2)[:, :, 0]
            waiting = np.minimum(waiting, np.maximum(aim - state.made[:, Kind.COHORT], 0))
        _by_departure(course, state, day, floor, made, in_order(waiting, room), at)


def _keep_cohort(course: Course, state: State, day: int, floor: Floor, made: Counts, kept: Counts) -> None:
    """Make what another plan would have made by now, and then, where it is worth its price, those it had no day for."""
    days = course.targets.shape[2]
    trip = course.next_trip[:, day]
    cohort = (slice(None), Kind.COHORT)
    behind = np.minimum(kept[day] - state.made[cohort], state.known[cohort] - state.made[cohort])
    behind[~course.region.reachable] = 0
    _by_departure(course, state, day, floor, made, np.maximum(behind, 0), trip)
    _hold_to_price(course, day, floor)
    waiting = np.where(state.made[cohort] >= kept[-1], state.known[cohort] - state.made[cohort], 0)
    waiting[(trip >= days) | ~course.region.reachable] = 0
    finished = (state.made - state.left)[cohort].sum(axis=1)
    room = np.maximum(_bringable(course, state, day, trip) - finished, 0)
    _by_departure(course, state, day, floor, made, in_order(waiting, room), trip)


def _bringable(course: Course, state: State, day: int, trip: Counts) -> Counts:
    """[P] cohort cards that may leave by the trip: what has accumulated until then, as far as courier and safe hold."""
    last = course.allowed.shape[1] - 1
    until = np.take_along_axis(course.allowed, np.minimum(trip, last)[:, None], 1)[:, 0]
    coming = np.maximum(until - course.allowed[:, day], 0)
    held: Counts = np.minimum(course.region.delivery.volume, course.storage)
    room: Counts = np.minimum(state.allowance + coming, held)
    return room


def _by_departure(
    course: Course, state: State, day: int, floor: Floor, made: Counts, wanted: Counts, trip: Counts
) -> None:
    """Make for the trips that leave first; where one day's trips are more than the lines can do, in equal shares."""
    chips = np.maximum(state.chips - course.kept_chips[:, day], 0)
    can = course.groups.take(floor, np.minimum(wanted.sum(axis=0), chips))
    order = np.argsort(trip, kind="stable")
    for variant in np.flatnonzero(can):
        given = np.zeros(len(trip), dtype=np.int64)
        given[order] = _equal_shares(wanted[order, variant], trip[order], int(can[variant]))
        made[:, Kind.COHORT, variant] += given
        state.made[:, Kind.COHORT, variant] += given
        state.chips[variant] -= int(given.sum())


def _equal_shares(wanted: Counts, trip: Counts, total: int) -> Counts:
    given = in_order(wanted, np.array(total))
    cut = int(np.searchsorted(np.cumsum(wanted), total, side="right"))
    if cut >= len(wanted):
        return given
    same = trip == trip[cut]
    there, rest = wanted[same], int(given[same].sum())
    share = there * rest // max(1, int(there.sum()))
    given[same] = share + in_order(there - share, np.array(rest - int(share.sum())))
    return given
