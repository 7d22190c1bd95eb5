"""What the office knows of the vault's keys: noted from what the vault tells, since pages never ask it."""

from datetime import datetime

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from issuance.keys.port import KeyState
from uec.store.columns import Coded, Table, one_of


class KeyVersion(Table):
    """A version of a key as the vault last told about it; nothing secret."""

    __tablename__ = "key_version"
    __table_args__ = (one_of("state", KeyState),)

    purpose: Mapped[str] = mapped_column(String(40), primary_key=True, comment="what it is for, as the vault names it")
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, comment="from 1 up, never given twice")
    algorithm: Mapped[str] = mapped_column(String(20), comment="as the vault names it")
    state: Mapped[KeyState] = mapped_column(Coded(KeyState), comment="in the vault, when it was noted")
    check_value: Mapped[str] = mapped_column(String(16), comment="hex")
    uses: Mapped[int] = mapped_column(BigInteger, comment="how often it was used; never too few")
    created_at: Mapped[datetime] = mapped_column(comment="when it was made")
    expires_at: Mapped[datetime | None] = mapped_column(comment="end of its cryptoperiod")
    noted_at: Mapped[datetime] = mapped_column(comment="when the vault told")
