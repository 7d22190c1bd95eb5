"""Residents whom a full export of the register does not name any more, and what a clerk decided of each."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from uec.domain.absences import AbsenceState
from uec.store.columns import Coded, Table, one_of


class RegisterAbsence(Table):
    """A resident missing from a full export; one row a resident, opened anew when it happens again."""

    __tablename__ = "register_absence"
    __table_args__ = (one_of("state", AbsenceState), Index("ix_register_absence_state_id", "state", "id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    resident_id: Mapped[int] = mapped_column(ForeignKey("resident.id"), unique=True)
    state: Mapped[AbsenceState] = mapped_column(Coded(AbsenceState), default=AbsenceState.OPEN)
    import_id: Mapped[int] = mapped_column(ForeignKey("register_import.id"), index=True, comment="the full export")
    found_at: Mapped[datetime] = mapped_column(comment="when it was found, or found anew")
    reason: Mapped[str | None] = mapped_column(Text, comment="why it was decided so")
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="who decided")
    decided_at: Mapped[datetime | None] = mapped_column(comment="when it was decided")
