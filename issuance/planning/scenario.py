"""What-if: changes to a region, written as a table, checked, and put into its arrays.

    {"intake": 2.0, "windows": 1.5, "shifts": {"L1": 1}, "stopped": ["L2"], "chips": 5000}

`intake` times the clocks to come; `windows` times the hand-over capacity; `shifts` more a working day on a line;
`stopped` lines make nothing; `chips` more of every variant on the first day.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from issuance.planning.errors import PlanningError
from issuance.planning.region import Kind, Region

CHANGES = ("intake", "windows", "shifts", "stopped", "chips")


def changed(region: Region, changes: Mapping[str, Any]) -> Region:
    """The region with the changes; raises `PlanningError` for one that is unknown or makes no sense."""
    for name in changes:
        if name not in CHANGES:
            raise PlanningError(
                f"The scenario has an unknown change {name!r}: the known ones are {', '.join(CHANGES)}."
            )
    lines = {line.code: number for number, line in enumerate(region.supply.lines)}
    for code in (*changes.get("shifts", {}), *changes.get("stopped", ())):
        if code not in lines:
            raise PlanningError(f"The scenario names a line {code} that does not exist: look at the list of lines.")
    factors = [changes.get("intake", 1.0), changes.get("windows", 1.0), changes.get("chips", 0)]
    if min([*factors, *changes.get("shifts", {}).values()]) < 0:
        raise PlanningError("A scenario has no negative numbers: correct it.")
    capacity = region.supply.capacity.copy()
    for code, more in changes.get("shifts", {}).items():
        row = capacity[lines[code]]
        row[row > 0] += int(more) * region.supply.lines[lines[code]].shift
    for code in changes.get("stopped", ()):
        capacity[lines[code]] = 0
    supply = replace(region.supply, capacity=capacity, chips=region.supply.chips + int(changes.get("chips", 0)))
    hand_over = np.floor(region.delivery.hand_over * float(changes.get("windows", 1.0))).astype(np.int64)
    with_more = replace(region, supply=supply, delivery=replace(region.delivery, hand_over=hand_over))
    return _with_intake(with_more, float(changes.get("intake", 1.0)))


def _with_intake(region: Region, factor: float) -> Region:
    """Clocks to come, times a factor; those known on the first day are there already."""
    known, due = region.demand.known.copy(), region.demand.due.copy()
    for stream in np.ndindex(known.shape[:-1]):
        if stream[1] == Kind.COHORT:
            continue
        before = region.demand.finished[stream] + known[stream][0]
        ends = np.cumsum(due[stream])
        to_come = np.maximum(ends - before, 0)
        more = np.round(to_come * factor).astype(np.int64)
        due[stream] = np.diff(np.minimum(ends, before) + more, prepend=0)
        coming = np.round(np.cumsum(known[stream][1:]) * factor).astype(np.int64)
        known[stream][1:] = np.diff(coming, prepend=0)
    return replace(region, demand=replace(region.demand, known=known, due=due))
