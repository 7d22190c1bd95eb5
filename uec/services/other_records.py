"""Other records of the same person: what the register says twice of somebody, once a clerk has decided which stands.

What is known by a record that was set aside (a death, a refusal, an application, a card) is known of the person, whose
standing record says nothing of it.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from uec.domain.twins import TwinRole, TwinState
from uec.store.tables import Resident, TwinCase, TwinMember

Holds = Callable[[type[Resident]], ColumnElement[bool]]


def by_another_record(
    resident_id: InstrumentedAttribute[int] | InstrumentedAttribute[int | None], holds: Holds
) -> ColumnElement[bool]:
    """Whether something holds of another record of who has this one, as a condition."""
    mine, found = _pairs(holds)
    return found.where(mine.resident_id == resident_id).exists()


def with_another_record(holds: Holds) -> Select[Any]:
    """A query of the residents of whom something holds by another record."""
    return _pairs(holds)[1]


def dead(record: type[Resident]) -> ColumnElement[bool]:
    """Whether the register has a death in the record."""
    return record.death_date.is_not(None)


def _pairs(holds: Holds) -> tuple[type[TwinMember], Select[Any]]:
    mine, other, record, case = aliased(TwinMember), aliased(TwinMember), aliased(Resident), aliased(TwinCase)
    found = (
        select(mine.resident_id)
        .join(case, case.id == mine.case_id)
        .join(other, other.case_id == mine.case_id)
        .join(record, record.id == other.resident_id)
        .where(case.state == TwinState.DECIDED, mine.role == TwinRole.STANDS, other.resident_id != mine.resident_id)
    )
    return mine, found.where(holds(record))
