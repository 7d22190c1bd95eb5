"""Hides how counts by day become places in a queue: who of a stream is made, leaves and is promised when.

A stream (point, class, variant) is a queue in the order of due day, then registration. Making, leaving and handing over
all take from its head, so each is a cumulative curve over the places, and where any curve steps a new slot begins. All
streams lie one behind the other on one axis, so that a million places are cut by a few sorted look-ups.
"""

from dataclasses import dataclass

import numpy as np

from issuance.planning.allot import line_groups
from issuance.planning.forward import Walk
from issuance.planning.region import Counts, Region

FINISHED = -1


@dataclass(frozen=True)
class Slots:
    """Rows of places: `stream` index into [P, C, V] raveled, places `first` to before `first + count` of it.

    Days are indexes; the number of days stands for "not within the horizon". `made` and `line` are -1 for cards that
    were finished before the plan began. `known` and `due` are the places' own days. `batch` is -1 for no batch.
    """

    stream: Counts
    first: Counts
    count: Counts
    known: Counts
    due: Counts
    made: Counts
    line: Counts
    left: Counts
    promised: Counts
    batch: Counts


@dataclass(frozen=True)
class Batches:
    """Cards of one variant made on one line on one day, for one trip to one point, in the order of all of these."""

    made: Counts
    line: Counts
    variant: Counts
    point: Counts
    left: Counts
    count: Counts


def slots_of(region: Region, walk: Walk, *, by_demand: bool = True) -> tuple[Slots, Batches]:
    """Cut all streams; with `by_demand` also where the days of becoming known or due change."""
    days, shape = len(region.days), region.demand.finished.shape
    finished = region.demand.finished.ravel()
    known = region.demand.known.reshape(-1, days)
    totals = finished + known.sum(axis=1)
    ends = np.cumsum(totals)
    offset = ends - totals
    pieces = _pieces(region, walk)
    curves = {
        "known": _curve(offset, known, finished),
        "due": _curve(offset, region.demand.due.reshape(-1, days + 1)[:, :-1], 0),
        "left": _curve(offset, _by_stream(walk.left), 0),
        # The windows first hand over what lay there already.
        "promised": np.maximum(_curve(offset, _by_stream(walk.handed), -region.demand.stock.ravel()), offset[:, None]),
    }
    made_ends = _piece_ends(pieces, offset, finished, len(totals))
    wanted = list(curves.values()) if by_demand else [curves["left"], curves["promised"]]
    cuts = np.unique(np.concatenate([made_ends, ends, *(curve.ravel() for curve in wanted)]))
    cuts = cuts[cuts > 0]
    starts = np.concatenate([[0], cuts])[: len(cuts)]
    stream = np.searchsorted(ends, starts, side="right")
    at = {name: _days_at(curve, starts, stream) for name, curve in curves.items()}
    piece = np.searchsorted(made_ends, starts, side="right")
    made, line = _at_piece(pieces, piece, stream, starts - offset[stream], finished, days)
    left = at["left"]
    batches, batch = _batches(stream, made, line, left, cuts - starts, shape, days)
    slots = Slots(
        stream, starts - offset[stream], cuts - starts, at["known"], at["due"], made, line, left, at["promised"], batch
    )
    return slots, batches


def _by_stream(by_day: Counts) -> Counts:
    return np.ascontiguousarray(by_day.reshape(len(by_day), -1).T)


def _curve(offset: Counts, steps: Counts, before: Counts | int) -> Counts:
    """[S, D] the place on the axis that each stream's queue has reached after each day."""
    start = offset + before
    curve: Counts = start[:, None] + np.cumsum(steps, axis=1)
    return curve


def _days_at(curve: Counts, starts: Counts, stream: Counts) -> Counts:
    """The day on which a place is reached: the first whose curve is above it; the number of days if none is."""
    days = curve.shape[1]
    reached: Counts = np.searchsorted(curve.ravel(), starts, side="right") - stream * days
    return np.minimum(reached, days)


@dataclass(frozen=True)
class _Pieces:
    """Cards of one stream made on one line on one day, sorted by stream, day and line."""

    stream: Counts
    day: Counts
    line: Counts
    count: Counts


