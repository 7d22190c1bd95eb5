"""Certificates, revocations, CRLs, OCSP answers and the stop-list."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from uec.domain.lifecycle import CertificateState
from uec.store.columns import Coded, Table, one_of


class Certificate(Table):
    """A certificate, from the stored intent to its revocation. One key never serves two cards."""

    __tablename__ = "certificate"
    __table_args__ = (one_of("state", CertificateState), UniqueConstraint("public_key_digest", "profile"))

    id: Mapped[int] = mapped_column(primary_key=True)
    card_id: Mapped[int | None] = mapped_column(ForeignKey("card.id"), index=True, comment="empty: not on a card")
    profile: Mapped[str] = mapped_column(String(40), comment="certificate profile")
    serial: Mapped[str] = mapped_column(String(40), unique=True, comment="hex, without leading zeros")
    tbs_digest: Mapped[str] = mapped_column(String(64), comment="SHA-256 of what was intended to be signed, hex")
    public_key_digest: Mapped[str] = mapped_column(String(64), comment="SHA-256 of the SPKI, hex")
    subject: Mapped[str] = mapped_column(String(400), comment="RFC 4514")
    not_before: Mapped[datetime] = mapped_column()
    not_after: Mapped[datetime] = mapped_column(index=True)
    state: Mapped[CertificateState] = mapped_column(
        Coded(CertificateState), index=True, default=CertificateState.INTENDED
    )
    der: Mapped[bytes | None] = mapped_column(comment="empty until issued")
    intended_at: Mapped[datetime] = mapped_column(comment="stored before anything is signed")
    issued_at: Mapped[datetime | None] = mapped_column()
    crl_part: Mapped[int | None] = mapped_column(index=True, comment="which part of the list, fixed at issue, or whole")


class Revocation(Table):
    """A hold or a revocation of a certificate; `lifted_at` ends a hold."""

    __tablename__ = "revocation"
    __table_args__ = (
        Index(
            "uq_revocation_open",
            "certificate_id",
            unique=True,
            sqlite_where=text("lifted_at IS NULL"),
            postgresql_where=text("lifted_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    certificate_id: Mapped[int] = mapped_column(ForeignKey("certificate.id"), index=True)
    reason: Mapped[str] = mapped_column(String(40), comment="CRLReason of RFC 5280, like certificateHold")
    revoked_at: Mapped[datetime] = mapped_column()
    lifted_at: Mapped[datetime | None] = mapped_column(comment="end of a hold")
    entry_der: Mapped[bytes] = mapped_column(comment="entry of the CRL, ready to splice")


class Crl(Table):
    """A published list of revoked certificates."""

    __tablename__ = "crl"

    issuer: Mapped[str] = mapped_column(String(20), primary_key=True, default="issuing", comment="issuing or root")
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, comment="CRL number, rising")
    der: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    this_update: Mapped[datetime] = mapped_column()
    next_update: Mapped[datetime] = mapped_column()
    entries: Mapped[int] = mapped_column(comment="revoked certificates in it")


class OcspSigner(Table):
    """A certificate that answers about certificates are signed under: its intent, then itself (RFC 6960, 4.2.2.2).

    The key is the vault's and stays the same from one certificate to the next, so they are not among the others.
    """

    __tablename__ = "ocsp_signer"

    id: Mapped[int] = mapped_column(primary_key=True)
    issuer: Mapped[str] = mapped_column(String(64), index=True, comment="SHA-256 of the issuing certificate, hex")
    serial: Mapped[str] = mapped_column(String(40), unique=True, comment="hex, without leading zeros")
    tbs_digest: Mapped[str] = mapped_column(String(64), comment="SHA-256 of what was intended to be signed, hex")
    public_key_digest: Mapped[str] = mapped_column(String(64), comment="SHA-256 of the SPKI, hex")
    not_before: Mapped[datetime] = mapped_column()
    not_after: Mapped[datetime] = mapped_column()
    der: Mapped[bytes | None] = mapped_column(comment="empty until issued")
    intended_at: Mapped[datetime] = mapped_column(comment="stored before anything is signed")
    issued_at: Mapped[datetime | None] = mapped_column()


class OcspAnswer(Table):
    """An answer signed ahead, one a certificate; void (without content) from each decision until it is signed anew.

    The content is what stands in a BasicOCSPResponse before its certificates, which all answers of a signer share.
    """

    __tablename__ = "ocsp_answer"

    certificate_id: Mapped[int] = mapped_column(ForeignKey("certificate.id"), primary_key=True, autoincrement=False)
    due_at: Mapped[datetime] = mapped_column(index=True, comment="when it is to be signed (again)")
    changed: Mapped[int] = mapped_column(BigInteger, comment="number of the change that made it void")
    content: Mapped[bytes | None] = mapped_column(comment="data, algorithm and signature in DER; empty: void")
    signer_id: Mapped[int | None] = mapped_column(ForeignKey("ocsp_signer.id"))
    this_update: Mapped[datetime | None] = mapped_column()
    next_update: Mapped[datetime | None] = mapped_column()


class StopListEntry(Table):
    """A change of the list of cards that must not be served."""

    __tablename__ = "stop_list_entry"
    __table_args__ = (CheckConstraint("action IN ('ADD', 'REMOVE')", name="action"),)

    seq: Mapped[int] = mapped_column(primary_key=True, comment="position in the stop-list, rising")
    card_number: Mapped[str] = mapped_column(String(19), index=True)
    action: Mapped[str] = mapped_column(String(6), comment="ADD or REMOVE")
    reason: Mapped[str] = mapped_column(String(40))
    at: Mapped[datetime] = mapped_column()


class StopListSnapshot(Table):
    """A published, signed state of the stop-list."""

    __tablename__ = "stop_list_snapshot"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, comment="rising")
    last_seq: Mapped[int] = mapped_column(comment="last change included")
    cards: Mapped[int] = mapped_column(comment="cards on it")
    content: Mapped[bytes] = mapped_column(LargeBinary, comment="signed file as published", deferred=True)
    published_at: Mapped[datetime] = mapped_column()
