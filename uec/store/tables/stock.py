"""Blank cards: stores, deliveries, boxes, where ranges of blanks are, the ledger of movements; and quarantines."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from uec.domain.sampling import Defect, LookState
from uec.domain.stock import (
    DestructionState,
    Motion,
    Place,
    QuarantineState,
    ShiftState,
    StoreKind,
    SubjectKind,
    TransferState,
)
from uec.store.columns import Coded, Table, one_of

OPEN = "state = 'OPEN'"
OPEN_ANYWHERE = "state = 'OPEN' AND station_id IS NULL"
IMPOSED = "state = 'IMPOSED'"
CROSSING = "motion NOT IN ('CLAIM', 'MAKE')"
Large = BigInteger().with_variant(Integer, "sqlite")


def _one(name: str, *columns: str, where: str) -> Index:
    """A unique index over the rows that fulfil a condition."""
    return Index(name, *columns, unique=True, sqlite_where=text(where), postgresql_where=text(where))


class StockStore(Table):
    """A room where blanks lie under lock: the central one, one of a point, one of a production line."""

    __tablename__ = "stock_store"
    __table_args__ = (one_of("kind", StoreKind),)

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(20), unique=True, comment="short code staff use")
    name: Mapped[str] = mapped_column(String(120), comment="name staff use")
    kind: Mapped[StoreKind] = mapped_column(Coded(StoreKind))
    point_id: Mapped[int | None] = mapped_column(ForeignKey("issuance_point.id"), unique=True, comment="store of it")
    station_id: Mapped[int | None] = mapped_column(ForeignKey("station.id"), unique=True, comment="store of a line")
    enforced: Mapped[bool] = mapped_column(comment="no chip is written there that is not in the shift's stock")


class StockDelivery(Table):
    """What came from a maker with one delivery note."""

    __tablename__ = "stock_delivery"
    __table_args__ = (UniqueConstraint("maker", "note"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    maker: Mapped[str] = mapped_column(String(120), comment="who made the blanks")
    note: Mapped[str] = mapped_column(String(60), comment="number of the maker's delivery note")
    profile: Mapped[str] = mapped_column(String(40), comment="card profile the blanks are for")
    transport_version: Mapped[int] = mapped_column(comment="version of the transport key set in the vault")
    diversification: Mapped[str] = mapped_column(String(20), comment="how a blank's keys derive, like kdf3")
    check_value: Mapped[str] = mapped_column(String(16), comment="check value of the key set, as in the maker's letter")
    store_id: Mapped[int] = mapped_column(ForeignKey("stock_store.id"), index=True, comment="where it was taken in")
    boxes: Mapped[int] = mapped_column(comment="boxes in it")
    blanks: Mapped[int] = mapped_column(comment="blanks in it")
    received_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True)
    received_at: Mapped[datetime] = mapped_column()


class StockBox(Table):
    """A box as the maker packed it; its blanks may be spread over stores and shifts since."""

    __tablename__ = "stock_box"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(40), unique=True, comment="number on the box")
    delivery_id: Mapped[int] = mapped_column(ForeignKey("stock_delivery.id"), index=True)
    blanks: Mapped[int] = mapped_column(comment="blanks it came with")


class StockTransfer(Table):
    """A sealed consignment from one store to another."""

    __tablename__ = "stock_transfer"
    __table_args__ = (
        one_of("state", TransferState),
        CheckConstraint("giver_id <> taker_id", name="two_stores"),
        CheckConstraint("blanks > 0", name="blanks"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(30), unique=True)
    state: Mapped[TransferState] = mapped_column(Coded(TransferState), index=True, default=TransferState.SENT)
    giver_id: Mapped[int] = mapped_column(ForeignKey("stock_store.id"), index=True, comment="store that sent it")
    taker_id: Mapped[int] = mapped_column(ForeignKey("stock_store.id"), index=True, comment="store it is meant for")
    seal: Mapped[str] = mapped_column(String(60), comment="number of the seal put on")
    blanks: Mapped[int] = mapped_column(comment="blanks sent")
    sent_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True)
    sent_at: Mapped[datetime] = mapped_column()
    received_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="another person")
    received_at: Mapped[datetime | None] = mapped_column()
    seal_found: Mapped[str | None] = mapped_column(String(60), comment="seal as the receiver read it")
    blanks_found: Mapped[int | None] = mapped_column(comment="blanks as the receiver counted them")
    remark: Mapped[str | None] = mapped_column(Text, comment="what did not agree, and how it was settled")
    version: Mapped[int] = mapped_column(comment="optimistic lock")

    __mapper_args__ = {"version_id_col": version}


class StockShift(Table):
    """One operator's time with blanks at a station, or at a store's only place of work."""

    __tablename__ = "stock_shift"
    __table_args__ = (
        one_of("state", ShiftState),
        _one("uq_stock_shift_open_operator", "operator_id", where=OPEN),
        _one("uq_stock_shift_open_station", "station_id", where=OPEN),
        _one("uq_stock_shift_open_store", "store_id", where=OPEN_ANYWHERE),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(30), unique=True)
    state: Mapped[ShiftState] = mapped_column(Coded(ShiftState), index=True, default=ShiftState.OPEN)
    store_id: Mapped[int] = mapped_column(ForeignKey("stock_store.id"), index=True, comment="where its blanks are from")
    station_id: Mapped[int | None] = mapped_column(ForeignKey("station.id"), index=True, comment="empty: in no station")
    operator_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="who answers for it")
    opened_at: Mapped[datetime] = mapped_column()
    closed_at: Mapped[datetime | None] = mapped_column()
    closed_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True)
    version: Mapped[int] = mapped_column(comment="optimistic lock")

    __mapper_args__ = {"version_id_col": version}


class StockDestruction(Table):
    """An act of destruction: proposed by one person, carried out and confirmed with another."""

    __tablename__ = "stock_destruction"
    __table_args__ = (one_of("state", DestructionState),)

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(30), unique=True, comment="number of the act")
    state: Mapped[DestructionState] = mapped_column(
        Coded(DestructionState), index=True, default=DestructionState.PROPOSED
    )
    store_id: Mapped[int] = mapped_column(ForeignKey("stock_store.id"), index=True, comment="where the cards lay")
    method: Mapped[str] = mapped_column(String(120), comment="how they are destroyed")
    blanks: Mapped[int] = mapped_column(comment="cards and blanks in the act")
    proposed_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True)
    proposed_at: Mapped[datetime] = mapped_column()
    ended_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="another person")
    ended_at: Mapped[datetime | None] = mapped_column()
    version: Mapped[int] = mapped_column(comment="optimistic lock")

    __mapper_args__ = {"version_id_col": version}


class StockAccount(Table):
    """A place in the ledger: what a store holds, a shift has in hand, a consignment carries, an act destroyed..."""

    __tablename__ = "stock_account"
    __table_args__ = (one_of("kind", Place),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(40), unique=True, comment="kind and owner, like HAND:shift:7")
    kind: Mapped[Place] = mapped_column(Coded(Place), index=True)
    store_id: Mapped[int | None] = mapped_column(ForeignKey("stock_store.id"), index=True, comment="whose balance")
    shift_id: Mapped[int | None] = mapped_column(ForeignKey("stock_shift.id"), index=True)
    transfer_id: Mapped[int | None] = mapped_column(ForeignKey("stock_transfer.id"), index=True)
    destruction_id: Mapped[int | None] = mapped_column(ForeignKey("stock_destruction.id"), index=True)


class StockHolding(Table):
    """Where a range of blanks is now; kept by the ledger's trigger alone, ranges never overlap, neighbours melt."""

    __tablename__ = "stock_holding"
    __table_args__ = (
        CheckConstraint("first >= 0 AND last >= first", name="range"),
        Index("ix_stock_holding_account_id", "account_id"),
        Index("ix_stock_holding_box_id", "box_id"),
    )

    lot: Mapped[str] = mapped_column(String(12), primary_key=True, comment="fabricator, type, batch of the chips, hex")
    first: Mapped[int] = mapped_column(Large, primary_key=True, autoincrement=False, comment="first serial number")
    last: Mapped[int] = mapped_column(Large, comment="last serial number")
    box_id: Mapped[int | None] = mapped_column(ForeignKey("stock_box.id"), comment="empty: came in as a card")
    account_id: Mapped[int] = mapped_column(ForeignKey("stock_account.id"))


