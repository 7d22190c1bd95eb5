"""Registers outside bureaux: a partner, its certificates, how its chips diversify; two people let each of them in.

A bureau is ready for work while it is approved, has a transport key in the vault, and has one approved certificate for
each use that is valid now. Certificates are pinned: nobody else's word is asked whether they are the bureau's.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from issuance.pki.trust import UNREADABLE, load_certificate
from issuance.planning.facts import Partner
from uec.domain.actors import Actor
from uec.domain.bureau import (
    PARTNER,
    BureauNotReady,
    BureauRefused,
    CertificateUse,
    PartnerEvent,
    PartnerState,
    checked_code,
    checked_kdd,
)
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import advance
from uec.domain.permissions import Permission
from uec.domain.stock import LOT_DIGITS
from uec.domain.texts import typed
from uec.services import bureau_masters
from uec.services.rows import locked, present
from uec.services.stock_ledger import refuse_same
from uec.store import audit
from uec.store.tables import Bureau, BureauCertificate, BureauLot, StockStore

NAME_LIMIT = 120
RSA_BITS = 2048


@dataclass(frozen=True)
class Ready:
    """What an order to a bureau needs: its row, the certificate to encrypt to (DER), its transport key's version."""

    bureau: Bureau
    recipient: bytes
    transport_version: int


@dataclass(frozen=True)
class BureauForm:
    """A bureau as it is proposed."""

    code: str
    name: str
    store_id: int
    cards_per_day: int
    transport_version: int | None = None


