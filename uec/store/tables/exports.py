"""Lists that somebody asked for as files: what was asked, how far it is, and the bytes, until they are swept away.

The bytes lie in the database beside the records they tell of: whoever may read those may read these, and every node of
the office reaches them. A folder would have to be shared by web and workers, and guarded a second time.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from uec.domain.exports import ExportState
from uec.store.columns import Coded, Table, one_of


class ExportFile(Table):
    """A list as a file: asked for by somebody, made by a worker, kept for some days."""

    __tablename__ = "export_file"
    __table_args__ = (one_of("state", ExportState),)

    id: Mapped[int] = mapped_column(primary_key=True)
    list: Mapped[str] = mapped_column(String(40), comment="which list")
    form: Mapped[str] = mapped_column(String(8), comment="csv or xlsx")
    filters: Mapped[dict[str, Any]] = mapped_column(comment="which part of the list")
    wording: Mapped[dict[str, Any]] = mapped_column(comment="title, heads and words in the language it was asked in")
    asked_by: Mapped[int] = mapped_column(ForeignKey("staff.id"), index=True, comment="whose it is")
    asked_at: Mapped[datetime] = mapped_column(comment="when it was asked for")
    state: Mapped[ExportState] = mapped_column(Coded(ExportState), index=True, comment="where it stands")
    expected: Mapped[int | None] = mapped_column(comment="rows of the list when it was begun; empty: not counted")
    rows: Mapped[int] = mapped_column(default=0, comment="rows written so far")
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0, comment="of the file so far")
    attempt: Mapped[int] = mapped_column(default=0, comment="how often a worker took it on; older ones write no more")
    heard_at: Mapped[datetime | None] = mapped_column(comment="when its worker wrote last")
    ended_at: Mapped[datetime | None] = mapped_column(comment="when it was ready, or failed")
    keep_until: Mapped[datetime] = mapped_column(index=True, comment="when it is swept away")
    failure: Mapped[str | None] = mapped_column(String(60), comment="code of what stood against it")


class ExportPart(Table):
    """A part of a file, in its order; parts of CSV are deflated (RFC 1950)."""

    __tablename__ = "export_part"

    export_id: Mapped[int] = mapped_column(ForeignKey("export_file.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, comment="from 0")
    content: Mapped[bytes] = mapped_column(comment="some hundred kilobytes")
