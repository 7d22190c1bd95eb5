"""Letters with the code that unblocks a card: what stands on each, until it is printed once."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from uec.store.columns import Table


class UnblockLetter(Table):
    """What a holder's letter says of the unblock code, enciphered to the web; gone once it is printed."""

    __tablename__ = "unblock_letter"
    __table_args__ = (CheckConstraint("printed_at IS NULL OR sealed IS NULL", name="printed_once"),)

    card_id: Mapped[int] = mapped_column(ForeignKey("card.id"), primary_key=True, autoincrement=False)
    sealed: Mapped[bytes | None] = mapped_column(comment="digits, enciphered; empty: printed, or the card has ended")
    drawn_at: Mapped[datetime] = mapped_column(comment="when the digits were drawn")
    printed_at: Mapped[datetime | None] = mapped_column(comment="when the letter was printed")
    printed_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True)
