"""Cases of twins on the register, and the records in them."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from uec.domain.twins import TwinKind, TwinRole, TwinState
from uec.store.columns import Coded, Table, one_of


class TwinCase(Table):
    """Records of the register that share what only one person can have, until a clerk has decided."""

    __tablename__ = "twin_case"
    __table_args__ = (
        one_of("kind", TwinKind),
        one_of("state", TwinState),
        Index("ix_twin_case_state_id", "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(600), unique=True, comment="what they share, like snils 11223344595")
    kind: Mapped[TwinKind] = mapped_column(Coded(TwinKind), comment="why they are in one case")
    state: Mapped[TwinState] = mapped_column(Coded(TwinState), default=TwinState.OPEN)
    found_at: Mapped[datetime] = mapped_column(comment="when it was found, or found anew")
    import_id: Mapped[int | None] = mapped_column(
        ForeignKey("register_import.id"), index=True, comment="import that brought it"
    )
    reason: Mapped[str | None] = mapped_column(Text, comment="why it was decided so")
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="who decided")
    decided_at: Mapped[datetime | None] = mapped_column(comment="when it was decided")


class TwinMember(Table):
    """One record in a case."""

    __tablename__ = "twin_member"
    __table_args__ = (one_of("role", TwinRole),)

    case_id: Mapped[int] = mapped_column(ForeignKey("twin_case.id"), primary_key=True)
    resident_id: Mapped[int] = mapped_column(ForeignKey("resident.id"), primary_key=True, index=True)
    role: Mapped[TwinRole | None] = mapped_column(Coded(TwinRole), comment="what was decided; empty while open")
