"""Certificates for the keys a card has made: intended in the database first, then signed, on hold until hand-over.

The same request gives the same certificates, whatever was torn in between: one key has one certificate a profile, for
ever and for one card only (public keys of two cards are never equal; Estonia, 2017).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.errors import IssuanceError, RequestRefused, UnfitKey
from issuance.pki.ca import CertificateAuthority, CertificateRequest, Tbs, new_serial
from issuance.pki.names import Subject, fit_common_name
from issuance.production.profile import CardProfile
from uec.domain.lifecycle import CERTIFICATE, CardState, CertificateEvent, advance
from uec.services import numbering, revocation
from uec.services.applicant_secret import RandomBytes
from uec.services.rows import locked
from uec.store import audit
from uec.store.tables import Application, Card, Certificate

# The series that counts the certificates which belong to a part of the revocation list.
PARTED = "certificate-parted"
NAME_LIMIT = 64  # ub-common-name and its kind, RFC 5280 appendix A.1


@dataclass(frozen=True)
class Issuer:
    """Who signs, when, and where serial numbers come from; a card's last day ends by the clock of `zone`."""

    ca: CertificateAuthority
    profile: CardProfile
    now: datetime
    random: RandomBytes
    actor: str = "system:hub"
    zone: tzinfo = UTC


def issue(session: Session, card_id: int, public_keys: Mapping[str, bytes], *, issuer: Issuer) -> dict[str, bytes]:
    """Certificates (DER) by key slot for public keys (SubjectPublicKeyInfo, DER) by slot.

    Two transactions: the intents, then the signed certificates, on hold until the card is handed over. Raises
    `UnfitKey` for a key that fails hygiene or is on another card, `RequestRefused` for what the authority may not sign,
    and what the vault raises; each refusal stands in the audit.
    """
    try:
        return _issue(session, card_id, public_keys, issuer)
    except IssuanceError as error:
        _tell_refusal(session, card_id, error, issuer)
        raise


def _tell_refusal(session: Session, card_id: int, error: IssuanceError, issuer: Issuer) -> None:
    session.rollback()
    audit.record(
        session,
        actor=issuer.actor,
        action="certificate.refuse",
        subject_kind="card",
        subject_id=card_id,
        details={"code": error.code, "reason": str(error), **error.facts},
        now=issuer.now,
    )
    session.commit()


def _issue(session: Session, card_id: int, public_keys: Mapping[str, bytes], issuer: Issuer) -> dict[str, bytes]:
    prepared = {slot: _intend(session, card_id, slot, key, issuer) for slot, key in public_keys.items()}
    session.commit()
    unsigned = [tbs for row, tbs in prepared.values() if row.der is None]
    for tbs, der in zip(unsigned, issuer.ca.sign(unsigned, now=issuer.now), strict=True):
        _keep(session, tbs, der, issuer)
    if unsigned:
        revocation.hold(session, card_id, now=issuer.now)
    session.commit()
    return {slot: _der(session, row.id) for slot, (row, _) in prepared.items()}


def _intend(session: Session, card_id: int, slot: str, key: bytes, issuer: Issuer) -> tuple[Certificate, Tbs]:
    """The stored intent for a key, made now or found again, and what will be signed for it."""
    profile = issuer.profile.key(slot).certificate_profile
    digest = hashlib.sha256(key).hexdigest()
    known = session.scalar(select(Certificate).where(Certificate.public_key_digest == digest))
    if known is not None and (known.card_id != card_id or known.profile != profile):
        raise UnfitKey("this public key is in use already: scrap the card and report its chip", finding="shared")
    card = locked(session, Card, card_id)
    if (known is None or known.der is None) and card.state is not CardState.WRITING:
        raise RequestRefused(f"the card is {card.state}: put it aside, it gets no certificates", profile=profile)
    request = _request(session, card, profile, key, issuer, known)
    tbs = issuer.ca.prepare(request)
    if known is None:
        return _new_row(session, card_id, tbs, issuer), tbs
    if known.der is None and known.tbs_digest != tbs.digest:
        raise RequestRefused(
            "what was to be signed for this key has changed since: scrap the card and make it again", profile=profile
        )
    return known, tbs


def _new_row(session: Session, card_id: int, tbs: Tbs, issuer: Issuer) -> Certificate:
    row = Certificate(
        card_id=card_id,
        profile=tbs.request.profile,
        serial=tbs.serial_hex,
        tbs_digest=tbs.digest,
        public_key_digest=tbs.public_key_digest,
        subject=tbs.request.subject.text(),
        not_before=tbs.request.not_before,
        not_after=tbs.request.not_after,
        intended_at=issuer.now,
        crl_part=tbs.request.crl_part,
    )
    session.add(row)
    session.flush()
    return row


def _keep(session: Session, tbs: Tbs, der: bytes, issuer: Issuer) -> None:
    row = session.scalars(select(Certificate).where(Certificate.serial == tbs.serial_hex).with_for_update()).one()
    row.state = advance(CERTIFICATE, row.state, CertificateEvent.ISSUE)
    row.der, row.issued_at = der, issuer.now
    session.flush()
    audit.record(
        session,
        actor=issuer.actor,
        action="certificate.issue",
        subject_kind="certificate",
        subject_id=row.id,
        details={"profile": row.profile, "serial": row.serial, "card": row.card_id},
        now=issuer.now,
    )


def _der(session: Session, certificate_id: int) -> bytes:
    der = session.get_one(Certificate, certificate_id).der
    if der is None:
        raise RequestRefused("the certificate was revoked before it was signed: scrap the card", profile="")
    return der


def _request(
    session: Session, card: Card, profile: str, key: bytes, issuer: Issuer, known: Certificate | None
) -> CertificateRequest:
    start = known.not_before if known else issuer.now.replace(microsecond=0)
    card_end = datetime.combine(card.expires_on, time(23, 59, 59), issuer.zone).astimezone(UTC)
    limit = start + timedelta(days=issuer.ca.profiles[profile].max_days)
    return CertificateRequest(
        profile=profile,
        public_key=key,
        subject=_subject(session, card, issuer.ca),
        serial=int(known.serial, 16) if known else new_serial(issuer.random),
        not_before=start,
        not_after=known.not_after if known else min(card_end, limit, issuer.ca.signer.not_after),
        card_number=card.number,
        card_expires=card_end,
        crl_part=known.crl_part if known else _next_part(session, issuer.ca.config.crl_part_entries),
    )


def _next_part(session: Session, part_entries: int) -> int | None:
    """Which part of the revocation list the next certificate belongs to: each part takes so many, none with 0."""
    if not part_entries:
        return None
    (number,) = numbering.take(session, PARTED)
    return (number - 1) // part_entries


def _subject(session: Session, card: Card, ca: CertificateAuthority) -> Subject:
    person = session.get_one(Application, card.application_id)
    given = " ".join(part for part in (person.name, person.patronymic) if part)
    return ca.config.subject(
        common_name=fit_common_name(person.surname, person.name, person.patronymic or ""),
        surname=person.surname[:NAME_LIMIT].strip(),
        given_name=given[:NAME_LIMIT].strip(),
        serial_number=card.number,
    )
