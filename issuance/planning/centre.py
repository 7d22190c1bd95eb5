"""The centre alone, as a linear programme grows it: lines make cards of chips, and finished cards wait to leave."""

import numpy as np

from issuance.planning.allot import line_groups
from issuance.planning.region import Counts, Region
from issuance.planning.solver import INFINITY, Programme


def add_centre(lp: Programme, region: Region) -> Counts:
    """Let a programme make the cards of the points that couriers go to.

    Returns the rows [V, D] of finished cards: what leaves on a day is entered there with 1.
    """
    supply, demand, groups = region.supply, region.demand, line_groups(region.supply)
    shape = (len(region.variants), len(region.days))
    able = np.array([[variant in mask for variant in range(shape[0])] for mask in groups.masks])
    high = np.where(able.reshape(-1, shape[0]), INFINITY, 0.0)[:, :, None]
    made = lp.add_columns((len(groups.masks), *shape), cost=groups.prices[:, None, None], high=high)
    capacity = groups.capacity(supply.capacity)
    lp.put(lp.add_rows(capacity.shape, low=-INFINITY, high=capacity)[:, None], made, 1.0)
    chips = supply.deliveries.astype(float)
    chips[:, 0] += supply.chips
    reachable = region.reachable[:, None, None]
    known = np.where(reachable[..., None], demand.known, 0).sum(axis=(0, 1)).astype(float)
    for there in (chips, known):
        rows = lp.add_rows(shape, low=there, high=there)
        lp.balance(rows, lp.add_columns(shape))
        lp.put(rows[None], made, 1.0)
    finished = np.zeros(shape)
    finished[:, 0] = np.where(reachable, demand.finished, 0).sum(axis=(0, 1))
    rows = lp.add_rows(shape, low=finished, high=finished)
    lp.balance(rows, lp.add_columns(shape))
    # A card leaves on the morning after it is made at the earliest.
    lp.put(rows[None, :, 1:], made[:, :, :-1], -1.0)
    found: Counts = rows
    return found
