"""Outside personalisation bureaux: partners, their certificates and lots; orders, cards and chips of them, files."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from uec.domain.bureau import (
    STANDING,
    Certificates,
    CertificateUse,
    ConsignmentState,
    FileOutcome,
    OrderedState,
    OrderState,
    PartnerState,
)
from uec.store.columns import Coded, Table, one_of

TAKEN = "outcome = 'TAKEN'"


class Bureau(Table):
    """A partner that makes cards for us; proposed by one person, approved by another."""

    __tablename__ = "bureau"
    __table_args__ = (one_of("state", PartnerState),)

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(20), unique=True, comment="its name in files")
    name: Mapped[str] = mapped_column(String(120), comment="name staff use")
    state: Mapped[PartnerState] = mapped_column(Coded(PartnerState), default=PartnerState.PROPOSED)
    store_id: Mapped[int] = mapped_column(ForeignKey("stock_store.id"), unique=True, comment="blanks that lie there")
    transport_version: Mapped[int | None] = mapped_column(comment="version of its transport key in the vault")
    cards_per_day: Mapped[int] = mapped_column(comment="what it promises to make")
    proposed_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True)
    proposed_at: Mapped[datetime] = mapped_column()
    approved_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="another person")
    approved_at: Mapped[datetime | None] = mapped_column()
    ended_at: Mapped[datetime | None] = mapped_column()


class BureauCertificate(Table):
    """A certificate of a bureau, pinned; proposed by one person, approved by another."""

    __tablename__ = "bureau_certificate"
    __table_args__ = (
        one_of("state", PartnerState),
        one_of("use", CertificateUse),
        UniqueConstraint("bureau_id", "use", "fingerprint"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    bureau_id: Mapped[int] = mapped_column(ForeignKey("bureau.id"))
    use: Mapped[CertificateUse] = mapped_column(Coded(CertificateUse))
    state: Mapped[PartnerState] = mapped_column(Coded(PartnerState), default=PartnerState.PROPOSED)
    der: Mapped[bytes] = mapped_column()
    fingerprint: Mapped[str] = mapped_column(String(64), comment="SHA-256 of the certificate, hex")
    subject: Mapped[str] = mapped_column(String(300))
    not_before: Mapped[datetime] = mapped_column()
    not_after: Mapped[datetime] = mapped_column()
    proposed_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True)
    proposed_at: Mapped[datetime] = mapped_column()
    approved_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="another person")
    approved_at: Mapped[datetime | None] = mapped_column()


class BureauLot(Table):
    """How the chips of a lot that lies at a bureau diversify, from the maker's letter."""

    __tablename__ = "bureau_lot"

    lot: Mapped[str] = mapped_column(String(12), primary_key=True, comment="fabricator, type, batch, hex")
    kdd: Mapped[str] = mapped_column(String(20), comment="diversification data, SSSSSSSS in the serial's place")
    entered_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True)
    entered_at: Mapped[datetime] = mapped_column()


class BureauOrder(Table):
    """A batch given to a bureau."""

    __tablename__ = "bureau_order"
    __table_args__ = (
        one_of("state", OrderState),
        one_of("certificates", Certificates),
        Index(
            "uq_bureau_order_standing",
            "batch_id",
            unique=True,
            sqlite_where=text(STANDING),
            postgresql_where=text(STANDING),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(30), unique=True)
    bureau_id: Mapped[int] = mapped_column(ForeignKey("bureau.id"), index=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batch.id"))
    state: Mapped[OrderState] = mapped_column(Coded(OrderState), index=True, default=OrderState.DRAWN)
    certificates: Mapped[Certificates] = mapped_column(Coded(Certificates), comment="how they get onto the cards")
    cards: Mapped[int] = mapped_column(comment="cards ordered")
    chips: Mapped[list[Any]] = mapped_column(comment="ranges of blanks given out for it")
    kvn: Mapped[int | None] = mapped_column(comment="key version number the cards get")
    key_version: Mapped[int | None] = mapped_column(comment="version of the card master")
    pin_version: Mapped[int | None] = mapped_column(comment="version of the PIN master; empty: the bureau sets none")
    digest: Mapped[bytes | None] = mapped_column(comment="SHA-256 of the order's records")
    reason: Mapped[str | None] = mapped_column(String(500), comment="why it was declined or cancelled")
    drawn_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True)
    drawn_at: Mapped[datetime] = mapped_column()
    approved_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="another person")
    approved_at: Mapped[datetime | None] = mapped_column()
    sent_at: Mapped[datetime | None] = mapped_column()
    accepted_at: Mapped[datetime | None] = mapped_column()
    completed_at: Mapped[datetime | None] = mapped_column()
    ended_at: Mapped[datetime | None] = mapped_column(comment="closed, declined or cancelled")
    held_up_by: Mapped[str | None] = mapped_column(String(60), comment="what keeps its file or answer from being made")
    held_up_why: Mapped[str | None] = mapped_column(String(500), comment="the same in a sentence")
    version: Mapped[int] = mapped_column(comment="optimistic lock")

    __mapper_args__ = {"version_id_col": version}