def add(session: Session, form: BureauForm, *, actor: Actor, now: datetime) -> int:
    """Propose a bureau; returns its id. Another person approves it. Raises `InvalidInput`."""
    actor.require(Permission.MANAGE_STATIONS)
    name = typed(form.name)
    if not name or len(name) > NAME_LIMIT:
        raise InvalidInput(f"A bureau has a name of 1 to {NAME_LIMIT} characters.", field="name")
    if form.cards_per_day < 1:
        raise InvalidInput("Say how many cards a day the bureau promises: 1 or more.", field="cards_per_day")
    row = Bureau(
        code=checked_code(form.code),
        name=name,
        store_id=present(session, StockStore, form.store_id).id,
        transport_version=form.transport_version,
        cards_per_day=form.cards_per_day,
        proposed_by=actor.staff_id,
        proposed_at=now,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        session.rollback()
        raise InvalidInput(
            "There is a bureau with this code, or with this store, already: choose others.", field="code"
        ) from error
    _tell(session, "propose", row, actor, now, name=name, store=form.store_id, cards_per_day=form.cards_per_day)
    session.commit()
    return row.id


def approve(session: Session, bureau_id: int, *, actor: Actor, now: datetime) -> None:
    """Let a proposed bureau in, as another person; raises `SamePerson`, `IllegalMove`."""
    actor.require(Permission.MANAGE_STATIONS)
    row = locked(session, Bureau, bureau_id)
    refuse_same(actor, row.proposed_by, did="proposed the bureau", now="approve it")
    row.state = advance(PARTNER, row.state, PartnerEvent.APPROVE)
    row.approved_by, row.approved_at = actor.staff_id, now
    _tell(session, "approve", row, actor, now)
    session.commit()


def end(session: Session, bureau_id: int, *, actor: Actor, now: datetime) -> None:
    """Give a bureau nothing more to do; its open orders are taken to their end."""
    actor.require(Permission.MANAGE_STATIONS)
    row = locked(session, Bureau, bureau_id)
    row.state, row.ended_at = advance(PARTNER, row.state, PartnerEvent.END), now
    _tell(session, "end", row, actor, now)
    session.commit()


def add_certificate(
    session: Session, bureau_id: int, content: bytes, *, use: CertificateUse, actor: Actor, now: datetime
) -> int:
    """Propose a certificate (PEM or DER) of a bureau; returns its id. Raises `InvalidInput` for an unfit one."""
    actor.require(Permission.MANAGE_STATIONS)
    bureau = present(session, Bureau, bureau_id)
    der, parsed = _certificate(content, now)
    row = BureauCertificate(
        bureau_id=bureau.id,
        use=use,
        der=der,
        fingerprint=hashlib.sha256(der).hexdigest(),
        subject=parsed.subject.rfc4514_string()[:300],
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        proposed_by=actor.staff_id,
        proposed_at=now,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        session.rollback()
        raise InvalidInput("This certificate is there already.", field="certificate") from error
    _tell(session, "certificate", bureau, actor, now, use=use.value, fingerprint=row.fingerprint)
    session.commit()
    return row.id


def approve_certificate(session: Session, certificate_id: int, *, actor: Actor, now: datetime) -> None:
    """Take a proposed certificate into use, as another person; it replaces the one in use before."""
    actor.require(Permission.MANAGE_STATIONS)
    row = locked(session, BureauCertificate, certificate_id)
    refuse_same(actor, row.proposed_by, did="proposed the certificate", now="approve it")
    row.state = advance(PARTNER, row.state, PartnerEvent.APPROVE)
    row.approved_by, row.approved_at = actor.staff_id, now
    if row.use is CertificateUse.ENCRYPTION:
        _end_others(session, row)
    _tell(
        session, "certificate.approve", present(session, Bureau, row.bureau_id), actor, now,
        use=row.use.value, fingerprint=row.fingerprint,
    )  # fmt: skip
    session.commit()


def end_certificate(session: Session, certificate_id: int, *, actor: Actor, now: datetime) -> None:
    """Trust a certificate no more, or drop a proposed one."""
    actor.require(Permission.MANAGE_STATIONS)
    row = locked(session, BureauCertificate, certificate_id)
    row.state = advance(PARTNER, row.state, PartnerEvent.END)
    _tell(
        session, "certificate.end", present(session, Bureau, row.bureau_id), actor, now,
        use=row.use.value, fingerprint=row.fingerprint,
    )  # fmt: skip
    session.commit()


def add_lot(session: Session, lot: str, kdd: str, *, actor: Actor, now: datetime) -> None:
    """Enter how the chips of a lot diversify, from the maker's letter; a lot that is known is corrected."""
    actor.require(Permission.MANAGE_STATIONS)
    plain = lot.strip().lower()
    if len(plain) != LOT_DIGITS or not all(digit in "0123456789abcdef" for digit in plain):
        raise InvalidInput(f"A lot is {LOT_DIGITS} hexadecimal digits: fabricator, type, batch.", field="lot")
    row = session.get(BureauLot, plain) or BureauLot(lot=plain)
    row.kdd, row.entered_by, row.entered_at = checked_kdd(kdd), actor.staff_id, now
    session.add(row)
    session.flush()
    audit.record(
        session,
        actor=actor.reference,
        action="bureau.lot",
        subject_kind="bureau_lot",
        subject_id=plain,
        details={"kdd": row.kdd},
        now=now,
    )
    session.commit()


def ready(session: Session, bureau_id: int, *, now: datetime) -> Ready:
    """What an order needs of a bureau; raises `BureauNotReady` saying what is missing."""
    bureau = present(session, Bureau, bureau_id)
    if bureau.state is not PartnerState.APPROVED:
        raise _not_ready(bureau, "not-approved", f"is {bureau.state}: two people have to let it in first")
    if bureau.transport_version is None:
        raise _not_ready(bureau, "no-transport-key", "has no transport key: enter it by `uec keys ceremony`")
    usable = _usable(session, bureau_id, now)
    for use in CertificateUse:
        if not any(row.use is use for row in usable):
            raise _not_ready(
                bureau,
                "no-certificate",
                f"has no approved certificate for {use.lower()} that is valid now: ask for one",
            )
    recipient = next(row.der for row in usable if row.use is CertificateUse.ENCRYPTION)
    return Ready(bureau, recipient, bureau.transport_version)


def ready_for_orders(session: Session, bureau_id: int, *, now: datetime) -> Ready:
    """The same where keys are to be sent; raises `BureauRefused` too while only the card master in use is there."""
    found = ready(session, bureau_id, now=now)
    bureau_masters.require_known(session)
    return found


def partners(session: Session, *, now: datetime) -> list[Partner]:
    """The bureaux that can take orders now, as the planner knows them."""
    found = []
    for bureau in list_bureaux(session):
        try:
            ready_for_orders(session, bureau.id, now=now)
        except BureauRefused:
            continue
        found.append(Partner(bureau.code, bureau.name, bureau.cards_per_day))
    return found


def list_bureaux(session: Session) -> list[Bureau]:
    """All bureaux, by code."""
    return list(session.scalars(select(Bureau).order_by(Bureau.code)))


def find(session: Session, code: str) -> Bureau:
    """The bureau of a code; raises `InvalidInput`."""
    row = session.scalar(select(Bureau).where(Bureau.code == code.strip().upper()))
    if row is None:
        raise InvalidInput(f"There is no bureau {code}: look at `uec bureau list`.", field="bureau")
    return row


def certificates(session: Session, bureau_id: int) -> list[BureauCertificate]:
    """A bureau's certificates, newest first."""
    wanted = select(BureauCertificate).where(BureauCertificate.bureau_id == bureau_id)
    return list(session.scalars(wanted.order_by(BureauCertificate.id.desc())))


def signers(session: Session) -> Sequence[BureauCertificate]:
    """Every certificate that a bureau ever signed with, those in use first: whose file it is shows by them."""
    wanted = select(BureauCertificate).where(BureauCertificate.use == CertificateUse.SIGNATURE)
    found = session.scalars(wanted.order_by(BureauCertificate.id.desc())).all()
    return sorted(found, key=lambda row: row.state is not PartnerState.APPROVED)


def _usable(session: Session, bureau_id: int, now: datetime) -> list[BureauCertificate]:
    return [
        row
        for row in certificates(session, bureau_id)
        if row.state is PartnerState.APPROVED and row.not_before <= now <= row.not_after
    ]


def _end_others(session: Session, kept: BureauCertificate) -> None:
    for row in certificates(session, kept.bureau_id):
        if row.id != kept.id and row.use is kept.use and row.state is PartnerState.APPROVED:
            row.state = advance(PARTNER, row.state, PartnerEvent.END)


def _certificate(content: bytes, now: datetime) -> tuple[bytes, x509.Certificate]:
    """A fit certificate in DER; raises `InvalidInput`."""
    try:
        der = content
        if content.lstrip().startswith(b"-----"):
            der = x509.load_pem_x509_certificate(content).public_bytes(Encoding.DER)
        parsed = load_certificate(der)
        key = parsed.public_key()
    except UNREADABLE as error:
        raise InvalidInput("This is no certificate: bring a PEM or DER file.", field="certificate") from error
    fit = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in {"secp256r1", "secp384r1"}
    if not fit and not (isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS):
        raise InvalidInput(
            f"A bureau's key is on P-256 or P-384, or RSA of {RSA_BITS} bits or more.", field="certificate"
        )
    if parsed.not_valid_after_utc <= now:
        raise InvalidInput("This certificate has expired: ask the bureau for a new one.", field="certificate")
    return der, parsed


def _not_ready(bureau: Bureau, finding: str, sentence: str) -> BureauNotReady:
    return BureauNotReady(f"The bureau {bureau.name} {sentence}.", finding=finding, bureau=bureau.code)


def _tell(session: Session, action: str, row: Bureau, actor: Actor, now: datetime, **facts: object) -> None:
    audit.record(
        session,
        actor=actor.reference,
        action=f"bureau.{action}",
        subject_kind="bureau",
        subject_id=row.id,
        details={"code": row.code, **facts},
        now=now,
    )