class StockMovement(Table):
    """The ledger: a range of blanks leaves one account and enters another. Never edited."""

    __tablename__ = "stock_movement"
    __table_args__ = (
        one_of("motion", Motion),
        CheckConstraint("first >= 0 AND last >= first AND blanks = last - first + 1", name="range"),
        CheckConstraint("giver_id <> taker_id", name="two_accounts"),
        Index("ix_stock_movement_lot_first", "lot", "first"),
        # What leaves a shift or a store: a short list beside two entries for each card.
        Index("ix_stock_movement_crossing", "motion", sqlite_where=text(CROSSING), postgresql_where=text(CROSSING)),
    )

    id: Mapped[int] = mapped_column(Large, primary_key=True)
    at: Mapped[datetime] = mapped_column()
    actor: Mapped[str] = mapped_column(String(80), comment="like staff:7")
    motion: Mapped[Motion] = mapped_column(Coded(Motion))
    lot: Mapped[str] = mapped_column(String(12))
    first: Mapped[int] = mapped_column(Large)
    last: Mapped[int] = mapped_column(Large)
    blanks: Mapped[int] = mapped_column(comment="how many: last - first + 1")
    box_id: Mapped[int | None] = mapped_column(ForeignKey("stock_box.id"), index=True)
    giver_id: Mapped[int] = mapped_column(ForeignKey("stock_account.id"), index=True, comment="account it leaves")
    taker_id: Mapped[int] = mapped_column(ForeignKey("stock_account.id"), index=True, comment="account it enters")
    card_id: Mapped[int | None] = mapped_column(ForeignKey("card.id"), index=True, comment="card the blank became")
    reason: Mapped[str | None] = mapped_column(String(500), comment="why it was spoiled, missing, handed in...")


