"""Orders to print the faces of cards."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from uec.domain.printing import PrintState
from uec.store.columns import Coded, Table, one_of

STANDING = "state <> 'SPOILED'"


class PrintOrder(Table):
    """The order to print one card; a card has at most one that is not spoiled."""

    __tablename__ = "print_order"
    __table_args__ = (
        one_of("state", PrintState),
        Index(
            "uq_print_order_standing",
            "card_id",
            unique=True,
            sqlite_where=text(STANDING),
            postgresql_where=text(STANDING),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    card_id: Mapped[int] = mapped_column(ForeignKey("card.id"), index=True)
    state: Mapped[PrintState] = mapped_column(Coded(PrintState), default=PrintState.ORDERED)
    ordered_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), comment="who ordered it")
    ordered_at: Mapped[datetime] = mapped_column()
    printed_at: Mapped[datetime | None] = mapped_column(comment="when it last went to the printer")
    matched_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), comment="who compared the numbers")
    matched_at: Mapped[datetime | None] = mapped_column(comment="when print and chip were seen to have one number")
    reason: Mapped[str | None] = mapped_column(String(500), comment="why it was spoiled")
