"""Batches, cards, what is written to them, the journal of the writing, and the stations that do it."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import Computed, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from uec.domain.lifecycle import BatchState, CardState, OperationKind, OperationState
from uec.store.columns import Coded, Table, one_of

# States in which a chip carries a card of ours; two such rows never share a chip.
LIVE = "state NOT IN ('SPOILED', 'DESTROYED')"
# States in which an application already has its card; a spoiled or ended one makes room for a remake.
CURRENT = "state IN ('PLANNED', 'PREPARED', 'WRITING', 'PERSONALISED', 'ACTIVE', 'SUSPENDED')"
# Cards are prepared by the hundred thousand, and no index may notice: PostgreSQL then writes the new version of a row
# beside the old one in half a page that is kept free (a HOT update), instead of an entry into each of nine indexes.
UNWRITTEN = "UNWRITTEN"
STAGE = f"CASE WHEN state IN ('PLANNED', 'PREPARED') THEN '{UNWRITTEN}' ELSE state END"


def _unique_where(name: str, column: str, condition: str) -> Index:
    return Index(name, column, unique=True, sqlite_where=text(condition), postgresql_where=text(condition))


class Batch(Table):
    """Cards made together on a day for a point."""

    __tablename__ = "batch"
    __table_args__ = (one_of("state", BatchState), Index("ix_batch_planned_for_point_id", "planned_for", "point_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(30), unique=True, comment="number of the batch")
    state: Mapped[BatchState] = mapped_column(Coded(BatchState), index=True, default=BatchState.PLANNED)
    planned_for: Mapped[date] = mapped_column(comment="day of production")
    point_id: Mapped[int] = mapped_column(ForeignKey("issuance_point.id"), index=True, comment="destination")
    profile: Mapped[str] = mapped_column(String(40), comment="card profile")
    transport: Mapped[str] = mapped_column(String(20), comment="pcsc or in-process")
    line: Mapped[str | None] = mapped_column(String(40), index=True, comment="code of the line; empty: any station")
    departs_on: Mapped[date | None] = mapped_column(comment="the courier's day; empty: not planned")
    planned_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="empty: the scheduler")
    planned_at: Mapped[datetime] = mapped_column(comment="when it was planned")
    released_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="another person")
    released_at: Mapped[datetime | None] = mapped_column(comment="when it was released")
    closed_at: Mapped[datetime | None] = mapped_column(comment="when the last card was done")
    version: Mapped[int] = mapped_column(comment="optimistic lock")

    __mapper_args__ = {"version_id_col": version}


class Card(Table):
    """A card, from its number to its destruction."""

    __tablename__ = "card"
    __table_args__ = (
        one_of("state", CardState),
        Index("ix_card_stage_id", "stage", "id"),
        # Cards of a batch by what has become of them, from the index alone.
        Index("ix_card_batch_id_stage", "batch_id", "stage"),
        _unique_where("uq_card_live_chip", "chip_id", "is_live"),
        _unique_where("uq_card_current_application", "application_id", "is_current"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(19), unique=True, comment="card number with its Luhn digit")
    application_id: Mapped[int] = mapped_column(ForeignKey("application.id"), index=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batch.id"))
    resident_id: Mapped[int | None] = mapped_column(ForeignKey("resident.id"), index=True)
    state: Mapped[CardState] = mapped_column(Coded(CardState), default=CardState.PLANNED)
    stage: Mapped[str] = mapped_column(
        String(20), Computed(STAGE), comment="state as it is looked for; preparing does not change it"
    )
    is_live: Mapped[bool] = mapped_column(Computed(LIVE), comment="whether its chip is its own")
    is_current: Mapped[bool] = mapped_column(Computed(CURRENT), comment="whether its application has its card in it")
    profile: Mapped[str] = mapped_column(String(40), comment="card profile")
    printed_name: Mapped[str] = mapped_column(String(80), comment="Latin letters, ICAO 9303")
    chip_id: Mapped[str | None] = mapped_column(String(40), comment="from the CPLC, hex; unique among live cards")
    kvn: Mapped[int | None] = mapped_column(comment="key version number on the chip, as last proven")
    key_version: Mapped[int | None] = mapped_column(comment="version of the master the chip's keys derive from")
    expires_on: Mapped[date] = mapped_column(comment="last day of validity")
    personalised_at: Mapped[datetime | None] = mapped_column(comment="moment of the inspection that proved it")
    activated_at: Mapped[datetime | None] = mapped_column(comment="moment of the hand-over")
    ended_at: Mapped[datetime | None] = mapped_column(comment="lost, annulled, replaced, expired or spoiled")
    replaces_card_id: Mapped[int | None] = mapped_column(ForeignKey("card.id"), index=True, comment="its predecessor")
    promised_on: Mapped[date | None] = mapped_column(comment="day from which it can be collected, as planned")
    version: Mapped[int] = mapped_column(comment="optimistic lock")

    __mapper_args__ = {"version_id_col": version}


class PreparedPart(Table):
    """Cards of a batch whose data were made together, in one transaction with one audit entry."""

    __tablename__ = "prepared_part"

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batch.id"), index=True)
    cards: Mapped[int] = mapped_column(comment="how many")
    root: Mapped[bytes] = mapped_column(comment="Merkle root over the cards' lists of digests, by card id")
    prepared_at: Mapped[datetime] = mapped_column(comment="also the signing time of the security objects")
    signer: Mapped[bytes | None] = mapped_column(comment="certificate of the document signer, DER; empty: not signed")


class CardData(Table):
    """What was prepared for a card: its data groups, and the signature of its security object.

    No foreign keys: the rows are written from locked cards in the transaction of their part, no card and no part is
    ever deleted, and two look-ups a row would be a fifth of all that preparing costs.
    """

    __tablename__ = "card_data"

    card_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    part_id: Mapped[int] = mapped_column(comment="prepared_part.id")
    groups: Mapped[bytes] = mapped_column(LargeBinary, comment="data groups as data groupings (EMV CPS)", deferred=True)
    signature: Mapped[bytes | None] = mapped_column(comment="the document signer's, over the digests; empty: none")


class Station(Table):
    """A computer at a window with its readers; it relays bytes and holds no key of ours."""

    __tablename__ = "station"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True, comment="name staff use")
    point_id: Mapped[int | None] = mapped_column(ForeignKey("issuance_point.id"), index=True)
    public_key: Mapped[bytes | None] = mapped_column(comment="SPKI DER, once enrolled")
    enrolment_code_hash: Mapped[str | None] = mapped_column(String(200), comment="hash of the one-time code")
    enrolment_expires_at: Mapped[datetime | None] = mapped_column(comment="end of the one-time code")
    revoked_at: Mapped[datetime | None] = mapped_column(comment="no connection after this moment")
    last_seen_at: Mapped[datetime | None] = mapped_column(comment="last sign of life")
    readers: Mapped[list[Any]] = mapped_column(default=list, comment="readers with card presence, as last reported")
    hub_id: Mapped[int | None] = mapped_column(comment="hub_instance.id of the hub it is linked to")


class CardOperation(Table):
    """One piece of work on one card in one reader, asked for by a person and done by the hub."""

    __tablename__ = "card_operation"
    __table_args__ = (
        one_of("state", OperationState),
        one_of("kind", OperationKind),
        Index("ix_card_operation_state_station_id", "state", "station_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[OperationKind] = mapped_column(Coded(OperationKind), comment="what to do")
    card_id: Mapped[int | None] = mapped_column(ForeignKey("card.id"), index=True, comment="empty: read any card")
    station_id: Mapped[int | None] = mapped_column(ForeignKey("station.id"), index=True, comment="empty: any station")
    reader: Mapped[str | None] = mapped_column(
        String(200), comment="reader of the station; empty: the first with a card"
    )
    state: Mapped[OperationState] = mapped_column(Coded(OperationState), default=OperationState.REQUESTED)
    requested_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True)
    requested_at: Mapped[datetime] = mapped_column()
    started_at: Mapped[datetime | None] = mapped_column()
    finished_at: Mapped[datetime | None] = mapped_column()
    progress: Mapped[dict[str, Any] | None] = mapped_column(comment="step, of, label")
    result: Mapped[dict[str, Any] | None] = mapped_column(comment="what the card said, in the end")
    error_code: Mapped[str | None] = mapped_column(String(80), comment="stable code of the error")
    error_text: Mapped[str | None] = mapped_column(Text, comment="sentence for the person at the window")
    sealed_pins: Mapped[bytes | None] = mapped_column(comment="PINs sealed to the hub's key; wiped at the end")
    hub_id: Mapped[int | None] = mapped_column(comment="hub_instance.id of the hub that does it")
    version: Mapped[int] = mapped_column(comment="optimistic lock")

    __mapper_args__ = {"version_id_col": version}


class JournalEntry(Table):
    """A fact stored durably before the next command goes to the chip."""

    __tablename__ = "journal_entry"
    __table_args__ = (UniqueConstraint("card_id", "seq"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    card_id: Mapped[int] = mapped_column(ForeignKey("card.id"))
    operation_id: Mapped[int | None] = mapped_column(ForeignKey("card_operation.id"), index=True)
    seq: Mapped[int] = mapped_column(comment="1, 2, 3... for a card")
    kind: Mapped[str] = mapped_column(String(40), comment="what is recorded")
    facts: Mapped[dict[str, Any]] = mapped_column(comment="never a key, never a PIN")
    at: Mapped[datetime] = mapped_column()


class HubInstance(Table):
    """A running hub, its lease, and the public key that PINs are sealed to.

    Its number is named in the rows of its stations and operations, which outlive it: so it is no foreign key there.
    """

    __tablename__ = "hub_instance"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, comment="drawn at random by the hub")
    public_key: Mapped[bytes] = mapped_column(comment="key the web process seals PINs to")
    started_at: Mapped[datetime] = mapped_column()
    heartbeat_at: Mapped[datetime] = mapped_column(index=True)
    beats: Mapped[int] = mapped_column(default=0, comment="renewals of the lease; it stands still when the hub is dead")
