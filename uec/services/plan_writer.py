"""Writes a plan over counts into its tables: batches by line and day, and the slots of all queues with people."""

from collections.abc import Iterator, Sequence

import numpy as np
from sqlalchemy.orm import Session

from issuance.planning.optimiser import Plan
from issuance.planning.region import Counts
from issuance.planning.slots import slots_of
from uec.services import plan_people
from uec.store.bulk import insert_rows
from uec.store.tables import EmissionBatch


def write(session: Session, plan_id: int, plan: Plan, point_ids: Sequence[int]) -> int:
    """Write the batches of a plan and its slots with everybody who waits; returns how many. The caller commits."""
    region = plan.region
    slots, batches = slots_of(region, plan.walk, by_demand=False)
    days = [*region.days, None]
    lines, variants = [line.code for line in region.supply.lines], region.variants
    table = _rows(batches.made, batches.line, batches.variant, batches.point, batches.left, batches.count)
    insert_rows(
        session,
        EmissionBatch,
        [
            {
                "plan_id": plan_id,
                "position": position,
                "day": days[made],
                "line": lines[line],
                "variant": variants[variant],
                "point_id": point_ids[point],
                "departs_on": days[left],
                "cards": count,
            }
            for position, (made, line, variant, point, left, count) in enumerate(table)
        ],
    )
    point, kind, variant = np.unravel_index(slots.stream, region.demand.finished.shape)
    rows = _rows(point, kind, variant, slots.first, slots.count, slots.batch, slots.promised)
    return plan_people.give_places(
        session,
        plan_id,
        [
            {
                "point_id": point_ids[p],
                "kind": k,
                "variant": variants[v],
                "first": first,
                "count": count,
                "position": batch if batch >= 0 else None,
                "promised_on": days[promised],
            }
            for p, k, v, first, count, batch, promised in rows
        ],
        usual=variants[0],
    )


def _rows(*columns: Counts) -> Iterator[tuple[int, ...]]:
    """The rows of a table of columns, as plain numbers: those of arrays are taken out one by one, and slowly."""
    return zip(*(column.tolist() for column in columns), strict=True)