class BureauConsignment(Table):
    """Cards that a bureau sent under a seal."""

    __tablename__ = "bureau_consignment"
    __table_args__ = (one_of("state", ConsignmentState), UniqueConstraint("order_id", "number"))

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("bureau_order.id"))
    number: Mapped[str] = mapped_column(String(40))
    seal: Mapped[str] = mapped_column(String(60), comment="seal as the bureau tells it")
    state: Mapped[ConsignmentState] = mapped_column(Coded(ConsignmentState), default=ConsignmentState.ANNOUNCED)
    cards: Mapped[int] = mapped_column()
    announced_at: Mapped[datetime] = mapped_column()
    received_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True)
    received_at: Mapped[datetime | None] = mapped_column()


class BureauCard(Table):
    """A card of an order, and what became of it."""

    __tablename__ = "bureau_card"
    __table_args__ = (
        one_of("state", OrderedState),
        UniqueConstraint("order_id", "card_id"),
        Index("ix_bureau_card_order_id_state", "order_id", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("bureau_order.id"))
    card_id: Mapped[int] = mapped_column(ForeignKey("card.id"), index=True)
    state: Mapped[OrderedState] = mapped_column(Coded(OrderedState), default=OrderedState.ORDERED)
    chip_id: Mapped[str | None] = mapped_column(String(20), comment="chip that it was made on")
    consignment_id: Mapped[int | None] = mapped_column(ForeignKey("bureau_consignment.id"), index=True)
    reason: Mapped[str | None] = mapped_column(String(500), comment="why it was rejected")


class BureauChip(Table):
    """A chip whose keys were given to a bureau with an order, by the check values they have."""

    __tablename__ = "bureau_chip"

    order_id: Mapped[int] = mapped_column(ForeignKey("bureau_order.id"), primary_key=True, autoincrement=False)
    chip_id: Mapped[str] = mapped_column(String(20), primary_key=True)
    check_values: Mapped[bytes] = mapped_column(LargeBinary, comment="of ENC, MAC and DEK, 3 bytes each")
    card_id: Mapped[int | None] = mapped_column(ForeignKey("card.id"), index=True, comment="card it became")
    spoiled: Mapped[str | None] = mapped_column(String(500), comment="why it was spoiled")


class BureauKey(Table):
    """A public key that a bureau reported, by its digest: never in two cards, certified yet or not."""

    __tablename__ = "bureau_key"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True, comment="SHA-256 of the public key, hex")
    card_id: Mapped[int] = mapped_column(ForeignKey("card.id"), index=True)
    slot: Mapped[str] = mapped_column(String(40))


class BureauFile(Table):
    """A file to or from a bureau, whatever became of it."""

    __tablename__ = "bureau_file"
    __table_args__ = (
        one_of("outcome", FileOutcome),
        Index("uq_bureau_file_taken", "sha256", unique=True, sqlite_where=text(TAKEN), postgresql_where=text(TAKEN)),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    bureau_id: Mapped[int | None] = mapped_column(ForeignKey("bureau.id"), index=True, comment="empty: nobody's")
    order_id: Mapped[int | None] = mapped_column(ForeignKey("bureau_order.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20), comment="order, acknowledgement, results, answer; empty: unknown")
    sequence: Mapped[int] = mapped_column(comment="number within the order")
    name: Mapped[str] = mapped_column(String(200))
    sha256: Mapped[str] = mapped_column(String(64), comment="of the file as it is, hex")
    size_bytes: Mapped[int] = mapped_column()
    outcome: Mapped[FileOutcome] = mapped_column(Coded(FileOutcome))
    finding: Mapped[str | None] = mapped_column(String(60), comment="why it was refused, in one word")
    sentence: Mapped[str | None] = mapped_column(String(500), comment="the same in a sentence")
    facts: Mapped[dict[str, Any]] = mapped_column(comment="counts")
    by: Mapped[str] = mapped_column(String(80), comment="who sent or brought it, like staff:7")
    at: Mapped[datetime] = mapped_column(index=True)