def _pieces(region: Region, walk: Walk) -> _Pieces:
    """Give what was made each day to the lines, point after point, so that a line changes destination seldom."""
    groups = line_groups(region.supply)
    members = [np.flatnonzero(groups.member == group) for group in range(len(groups.masks))]
    found: list[Counts] = []
    for day in np.flatnonzero(walk.used.sum(axis=(1, 2))):
        free = region.supply.capacity[:, day].copy()
        for variant in range(len(region.variants)):
            lines, loads = _loads(members, free, walk.used[day, :, variant])
            if len(lines):
                found.append(_cut(int(day), variant, walk.made[day, :, :, variant], lines, loads, len(region.variants)))
    rows = np.concatenate(found, axis=1) if found else np.zeros((4, 0), dtype=np.int64)
    order = np.lexsort((rows[2], rows[1], rows[0]))
    return _Pieces(*rows[:, order])


def _loads(members: list[Counts], free: Counts, used: Counts) -> tuple[Counts, Counts]:
    """Lines and how many cards of a variant each gets, from what its group makes; `free` [L] is reduced."""
    lines, loads = [], []
    for group, total in enumerate(used):
        rest = int(total)
        for line in members[group]:
            load = min(rest, int(free[line]))
            if load:
                lines.append(line)
                loads.append(load)
                free[line] -= load
                rest -= load
    return np.array(lines, dtype=np.int64), np.array(loads, dtype=np.int64)


def _cut(day: int, variant: int, made: Counts, lines: Counts, loads: Counts, variants: int) -> Counts:
    """[4, n] rows stream, day, line, count: the cards [P, C] in order, cut where a line is full."""
    wanted = made.ravel()
    places = np.flatnonzero(wanted)
    streams, lines_end = np.cumsum(wanted[places]), np.cumsum(loads)
    cuts = np.unique(np.concatenate([streams, lines_end]))
    starts = np.concatenate([[0], cuts[:-1]])
    stream = places[np.searchsorted(streams, starts, side="right")] * variants + variant
    line = lines[np.searchsorted(lines_end, starts, side="right")]
    return np.stack([stream, np.full(len(cuts), day), line, cuts - starts])


def _piece_ends(pieces: _Pieces, offset: Counts, finished: Counts, streams: int) -> Counts:
    total = np.bincount(pieces.stream, weights=pieces.count, minlength=streams).astype(np.int64)
    before = np.cumsum(total) - total
    ends: Counts = np.cumsum(pieces.count) - before[pieces.stream] + (offset + finished)[pieces.stream]
    return ends


def _at_piece(
    pieces: _Pieces, piece: Counts, stream: Counts, place: Counts, finished: Counts, days: int
) -> tuple[Counts, Counts]:
    """Day and line on which a place is made."""
    last = np.minimum(piece, max(0, len(pieces.stream) - 1))
    if not len(pieces.stream):
        ours = np.zeros(len(stream), dtype=np.bool_)
        made = line = np.zeros(len(stream), dtype=np.int64)
    else:
        ours = (piece < len(pieces.stream)) & (pieces.stream[last] == stream)
        made, line = pieces.day[last], pieces.line[last]
    done = place < finished[stream]
    made = np.where(done, FINISHED, np.where(ours, made, days))
    return made, np.where(ours & ~done, line, FINISHED)


def _batches(
    stream: Counts, made: Counts, line: Counts, left: Counts, count: Counts, shape: tuple[int, ...], days: int
) -> tuple[Batches, Counts]:
    point, _, variant = np.unravel_index(stream, shape)
    real = np.flatnonzero((made >= 0) & (made < days))
    key = np.ravel_multi_index(
        (made[real], line[real], variant[real], point[real], left[real]),
        (days, int(line.max(initial=0)) + 1, shape[2], shape[0], days + 1),
    )
    keys, first, number = np.unique(key, return_index=True, return_inverse=True)
    one = real[first]
    counts = np.bincount(number, weights=count[real], minlength=len(keys)).astype(np.int64)
    batch = np.full(len(stream), -1, dtype=np.int64)
    batch[real] = number
    return Batches(made[one], line[one], variant[one], point[one], left[one], counts), batch
