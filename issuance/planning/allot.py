"""Hides how scarce things are shared out in whole numbers: in an order, by the oldest first, or on lines that can."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from issuance.planning.region import Counts, Reals, Supply


def in_order(wanted: Counts, limit: Counts) -> Counts:
    """Give along the last axis, the first first, until each row's `limit` is used up."""
    before = np.cumsum(wanted, axis=-1) - wanted
    given: Counts = np.minimum(np.maximum(limit[..., None] - before, 0), wanted)
    return given


def oldest_first(wanted: Counts, served: Counts, order: Counts, total: int) -> Counts:
    """Give `total` among rows [N] so that across all of them the oldest go first.

    `order` [N, T] counts cumulatively the places of each row by age, `served` [N] how many of them are gone, `wanted`
    [N] bounds what a row may get. Ties of the last age go by the rows' order.
    """
    if int(wanted.sum()) <= total:
        return wanted
    low, high = 0, order.shape[1]
    while low < high:
        middle = (low + high) // 2
        if int(_up_to(wanted, served, order[:, middle]).sum()) <= total:
            low = middle + 1
        else:
            high = middle
    given = _up_to(wanted, served, order[:, low - 1]) if low else np.zeros_like(wanted)
    rest = wanted - given if low == order.shape[1] else _up_to(wanted, served, order[:, low]) - given
    return given + in_order(rest, np.array(total - int(given.sum())))


def by_class(wanted: Counts, limit: Counts, served: Counts, ages: Counts) -> Counts:
    """Give among streams [P, C, V], at each point up to its `limit` [P]: class by class, the oldest of a class first.

    `served` [P, C, V] and `ages` [P, C, V, T] are as in `oldest_first`; in the last class, where all have one age, the
    variants get equal shares.
    """
    totals = in_order(wanted.sum(axis=2), limit)
    given = wanted.copy()
    last, total = wanted[:, -1], totals[:, -1:]
    share = last * total // np.maximum(1, last.sum(axis=1, keepdims=True))
    given[:, -1] = share + in_order(last - share, totals[:, -1] - share.sum(axis=1))
    rows = np.nonzero(totals[:, :-1] < wanted[:, :-1].sum(axis=2))
    if len(rows[0]):
        given[rows] = _oldest_of_each(wanted[rows], served[rows], totals[rows], ages, rows)
    return given


def _oldest_of_each(wanted: Counts, served: Counts, total: Counts, ages: Counts, rows: tuple[Counts, ...]) -> Counts:
    """`oldest_first` for many queues at once: [N, V] of `wanted`, each row sharing its own `total` [N].

    `rows` say where in `ages` [P, C, V, T] the queues stand; of their whole ages only a few are looked at.
    """
    point, kind = rows
    size = ages.shape[3]
    low = np.zeros(len(total), dtype=np.int64)
    high = np.full(len(total), size)
    while (low < high).any():
        middle = np.minimum((low + high) // 2, size - 1)
        fits = _up_to(wanted, served, ages[point, kind, :, middle]).sum(axis=1) <= total
        open_rows = low < high
        low = np.where(open_rows & fits, middle + 1, low)
        high = np.where(open_rows & ~fits, middle, high)
    given = np.where((low > 0)[:, None], _up_to(wanted, served, ages[point, kind, :, np.maximum(low - 1, 0)]), 0)
    last = low[:, None] >= size
    then = np.where(last, wanted, _up_to(wanted, served, ages[point, kind, :, np.minimum(low, size - 1)]))
    return given + in_order(then - given, total - given.sum(axis=1))


def _up_to(wanted: Counts, served: Counts, order: Counts) -> Counts:
    limited: Counts = np.minimum(np.maximum(order - served, 0), wanted)
    return limited


@dataclass(frozen=True)
class LineGroups:
    """Lines that make the same card variants at the same price count as one.

    `masks` says which variants, `prices` [G] what a card costs more there, `member` [L] who belongs where.
    """

    masks: tuple[frozenset[int], ...]
    member: Counts
    prices: Reals

    def capacity(self, by_line: Counts) -> Counts:
        """[G, ...] the groups' capacity from that of the lines [L, ...]."""
        total = np.zeros((len(self.masks), *by_line.shape[1:]), dtype=np.int64)
        np.add.at(total, self.member, by_line)
        return total

    def makers(self, variant: int) -> list[int]:
        """The groups that make a variant: the cheapest, then the most specialised, so that the others stay free."""
        return self._makers.get(variant, [])

    @cached_property
    def _makers(self) -> dict[int, list[int]]:
        # Asked for several times on every day of every walk.
        order = sorted(range(len(self.masks)), key=lambda number: (self.prices[number], len(self.masks[number])))
        every = frozenset[int]().union(*self.masks)
        return {variant: [number for number in order if variant in self.masks[number]] for variant in every}

    def carried(self, used: Counts, before: "LineGroups") -> Counts:
        """[D, G, V] what other groups made, as these; what none of these is like, by the first that can make it."""
        places = {kind: number for number, kind in enumerate(zip(self.masks, self.prices.tolist(), strict=True))}
        found = np.zeros((len(used), len(self.masks), used.shape[2]), dtype=np.int64)
        for number, kind in enumerate(zip(before.masks, before.prices.tolist(), strict=True)):
            for variant in range(used.shape[2]):
                takers = [places[kind]] if kind in places else self.makers(variant)[:1]
                found[:, takers, variant] += used[:, [number], variant]
        return found

    def take(self, floor: "Floor", wanted: Counts) -> Counts:
        """[V] how many of `wanted` [V] can be made with what is free on the floor, which is noted there."""
        made = np.zeros_like(wanted)
        for variant in range(len(wanted)):
            for group in self.makers(variant):
                given = min(int(floor.free[group]), int(wanted[variant] - made[variant]))
                floor.free[group] -= given
                floor.used[group, variant] += given
                made[variant] += given
        return made


@dataclass
class Floor:
    """The lines on one day: `free` [G] cards they can still make, `used` [G, V] cards they were given."""

    free: Counts
    used: Counts


def line_groups(supply: Supply) -> LineGroups:
    """Group the lines of a supply by what they make, and for what price."""
    kinds = [(line.price, frozenset(line.makes)) for line in supply.lines]
    groups = sorted(set(kinds), key=lambda kind: (kind[0], sorted(kind[1])))
    place = {kind: number for number, kind in enumerate(groups)}
    return LineGroups(
        tuple(mask for _, mask in groups),
        np.array([place[kind] for kind in kinds], dtype=np.int64),
        np.array([price for price, _ in groups], dtype=float),
    )
