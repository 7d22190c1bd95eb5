"""Certificates for stations and staff, who bring a request of their own (PKCS #10): intended first, then signed.

What the request says about its subject is not taken over: an administrator says who it is, and the request only shows
the key and that its sender holds it. As with cards, a key has one certificate for ever, and the same request gives it
again, whatever was torn in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.errors import IssuanceError, RequestRefused, UnfitKey
from issuance.pki.ca import CertificateAuthority, CertificateRequest, Tbs, new_serial
from issuance.pki.crl import RevocationReason
from issuance.pki.hygiene import public_key_digest
from issuance.pki.names import Subject
from issuance.pki.possession import requested_key
from uec.domain.actors import Actor
from uec.domain.errors import NotFound
from uec.domain.lifecycle import CERTIFICATE, CertificateEvent, advance
from uec.services import revocation
from uec.services.applicant_secret import RandomBytes
from uec.store import audit
from uec.store.tables import Certificate

PROFILES = ("station", "staff")


@dataclass(frozen=True)
class Wanted:
    """Whom the certificate is for, by which profile (one of `PROFILES`), and for how many days at most."""

    profile: str
    subject: Subject
    days: int


def certify(
    session: Session,
    ca: CertificateAuthority,
    request: bytes,
    wanted: Wanted,
    *,
    actor: Actor,
    now: datetime,
    random: RandomBytes,
) -> bytes:
    """The certificate (DER) for a PKCS #10 request in DER.

    Raises `UnfitKey` for a key that fails hygiene, is in use already or did not sign its request, `RequestRefused` for
    what the profile or the authority does not allow, and what the vault raises; each refusal stands in the audit.
    """
    try:
        return _certify(session, ca, requested_key(request), wanted, actor, now, random)
    except IssuanceError as error:
        session.rollback()
        facts = {"code": error.code, "reason": str(error), **error.facts}
        _tell(session, actor, "certificate.refuse", wanted.subject.common_name or "", facts, now)
        session.commit()
        raise


def _certify(
    session: Session,
    ca: CertificateAuthority,
    key: bytes,
    wanted: Wanted,
    actor: Actor,
    now: datetime,
    random: RandomBytes,
) -> bytes:
    if wanted.profile not in PROFILES:
        raise RequestRefused(f"by request come {' and '.join(PROFILES)} certificates only", profile=wanted.profile)
    known = session.scalar(select(Certificate).where(Certificate.public_key_digest == public_key_digest(key)))
    text = wanted.subject.text()
    if known is not None and (known.card_id is not None or known.profile != wanted.profile or known.subject != text):
        raise UnfitKey("this public key is in use already: make a new key and ask with that", finding="shared")
    if known is not None and known.der is not None:
        return known.der
    ca.signer.require_valid(now)
    start = known.not_before if known is not None else now.replace(microsecond=0)
    end = known.not_after if known is not None else min(start + timedelta(days=wanted.days), ca.signer.not_after)
    serial = int(known.serial, 16) if known is not None else new_serial(random)
    tbs = ca.prepare(CertificateRequest(wanted.profile, key, wanted.subject, serial, start, end))
    if known is not None and known.tbs_digest != tbs.digest:
        raise RequestRefused("what was to be signed for this key has changed since", profile=wanted.profile)
    if known is None:
        session.add(_intent(tbs, text, now))
    session.commit()
    (der,) = ca.sign([tbs], now=now)
    wanted_row = select(Certificate).where(Certificate.serial == tbs.serial_hex).with_for_update()
    row = session.scalars(wanted_row.execution_options(populate_existing=True)).one()
    row.state = advance(CERTIFICATE, row.state, CertificateEvent.ISSUE)
    row.der, row.issued_at = der, now
    session.flush()
    revocation.expect_answers(session, [row.id], now=now)
    _tell(session, actor, "certificate.issue", str(row.id), {"profile": row.profile, "serial": row.serial}, now)
    session.commit()
    return der


def revoke(session: Session, serial: str, *, reason: RevocationReason, actor: Actor, now: datetime) -> None:
    """Revoke a station's or a member of staff's certificate for good; raises `NotFound` for any other serial number."""
    number = f"{int(serial, 16):032x}"
    ours = (Certificate.serial == number, Certificate.card_id.is_(None), Certificate.profile.in_(PROFILES))
    row = session.scalar(select(Certificate).where(*ours, Certificate.state.in_(revocation.OPEN)).with_for_update())
    if row is None:
        raise NotFound(
            f"No station or member of staff has a certificate {serial} that could be revoked: look it up in "
            "`uec ca list`. Certificates of cards are revoked with their card.",
            kind="certificate",
            id=serial,
        )
    revocation.revoke_all(session, [row], reason=reason, now=now)
    _tell(session, actor, "certificate.revoke", str(row.id), {"serial": row.serial, "reason": reason.value}, now)
    session.commit()


def listed(session: Session) -> list[Certificate]:
    """The certificates of stations and staff, newest first."""
    ours = (Certificate.card_id.is_(None), Certificate.profile.in_(PROFILES), Certificate.der.is_not(None))
    return list(session.scalars(select(Certificate).where(*ours).order_by(Certificate.id.desc())))


def _intent(tbs: Tbs, subject: str, now: datetime) -> Certificate:
    return Certificate(
        profile=tbs.request.profile,
        serial=tbs.serial_hex,
        tbs_digest=tbs.digest,
        public_key_digest=tbs.public_key_digest,
        subject=subject,
        not_before=tbs.request.not_before,
        not_after=tbs.request.not_after,
        intended_at=now,
    )


def _tell(
    session: Session, actor: Actor, action: str, subject_id: str, facts: Mapping[str, object], now: datetime
) -> None:
    audit.record(
        session,
        actor=actor.reference,
        action=action,
        subject_kind="certificate",
        subject_id=subject_id,
        details=facts,
        now=now,
    )
