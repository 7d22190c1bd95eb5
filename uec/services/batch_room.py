"""Where a batch has room: what the lines that make its card variant can make on a day beside other batches."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from issuance.planning.region import Counts, Line
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import BatchState, CardState
from uec.services import plan_facts, plan_region
from uec.services.batch_rules import BatchRules
from uec.store.steering import NEAR, steered
from uec.store.tables import Batch, Card

# Where a day has no room, so many others are named.
OPENINGS = 4


@dataclass(frozen=True)
class Room:
    """What the lines that make a batch's variant can make: `capacity` [L, D] cards, less what other batches take."""

    lines: tuple[Line, ...]
    days: tuple[date, ...]
    capacity: Counts
    taken: Mapping[date, Mapping[str | None, int]]

    def free(self, day: date, code: str | None) -> int:
        """Cards a line, or all of them together, can still make on a day; raises `InvalidInput` for no such line."""
        own = [number for number, one in enumerate(self.lines) if code in {None, one.code}]
        if not own:
            raise InvalidInput(
                f"There is no line {code!r} that makes such cards: choose one of the list.", field="line"
            )
        whole = int(self.capacity[own, self.days.index(day)].sum())
        # What stands on no line may be made on any; what lines of other variants make takes nothing from these.
        beside = {None, *(self.lines[number].code for number in own)}
        return max(0, whole - sum(count for line, count in self.taken.get(day, {}).items() if line in beside))

    def openings(self, cards: int, code: str | None, *, but: tuple[date, str | None]) -> list[tuple[date, str]]:
        """The next days with room for so many cards, `but` one: on a line as far as possible, else on others."""
        places = [(day, one.code) for day in self.days for one in self.lines]
        found = [one for one in places if one != but and self.free(*one) >= cards]
        own = [one for one in found if one[1] == code]
        return (own or found)[:OPENINGS]


def room_for(session: Session, batch: Batch, days: tuple[date, ...], rules: BatchRules, today: date) -> Room:
    """The room for a batch on days beside the other batches; none at a bureau before it can bring cards back."""
    variants = tuple(dict.fromkeys((rules.profile, batch.profile)))
    points = list(plan_region.office_points(session).values())
    facts = plan_facts.current(session, today=today)
    supply = facts.supply(days, rules.calendar, points, variants=variants)
    makers = [number for number, one in enumerate(supply.lines) if variants.index(batch.profile) in one.makes]
    lines = tuple(supply.lines[number] for number in makers)
    back = [rules.calendar.after(today, one.lead) for one in lines]
    in_time = np.array([[day >= first for day in days] for first in back], dtype=bool).reshape(len(lines), len(days))
    counted = select(Batch.planned_for, Batch.line, func.count()).join(Card, Card.batch_id == Batch.id)
    # By the stage: it stands in the index of a batch's cards, so that no card is read.
    counted = counted.where(
        Batch.planned_for.between(days[0], days[-1]),
        Batch.id != batch.id,
        Batch.state != BatchState.CANCELLED,
        Card.stage != CardState.ANNULLED.value,
    ).group_by(Batch.planned_for, Batch.line)
    taken: dict[date, dict[str | None, int]] = {}
    with steered(session, NEAR):
        for day, line, count in session.execute(counted):
            taken.setdefault(day, {})[line] = int(count)
    return Room(lines, days, np.where(in_time, supply.capacity[makers], 0), taken)
