"""The register of residents, its imports, refusals, and the lists for mass emission."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from uec.domain.lifecycle import CohortState
from uec.domain.register_row import COLUMNS
from uec.domain.register_run import ImportState
from uec.store.columns import IDS, Coded, Table, one_of

_DEAD = sa.text("death_date IS NOT NULL")


class Resident(Table):
    """A resident of the region as the register says; the columns of the CSV, checked."""

    __tablename__ = "resident"
    __table_args__ = (
        CheckConstraint("sex IN ('M', 'F')", name="sex"),
        # A municipality page by page, in the order of the ids.
        # What a list for mass emission asks stands in it, so that computing one reads no more than the index.
        Index("ix_resident_oktmo_id", "oktmo", "id", postgresql_include=["birth_date", "death_date", "sex", "snils"]),
        # The dead among a million are some thousand: whoever asks for them does not read the register.
        Index("ix_resident_dead", "id", sqlite_where=_DEAD, postgresql_where=_DEAD),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    register_id: Mapped[str] = mapped_column(String(64), unique=True, comment="key of the register, for updates")
    surname: Mapped[str] = mapped_column(String(100), comment="surname")
    name: Mapped[str] = mapped_column(String(100), comment="given name")
    patronymic: Mapped[str | None] = mapped_column(String(100), comment="patronymic, if any")
    birth_date: Mapped[date] = mapped_column(comment="date of birth")
    birth_place: Mapped[str] = mapped_column(String(255), comment="place of birth, as in the document")
    sex: Mapped[str] = mapped_column(String(1), comment="M or F")
    snils: Mapped[str] = mapped_column(String(11), index=True, comment="11 digits")
    oms: Mapped[str | None] = mapped_column(String(16), comment="unified number of the OMS policy, 16 digits")
    doc_type: Mapped[str] = mapped_column(String(20), comment="passport or birth_certificate")
    doc_series: Mapped[str] = mapped_column(String(12), comment="4 digits, or like II-ИК")
    doc_number: Mapped[str] = mapped_column(String(6), comment="6 digits")
    doc_date: Mapped[date] = mapped_column(comment="date of issue")
    doc_issuer: Mapped[str] = mapped_column(String(255), comment="who issued it")
    oktmo: Mapped[str] = mapped_column(String(11), comment="municipality of residence")
    fias: Mapped[str | None] = mapped_column(String(36), comment="address object id, a UUID")
    address: Mapped[str] = mapped_column(String(400), comment="address of residence")
    phone: Mapped[str | None] = mapped_column(String(16), comment="E.164")
    email: Mapped[str | None] = mapped_column(String(254), comment="e-mail")
    death_date: Mapped[date | None] = mapped_column(comment="date of death")
    row_digest: Mapped[bytes] = mapped_column(comment="digest of the checked row: equal means unchanged")
    updated_at: Mapped[datetime] = mapped_column(comment="moment of the import that last changed the row")
    import_id: Mapped[int] = mapped_column(ForeignKey("register_import.id"), index=True, comment="that import")


class RegisterImport(Table):
    """One run of the import of the register, and how far it came: what is staged lies in `register_staging`."""

    __tablename__ = "register_import"
    __table_args__ = (one_of("state", ImportState),)

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[ImportState] = mapped_column(
        Coded(ImportState), default=ImportState.DONE, server_default="DONE", comment="how far it came"
    )
    file_digest: Mapped[str] = mapped_column(String(64), index=True, comment="SHA-256 of the file, hex")
    file_name: Mapped[str] = mapped_column(String(255), comment="name of the file without its folder")
    started_at: Mapped[datetime] = mapped_column(comment="start")
    finished_at: Mapped[datetime | None] = mapped_column(comment="end; empty for a run that did not end")
    rows: Mapped[int] = mapped_column(default=0, comment="data rows read")
    imported: Mapped[int] = mapped_column(default=0, comment="new residents")
    updated: Mapped[int] = mapped_column(default=0, comment="changed residents")
    unchanged: Mapped[int] = mapped_column(default=0, comment="rows equal to what is known")
    rejected: Mapped[int] = mapped_column(default=0, comment="rows in the reject file")
    twins: Mapped[int] = mapped_column(default=0, server_default="0", comment="new cases of twins put before a clerk")
    full_export: Mapped[bool] = mapped_column(
        default=False, server_default=sa.false(), comment="declared to name every resident"
    )
    missing: Mapped[int] = mapped_column(default=0, server_default="0", comment="residents that a full export lacked")
    file_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0", comment="size of the file")
    bytes_done: Mapped[int] = mapped_column(
        BigInteger, default=0, server_default="0", comment="so much of the file is staged"
    )
    next_line: Mapped[int] = mapped_column(default=2, server_default="2", comment="the line after what is staged")
    staged: Mapped[int] = mapped_column(default=0, server_default="0", comment="rows put into register_staging")
    prefix_digest: Mapped[str | None] = mapped_column(String(64), comment="SHA-256 of what is staged of the file, hex")
    as_of: Mapped[date | None] = mapped_column(comment="the day rows are checked by, also after a pause")
    codes_digest: Mapped[str | None] = mapped_column(
        String(64), comment="SHA-256 of the municipalities rows are checked by, hex"
    )


# Rows of an import under way: checked, not yet in the register. Not logged by PostgreSQL: after a crash of the server
# an import begins anew, after one of the importer it goes on.
register_staging = sa.Table(
    "register_staging",
    Table.metadata,
    sa.Column("line", BigInteger, primary_key=True, autoincrement=False, comment="line in the file"),
    sa.Column("digest", sa.LargeBinary, nullable=False, comment="digest of the checked row"),
    *(sa.Column(column, Text, nullable=False) for column in COLUMNS),
)

register_reject = sa.Table(
    "register_reject",
    Table.metadata,
    sa.Column("line", BigInteger, primary_key=True, autoincrement=False, comment="line in the file"),
    sa.Column("text", Text, nullable=False, comment="line of the reject file"),
)


class Cohort(Table):
    """A list of residents for mass emission, approved as one."""

    __tablename__ = "cohort"
    __table_args__ = (one_of("state", CohortState),)

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(30), unique=True, comment="number of the list")
    state: Mapped[CohortState] = mapped_column(Coded(CohortState), index=True, default=CohortState.DRAFT)
    as_of: Mapped[date] = mapped_column(comment="the day whose register and policy it was computed by")
    count: Mapped[int] = mapped_column(comment="members")
    digest: Mapped[str] = mapped_column(String(64), comment="Merkle root over the members, hex")
    profile: Mapped[str | None] = mapped_column(String(40), comment="card variant; empty: the office's usual one")
    proposed_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="who proposed it")
    approved_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="another person")
    created_at: Mapped[datetime] = mapped_column(comment="when it was computed")
    asked_at: Mapped[datetime | None] = mapped_column(comment="when workers were asked to compute it; empty: computed")
    at_most: Mapped[int | None] = mapped_column(comment="at most so many members; empty: everybody")
    approved_at: Mapped[datetime | None] = mapped_column(comment="when it was approved")
    opening_asked_at: Mapped[datetime | None] = mapped_column(
        comment="when workers were asked to open its applications; empty: nothing is asked"
    )
    opened: Mapped[int] = mapped_column(default=0, server_default="0", comment="applications opened")


class CohortPart(Table):
    """The residents of one kind on a list: 1.4 million members are some two thousand rows, and their breakdown."""

    __tablename__ = "cohort_part"

    cohort_id: Mapped[int] = mapped_column(ForeignKey("cohort.id"), primary_key=True)
    oktmo: Mapped[str] = mapped_column(String(8), primary_key=True, comment="municipality, 8 digits")
    band: Mapped[str] = mapped_column(String(8), primary_key=True, comment="age in full years, like 18-34")
    sex: Mapped[str] = mapped_column(String(1), primary_key=True, comment="M or F")
    count: Mapped[int] = mapped_column(comment="how many")
    members: Mapped[list[int]] = mapped_column(IDS, comment="ids of the residents")


class Refusal(Table):
    """A refusal to receive a card, filed by any channel; asks the least data possible."""

    __tablename__ = "refusal"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(30), unique=True, comment="number of the written confirmation")
    resident_id: Mapped[int | None] = mapped_column(ForeignKey("resident.id"), index=True, comment="when recognised")
    snils: Mapped[str] = mapped_column(String(11), index=True, comment="11 digits")
    channel: Mapped[str] = mapped_column(String(20), comment="how it came: web, window, post...")
    filed_at: Mapped[datetime] = mapped_column(comment="when it was filed")
    note: Mapped[str | None] = mapped_column(Text, comment="what the clerk added")
    withdrawn_at: Mapped[datetime | None] = mapped_column(comment="when it was taken back; empty: it stands")
    withdrawn_by: Mapped[str | None] = mapped_column(String(80), comment="who took it back, like staff:7")
    withdrawn_for: Mapped[str | None] = mapped_column(Text, comment="why it was taken back")