class OperationPlace(Table):
    """At which station and in which reader an operation was last done; what failures are counted by."""

    __tablename__ = "operation_place"

    operation_id: Mapped[int] = mapped_column(ForeignKey("card_operation.id"), primary_key=True, autoincrement=False)
    station_id: Mapped[int] = mapped_column(ForeignKey("station.id"), index=True)
    reader: Mapped[str] = mapped_column(String(200))


class Quarantine(Table):
    """A reader, station, chip lot or operator that gets no card until somebody releases it."""

    __tablename__ = "quarantine"
    __table_args__ = (
        one_of("state", QuarantineState),
        one_of("kind", SubjectKind),
        _one("uq_quarantine_imposed", "kind", "subject", where=IMPOSED),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[SubjectKind] = mapped_column(Coded(SubjectKind))
    subject: Mapped[str] = mapped_column(String(220), comment="station id, station id:reader, lot, or staff id")
    label: Mapped[str] = mapped_column(String(300), comment="name shown to people")
    state: Mapped[QuarantineState] = mapped_column(Coded(QuarantineState), default=QuarantineState.IMPOSED)
    imposed_at: Mapped[datetime] = mapped_column()
    imposed_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="empty: the rule")
    reason: Mapped[str] = mapped_column(String(500), comment="why, in a sentence")
    evidence: Mapped[dict[str, Any]] = mapped_column(comment="counts, band, rule, and which operations failed how")
    released_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True)
    released_at: Mapped[datetime | None] = mapped_column()
    release_reason: Mapped[str | None] = mapped_column(String(500))
    counted_to: Mapped[int] = mapped_column(comment="operations up to this id count no more after the release")
    version: Mapped[int] = mapped_column(comment="optimistic lock")

    __mapper_args__ = {"version_id_col": version}


class CardLook(Table):
    """The look at one card of a line that the sampling plan asks for."""

    __tablename__ = "card_look"
    __table_args__ = (one_of("state", LookState), one_of("defect", Defect))

    card_id: Mapped[int] = mapped_column(ForeignKey("card.id"), primary_key=True, autoincrement=False)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batch.id"), index=True)
    state: Mapped[LookState] = mapped_column(Coded(LookState), default=LookState.WANTED)
    drawn_at: Mapped[datetime] = mapped_column()
    looked_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="not who made the card")
    looked_at: Mapped[datetime | None] = mapped_column()
    defect: Mapped[Defect | None] = mapped_column(Coded(Defect), comment="what is wrong with a bad one")
    note: Mapped[str | None] = mapped_column(String(500), comment="in the looker's words")
